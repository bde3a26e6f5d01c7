//! The top level of a JSON object, value by value, without reading what is not asked for.
//!
//! Values stay raw text until somebody needs them, so that one odd value never costs the record, and numbers and strings
//! that leave are those that came. The walk is the JSON library's own: it checks the whole line and does not recurse.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with every key of an object and its raw value; gives the number of keys.
///
/// # Errors
/// The text is not one JSON object.
pub(super) fn walk_object<'a>(text: &'a str, each: &mut dyn FnMut(&str, &'a str)) -> Result<usize, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let keys = deserializer.deserialize_map(ObjectVisitor { each })?;
    deserializer.end()?;
    Ok(keys)
}

/// A line without what may stand around its object: a byte order mark, white space, and the `@cee: ` of syslog.
pub(super) fn object_text(line: &str) -> &str {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line).trim();
    line.strip_prefix("@cee:").map_or(line, str::trim_start)
}

/// Calls `each` with every raw element of an array; nothing when it is no array.
pub(super) fn walk_array<'a>(raw: &'a str, mut each: impl FnMut(&'a str)) {
    if let Ok(elements) = serde_json::from_str::<Vec<&'a RawValue>>(raw) {
        elements.into_iter().for_each(|element| each(element.get()));
    }
}

/// The text of a raw string; `None` when it is no string or holds half a surrogate pair.
pub(super) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
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
    let mut plain = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&value[plain..at]);
        if escape.is_empty() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(&value[plain..]);
    out.push('"');
}

/// Whether text is a number by the grammar of JSON (RFC 8259 §6).
pub(super) fn is_number(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at.min(bytes.len()));
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return false;
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return false;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at.min(bytes.len()));
        if exponent == 0 {
            return false;
        }
        at += exponent;
    }
    at == bytes.len()
}

struct ObjectVisitor<'f, 'a> {
    each: &'f mut dyn FnMut(&str, &'a str),
}

impl<'a> Visitor<'a> for ObjectVisitor<'_, 'a> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut keys = 0;
        // Keys are raw too: one that holds half a surrogate pair is valid JSON all the same, and no name that is known.
        while let Some(key) = map.next_key::<&'a RawValue>()? {
            let value: &'a RawValue = map.next_value()?;
            (self.each)(&string(key.get()).unwrap_or_default(), value.get());
            keys += 1;
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        walk_object(text, &mut |key, raw| found.push((key.to_owned(), raw.to_owned()))).ok().map(|_| found)
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

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(keys(&deep).unwrap().len(), 1);
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
        fn numbers_agree_with_the_json_library(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            let theirs = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(is_number(&text), theirs);
        }
    }
}
