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
use std::time::Duration;

use super::batch::Batch;
use super::fault::{Fault, FaultKind};
use super::queue::NetworkCounts;
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
}

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

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

    /// Whether the other side has gone. Otherwise that shows only once something was written, and lost.
    fn has_ended(&mut self) -> io::Result<bool> {
        let mut said = [0; 512];
        let (set, read): (&dyn Fn(bool) -> io::Result<()>, _) = match self {
            Self::Unix(stream) => {
                stream.set_nonblocking(true)?;
                (&|on| stream.set_nonblocking(on), (&*stream).read(&mut said))
            }
            Self::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                (&|on| stream.set_nonblocking(on), (&*stream).read(&mut said))
            }
        };
        set(false)?;
        match read {
            Ok(0) => Ok(true),
            Ok(_) => Ok(false),
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind()) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Socket {
    pub(super) fn new(address: SocketAddress) -> Self {
        Self { address, stream: None, recent: VecDeque::new(), recent_bytes: 0, written: 0 }
    }

    /// An open connection, on which the last lines were written again if it is another one.
    fn stream(&mut self, counts: &NetworkCounts) -> Result<&mut Stream, Fault> {
        if let Some(mut stream) = self.stream.take()
            && !stream.has_ended().unwrap_or(true)
        {
            return Ok(self.stream.insert(stream));
        }
        let mut stream =
            self.address.connect().map_err(|error| Fault::new(FaultKind::Unreachable, error.to_string()))?;
        counts.requests.fetch_add(1, Ordering::Relaxed);
        for line in &self.recent {
            stream.write_all(line).map_err(|error| broken(&error))?;
        }
        Ok(self.stream.insert(stream))
    }

    fn write(&mut self, batch: &Batch, counts: &NetworkCounts) -> Result<(), Fault> {
        let lines: Vec<_> = batch.lines().skip(self.written).collect();
        for lines in lines.chunks(LINES_PER_WRITE) {
            let text = lines.concat();
            if let Err(error) = self.stream(counts)?.write_all(&text) {
                self.stream = None;
                return Err(broken(&error));
            }
            counts.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
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
    fn send(&mut self, batch: &Batch, counts: &NetworkCounts) -> Outcome {
        match self.write(batch, counts) {
            Ok(()) => {
                self.written = 0;
                Outcome::Taken
            }
            Err(fault) => Outcome::Failed(fault),
        }
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
