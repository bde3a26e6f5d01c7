//! Distinguished names as people and programs write them into lists: in either order, as Zeek, Suricata or OpenSSL print
//! them, with the escapes and quotes of RFC 4514 and its forerunners or without any.
//!
//! A separator is one only where an attribute type follows it, so that a comma needs no escape to belong to a value; where
//! it has one, the escape is undone. Names are compared without regard to order, so that it need not be guessed.

use crate::model::{Attribute, AttributeKind, DistinguishedName, unescape_rfc2253};

/// Longest attribute type, in bytes; dotted numbers are the longest of them.
const MAX_TYPE: usize = 64;
/// Attributes that are read; what follows belongs to the last.
const MAX_ATTRIBUTES: usize = 64;

/// Reads a name; `None` for what is none.
pub(super) fn parse(text: &str) -> Option<DistinguishedName> {
    let text = text.trim();
    if text.starts_with('/') {
        // OpenSSL's one line; put into one attribute, it is taken apart as that of a careless generator is.
        let whole = vec![Attribute::new(AttributeKind::CommonName, text)];
        return text.contains('=').then(|| DistinguishedName::from_attributes(Some(text), whole));
    }
    type_end(text)?;
    let mut attributes = Vec::new();
    let mut rest = text;
    while let Some(equals) = type_end(rest) {
        let (printed, value) = rest.split_at(equals);
        let value = value.strip_prefix('=').unwrap_or(value).trim_start();
        let end = if attributes.len() < MAX_ATTRIBUTES { value_end(value) } else { value.len() };
        let (value, following) = value.split_at(end);
        let printed = printed.trim().trim_start_matches("OID.");
        attributes.push(Attribute::new(AttributeKind::from_printed(printed), &plain(value)));
        rest = following.strip_prefix([',', ';', '+']).unwrap_or_default();
    }
    Some(DistinguishedName::from_attributes(Some(text), attributes))
}

/// Where the `=` behind an attribute type stands, if text begins with one.
fn type_end(text: &str) -> Option<usize> {
    let equals = text.bytes().take(MAX_TYPE).position(|byte| byte == b'=')?;
    let printed = text.get(..equals)?.trim();
    let is_type = !printed.is_empty() && printed.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    is_type.then_some(equals)
}

/// Where a value ends: before a separator that is neither escaped nor quoted and behind which a type follows.
fn value_end(text: &str) -> usize {
    let (mut is_escaped, mut is_quoted) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            // A quote within a value is a character like others.
            b'"' if at == 0 || is_quoted => is_quoted = !is_quoted,
            b',' | b';' | b'+' if !is_quoted && text.get(at + 1..).and_then(type_end).is_some() => return at,
            _ => {}
        }
    }
    text.len()
}

/// A value without quotes and escapes.
fn plain(value: &str) -> String {
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    unescape_rfc2253(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_has_one_key_in_every_spelling() {
        let zeek = DistinguishedName::from_rfc2253("CN=evil.example,O=Foo\\, Inc.,C=US").key();
        assert_eq!(DistinguishedName::from_suricata("C=US, O=Foo, Inc., CN=evil.example").key(), zeek);
        for text in [
            "CN=evil.example,O=Foo\\, Inc.,C=US",
            "C=US,O=Foo\\, Inc.,CN=evil.example",
            "CN=evil.example, O=Foo\\, Inc., C=US",
            "CN=evil.example,O=Foo\\2C Inc.,C=US",
            "CN=evil.example, O=Foo\\2c Inc., C=US",
            "C=US, O=Foo, Inc., CN=evil.example",
            "CN=evil.example, O=Foo, Inc., C=US",
            "C=US,O=Foo, Inc.,CN=evil.example",
            "C = US, O = \"Foo, Inc.\", CN = evil.example",
            "CN=evil.example, O=\"Foo, Inc.\", C=US",
            "/C=US/O=Foo, Inc./CN=evil.example",
            "CN=evil.example; O=Foo\\, Inc.; C=US",
            "C=US + O=Foo, Inc., CN=evil.example",
            "2.5.4.3=evil.example,OID.2.5.4.10=Foo\\, Inc.,2.5.4.6=US",
        ] {
            assert_eq!(parse(text).map(|name| name.key()), Some(zeek), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "evil.example", "=", "two words=x", "/", "é=x"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,80}|([A-Z]{1,2} ?= ?[a-z,+\\\\/=\", é]{0,9}[,;/+ ]{0,3}){0,6}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_zeek_prints_is_read_as_zeek_means_it(values in prop::collection::vec("[a-z][a-z ,+\\\\\";#é]{0,10}[a-z]", 1..5)) {
            let escaped = |value: &str| value.chars().map(|c| if ",+\"\\;#".contains(c) { format!("\\{c}") } else { c.to_string() }).collect::<String>();
            let text = values.iter().map(|value| format!("O={}", escaped(value))).collect::<Vec<_>>().join(",");
            prop_assert_eq!(parse(&text).map(|name| name.key()), Some(DistinguishedName::from_rfc2253(&text).key()));
        }
    }
}
