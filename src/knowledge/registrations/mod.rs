//! In: lists of domains and of when they were registered, and indexes made of such lists. Out: the registration that
//! holds at a day, who says so, and how exactly it is known. Promise: a bad row is counted with its line and costs itself
//! only; the order of the files does not matter; a domain that no list names is unknown, and never new.
//!
//! The shape of a list is found from its content. Each shape is one file here and one entry in `read::FORMATS`:
//!
//! | file | what it reads | how exactly |
//! |---|---|---|
//! | `rdap` | answers of RDAP servers, as a document or one on each line | to the time |
//! | `table` | `domain,date[,source]`, and CSV whose header names these columns | as the date is written |
//! | `names` | names alone, as lists of newly registered domains are | to a window, known of the whole list |
//!
//! A list may be text, gzip or zstd, or base64 within; comments, blank lines, a byte order mark and CR LF are understood.
//!
//! When sources differ, the most exact one counts: a time before a day before a window. Of equally exact ones the latest
//! day does, since a domain may be registered anew; then the later data; then the source whose name comes first. What is
//! known as of a day says nothing of what was registered after it.

mod answers;
pub mod index;
mod list;
mod names;
mod rdap;
mod read;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod when;

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Id128;
pub use answers::{Answer, Answers, Registered};
use index::Index;
pub use list::RegistrationList;
pub(crate) use rdap::registered;
use read::Kept;
pub use report::{BadRow, ListDays, ListReport};

/// Registrations of many lists, in 24 bytes each, and of indexes, on disk. A domain may have been registered, dropped and
/// registered again; all its days are kept, so that a replay gets the one that held then.
#[derive(Default, Debug)]
pub struct Registrations {
    /// Sorted by domain, then day.
    entries: Vec<Entry>,
    /// In their order.
    notes: Vec<Note>,
    indexes: Vec<Index>,
}

/// When a domain was registered, and who says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration<'a> {
    /// Days since 1970-01-01; of a window, the first.
    pub day: i32,
    /// How exactly it is known.
    pub precision: Precision,
    /// What the row says in its third column, else the name of the file.
    pub source: &'a str,
    /// The day of the data; of a window, its last.
    pub as_of: Option<i32>,
}

/// How exactly a registration is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Within the days from `registered` to `as_of`, which may be one: so it is said of a list as a whole.
    Window,
    /// To the day.
    Day,
    /// To the time.
    Exact,
}

/// What many rows share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
struct Note {
    source: Box<str>,
    precision: Precision,
    as_of: Option<i32>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    domain: Id128,
    day: i32,
    note: u32,
}

/// The notes of rows, each once.
#[derive(Default)]
struct Notes(HashMap<Note, u32>);

/// Rows that are kept in memory over all lists: 480 MB. Later rows count as bad; an index has no such limit.
const MAX_ENTRIES: usize = 20_000_000;
/// Distinct notes that are kept; rows with further ones count as bad.
const MAX_NOTES: u32 = u16::MAX as u32;
/// A day in a list has no time zone: a domain that is used in the first hours of its life may be listed under the day
/// after.
const SLACK_DAYS: i32 = 1;

impl Registrations {
    /// Reads lists and opens indexes; what is wrong with them is in the reports, one per path and in their order.
    pub fn load(lists: &[RegistrationList]) -> (Self, Vec<ListReport>) {
        let (mut entries, mut notes, mut indexes) = (Vec::new(), Notes::default(), Vec::new());
        let mut report_on = |list: &RegistrationList| {
            if index::is_index(&list.path) {
                let (index, report) = Index::open(&list.path);
                indexes.extend(index);
                return report;
            }
            let first = entries.len();
            let mut report = read::read(list, &mut |row| {
                let note = notes.number(&row).filter(|_| entries.len() < MAX_ENTRIES);
                entries.extend(note.map(|note| Entry { domain: row.domain, day: row.day, note }));
                note.is_some()
            });
            if report.error.is_some() {
                // Half a list would look like a whole one.
                entries.truncate(first);
                report.rows = 0;
            }
            report
        };
        let reports = lists.iter().map(&mut report_on).collect();
        let (notes, ranks) = notes.in_order();
        // Numbered by their order, so that the order of the files does not matter.
        for entry in &mut entries {
            entry.note = ranks.get(entry.note as usize).copied().unwrap_or_default();
        }
        entries.sort_unstable();
        entries.dedup();
        entries.shrink_to_fit();
        (Self { entries, notes, indexes }, reports)
    }

    /// The registration of a domain that holds at a day, by the most exact source that knows of one.
    ///
    /// `domain` is [`Registrations::key`] of its registrable domain; days count from 1970-01-01. What was registered
    /// later does not hold yet, with one day of slack for what is known to the day.
    pub fn find(&self, domain: Id128, day: i32) -> Option<Registration<'_>> {
        self.find_among(domain, day, None)
    }

    /// The same where something else knows of a registration as well.
    pub fn find_among<'a>(
        &'a self,
        domain: Id128,
        day: i32,
        other: Option<Registration<'a>>,
    ) -> Option<Registration<'a>> {
        let known = || self.known(domain).chain(other).filter(move |found| found.has_begun(day));
        let latest = known().map(|found| found.day).max()?;
        known().filter(|found| found.as_of.is_none_or(|as_of| as_of >= latest)).max_by(|one, other| {
            let exactness = |found: &Registration<'_>| (found.precision, found.day, found.as_of);
            exactness(one).cmp(&exactness(other)).then_with(|| other.source.cmp(one.source))
        })
    }

    /// The key of a registrable domain in lower case.
    pub fn key(registrable_domain: &str) -> Id128 {
        Id128::of(registrable_domain.as_bytes())
    }

    /// How many registrations are known.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64 + self.indexes.iter().map(Index::len).sum::<u64>()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All registrations of a domain.
    fn known(&self, domain: Id128) -> impl Iterator<Item = Registration<'_>> {
        let start = self.entries.partition_point(|entry| entry.domain < domain);
        let own = self.entries.get(start..).unwrap_or_default().iter();
        let own = own.take_while(move |entry| entry.domain == domain);
        let own = own.filter_map(|entry| Some(self.notes.get(entry.note as usize)?.of(entry.day)));
        own.chain(self.indexes.iter().flat_map(move |index| index.find(domain)))
    }
}

/// Whether the head of a list, decompressed, is one of registrations; `is_whole` says that nothing follows. Names alone
/// are not, unless the list says that they were registered lately and when.
pub fn is_registration_list(list: &RegistrationList, head: &[u8], is_whole: bool) -> bool {
    index::has_magic(head) || read::recognise(list, head, is_whole) == Some(true)
}

impl Registration<'_> {
    /// The last day that it may have been on.
    pub fn last_day(&self) -> i32 {
        match self.precision {
            Precision::Window => self.as_of.unwrap_or(self.day),
            Precision::Day | Precision::Exact => self.day,
        }
    }

    fn has_begun(&self, day: i32) -> bool {
        let slack = if self.precision == Precision::Exact { 0 } else { SLACK_DAYS };
        self.day <= day.saturating_add(slack)
    }
}

impl Note {
    fn of(&self, day: i32) -> Registration<'_> {
        Registration { day, precision: self.precision, source: &self.source, as_of: self.as_of }
    }
}

impl Notes {
    /// The number of a row's note; `None` where there is no room for another one.
    fn number(&mut self, row: &Kept<'_>) -> Option<u32> {
        let next = self.0.len() as u32;
        let note = Note { source: row.source.into(), precision: row.precision, as_of: row.as_of };
        match self.0.get(&note) {
            Some(&number) => Some(number),
            None if next >= MAX_NOTES => None,
            None => {
                self.0.insert(note, next);
                Some(next)
            }
        }
    }

    /// The notes in their order, and where each one's number has gone.
    fn in_order(self) -> (Vec<Note>, Vec<u32>) {
        let mut notes: Vec<_> = self.0.into_iter().collect();
        notes.sort_unstable();
        let mut ranks = vec![0; notes.len()];
        for (rank, (_, number)) in (0_u32..).zip(&notes) {
            if let Some(slot) = ranks.get_mut(*number as usize) {
                *slot = rank;
            }
        }
        (notes.into_iter().map(|(note, _)| note).collect(), ranks)
    }
}
