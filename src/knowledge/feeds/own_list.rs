//! Lists that the user writes of what is his own: rows of CSV with an optional header, plain or compressed.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use super::columns::split;
use super::report::{FeedReport, Tally};
use super::{UTF16, is_utf16};
use crate::model::Id128;

/// Reads such a list. `take` takes the columns of each row and says what is wrong with one; `header` says whether the
/// first row is none. What a row has to look like is `form`.
pub(in crate::knowledge) fn read_own_list(
    path: &Path,
    format: &'static str,
    form: &str,
    max_bytes: u64,
    header: impl Fn(&str) -> bool,
    mut take: impl FnMut(u32, &[&str]) -> Result<(), &'static str>,
) -> FeedReport {
    let mut report = FeedReport::new(path, &super::names::feed_name(path));
    report.format = Some(format);
    let mut bytes = Vec::new();
    let read = crate::source::open(path, Arc::default())
        .map_err(|error| error.source)
        .and_then(|reader| reader.take(max_bytes + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => report.error = Some(format!("cannot be read: {error}")),
        Ok(length) if length as u64 > max_bytes => {
            report.error = Some(format!("larger than {} MiB", max_bytes >> 20));
        }
        Ok(_) if is_utf16(&bytes) => report.error = Some(UTF16.to_owned()),
        Ok(_) => {}
    }
    report.version = Some(Id128::of(&bytes));
    let mut tally = Tally::default();
    let text = String::from_utf8_lossy(if report.error.is_none() { &bytes[..] } else { &[] });
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut is_first = true;
    for (row, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let columns = split(line);
        let columns: Vec<&str> = columns.iter().map(|column| &**column).collect();
        if !(std::mem::take(&mut is_first) && columns.first().is_some_and(|first| header(first))) {
            match take(row, &columns) {
                Ok(()) => tally.context += 1,
                Err(problem) => tally.bad(row, problem),
            }
        }
    }
    report.set_tally(tally);
    if report.context == 0 && report.bad > 0 && report.error.is_none() {
        report.error = Some(format!("no row can be read; rows are {form}"));
    }
    report
}
