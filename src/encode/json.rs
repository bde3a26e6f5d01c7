//! Writes the `certsift` object as compact JSON: the bytes that `serde_json` would write, in about a third of the time.
//!
//! Every record has such an object, and most of it are short strings, times and digests behind keys that are known
//! beforehand. `serde_json` looks at each byte of each by a table; here sixteen bytes are looked at at a time, since nearly
//! nothing in them has to be escaped. The types that derive `Serialize` stay the only truth about the shape. Numbers are
//! left to `serde_json`. Maps, tuples and enums with values have no place in the object and are refused.

use std::fmt::{self, Display, Write as _};

use serde::ser::{self, Impossible, Serialize, SerializeSeq, SerializeStruct};

/// The key of a field that holds fields which have been written before, as text: they are copied as they stand.
///
/// Such text is either empty or begins with a comma.
pub(super) const WRITTEN: &str = "";

/// The name of a newtype around a value that has been written before, as text: it is copied as it stands.
pub(super) const COPIED: &str = "Copied";

/// The name of a newtype around text in which nothing has to be escaped.
pub(super) const PLAIN: &str = "Plain";

/// Appends a value. Writing to memory does not fail; a shape that has no place here is refused.
pub(super) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> fmt::Result {
    value.serialize(&mut Json { out, texts: Texts::Escaped })
}

/// A value as text.
pub(super) fn text_of<T: Serialize + ?Sized>(value: &T) -> Box<str> {
    let mut text = Vec::new();
    // What cannot be written would be left out; nothing in the object is of that kind.
    let _ = write(&mut text, value);
    String::from_utf8(text).unwrap_or_default().into()
}

/// The serializer.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
    /// What is done with the next text.
    texts: Texts,
}

/// What is done with a text.
#[derive(Clone, Copy)]
enum Texts {
    /// It is written in quotes, with escapes.
    Escaped,
    /// It is written in quotes.
    Plain,
    /// It is copied as it stands.
    Copied,
}

/// The fields of a struct, or the elements of a sequence.
pub(super) struct Members<'a, 'b> {
    json: &'a mut Json<'b>,
    is_first: bool,
    end: u8,
}

/// Text whose pieces are escaped as they come.
struct Escaped<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    /// Writes a value whose texts are treated in another way than others.
    #[inline]
    fn with<T: Serialize + ?Sized>(&mut self, texts: Texts, value: &T) -> fmt::Result {
        let before = std::mem::replace(&mut self.texts, texts);
        let written = value.serialize(&mut *self);
        self.texts = before;
        written
    }

    fn number<T: Serialize>(&mut self, value: T) -> fmt::Result {
        value.serialize(&mut serde_json::Serializer::new(&mut *self.out)).map_err(|_| fmt::Error)
    }
}

impl Members<'_, '_> {
    /// Writes what stands between two members.
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_first, false) {
            self.json.out.push(b',');
        }
    }
}

/// Appends text in quotes.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends text in quotes that has nothing to be escaped.
#[inline]
fn plain(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Appends text with escapes where JSON wants them.
fn escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = first_to_escape(rest) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else { return };
        escape(out, byte);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Where the first byte stands that cannot stand in a string as it is.
fn first_to_escape(text: &[u8]) -> Option<usize> {
    let mut plain = plain_blocks::<16>(text);
    plain += plain_blocks::<8>(&text[plain..]);
    text[plain..].iter().position(|byte| must_be_escaped(*byte)).map(|at| plain + at)
}

/// How many bytes the blocks at the beginning have in which nothing has to be escaped.
fn plain_blocks<const N: usize>(text: &[u8]) -> usize {
    // Without a way out inside, a block is looked at by a few vector instructions.
    let has_some = |block: &[u8; N]| block.iter().fold(false, |found, byte| found | must_be_escaped(*byte));
    let (blocks, _) = text.as_chunks::<N>();
    blocks.iter().position(has_some).unwrap_or(blocks.len()) * N
}

fn must_be_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&digits);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escaped(self.0, text);
        Ok(())
    }
}

impl<'a, 'b> ser::Serializer for &'a mut Json<'b> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Members<'a, 'b>;
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeMap = Impossible<(), fmt::Error>;
    type SerializeStruct = Members<'a, 'b>;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    fn serialize_bool(self, value: bool) -> fmt::Result {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> fmt::Result {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> fmt::Result {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> fmt::Result {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> fmt::Result {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> fmt::Result {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> fmt::Result {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> fmt::Result {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> fmt::Result {
        self.number(value)
    }

    fn serialize_f32(self, value: f32) -> fmt::Result {
        self.number(value)
    }

    fn serialize_f64(self, value: f64) -> fmt::Result {
        self.number(value)
    }

    fn serialize_char(self, value: char) -> fmt::Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    // What is done with it is known where this is called.
    #[inline]
    fn serialize_str(self, text: &str) -> fmt::Result {
        match self.texts {
            Texts::Escaped => quoted(self.out, text),
            Texts::Plain => plain(self.out, text.as_bytes()),
            Texts::Copied => self.out.extend_from_slice(text.as_bytes()),
        }
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> fmt::Result {
        self.out.push(b'"');
        write!(Escaped(self.out), "{value}")?;
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_none(self) -> fmt::Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> fmt::Result {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> fmt::Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> fmt::Result {
        // Like a key.
        plain(self.out, variant.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> fmt::Result {
        match name {
            PLAIN => self.with(Texts::Plain, value),
            COPIED => self.with(Texts::Copied, value),
            _ => value.serialize(self),
        }
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Self::SerializeSeq, fmt::Error> {
        self.out.push(b'[');
        Ok(Members { json: self, is_first: true, end: b']' })
    }

    fn serialize_struct(self, _name: &'static str, _fields: usize) -> Result<Self::SerializeStruct, fmt::Error> {
        self.out.push(b'{');
        Ok(Members { json: self, is_first: true, end: b'}' })
    }

    /// Text in which nothing has to be escaped, as whoever asks [`is_human_readable`](Self::is_human_readable) may give it.
    #[inline]
    fn serialize_bytes(self, text: &[u8]) -> fmt::Result {
        plain(self.out, text);
        Ok(())
    }

    /// Times and digests are made as ASCII bytes: here nobody has to look whether they are text.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

impl SerializeSeq for Members<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.separate();
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        self.json.out.push(self.end);
        Ok(())
    }
}

impl SerializeStruct for Members<'_, '_> {
    type Ok = ();
    type Error = fmt::Error;

    // The key is known where this is called: written there, it is a few stores.
    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> fmt::Result {
        if key == WRITTEN {
            return self.copy(value);
        }
        let out = &mut *self.json.out;
        // The keys of this crate's types have nothing to be escaped, as a test says of all.
        out.reserve(key.len() + 4);
        out.extend_from_slice(if std::mem::replace(&mut self.is_first, false) { b"\"" } else { b",\"" });
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        value.serialize(&mut *self.json)
    }

    fn end(self) -> fmt::Result {
        self.json.out.push(self.end);
        Ok(())
    }
}

impl Members<'_, '_> {
    /// Copies fields that have been written before.
    fn copy<T: Serialize + ?Sized>(&mut self, fields: &T) -> fmt::Result {
        let start = self.json.out.len();
        let copied = self.json.with(Texts::Copied, fields);
        if self.json.out.len() > start && std::mem::replace(&mut self.is_first, false) {
            // Nothing stands before the comma that the text begins with.
            self.json.out.remove(start);
        }
        copied
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    /// One of everything that an object may hold.
    #[derive(Debug, Serialize)]
    struct Everything {
        text: String,
        #[serde(rename = "another key")]
        number: i64,
        unsigned: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        real: Option<f64>,
        truth: bool,
        variant: Variant,
        list: Vec<Cow<'static, str>>,
        nested: Vec<Nested>,
        shown: Shown,
        plain: Digits,
    }

    /// Text in which nothing has to be escaped.
    #[derive(Debug)]
    struct Digits(String);

    impl Serialize for Digits {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_newtype_struct(PLAIN, &*self.0)
        }
    }

    #[derive(Debug, Serialize)]
    struct Nested {
        #[serde(skip_serializing_if = "Option::is_none")]
        first: Option<String>,
        second: Option<Box<Nested>>,
    }

    #[derive(Clone, Copy, Debug, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Variant {
        One,
        TheOther,
    }

    /// Text that is written in pieces.
    #[derive(Debug)]
    struct Shown(Vec<String>);

    impl Serialize for Shown {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|piece| f.write_str(piece))
        }
    }

    fn written<T: Serialize>(value: &T) -> String {
        let mut out = Vec::new();
        write(&mut out, value).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Text of every length around a block, with much to be escaped in it or nothing.
    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{0,70}", "\\PC{0,20}", ".{0,40}", "[a-z\"\\\\\u{0}-\u{1f}\u{7f}]{0,40}", "[a-z]{0,40}\"?"]
    }

    fn everything() -> impl Strategy<Value = Everything> {
        let nested = (prop::option::of(text()), prop::option::of(text())).prop_map(|(outer, inner)| Nested {
            first: outer,
            second: inner.map(|first| Box::new(Nested { first: Some(first), second: None })),
        });
        let real = prop_oneof![
            any::<f64>(),
            any::<f32>().prop_map(f64::from),
            Just(-0.0),
            (any::<i32>(), 0..6).prop_map(|(digits, places)| f64::from(digits) / 10_f64.powi(places)),
            (any::<i64>(), 0..6).prop_map(|(digits, places)| digits as f64 / 10_f64.powi(places)),
        ];
        (
            (text(), any::<i64>(), prop::option::of(any::<u32>()), prop::option::of(real), any::<bool>()),
            prop_oneof![Just(Variant::One), Just(Variant::TheOther)],
            prop::collection::vec(text(), 0..4),
            prop::collection::vec(nested, 0..3),
            (prop::collection::vec(text(), 0..3), "[0-9a-fTZ:.-]{0,64}"),
        )
            .prop_map(|((text, number, unsigned, real, truth), variant, list, nested, (shown, plain))| {
                Everything {
                    text,
                    number,
                    unsigned,
                    real,
                    truth,
                    variant,
                    list: list.into_iter().map(Cow::Owned).collect(),
                    nested,
                    shown: Shown(shown),
                    plain: Digits(plain),
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_serde_json_writes(value in everything()) {
            prop_assert_eq!(written(&value), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn every_byte_is_escaped_at_every_place_as_serde_json_does() {
        for byte in 0..=0x7f_u8 {
            for before in 0..40 {
                let text = format!("{}{}{}", "x".repeat(before), char::from(byte), "y".repeat(20));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    #[test]
    fn fields_that_were_written_before_stand_among_the_others() {
        struct Mixed([&'static str; 2]);
        impl Serialize for Mixed {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut fields = serializer.serialize_struct("Mixed", 3)?;
                fields.serialize_field(WRITTEN, self.0[0])?;
                fields.serialize_field("own", &1)?;
                fields.serialize_field(WRITTEN, self.0[1])?;
                fields.end()
            }
        }
        let before = r#","a":"\"","b":2"#;
        assert_eq!(written(&Mixed([before, r#","c":{}"#])), r#"{"a":"\"","b":2,"own":1,"c":{}}"#);
        assert_eq!(written(&Mixed(["", ""])), r#"{"own":1}"#);
        assert_eq!(written(&Mixed(["", before])), r#"{"own":1,"a":"\"","b":2}"#);
    }

    #[test]
    fn values_that_were_written_before_stand_among_the_others() {
        struct Copied(Box<str>);
        impl Serialize for Copied {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(COPIED, &*self.0)
            }
        }
        let values = [text_of(&vec!["\"", "b"]), text_of(&1), text_of("\n")];
        assert_eq!(written(&Vec::from(values.map(Copied))), r#"[["\"","b"],1,"\n"]"#);
    }

    #[test]
    fn no_key_no_variant_and_no_code_has_anything_to_be_escaped() {
        fn names(schema: &serde_json::Value, found: &mut Vec<String>) {
            match schema {
                serde_json::Value::Object(members) => {
                    let properties = members.get("properties").and_then(serde_json::Value::as_object);
                    found.extend(properties.into_iter().flat_map(serde_json::Map::keys).cloned());
                    let variants = members.get("enum").and_then(serde_json::Value::as_array).into_iter().flatten();
                    let variants = variants.chain(members.get("const"));
                    found.extend(variants.filter_map(serde_json::Value::as_str).map(str::to_owned));
                    members.values().for_each(|schema| names(schema, found));
                }
                serde_json::Value::Array(schemas) => schemas.iter().for_each(|schema| names(schema, found)),
                _ => {}
            }
        }
        let checks = crate::enrich::checks().iter().map(|check| check.id);
        let codes = crate::enrich::not_evaluated::NOT_EVALUATED.iter().map(|reason| reason.code);
        for code in checks.chain(codes).chain([crate::enrich::EXCEPTED]) {
            assert_eq!(first_to_escape(code.as_bytes()), None, "{code}");
        }
        let schema = schemars::schema_for!(super::super::CertsiftObject<'static>);
        let mut found = Vec::new();
        names(&schema.to_value(), &mut found);
        for known in ["alert_key", "not_before", "presented", "critical", "serial_number"] {
            assert!(found.iter().any(|name| name == known), "{known}");
        }
        for name in found {
            assert_eq!(first_to_escape(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn what_has_no_place_in_an_object_is_refused() {
        assert!(write(&mut Vec::new(), &std::collections::BTreeMap::from([("key", 1)])).is_err());
        assert!(write(&mut Vec::new(), &("a", 1)).is_err());
    }
}
