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

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use super::room::Bounds;
use super::room::{Closed, Room};
use super::tail::{Chunk, EndCause, EndOfFile, FileId, Item, Oversize, Waker};
use crate::decode::{MAX_LINE, MAX_OVERSIZE_KEPT};
use crate::model::{Sha256Digest, StreamKey};

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
/// What a connection may hold of a line however much the others do, so that only long lines have to wait.
const ALWAYS_HELD: usize = 2 * READ;
/// A line that is longer gets memory of its own for as long as a line may be, more than an allocator keeps for another
/// use: so it goes back to the system with the line.
const LONG: usize = 1024 * 1024;
/// Items that are read and not taken yet.
const QUEUE: usize = 16;
/// Connections of one socket; others wait until one ends.
const MAX_CONNECTIONS: usize = 16;
/// A longer datagram is cut by the system.
const MAX_DATAGRAM: usize = 8 * 1024 * 1024;
/// How late a stop is noticed.
const LOOK: Duration = Duration::from_millis(100);
/// How long a sender that does not cease is read from after a stop.
const DRAIN: Duration = Duration::from_secs(1);
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

/// Why a socket cannot be listened on, before it is said of which.
enum Refusal {
    Known(StreamError),
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Removes the socket that a killed process has left behind; nothing that is in use, and nothing else.
fn clear(socket: &Socket) -> Result<(), Refusal> {
    let path = &socket.path;
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !metadata.file_type().is_socket() {
        return Err(Refusal::Known(StreamError::NotASocket { path: path.clone() }));
    }
    // One that is bound and of the other kind refuses in another way.
    let answer = match socket.kind {
        SocketKind::Stream => UnixStream::connect(path).map(drop),
        SocketKind::Datagram => UnixDatagram::unbound().and_then(|socket| socket.connect(path)),
    };
    match answer {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(std::fs::remove_file(path)?),
        _ => Err(Refusal::Known(StreamError::Taken { path: path.clone() })),
    }
}

fn permit(socket: &Socket) -> io::Result<()> {
    match socket.mode {
        Some(mode) => std::fs::set_permissions(&socket.path, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // It ends when it is told to stop or when nobody takes its items, and is not waited for: standard input may be silent.
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Where threads put what they have read.
#[derive(Clone)]
struct Outlet {
    items: Sender<Item>,
    room: Arc<Room>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    numbers: Arc<AtomicU64>,
    /// Connections that are open now.
    open: Arc<AtomicU64>,
}

impl Outlet {
    fn send(&self, item: Item) -> Result<(), Closed> {
        self.room.queue(held_by(&item))?;
        self.items.send(item).map_err(|_| Closed)?;
        self.waker.wake();
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Bytes that an item holds.
fn held_by(item: &Item) -> usize {
    match item {
        Item::Chunk(chunk) => chunk.bytes.len(),
        Item::Oversize(line) => line.beginning.len(),
    }
}

/// Accepts connections, each of which has a thread of its own.
fn accept(listener: &UnixListener, outlet: &Outlet, path: &Path) {
    let open = Arc::new(());
    let mut crowded = false;
    loop {
        let stopping = outlet.is_stopping();
        if Arc::strong_count(&open) > MAX_CONNECTIONS {
            if stopping {
                return;
            }
            if !std::mem::replace(&mut crowded, true) {
                tracing::warn!(path = %path.display(), "{MAX_CONNECTIONS} senders are connected; others have to wait");
            }
            std::thread::sleep(LOOK);
            continue;
        }
        match is_ready(listener, stopping) {
            Ok(true) => {}
            Ok(false) if stopping => return,
            Ok(false) => continue,
            Err(error) => return complain(path, &error),
        }
        let accepted = listener.accept().and_then(|(connection, _)| {
            connection.set_nonblocking(false)?;
            let (outlet, path, open) = (outlet.clone(), path.to_owned(), Arc::clone(&open));
            start("certsift-socket", move || {
                serve(connection, outlet, &path);
                drop(open);
            })
        });
        match accepted {
            Ok(()) => crowded = false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                complain(path, &error);
                std::thread::sleep(LOOK);
            }
        }
    }
}

/// Reads one connection, or standard input, to its end.
fn serve(mut reader: impl Read + AsFd, outlet: Outlet, path: &Path) {
    let Ok(mut connection) = Connection::open(outlet, path) else { return };
    let mut buffer = vec![0; READ];
    let mut patience = Patience::default();
    loop {
        let stopping = connection.outlet.is_stopping();
        match is_ready(&reader, stopping) {
            Ok(true) if !patience.has_ended(stopping) => {}
            Ok(_) if stopping => break,
            Ok(_) => continue,
            Err(error) => {
                complain(path, &error);
                break;
            }
        }
        if connection.make_room(READ).is_err() {
            return;
        }
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if connection.take(&buffer[..read]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                complain(path, &error);
                break;
            }
        }
    }
    connection.end();
}

/// Receives datagrams.
fn receive(socket: &UnixDatagram, outlet: Outlet, path: &Path) {
    let Ok(mut connection) = Connection::open(outlet, path) else { return };
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    let mut lines = Vec::new();
    let mut patience = Patience::default();
    loop {
        let stopping = connection.outlet.is_stopping();
        match is_ready(socket, stopping) {
            Ok(true) if !patience.has_ended(stopping) => {}
            Ok(_) if stopping => break,
            Ok(_) => continue,
            Err(error) => {
                complain(path, &error);
                break;
            }
        }
        // The kernel holds few of them, and senders that do not wait lose the next one: they are fetched at a stretch.
        let mut cut = None;
        while lines.len() < READ && cut.is_none() {
            match socket.recv(&mut buffer) {
                Ok(length) if length > MAX_DATAGRAM => cut = Some(length as u64),
                Ok(length) => {
                    lines.extend_from_slice(&buffer[..length]);
                    if buffer[..length].last().is_some_and(|last| *last != b'\n') {
                        lines.push(b'\n');
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        complain(path, &error);
                    }
                    break;
                }
            }
        }
        let mut taken = connection.take(&lines);
        if let Some(length) = cut {
            connection.keep(&buffer[..MAX_OVERSIZE_KEPT]);
            taken = taken.and_then(|()| connection.pass_over(length));
        }
        lines.clear();
        lines.shrink_to(ALWAYS_HELD);
        if taken.is_err() {
            return;
        }
    }
    connection.end();
}

fn complain(path: &Path, error: &io::Error) {
    tracing::error!(path = %path.display(), %error, "cannot read");
}

/// Waits until there is something to read, or it is time to look whether to stop; not at all where that is so.
fn is_ready(source: &impl AsFd, stopping: bool) -> io::Result<bool> {
    let timeout = if stopping { Duration::ZERO } else { LOOK };
    let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
    match poll(&mut [PollFd::new(source, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// For how long there may be more after a stop.
#[derive(Default)]
struct Patience(Option<Instant>);

impl Patience {
    fn has_ended(&mut self, stopping: bool) -> bool {
        stopping && self.0.get_or_insert_with(Instant::now).elapsed() > DRAIN
    }
}

/// One connection: its bytes become whole lines.
struct Connection {
    outlet: Outlet,
    file: FileId,
    stream: StreamKey,
    path: Arc<Path>,
    /// Where the next line begins.
    offset: u64,
    /// The beginning of a line; of one that is too long, as much as is kept.
    pending: Vec<u8>,
    /// Bytes of a line that is too long.
    passed_over: u64,
    /// What it has room for beyond what it may always hold.
    room: usize,
}

impl Connection {
    fn open(outlet: Outlet, path: &Path) -> Result<Self, Closed> {
        let file = FileId(outlet.numbers.fetch_add(1, Ordering::Relaxed));
        let connection = Self {
            outlet,
            file,
            stream: stream_key(path, file),
            path: path.into(),
            offset: 0,
            pending: Vec::new(),
            passed_over: 0,
            room: 0,
        };
        connection.outlet.open.fetch_add(1, Ordering::Relaxed);
        // Whoever takes it learns of the connection before anything that it holds.
        connection.outlet.send(connection.chunk(Vec::new(), None))?;
        Ok(connection)
    }

    /// Waits until so much more may be held.
    fn make_room(&mut self, more: usize) -> Result<(), Closed> {
        let wanted = (self.pending.len() + more).saturating_sub(ALWAYS_HELD);
        if let Some(bytes) = wanted.checked_sub(self.room).filter(|bytes| *bytes > 0) {
            self.outlet.room.grow(self.file, bytes)?;
            self.room = wanted;
        }
        Ok(())
    }

    /// Gives back what is not needed for what is held.
    fn give_back(&mut self) {
        let needed = self.pending.len().saturating_sub(ALWAYS_HELD);
        if let Some(bytes) = self.room.checked_sub(needed).filter(|bytes| *bytes > 0) {
            self.outlet.room.shrink(self.file, bytes);
            self.room = needed;
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.take_lines(bytes)?;
        // Only now: what waited for room in the queue was still held here.
        self.give_back();
        Ok(())
    }

    fn take_lines(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.keep(bytes);
            return Ok(());
        };
        let first = memchr::memchr(b'\n', bytes).unwrap_or(last);
        let before = if self.passed_over > 0 { self.passed_over } else { self.pending.len() as u64 };
        let length = before + first as u64;
        if length > MAX_LINE as u64 {
            self.pass_over(length + 1)?;
            bytes = &bytes[first + 1..];
        }
        let end = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
        let mut lines = std::mem::take(&mut self.pending);
        lines.extend_from_slice(&bytes[..end]);
        if !lines.is_empty() {
            let length = lines.len() as u64;
            self.outlet.send(self.chunk(lines, None))?;
            self.offset += length;
        }
        self.keep(&bytes[end..]);
        Ok(())
    }

    /// Keeps the beginning of a line, or counts it where it is too long.
    fn keep(&mut self, bytes: &[u8]) {
        if self.passed_over > 0 {
            self.passed_over += bytes.len() as u64;
        } else if self.pending.len() + bytes.len() > MAX_LINE {
            self.passed_over = (self.pending.len() + bytes.len()) as u64;
            self.pending.truncate(MAX_OVERSIZE_KEPT);
            self.pending.shrink_to_fit();
        } else {
            if self.pending.len() + bytes.len() > LONG {
                self.pending.reserve_exact(MAX_LINE + READ - self.pending.len());
            }
            self.pending.extend_from_slice(bytes);
        }
    }

    fn pass_over(&mut self, length: u64) -> Result<(), Closed> {
        self.passed_over = 0;
        let mut beginning = std::mem::take(&mut self.pending);
        beginning.truncate(MAX_OVERSIZE_KEPT);
        let line = Oversize {
            file: self.file,
            stream: self.stream,
            path: Arc::clone(&self.path),
            offset: self.offset,
            length,
            beginning,
        };
        self.offset += length;
        self.outlet.send(Item::Oversize(line))
    }

    fn end(mut self) {
        let passed_over = self.passed_over;
        if passed_over > 0 && self.pass_over(passed_over).is_err() {
            return;
        }
        let rest = std::mem::take(&mut self.pending);
        let end = EndOfFile { cause: EndCause::Closed, unterminated: !rest.is_empty(), lost: 0 };
        // Nobody who takes items is nobody who misses its end.
        let _ = self.outlet.send(self.chunk(rest, Some(end)));
    }

    fn chunk(&self, bytes: Vec<u8>, end: Option<EndOfFile>) -> Item {
        Item::Chunk(Chunk {
            file: self.file,
            stream: self.stream,
            path: Arc::clone(&self.path),
            offset: self.offset,
            bytes,
            header: None,
            end,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outlet.open.fetch_sub(1, Ordering::Relaxed);
        self.outlet.room.shrink(self.file, self.room);
    }
}

/// A key that no other connection has, of this process or of another.
fn stream_key(path: &Path, file: FileId) -> StreamKey {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let text = format!("connection {} of {} at {now} to {}", file.0, std::process::id(), path.display());
    StreamKey(Sha256Digest::of(text.as_bytes()).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tail::{Tail, TailConfig};
    use proptest::prelude::*;

    fn connection() -> (Connection, Receiver<Item>) {
        let (sender, items) = crossbeam_channel::unbounded();
        let waker = Tail::new(TailConfig { watch: false, ..TailConfig::default() }, Vec::new()).unwrap().waker();
        let outlet = Outlet {
            items: sender,
            room: Arc::new(Room::new(Bounds { queued: usize::MAX, pending: usize::MAX })),
            waker,
            stop: Arc::default(),
            numbers: Arc::new(FIRST_ID.into()),
            open: Arc::default(),
        };
        (Connection::open(outlet, "eve.sock".as_ref()).ok().unwrap(), items)
    }

    /// Offsets and lengths of what was handed out, and the bytes; `None` for what was too long.
    fn handed_out(items: &Receiver<Item>) -> Vec<(u64, u64, Option<Vec<u8>>)> {
        items
            .try_iter()
            .map(|item| {
                let length = item.end_offset();
                match item {
                    Item::Chunk(chunk) => (chunk.offset, length - chunk.offset, Some(chunk.bytes)),
                    Item::Oversize(line) => (line.offset, line.length, None),
                }
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_byte_is_handed_out_once_in_whole_lines(
            parts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"ab\n".to_vec()), 0..20), 0..20),
        ) {
            let (mut connection, items) = connection();
            for part in &parts {
                prop_assert!(connection.take(part).is_ok());
            }
            connection.end();
            let found = handed_out(&items);
            let mut seen = Vec::new();
            for (index, (offset, _, bytes)) in found.iter().enumerate() {
                let bytes = bytes.as_ref().unwrap();
                prop_assert_eq!(*offset, seen.len() as u64);
                prop_assert!(bytes.is_empty() || bytes.ends_with(b"\n") || index + 1 == found.len());
                seen.extend_from_slice(bytes);
            }
            prop_assert_eq!(seen, parts.concat());
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_and_not_kept() {
        for (length, too_long) in [(MAX_LINE, false), (MAX_LINE + 1, true), (MAX_LINE + 3 * READ, true)] {
            let (mut connection, items) = connection();
            let text = [b"first\n".as_slice(), &vec![b'x'; length], b"\nlast\nrest"].concat();
            for part in text.chunks(READ) {
                assert!(connection.take(part).is_ok());
                assert!(connection.pending.len() <= MAX_LINE);
                assert!(connection.passed_over == 0 || connection.pending.len() <= MAX_OVERSIZE_KEPT);
            }
            connection.end();
            let found = handed_out(&items);
            let total: u64 = found.iter().map(|(_, length, _)| length).sum();
            assert_eq!(total, text.len() as u64);
            let over: Vec<_> = found.iter().filter(|(_, _, bytes)| bytes.is_none()).collect();
            assert_eq!(over.len(), usize::from(too_long), "{length}");
            assert!(over.iter().all(|(offset, long, _)| (*offset, *long) == (6, length as u64 + 1)));
            assert_eq!(found.last().unwrap().2.as_deref(), Some(&b"rest"[..]));
        }
        // One that never ends.
        let (mut connection, items) = connection();
        for _ in 0..MAX_LINE / READ + 2 {
            assert!(connection.take(&vec![b'x'; READ]).is_ok());
        }
        connection.end();
        assert!(matches!(handed_out(&items)[1], (0, length, None) if length > MAX_LINE as u64));
    }

    #[test]
    fn all_connections_together_hold_as_much_as_they_may_and_all_come_to_their_ends() {
        const LINE: usize = 2 * LONG;
        let folder = tempfile::tempdir().unwrap();
        let waker = Tail::new(TailConfig { watch: false, ..TailConfig::default() }, Vec::new()).unwrap().waker();
        let sockets =
            ["one", "two"].map(|name| Socket { kind: SocketKind::Stream, path: folder.path().join(name), mode: None });
        let bounds = Bounds { queued: READ, pending: 3 * LONG };
        let mut streams = Streams::start(&sockets, false, &waker, bounds).unwrap();
        let senders: Vec<_> = (0..12)
            .map(|number| {
                let mut sender = UnixStream::connect(&sockets[number % 2].path).unwrap();
                std::thread::spawn(move || {
                    for letter in [b'a', b'b'] {
                        let line = [vec![letter; LINE - 1], vec![b'\n']].concat();
                        io::Write::write_all(&mut sender, &line).unwrap();
                    }
                })
            })
            .collect();
        let room = Arc::clone(&streams.room);
        // Nothing is taken yet.
        while room.pending() <= bounds.pending - LONG {
            std::thread::yield_now();
        }
        let (mut lines, mut most) = (0, 0);
        while lines < 24 {
            most = most.max(room.pending());
            for item in streams.take(1) {
                let Item::Chunk(chunk) = item else { panic!("no line is too long") };
                lines += memchr::memchr_iter(b'\n', &chunk.bytes).count();
            }
        }
        assert!(most <= bounds.pending + LINE + READ, "{most}");
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        streams.stop();
        while !streams.is_done() {
            streams.take(1);
        }
        assert_eq!(room.pending(), 0);
    }

    #[test]
    fn no_two_connections_have_one_key() {
        let path = Path::new("eve.sock");
        assert_ne!(stream_key(path, FileId(1)), stream_key(path, FileId(2)));
        assert!(is_stream(FileId(FIRST_ID)) && !is_stream(FileId(FIRST_ID - 1)));
    }
}
