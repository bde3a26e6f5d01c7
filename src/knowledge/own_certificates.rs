//! The user's own certificates and where they belong, `sha256,ranges`.

use std::collections::HashMap;
use std::path::Path;

use super::feeds::{FeedReport, read_own_list};
use crate::model::{Address, Certificate, Networks, Sha256Digest};

/// Own certificates by their SHA-256 or that of their key, and the ranges in which they belong.
#[derive(Debug, Default)]
pub struct OwnCertificates {
    rows: HashMap<Sha256Digest, Vec<OwnRow>>,
}

/// One row.
#[derive(Debug)]
struct OwnRow {
    ranges: Networks,
    text: Box<str>,
    line: u32,
}

/// A row whose certificate was met outside its ranges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outside<'a> {
    /// What was compared: `sha256` or `spki_sha256`.
    pub field: &'static str,
    /// The hash.
    pub digest: Sha256Digest,
    /// The ranges, as the user wrote them.
    pub ranges: &'a str,
    /// The line.
    pub line: u32,
}

/// Certificates that are kept; further rows are bad ones.
const MAX_ROWS: usize = 100_000;
/// Largest file that is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

impl OwnCertificates {
    /// Reads a list.
    pub fn load(path: &Path) -> (Self, FeedReport) {
        let mut list = Self::default();
        let mut kept = 0;
        let form = "sha256,ranges";
        let is_header = |first: &str| first.len() < 64 && !first.is_empty();
        let report = read_own_list(path, "own certificates", form, MAX_BYTES, is_header, |line, columns| {
            if kept == MAX_ROWS {
                return Err("more rows than are kept");
            }
            list.take(line, columns)?;
            kept += 1;
            Ok(())
        });
        (list, report)
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row that lists the certificate, or its key, where the server is in none of the ranges of such rows.
    pub fn outside(&self, certificate: &Certificate, server: Address) -> Option<Outside<'_>> {
        let hashes = [("sha256", certificate.sha256), ("spki_sha256", certificate.spki_sha256)];
        let listed = hashes.into_iter().filter_map(|(field, digest)| {
            let digest = digest?;
            Some((field, digest, self.rows.get(&digest)?))
        });
        let mut first = None;
        for (field, digest, rows) in listed {
            if rows.iter().any(|row| row.ranges.contains(server)) {
                return None;
            }
            let found = rows.first().map(|row| Outside { field, digest, ranges: &row.text, line: row.line });
            first = first.or(found);
        }
        first
    }

    fn take(&mut self, line: u32, columns: &[&str]) -> Result<(), &'static str> {
        let column = |at: usize| columns.get(at).copied().unwrap_or_default();
        let digest = Sha256Digest::parse(column(0)).ok_or("the first column is no SHA-256")?;
        let ranges: Vec<&str> = column(1).split([' ', ';', '\t']).filter(|range| !range.is_empty()).collect();
        if ranges.is_empty() {
            return Err("there are no ranges in which the certificate belongs");
        }
        let text = ranges.join(" ").into();
        let ranges = Networks::parse(&ranges).map_err(|_| "a range is no address or network")?;
        self.rows.entry(digest).or_default().push(OwnRow { ranges, text, line });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CertificateSource;

    #[test]
    fn a_certificate_or_its_key_is_outside_where_no_row_lets_it_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.csv");
        let (own, key) = ("ab".repeat(32), "cd".repeat(32));
        let text = format!("sha256,ranges\n{own},10.0.0.0/8;192.0.2.1\n{key}, 2001:db8::/32 \n{own},\nzz,10.0.0.0/8\n");
        std::fs::write(&path, text).unwrap();
        let (list, report) = OwnCertificates::load(&path);
        let bad: Vec<_> = report.first_bad.iter().map(|bad| bad.row).collect();
        assert_eq!((report.context, bad), (2, vec![4, 5]));
        let certificate = |sha256: &str, spki: &str| Certificate {
            sha256: Sha256Digest::parse(sha256),
            spki_sha256: Sha256Digest::parse(spki),
            ..Certificate::unknown(CertificateSource::Der)
        };
        let line = |certificate: &Certificate, server: &str| {
            list.outside(certificate, Address::parse(server).unwrap()).map(|row| (row.field, row.line))
        };
        assert_eq!(line(&certificate(&own, ""), "10.1.2.3"), None);
        assert_eq!(line(&certificate(&own, ""), "192.0.2.1"), None);
        assert_eq!(line(&certificate(&own, ""), "192.0.2.2"), Some(("sha256", 2)));
        assert_eq!(line(&certificate("", &key), "192.0.2.2"), Some(("spki_sha256", 3)));
        assert_eq!(line(&certificate(&own, &key), "2001:db8::1"), None);
        assert_eq!(line(&certificate("", ""), "192.0.2.2"), None);
    }
}
