//! Asks a certsift that runs what it says of itself.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// One number of an exposition.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its labels, in their order.
    pub labels: Vec<(String, String)>,
    /// What it says.
    pub value: f64,
}

/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;
/// It answers at once, or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for a path; gives the status and the body.
///
/// # Errors
/// Nobody answers, or not as certsift does.
pub fn ask(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, body.to_owned()))
    });
    parts.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not one of certsift's"))
}

/// Who listens everywhere is reached here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The samples of an exposition; what is none is left out.
pub fn samples(exposition: &str) -> Vec<Sample> {
    exposition.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    while let Some(inside) = rest.strip_prefix(['{', ',']) {
        let (label, value) = inside.split_once("=\"")?;
        let (value, after) = unescaped(value)?;
        labels.push((label.to_owned(), value));
        rest = after;
    }
    let value = rest.trim_start_matches('}').trim().parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The value of a label up to its closing quote, and what comes behind that.
fn unescaped(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((value, characters.as_str())),
            '\\' => match characters.next()? {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{InputNumbers, Metrics, Reading};

    #[test]
    fn what_is_exposed_is_read_back() {
        let metrics = Metrics::default();
        let mut reading = Reading::default();
        let input = "a\"b\\c,d}=\" e\nf".to_owned();
        reading.set_inputs([InputNumbers { input: input.clone(), lag_bytes: 7, newest: None }]);
        metrics.set_reading(reading, None);
        let samples = samples(&metrics.exposition());
        let found = samples.iter().find(|sample| sample.name == "certsift_input_lag_bytes").unwrap();
        assert_eq!((found.labels.as_slice(), found.value), ([("input".to_owned(), input)].as_slice(), 7.0));
        assert!(samples.iter().any(|sample| sample.labels.contains(&("le".to_owned(), "+Inf".to_owned()))));
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        for line in ["", "x", "x{", "x{a=\"", "x{a=\"\\", "x y", "{} "] {
            assert_eq!(samples(line), [], "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered_can_be_read(text in "[ -~\n\\\\\"{}=,0-9a-c]{0,80}") {
            for sample in samples(&text) {
                proptest::prop_assert!(text.contains(&sample.name));
            }
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (listens, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")] {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
