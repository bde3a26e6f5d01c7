//! A Zeek that writes numbered sessions, and their certificates before them, as TSV or as JSON.
//!
//! The numbers are chosen so that every few sessions a new issuer, certificate, domain, server or client comes, and sets
//! of observers stay small enough to be told apart: a session that counts wrongly shows on those that follow it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::random::Random;
use super::sidecar::fingerprint;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Format {
    Tsv,
    Json,
}

/// A log by its name, and its columns by name and Zeek type.
type Log = (&'static str, &'static [(&'static str, &'static str)]);

const SSL: Log = (
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

const X509: Log = (
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
    x509: PathBuf,
    random: Random,
    micros: u64,
    sessions: usize,
    certificates: usize,
    /// What was written calls itself so: uids and fingerprints.
    pub(crate) written: Vec<String>,
}

impl Sensor {
    /// A sensor that writes its certificates to `x509`.
    pub(crate) fn new(format: Format, x509: PathBuf, seed: u64) -> Self {
        let (random, written) = (Random::from_seed(seed), Vec::new());
        Self { format, x509, random, micros: 1_760_000_000_000_000, sessions: 0, certificates: 0, written }
    }

    /// The lines of the next sessions. The certificates that are new in them are in their log when this returns.
    pub(crate) fn sessions(&mut self, number: usize) -> Vec<String> {
        let known = self.certificates;
        self.certificates = (self.sessions + number).div_ceil(SESSIONS);
        let new: Vec<_> = (known..self.certificates).map(|certificate| self.certificate(certificate)).collect();
        if !new.is_empty() {
            self.write(&self.x509, &X509, &new, 1, |_| ());
        }
        (0..number)
            .map(|_| {
                // Only what had its turn by now.
                let known = self.sessions / SESSIONS + 1;
                let certificate = known - 1 - self.random.below(known.min(CURRENT));
                self.session(certificate)
            })
            .collect()
    }

    /// One session more for each issuer: they state what the history is in the end.
    pub(crate) fn probes(&mut self) -> Vec<String> {
        let last: BTreeMap<_, _> =
            (0..self.certificates).map(|certificate| (certificate / ISSUED, certificate)).collect();
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
        let uid = format!("C{:07}", self.sessions);
        self.written.push(uid.clone());
        // One household of an IPv6 network is one client.
        let client = match (self.random.below(20), self.random.one_in(9)) {
            (client, true) => format!("2001:db8:0:{client:x}::{:x}", self.sessions),
            (client, false) => format!("10.0.0.{}", client + 1),
        };
        let resumed = self.random.one_in(11);
        self.line(
            &SSL,
            &[
                &self.time(),
                &uid,
                &client,
                "50000",
                &format!("192.0.2.{}", certificate % 250),
                "443",
                "TLSv12",
                &format!("www{certificate}.{}", domain(certificate)),
                if resumed { "T" } else { "F" },
                "T",
                &if resumed { "(empty)".to_owned() } else { fingerprint(certificate as u32) },
                if resumed { "-" } else { "T" },
            ],
        )
    }

    fn certificate(&mut self, number: usize) -> String {
        let fingerprint = fingerprint(number as u32);
        self.written.push(fingerprint.clone());
        let subject = format!("CN=www{number}.{}", domain(number));
        let issuer = match number % 13 {
            // Its own issuer.
            7 => subject.clone(),
            _ => format!("CN=Some CA {0},O=Some CA {0}", number / ISSUED),
        };
        let serial = format!("0{number:X}");
        let (from, until) = ("1700000000.000000", "1800000000.000000");
        self.line(&X509, &[&self.time(), &fingerprint, "3", &serial, &subject, &issuer, from, until, "T", "F"])
    }

    fn time(&self) -> String {
        format!("{}.{:06}", self.micros / 1_000_000, self.micros % 1_000_000)
    }

    /// A line from the values that TSV has.
    fn line(&self, (_, columns): &Log, values: &[&str]) -> String {
        match self.format {
            Format::Tsv => values.join("\t"),
            Format::Json => {
                let set = columns.iter().zip(values).filter(|(_, value)| **value != "-");
                let object: Map<String, Value> =
                    set.map(|((name, kind), value)| ((*name).to_owned(), json_value(kind, value))).collect();
                Value::from(object).to_string()
            }
        }
    }
}

fn domain(certificate: usize) -> String {
    format!("site{}.example", certificate / 3)
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

fn header((path, columns): &Log) -> String {
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
