//! Zeek's JSON: keys flat with dots or underscores, or nested by a shipper; times as epoch, ISO 8601 or milliseconds.

use super::ending::{self, Known};
use super::json;
use super::output::Output;
use super::scan::{Raw, walk_alike, walk_object};
use super::zeek;
use super::zeek_fields::{ZeekField, ZeekFields, ZeekKey, log_of_path};
use crate::model::{Body, Log, Record};

/// Reads one line; `default_log` is the log of a line that does not name its own.
pub(super) fn decode_line<'a>(
    output: &mut Output<'_>,
    fields: &mut ZeekFields<'a>,
    line: &'a str,
    offset: u64,
    default_log: Log,
) {
    let original = line;
    let line = json::object_text(line);
    let end = match default_log {
        Log::ZeekX509 => match ending::read_known(output, fields, line, offset) {
            Known::Read => return,
            Known::New(end) => Some(end),
            Known::No => None,
        },
        _ => None,
    };
    fields.clear();
    let mut enriched = false;
    let walked = walk_alike(line, &mut output.memos.zeek_keys, ZeekKey::named, |key, raw| match key {
        ZeekKey::Nesting(outer, _) if json::is_object(raw.text) => set_nested(fields, outer.name(), raw.text),
        ZeekKey::Nesting(_, Some(field)) | ZeekKey::Field(field) => fields.set_json(field, raw),
        ZeekKey::Certsift => enriched = true,
        ZeekKey::Nesting(_, None) | ZeekKey::Other => {}
    });
    let keys = match walked {
        Some(keys) => keys,
        None => return output.dead_letter(offset, original.as_bytes(), "not a JSON object"),
    };
    let log = match fields.path() {
        Some(path) => log_of_path(&path),
        // Without a name of its own, a line of a file that is joined from several logs is known by its fields.
        None => fields.log_like(default_log),
    };
    let mut read = zeek::read(output, fields, log, None);
    if enriched {
        read.body = Body::AlreadyEnriched;
    }
    if let (Some(end), Log::ZeekX509) = (end, log) {
        ending::note(output, fields, end, &read, None);
    }
    let line = output.span(line);
    output.push(Record {
        log,
        offset,
        line,
        time: read.time,
        empty_object: keys == 0,
        sensor: read.sensor,
        faults: read.faults,
        body: read.body,
    });
}

fn set_nested<'a>(fields: &mut ZeekFields<'a>, outer: &str, raw: &'a str) {
    // The line as a whole has been checked already.
    let _ = walk_object(raw, |inner, text| {
        if let Some(field) = ZeekField::nested(outer, inner) {
            fields.set_json(field, Raw { text, is_plain: !text.contains('\\') });
        }
    });
}
