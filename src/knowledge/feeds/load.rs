//! Files become rows, several at once, and a long one in pieces at once.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::address::NetworkTable;
use super::document::{Shape, list_of_lines, text_of};
use super::format::{DOCUMENTS, DocumentFormat, Head, LINES, LineFormat, Lines, RowEnd};
use super::index::Table;
use super::names::{distinguishing, feed_name};
use super::report::FeedReport;
use super::rows::{MAX_ROWS, Rows};
use super::suricata_rules::RuleSet;
use super::{FeedFile, Feeds, Origin, UTF16, is_utf16};
use crate::model::EventTime;

/// What the head of a file looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognised {
    /// It says of which format it is: by a header, or by being JSON.
    SaysSo(&'static str),
    /// Its rows look like those of a format.
    LooksLike(&'static str),
    /// No format.
    No,
}

/// Bytes by which a format is recognised.
const HEAD: usize = 64 * 1024;
/// Comments before the first row, at the most.
const MAX_COMMENTS: usize = 16 * 1024 * 1024;
/// Bytes that are parsed in one piece.
const PIECE: usize = 2 * 1024 * 1024;
/// Longest line that is read; a longer one is a bad row.
const MAX_LINE: usize = 64 * 1024;
/// Largest document that is read: it is in memory as a whole.
const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;

const TOO_LONG: &str = "the line is too long";
const TOO_MANY: &str = "more rows than are kept: 20 million over all feeds";
const NOT_TEXT: &str = "the line is not UTF-8";

/// A file's rows, and what is said of it.
pub struct ReadFeed {
    pub(super) rows: Rows,
    /// What became of the file.
    pub report: FeedReport,
}

/// Reads files, each by itself, in their order.
pub(super) fn read_all(paths: &[PathBuf], now: EventTime) -> Vec<ReadFeed> {
    paths.par_iter().map(|path| load_file(path, now)).collect()
}

/// Makes one index of what was read; what would be too much is an error of its feed.
pub(super) fn assemble(read: Vec<ReadFeed>) -> (Feeds, Vec<FeedReport>) {
    let mut names = distinguishing(read.iter().map(|feed| &*feed.report.path)).into_iter();
    let mut all = Rows::default();
    let (mut files, mut reports) = (Vec::new(), Vec::new());
    for (index, ReadFeed { mut rows, mut report }) in (0_u32..).zip(read) {
        rows.set_feed(index);
        report.feed = names.next().unwrap_or_default();
        files.push(Origin { path: report.path.clone(), name: report.feed.as_str().into() });
        // The first rows are taken over as they are: with one long feed there is nothing to copy.
        if all.len() + rows.len() > MAX_ROWS {
            report.fail(TOO_MANY.to_owned());
        } else if all.len() == 0 {
            all = rows;
        } else {
            all.append(rows);
        }
        reports.push(report);
    }
    let mut certificates = all.certificates.into_iter().map(Table::new);
    let feeds = Feeds {
        files,
        texts: all.texts.all,
        notes: all.notes,
        names: Table::new(all.names),
        certificates: std::array::from_fn(|_| certificates.next().unwrap_or_default()),
        networks: NetworkTable::new(all.networks),
        rules: RuleSet::new(all.rules),
        patterns: all.patterns,
    };
    (feeds, reports)
}

pub(super) fn recognise(head: &[u8]) -> Recognised {
    let text = String::from_utf8_lossy(&head[..head.len().min(HEAD)]);
    let head = Head::new("", &text, head.len() < HEAD);
    match line_format(&head) {
        Some((format, _)) if format.says_so => Recognised::SaysSo(format.name),
        Some((format, _)) => Recognised::LooksLike(format.name),
        None if is_document(&head) => Recognised::SaysSo("JSON"),
        None => Recognised::No,
    }
}

fn load_file(path: &Path, now: EventTime) -> ReadFeed {
    let mut report = FeedReport::new(path, &feed_name(path));
    let mut rows = Rows::new(now);
    report.modified = modified(path);
    match FeedFile::open(path) {
        Ok(mut file) => {
            report.error = read(&mut file, now, &mut rows, &mut report).err();
            report.bytes = file.length();
            report.version = Some(file.version());
        }
        Err(error) => report.error = Some(format!("cannot open: {error}")),
    }
    let (understood, bad) = rows.tally.understood_and_bad();
    if report.error.is_none() && understood == 0 && bad > 0 {
        report.error = Some("no row can be read".to_owned());
    }
    report.set_tally(std::mem::take(&mut rows.tally));
    // Half a feed would look like a whole one.
    let rows = if report.error.is_some() { Rows::new(now) } else { rows };
    ReadFeed { rows, report }
}

fn read(reader: &mut dyn Read, now: EventTime, rows: &mut Rows, report: &mut FeedReport) -> Result<(), String> {
    let said = |error: io::Error| format!("cannot be read to its end: {error}");
    let (mut bytes, mut limit) = (Vec::new(), HEAD);
    loop {
        let more = (limit - bytes.len()) as u64;
        Read::take(&mut *reader, more).read_to_end(&mut bytes).map_err(said)?;
        let is_whole = bytes.len() < limit;
        // Rules that are off and licences may be long.
        if is_whole || limit >= MAX_COMMENTS || has_row(&bytes) {
            break;
        }
        limit *= 4;
    }
    if is_utf16(&bytes) {
        return Err(UTF16.to_owned());
    }
    if has_returns_alone(&bytes) {
        return Err("its lines end with carriage returns alone; let them end with line feeds".to_owned());
    }
    let text = String::from_utf8_lossy(&bytes);
    let head = Head::new(&report.feed, &text, bytes.len() < limit);
    if let Some((format, lines)) = line_format(&head) {
        report.format = Some(format.name);
        report.unused_columns = lines.unused_columns().to_vec();
        drop(text);
        return read_lines(reader, bytes, &*lines, now, rows);
    }
    if head.rows.is_empty() {
        // A feed on a day without entries.
        report.format = Some(FeedReport::NOTHING);
        return Ok(());
    }
    if !is_document(&head) {
        return Err("not a feed of a format that certsift knows".to_owned());
    }
    drop(text);
    reader.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err("larger than 256 MiB, which is too much for one document".to_owned());
    }
    let text = text_of(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let broken = |error: serde_json::Error| format!("not JSON of that format: {error}");
    let list;
    let (text, shape) = match Shape::of(text) {
        Ok(shape) => (text, shape),
        Err(error) => {
            list = text_of(list_of_lines(text).ok_or_else(|| broken(error))?.into_bytes())?;
            (&*list, Shape::of(&list).map_err(broken)?)
        }
    };
    let format = document_format(&shape).ok_or("a JSON document of no format that certsift knows")?;
    report.format = Some(format.name);
    report.unit = "element";
    (format.read)(text, rows).map_err(broken)
}

/// Whether lines end as they did on a Macintosh: all of them would be one. JSON may have any blanks between its values.
fn has_returns_alone(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii();
    memchr::memchr(b'\n', bytes).is_none()
        && text.contains(&b'\r')
        && !text.starts_with(b"{")
        && !text.starts_with(b"[")
}

/// Whether a whole line is neither blank nor a comment.
fn has_row(bytes: &[u8]) -> bool {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    lines.map(<[u8]>::trim_ascii).any(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn line_format(head: &Head<'_>) -> Option<(&'static LineFormat, Box<dyn Lines>)> {
    LINES.iter().find_map(|format| Some((*format, (format.recognise)(head)?)))
}

fn document_format(shape: &Shape) -> Option<&'static DocumentFormat> {
    DOCUMENTS.iter().copied().find(|format| (format.recognise)(shape))
}

fn is_document(head: &Head<'_>) -> bool {
    head.rows.first().is_some_and(|(_, line)| line.starts_with(['{', '[']))
}

/// Reads pieces that end with a line, as many at once as there are threads, and parses them at once.
fn read_lines(
    reader: &mut dyn Read,
    head: Vec<u8>,
    lines: &dyn Lines,
    now: EventTime,
    rows: &mut Rows,
) -> Result<(), String> {
    let at_once = rayon::current_num_threads().max(1);
    let row_end = lines.row_end();
    let mut pieces = Pieces { reader, rest: head, line: 1, row_end, is_done: false, failed: None };
    loop {
        let batch: Vec<Piece> = std::iter::from_fn(|| pieces.next()).take(at_once).collect();
        if batch.is_empty() {
            lines.finish(rows);
            let said = |error| format!("cannot be read to its end: {error}");
            return pieces.failed.map_or(Ok(()), |error| Err(said(error)));
        }
        let parsed: Vec<Rows> = batch.par_iter().map(|piece| parse_piece(piece, lines, now)).collect();
        for part in parsed {
            if rows.len() + part.len() > MAX_ROWS {
                return Err(TOO_MANY.to_owned());
            }
            rows.append(part);
        }
    }
}

/// Whole lines, and the number of the first.
struct Piece {
    bytes: Vec<u8>,
    line: u32,
}

/// A file in pieces. What came before a fault is a piece; the fault is kept.
struct Pieces<'a> {
    reader: &'a mut dyn Read,
    rest: Vec<u8>,
    line: u32,
    /// Pieces end with a row, which may be of several lines.
    row_end: RowEnd,
    is_done: bool,
    failed: Option<io::Error>,
}

impl Pieces<'_> {
    fn next(&mut self) -> Option<Piece> {
        while !self.is_done {
            let mut bytes = std::mem::take(&mut self.rest);
            let wanted = PIECE.saturating_sub(bytes.len()).max(HEAD);
            let before = bytes.len();
            bytes.reserve_exact(wanted);
            let read = Read::take(&mut *self.reader, wanted as u64).read_to_end(&mut bytes);
            self.failed = read.err();
            if self.failed.is_some() || bytes.len() - before < wanted {
                self.is_done = true;
            } else if let Some(end) = last_end(&bytes, self.row_end) {
                self.rest = bytes[end + 1..].to_vec();
                bytes.truncate(end + 1);
            } else {
                // A line that fills a whole piece: its beginning stays, so that it is one line and too long.
                bytes.truncate(MAX_LINE + 1);
                self.rest = bytes;
                continue;
            }
            let line = self.line;
            self.line = line.saturating_add(memchr::memchr_iter(b'\n', &bytes).count() as u32);
            return Some(Piece { bytes, line });
        }
        None
    }
}

fn parse_piece(piece: &Piece, lines: &dyn Lines, now: EventTime) -> Rows {
    let mut rows = Rows::new(now);
    let mut number = piece.line;
    let mut rest = Some(&*piece.bytes);
    while let Some(text) = rest {
        let end = match lines.row_end() {
            RowEnd::Line => line_end(text),
            RowEnd::Unquoted => row_end(text).unwrap_or_else(|| line_end(text)),
            RowEnd::Uncontinued => uncontinued_end(text).unwrap_or(text.len()),
        };
        let (line, following) = text.split_at(end);
        rest = following.get(1..);
        let count = memchr::memchr_iter(b'\n', line).count() as u32 + 1;
        let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        parse_line(line, number, lines, &mut rows);
        number = number.saturating_add(count);
    }
    rows
}

fn line_end(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).unwrap_or(text.len())
}

/// Where the first row ends, which may be of several lines; `None` where a quote is never closed and is one of the text.
fn row_end(text: &[u8]) -> Option<usize> {
    let text = text.get(..MAX_LINE).unwrap_or(text);
    let mut ends = RowEnds::of(text);
    match ends.next() {
        Some(end) => Some(end),
        None => (!ends.is_quoted && text.len() < MAX_LINE).then_some(text.len()),
    }
}

/// Where the first line ends that does not go on in the next one.
fn uncontinued_end(text: &[u8]) -> Option<usize> {
    let is_comment = text.iter().find(|byte| !matches!(byte, b' ' | b'\t')) == Some(&b'#');
    memchr::memchr_iter(b'\n', text).find(|&at| {
        let line = text.get(..at).unwrap_or_default();
        is_comment || line.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r')) != Some(&b'\\')
    })
}

/// Where the last whole line ends, or the last whole row.
fn last_end(bytes: &[u8], row_end: RowEnd) -> Option<usize> {
    let row = match row_end {
        RowEnd::Line => None,
        RowEnd::Unquoted => RowEnds::of(bytes).last(),
        RowEnd::Uncontinued => {
            let next = |after: Option<usize>| {
                let from = after.map_or(0, |end| end + 1);
                Some(from + uncontinued_end(bytes.get(from..)?)?)
            };
            std::iter::successors(next(None), |&end| next(Some(end))).last()
        }
    };
    row.or_else(|| memchr::memrchr(b'\n', bytes))
}

/// The ends of lines that are not within a quoted column.
struct RowEnds<'a> {
    text: &'a [u8],
    marks: memchr::Memchr2<'a>,
    is_quoted: bool,
    closed_at: Option<usize>,
}

impl<'a> RowEnds<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { text, marks: memchr::memchr2_iter(b'"', b'\n', text), is_quoted: false, closed_at: None }
    }
}

impl Iterator for RowEnds<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        for at in self.marks.by_ref() {
            let before = self.text.get(..at).unwrap_or_default();
            if self.text.get(at) == Some(&b'\n') {
                if !self.is_quoted {
                    return Some(at);
                }
            } else if self.is_quoted {
                // A column ends there, or the quote opens another row and this one is never closed.
                let after = self.text.get(at + 1);
                if !matches!(after, None | Some(b',' | b'"' | b'\n' | b'\r' | b' ' | b'\t')) {
                    return None;
                }
                (self.is_quoted, self.closed_at) = (false, Some(at));
            } else {
                // At the beginning of a column, or the second of two that stand for one; others are of the text.
                let last = before.iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
                let begins = matches!(last, None | Some(b',' | b'\n'));
                self.is_quoted = begins || self.closed_at.is_some_and(|closed| closed + 1 == at);
            }
        }
        None
    }
}

fn parse_line(line: &[u8], number: u32, lines: &dyn Lines, rows: &mut Rows) {
    if lines.header_line() == Some(number) {
        return;
    }
    if line.len() > MAX_LINE {
        return rows.bad(number, TOO_LONG);
    }
    let Ok(text) = std::str::from_utf8(line) else { return rows.bad(number, NOT_TEXT) };
    let trimmed = text.trim();
    if !trimmed.is_empty() && !trimmed.starts_with('#') {
        lines.read(number, if lines.is_tabbed() { text.trim_matches([' ', '\r']) } else { trimmed }, rows);
    }
}

fn modified(path: &Path) -> Option<EventTime> {
    let modified = path.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(EventTime::from_seconds(i64::try_from(since.as_secs()).ok()?))
}
