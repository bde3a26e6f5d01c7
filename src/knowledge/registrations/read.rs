//! The rows of a list, whatever its shape: found from its first lines, then read one after the other.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use serde_json::value::RawValue;

use super::list::{Head, RegistrationList};
use super::report::{ListDays, ListReport};
use super::{Precision, names, rdap, table};
use crate::knowledge::feeds::{FeedFile, UTF16, for_each, is_utf16, text_of};
use crate::knowledge::suffix::registrable_domain;
use crate::model::Id128;

/// A shape of lists.
pub(super) struct ListFormat {
    /// Its name, for people.
    pub(super) name: &'static str,
    /// What reads the rows, if the head is of this shape; an error where it is and something is missing.
    pub(super) recognise: fn(&Head<'_>) -> Recognised<Box<dyn Reading>>,
}

/// What was recognised, if anything; an error where something is missing.
pub(super) type Recognised<T> = Result<Option<T>, &'static str>;

/// Reads rows of one shape. Blank lines and those that begin with `#`, `!` or `;` do not come here.
pub(super) trait Reading {
    /// Reads one line without its end, or one element of a document; every registration in it is handed to `take`.
    fn read<'a>(&self, line: &'a str, take: &mut dyn FnMut(Row<'a>)) -> Result<Found, &'static str>;

    /// The days that all rows lie in, where rows have none of their own.
    fn days(&self) -> Option<ListDays> {
        None
    }

    /// Whether rows are JSON, so that they may also be elements of one document.
    fn is_json(&self) -> bool {
        false
    }
}

/// What a line held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A remark.
    Nothing,
    /// A registration.
    Row,
    /// A domain of which is not known when it was registered.
    WithoutDate,
}

/// A registration as a list has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row<'a> {
    /// The name, as it is written.
    pub(super) name: Cow<'a, str>,
    /// The day, or of a window the first one.
    pub(super) day: i32,
    /// How exactly it is known.
    pub(super) precision: Precision,
    /// The day of the data, where the row knows it.
    pub(super) as_of: Option<i32>,
    /// Who says so, where the row knows it.
    pub(super) source: Option<&'a str>,
}

/// A registration of a domain, as it is kept.
pub(super) struct Kept<'a> {
    pub(super) domain: Id128,
    pub(super) day: i32,
    pub(super) precision: Precision,
    pub(super) as_of: Option<i32>,
    pub(super) source: &'a str,
}

/// The shapes, in the order in which they are tried.
const FORMATS: [&ListFormat; 4] = [&rdap::FORMAT, &table::FORMAT, &table::WITHOUT_HEADER, &names::FORMAT];

/// Bytes by which a shape is recognised.
const HEAD: u64 = 64 * 1024;
/// Longest line that is read; a longer one is a bad row.
const MAX_LINE: usize = 64 * 1024;
/// Largest document, and largest text within base64, that is read: it is in memory as a whole.
const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;
/// Longest source that is kept, in characters.
const MAX_SOURCE: usize = 128;
const NO_SHAPE: &str = "not a list of registrations of a shape that certsift knows";
const TOO_MANY: &str = "more rows, or more sources, than are kept";

/// Whether the head of a list, decompressed, is of a known shape; `Some(true)` where the list says so of itself: by its
/// header or its name, or by being an answer of RDAP.
pub(super) fn recognise(list: &RegistrationList, head: &[u8], is_whole: bool) -> Option<bool> {
    let text = String::from_utf8_lossy(head);
    let head = Head::new(list, &text, is_whole);
    let (format, _) = format_of(&head).ok()??;
    // Beside a domain a date by itself is as a rule the day on which it was listed for something.
    let needs_a_name = [names::FORMAT.name, table::WITHOUT_HEADER.name].contains(&format.name);
    Some(!needs_a_name || head.says_newly_registered())
}

/// Reads a list; `keep` says whether there was room for a row.
pub(super) fn read(list: &RegistrationList, keep: &mut dyn FnMut(Kept<'_>) -> bool) -> ListReport {
    let mut report = ListReport::new(list.path.clone());
    let result = FeedFile::open(&list.path).map_err(|error| error.to_string()).and_then(|mut file| {
        read_all(list, &mut file, keep, &mut report)?;
        Ok(file.version())
    });
    match result {
        Ok(content) => {
            // What is known of the list as a whole decides as much as what stands in it.
            let days = report.days.map_or([0; 2], |days| [days.first, days.last]);
            let known = [days[0], days[1], list.day.unwrap_or_default()].map(i32::to_le_bytes).concat();
            report.version = Some(Id128::of_parts(&[&content.0, &known]));
        }
        Err(error) => report.error = Some(error),
    }
    report
}

fn read_all(
    list: &RegistrationList,
    reader: &mut dyn Read,
    keep: &mut dyn FnMut(Kept<'_>) -> bool,
    report: &mut ListReport,
) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let mut head = Vec::new();
    Read::take(&mut *reader, HEAD).read_to_end(&mut head).map_err(said)?;
    if let Some(text) = within_base64(&head, reader).map_err(said)? {
        return read_rows(list, &mut Cursor::new(text), keep, report);
    }
    read_rows(list, &mut Cursor::new(head).chain(reader), keep, report)
}

fn read_rows(
    list: &RegistrationList,
    reader: &mut dyn Read,
    keep: &mut dyn FnMut(Kept<'_>) -> bool,
    report: &mut ListReport,
) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    let mut bytes = Vec::new();
    Read::take(&mut *reader, HEAD).read_to_end(&mut bytes).map_err(said)?;
    if is_utf16(&bytes) {
        return Err(UTF16.to_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
    let head = Head::new(list, &text, (bytes.len() as u64) < HEAD);
    if head.rows.is_empty() {
        report.shape = Some("nothing but comments");
        return Ok(());
    }
    let (format, reading) = format_of(&head)?.ok_or(NO_SHAPE)?;
    report.shape = Some(format.name);
    report.days = reading.days();
    let is_document = reading.is_json() && head.rows.first().is_some_and(|row| !is_whole_json(row));
    let as_of = head.day();
    let name = list.name();
    let mut rows = Rows { reading: &*reading, name: &name, as_of, keep, report };
    drop(text);
    if is_document {
        Read::take(&mut *reader, MAX_DOCUMENT).read_to_end(&mut bytes).map_err(said)?;
        return rows.document(bytes);
    }
    rows.lines(&mut BufReader::with_capacity(64 * 1024, Cursor::new(bytes).chain(reader))).map_err(said)
}

fn format_of(head: &Head<'_>) -> Recognised<(&'static ListFormat, Box<dyn Reading>)> {
    for format in FORMATS {
        if let Some(reading) = (format.recognise)(head)? {
            return Ok(Some((format, reading)));
        }
    }
    Ok(None)
}

/// Whether a line is JSON by itself, and not the beginning of a document of many lines.
fn is_whole_json(line: &str) -> bool {
    !line.starts_with('[') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
}

/// The text of a list that is one piece of base64 behind its comments.
fn within_base64(head: &[u8], reader: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    use base64::Engine as _;
    const MIN_LINE: usize = 64;
    let is_row = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let first = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).find(is_row).unwrap_or_default();
    let first = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first);
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    if first.len() < MIN_LINE || !first.iter().all(is_digit) {
        return Ok(None);
    }
    let mut text = head.to_vec();
    Read::take(reader, MAX_DOCUMENT).read_to_end(&mut text)?;
    let (comments, rows): (Vec<&[u8]>, Vec<&[u8]>) =
        text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).partition(|line| line.starts_with(b"#"));
    let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(rows.concat()) else { return Ok(None) };
    // The comments say what the list is as a whole.
    let mut lines = comments.join(&b'\n');
    lines.push(b'\n');
    lines.extend_from_slice(&decoded);
    Ok(Some(lines))
}

/// Hands rows on to be kept, and counts.
struct Rows<'a> {
    reading: &'a dyn Reading,
    name: &'a str,
    as_of: Option<i32>,
    keep: &'a mut dyn FnMut(Kept<'_>) -> bool,
    report: &'a mut ListReport,
}

impl Rows<'_> {
    fn lines(&mut self, reader: &mut dyn BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        let mut number = 0;
        while let Some(is_whole) = read_line(reader, &mut line)? {
            number += 1;
            if !is_whole {
                self.report.bad(number, "the line is too long");
                continue;
            }
            let bytes = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
            match std::str::from_utf8(bytes).map(str::trim) {
                Err(_) => self.report.bad(number, "the line is not UTF-8"),
                Ok(line) if line.is_empty() || line.starts_with(['#', '!', ';']) => {}
                Ok(line) => self.row(number, line),
            }
        }
        Ok(())
    }

    fn document(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        if bytes.len() as u64 >= MAX_DOCUMENT {
            return Err("a document of more than 256 MiB; write one object on each line".to_owned());
        }
        self.report.unit = "element";
        let text = text_of(bytes)?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let broken = |error: serde_json::Error| format!("not JSON: {error}");
        if !text.starts_with('[') {
            serde_json::from_str::<&RawValue>(text).map_err(broken)?;
            self.row(1, text);
            return Ok(());
        }
        for_each(text, |number, element| self.row(number.into(), element.get())).map_err(broken)
    }

    fn row(&mut self, number: u64, line: &str) {
        let Self { reading, name, as_of, keep, report } = self;
        let mut problem = None;
        let mut kept = 0;
        let found = reading.read(line, &mut |row| match domain_of(&row.name) {
            Err(why) => problem = Some(why),
            Ok(domain) => {
                let source = row.source.unwrap_or(name);
                let source = source.char_indices().nth(MAX_SOURCE).map_or(source, |(end, _)| &source[..end]);
                let row = Kept {
                    domain,
                    day: row.day,
                    precision: row.precision,
                    // Nobody knows of a registration before it happens.
                    as_of: row.as_of.or(*as_of).map(|day| day.max(row.day)),
                    source,
                };
                match keep(row) {
                    true => kept += 1,
                    false => problem = Some(TOO_MANY),
                }
            }
        });
        match (found, problem) {
            (Err(problem), _) | (Ok(_), Some(problem)) => report.bad(number, problem),
            (Ok(Found::Nothing), None) => {}
            (Ok(Found::WithoutDate), None) => report.without_date += 1,
            (Ok(Found::Row), None) => {}
        }
        report.rows += kept;
    }
}

/// The identity of the domain that a name stands for. `*.x`, `.x` and `www.x` stand for `x`; what lies further below a
/// domain was not registered with it, and says nothing of it.
fn domain_of(name: &str) -> Result<Id128, &'static str> {
    const NONE: &str = "the domain is not one that can be registered";
    let name = name.strip_prefix("*.").or_else(|| name.strip_prefix('.')).unwrap_or(name).trim_end_matches('.');
    let lower = match name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(name.to_lowercase()),
    };
    // Clients ask for names in ASCII.
    let lower = match lower.is_ascii() {
        true => lower,
        false => Cow::Owned(idna::domain_to_ascii(&lower).map_err(|_| NONE)?),
    };
    let domain = registrable_domain(&lower).ok_or(NONE)?;
    match lower.strip_suffix(domain) {
        Some("" | "www.") => Ok(super::Registrations::key(domain)),
        _ => Err("the name lies below a domain that is registered, and says nothing of it"),
    }
}

/// Reads one line without its end; `None` at the end of the file, `false` for a line whose rest was skipped.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    if Read::take(&mut *reader, MAX_LINE as u64).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(true));
    }
    if line.len() < MAX_LINE {
        return Ok(Some(true));
    }
    loop {
        let buffer = reader.fill_buf()?;
        let Some(end) = buffer.iter().position(|&byte| byte == b'\n') else {
            let length = buffer.len();
            reader.consume(length);
            if length == 0 {
                return Ok(Some(false));
            }
            continue;
        };
        reader.consume(end + 1);
        return Ok(Some(false));
    }
}
