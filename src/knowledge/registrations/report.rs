//! What became of a list.

use std::path::PathBuf;

use crate::knowledge::suffix;
use crate::model::Id128;

/// What became of one list.
#[derive(Clone, Debug)]
pub struct ListReport {
    /// The list.
    pub path: PathBuf,
    /// Its shape, for people; `None` when none was recognised.
    pub shape: Option<&'static str>,
    /// What rows are counted by: `line`, or in a document `element`.
    pub unit: &'static str,
    /// Rows that were taken; of an index, its entries.
    pub rows: u64,
    /// Rows that know no registration, such as those of registries that do not say.
    pub without_date: u64,
    /// Rows that could not be read.
    pub bad_rows: u64,
    /// The first of them, at most [`ListReport::MAX_KEPT`].
    pub first_bad_rows: Vec<BadRow>,
    /// The days that all its rows lie in, where rows have none of their own.
    pub days: Option<ListDays>,
    /// Bytes on disk, of an index.
    pub index_bytes: Option<u64>,
    /// Of an index, the list of public suffixes that its names were read by, where another one is in use.
    pub other_suffixes: Option<Box<str>>,
    /// Which version of the content it was, and of what was said of it.
    pub version: Option<Id128>,
    /// Why the list cannot be used; nothing of it is.
    pub error: Option<String>,
}

/// The days in which everything was registered that a list names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListDays {
    /// The first, as days since 1970-01-01.
    pub first: i32,
    /// The last, which is that of the data.
    pub last: i32,
}

/// A row that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRow {
    /// Its line, or in a document its number among the entries, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ListReport {
    /// How many bad rows are kept for messages.
    pub const MAX_KEPT: usize = 5;

    /// The list's name: that of its file. Never the whole path: output must not depend on where a list lies.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// What it costs that an index was built by another list of public suffixes than the one in use.
    pub fn suffixes_differ(&self) -> Option<String> {
        let built_by = self.other_suffixes.as_deref()?;
        Some(format!(
            "built by edition {built_by} of the public suffix list, and {} is in use: domains below suffixes that only one \
             of them has are not found; build the index again by the same list",
            suffix::list_version()
        ))
    }

    /// A report on which nothing stands yet.
    pub(in crate::knowledge) fn new(path: PathBuf) -> Self {
        Self {
            path,
            shape: None,
            unit: "line",
            rows: 0,
            without_date: 0,
            bad_rows: 0,
            first_bad_rows: Vec::new(),
            days: None,
            index_bytes: None,
            other_suffixes: None,
            version: None,
            error: None,
        }
    }

    pub(in crate::knowledge) fn bad(&mut self, line: u64, problem: &'static str) {
        self.bad_rows += 1;
        if self.first_bad_rows.len() < Self::MAX_KEPT {
            self.first_bad_rows.push(BadRow { line, problem });
        }
    }
}
