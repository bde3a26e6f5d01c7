//! In: what Certificate Transparency logs hold (RFC 6962), as monitors write it: CertStream, crt.sh. Out: when a
//! certificate, and a certificate for a name, was first logged, and how many certificates a domain got lately. Promise:
//! only what was logged before the time that is asked for counts; a bad entry costs itself only.
//!
//! The hashes of an entry are as a rule those of a precertificate, which is never served: certificates are joined by
//! issuer and serial number, names by themselves. What is first here is what is first in the files that were read.

mod read;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::registrations::ListReport;
use crate::model::{Certificate, DAY_NANOS, DistinguishedName, EventTime, Id128, Serial};

/// Entries of logs, in memory: 24 bytes for each certificate, name and certificate of a domain.
#[derive(Default, Debug)]
pub struct Transparency {
    /// By issuer and serial number, when it was logged first; sorted, each once.
    certificates: Vec<(Id128, EventTime)>,
    /// By name, `*.` included, likewise.
    names: Vec<(Id128, EventTime)>,
    /// By registrable domain, when each certificate for it was logged first; sorted.
    domains: Vec<(Id128, EventTime)>,
}

/// Days before the record's time that count as lately.
pub const LATELY_DAYS: i64 = 30;
/// Certificates, names, and certificates of domains that are kept, each: later entries count as bad.
const MAX_ENTRIES: usize = 10_000_000;

impl Transparency {
    /// Reads files; what is wrong with them is in the reports, one per path and in their order.
    pub fn load(paths: &[PathBuf]) -> (Self, Vec<ListReport>) {
        read::load(paths)
    }

    /// Whether the head of a file, decompressed, is that of a monitor's.
    pub fn recognise(head: &[u8]) -> bool {
        read::recognise(head)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.names.is_empty()
    }

    /// When a certificate was logged first, if before a time.
    pub fn certificate_logged(&self, certificate: &Certificate, at: EventTime) -> Option<EventTime> {
        if self.certificates.is_empty() {
            return None;
        }
        let key = certificate_key(certificate.issuer.as_ref()?, certificate.serial.as_ref()?);
        first(&self.certificates, key).filter(|logged| *logged <= at)
    }

    /// When a certificate for a name, by the name itself or by a wildcard above it, was logged first, if before a time.
    pub fn name_logged(&self, name: &str, at: EventTime) -> Option<EventTime> {
        if self.names.is_empty() {
            return None;
        }
        let lower = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let wildcard = lower.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let own = first(&self.names, Id128::of(lower.as_bytes()));
        let above = wildcard.and_then(|name| first(&self.names, Id128::of(name.as_bytes())));
        own.into_iter().chain(above).min().filter(|logged| *logged <= at)
    }

    /// How many certificates for a registrable domain and what lies below it were logged in the [`LATELY_DAYS`] before a
    /// time.
    pub fn certificates_lately(&self, domain: Id128, at: EventTime) -> u64 {
        let up_to = |time: EventTime| self.domains.partition_point(|entry| *entry <= (domain, time));
        up_to(at).saturating_sub(up_to(at.plus(-LATELY_DAYS * DAY_NANOS))) as u64
    }
}

fn first(entries: &[(Id128, EventTime)], key: Id128) -> Option<EventTime> {
    let at = entries.partition_point(|(known, _)| *known < key);
    entries.get(at).filter(|(known, _)| *known == key).map(|(_, time)| *time)
}

/// What a certificate and its precertificate have in common (RFC 6962 §3.1).
fn certificate_key(issuer: &DistinguishedName, serial: &Serial) -> Id128 {
    Id128::of_parts(&[&issuer.key().0, serial.to_string().as_bytes()])
}
