//! What formats hand over: rows, and rows that could not be used. Collected for a piece of a file, then joined.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::address::Network;
use super::index::Entry;
use super::report::Tally;
use super::suricata_rules::{Revision, Rule};
use super::{MatchKind, Standing};
use crate::model::{DistinguishedName, EventTime, Id128, Ja3, Serial, Sha1Digest, Sha256Digest};

/// Kinds of keys by which certificates and clients are found, and their places in [`Rows::certificates`].
pub(super) const KEYS: usize = 8;
pub(super) const SHA1: usize = 0;
pub(super) const SHA256: usize = 1;
pub(super) const SPKI: usize = 2;
pub(super) const SERIAL_ISSUER: usize = 3;
pub(super) const SERIAL: usize = 4;
pub(super) const SUBJECT: usize = 5;
pub(super) const ISSUER: usize = 6;
pub(super) const JA3: usize = 7;

/// What a row lists.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Indicator {
    /// SHA-1 of a certificate.
    Sha1(Sha1Digest),
    /// SHA-256 of a certificate.
    Sha256(Sha256Digest),
    /// SHA-256 of a key.
    Spki(Sha256Digest),
    /// A serial number and the issuer that gave it.
    SerialIssuer(Serial, DistinguishedName),
    /// A serial number.
    Serial(Serial),
    /// A whole subject.
    Subject(DistinguishedName),
    /// A whole issuer.
    Issuer(DistinguishedName),
    /// What a client offers.
    Ja3(Ja3),
    /// A name.
    Name(NameKey),
    /// A network, or an address as a network of one, and the port of the server there.
    Network(Network, Option<u16>),
}

/// A host name as a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NameKey {
    /// The first 64 bits of its [`Id128`]: among ten million rows a name that is not listed meets one by chance once in
    /// two million million times, and nobody can aim at it.
    pub(super) key: u64,
    /// Whether the row says that everything below is meant as well.
    pub(super) below: bool,
}

/// One row.
pub(super) struct Row<'a> {
    /// What it lists.
    pub(super) indicator: Indicator,
    /// What it calls it; empty for nothing.
    pub(super) label: &'a str,
    /// How it is written, where that cannot be made again from a hit; else empty.
    pub(super) written: &'a str,
    /// When it was listed.
    pub(super) listed: Option<EventTime>,
    /// From when it no longer holds.
    pub(super) expires: Option<EventTime>,
    /// How sure the feed is, in percent.
    pub(super) confidence: Option<u8>,
    /// Whether it accuses.
    pub(super) standing: Standing,
}

/// What rows share. Rows that follow each other share one note as long as nothing differs.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Note {
    /// Index of the feed.
    pub(super) feed: u32,
    /// Index of the label's text; [`NO_TEXT`] for none.
    pub(super) label: u32,
    /// Index of the written indicator; [`NO_TEXT`] for none.
    pub(super) written: u32,
    pub(super) listed: Option<EventTime>,
    pub(super) expires: Option<EventTime>,
    pub(super) confidence: Option<u8>,
    pub(super) standing: Standing,
    /// Of names: whether everything below is meant as well.
    pub(super) below: bool,
}

/// A warning list's part of a name, compared with names that were found in another feed.
#[derive(Clone)]
pub(super) struct Pattern {
    pub(super) test: PatternTest,
    pub(super) note: u32,
    pub(super) row: u32,
}

/// How a [`Pattern`] is compared.
#[derive(Clone)]
pub(super) enum PatternTest {
    /// The name contains it, lower case.
    Contains(Box<str>),
    /// The name matches it.
    Matches(Regex),
}

/// Rows of one piece of a file, of a file, or of all.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) texts: Texts,
    pub(super) notes: Vec<Note>,
    pub(super) names: Vec<Entry<u64>>,
    pub(super) certificates: [Vec<Entry<u128>>; KEYS],
    pub(super) networks: Vec<(Network, Option<u16>, Entry<()>)>,
    pub(super) rules: Vec<Rule>,
    /// Rules that are unsupported; earlier revisions of them do not hold any more.
    pub(super) unsupported_rules: Vec<Revision>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) tally: Tally,
    now: Option<EventTime>,
}

/// Texts, each kept once.
#[derive(Default)]
pub(super) struct Texts {
    pub(super) all: Vec<Arc<str>>,
    index: HashMap<Arc<str>, u32>,
}

/// Stands for no text.
pub(super) const NO_TEXT: u32 = u32::MAX;
/// Longest text that is kept, in characters.
const MAX_TEXT: usize = 256;
/// Distinct texts that are kept over all feeds; rows beyond do without.
const MAX_TEXTS: usize = 2_000_000;
/// Rows that are kept over all feeds, 16 to 40 bytes each; what would exceed it is an error of its feed.
pub(super) const MAX_ROWS: usize = 20_000_000;
/// Patterns of warning lists that are kept: each is tried on every name that another feed lists.
const MAX_PATTERNS: usize = 10_000;

impl<'a> Row<'a> {
    /// A row that accuses, and says nothing more.
    pub(super) fn of(indicator: Indicator) -> Self {
        Self {
            indicator,
            label: "",
            written: "",
            listed: None,
            expires: None,
            confidence: None,
            standing: Standing::Malicious,
        }
    }
}

impl Rows {
    /// Nothing yet; `now` decides what is counted as expired.
    pub(super) fn new(now: EventTime) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    /// Adds a row. A serial number without its issuer is context.
    pub(super) fn add(&mut self, number: u32, row: Row<'_>) {
        let standing = match (&row.indicator, row.standing) {
            (Indicator::Serial(_), Standing::Malicious) => Standing::SerialAlone,
            (_, standing) => standing,
        };
        self.add_as(number, Row { standing, ..row });
    }

    /// Adds a row as it stands.
    pub(super) fn add_as(&mut self, number: u32, row: Row<'_>) {
        let (kind, below) = match &row.indicator {
            Indicator::Sha1(_) => (MatchKind::Sha1, false),
            Indicator::Sha256(_) => (MatchKind::Sha256, false),
            Indicator::Spki(_) => (MatchKind::SpkiSha256, false),
            Indicator::SerialIssuer(..) => (MatchKind::SerialIssuer, false),
            Indicator::Serial(_) => (MatchKind::Serial, false),
            Indicator::Subject(_) => (MatchKind::Subject, false),
            Indicator::Issuer(_) => (MatchKind::Issuer, false),
            Indicator::Ja3(_) => (MatchKind::Ja3, false),
            Indicator::Name(name) => (MatchKind::Domain, name.below),
            Indicator::Network(network, _) => (network.kind(), false),
        };
        self.tally.take(kind, row.standing, row.listed, self.is_past(row.expires));
        let note = Note {
            feed: 0,
            label: self.texts.intern(row.label),
            written: self.texts.intern(row.written),
            listed: row.listed,
            expires: row.expires,
            confidence: row.confidence,
            standing: row.standing,
            below,
        };
        let note = self.note(note);
        self.place(row.indicator, note, number);
    }

    /// Adds a part of names, of which something is remarked.
    pub(super) fn add_pattern(&mut self, number: u32, test: PatternTest, label: &str, standing: Standing) {
        if self.patterns.len() >= MAX_PATTERNS {
            return self.bad(number, "more patterns than are kept");
        }
        self.tally.take(MatchKind::Domain, standing, None, false);
        let label = self.texts.intern(label);
        let note = self.note(Note {
            feed: 0,
            label,
            written: NO_TEXT,
            listed: None,
            expires: None,
            confidence: None,
            standing,
            below: false,
        });
        self.patterns.push(Pattern { test, note, row: number });
    }

    /// Adds a rule.
    pub(super) fn add_rule(&mut self, rule: Rule) {
        self.tally.take(rule.kind, rule.standing, None, false);
        self.rules.push(rule);
    }

    /// Counts a row that says something that certsift does not look at.
    pub(super) fn unsupported(&mut self, number: u32, what: &str) {
        self.tally.unsupported(number, what);
    }

    /// Counts a row that is understood and only explains: nothing is looked up for it.
    pub(super) fn context(&mut self) {
        self.tally.context += 1;
    }

    /// Counts a row that was taken back.
    pub(super) fn expired(&mut self) {
        self.tally.expired += 1;
    }

    /// Counts a row that could not be read.
    pub(super) fn bad(&mut self, number: u32, problem: &'static str) {
        self.tally.bad(number, problem);
    }

    /// Appends rows that come after these.
    pub(super) fn append(&mut self, mut other: Self) {
        let first_note = self.notes.len() as u32;
        let texts: Vec<u32> = other.texts.all.iter().map(|text| self.texts.intern(text)).collect();
        let moved = |text: u32| texts.get(text as usize).copied().unwrap_or(NO_TEXT);
        self.notes.extend(other.notes.drain(..).map(|note| Note {
            label: moved(note.label),
            written: moved(note.written),
            ..note
        }));
        fn shift<K>(entries: Vec<Entry<K>>, by: u32) -> impl Iterator<Item = Entry<K>> {
            entries.into_iter().map(move |entry| Entry { note: entry.note + by, ..entry })
        }
        self.names.extend(shift(other.names, first_note));
        for (into, from) in self.certificates.iter_mut().zip(other.certificates) {
            into.extend(shift(from, first_note));
        }
        self.networks.extend(
            other
                .networks
                .into_iter()
                .map(|(network, port, entry)| (network, port, Entry { note: entry.note + first_note, ..entry })),
        );
        self.patterns.extend(other.patterns.into_iter().map(|p| Pattern { note: p.note + first_note, ..p }));
        self.rules.append(&mut other.rules);
        self.unsupported_rules.append(&mut other.unsupported_rules);
        self.tally.add(other.tally);
    }

    /// Says of which feed all rows are.
    pub(super) fn set_feed(&mut self, feed: u32) {
        self.notes.iter_mut().for_each(|note| note.feed = feed);
        self.rules.iter_mut().for_each(|rule| rule.feed = feed);
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
            + self.certificates.iter().map(Vec::len).sum::<usize>()
            + self.networks.len()
            + self.rules.len()
            + self.patterns.len()
    }

    fn place(&mut self, indicator: Indicator, note: u32, row: u32) {
        let mut certificate = |kind: usize, key: u128| self.certificates[kind].push(Entry { key, note, row });
        match indicator {
            Indicator::Sha1(digest) => certificate(SHA1, sha1_key(&digest)),
            Indicator::Sha256(digest) => certificate(SHA256, sha256_key(&digest)),
            Indicator::Spki(digest) => certificate(SPKI, sha256_key(&digest)),
            Indicator::SerialIssuer(serial, issuer) => certificate(SERIAL_ISSUER, serial_issuer_key(&serial, &issuer)),
            Indicator::Serial(serial) => certificate(SERIAL, serial_key(&serial)),
            Indicator::Subject(name) => certificate(SUBJECT, u128::from_be_bytes(name.key().0)),
            Indicator::Issuer(name) => certificate(ISSUER, u128::from_be_bytes(name.key().0)),
            Indicator::Ja3(ja3) => certificate(JA3, ja3_key(ja3)),
            Indicator::Name(name) => self.names.push(Entry { key: name.key, note, row }),
            Indicator::Network(network, port) => self.networks.push((network, port, Entry { key: (), note, row })),
        }
    }

    fn note(&mut self, note: Note) -> u32 {
        if self.notes.last() != Some(&note) {
            self.notes.push(note);
        }
        (self.notes.len() - 1) as u32
    }

    fn is_past(&self, expires: Option<EventTime>) -> bool {
        expires.zip(self.now).is_some_and(|(expires, now)| expires <= now)
    }
}

impl Texts {
    pub(super) fn intern(&mut self, text: &str) -> u32 {
        let text = text.trim();
        if text.is_empty() {
            return NO_TEXT;
        }
        let end = text.char_indices().nth(MAX_TEXT).map_or(text.len(), |(at, _)| at);
        let text = &text[..end];
        if let Some(&index) = self.index.get(text) {
            return index;
        }
        if self.all.len() >= MAX_TEXTS {
            return NO_TEXT;
        }
        let index = self.all.len() as u32;
        let text: Arc<str> = text.into();
        self.all.push(Arc::clone(&text));
        self.index.insert(text, index);
        index
    }
}

/// The key of a certificate's SHA-1.
pub(super) fn sha1_key(digest: &Sha1Digest) -> u128 {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.0[..16]);
    u128::from_be_bytes(half)
}

/// The key of a JA3.
pub(super) fn ja3_key(ja3: Ja3) -> u128 {
    u128::from_be_bytes(ja3.0)
}

/// The key of a SHA-256.
pub(super) fn sha256_key(digest: &Sha256Digest) -> u128 {
    u128::from_be_bytes(Id128::first_half(&digest.0).0)
}

/// The key of a serial number; the sign does not matter, since feeds and old sensors leave it out.
pub(super) fn serial_key(serial: &Serial) -> u128 {
    u128::from_be_bytes(Id128::of(serial.digits().as_bytes()).0)
}

/// The key of a serial number and its issuer.
pub(super) fn serial_issuer_key(serial: &Serial, issuer: &DistinguishedName) -> u128 {
    u128::from_be_bytes(Id128::of_parts(&[serial.digits().as_bytes(), &issuer.key().0]).0)
}
