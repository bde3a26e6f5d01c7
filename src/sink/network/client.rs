//! HTTP: one request, and what its reply amounts to.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::http::{HeaderMap, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Error};

use super::fault::{Fault, FaultKind, shown};
use super::secret::Credentials;
use crate::knowledge::pem;
use crate::retry_after::parse_retry_after;

/// How a server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Its addresses; where there are more, each is as good as the others.
    pub urls: Vec<Endpoint>,
    /// Certificates in PEM of those who vouch for it, instead of the roots of the Web PKI.
    pub ca_file: Option<PathBuf>,
    /// Whether anybody has to vouch for it.
    pub verify: bool,
    /// Requests at the same time.
    pub connections: usize,
    /// Bytes of one request.
    pub request_size: usize,
    /// How long one request may take.
    pub timeout: Duration,
}

/// The address of a server, `https://elastic.example:9200`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Without a slash at its end.
    text: String,
    is_secure: bool,
    is_local: bool,
}

/// What sends requests. Its connection stays open between them.
pub(super) struct Client(Agent);

/// What a server says.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// As it came: what is to be shown of it goes through [`Reply::shown`].
    pub(super) body: Vec<u8>,
    /// What it was told, and may repeat.
    pub(super) credentials: Credentials,
}

/// Largest reply that is read.
const MAX_REPLY: u64 = 16 * 1024 * 1024;
/// Largest file of certificates.
const MAX_CA_FILE: u64 = 16 * 1024 * 1024;
/// Longest address.
const MAX_URL: usize = 2048;
/// An idle connection is used again for so long: servers end them, and what is then sent into one may have to be sent twice.
const MAX_IDLE: Duration = Duration::from_secs(5);

impl Endpoint {
    /// An address as it is written.
    ///
    /// # Errors
    /// It is none. What is said does not hold it, since it may hold a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = "is no address of a server; write `https://elastic.example:9200`";
        let uri: Uri = text.parse().map_err(|_| wrong.to_owned())?;
        let authority = uri.authority().ok_or(wrong)?;
        if authority.as_str().contains('@') {
            return Err("holds a user; name user and secret by keys of their own".to_owned());
        }
        let is_http = uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
        if !is_http || authority.host().is_empty() || uri.query().is_some() || text.len() > MAX_URL {
            return Err(wrong.to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']);
        let is_local = host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let is_secure = uri.scheme_str() == Some("https");
        let text = text.split('#').next().unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { text, is_secure, is_local })
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_exposed(&self) -> bool {
        !self.is_secure && !self.is_local
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HttpSettings {
    /// What vouches for the server.
    ///
    /// # Errors
    /// The file of certificates cannot be used.
    pub(super) fn tls(&self) -> Result<TlsConfig, String> {
        let roots = match &self.ca_file {
            None => RootCerts::WebPki,
            Some(path) => {
                let wrong = |why: String| format!("{}: {why}", path.display());
                let metadata = path.metadata().map_err(|error| wrong(error.to_string()))?;
                if !metadata.is_file() || metadata.len() > MAX_CA_FILE {
                    return Err(wrong("is no file of certificates".to_owned()));
                }
                let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
                let blocks: Option<Vec<_>> = pem::blocks(&text).collect();
                let blocks = blocks.filter(|blocks| !blocks.is_empty());
                let blocks = blocks.ok_or_else(|| wrong("holds no certificates in PEM, or broken ones".to_owned()))?;
                let certificates: Vec<_> = blocks.iter().map(|block| Certificate::from_der(block).to_owned()).collect();
                RootCerts::new_with_certs(&certificates)
            }
        };
        Ok(TlsConfig::builder().root_certs(roots).disable_verification(!self.verify).build())
    }
}

impl Client {
    pub(super) fn new(tls: TlsConfig, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            // A redirect would lead records and secrets to somebody whom nobody has named.
            .max_redirects(0)
            .max_idle_age(MAX_IDLE)
            .tls_config(tls)
            .user_agent(concat!("certsift/", env!("CARGO_PKG_VERSION")));
        Self(config.build().new_agent())
    }

    /// Sends a request to a path of the server.
    pub(super) fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        content_type: &'static str,
        credentials: &Credentials,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, Fault> {
        let mut request = self.0.post(format!("{endpoint}/{path}")).header(header::CONTENT_TYPE, content_type);
        if endpoint.is_local {
            // A proxy would look for it on its own machine.
            request = request.config().proxy(None).build();
        }
        if let Some(value) = credentials.header() {
            request = request.header(header::AUTHORIZATION, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).map_err(|error| fault_of(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        match response.body_mut().with_config().limit(MAX_REPLY).read_to_vec() {
            Ok(body) => Ok(Reply { status, retry_after, body, credentials: credentials.clone() }),
            Err(Error::BodyExceedsLimit(_)) => Err(Fault::new(FaultKind::Broken, "the reply does not end")),
            Err(error) => Err(fault_of(&error)),
        }
    }
}

impl Reply {
    /// What may be shown, or written down, of a text that is of this reply or was made from it.
    pub(super) fn shown(&self, text: &[u8]) -> String {
        shown(&self.credentials.hide(text))
    }

    /// What a status means that is not a success.
    pub(super) fn fault(&self) -> Fault {
        let kind = match self.status {
            408 | 425 | 429 | 503 => FaultKind::Busy,
            300..=499 => FaultKind::Refused,
            _ => FaultKind::Broken,
        };
        let hint = match self.status {
            300..=399 => " (a redirect, which is not followed)",
            _ => "",
        };
        let said = self.shown(&self.body);
        let colon = if said.is_empty() { "" } else { ": " };
        Fault::new(kind, format!("status {}{hint}{colon}{said}", self.status)).after(self.retry_after)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(text, i64::try_from(now).unwrap_or(i64::MAX))
}

fn fault_of(error: &Error) -> Fault {
    use std::io::ErrorKind;
    let untrusted = |why: String| {
        let hint = "name who vouches for the server as ca_file";
        Fault::new(FaultKind::Untrusted, format!("the server's certificate is not trusted: {why}; {hint}"))
    };
    match error {
        Error::Tls(_) | Error::Rustls(_) | Error::Io(_) if is_refusal_of_tls(&error.to_string()) => {
            let hint = "it may want a certificate of certsift's own, which there is none of";
            Fault::new(FaultKind::Refused, format!("the server refuses TLS: {error}; {hint}"))
        }
        Error::Tls(_) | Error::Rustls(_) => untrusted(error.to_string()),
        // What TLS says of a certificate that nobody vouches for comes as an error of the connection.
        Error::Io(io) if io.kind() == ErrorKind::InvalidData && is_of_tls(io) => untrusted(io.to_string()),
        Error::HostNotFound | Error::ConnectionFailed | Error::ConnectProxyFailed(_) | Error::InvalidProxyUrl => {
            Fault::new(FaultKind::Unreachable, error.to_string())
        }
        Error::Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => {
            Fault::new(FaultKind::Unreachable, error.to_string())
        }
        Error::Io(io) => {
            let nobody = matches!(
                io.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::NetworkDown
            );
            Fault::new(if nobody { FaultKind::Unreachable } else { FaultKind::Broken }, io.to_string())
        }
        Error::Timeout(_) => Fault::new(FaultKind::Broken, "no answer in time"),
        error => Fault::new(FaultKind::Broken, shown(error.to_string().as_bytes())),
    }
}

/// Whether the server has ended TLS because of what certsift has shown it, or has not: trying again does not help.
fn is_refusal_of_tls(text: &str) -> bool {
    // Before TLS 1.3, that a certificate is missing is said as a failure of the handshake.
    let others = ["AccessDenied", "HandshakeFailure", "UnknownCA"];
    let alert = text.split_once("received fatal alert: ").map(|(_, alert)| alert);
    alert.is_some_and(|alert| alert.contains("Certificate") || others.iter().any(|other| alert.starts_with(other)))
}

/// Whether it is about the server's certificate, and not about bytes that are no TLS at all.
fn is_of_tls(error: &std::io::Error) -> bool {
    let text = error.to_string();
    text.contains("certificate") || text.contains("UnknownIssuer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_and_holds_no_secret() {
        for (text, expected, is_exposed) in [
            ("https://elastic.example:9200/", "https://elastic.example:9200", false),
            ("http://127.0.0.1:9200", "http://127.0.0.1:9200", false),
            ("http://[::1]:9200/es/", "http://[::1]:9200/es", false),
            ("http://elastic.example", "http://elastic.example", true),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.is_exposed()), (expected, is_exposed));
        }
        for text in ["", "elastic.example", "ftp://x", "https://", "https://elastic:geheim@x:9200/", "https://x/?a=b"] {
            let why = Endpoint::parse(text).unwrap_err();
            assert!(!why.contains("geheim"), "{why}");
        }
    }

    #[test]
    fn this_machine_is_known_by_each_of_its_names() {
        for (text, is_local) in [
            ("http://localhost:9200", true),
            ("https://LocalHost", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:9200/es", true),
            ("http://127.0.0.1.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().is_local, is_local, "{text}");
        }
    }

    #[test]
    fn what_tls_ends_with_says_who_has_to_do_something() {
        use rustls::{AlertDescription, CertificateError};
        let io = |error: rustls::Error| Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
        for alert in [
            AlertDescription::CertificateRequired,
            AlertDescription::BadCertificate,
            AlertDescription::NoCertificate,
            AlertDescription::UnknownCA,
            AlertDescription::HandshakeFailure,
        ] {
            let fault = fault_of(&io(rustls::Error::AlertReceived(alert)));
            assert_eq!(fault.kind, FaultKind::Refused, "{alert:?}");
            assert!(fault.to_string().contains(&format!("{alert:?}; it may want a certificate")), "{fault}");
        }
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (error, expected) in [
            (unknown, FaultKind::Untrusted),
            (rustls::Error::AlertReceived(AlertDescription::InternalError), FaultKind::Broken),
            (rustls::Error::DecryptError, FaultKind::Broken),
        ] {
            assert_eq!(fault_of(&io(error)).kind, expected);
        }
    }

    #[test]
    fn a_status_says_who_has_to_do_something() {
        for (status, expected) in [
            (302, FaultKind::Refused),
            (400, FaultKind::Refused),
            (401, FaultKind::Refused),
            (404, FaultKind::Refused),
            (429, FaultKind::Busy),
            (500, FaultKind::Broken),
            (503, FaultKind::Busy),
            (100, FaultKind::Broken),
        ] {
            let reply =
                Reply { status, retry_after: None, body: b"why\nnot".to_vec(), credentials: Credentials::default() };
            let fault = reply.fault();
            assert_eq!(fault.kind, expected, "{status}");
            assert!(fault.to_string().contains(": why not"), "{fault}");
        }
    }
}
