//! A socket, TCP or of the system, into which lines are written as they are.
//!
//! Nobody says there what arrived: what the system has taken counts as taken. What it still held when the other side went
//! away is lost, and so the last lines, as many as the system can hold, are written again on the next connection.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::fault::{Fault, FaultKind};
use super::queue::Queue;
use super::sender::{Courier, Outcome};

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SocketAddress {
    /// A socket of the system, by its path.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String),
}

/// The connection.
pub(super) struct Socket {
    address: SocketAddress,
    stream: Option<Stream>,
    /// The last lines that were written.
    recent: VecDeque<Box<[u8]>>,
    recent_bytes: usize,
    /// Lines of the batch at hand that were written.
    written: usize,
    connected: Instant,
    last_write: Instant,
    /// The other side has said from the beginning that it only reads.
    only_reads: bool,
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The other side of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    There,
    /// It will say nothing more; perhaps it still reads, perhaps it has gone and had read everything.
    Finished,
    /// It has gone, and something that was written to it is lost.
    Gone,
}

/// Between two looks at a connection; who ends its side sooner than that after the beginning only reads.
const SOON: Duration = Duration::from_secs(1);
/// What was written before that is read, or the connection is broken.
const LATELY: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What Linux holds of a socket of the system unless somebody enlarged it, and of a TCP connection at both ends.
const UNIX_BUFFER: usize = 256 * 1024;
const TCP_BUFFER: usize = 10 * 1024 * 1024;

impl SocketAddress {
    /// An address as it is written.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a socket; write `unix:/run/lines.sock` or `tcp://host:5170`");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        let address = text.strip_prefix("tcp://").ok_or_else(wrong)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let is_host = !host.is_empty() && !host.contains(['/', '@']);
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if is_host && is_port { Ok(Self::Tcp(address.to_owned())) } else { Err(wrong()) }
    }

    fn connect(&self) -> io::Result<Stream> {
        let address = match self {
            Self::Unix(path) => return UnixStream::connect(path).map(Stream::Unix),
            Self::Tcp(address) => address,
        };
        let mut failed = io::Error::other("the host has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => return Ok(Stream::Tcp(stream)),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn buffer(&self) -> usize {
        match self {
            Self::Unix(_) => UNIX_BUFFER,
            Self::Tcp(_) => TCP_BUFFER,
        }
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }

    /// What is known of the other side without writing anything, which would be lost if it has gone.
    fn look(&mut self) -> Peer {
        let mut said = [0; 512];
        let mut read = || {
            self.set_nonblocking(true)?;
            let read = match self {
                Self::Unix(stream) => stream.read(&mut said),
                Self::Tcp(stream) => stream.read(&mut said),
            };
            self.set_nonblocking(false)?;
            read
        };
        match read() {
            Ok(0) => Peer::Finished,
            Ok(_) => Peer::There,
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => {
                Peer::There
            }
            Err(_) => Peer::Gone,
        }
    }

    fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_nonblocking(on),
            Self::Tcp(stream) => stream.set_nonblocking(on),
        }
    }
}

impl Socket {
    pub(super) fn new(address: SocketAddress) -> Self {
        let now = Instant::now();
        Self {
            address,
            stream: None,
            recent: VecDeque::new(),
            recent_bytes: 0,
            written: 0,
            connected: now,
            last_write: now,
            only_reads: false,
        }
    }

    /// An open connection.
    fn stream(&mut self, queue: &Queue) -> Result<&mut Stream, Fault> {
        let Some(mut stream) = self.stream.take() else { return self.connect(true, queue) };
        match stream.look() {
            Peer::Finished if self.only_reads || self.connected.elapsed() < SOON => self.only_reads = true,
            // What it has not read by then was written just before.
            Peer::Finished => return self.connect(self.last_write.elapsed() < LATELY, queue),
            Peer::Gone => return self.connect(true, queue),
            Peer::There => {}
        }
        Ok(self.stream.insert(stream))
    }

    /// Another connection, on which the last lines are written again if they may be lost.
    fn connect(&mut self, again: bool, queue: &Queue) -> Result<&mut Stream, Fault> {
        let unreachable = |error: io::Error| Fault::new(FaultKind::Unreachable, error.to_string());
        let mut stream = self.address.connect().map_err(unreachable)?;
        queue.counts().requests.fetch_add(1, Ordering::Relaxed);
        (self.connected, self.only_reads) = (Instant::now(), false);
        if again {
            for line in &self.recent {
                let _writing = queue.writing();
                stream.write_all(line).map_err(|error| broken(&error))?;
            }
            self.last_write = Instant::now();
        } else {
            self.recent.clear();
            self.recent_bytes = 0;
        }
        Ok(self.stream.insert(stream))
    }

    fn write(&mut self, batch: &Batch, queue: &Queue) -> Result<(), Fault> {
        let lines: Vec<_> = batch.lines().skip(self.written).collect();
        for lines in lines.chunks(LINES_PER_WRITE) {
            let text = lines.concat();
            let stream = self.stream(queue)?;
            let writing = queue.writing();
            let outcome = stream.write_all(&text);
            drop(writing);
            if let Err(error) = outcome {
                self.stream = None;
                return Err(broken(&error));
            }
            self.last_write = Instant::now();
            queue.counts().bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            self.written += lines.len();
            lines.iter().for_each(|line| self.remember(line));
        }
        Ok(())
    }

    fn remember(&mut self, line: &[u8]) {
        self.recent_bytes += line.len();
        self.recent.push_back(line.into());
        let most = self.address.buffer();
        while let Some(first) = self.recent.front()
            && self.recent_bytes - first.len() >= most
        {
            self.recent_bytes -= first.len();
            self.recent.pop_front();
        }
    }
}

/// Lines that one write takes: they are written again together when the connection ends meanwhile.
const LINES_PER_WRITE: usize = 64;

impl Courier for Socket {
    fn send(&mut self, batch: &Batch, queue: &Queue) -> Outcome {
        match self.write(batch, queue) {
            Ok(()) => {
                self.written = 0;
                Outcome::Taken
            }
            Err(fault) => Outcome::Failed(fault),
        }
    }

    fn tend(&mut self, queue: &Queue) -> Option<Duration> {
        self.recent.front()?;
        // Without this the last lines would be missed only when the next ones come.
        if self.stream.as_mut().is_none_or(|stream| stream.look() == Peer::Gone) {
            self.stream = None;
            match self.connect(true, queue) {
                Ok(_) => queue.say_well(),
                Err(fault) => queue.say_trouble(&fault),
            }
        }
        Some(SOON)
    }
}

fn broken(error: &io::Error) -> Fault {
    Fault::new(FaultKind::Busy, format!("the other side has gone: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_two_kinds() {
        for text in
            ["unix:/run/lines.sock", "unix:lines.sock", "tcp://127.0.0.1:5170", "tcp://[::1]:1", "tcp://vector:5170"]
        {
            assert_eq!(SocketAddress::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "unix:",
            "tcp://",
            "tcp://host",
            "tcp://:1",
            "tcp://host:0",
            "tcp://host:99999",
            "tcp://a/b:1",
            "udp://a:1",
        ] {
            assert!(SocketAddress::parse(text).is_err(), "{text}");
        }
    }
}
