//! The conditions of a rule on one text, matched as Suricata matches them.

use std::borrow::Cow;

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::buffer::{Buffer, Buffers};
use crate::model::{Serial, hex_value};

/// All conditions on one text.
#[derive(Clone, Debug)]
pub(in super::super) struct BufferTest {
    /// The text.
    pub(super) buffer: Buffer,
    /// A dot is put before it, so that `.evil.example` matches the name itself too.
    pub(super) dot_prefix: bool,
    /// It is looked at in lower case.
    pub(super) lower: bool,
    /// The conditions in their order: a relative one continues from the match before it.
    pub(super) checks: Vec<Check>,
    /// The serial number that the conditions spell, if they spell a whole one: it is compared as a number too.
    pub(super) serial: Option<Serial>,
}

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum Check {
    Content(Content),
    /// Whether there are so many bytes: of the whole text, or behind the last match.
    DataAt {
        bytes: usize,
        relative: bool,
        negated: bool,
    },
    Pcre {
        regex: Regex,
        relative: bool,
        negated: bool,
    },
    /// Length of the text, both ends included.
    Size {
        least: usize,
        most: usize,
    },
}

/// A text to be found.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// What is looked for; in lower case where case does not matter.
    pub(super) bytes: Vec<u8>,
    pub(super) nocase: bool,
    pub(super) negated: bool,
    pub(super) offset: usize,
    pub(super) depth: Option<usize>,
    pub(super) distance: Option<i64>,
    pub(super) within: Option<usize>,
    pub(super) ends: bool,
}

/// A text, and the same in lower case.
struct Text<'a> {
    as_it_is: Cow<'a, [u8]>,
    lower: Vec<u8>,
}

/// Longest text that is looked for, in bytes.
const MAX_CONTENT: usize = 1024;
/// Octets from which on a serial number is taken for a whole one.
const MIN_WHOLE_SERIAL: usize = 4;
/// Steps that matching one text may take; relative conditions may have to be tried from many places.
const MAX_STEPS: u32 = 2_000;
/// Largest compiled expression, in bytes.
const MAX_REGEX: usize = 256 * 1024;
/// Colons and digits of a SHA-1.
const FINGERPRINT: usize = 59;

impl BufferTest {
    /// A text without a condition yet.
    pub(super) fn new(buffer: Buffer) -> Self {
        Self { buffer, dot_prefix: false, lower: false, checks: Vec::new(), serial: None }
    }

    /// Whether the conditions hold; not where the text is not known.
    pub(super) fn holds(&self, buffers: &Buffers) -> bool {
        let Some(text) = buffers.get(self.buffer) else { return false };
        if let Some(serial) = &self.serial
            && Serial::parse_octets(text).is_some_and(|found| found.digits() == serial.digits())
        {
            return true;
        }
        let text = match (self.dot_prefix, self.lower) {
            (false, false) => Cow::Borrowed(text.as_bytes()),
            (dot, lower) => {
                let text = if dot { format!(".{text}") } else { text.to_owned() };
                Cow::Owned(if lower { text.to_ascii_lowercase() } else { text }.into_bytes())
            }
        };
        let text = Text { lower: text.to_ascii_lowercase(), as_it_is: text };
        holds_from(&self.checks, &text, 0, &mut MAX_STEPS.clone())
    }

    /// The text to be found that is not negated and the longest.
    pub(super) fn longest_content(&self) -> Option<&[u8]> {
        let contents = self.checks.iter().filter_map(|check| match check {
            Check::Content(content) if !content.negated && !content.bytes.is_empty() => Some(&*content.bytes),
            _ => None,
        });
        contents.max_by_key(|bytes| bytes.len())
    }

    /// The fingerprint, where the conditions are one whole one.
    pub(in super::super) fn whole_fingerprint(&self) -> Option<&str> {
        let content = self.only_content().filter(|_| self.buffer == Buffer::Fingerprint)?;
        std::str::from_utf8(&content.bytes).ok().filter(|text| text.len() == FINGERPRINT)
    }

    /// The serial number, where the conditions are one whole one.
    pub(in super::super) fn whole_serial(&self) -> Option<&Serial> {
        self.serial.as_ref()
    }

    /// Looks whether the conditions spell a whole serial number.
    pub(super) fn find_serial(&mut self) {
        let Some(content) = self.only_content().filter(|_| self.buffer == Buffer::Serial) else { return };
        let Ok(text) = std::str::from_utf8(&content.bytes) else { return };
        let is_whole = text.split(':').count() >= MIN_WHOLE_SERIAL && text.split(':').all(|octet| octet.len() == 2);
        self.serial = Serial::parse_octets(text).filter(|_| is_whole);
    }

    /// The only text that is looked for, with nothing beside it but the length and the end of the text.
    fn only_content(&self) -> Option<&Content> {
        let mut only = None;
        for check in &self.checks {
            match check {
                Check::Content(content) if only.is_none() && !content.negated && content.offset == 0 => {
                    only = Some(content);
                }
                Check::Size { .. } | Check::DataAt { bytes: 1, relative: true, negated: true } => {}
                _ => return None,
            }
        }
        only.filter(|content| content.distance.is_none() && content.within.is_none())
    }
}

impl Content {
    /// Reads what stands between the quotes: `|41 42|` are octets, a backslash escapes.
    pub(super) fn parse(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut in_octets = false;
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'|' => in_octets = !in_octets,
                b' ' if in_octets => {}
                _ if in_octets => bytes.push(hex_value(byte)? << 4 | hex_value(rest.next()?)?),
                b'\\' => bytes.push(rest.next()?),
                _ => bytes.push(byte),
            }
        }
        (!in_octets && !bytes.is_empty() && bytes.len() <= MAX_CONTENT).then_some(bytes)
    }

    fn is_relative(&self) -> bool {
        self.distance.is_some() || self.within.is_some()
    }

    /// Where it may lie, after a match that ended at `after`.
    fn range(&self, after: usize, length: usize) -> (usize, usize) {
        let from = match self.is_relative() {
            true => (after as i64).saturating_add(self.distance.unwrap_or(0)).max(0) as usize,
            false => self.offset,
        };
        let to = match (self.within, self.depth) {
            (Some(within), _) => from.saturating_add(within),
            (None, Some(depth)) if !self.is_relative() => self.offset.saturating_add(depth),
            _ => length,
        };
        (from.min(length), to.min(length))
    }
}

/// Reads `"/expression/flags"`; `None` where the expression or a flag cannot be expressed here.
pub(super) fn parse_pcre(text: &str, negated: bool) -> Option<Check> {
    let text = text.strip_prefix('/')?;
    let (pattern, flags) = text.rsplit_once('/')?;
    let mut relative = false;
    let mut pattern = Cow::Borrowed(pattern);
    let mut builder_flags = (false, false, false, false, false);
    for flag in flags.chars() {
        match flag {
            'i' => builder_flags.0 = true,
            's' => builder_flags.1 = true,
            'm' => builder_flags.2 = true,
            'x' => builder_flags.3 = true,
            'G' => builder_flags.4 = true,
            'R' => relative = true,
            'A' => pattern = Cow::Owned(format!("^(?:{pattern})")),
            // The text that it looks at is given by the buffer before it.
            'O' => {}
            _ => return None,
        }
    }
    let regex = RegexBuilder::new(&pattern.replace("\\/", "/"))
        .case_insensitive(builder_flags.0)
        .dot_matches_new_line(builder_flags.1)
        .multi_line(builder_flags.2)
        .ignore_whitespace(builder_flags.3)
        .swap_greed(builder_flags.4)
        .unicode(false)
        .size_limit(MAX_REGEX)
        .build()
        .ok()?;
    Some(Check::Pcre { regex, relative, negated })
}

fn holds_from(checks: &[Check], text: &Text<'_>, after: usize, steps: &mut u32) -> bool {
    let Some((check, rest)) = checks.split_first() else { return true };
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let length = text.as_it_is.len();
    match check {
        Check::Size { least, most } => (*least..=*most).contains(&length) && holds_from(rest, text, after, steps),
        Check::DataAt { bytes, relative, negated } => {
            let there = if *relative { length.saturating_sub(after) >= *bytes } else { length > *bytes };
            there != *negated && holds_from(rest, text, after, steps)
        }
        Check::Content(content) => {
            let (from, to) = content.range(after, length);
            let bytes = if content.nocase { &text.lower[..] } else { &text.as_it_is[..] };
            let window = bytes.get(from..to).unwrap_or_default();
            let ends_well = |at: usize| !content.ends || from + at + content.bytes.len() == length;
            let mut found = memmem::find_iter(window, &content.bytes).filter(|&at| ends_well(at));
            if content.negated {
                return found.next().is_none() && holds_from(rest, text, after, steps);
            }
            // Occurrences that overlap matter at the end of the text only.
            let last = window.len().checked_sub(content.bytes.len()).filter(|&at| window[at..] == content.bytes);
            let last = last.filter(|&at| ends_well(at));
            found.chain(last).any(|at| holds_from(rest, text, from + at + content.bytes.len(), steps))
        }
        Check::Pcre { regex, relative, negated } => {
            let from = if *relative { after.min(length) } else { 0 };
            let mut found = regex.find_iter(&text.as_it_is[from..]);
            if *negated {
                return found.next().is_none() && holds_from(rest, text, after, steps);
            }
            found.any(|found| holds_from(rest, text, from + found.end(), steps))
        }
    }
}
