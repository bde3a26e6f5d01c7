//! What became of a feed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{MatchKind, Standing};
use crate::model::{EventTime, Id128};

/// What became of one feed.
#[derive(Clone, Debug)]
pub struct FeedReport {
    /// The file.
    pub path: PathBuf,
    /// The feed's name.
    pub feed: String,
    /// Its format, for people; `None` when none was recognised.
    pub format: Option<&'static str>,
    /// What rows are counted by: `line`, or in a document `element`.
    pub unit: &'static str,
    /// Rows that accuse, by what they list.
    pub used: BTreeMap<MatchKind, u64>,
    /// Rows that only explain.
    pub context: u64,
    /// Rows that say something that certsift does not look at.
    pub unsupported: u64,
    /// What they say, and how many each.
    pub unsupported_by_reason: BTreeMap<String, u64>,
    /// The first of them, at most [`FeedReport::MAX_UNSUPPORTED`].
    pub first_unsupported: Vec<UnsupportedRow>,
    /// Rows that held before the feed was read and no longer do, among those above, and rows that were taken back.
    pub expired: u64,
    /// Rows that could not be read.
    pub bad: u64,
    /// The first of them, at most [`FeedReport::MAX_BAD`].
    pub first_bad: Vec<BadFeedRow>,
    /// Columns of a table that hold indicators and are not used.
    pub unused_columns: Vec<UnusedColumn>,
    /// The earliest day on which a row was listed.
    pub oldest: Option<EventTime>,
    /// The latest.
    pub newest: Option<EventTime>,
    /// When the file was changed last.
    pub modified: Option<EventTime>,
    /// How many bytes it has, decompressed.
    pub bytes: u64,
    /// Which version of the content it was: a hash of it, decompressed.
    pub version: Option<Id128>,
    /// Why the feed cannot be used; nothing of it is.
    pub error: Option<String>,
    /// That its rows are those of an earlier version of the file, on which the rest of the report is.
    pub kept: Option<Kept>,
}

/// That the rows of an earlier version of a file are in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Why the file as it is now cannot be used.
    pub why: String,
    /// Since when.
    pub since: EventTime,
}

/// A column that holds names, addresses or hashes of which it is not sure that they are what is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnusedColumn {
    /// Which one it is, counted from 1.
    pub number: usize,
    /// Its name in the header, folded.
    pub name: Option<String>,
    /// Why it is not used.
    pub why: &'static str,
    /// Whether its own name says so.
    pub is_meant: bool,
}

/// A row that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadFeedRow {
    /// Its line, or in a document its number among the entries, counted from 1.
    pub row: u32,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A row that says something that certsift does not look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsupportedRow {
    /// Its line, or in a document its number among the entries, counted from 1.
    pub row: u32,
    /// What it asks for; of a rule, its `sid` and the keyword.
    pub what: String,
}

/// What is counted while a feed is read.
#[derive(Default, Debug)]
pub(super) struct Tally {
    used: BTreeMap<MatchKind, u64>,
    pub(super) context: u64,
    unsupported: u64,
    unsupported_by_reason: BTreeMap<String, u64>,
    first_unsupported: Vec<UnsupportedRow>,
    pub(super) expired: u64,
    bad: u64,
    first_bad: Vec<BadFeedRow>,
    oldest: Option<EventTime>,
    newest: Option<EventTime>,
}

/// Different reasons that are counted apart; further ones count as `other`.
const MAX_REASONS: usize = 64;

impl FeedReport {
    /// What a file without rows is called.
    pub(super) const NOTHING: &str = "nothing but comments";
    /// How many bad rows are kept for messages.
    pub const MAX_BAD: usize = 5;
    /// How many unsupported rows are kept for messages.
    pub const MAX_UNSUPPORTED: usize = 200;

    /// A report on which nothing stands yet.
    pub(super) fn new(path: &Path, feed: &str) -> Self {
        Self {
            path: path.to_owned(),
            feed: feed.to_owned(),
            format: None,
            unit: "line",
            used: BTreeMap::new(),
            context: 0,
            unsupported: 0,
            unsupported_by_reason: BTreeMap::new(),
            first_unsupported: Vec::new(),
            expired: 0,
            bad: 0,
            first_bad: Vec::new(),
            unused_columns: Vec::new(),
            oldest: None,
            newest: None,
            modified: None,
            bytes: 0,
            version: None,
            error: None,
            kept: None,
        }
    }

    /// Whether the feed can be used: it has rows, or is one on a day without entries, which says what it is all the same.
    pub fn is_good(&self) -> bool {
        let rows = self.used_total() + self.context;
        self.error.is_none() && (rows > 0 || (self.bad == 0 && self.bytes > 0))
    }

    /// What is said of the columns that are not used; of those whose names say so themselves only where the feed cannot be used.
    pub fn unused_words(&self) -> Option<String> {
        let doubtful = || self.unused_columns.iter().filter(|column| !column.is_meant || self.error.is_some());
        let words: Vec<_> = doubtful().map(|column| format!("{column}: {}", column.why)).collect();
        let remedy = "what is meant is used where a header calls it `domain`, `sha256` or the like";
        (!words.is_empty()).then(|| format!("{}; {remedy}", words.join("; ")))
    }

    /// Whether a feed was read and holds nothing whatever, which is no day without entries.
    pub fn is_empty(&self) -> bool {
        self.error.is_none() && self.format == Some(Self::NOTHING) && self.bytes == 0
    }

    /// Rows that accuse, of all kinds.
    pub fn used_total(&self) -> u64 {
        self.used.values().sum()
    }

    /// Says that the feed cannot be used after all.
    pub(super) fn fail(&mut self, why: String) {
        *self = Self {
            format: self.format,
            unit: self.unit,
            bad: self.bad,
            first_bad: std::mem::take(&mut self.first_bad),
            unused_columns: std::mem::take(&mut self.unused_columns),
            modified: self.modified,
            bytes: self.bytes,
            version: self.version,
            error: Some(why),
            ..Self::new(&self.path, &self.feed)
        };
    }

    /// Takes over what was counted; of a feed that cannot be used only what is wrong with it counts.
    pub(super) fn set_tally(&mut self, tally: Tally) {
        self.bad = tally.bad;
        self.first_bad = tally.first_bad;
        if self.error.is_some() {
            return;
        }
        self.used = tally.used;
        self.context = tally.context;
        self.unsupported = tally.unsupported;
        self.unsupported_by_reason = tally.unsupported_by_reason;
        self.first_unsupported = tally.first_unsupported;
        self.expired = tally.expired;
        self.oldest = tally.oldest;
        self.newest = tally.newest;
    }
}

impl fmt::Display for UnusedColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "column {} (`{name}`) is not used", self.number),
            None => write!(f, "column {} is not used", self.number),
        }
    }
}

impl Tally {
    /// Counts a row that is kept.
    pub(super) fn take(&mut self, kind: MatchKind, standing: Standing, listed: Option<EventTime>, is_past: bool) {
        match standing {
            Standing::Malicious => *self.used.entry(kind).or_default() += 1,
            _ => self.context += 1,
        }
        self.expired += u64::from(is_past);
        if let Some(listed) = listed {
            self.oldest = Some(self.oldest.map_or(listed, |oldest| oldest.min(listed)));
            self.newest = Some(self.newest.map_or(listed, |newest| newest.max(listed)));
        }
    }

    /// Counts a row that cannot be used, and what it asks for. What stands before a colon, such as the `sid` of a rule,
    /// does not make a reason of its own.
    pub(super) fn unsupported(&mut self, row: u32, what: &str) {
        self.unsupported += 1;
        let reason = what.split_once(": ").map_or(what, |(_, reason)| reason);
        *reason_of(&mut self.unsupported_by_reason, reason) += 1;
        if self.first_unsupported.len() < FeedReport::MAX_UNSUPPORTED {
            self.first_unsupported.push(UnsupportedRow { row, what: what.to_owned() });
        }
    }

    /// Counts a row that cannot be read.
    pub(super) fn bad(&mut self, row: u32, problem: &'static str) {
        self.bad += 1;
        if self.first_bad.len() < FeedReport::MAX_BAD {
            self.first_bad.push(BadFeedRow { row, problem });
        }
    }

    /// Adds what was counted on the rows that follow.
    pub(super) fn add(&mut self, other: Self) {
        other.used.into_iter().for_each(|(kind, count)| *self.used.entry(kind).or_default() += count);
        self.context += other.context;
        self.unsupported += other.unsupported;
        for (reason, count) in other.unsupported_by_reason {
            *reason_of(&mut self.unsupported_by_reason, &reason) += count;
        }
        let free = FeedReport::MAX_UNSUPPORTED - self.first_unsupported.len();
        self.first_unsupported.extend(other.first_unsupported.into_iter().take(free));
        self.expired += other.expired;
        self.bad += other.bad;
        let free = FeedReport::MAX_BAD - self.first_bad.len();
        self.first_bad.extend(other.first_bad.into_iter().take(free));
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.newest = self.newest.into_iter().chain(other.newest).max();
    }

    /// Rows that were understood, and rows that were not.
    pub(super) fn understood_and_bad(&self) -> (u64, u64) {
        (self.used.values().sum::<u64>() + self.context + self.unsupported + self.expired, self.bad)
    }
}

fn reason_of<'a>(reasons: &'a mut BTreeMap<String, u64>, reason: &str) -> &'a mut u64 {
    let known = reasons.contains_key(reason) || reasons.len() < MAX_REASONS;
    reasons.entry(if known { reason } else { "other" }.to_owned()).or_default()
}
