//! A sensor that writes numbered sessions: a Zeek, with their certificates before them, or a Suricata.
//!
//! The numbers are chosen so that every few sessions a new issuer, certificate, domain, server or client comes, and sets
//! of observers stay small enough to be told apart: a session that counts wrongly shows on those that follow it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::random::Random;
use super::sidecar::fingerprint;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Format {
    Tsv,
    Json,
    /// Suricata's, which has the certificate's fields in the session.
    Eve,
}

impl Format {
    /// A line from the values that TSV has.
    pub(crate) fn line(self, (_, columns): &Log, values: &[&str]) -> String {
        if self == Self::Tsv {
            return values.join("\t");
        }
        let set = columns.iter().zip(values).filter(|(_, value)| **value != "-");
        let object: Map<String, Value> =
            set.map(|((name, kind), value)| ((*name).to_owned(), json_value(kind, value))).collect();
        Value::from(object).to_string()
    }
}

/// A log by its name, and its columns by name and Zeek type.
pub(crate) type Log = (&'static str, &'static [(&'static str, &'static str)]);

pub(crate) const SSL: Log = (
    "ssl",
    &[
        ("ts", "time"),
        ("uid", "string"),
        ("id.orig_h", "addr"),
        ("id.orig_p", "port"),
        ("id.resp_h", "addr"),
        ("id.resp_p", "port"),
        ("version", "string"),
        ("server_name", "string"),
        ("resumed", "bool"),
        ("established", "bool"),
        ("cert_chain_fps", "vector[string]"),
        ("sni_matches_cert", "bool"),
    ],
);

pub(crate) const X509: Log = (
    "x509",
    &[
        ("ts", "time"),
        ("fingerprint", "string"),
        ("certificate.version", "count"),
        ("certificate.serial", "string"),
        ("certificate.subject", "string"),
        ("certificate.issuer", "string"),
        ("certificate.not_valid_before", "time"),
        ("certificate.not_valid_after", "time"),
        ("host_cert", "bool"),
        ("client_cert", "bool"),
    ],
);

/// Microseconds of event time between two sessions. No cell writes so many that their times get far apart.
const STEP: u64 = 20_000;
/// Sessions for each new certificate.
const SESSIONS: usize = 6;
/// Certificates of one issuer.
const ISSUED: usize = 5;
/// Certificates that sessions still show.
const CURRENT: usize = 12;

/// The sensor: what it has written so far, and what comes next.
pub(crate) struct Sensor {
    format: Format,
    /// Where certificates go.
    pub(crate) x509: PathBuf,
    random: Random,
    micros: u64,
    sessions: usize,
    certificates: usize,
    /// The first certificate that sessions still show.
    oldest: usize,
    /// What was written calls itself so: uids and fingerprints, or flow ids.
    pub(crate) written: Vec<String>,
}

impl Sensor {
    /// A sensor that writes its certificates to `x509`.
    pub(crate) fn new(format: Format, x509: PathBuf, seed: u64) -> Self {
        let (random, written) = (Random::from_seed(seed), Vec::new());
        Self { format, x509, random, micros: 1_760_000_000_000_000, sessions: 0, certificates: 0, oldest: 0, written }
    }

    /// The lines of the next sessions. The certificates that are new in them are in their log when this returns.
    pub(crate) fn sessions(&mut self, number: usize) -> Vec<String> {
        let known = self.certificates;
        self.certificates = (self.sessions + number).div_ceil(SESSIONS);
        if self.format != Format::Eve && known < self.certificates {
            let new: Vec<_> = (known..self.certificates).map(|certificate| self.certificate(certificate)).collect();
            self.write(&self.x509, &X509, &new, 1, |_| ());
        }
        (0..number)
            .map(|_| {
                // Only what had its turn by now.
                let known = self.sessions / SESSIONS + 1;
                let certificate = known - 1 - self.random.below(CURRENT.min(known - self.oldest));
                self.session(certificate)
            })
            .collect()
    }

    /// Lets event time go by, and certificates be renewed.
    pub(crate) fn rest(&mut self, minutes: u64) {
        self.micros += minutes * 60_000_000;
        self.oldest = self.certificates;
    }

    /// A session that shows a certificate from before a rest.
    pub(crate) fn session_from_before(&mut self) -> String {
        self.session(0)
    }

    /// One session more for each issuer: they state what the history is in the end.
    pub(crate) fn probes(&mut self) -> Vec<String> {
        let last: BTreeMap<_, _> =
            (self.oldest..self.certificates).map(|certificate| (certificate / ISSUED, certificate)).collect();
        last.into_values().map(|certificate| self.session(certificate)).collect()
    }

    /// Appends lines to an ssl log, in pieces that end where they end, within lines as well; calls `after` with the number
    /// of each piece.
    pub(crate) fn append(&self, log: &Path, lines: &[String], pieces: usize, after: impl FnMut(usize)) {
        self.write(log, &SSL, lines, pieces, after);
    }

    /// What Zeek writes last when it closes a log itself.
    pub(crate) fn close(&self, log: &Path) {
        if self.format == Format::Tsv {
            append_bytes(log, b"#close\t2025-10-09-09-00-00\n");
        }
    }

    fn write(&self, log: &Path, columns: &Log, lines: &[String], pieces: usize, mut after: impl FnMut(usize)) {
        let mut text = String::new();
        if self.format == Format::Tsv && log.metadata().map_or(0, |metadata| metadata.len()) == 0 {
            text.push_str(&header(columns));
        }
        lines.iter().for_each(|line| text.extend([line, "\n"]));
        for (number, piece) in text.as_bytes().chunks(text.len().div_ceil(pieces).max(1)).enumerate() {
            append_bytes(log, piece);
            after(number);
        }
    }

    fn session(&mut self, certificate: usize) -> String {
        self.sessions += 1;
        self.micros += STEP;
        // One household of an IPv6 network is one client.
        let client = match (self.random.below(20), self.random.one_in(9)) {
            (client, true) => format!("2001:db8:0:{client:x}::{:x}", self.sessions),
            (client, false) => format!("10.0.0.{}", client + 1),
        };
        let resumed = self.random.one_in(11);
        let name =
            if self.format == Format::Eve { self.sessions.to_string() } else { format!("C{:07}", self.sessions) };
        self.written.push(name.clone());
        if self.format == Format::Eve {
            return self.event(certificate, &client, resumed);
        }
        self.format.line(
            &SSL,
            &[
                &self.time(),
                &name,
                &client,
                "50000",
                &server(certificate),
                "443",
                "TLSv12",
                &host(certificate),
                if resumed { "T" } else { "F" },
                "T",
                &if resumed { "(empty)".to_owned() } else { fingerprint(certificate as u32) },
                if resumed { "-" } else { "T" },
            ],
        )
    }

    fn event(&self, certificate: usize, client: &str, resumed: bool) -> String {
        let time = jiff::Timestamp::from_microsecond(self.micros as i64).unwrap();
        let host = host(certificate);
        let tls = if resumed {
            json!({"sni": host, "version": "TLS 1.2", "session_resumed": true})
        } else {
            json!({
                "subject": subject(certificate), "issuerdn": issuer(certificate), "serial": format!("0{certificate:X}"),
                "fingerprint": vec![format!("{certificate:02x}"); 20].join(":"), "sni": host, "version": "TLS 1.2",
                "notbefore": "2023-11-14T22:13:20", "notafter": "2027-01-15T08:00:00",
            })
        };
        let event = json!({
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string(), "flow_id": self.sessions,
            "event_type": "tls", "src_ip": client, "src_port": 50000, "dest_ip": server(certificate), "dest_port": 443,
            "tls": tls,
        });
        event.to_string()
    }

    fn certificate(&mut self, number: usize) -> String {
        let fingerprint = fingerprint(number as u32);
        self.written.push(fingerprint.clone());
        let (from, until, serial) = ("1700000000.000000", "1800000000.000000", format!("0{number:X}"));
        let (subject, issuer) = (subject(number), issuer(number));
        self.format.line(&X509, &[&self.time(), &fingerprint, "3", &serial, &subject, &issuer, from, until, "T", "F"])
    }

    fn time(&self) -> String {
        seconds(self.micros)
    }
}

/// Microseconds as Zeek writes times.
pub(crate) fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub(crate) fn host(certificate: usize) -> String {
    format!("www{certificate}.site{}.example", certificate / 3)
}

pub(crate) fn server(certificate: usize) -> String {
    format!("192.0.2.{}", certificate % 250)
}

pub(crate) fn subject(certificate: usize) -> String {
    match certificate % 13 {
        // What a signature knows, so that alerts are raised and repeated.
        2 | 8 => "CN=AsyncRAT Server".to_owned(),
        _ => format!("CN={}", host(certificate)),
    }
}

pub(crate) fn issuer(certificate: usize) -> String {
    match certificate % 13 {
        // Its own issuer.
        7 => subject(certificate),
        _ => format!("CN=Some CA {0},O=Some CA {0}", certificate / ISSUED),
    }
}

fn json_value(kind: &str, value: &str) -> Value {
    match kind {
        "time" => value.parse::<f64>().unwrap().into(),
        "port" | "count" => value.parse::<u64>().unwrap().into(),
        "bool" => (value == "T").into(),
        "vector[string]" if value == "(empty)" => Vec::<String>::new().into(),
        "vector[string]" => value.split(',').collect::<Vec<_>>().into(),
        _ => value.into(),
    }
}

/// What a TSV log begins with.
pub(crate) fn header((path, columns): &Log) -> String {
    let row =
        |of: fn(&(&'static str, &'static str)) -> &'static str| columns.iter().map(of).collect::<Vec<_>>().join("\t");
    let (fields, types) = (row(|column| column.0), row(|column| column.1));
    format!(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t{path}\n\
         #open\t2025-10-09-08-53-20\n#fields\t{fields}\n#types\t{types}\n"
    )
}

fn append_bytes(log: &Path, bytes: &[u8]) {
    OpenOptions::new().create(true).append(true).open(log).unwrap().write_all(bytes).unwrap();
}
