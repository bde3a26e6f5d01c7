//! One part of the answer: facts, and what is odd or wrong.

use std::fmt::Write as _;

use crate::cli::terminal::{one_line, printable};

/// A section of the answer.
pub(super) struct Section {
    title: &'static str,
    entries: Vec<Entry>,
}

enum Entry {
    Fact(String, String),
    Warning(String),
    Problem(String),
}

/// Width of labels.
const LABEL: usize = 20;

impl Section {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, entries: Vec::new() }
    }

    /// Says something.
    pub(super) fn fact(&mut self, label: &str, value: impl AsRef<str>) {
        self.entries.push(Entry::Fact(one_line(label).into_owned(), one_line(value.as_ref()).into_owned()));
    }

    /// Says that something is odd; certsift can be used all the same.
    pub(super) fn warning(&mut self, text: impl AsRef<str>) {
        self.entries.push(Entry::Warning(printable(text.as_ref())));
    }

    /// Says that something is wrong, so that certsift does not start.
    pub(super) fn problem(&mut self, text: impl AsRef<str>) {
        self.entries.push(Entry::Problem(printable(text.as_ref())));
    }

    pub(super) fn warnings(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Warning(_))).count()
    }

    pub(super) fn problems(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry, Entry::Problem(_))).count()
    }

    /// Writes the section, and a blank line after it.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to memory does not fail.
        let _ = writeln!(out, "{}", self.title);
        for entry in &self.entries {
            let _ = match entry {
                Entry::Fact(label, value) => writeln!(out, "  {label:LABEL$} {value}"),
                Entry::Warning(text) => writeln!(out, "  warning: {}", indented(text)),
                Entry::Problem(text) => writeln!(out, "  error: {}", indented(text)),
            };
        }
        out.push('\n');
    }
}

/// Further lines of a message stand below the first.
fn indented(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}
