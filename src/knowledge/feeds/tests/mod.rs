//! Feeds as their publishers write them, whole: what is used, what only explains, and what is left out.

mod columns;
mod damage;
mod formats;

use std::io::Write as _;

use super::*;
use crate::model::{Address, Certificate, CertificateSource, DistinguishedName, Serial, Sha1Digest, Sha256Digest};

const SHA1: &str = "6ece5ece4192683d2d84e25b0ba7e04f9cb7eb7c";
const SHA256: &str = "87f2085c32b6a2cc709b365f55873e207a9caa10bffecf2fd16d3cf9d94d390c";

fn now() -> EventTime {
    EventTime::parse_iso8601("2026-11-24T00:00:00Z").unwrap()
}

fn load(files: &[(&str, &[u8])]) -> (Feeds, Vec<FeedReport>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (path, (_, bytes)) in paths.iter().zip(files) {
        std::fs::write(path, bytes).unwrap();
    }
    Feeds::load(&paths, now())
}

fn one(name: &str, text: &str) -> (Feeds, FeedReport) {
    let (feeds, mut reports) = load(&[(name, text.as_bytes())]);
    (feeds, reports.pop().unwrap())
}

/// Used, context, unsupported, expired and bad.
fn counts(report: &FeedReport) -> (u64, u64, u64, u64, u64) {
    (report.used_total(), report.context, report.unsupported, report.expired, report.bad)
}

fn certificate(change: impl FnOnce(&mut Certificate)) -> Certificate {
    let mut certificate = Certificate::unknown(CertificateSource::LogStrings);
    change(&mut certificate);
    certificate
}

fn by_sha1(text: &str) -> Certificate {
    certificate(|certificate| certificate.sha1 = Sha1Digest::parse(text))
}

fn colons(digits: &str) -> String {
    let pairs: Vec<_> = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    pairs.join(":")
}

fn by_serial(serial: &str, issuer: &str) -> Certificate {
    certificate(|certificate| {
        certificate.serial = Serial::parse_octets(serial);
        certificate.issuer = Some(DistinguishedName::from_suricata(issuer));
    })
}

fn session(feeds: &Feeds, name: &str, server: &str) -> Vec<FeedMatch> {
    let name = Some(name).filter(|name| !name.is_empty());
    let names = SessionNames { name, may_be_listed: true, server: Address::parse(server), certificate: None };
    let found = feeds.of_session(&names);
    let may_be_listed = name.is_some_and(|name| feeds.list_name(name));
    assert_eq!(
        feeds.of_session(&SessionNames { may_be_listed, ..names }),
        found,
        "of no name that is listed none is said"
    );
    found
}

fn kinds(matches: &[FeedMatch]) -> Vec<(MatchKind, Standing)> {
    matches.iter().map(|found| (found.kind, found.standing)).collect()
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const BAD_ONE: (MatchKind, Standing) = (MatchKind::Domain, Standing::Malicious);

/// Which of some names and addresses a feed accuses.
fn accused<'a>(feeds: &Feeds, asked: &[&'a str]) -> Vec<&'a str> {
    let is_accused = |text: &&&str| match Address::parse(text) {
        Some(_) => !session(feeds, "", text).is_empty(),
        None => !session(feeds, text, "").is_empty(),
    };
    asked.iter().filter(is_accused).copied().collect()
}

/// The columns that a report says are not used, and whether they are said to be of something else by their names.
fn unused(report: &FeedReport) -> Vec<(usize, bool)> {
    report.unused_columns.iter().map(|column| (column.number, column.is_meant)).collect()
}

const ASKED: [&str; 6] = ["evil.example", "worse.example", "good.example", "fine.example", "192.0.2.1", "198.51.100.7"];
