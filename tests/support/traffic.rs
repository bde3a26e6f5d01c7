//! Numbered sessions, and what became of them.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::sidecar::fingerprint;

/// What a sensor has seen so far.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Sessions so far, which are numbered from 0 on.
    pub(crate) sessions: u32,
    /// Clients so far: every write has one of its own, so that history shows which were applied.
    pub(crate) clients: u32,
}

/// The time of the first session.
pub(crate) const BEGINNING: u32 = 1_760_000_000;
/// Sessions of one second of event time.
const SESSIONS_PER_SECOND: u32 = 1000;

impl Traffic {
    /// Appends sessions of one more client to a log; all show certificate 1.
    pub(crate) fn append(&mut self, log: &Path, count: u32) {
        let mut file = BufWriter::new(OpenOptions::new().create(true).append(true).open(log).unwrap());
        for number in self.sessions..self.sessions + count {
            writeln!(file, "{}", session(number, self.clients)).unwrap();
        }
        file.flush().unwrap();
        self.sessions += count;
        self.clients += 1;
    }

    /// Fails unless every session is among the numbers once.
    pub(crate) fn assert_once(&self, mut numbers: Vec<u32>, said: &str) {
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        let missing = self.sessions as usize - numbers.len();
        assert_eq!((missing, all - numbers.len()), (0, 0), "missing and doubled of {}; {said}", self.sessions);
    }

    /// Fails unless every session is among the numbers.
    pub(crate) fn assert_at_least_once(&self, mut numbers: Vec<u32>, said: &str) {
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(self.sessions as usize - numbers.len(), 0, "missing of {}; {said}", self.sessions);
    }
}

/// The numbers of the sessions in an output.
pub(crate) fn numbers(output: &[u8]) -> Vec<u32> {
    output.split(|byte| *byte == b'\n').filter_map(number_of).collect()
}

/// The number of a whole line with a session.
pub(crate) fn number_of(line: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(line).ok()?;
    let (_, rest) = line.split_once(r#""uid":"C"#)?;
    let (number, rest) = rest.split_once('"')?;
    // Torn lines and what is glued to them do not count.
    let whole = line.starts_with("{\"ts\":") && rest.ends_with("}}") && !rest.contains("\"uid\":");
    whole.then(|| number.parse().unwrap())
}

/// Lines in a file that have an end.
pub(crate) fn lines(path: &Path) -> usize {
    let text = std::fs::read(path).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

fn session(number: u32, client: u32) -> String {
    let (seconds, thousandths) = (BEGINNING + number / SESSIONS_PER_SECOND, number % SESSIONS_PER_SECOND);
    let fingerprint = fingerprint(1);
    format!(
        r#"{{"ts":{seconds}.{thousandths:03},"uid":"C{number}","id.orig_h":"10.0.0.{client}","id.orig_p":5000,"id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv12","server_name":"host1.example","resumed":false,"established":true,"cert_chain_fps":["{fingerprint}"],"sni_matches_cert":true}}"#
    )
}
