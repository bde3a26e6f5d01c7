//! Log lines, read as `replay` reads them, a bounded number of them.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::decode::{DecodeContext, Detected, Format, decode, detect};
use crate::knowledge::feeds::{UTF16, is_utf16};
use crate::model::{Batch, Body, Log, Record, SourceInfo, StreamKey};
use crate::source::tail::stream_key;
use crate::source::{LineReader, Lines, Reader, Splitter};

/// What the lines of an input are.
pub(super) struct Looked {
    /// Records that can be explained.
    pub(super) records: Vec<Found>,
    /// Lines that cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// Records that there is nothing to say of, by log.
    pub(super) others: BTreeMap<&'static str, u64>,
    /// Why not everything was looked at, if it was not.
    pub(super) bounded: Option<String>,
    /// The input.
    pub(super) source: Arc<SourceInfo>,
}

/// A record that can be explained.
pub(super) struct Found {
    /// Its line, counted from 1.
    pub(super) line: u64,
    /// The batch that holds it.
    pub(super) batch: Arc<Batch>,
    /// Which of the batch's records it is.
    pub(super) index: u32,
}

/// A line that cannot be read.
pub(super) struct Unreadable {
    /// Its number, counted from 1.
    pub(super) number: u64,
    /// What is wrong with it.
    pub(super) problem: &'static str,
}

/// Records that are explained.
const MAX_EXPLAINED: usize = 100;
/// Lines that are looked at for them.
const MAX_LINES: u64 = 100_000;
/// Bytes that are looked at for them, decompressed.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Lines that cannot be read and are named.
const MAX_UNREADABLE: usize = 10;
/// Bytes that are read at a time.
const STEP: usize = 64 * 1024;

impl Found {
    /// The record.
    pub(super) fn record(&self) -> Option<&Record> {
        self.batch.records.get(self.index as usize)
    }
}

/// Reads the lines of an input that begins with `head`.
pub(super) fn read(mut reader: LineReader<Reader>, head: &[u8], path: &Path) -> anyhow::Result<Looked> {
    let name = crate::cli::file_name(path);
    let stream = stream_key(head, reader.head_is_all()).unwrap_or(StreamKey([0; 32]));
    // Objects over several lines, as people copy them, become one line each.
    let unfolded = if reader.head_is_all() { unfold(head) } else { None };
    let format = format_of(unfolded.as_deref().unwrap_or(head), &name);
    let is_known = !matches!(format, Format::Unknown);
    if let Some(lines) = unfolded {
        reader = LineReader::new(Box::new(Cursor::new(lines)));
    }
    let source = SourceInfo { stream, path: path.to_string_lossy().into(), sensor: None, time_zone: None };
    let mut looked = Looked {
        records: Vec::new(),
        unreadable: Vec::new(),
        others: BTreeMap::new(),
        bounded: None,
        source: Arc::new(source),
    };
    if !is_known {
        return Ok(looked);
    }
    let context = DecodeContext::default();
    let mut splitter = Splitter::new(&name, Some(format));
    let mut numbers = LineNumbers::default();
    loop {
        let lines = reader.next(STEP).map_err(|error| {
            anyhow::anyhow!("{}: cannot read on at byte {}: {error}", path.display(), reader.offset())
        })?;
        let Some(lines) = lines else { return Ok(looked) };
        numbers.note(&lines);
        let mut batches = Vec::new();
        splitter.split(lines, &mut |raw| batches.push(decode(&context, &looked.source, raw)));
        for batch in batches {
            looked.sort_in(Arc::new(batch), &numbers);
        }
        if looked.records.len() >= MAX_EXPLAINED {
            let more = looked.records.len() > MAX_EXPLAINED || reader.next(STEP).is_ok_and(|lines| lines.is_some());
            looked.records.truncate(MAX_EXPLAINED);
            looked.bounded = more.then(|| format!("explained are the first {MAX_EXPLAINED} records, and no more"));
            return Ok(looked);
        }
        if numbers.seen >= MAX_LINES || reader.offset() >= MAX_BYTES {
            looked.bounded = Some(format!("looked at are the first {} lines, and no more", numbers.seen));
            return Ok(looked);
        }
    }
}

/// Why there is nothing to explain, and what would help.
pub(super) fn nothing_found(head: &[u8], unreadable: &[Unreadable], others: &BTreeMap<&'static str, u64>) -> String {
    const WANTED: &str = "give a PEM or DER certificate, a line of Zeek's x509.log or ssl.log (of TSV with its header \
                          lines), or an EVE event about TLS";
    if !others.is_empty() {
        let kinds: Vec<_> = others.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        return format!("holds no record about TLS ({}); {WANTED}", kinds.join(", "));
    }
    if is_utf16(head) {
        return UTF16.trim_start_matches("it ").to_owned();
    }
    if std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some()) || head.contains(&0) {
        return format!("is binary data and no certificate; {WANTED}");
    }
    if head.contains(&b'\t') && !head.starts_with(b"{") && !head.starts_with(b"#") {
        return "holds rows with tabs and no header; put the #separator, #fields and #types lines before them"
            .to_owned();
    }
    match unreadable.first() {
        Some(first) if head.trim_ascii_start().starts_with(b"{") => {
            format!("line {}: {}; {WANTED}", first.number, first.problem)
        }
        _ => format!("is neither a certificate nor a log that certsift reads; {WANTED}"),
    }
}

impl Looked {
    fn sort_in(&mut self, batch: Arc<Batch>, numbers: &LineNumbers) {
        for (index, record) in (0_u32..).zip(&batch.records) {
            let line = numbers.of(record.offset);
            match &record.body {
                Body::Session(_) | Body::Certificate(_) | Body::AlreadyEnriched => {
                    self.records.push(Found { line, batch: Arc::clone(&batch), index });
                }
                Body::PassThrough | Body::Skipped | Body::HashPair(_) => {
                    let kind = match record.log {
                        Log::SuricataOther => "other EVE events",
                        Log::ZeekOther => "records of other logs of Zeek",
                        Log::ZeekFiles => "records of files.log",
                        Log::ZeekKnownCerts => "records of known_certs.log",
                        _ => "JSON objects of no known log",
                    };
                    *self.others.entry(kind).or_default() += 1;
                }
                Body::DeadLetter(letter) if self.unreadable.len() < MAX_UNREADABLE => {
                    self.unreadable.push(Unreadable { number: line, problem: letter.reason });
                }
                Body::DeadLetter(_) => {}
            }
        }
    }
}

/// The format of an input. JSON that is no log may still hold an object of certsift's.
fn format_of(head: &[u8], name: &str) -> Format {
    match detect(head, name) {
        Detected::Format(format) => format,
        _ if head.trim_ascii_start().starts_with(b"{") => Format::ZeekJson(Log::Unknown),
        Detected::NotALog | Detected::Undecided => Format::Unknown,
    }
}

/// Objects that go over several lines, each on one line; `None` where each line is an object already, or none is.
fn unfold(head: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(head).ok()?.trim_start_matches('\u{feff}').trim();
    let first = text.lines().next()?;
    if !text.starts_with('{') || serde_json::from_str::<&RawValue>(first.trim()).is_ok() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    for object in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        // Inside of strings JSON has no line ends.
        out.extend(object.ok()?.get().bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        out.push(b'\n');
    }
    Some(out)
}

/// Numbers of lines, by where they begin.
#[derive(Default)]
struct LineNumbers {
    /// Lines before those of the last step.
    before: u64,
    /// Lines up to now.
    seen: u64,
    /// Where the lines of the last step begin.
    starts: Vec<u64>,
}

impl LineNumbers {
    fn note(&mut self, lines: &Lines) {
        self.before = self.seen;
        self.starts.clear();
        self.starts.push(lines.offset);
        let inner = &lines.bytes[..lines.bytes.len().saturating_sub(1)];
        self.starts.extend(memchr::memchr_iter(b'\n', inner).map(|at| lines.offset + at as u64 + 1));
        self.seen += self.starts.len() as u64;
    }

    fn of(&self, offset: u64) -> u64 {
        self.before + self.starts.partition_point(|&start| start <= offset) as u64
    }
}
