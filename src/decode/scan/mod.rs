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

/// What takes the members of an object, and those of objects that stand in it.
pub(super) trait Members<'a> {
    /// Whether the members of the object that comes next under this key are to be taken as well.
    fn enters(&mut self, key: &str) -> bool;
    /// Takes a member, behind those of the object that it is.
    fn take(&mut self, key: &str, raw: &'a str);
    /// Takes a member of an object that was entered.
    fn take_inner(&mut self, key: &str, raw: &'a str);
}

/// The same as [`walk_object`] for an object and for objects in it, in one pass.
pub(super) fn walk_into<'a>(text: &'a str, members: &mut impl Members<'a>) -> Option<usize> {
    let bytes = text.as_bytes();
    let members = std::cell::RefCell::new(members);
    let end_of = |key: &Key, at: usize| {
        if *bytes.get(at)? != b'{' || !members.borrow_mut().enters(&key.text(text)) {
            return end_of_value(text, at);
        }
        let take = |key: Key, raw: Raw<'a>| members.borrow_mut().take_inner(&key.text(text), raw.text);
        let (end, _) = members_from(text, at, |at| Key::read(text, at), |_, at| end_of_value(text, at), take)?;
        Some((end, true))
    };
    let take = |key: Key, raw: Raw<'a>| members.borrow_mut().take(&key.text(text), raw.text);
    let (end, keys) = members_from(text, skip_space(bytes, 0), |at| Key::read(text, at), end_of, take)?;
    (skip_space(bytes, end) == bytes.len()).then_some(keys)
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
    key_at: impl FnMut(usize) -> Option<(K, usize)>,
    each: impl FnMut(K, Raw<'a>),
) -> Option<usize> {
    let bytes = text.as_bytes();
    let (end, keys) = members_from(text, skip_space(bytes, 0), key_at, |_, at| end_of_value(text, at), each)?;
    (skip_space(bytes, end) == bytes.len()).then_some(keys)
}

/// Walks the object that begins at `at`; `end_of` finds the end of a value, and whether nothing in it is escaped. Gives
/// the end of the object and the number of its keys.
#[inline(always)]
fn members_from<'a, K>(
    text: &'a str,
    mut at: usize,
    mut key_at: impl FnMut(usize) -> Option<(K, usize)>,
    mut end_of: impl FnMut(&K, usize) -> Option<(usize, bool)>,
    mut each: impl FnMut(K, Raw<'a>),
) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if *bytes.get(at)? != b'{' {
        return None;
    }
    at = skip_space(bytes, at + 1);
    let mut keys = 0;
    if *bytes.get(at)? == b'}' {
        return Some((at + 1, keys));
    }
    loop {
        let (key, start) = key_at(at)?;
        let (end, is_plain) = end_of(&key, start)?;
        each(key, Raw { text: text.get(start..end)?, is_plain });
        keys += 1;
        if *bytes.get(end)? == b',' {
            at = end + 1;
            continue;
        }
        at = skip_space(bytes, end) + 1;
        match *bytes.get(at - 1)? {
            b',' => {}
            b'}' => return Some((at, keys)),
            _ => return None,
        }
    }
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
mod tests;
