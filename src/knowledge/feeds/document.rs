//! JSON documents: what their shape is, and values that producers spell in several ways.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The shape of a document: keys, and what tells formats apart.
#[derive(Default, Debug)]
pub(super) struct Shape {
    /// Whether it is a list; the keys are then those of the first object in it.
    pub(super) is_list: bool,
    /// Keys of the outermost object, the first few.
    pub(super) keys: Vec<String>,
    /// The value of `type`, where it is a text.
    pub(super) kind: Option<String>,
}

/// Text, or a number or truth value as text.
#[derive(Clone, Default, Debug)]
pub(super) struct Loose<'a>(pub(super) Cow<'a, str>);

/// Keys that are looked at.
const MAX_KEYS: usize = 64;

/// Values of one document, as far as commas tell: as many as rows are kept. A list of that many zeros takes a hundred times
/// the memory of its text.
const MAX_VALUES: usize = 20_000_000;

/// A document as text. What is no UTF-8 becomes `?` and costs no more than its element.
pub(in crate::knowledge) fn text_of(mut bytes: Vec<u8>) -> Result<String, String> {
    if memchr::memchr_iter(b',', &bytes).count() > MAX_VALUES {
        return Err("more than 20 million values, which are too many for one document".to_owned());
    }
    let mut at = 0;
    while let Some(Err(error)) = bytes.get(at..).map(std::str::from_utf8) {
        let start = at + error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |length| start + length);
        bytes.get_mut(start..end).unwrap_or_default().fill(b'?');
        at = end;
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// Gives the elements of a list to `take`, numbered from 1, and keeps none of them.
pub(in crate::knowledge) fn for_each<'a>(
    list: &'a str,
    take: impl FnMut(u32, &'a RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(list);
    deserializer.deserialize_seq(EachVisitor(take))?;
    deserializer.end()
}

struct EachVisitor<F>(F);

impl<'a, F: FnMut(u32, &'a RawValue)> Visitor<'a> for EachVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        let mut number: u32 = 0;
        while let Some(element) = sequence.next_element()? {
            number = number.saturating_add(1);
            (self.0)(number, element);
        }
        Ok(())
    }
}

/// The elements of a list, each to be read by itself, so that an odd one costs itself only; `None` for what is no list.
pub(super) fn elements(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// Objects that stand one on a line, as one list; `None` for what is no such text. A line that is no JSON is `null`.
pub(super) fn list_of_lines(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let is_json = |line: &str| serde_json::from_str::<&RawValue>(line).is_ok();
    if !lines().next().is_some_and(|first| first.starts_with('{') && is_json(first)) || lines().nth(1).is_none() {
        return None;
    }
    let mut list = String::with_capacity(text.len() + 2);
    for line in lines() {
        list.push(if list.is_empty() { '[' } else { ',' });
        list.push_str(if is_json(line) { line } else { "null" });
    }
    list.push(']');
    Some(list)
}

impl Shape {
    /// The shape of a document; an error when it is no JSON.
    pub(super) fn of(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }
}

impl<'a> Deserialize<'a> for Shape {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'a> Visitor<'a> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if key == "type" {
                shape.kind = Some(map.next_value::<Loose<'_>>()?.0.into_owned());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            if shape.keys.len() < MAX_KEYS {
                shape.keys.push(key.into_owned());
            }
        }
        Ok(shape)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut sequence: A) -> Result<Shape, A::Error> {
        let mut shape = Shape::default();
        while shape.keys.is_empty() {
            match sequence.next_element::<Shape>()? {
                Some(next) => shape = next,
                None => break,
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape { is_list: true, ..shape })
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::default())
    }
}

impl Loose<'_> {
    /// Whether it says yes.
    pub(super) fn is_true(&self) -> bool {
        self.0 == "1" || self.0.eq_ignore_ascii_case("true")
    }

    /// Whether it says no.
    pub(super) fn is_false(&self) -> bool {
        self.0 == "0" || self.0.eq_ignore_ascii_case("false")
    }
}

/// Reads what Rust's text cannot hold as well: half a surrogate pair becomes U+FFFD and costs no more than itself.
impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        let mut value = serde_json::Deserializer::from_str(raw);
        let read = match raw.starts_with('"') {
            true => value.deserialize_bytes(LooseVisitor),
            false => value.deserialize_any(LooseVisitor),
        };
        read.map(Self).map_err(D::Error::custom)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_bytes<E>(self, text: &'de [u8]) -> Result<Self::Value, E> {
        Ok(String::from_utf8_lossy(text))
    }

    fn visit_bytes<E>(self, text: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(String::from_utf8_lossy(text).into_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(if value { "true" } else { "false" }))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_too_many_values_is_refused_before_it_takes_their_memory() {
        let zeros = |count: usize| [b"[0".to_vec(), b",0".repeat(count), b"]".to_vec()].concat();
        assert!(text_of(zeros(MAX_VALUES)).is_ok());
        assert!(text_of(zeros(MAX_VALUES + 1)).unwrap_err().contains("20 million"));
    }

    #[test]
    fn what_is_no_utf_8_costs_itself_only() {
        for (bytes, text) in [
            (&b"M\xfcller"[..], "M?ller"),
            (b"\xff\xfe", "??"),
            (b"a\xe2\x82", "a??"),
            ("Mü".as_bytes(), "Mü"),
            (b"", ""),
        ] {
            assert_eq!(text_of(bytes.to_vec()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn elements_are_numbered_and_what_is_no_list_is_an_error() {
        let mut found = Vec::new();
        for_each("[1, {\"a\": [2]}]", |number, raw| found.push((number, raw.get().to_owned()))).unwrap();
        assert_eq!(found, [(1, "1".to_owned()), (2, "{\"a\": [2]}".to_owned())]);
        for broken in ["{}", "[1", "[1] 2", "1"] {
            assert!(for_each(broken, |_, _| {}).is_err(), "{broken}");
        }
    }
}
