//! What comes over Unix sockets and standard input, in whole lines.
//!
//! In: sockets to listen on. Out: [`Item`]s like those of the tail, in the order of each connection. Promise: what was read
//! is handed out once; while certsift is behind nothing is read, so that senders on a stream are held back; a connection
//! takes a bounded amount of memory, and there is a bounded number of them.
//!
//! Nothing of it can be read again, so that there is no point to resume at: what was read and is in no journal when the
//! process is killed is gone. At the end in order, what the kernel holds by then is read.
//!
//! Every connection is a stream of its own, and the socket of datagrams is one; offsets count its bytes.

mod connection;
mod listen;
mod read;
mod room;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_channel::{Receiver, TryRecvError};

use self::listen::{Refusal, clear, permit};
use self::read::{accept, receive, serve};
pub use self::room::Bounds;
use super::tail::{FileId, Item, Waker};
use connection::{Outlet, held_by};
use room::Room;

/// A socket to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Socket {
    /// What is sent over it.
    pub kind: SocketKind,
    /// Where it is made.
    pub path: PathBuf,
    /// Its permissions; without, what the umask leaves.
    pub mode: Option<u32>,
}

/// What is sent over a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SocketKind {
    /// Connections with lines.
    Stream,
    /// Datagrams, each of which ends its last line.
    Datagram,
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The system refuses it.
    #[error("{}: cannot listen: {source}", .path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error("{}: another process listens on this socket", .path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("{}: there is a file of this name, which is no socket", .path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
}

/// Listens on sockets, and reads standard input.
pub struct Streams {
    items: Receiver<Item>,
    room: Arc<Room>,
    /// Set when what is there by then is all that is wanted.
    stop: Arc<AtomicBool>,
    bound: Vec<PathBuf>,
    open: Arc<AtomicU64>,
    any: bool,
    /// Nothing follows what is in the queue.
    ended: bool,
}

/// Bytes that are read at once.
const READ: usize = 256 * 1024;
/// Items that are read and not taken yet.
const QUEUE: usize = 16;
/// Numbers of files begin at 0.
const FIRST_ID: u64 = 1 << 63;

/// Whether an item comes from here.
pub fn is_stream(file: FileId) -> bool {
    file.0 >= FIRST_ID
}

impl Streams {
    /// Begins to listen, and to read standard input where that is wanted. `waker` is told of everything that comes, and
    /// `bounds` is what is held at the most.
    ///
    /// # Errors
    /// A socket cannot be listened on, or a thread cannot be started.
    pub fn start(sockets: &[Socket], stdin: bool, waker: &Waker, bounds: Bounds) -> Result<Self, StreamError> {
        let (sender, items) = crossbeam_channel::bounded(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let open = Arc::new(AtomicU64::new(0));
        let room = Arc::new(Room::new(bounds));
        let outlet = Outlet {
            items: sender,
            room: Arc::clone(&room),
            waker: waker.clone(),
            stop: Arc::clone(&stop),
            numbers: Arc::new(FIRST_ID.into()),
            open: Arc::clone(&open),
        };
        let any = stdin || !sockets.is_empty();
        let mut streams = Self { items, room, stop, bound: Vec::new(), open, any, ended: false };
        for socket in sockets {
            streams.listen(socket, outlet.clone()).map_err(|error| match error {
                Refusal::Known(error) => error,
                Refusal::System(source) => StreamError::Listen { path: socket.path.clone(), source },
            })?;
        }
        if stdin {
            let path = PathBuf::from("-");
            let opened = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let started = opened.and_then(|file| start("certsift-stdin", move || serve(file, outlet, "-".as_ref())));
            started.map_err(|source| StreamError::Listen { path, source })?;
        }
        Ok(streams)
    }

    fn listen(&mut self, socket: &Socket, outlet: Outlet) -> Result<(), Refusal> {
        clear(socket)?;
        let path = socket.path.clone();
        match socket.kind {
            SocketKind::Stream => {
                let listener = UnixListener::bind(&path)?;
                self.bound.push(path.clone());
                listener.set_nonblocking(true)?;
                permit(socket)?;
                start("certsift-accept", move || accept(&listener, &outlet, &path))?;
            }
            SocketKind::Datagram => {
                let receiver = UnixDatagram::bind(&path)?;
                self.bound.push(path.clone());
                receiver.set_nonblocking(true)?;
                permit(socket)?;
                start("certsift-receive", move || receive(&receiver, outlet, &path))?;
            }
        }
        tracing::info!(path = %socket.path.display(), "listening");
        Ok(())
    }

    /// What has come, about `max_bytes` of it.
    pub fn take(&mut self, max_bytes: usize) -> Vec<Item> {
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < max_bytes {
            match self.items.try_recv() {
                Ok(item) => {
                    self.room.taken(held_by(&item));
                    bytes += held_by(&item);
                    items.push(item);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.ended = true;
                    break;
                }
            }
        }
        items
    }

    /// Whether there is more to take.
    pub fn is_behind(&self) -> bool {
        !self.items.is_empty()
    }

    /// Connections that are open now; standard input and every socket of datagrams is one.
    pub fn connections(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Reads what the kernel holds, and then no more.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether everything was taken and nothing follows.
    pub fn is_done(&self) -> bool {
        self.ended && self.items.is_empty()
    }

    /// Whether everything was taken that standard input held, and there is nothing else here.
    pub fn has_run_out(&self) -> bool {
        self.any && self.is_done()
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.stop();
        self.room.close();
        for path in &self.bound {
            // Where that fails, the next start finds that nobody listens.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // It ends when it is told to stop or when nobody takes its items, and is not waited for: standard input may be silent.
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
