//! Zeek's JSON: keys flat with dots or underscores, or nested by a shipper; times as epoch, ISO 8601 or milliseconds.

use super::json;
use super::output::Output;
use super::scan::walk_object;
use super::zeek::{self, Cell, NESTED, ZeekField, ZeekFields};
use crate::model::{Body, Log, Record};

/// Reads one line; `default_log` is the log of a line that does not name its own.
pub(super) fn decode_line(output: &mut Output<'_>, line: &str, offset: u64, default_log: Log) {
    let original = line;
    let line = json::object_text(line);
    let mut fields = ZeekFields::new();
    let mut enriched = false;
    let walked = walk_object(line, |key, raw| {
        if NESTED.contains(&key) && json::is_object(raw) {
            set_nested(&mut fields, key, raw);
        } else if let Some(field) = ZeekField::named(key) {
            fields.set(field, Cell::Json(raw));
        } else if key == "certsift" {
            enriched = true;
        }
    });
    let keys = match walked {
        Some(keys) => keys,
        None => return output.dead_letter(offset, original.as_bytes(), "not a JSON object"),
    };
    let log = match fields.path() {
        Some(path) => zeek::log_of_path(&path),
        // Without a name of its own, a line of a file that is joined from several logs is known by its fields.
        None => fields.log_like(default_log),
    };
    let mut read = zeek::read(output, &fields, log, None);
    if enriched {
        read.body = Body::AlreadyEnriched;
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
    let _ = walk_object(raw, |inner, raw| {
        if let Some(field) = ZeekField::named(&format!("{outer}.{inner}")) {
            fields.set(field, Cell::Json(raw));
        }
    });
}
