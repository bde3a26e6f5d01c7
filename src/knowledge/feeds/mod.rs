//! In: files with indicators that somebody else published: hashes of certificates, serial numbers, names, addresses.
//! Out: which rows of which feed a certificate or a session meets. Promise: loading is a function of the files alone, a
//! bad row costs itself only, a bad file costs that file only, and looking up never depends on the number of rows.
//!
//! A feed's format is found from its content. Each format is one file here and one entry in `format::LINES` or
//! `format::DOCUMENTS`:
//!
//! | file | what it reads |
//! |---|---|
//! | `sslbl` | abuse.ch SSLBL certificates, in any order of columns, with or without a header |
//! | `sslbl_ja3` | abuse.ch SSLBL JA3 fingerprints, which only explain |
//! | `sslbl_ip` | abuse.ch SSLBL addresses with their port |
//! | `zeek_intel` | files of Zeek's intelligence framework |
//! | `suricata_rules` | rules with keywords on certificates and server names |
//! | `suricata_dataset`, `suricata_dataset_json` | datasets and dataset reputation: base64, hexadecimal, addresses, JSON |
//! | `misp`, `misp_csv` | MISP events, feeds and exports of attributes |
//! | `misp_warninglist` | MISP warning lists: what is popular or of a kind, and said beside a hit only |
//! | `stix` | STIX 2.1 bundles, and objects without one |
//! | `threatfox`, `urlhaus` | abuse.ch ThreatFox and URLhaus |
//! | `table` | any CSV whose header names its columns, C2IntelFeeds among them; `choice` says which columns are used |
//! | `bare_table` | CSV without a header, whose columns are told by what stands in them |
//! | `popularity` | lists of popular names with their rank, such as Tranco |
//! | `plain` | one hash, name, address or network on a line, in the spellings of blocklists |
//!
//! Rows are kept as hashed keys of 16 to 40 bytes in sorted vectors, and what many rows share (feed, label, dates) once
//! for each run of rows that share it. What is shown as a row's indicator is therefore in certsift's spelling: hashes in
//! lower case without colons, names in lower case; texts that cannot be made again from a hit (serial numbers,
//! distinguished names) are kept as they were written.

mod address;
mod allow;
mod bare_table;
mod choice;
mod columns;
mod document;
mod filter;
mod format;
mod in_force;
mod index;
mod indicator;
mod load;
mod lookup;
mod misp;
mod misp_csv;
mod misp_warninglist;
mod names;
mod opened;
mod own_list;
mod plain;
mod popularity;
mod report;
mod rows;
mod sslbl;
mod sslbl_ip;
mod sslbl_ja3;
mod stix;
mod stix_pattern;
mod suricata_dataset;
mod suricata_dataset_json;
mod suricata_rules;
mod table;
#[cfg(test)]
mod tests;
mod threatfox;
mod urlhaus;
mod when;
mod written_name;
mod zeek_intel;

use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::EventTime;
pub use allow::{AllowEntry, AllowKind, AllowList};
pub(super) use document::{for_each, text_of};
pub use load::{ReadFeed, Recognised};
pub use lookup::SessionNames;
pub(super) use opened::FeedFile;
pub(crate) use opened::{UTF16, is_utf16};
pub(super) use own_list::read_own_list;
pub use report::{BadFeedRow, FeedReport, Kept, UnsupportedRow, UnusedColumn};

/// The rows of all feeds, indexed.
#[derive(Default)]
pub struct Feeds {
    files: Vec<Origin>,
    texts: Vec<Arc<str>>,
    notes: Vec<rows::Note>,
    names: index::Table<u64>,
    /// One table for each of `rows::KEYS`.
    certificates: [index::Table<u128>; rows::KEYS],
    networks: address::NetworkTable,
    rules: suricata_rules::RuleSet,
    patterns: Vec<rows::Pattern>,
}

/// Where rows came from.
struct Origin {
    path: PathBuf,
    name: Arc<str>,
}

/// A row of a feed that a certificate or a session meets.
#[derive(Clone, PartialEq, Debug)]
pub struct FeedMatch {
    /// The feed: the file's name without its extension.
    pub feed: Arc<str>,
    /// The row: its line, or in a document its number among the entries, counted from 1.
    pub row: u32,
    /// What the feed calls it.
    pub label: Option<Arc<str>>,
    /// What the row lists.
    pub indicator: Box<str>,
    /// What was compared.
    pub kind: MatchKind,
    /// Whether it accuses.
    pub standing: Standing,
    /// When it was listed.
    pub listed: Option<EventTime>,
    /// From when it no longer holds.
    pub expires: Option<EventTime>,
    /// The server's port that the row asks for.
    pub port: Option<u16>,
    /// How sure the feed is, in percent.
    pub confidence: Option<u8>,
    /// The field that shows it.
    pub field: &'static str,
    /// What stands there.
    pub observed: Box<str>,
}

/// What of a certificate or a session was compared with a row; the most telling first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// SHA-256 of the certificate.
    Sha256,
    /// SHA-1 of the certificate.
    Sha1,
    /// SHA-256 of the key.
    SpkiSha256,
    /// Serial number and issuer together.
    SerialIssuer,
    /// Serial number alone.
    Serial,
    /// A name that is listed itself, or with everything below it.
    Domain,
    /// Conditions of a rule.
    Rule,
    /// The whole subject.
    Subject,
    /// A name below one that is listed.
    ParentDomain,
    /// The server's address.
    Address,
    /// A network that holds the server's address.
    Network,
    /// The whole issuer.
    Issuer,
    /// What the client offers.
    Ja3,
}

/// What a row is meant to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It accuses.
    Malicious,
    /// Its feed does not mean it for detection (MISP `to_ids`), or a rule is of an informative class.
    Informative,
    /// A host that somebody else took over.
    Compromised,
    /// Its feed is less than half sure of it.
    Doubtful,
    /// A serial number without its issuer: other issuers use the same.
    SerialAlone,
    /// It is popular, so that many share its servers; said beside other rows only.
    WellKnown,
    /// It is of a kind, such as names of dynamic DNS, which neither accuses nor excuses; said beside other rows only.
    Category,
}

/// By which fields feeds list certificates. Sensors often log only some of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ListedFields {
    /// There are rows with the SHA-1.
    pub sha1: bool,
    /// There are rows with the SHA-256.
    pub sha256: bool,
    /// There are rows with the SHA-256 of the key.
    pub spki: bool,
    /// There are rows with a serial number and the issuer that gave it.
    pub serial_issuer: bool,
}

impl Standing {
    /// Whether it is only said beside rows that say more.
    pub fn is_remark(self) -> bool {
        matches!(self, Self::WellKnown | Self::Category)
    }
}

impl MatchKind {
    /// What it is, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha1 => "SHA-1",
            Self::SpkiSha256 => "SHA-256 of keys",
            Self::SerialIssuer => "serial and issuer",
            Self::Serial => "serials alone",
            Self::Domain => "domains",
            Self::Rule => "rules",
            Self::Subject => "subjects",
            Self::ParentDomain => "parent domains",
            Self::Address => "addresses",
            Self::Network => "networks",
            Self::Issuer => "issuers",
            Self::Ja3 => "JA3",
        }
    }
}

impl Feeds {
    /// The name of the format in which a date beside an indicator is taken for the day of its listing.
    pub const CSV_WITHOUT_HEADER: &str = bare_table::NAME;

    /// Reads feeds; what is wrong with them is in the reports, one for each path and in their order.
    ///
    /// `now` only decides which rows the reports count as expired: rows are kept whatever it is, so that a replay of old
    /// records finds what held then.
    pub fn load(paths: &[PathBuf], now: EventTime) -> (Self, Vec<FeedReport>) {
        load::assemble(load::read_all(paths, now))
    }

    /// Reads files by themselves, in their order; [`Feeds::of`] makes feeds of them.
    pub fn read(paths: &[PathBuf], now: EventTime) -> Vec<ReadFeed> {
        load::read_all(paths, now)
    }

    /// Makes feeds of files that were read, or whose rows were in force before.
    pub fn of(read: Vec<ReadFeed>) -> (Self, Vec<FeedReport>) {
        load::assemble(read)
    }

    /// The rows that are in force of a file, as it was when `report` was made; `None` where it is not among the feeds.
    pub fn in_force(&self, report: &FeedReport) -> Option<ReadFeed> {
        in_force::rows_of(self, &report.path).map(|rows| ReadFeed { rows, report: report.clone() })
    }

    /// Whether both were made of the same files.
    pub fn are_of_the_same_files(&self, other: &Self) -> bool {
        self.files.iter().map(|file| &file.path).eq(other.files.iter().map(|file| &file.path))
    }

    /// What the head of a file, decompressed, looks like.
    pub fn recognise(head: &[u8]) -> Recognised {
        load::recognise(head)
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.rules.is_empty()
    }

    /// By which fields certificates are listed.
    pub fn listed_fields(&self) -> ListedFields {
        let is_listed = |kind: usize| self.certificates.get(kind).is_some_and(|table| !table.is_empty());
        ListedFields {
            sha1: is_listed(rows::SHA1) || self.rules.asks_for_sha1(),
            sha256: is_listed(rows::SHA256),
            spki: is_listed(rows::SPKI),
            serial_issuer: is_listed(rows::SERIAL_ISSUER),
        }
    }

    /// Whether something is listed that only a certificate can show.
    pub fn ask_for_certificates(&self) -> bool {
        self.certificates[..rows::JA3].iter().any(|table| !table.is_empty()) || !self.rules.is_empty()
    }

    /// Whether JA3 fingerprints of clients are listed.
    pub fn list_fingerprints(&self) -> bool {
        !self.certificates[rows::JA3].is_empty()
    }
}

impl MatchKind {
    /// The kind in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha1 => "SHA-1",
            Self::SpkiSha256 => "key",
            Self::SerialIssuer => "serial and issuer",
            Self::Serial => "serial",
            Self::Domain => "name",
            Self::Rule => "rule",
            Self::Subject => "subject",
            Self::ParentDomain => "domain above the name",
            Self::Address => "server address",
            Self::Network => "network of the server",
            Self::Issuer => "issuer",
            Self::Ja3 => "JA3",
        }
    }
}

impl FeedMatch {
    /// Whether the row holds at a time; without a time, whether it always holds. A row also holds before it was listed:
    /// who replays old logs asks what is known of them today.
    pub fn holds_at(&self, at: Option<EventTime>) -> bool {
        match at {
            Some(at) => self.expires.is_none_or(|expires| at < expires),
            None => self.expires.is_none(),
        }
    }
}
