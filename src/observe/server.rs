//! The port on which certsift answers `GET /metrics` and `GET /healthz`, and nothing else.
//!
//! One thread serves all connections, of which there are only so many, each with so many bytes to ask and so much time for
//! everything. So whoever is slow, or many, harms nobody but those who have not asked yet: where all places are taken, the
//! connection that has taken longest loses its own.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::metrics::Metrics;

/// Answers until it is dropped.
pub struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// One client.
struct Connection {
    stream: TcpStream,
    since: Instant,
    phase: Phase,
    /// What was read of the question.
    head: Vec<u8>,
}

enum Phase {
    Reading,
    /// The answer, and how many bytes of it are sent.
    Writing(Vec<u8>, usize),
    /// All is said; what the client still sends is read away, since a reset could overtake the answer.
    Closing(usize),
}

/// What is answered.
struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

/// Connections at one time.
const MAX_CONNECTIONS: usize = 64;
/// Connections that are accepted before others have their turn.
const ACCEPTED_AT_ONCE: usize = 16;
/// Bytes of a question.
const MAX_HEAD: usize = 8 * 1024;
/// Bytes that are read away behind a question.
const MAX_IGNORED: usize = 64 * 1024;
/// From the first byte of a connection to its last.
const DEADLINE: Duration = Duration::from_secs(5);
/// How late the end is noticed.
const TURN: Duration = Duration::from_millis(500);
/// When the system gives no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Server {
    /// Begins to answer at an address.
    ///
    /// # Errors
    /// The address cannot be used, or the system gives no thread.
    pub fn start(address: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let shared = Arc::clone(&ended);
        let run = move || serve(&listener, &metrics, &shared);
        std::thread::Builder::new().name("observe".to_owned()).spawn(run)?;
        Ok(Self { address, ended })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

fn serve(listener: &TcpListener, metrics: &Metrics, ended: &AtomicBool) {
    let mut connections: Vec<Connection> = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let ready = wait(listener, &connections);
        let mut ready = ready.into_iter();
        let has_new = ready.next().unwrap_or_default();
        // What has come first is looked at first, and stays in front.
        connections.retain_mut(|connection| {
            let ready = ready.next().unwrap_or_default();
            connection.since.elapsed() < DEADLINE && (!ready || connection.go_on(metrics))
        });
        if has_new {
            accept(listener, &mut connections, metrics);
        }
    }
}

/// Waits for the listener or a connection; says of each, the listener first, whether it is ready.
fn wait(listener: &TcpListener, connections: &[Connection]) -> Vec<bool> {
    let oldest = connections.first().map(|connection| DEADLINE.saturating_sub(connection.since.elapsed()));
    let turn = oldest.unwrap_or(TURN).min(TURN);
    let timeout = Timespec { tv_sec: 0, tv_nsec: turn.subsec_nanos().into() };
    let mut wanted = vec![PollFd::new(listener, PollFlags::IN)];
    wanted.extend(connections.iter().map(|connection| {
        let flags = if matches!(connection.phase, Phase::Writing(..)) { PollFlags::OUT } else { PollFlags::IN };
        PollFd::new(&connection.stream, flags)
    }));
    match poll(&mut wanted, Some(&timeout)) {
        Ok(_) => wanted.iter().map(|wanted| !wanted.revents().is_empty()).collect(),
        Err(_) => {
            // A signal, or no memory: the next turn comes.
            std::thread::sleep(PAUSE);
            Vec::new()
        }
    }
}

fn accept(listener: &TcpListener, connections: &mut Vec<Connection>, metrics: &Metrics) {
    for _ in 0..ACCEPTED_AT_ONCE {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return std::thread::sleep(PAUSE),
        };
        if stream.set_nonblocking(true).is_err() {
            continue;
        }
        if connections.len() >= MAX_CONNECTIONS {
            connections.remove(0);
        }
        let mut connection = Connection { stream, since: Instant::now(), phase: Phase::Reading, head: Vec::new() };
        // Most have asked already, and go before many others can come.
        if connection.go_on(metrics) {
            connections.push(connection);
        }
    }
}

impl Connection {
    /// Reads or writes what can be without waiting; says whether the connection goes on.
    fn go_on(&mut self, metrics: &Metrics) -> bool {
        loop {
            let outcome = match &mut self.phase {
                Phase::Reading => self.read(metrics),
                Phase::Writing(answer, sent) => write(&mut self.stream, answer, sent),
                Phase::Closing(ignored) => ignore(&mut self.stream, ignored),
            };
            match outcome {
                Ok(Some(next)) => self.phase = next,
                Ok(None) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }

    /// Reads the question; once it is there, the answer is next.
    fn read(&mut self, metrics: &Metrics) -> io::Result<Option<Phase>> {
        let mut buffer = [0; 1024];
        loop {
            let length = self.stream.read(&mut buffer)?;
            if length == 0 {
                return Ok(None);
            }
            self.head.extend_from_slice(&buffer[..length]);
            let answer = match end_of_head(&self.head) {
                Some(end) if end <= MAX_HEAD => answer(&self.head[..end], metrics),
                None if self.head.len() <= MAX_HEAD => continue,
                _ => Answer::short("431 Request Header Fields Too Large", "the question is too long\n"),
            };
            return Ok(Some(Phase::Writing(answer.to_bytes(), 0)));
        }
    }
}

fn write(stream: &mut TcpStream, answer: &[u8], sent: &mut usize) -> io::Result<Option<Phase>> {
    while *sent < answer.len() {
        match stream.write(&answer[*sent..])? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => *sent += written,
        }
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(Some(Phase::Closing(0)))
}

/// Reads on and forgets, until the client has ended as well.
fn ignore(stream: &mut TcpStream, ignored: &mut usize) -> io::Result<Option<Phase>> {
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer)?;
        *ignored += length;
        if length == 0 || *ignored > MAX_IGNORED {
            return Ok(None);
        }
    }
}

fn end_of_head(head: &[u8]) -> Option<usize> {
    let crlf = memchr::memmem::find(head, b"\r\n\r\n").map(|at| at + 4);
    let lf = memchr::memmem::find(head, b"\n\n").map(|at| at + 2);
    [crlf, lf].into_iter().flatten().min()
}

fn answer(head: &[u8], metrics: &Metrics) -> Answer {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map(str::trim_end).unwrap_or_default();
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Answer::short("400 Bad Request", "no question of HTTP\n");
    };
    if !version.starts_with("HTTP/1.") {
        return Answer::short("400 Bad Request", "no question of HTTP/1\n");
    }
    let path = target.split('?').next().unwrap_or_default();
    match path {
        "/metrics" | "/healthz" if method != "GET" => Answer::short("405 Method Not Allowed", "only GET is allowed\n"),
        "/metrics" => Answer { status: "200 OK", content_type: EXPOSITION, body: metrics.exposition() },
        "/healthz" => {
            let health = metrics.health();
            if health.is_good() {
                Answer::short("200 OK", "ok\n")
            } else {
                let body = health.reasons.iter().map(|reason| reason.replace('\n', " ") + "\n").collect();
                Answer { status: "503 Service Unavailable", content_type: PLAIN, body }
            }
        }
        _ if method != "GET" => Answer::short("405 Method Not Allowed", "only GET is allowed\n"),
        _ => Answer::short("404 Not Found", "there are /metrics and /healthz\n"),
    }
}

impl Answer {
    fn short(status: &'static str, body: &str) -> Self {
        Self { status, content_type: PLAIN, body: body.to_owned() }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let Self { status, content_type, body } = self;
        let allow = if status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_asked_is_answered(method in "GET|HEAD|[ -~]{0,8}", path in "/metrics|/healthz|/[ -~]{0,20}", rest in any::<Vec<u8>>()) {
            let metrics = Metrics::default();
            let head = [format!("{method} {path} HTTP/1.1\r\n").as_bytes(), &rest, b"\r\n\r\n"].concat();
            let answer = answer(&head, &metrics).to_bytes();
            let text = String::from_utf8(answer).unwrap();
            let good = text.starts_with("HTTP/1.1 200");
            prop_assert!(!good || method == "GET", "{text}");
            prop_assert!(good || ["400", "404", "405", "503"].iter().any(|code| text[9..].starts_with(code)), "{text}");
        }

        #[test]
        fn the_end_of_a_question_is_found_however_it_is_cut(lines in prop::collection::vec("[!-~]{1,9}", 0..9), lf in any::<bool>()) {
            let end = if lf { "\n" } else { "\r\n" };
            let head = lines.iter().map(|line| format!("{line}{end}")).collect::<String>() + end;
            let whole = format!("x{end}{head}");
            for length in 0..whole.len() {
                prop_assert_eq!(end_of_head(&whole.as_bytes()[..length]), None);
            }
            prop_assert_eq!(end_of_head(format!("{whole}body").as_bytes()), Some(whole.len()));
        }
    }
}
