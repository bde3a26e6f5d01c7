//! A small HTTP server of tests, which does what it is told to, and that may be anything but an answer.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What was asked.
pub(crate) struct Request {
    /// With what follows the question mark.
    pub(crate) target: String,
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the server does about it.
pub(crate) enum Action {
    /// Status and body.
    Reply(u16, String),
    /// The same with one more header.
    ReplyWith(u16, &'static str, String),
    /// These bytes as they are, and the end of the connection.
    Raw(Vec<u8>),
    /// The beginning of a reply, and a body that goes on for ever.
    Endless,
    /// Nothing for so long, and then the end of the connection.
    Hang(Duration),
}

/// What decides.
pub(crate) trait Service: Send + Sync + 'static {
    fn answer(&self, request: &Request) -> Action;

    /// After how many bytes of a request the connection ends, before all of them were read.
    fn reset_within(&self) -> Option<usize> {
        None
    }
}

impl<F: Fn(&Request) -> Action + Send + Sync + 'static> Service for F {
    fn answer(&self, request: &Request) -> Action {
        self(request)
    }
}

/// Begins to serve, and gives the port.
pub(crate) fn serve(service: Arc<impl Service>) -> u16 {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap(), service, None)
}

/// The same over TLS.
pub(crate) fn serve_tls(service: Arc<impl Service>, config: Arc<rustls::ServerConfig>) -> u16 {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap(), service, Some(config))
}

/// The same on a socket that is there already.
pub(crate) fn serve_on(
    listener: TcpListener,
    service: Arc<impl Service>,
    tls: Option<Arc<rustls::ServerConfig>>,
) -> u16 {
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (service, tls) = (Arc::clone(&service), tls.clone());
            std::thread::spawn(move || {
                let stream = stream.unwrap();
                // The other side may go away at any time.
                let _ = match tls {
                    None => converse(stream, &*service),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        converse(rustls::StreamOwned::new(connection, stream), &*service)
                    }
                };
            });
        }
    });
    port
}

/// A certificate that vouches for itself, as PEM, and how a server shows it.
pub(crate) fn certificate(name: &str) -> (String, Arc<rustls::ServerConfig>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = certificate.pem();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (pem, Arc::new(config))
}

/// A port on which nobody listens now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Listens on a port that was free.
pub(crate) fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

fn converse<S: Read + Write + HasSocket>(mut stream: S, service: &impl Service) -> io::Result<()> {
    stream.socket().set_nodelay(true)?;
    let mut read = Vec::new();
    loop {
        let Some(head) = read_head(&mut stream, &mut read)? else { return Ok(()) };
        let mut lines = head.lines();
        let target = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: HashMap<_, _> =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        if let Some(bytes) = service.reset_within().filter(|bytes| *bytes < length) {
            fill(&mut stream, &mut read, bytes)?;
            // What was sent and not read makes the system reset the connection.
            return Ok(());
        }
        fill(&mut stream, &mut read, length)?;
        let body = read.drain(..length).collect();
        let (status, header, body) = match service.answer(&Request { target, headers, body }) {
            Action::Reply(status, body) => (status, "", body),
            Action::ReplyWith(status, header, body) => (status, header, body),
            Action::Raw(bytes) => return stream.write_all(&bytes).and_then(|()| stream.flush()),
            Action::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(format!("10000\r\n{}\r\n", " ".repeat(0x1_0000)).as_bytes())?;
                }
            }
            Action::Hang(time) => {
                std::thread::sleep(time);
                return Ok(());
            }
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status} Some\r\nContent-Length: {length}\r\n{header}\r\n{body}")?;
        stream.flush()?;
    }
}

/// What precedes the body; `None` at the end of the connection.
fn read_head(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = read.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8(head).unwrap()));
        }
        let length = read.len();
        fill(stream, read, length + 1)?;
        if read.len() == length {
            return Ok(None);
        }
    }
}

/// Reads until there are so many bytes, or the other side ends.
fn fill(stream: &mut impl Read, read: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let mut part = [0; 64 * 1024];
    while read.len() < length {
        let bytes = stream.read(&mut part)?;
        if bytes == 0 {
            return Ok(());
        }
        read.extend_from_slice(&part[..bytes]);
    }
    Ok(())
}

trait HasSocket {
    fn socket(&self) -> &TcpStream;
}

impl HasSocket for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl HasSocket for rustls::StreamOwned<rustls::ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}
