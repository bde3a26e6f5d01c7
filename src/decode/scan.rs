//! One pass over a JSON object, as far as its top level.
//!
//! A line is checked as a whole, by the grammar of RFC 8259 and exactly as strictly as the JSON library would: what it
//! refuses is refused here, and what it takes is taken. Nothing is decoded, copied or allocated, and nesting takes no
//! stack. Text is known to be UTF-8 already, so that only ASCII has to be looked at.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use serde::de::IgnoredAny;

use super::block::{self, Prefix};
use super::json;

/// Nesting that is followed here; what lies deeper is left to the JSON library, which counts it in memory.
const MAX_DEPTH: u32 = 128;

/// A value as it stands in its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Raw<'a> {
    pub(super) text: &'a str,
    /// It is a string in which nothing is escaped, or no string.
    pub(super) is_plain: bool,
}

impl<'a> Raw<'a> {
    /// The text of a string; `None` when it is no string or holds half a surrogate pair.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        if self.is_plain {
            return self.text.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed);
        }
        json::string(self.text)
    }
}

/// Calls `each` with every key of an object and its raw value, in their order; gives the number of keys, and `None` when
/// the text is not one JSON object, which may show only after some calls.
///
/// A key that holds half a surrogate pair is valid JSON all the same, and handed over as an empty one.
pub fn walk_object<'a>(text: &'a str, mut each: impl FnMut(&str, &'a str)) -> Option<usize> {
    walk_members(text, |at| Key::read(text, at), |key, raw| each(&key.text(text), raw.text))
}

/// The same where many objects have the same keys: `layout` remembers them, and what `meaning` says of each, which is
/// handed over in the place of the key.
pub(super) fn walk_alike<'a, M: Copy>(
    text: &'a str,
    layout: &mut Layout<M>,
    meaning: impl Fn(&str) -> M,
    each: impl FnMut(M, Raw<'a>),
) -> Option<usize> {
    layout.next = 0;
    walk_members(text, |at| layout.read(text, at, &meaning), each)
}

/// The same until `is_enough` holds of what a key means and of where the key stands: then it gives `None`.
pub(super) fn walk_alike_until<'a, M: Copy>(
    text: &'a str,
    layout: &mut Layout<M>,
    meaning: impl Fn(&str) -> M,
    mut is_enough: impl FnMut(M, usize) -> bool,
    each: impl FnMut(M, Raw<'a>),
) -> Option<usize> {
    layout.next = 0;
    let key_at = |at| layout.read(text, at, &meaning).filter(|&(key, _)| !is_enough(key, at));
    walk_members(text, key_at, each)
}

/// Walks an object whose keys `key_at` reads, with the space before them, giving also where their values begin.
#[inline]
fn walk_members<'a, K>(
    text: &'a str,
    mut key_at: impl FnMut(usize) -> Option<(K, usize)>,
    mut each: impl FnMut(K, Raw<'a>),
) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    if *bytes.get(at)? != b'{' {
        return None;
    }
    at = skip_space(bytes, at + 1);
    let mut keys = 0;
    if *bytes.get(at)? == b'}' {
        at += 1;
    } else {
        loop {
            let (key, start) = key_at(at)?;
            let (end, is_plain) = end_of_value(text, start)?;
            each(key, Raw { text: text.get(start..end)?, is_plain });
            keys += 1;
            if *bytes.get(end)? == b',' {
                at = end + 1;
                continue;
            }
            at = skip_space(bytes, end) + 1;
            match *bytes.get(at - 1)? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    (skip_space(bytes, at) == bytes.len()).then_some(keys)
}

/// Calls `each` with every raw element of an array; gives `None` when the text is not one JSON array, which may show only
/// after some calls.
pub(super) fn walk_array<'a>(text: &'a str, mut each: impl FnMut(Raw<'a>)) -> Option<()> {
    walk_array_until(text, |raw| {
        each(raw);
        ControlFlow::Continue(())
    })
}

/// The same until `each` has seen enough: what follows is not looked at then.
pub(super) fn walk_array_until<'a>(text: &'a str, mut each: impl FnMut(Raw<'a>) -> ControlFlow<()>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = skip_space(bytes, 0);
    if *bytes.get(at)? != b'[' {
        return None;
    }
    at = skip_space(bytes, at + 1);
    if *bytes.get(at)? == b']' {
        at += 1;
    } else {
        loop {
            let (end, is_plain) = end_of_value(text, at)?;
            if each(Raw { text: text.get(at..end)?, is_plain }).is_break() {
                return Some(());
            }
            at = skip_space(bytes, end);
            match *bytes.get(at)? {
                b',' => at = skip_space(bytes, at + 1),
                b']' => break at += 1,
                _ => return None,
            }
        }
    }
    (skip_space(bytes, at) == bytes.len()).then_some(())
}

/// Keys in the order in which objects had them, so that a key is compared with the one that is expected there and needs
/// neither be searched for its end nor looked up.
#[derive(Debug)]
pub(super) struct Layout<M> {
    keys: Vec<KnownKey<M>>,
    /// The key that is expected next.
    next: usize,
}

#[derive(Debug)]
struct KnownKey<M> {
    /// `"name":`, in which nothing is escaped.
    text: Box<[u8]>,
    /// Its beginning, or all of it.
    prefix: Prefix,
    meaning: M,
    /// Which key was found the last time that this one was left out. Others may have moved it since, which costs a search.
    instead: usize,
}

/// Keys that a layout holds. Zeek's logs have half as many.
const MAX_KEYS: usize = 64;
/// Longest key that a layout holds, in bytes.
const MAX_KEY: usize = 64;
/// Keys that an object may leave out and the next still be found quickly.
const KEYS_LEFT_OUT: usize = 8;

impl<M> Default for Layout<M> {
    fn default() -> Self {
        Self { keys: Vec::new(), next: 0 }
    }
}

impl<M: Copy> Layout<M> {
    /// What the key at `at` means, and where its value begins.
    #[inline]
    fn read(&mut self, text: &str, at: usize, meaning: impl Fn(&str) -> M) -> Option<(M, usize)> {
        let bytes = text.as_bytes();
        match self.keys.get(self.next) {
            Some(known) if known.begins(bytes.get(at..)?) => {
                self.next += 1;
                Some((known.meaning, skip_space(bytes, at + known.text.len())))
            }
            _ => self.read_unexpected(text, skip_space(bytes, at), meaning),
        }
    }

    /// The same where the next key was left out, or something else was put before it.
    #[inline(never)]
    fn read_unexpected(&mut self, text: &str, at: usize, meaning: impl Fn(&str) -> M) -> Option<(M, usize)> {
        let rest = text.as_bytes().get(at..)?;
        // Keys that are left out together are so again and again.
        let instead = self.keys.get(self.next).map_or(0, |left_out| left_out.instead);
        if instead > self.next
            && let Some(known) = self.keys.get(instead).filter(|known| known.begins(rest))
        {
            self.next = instead + 1;
            return Some((known.meaning, skip_space(text.as_bytes(), at + known.text.len())));
        }
        let following = self.keys.get(self.next..)?.iter().take(KEYS_LEFT_OUT);
        if let Some(skipped) = following.map(|known| known.begins(rest)).position(|begins| begins) {
            let found = self.next + skipped;
            self.keys[self.next].instead = found;
            self.next = found + 1;
            let known = &self.keys[found];
            return Some((known.meaning, skip_space(text.as_bytes(), at + known.text.len())));
        }
        let (key, value_at) = Key::read(text, at)?;
        let quoted = text.as_bytes().get(at..key.name.end + 2)?;
        if !key.is_plain || !quoted.ends_with(b":") || quoted.len() > MAX_KEY {
            return Some((meaning(&key.text(text)), value_at));
        }
        match self.keys.iter().position(|known| *known.text == *quoted) {
            // What was learnt from objects of which none had both stands the wrong way round.
            Some(known) if known < self.next => self.keys[known..self.next].rotate_left(1),
            Some(known) => {
                if let Some(left_out) = self.keys.get_mut(self.next) {
                    left_out.instead = known;
                }
                self.next = known + 1;
            }
            None => {
                // Whatever filled it, what comes next shall be learnt.
                if self.keys.len() == MAX_KEYS {
                    self.keys.clear();
                    self.next = 0;
                }
                let key = KnownKey {
                    text: quoted.into(),
                    prefix: Prefix::new(quoted),
                    meaning: meaning(&key.text(text)),
                    instead: 0,
                };
                self.keys.insert(self.next, key);
                self.next += 1;
            }
        }
        Some((self.keys.get(self.next.checked_sub(1)?)?.meaning, value_at))
    }
}

impl<M> KnownKey<M> {
    /// Whether the text begins with this key.
    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(head) => {
                self.prefix.begins(head) && (self.text.len() <= Prefix::LENGTH || text.starts_with(&self.text))
            }
            None => text.starts_with(&self.text),
        }
    }
}

/// Whether text holds nothing that a JSON string would have to escape.
pub(super) fn is_plain(text: &str) -> bool {
    plain_end(text.as_bytes(), 0) == text.len()
}

/// A key.
struct Key {
    /// Between the quotes.
    name: Range<usize>,
    is_plain: bool,
}

impl Key {
    /// The key at `at`, and where its value begins.
    #[inline]
    fn read(text: &str, at: usize) -> Option<(Self, usize)> {
        let bytes = text.as_bytes();
        let at = skip_space(bytes, at);
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let (end, is_plain) = end_of_string(bytes, at + 1)?;
        let colon = skip_space(bytes, end);
        if *bytes.get(colon)? != b':' {
            return None;
        }
        Some((Self { name: at + 1..end - 1, is_plain }, skip_space(bytes, colon + 1)))
    }

    fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_plain {
            return Cow::Borrowed(text.get(self.name.clone()).unwrap_or_default());
        }
        text.get(self.name.start - 1..self.name.end + 1).and_then(json::string).unwrap_or_default()
    }
}

#[inline]
fn skip_space(bytes: &[u8], at: usize) -> usize {
    // Sensors put no space between what they write.
    match bytes.get(at) {
        Some(..=b' ') => skip_long_space(bytes, at),
        _ => at,
    }
}

fn skip_long_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end of the value that begins at `at`, and whether nothing in it is escaped.
#[inline(always)]
fn end_of_value(text: &str, at: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    match *bytes.get(at)? {
        b'"' => end_of_string(bytes, at + 1),
        b'{' | b'[' => end_of_nested(text, at).map(|end| (end, true)),
        _ => end_of_scalar(bytes, at).map(|end| (end, true)),
    }
}

/// The end of a number, `true`, `false` or `null`.
fn end_of_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let word = |word: &[u8]| bytes.get(at..)?.starts_with(word).then_some(at + word.len());
    match *bytes.get(at)? {
        b't' => word(b"true"),
        b'f' => word(b"false"),
        b'n' => word(b"null"),
        b'-' | b'0'..=b'9' => end_of_number(bytes, at),
        _ => None,
    }
}

/// The end of the number that begins at `at`; `None` where there is none.
pub(super) fn end_of_number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(*bytes.get(at)? == b'-');
    let whole = end_of_digits(bytes, at)?;
    if bytes[at] == b'0' && whole > at + 1 {
        return None;
    }
    at = whole;
    if bytes.get(at) == Some(&b'.') {
        at = end_of_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = end_of_digits(bytes, at)?;
    }
    Some(at)
}

/// The end of the digits at `at`, of which there has to be one.
#[inline]
fn end_of_digits(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    // Where there is a block, most digits end in it.
    let start = match rest.first_chunk().map(block::others_than_digits) {
        Some(0) => block::LENGTH,
        Some(others) => return (others & 1 == 0).then(|| at + others.trailing_zeros() as usize),
        None => 0,
    };
    let length = rest[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(rest.len(), |found| start + found);
    (length > 0).then_some(at + length)
}

/// The end of an array or object, and of everything in it.
fn end_of_nested(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // One bit for each level, the innermost lowest: whether it is an object.
    let mut levels: u128 = 0;
    let mut depth = 0;
    let mut at = start;
    loop {
        // Here a value begins, or the array ends that has just begun.
        at = match *bytes.get(at)? {
            b'"' => end_of_string(bytes, at + 1)?.0,
            open @ (b'{' | b'[') => {
                if depth == MAX_DEPTH {
                    return end_by_library(text, start);
                }
                let is_object = open == b'{';
                let inner = skip_space(bytes, at + 1);
                let is_empty = *bytes.get(inner)? == if is_object { b'}' } else { b']' };
                if is_empty {
                    inner + 1
                } else {
                    levels = levels << 1 | u128::from(is_object);
                    depth += 1;
                    at = if is_object { Key::read(text, inner)?.1 } else { inner };
                    continue;
                }
            }
            _ => end_of_scalar(bytes, at)?,
        };
        // Here a value has ended, and perhaps what it lies in.
        loop {
            if depth == 0 {
                return Some(at);
            }
            let is_object = levels & 1 == 1;
            at = skip_space(bytes, at);
            match *bytes.get(at)? {
                b',' => {
                    at = if is_object { Key::read(text, at + 1)?.1 } else { skip_space(bytes, at + 1) };
                    break;
                }
                b'}' if is_object => at += 1,
                b']' if !is_object => at += 1,
                _ => return None,
            }
            levels >>= 1;
            depth -= 1;
        }
    }
}

#[cold]
fn end_by_library(text: &str, start: usize) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text.get(start..)?).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(start + values.byte_offset())
}

/// The end of the string whose first character is at `at`, behind its quote, and whether nothing in it is escaped.
#[inline(always)]
fn end_of_string(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    at = plain_end(bytes, at);
    if *bytes.get(at)? == b'"' {
        return Some((at + 1, true));
    }
    end_of_escaped_string(bytes, at).map(|end| (end, false))
}

/// The same for what is left of a string from a character on that does not stand for itself.
fn end_of_escaped_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match *bytes.get(at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                // Halves of surrogate pairs are no matter of the grammar.
                b'u' if bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            _ => return None,
        }
        at = plain_end(bytes, at);
    }
}

/// Where a byte is first found that is likely to be near.
#[inline]
pub(super) fn find_near(byte: u8, bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(block) = bytes[at..].first_chunk() {
        let places = block::places_of(byte, block);
        if places != 0 {
            return Some(at + places.trailing_zeros() as usize);
        }
        at += block::LENGTH;
        if at == FAR {
            break;
        }
    }
    memchr::memchr(byte, &bytes[at..]).map(|found| at + found)
}

/// Bytes, a few blocks of them, within which most strings end; certificates do not.
const FAR: usize = 64;

/// Where in `bytes`, from `at` on, the first byte is that does not stand for itself in a string: a quote, a backslash, a
/// control character; their end where there is none.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], at: usize) -> usize {
    plain_end_by(block::marks, is_mark, bytes, at)
}

/// The same, or the first `byte`.
#[inline]
pub(super) fn plain_end_or(byte: u8, bytes: &[u8], at: usize) -> usize {
    plain_end_by(|block| block::marks_and(byte, block), |other| is_mark(other) | (other == byte), bytes, at)
}

/// The first byte for which `is_mark` holds, as `marks` says of a block. Always inlined, as are those that call it: a call
/// costs as much as a block.
#[inline(always)]
fn plain_end_by(
    marks: impl Fn(&[u8; block::LENGTH]) -> u32,
    is_mark: impl Fn(u8) -> bool,
    bytes: &[u8],
    at: usize,
) -> usize {
    let mut at = at;
    for _ in 0..FAR / block::LENGTH {
        let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            return plain_end_of_rest(marks, is_mark, bytes, at);
        };
        let marks = marks(block);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += block::LENGTH;
    }
    plain_end_far(marks, is_mark, bytes, at)
}

#[inline(never)]
fn plain_end_far(
    marks: impl Fn(&[u8; block::LENGTH]) -> u32,
    is_mark: impl Fn(u8) -> bool,
    bytes: &[u8],
    mut at: usize,
) -> usize {
    // Without a way out of them the compiler compares several blocks at once.
    while let Some(blocks) = bytes[at..].first_chunk::<64>() {
        if blocks.iter().fold(false, |found, &byte| found | is_mark(byte)) {
            break;
        }
        at += 64;
    }
    while let Some(block) = bytes[at..].first_chunk() {
        let marks = marks(block);
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += block::LENGTH;
    }
    plain_end_of_rest(marks, is_mark, bytes, at)
}

/// The same where less than a block is left: the last one is looked at, of which the beginning is known.
#[inline(never)]
fn plain_end_of_rest(
    marks: impl Fn(&[u8; block::LENGTH]) -> u32,
    is_mark: impl Fn(u8) -> bool,
    bytes: &[u8],
    at: usize,
) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    match bytes.last_chunk() {
        Some(last) => {
            let marks = marks(last) >> (block::LENGTH - rest.len());
            if marks == 0 { bytes.len() } else { at + marks.trailing_zeros() as usize }
        }
        None => rest.iter().position(|&byte| is_mark(byte)).map_or(bytes.len(), |found| at + found),
    }
}

#[inline]
fn is_mark(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::{Deserializer as _, MapAccess, Visitor};
    use serde_json::value::RawValue;

    type Pairs = Vec<(String, String)>;

    fn walked(text: &str) -> Option<Pairs> {
        let mut found = Vec::new();
        let keys = walk_object(text, |key, raw| found.push((key.to_owned(), raw.to_owned())))?;
        assert_eq!(keys, found.len());
        Some(found)
    }

    /// The JSON library's own walk.
    fn by_library(text: &str) -> Option<Pairs> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut found = Vec::new();
                while let Some(key) = map.next_key::<&'de RawValue>()? {
                    let value: &'de RawValue = map.next_value()?;
                    let key = serde_json::from_str::<String>(key.get()).unwrap_or_default();
                    found.push((key, value.get().to_owned()));
                }
                Ok(found)
            }
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let found = deserializer.deserialize_map(Object).ok()?;
        deserializer.end().ok()?;
        Some(found)
    }

    fn elements(text: &str) -> Option<Vec<&str>> {
        let mut found = Vec::new();
        walk_array(text, |element| found.push(element.text)).map(|()| found)
    }

    fn elements_by_library(text: &str) -> Option<Vec<&str>> {
        let found = serde_json::from_str::<Vec<&RawValue>>(text).ok()?;
        Some(found.into_iter().map(RawValue::get).collect())
    }

    const SAMPLES: [&str; 3] = [
        include_str!("../../sample_logs/zeek-json/json_streaming_ssl.log"),
        include_str!("../../sample_logs/zeek-json/json_streaming_x509.log"),
        include_str!("../../sample_logs/suricata/eve.json"),
    ];

    fn sample_lines() -> Vec<&'static str> {
        SAMPLES.iter().flat_map(|text| text.lines()).collect()
    }

    /// Text that is nearly JSON: what its grammar is made of, in any order.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\"a\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\\",
            "\"\u{e9}\u{1f512}\"",
            "\"\u{1}\"",
            "\"\u{7f}\"",
            "\"\t\"",
            " ",
            "\t",
            "\r",
            "\n",
            "\u{b}",
            "\u{a0}",
            "0",
            "-",
            "-0",
            "01",
            "1.5",
            "1.",
            ".5",
            "1e9",
            "1E+",
            "1e-7",
            "true",
            "false",
            "null",
            "nul",
            "truefalse",
            "NaN",
            "{}",
            "[]",
            "{\"b\":",
            "\"c\":1,",
            "[1,",
            "\"long enough for several words at once, and more\"",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn real_lines_are_taken_as_the_library_takes_them() {
        for line in sample_lines() {
            let found = walked(line);
            assert!(found.is_some(), "{line}");
            assert_eq!(found, by_library(line), "{line}");
        }
    }

    #[test]
    fn what_is_odd_is_taken_or_refused_as_by_the_library() {
        let deep = |depth: usize, inner: &str| format!("{{\"a\":{}{inner}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let mut texts: Vec<String> = [
            "",
            " ",
            "{",
            "{}",
            " {\t}\r\n",
            "{ } x",
            "{}{}",
            "[]",
            "1",
            "\"a\"",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1,,\"b\":2}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1 2]}",
            "{\"a\":{\"b\"}}",
            "{\"a\":{\"b\":1,}}",
            "{\"a\":[}",
            "{\"a\":{]}",
            "{\"a\":[1}}",
            "{\"a\":{\"b\":1]}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1e400}",
            "{\"a\":-}",
            "{\"a\":-01}",
            "{\"a\":00}",
            "{\"a\":0}",
            "{\"a\":-0.0e-0}",
            "{\"a\":1.e1}",
            "{\"a\":+1}",
            "{\"a\":1e}",
            "{\"a\":tru}",
            "{\"a\":true1}",
            "{\"a\":nullnull}",
            "{\"\":0}",
            "{\"a\":1,\"a\":2}",
            "{\"\\u0061\":1}",
            "{\"\\ud800\":1}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\u00\"}",
            "{\"a\":\"\\u00g0\"}",
            "{\"a\":\"\\",
            "{\"a\":\"\\\"}",
            "{\"a\":\"\\\\\"}",
            "{\"a\":\"\u{0}\"}",
            "{\"a\":\"\u{1f}\"}",
            "{\"a\":\"\u{7f}\"}",
            "{\"a\u{1f}\":1}",
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{\"a\" : [ 1 , { \"b\" : null } ] }",
        ]
        .map(str::to_owned)
        .into();
        for depth in [1, 126, 127, 128, 129, 130, 1000] {
            texts.extend([deep(depth, "1"), deep(depth, ""), deep(depth, "[1,]"), deep(depth, "\"x"), objects(depth)]);
            let unbalanced = deep(depth, "1");
            texts.extend([
                unbalanced.replacen(']', "", 1),
                unbalanced.replacen(']', "]]", 1),
                unbalanced.replacen(']', "}", 1),
            ]);
        }
        for text in texts {
            assert_eq!(walked(&text), by_library(&text), "{text}");
        }
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!(r#"{{"a":{}1{}}}"#, open.repeat(100_000), close.repeat(100_000));
            assert_eq!(walked(&deep).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_string_ends_at_its_quote_wherever_that_is() {
        for length in 0..300 {
            for last in ["\"", "\\\"\"", "\u{1f}\"", ""] {
                let text = format!("{{\"a\":\"{}{last}}}", "\u{e9}x ".repeat(length / 4) + &"y".repeat(length % 4));
                assert_eq!(walked(&text), by_library(&text), "{text}");
            }
        }
    }

    /// The same through a layout, whose meanings are the keys themselves by number.
    fn walked_alike(layout: &mut Layout<usize>, names: &std::cell::RefCell<Vec<String>>, text: &str) -> Option<Pairs> {
        let number = |name: &str| {
            let mut names = names.borrow_mut();
            names.push(name.to_owned());
            names.len() - 1
        };
        let mut found = Vec::new();
        let keys = walk_alike(text, layout, number, |number, raw| {
            found.push((names.borrow()[number].clone(), raw.text.to_owned()));
        })?;
        assert_eq!(keys, found.len());
        Some(found)
    }

    #[test]
    fn keys_that_are_expected_are_not_looked_up() {
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        for text in
            [r#"{"a":1,"c":2}"#, r#"{"a":1,"b":3,"c":2}"#, r#"{"c":2}"#, r#"{"a": 1,"b":3}"#, r#"{"b":1,"c":2}"#]
        {
            assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
        }
        assert_eq!(*names.borrow(), ["a", "c", "b"]);
        // Keys that were learnt the wrong way round change places.
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        for text in
            [r#"{"a":1,"d":2}"#, r#"{"a":1,"c":2,"d":2}"#, r#"{"a":1,"b":2,"d":2}"#, r#"{"a":1,"c":0,"b":2,"d":2}"#]
        {
            assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
        }
        let order: Vec<_> = layout.keys.iter().map(|known| &*known.text).collect();
        assert_eq!(order, [&b"\"a\":"[..], b"\"c\":", b"\"b\":", b"\"d\":"]);
        // However many keys are left out, the next is remembered.
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        let many: Vec<_> = (0..20).map(|number| format!(r#""k{number}":1"#)).collect();
        let (all, few) = (format!("{{{}}}", many.join(",")), r#"{"k0":1,"k19":1}"#);
        for text in [&all, few, few] {
            assert_eq!(walked_alike(&mut layout, &names, text), by_library(text), "{text}");
        }
        assert_eq!(layout.keys[1].instead, 19);
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        let usual = r#"{"a":1,"b":2,"c":3}"#;
        assert_eq!(walked_alike(&mut layout, &names, usual), by_library(usual));
        // Keys that are written in another way are the same keys.
        let odd = r#"{"\u0061":1,"b" :2,"c":3}"#;
        assert_eq!(walked_alike(&mut layout, &names, odd), by_library(odd));
    }

    #[test]
    fn a_layout_is_bounded_and_learns_anew() {
        let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
        for number in 0..1000 {
            let text = format!("{{\"k{number}\":1,\"{}\":2}}", "x".repeat(number));
            assert_eq!(walked_alike(&mut layout, &names, &text), by_library(&text));
            assert!(layout.keys.len() <= MAX_KEYS && layout.keys.iter().all(|known| known.text.len() <= MAX_KEY));
        }
        let usual = r#"{"a":1,"b":2}"#;
        for _ in 0..2 {
            names.borrow_mut().clear();
            layout.keys.clear();
            walked_alike(&mut layout, &names, usual);
        }
        assert_eq!(*names.borrow(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn what_a_layout_remembers_changes_nothing(
            texts in prop::collection::vec((prop::sample::select(sample_lines()), any::<prop::sample::Index>(), "[\"a:, {}]?"), 0..12),
        ) {
            let (mut layout, names) = (Layout::default(), std::cell::RefCell::default());
            for (line, at, put_in) in texts {
                let mut text = line.to_owned();
                let at = at.index(text.len());
                if text.is_char_boundary(at) {
                    text.insert_str(at, &put_in);
                }
                prop_assert_eq!(walked_alike(&mut layout, &names, &text), by_library(&text));
            }
        }

        #[test]
        fn text_that_is_nearly_json_is_judged_as_by_the_library(text in nearly_json(), inner in any::<bool>()) {
            let text = if inner { format!("{{\"k\":{text}}}") } else { text };
            prop_assert_eq!(walked(&text), by_library(&text));
            prop_assert_eq!(elements(&text), elements_by_library(&text));
            let array = format!("[{text}]");
            prop_assert_eq!(elements(&array), elements_by_library(&array));
        }

        #[test]
        fn a_changed_line_is_judged_as_by_the_library(
            line in prop::sample::select(sample_lines()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, any::<u8>()), 1..4),
        ) {
            let mut bytes = line.as_bytes().to_vec();
            for (at, kind, byte) in changes {
                let at = at.index(bytes.len());
                // Half of what is put in means something to the grammar.
                let byte = if byte < 128 { b"\"\\{}[],:0-.eE tfn\x1f\t"[usize::from(byte) % 19] } else { byte };
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(walked(&text), by_library(&text));
        }

        #[test]
        fn what_is_near_is_found(bytes in prop::collection::vec(prop::sample::select(vec![0u8, 9, 8, 10, 0x7f, 0x89, 0xff]), 0..60), near in 0usize..60) {
            let bytes = [vec![b'x'; near], bytes].concat();
            for byte in [0, 9, 0x89, 0xff] {
                prop_assert_eq!(find_near(byte, &bytes), bytes.iter().position(|&other| other == byte));
            }
        }

        #[test]
        fn plain_text_is_what_needs_no_escape(text in "[a-z\u{e9}\u{1f512}\\\\\"\u{0}-\u{20}\u{7f}]{0,90}") {
            let escaped = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(is_plain(&text), escaped.len() == text.len() + 2);
            let array = format!("[{escaped}, 1]");
            walk_array(&array, |raw| if raw.text != "1" {
                assert_eq!(raw.is_plain, is_plain(&text));
                assert_eq!(raw.string().as_deref(), Some(text.as_str()));
            }).unwrap();
        }
    }
}
