//! The threads that read: one that accepts, one for each connection, one for the datagrams of a socket.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::{ALWAYS_HELD, Connection, Outlet};
use super::{READ, start};
use crate::decode::MAX_OVERSIZE_KEPT;

/// Connections of one socket; others wait until one ends.
const MAX_CONNECTIONS: usize = 16;
/// A longer datagram is cut by the system.
const MAX_DATAGRAM: usize = 8 * 1024 * 1024;
/// How late a stop is noticed.
const LOOK: Duration = Duration::from_millis(100);
/// How long a sender that does not cease is read from after a stop.
const DRAIN: Duration = Duration::from_secs(1);

/// Accepts connections, each of which has a thread of its own.
pub(super) fn accept(listener: &UnixListener, outlet: &Outlet, path: &Path) {
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
pub(super) fn serve(mut reader: impl Read + AsFd, outlet: Outlet, path: &Path) {
    let Ok(mut connection) = Connection::open(outlet, path) else { return };
    let mut buffer = vec![0; READ];
    let mut patience = Patience::default();
    while wait_for_more(&reader, connection.outlet(), &mut patience, path) {
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
pub(super) fn receive(socket: &UnixDatagram, outlet: Outlet, path: &Path) {
    let Ok(mut connection) = Connection::open(outlet, path) else { return };
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    let mut lines = Vec::new();
    let mut patience = Patience::default();
    while wait_for_more(socket, connection.outlet(), &mut patience, path) {
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

/// Waits until there is something to read; not where it is the end: what the kernel holds by then was read, or a sender
/// does not cease.
fn wait_for_more(source: &impl AsFd, outlet: &Outlet, patience: &mut Patience, path: &Path) -> bool {
    loop {
        let stopping = outlet.is_stopping();
        match is_ready(source, stopping) {
            Ok(is_more) if stopping => return is_more && !patience.has_ended(),
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => {
                complain(path, &error);
                return false;
            }
        }
    }
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
    fn has_ended(&mut self) -> bool {
        self.0.get_or_insert_with(Instant::now).elapsed() > DRAIN
    }
}
