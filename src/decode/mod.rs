//! A line of a log becomes a [`Record`].
//!
//! In: whole lines of one input, with their offset. Out: a [`Batch`] of records with the text that they leave as.
//! Promise: a pure function; every line gives exactly one record, a header line none, and bad input never fails: it is a
//! record with a fault or a dead letter.

mod block;
mod bounds;
mod cache;
mod chains;
mod der;
mod detect;
mod ending;
mod eve;
mod fingerprint;
mod json;
mod memo;
mod names;
mod output;
mod rooms;
mod scan;
mod zeek;
mod zeek_fields;
mod zeek_json;
mod zeek_tsv;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::model::{Batch, SourceInfo};

pub use cache::CertificateCache;
pub use chains::ChainCache;
pub(crate) use der::is_checkable_by;
pub use der::{attributes_of, certificate_from_der};
pub use detect::{Detected, Format, detect};
pub use names::{name_ids, registrable};
pub use rooms::BatchRooms;
pub use scan::walk_object;
pub use zeek_tsv::TsvHeader;

use memo::MemoPool;
use output::Output;
use zeek_fields::ZeekFields;

/// Whole lines of one input, as they were read.
#[derive(Debug)]
pub struct RawBatch {
    /// The lines, each with its line end but perhaps the last.
    pub bytes: Vec<u8>,
    /// Where the first of them begins, in decompressed bytes.
    pub offset: u64,
    /// How the lines are to be read.
    pub format: Format,
    /// The line is longer than anybody may ask of memory; `bytes` holds its beginning only and this is its whole length.
    pub oversize: Option<u64>,
}

/// Longest line that is read, in bytes. A Certificate message may hold 2^24 bytes of DER, which base64 makes a third more.
pub const MAX_LINE: usize = 32 * 1024 * 1024;

/// How much of a line that is too long is kept for the dead-letter file.
pub const MAX_OVERSIZE_KEPT: usize = 64 * 1024;

/// What decoding needs beside the lines, shared by all workers.
#[derive(Debug, Default)]
pub struct DecodeContext {
    /// Certificates that were read before, by what was logged of them.
    pub certificates: CertificateCache,
    /// Chains that were read before.
    pub chains: ChainCache,
    /// Memory of batches that are done.
    pub rooms: BatchRooms,
    memos: MemoPool,
}

/// Reads all lines of a batch.
pub fn decode(context: &DecodeContext, source: &Arc<SourceInfo>, raw: RawBatch) -> Batch {
    let RawBatch { bytes, offset, format, oversize } = raw;
    let end_offset = offset + oversize.unwrap_or(bytes.len() as u64);
    let mut output = Output::new(context, source, &format);
    let text = if oversize.is_some() {
        let reason = if bytes.is_empty() {
            "longer than 32 MiB; it is kept in its file only"
        } else {
            "longer than 32 MiB; only its beginning is kept here"
        };
        output.dead_letter(offset, &bytes, reason);
        String::new()
    } else if matches!(format, Format::ZeekTsv(_)) {
        // Rows leave as JSON: of their own text nothing is needed any more. So it can be checked by a crate that does not
        // hand back what owns it, and is several times as fast.
        match simdutf8::basic::from_utf8(&bytes) {
            Ok(text) => {
                output.reserve(text.len() * 5 / 2);
                decode_lines(&mut output, text, offset, &format);
            }
            Err(_) => decode_broken_lines(&mut output, &bytes, offset, &format),
        }
        context.rooms.bytes.keep(bytes);
        String::new()
    } else {
        match String::from_utf8(bytes) {
            Ok(text) => {
                output.set_base(&text);
                decode_lines(&mut output, &text, offset, &format);
                text
            }
            // Rare: sort the lines that can leave from those that cannot, one by one.
            Err(error) => {
                decode_broken_lines(&mut output, error.as_bytes(), offset, &format);
                String::new()
            }
        }
    };
    output.into_batch(text, end_offset)
}

fn decode_lines(output: &mut Output<'_>, text: &str, offset: u64, format: &Format) {
    let mut fields = ZeekFields::new(format.header());
    let mut start = 0;
    while start < text.len() {
        let end = memchr::memchr(b'\n', &text.as_bytes()[start..]).map_or(text.len(), |at| start + at + 1);
        decode_guarded(output, &mut fields, &text[start..end], offset + start as u64, format);
        start = end;
    }
}

fn decode_broken_lines(output: &mut Output<'_>, bytes: &[u8], offset: u64, format: &Format) {
    let mut fields = ZeekFields::new(format.header());
    let mut start = 0;
    while start < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at + 1);
        let line = &bytes[start..end];
        let at = offset + start as u64;
        match std::str::from_utf8(line) {
            Ok(line) => decode_guarded(output, &mut fields, line, at, format),
            Err(_) if line.starts_with(b"#") && matches!(format, Format::ZeekTsv(_)) => {}
            Err(_) => output.dead_letter(at, line, "not valid UTF-8"),
        }
        start = end;
    }
}

/// Reads one line. Whatever it holds, reading it costs that line and not the process.
fn decode_guarded<'a>(
    output: &mut Output<'_>,
    fields: &mut ZeekFields<'a>,
    line: &'a str,
    offset: u64,
    format: &Format,
) {
    let records = output.len();
    if catch_unwind(AssertUnwindSafe(|| decode_line(output, fields, line, offset, format))).is_err() {
        output.truncate(records);
        output.dead_letter(offset, line.as_bytes(), "reading it failed, which is a fault of certsift");
    }
}

/// Reads one line. Blank lines are no records: they carry nothing, and every format allows them between records.
fn decode_line<'a>(output: &mut Output<'_>, fields: &mut ZeekFields<'a>, line: &'a str, offset: u64, format: &Format) {
    let Some(trimmed) = without_end(line) else { return };
    match format {
        Format::ZeekTsv(header) => zeek_tsv::decode_line(output, fields, trimmed, offset, header),
        Format::ZeekJson(log) => zeek_json::decode_line(output, fields, trimmed, offset, *log),
        Format::Eve => eve::decode_line(output, trimmed, offset),
        Format::Unknown => output.dead_letter(offset, trimmed.as_bytes(), "no known log format"),
    }
}

/// A line without what ends it; `None` where it is blank.
fn without_end(line: &str) -> Option<&str> {
    // Nearly every line ends with one byte behind another that is no space; letters are read with more care.
    if let [.., b'!'..=b'~', b'\n'] = line.as_bytes() {
        return line.get(..line.len() - 1);
    }
    let line = line.trim_end_matches(['\n', '\r']);
    (!line.trim().is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_where_its_text_does() {
        for (line, text) in [
            ("{}\n", Some("{}")),
            ("{}", Some("{}")),
            ("{}\r\n", Some("{}")),
            ("{}\r\r\n\n", Some("{}")),
            (" a \n", Some(" a ")),
            ("\u{e9}\n", Some("\u{e9}")),
            ("a\u{a0}\n", Some("a\u{a0}")),
            ("\u{a0}\n", None),
            (" \t\r\n", None),
            ("\n", None),
            ("", None),
        ] {
            assert_eq!(without_end(line), text, "{line:?}");
        }
    }
}
