//! Distinguished names, as Zeek and Suricata print them and as DER holds them.
//!
//! Zeek prints RFC 2253: last attribute first, `,` between, escapes. Suricata prints DER order, `, ` between and no
//! escapes at all, so that a comma inside a value cannot be told from one between attributes; before 6.0 it changed to
//! `/` after a common name. What is compared are the parsed attributes; the raw string is kept and shown.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hash::{Id128, hex_value};

/// A subject or issuer name (RFC 5280 §4.1.2.4). Copies of one share its memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DistinguishedName(Arc<Parts>);

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Parts {
    /// The name as the sensor printed it.
    text: Box<str>,
    /// The attributes in the order of the DER encoding, first to last.
    attributes: Box<[Attribute]>,
    key: Id128,
}

/// One attribute of a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attribute {
    /// What kind of attribute it is.
    pub kind: AttributeKind,
    /// Its value, without escapes.
    pub value: Box<str>,
}

/// Attribute types that have a name of their own in the output; everything else is `Other` with the printed type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AttributeKind {
    /// `CN`, 2.5.4.3.
    CommonName,
    /// `O`, 2.5.4.10.
    Organization,
    /// `OU`, 2.5.4.11.
    OrganizationalUnit,
    /// `C`, 2.5.4.6.
    Country,
    /// `ST`, 2.5.4.8.
    StateOrProvince,
    /// `L`, 2.5.4.7.
    Locality,
    /// `DC`, 0.9.2342.19200300.100.1.25.
    DomainComponent,
    /// `emailAddress`, 1.2.840.113549.1.9.1; Suricata prints `Email`.
    Email,
    /// `serialNumber`, 2.5.4.5.
    SerialNumber,
    /// Any other type, by the name or dotted number that the sensor printed.
    Other(Box<str>),
}

/// Longest printed attribute type, in bytes; dotted numbers are the longest of them.
const MAX_TYPE: usize = 64;
/// Attributes of one name that are kept; what follows is in the raw text only.
const MAX_ATTRIBUTES: usize = 256;

impl DistinguishedName {
    /// Reads RFC 2253 text as Zeek prints it, last attribute first.
    pub fn from_rfc2253(text: &str) -> Self {
        let mut attributes = split_rfc2253(text);
        attributes.reverse();
        Self::new(text.into(), expand_slashes(attributes))
    }

    /// Reads Suricata's text, in DER order and without escapes: splits only where an attribute type follows.
    pub fn from_suricata(text: &str) -> Self {
        Self::new(text.into(), expand_slashes(split_suricata(text)))
    }

    /// A name from DER: `text` as the sensor printed it, or `None` to print it as Suricata does.
    pub fn from_attributes(text: Option<&str>, attributes: Vec<Attribute>) -> Self {
        let text = text.map_or_else(|| forward_text(&attributes), str::to_owned);
        Self::new(text.into(), expand_slashes(attributes))
    }

    /// The name as the sensor printed it.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The attributes in the order of the DER encoding.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0.attributes
    }

    /// All values of one kind, in DER order.
    pub fn values<'a>(&'a self, kind: &'a AttributeKind) -> impl Iterator<Item = &'a str> + 'a {
        self.0.attributes.iter().filter(move |attribute| attribute.kind == *kind).map(|attribute| &*attribute.value)
    }

    /// The first value of one kind.
    pub fn first(&self, kind: &AttributeKind) -> Option<&str> {
        self.0.attributes.iter().find(|attribute| attribute.kind == *kind).map(|attribute| &*attribute.value)
    }

    /// Whether the name has no attribute.
    pub fn is_empty(&self) -> bool {
        self.0.attributes.is_empty() && self.0.text.is_empty()
    }

    /// `A=v, B=v` in DER order without escapes, whichever sensor printed it.
    pub fn forward(&self) -> String {
        forward_text(&self.0.attributes)
    }

    /// The identity of the name: equal for names that differ in order, case, blanks and the sensor that printed them.
    pub fn key(&self) -> Id128 {
        self.0.key
    }

    /// The text behind [`key`](Self::key); the normal form is described in the source.
    pub fn normalised(&self) -> String {
        normalised(&self.0.attributes, &self.0.text)
    }

    fn new(text: Box<str>, attributes: Vec<Attribute>) -> Self {
        let key = Id128::of(normalised(&attributes, &text).as_bytes());
        Self(Arc::new(Parts { text, attributes: attributes.into(), key }))
    }

    /// Bytes of memory that it takes: its share where others are copies of it, one of which may be that of
    /// [`SharedNames`](super::SharedNames).
    pub fn bytes(&self) -> usize {
        /// What the allocator takes for itself.
        const EACH: usize = 16;
        let Parts { text, attributes, .. } = &*self.0;
        let values = attributes.iter().map(|attribute| size_of::<Attribute>() + attribute.value.len() + EACH);
        let whole = size_of::<Parts>() + 2 * EACH + text.len() + EACH + values.sum::<usize>();
        whole / (Arc::strong_count(&self.0) - 1).max(1)
    }
}

impl Attribute {
    /// An attribute of a kind.
    pub fn new(kind: AttributeKind, value: &str) -> Self {
        Self { kind, value: value.into() }
    }
}

impl AttributeKind {
    /// The kind that a printed type names: OpenSSL's and Suricata's short names and dotted numbers, in any case.
    pub fn from_printed(printed: &str) -> Self {
        const KNOWN: [(&str, AttributeKind); 24] = [
            ("CN", AttributeKind::CommonName),
            ("O", AttributeKind::Organization),
            ("OU", AttributeKind::OrganizationalUnit),
            ("C", AttributeKind::Country),
            ("ST", AttributeKind::StateOrProvince),
            ("S", AttributeKind::StateOrProvince),
            ("L", AttributeKind::Locality),
            ("DC", AttributeKind::DomainComponent),
            ("emailAddress", AttributeKind::Email),
            ("Email", AttributeKind::Email),
            ("E", AttributeKind::Email),
            ("serialNumber", AttributeKind::SerialNumber),
            ("commonName", AttributeKind::CommonName),
            ("organizationName", AttributeKind::Organization),
            ("countryName", AttributeKind::Country),
            ("2.5.4.3", AttributeKind::CommonName),
            ("2.5.4.10", AttributeKind::Organization),
            ("2.5.4.11", AttributeKind::OrganizationalUnit),
            ("2.5.4.6", AttributeKind::Country),
            ("2.5.4.8", AttributeKind::StateOrProvince),
            ("2.5.4.7", AttributeKind::Locality),
            ("0.9.2342.19200300.100.1.25", AttributeKind::DomainComponent),
            ("1.2.840.113549.1.9.1", AttributeKind::Email),
            ("2.5.4.5", AttributeKind::SerialNumber),
        ];
        let known = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(printed));
        known.map_or_else(|| Self::Other(printed.into()), |(_, kind)| kind.clone())
    }

    /// The short name that is printed for this kind.
    pub fn short_name(&self) -> &str {
        match self {
            Self::CommonName => "CN",
            Self::Organization => "O",
            Self::OrganizationalUnit => "OU",
            Self::Country => "C",
            Self::StateOrProvince => "ST",
            Self::Locality => "L",
            Self::DomainComponent => "DC",
            Self::Email => "emailAddress",
            Self::SerialNumber => "serialNumber",
            Self::Other(printed) => printed,
        }
    }
}

/// Undoes the mistake of generators that put a whole one-line name into one attribute, `C=/C=US/ST=HI/CN=host`.
fn expand_slashes(attributes: Vec<Attribute>) -> Vec<Attribute> {
    let [Attribute { value, .. }] = &attributes[..] else { return attributes };
    let Some(rest) = value.strip_prefix('/').filter(|rest| starts_with_type(rest, true)) else { return attributes };
    let mut parts: Vec<(&str, String)> = Vec::new();
    for part in rest.split('/') {
        match part.split_once('=').filter(|_| starts_with_type(part, true)) {
            Some((printed, value)) if parts.len() < MAX_ATTRIBUTES => parts.push((printed, value.to_owned())),
            _ => {
                if let Some((_, value)) = parts.last_mut() {
                    value.push('/');
                    value.push_str(part);
                }
            }
        }
    }
    attributes_of(parts)
}

fn forward_text(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let _ = write!(text, "{}={}", attribute.kind.short_name(), attribute.value);
    }
    text
}

/// The text that two names are compared by: the attributes that every sensor names alike, lower case, blanks folded,
/// sorted; where there is none of them, the printed text.
///
/// Rarer types (street, jurisdiction, organisation identifier) are left out, since OpenSSL prints them by name, by
/// number or as a hexadecimal dump, depending on its version.
fn normalised(attributes: &[Attribute], text: &str) -> String {
    let mut parts: Vec<String> = attributes
        .iter()
        .filter(|attribute| !matches!(attribute.kind, AttributeKind::Other(_)))
        .map(|attribute| format!("{}={}", attribute.kind.short_name(), folded(&attribute.value)))
        .collect();
    if parts.is_empty() {
        return folded(text);
    }
    parts.sort_unstable();
    parts.join(",")
}

/// Lower case, with runs of white space as one blank and none at the ends (RFC 5280 §7.1 in the small).
fn folded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for word in value.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

/// The attributes of RFC 2253 text in the order in which they are printed.
fn split_rfc2253(text: &str) -> Vec<Attribute> {
    let mut parts: Vec<(&str, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && parts.len() < MAX_ATTRIBUTES {
        let end = unescaped_separator(rest).unwrap_or(rest.len());
        let part = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some((printed, value)) = part.split_once('=') {
            parts.push((printed.trim(), unescape_rfc2253(value)));
        } else if let Some((_, value)) = parts.last_mut() {
            // No type: a separator that some version did not escape. It belongs to the value before it.
            value.push(',');
            value.push_str(&unescape_rfc2253(part));
        }
    }
    attributes_of(parts)
}

fn attributes_of(parts: Vec<(&str, String)>) -> Vec<Attribute> {
    let attribute = |(printed, value): (&str, String)| Attribute {
        kind: AttributeKind::from_printed(printed),
        value: value.into(),
    };
    parts.into_iter().map(attribute).collect()
}

fn unescaped_separator(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' | b'+' => return Some(index),
            _ => {}
        }
    }
    None
}

/// A value without the escapes of RFC 2253 and RFC 4514.
pub(crate) fn unescape_rfc2253(value: &str) -> String {
    if !value.contains('\\') {
        return value.to_owned();
    }
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] != b'\\' {
            out.push(bytes[index]);
            index += 1;
            continue;
        }
        let pair = bytes
            .get(index + 1)
            .and_then(|&high| hex_value(high))
            .zip(bytes.get(index + 2).and_then(|&low| hex_value(low)));
        if let Some((high, low)) = pair {
            out.push(high << 4 | low);
            index += 3;
        } else {
            out.extend(bytes.get(index + 1));
            index += 2;
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The attributes of Suricata's text, in its order.
fn split_suricata(text: &str) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut start = 0;
    let mut search = 0;
    while attributes.len() < MAX_ATTRIBUTES {
        let next = next_suricata_boundary(text, search);
        let part = &text[start..next.map_or(text.len(), |(at, _)| at)];
        if let Some((printed, value)) = part.split_once('=') {
            attributes.push(Attribute { kind: AttributeKind::from_printed(printed.trim()), value: value.into() });
        }
        let Some((_, after)) = next else { break };
        (start, search) = (after, after);
    }
    attributes
}

/// The next `, `, ` + ` or `/` behind which an attribute type and `=` stand: where it begins and where it ends.
fn next_suricata_boundary(text: &str, from: usize) -> Option<(usize, usize)> {
    const SEPARATORS: [&str; 3] = [", ", " + ", "/"];
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        if matches!(bytes[at], b',' | b' ' | b'/') {
            for separator in SEPARATORS {
                let after = at + separator.len();
                if text[at..].starts_with(separator) && starts_with_type(&text[after..], separator == "/") {
                    return Some((at, after));
                }
            }
        }
        at += 1;
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    None
}

/// Whether text begins with an attribute type and `=`; behind `/` only with one of the few that old Suricata knew.
fn starts_with_type(text: &str, old_form: bool) -> bool {
    const OLD_TYPES: [&str; 9] = ["C", "ST", "L", "O", "OU", "CN", "emailAddress", "DC", "unknown"];
    // A type is short: looking further would make a long value without one cost its square.
    let Some(end) = text.bytes().take(MAX_TYPE + 1).position(|byte| byte == b'=') else { return false };
    let printed = &text[..end];
    if old_form {
        return OLD_TYPES.contains(&printed);
    }
    let mut bytes = printed.bytes();
    let named = bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let numbered = printed.contains('.') && printed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let unknown = printed.starts_with("OID(") && printed.ends_with(')');
    named || numbered || unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(name: &DistinguishedName) -> Vec<(String, String)> {
        let pair = |a: &Attribute| (a.kind.short_name().to_owned(), a.value.to_string());
        name.attributes().iter().map(pair).collect()
    }

    #[test]
    fn one_name_printed_by_both_sensors_has_one_key() {
        let zeek =
            DistinguishedName::from_rfc2253("CN=a248.e.akamai.net,O=Akamai Technologies\\, Inc.,L=Cambridge,C=US");
        let suricata =
            DistinguishedName::from_suricata("C=US, L=Cambridge, O=Akamai Technologies, Inc., CN=a248.e.akamai.net");
        assert_eq!(zeek.key(), suricata.key());
        assert_eq!(values(&zeek), values(&suricata));
        assert_eq!(zeek.first(&AttributeKind::Organization), Some("Akamai Technologies, Inc."));
        assert_eq!(zeek.forward(), suricata.text());
    }

    #[test]
    fn escapes_of_rfc_2253_are_undone() {
        let name = DistinguishedName::from_rfc2253("L=K\\C3\\B8benhavn,CN=a\\=b\\+c\\\\d\\,e,O=line\\0D\\0Aend");
        assert_eq!(name.first(&AttributeKind::Locality), Some("København"));
        assert_eq!(name.first(&AttributeKind::CommonName), Some("a=b+c\\d,e"));
        assert_eq!(name.first(&AttributeKind::Organization), Some("line\r\nend"));
    }

    #[test]
    fn old_suricata_changes_its_separator_after_the_common_name() {
        let name = DistinguishedName::from_suricata("C=US, CN=foo/O=bar/emailAddress=x@y");
        assert_eq!(name.first(&AttributeKind::Organization), Some("bar"));
        assert_eq!(name.first(&AttributeKind::Email), Some("x@y"));
        let url = DistinguishedName::from_suricata("C=US, OU=Terms at https://www.example.com/rpa (c)10, CN=x");
        assert_eq!(url.first(&AttributeKind::OrganizationalUnit), Some("Terms at https://www.example.com/rpa (c)10"));
    }

    #[test]
    fn several_attributes_of_one_relative_name_are_split() {
        let name = DistinguishedName::from_rfc2253("O=Symantec Corporation+CN=cottoncandy-PC+L=Mountain View");
        assert_eq!(name.attributes().len(), 3);
        let name = DistinguishedName::from_suricata("C=DE + O=One, CN=two");
        assert_eq!(name.attributes().len(), 3);
    }

    #[test]
    fn a_one_line_name_inside_one_attribute_is_taken_apart() {
        let text = "C=/C=US/ST=HI/O=Goldner and Sons/OU=1080p/CN=goldner.sons.net/emailAddress=1080p@goldner.sons.net";
        for name in [DistinguishedName::from_rfc2253(text), DistinguishedName::from_suricata(text)] {
            assert_eq!(name.text(), text);
            assert_eq!(name.first(&AttributeKind::CommonName), Some("goldner.sons.net"));
            assert_eq!(name.first(&AttributeKind::Email), Some("1080p@goldner.sons.net"));
        }
    }

    #[test]
    fn order_is_kept_as_evidence_and_ignored_for_identity() {
        let forward = DistinguishedName::from_suricata("CN=localhost, C=AU");
        let backward = DistinguishedName::from_suricata("C=AU, CN=localhost");
        assert_eq!(forward.key(), backward.key());
        assert_ne!(forward.forward(), backward.forward());
    }

    proptest! {
        #[test]
        fn any_text_gives_a_name_without_a_panic(text in "\\PC{0,80}|([A-Z]{1,2}=[a-z,+\\\\/=, é]{0,9}[,/+ ]{0,3}){0,6}") {
            let _ = DistinguishedName::from_rfc2253(&text).normalised();
            let _ = DistinguishedName::from_suricata(&text).normalised();
        }

        #[test]
        fn an_escaped_name_reads_back(parts in prop::collection::vec("[a-zA-Z ,+=\\\\\"<>;#é]{1,12}", 1..5)) {
            let escape = |value: &str| value.chars().map(|c| if ",+\"\\<>;=#".contains(c) { format!("\\{c}") } else { c.to_string() }).collect::<String>();
            let text = parts.iter().map(|value| format!("OU={}", escape(value))).collect::<Vec<_>>().join(",");
            let name = DistinguishedName::from_rfc2253(&text);
            let read: Vec<_> = name.values(&AttributeKind::OrganizationalUnit).map(str::to_owned).collect();
            prop_assert_eq!(read, parts.into_iter().rev().collect::<Vec<_>>());
        }
    }
}
