//! Raw values of JSON: what they are, and how they are written.
//!
//! Values stay raw text until somebody needs them, so that one odd value never costs the record, and numbers and strings
//! that leave are those that came.

use std::borrow::Cow;

use super::scan;

/// A line without what may stand around its object: a byte order mark, white space, and the `@cee: ` of syslog.
pub(super) fn object_text(line: &str) -> &str {
    if let [b'{', .., b'}'] = line.as_bytes() {
        return line;
    }
    let line = line.strip_prefix('\u{feff}').unwrap_or(line).trim();
    line.strip_prefix("@cee:").map_or(line, str::trim_start)
}

/// The text of a raw string; `None` when it is no string or holds half a surrogate pair.
pub(super) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    // A raw string holds no control character, and a quote only behind a backslash.
    if scan::is_plain(inner) {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().map(Cow::Owned)
}

/// The value of a raw `true` or `false`.
pub(super) fn boolean(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Whether a raw value is an object.
pub(super) fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

/// Appends `value` as a JSON string.
pub(super) fn push_string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    loop {
        let plain = scan::plain_end(rest.as_bytes(), 0);
        out.push_str(&rest[..plain]);
        let Some(&byte) = rest.as_bytes().get(plain) else { break };
        push_escape(out, byte);
        rest = &rest[plain + 1..];
    }
    out.push('"');
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Whether text is a number by the grammar of JSON (RFC 8259 §6).
pub(super) fn is_number(text: &str) -> bool {
    scan::end_of_number(text.as_bytes(), 0) == Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn keys(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        scan::walk_object(text, |key, raw| found.push((key.to_owned(), raw.to_owned()))).map(|_| found)
    }

    #[test]
    fn values_stay_as_they_were_written() {
        let found = keys(r#"{"a":1.10,"a":1e400,"\u0062":"x\u0041","c":{"d":[1, 2]}}"#).unwrap();
        let raw: Vec<_> = found.iter().map(|(key, raw)| (key.as_str(), raw.as_str())).collect();
        assert_eq!(keys(r#"{"\ud800":1}"#).unwrap(), [(String::new(), "1".to_owned())]);
        assert_eq!(raw, [("a", "1.10"), ("a", "1e400"), ("b", r#""x\u0041""#), ("c", r#"{"d":[1, 2]}"#)]);
    }

    #[test]
    fn what_is_no_single_object_is_refused() {
        for text in ["", "[]", "1", "{", r#"{"a":1"#, r#"{"a":1} x"#, r#"{"a":}"#, "{a:1}", r#"{"a":1}{"b":2}"#] {
            assert_eq!(keys(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_string_is_read_back(text in any::<String>()) {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(string(&out).unwrap(), text.as_str());
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn numbers_agree_with_the_json_library(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?|[1-9][0-9]{0,20}([.][0-9]{1,20})?|[-0-9.eE+]{0,4}") {
            let theirs = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(is_number(&text), theirs);
        }
    }
}
