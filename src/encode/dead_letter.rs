//! Lines that cannot leave as records: where they were, what is wrong, and the bytes themselves.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::{DeadLetter, SourceInfo};

/// One line of the dead-letter file.
#[derive(Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterLine<'a> {
    /// The input, as it was named.
    file: &'a str,
    /// Where the line begins, in decompressed bytes.
    offset: u64,
    /// What is wrong with it.
    reason: &'a str,
    /// The line, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// The line in base64, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

pub(super) fn write(lines: &mut Vec<u8>, source: &SourceInfo, offset: u64, letter: &DeadLetter) {
    let text = std::str::from_utf8(&letter.bytes).ok();
    let line = DeadLetterLine {
        file: &source.path,
        offset,
        reason: letter.reason,
        text,
        base64: text.is_none().then(|| STANDARD.encode(&letter.bytes)),
    };
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *lines, &line);
    lines.push(b'\n');
}
