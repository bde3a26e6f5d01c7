//! Rules, found by the longest text that they look for.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind as AhoMatchKind};

use super::buffer::{Buffer, Buffers};
use super::check::BufferTest;
use crate::knowledge::feeds::{MatchKind, Standing};
use crate::model::{Certificate, EventTime};

/// One rule.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    /// Index of its feed.
    pub(in super::super) feed: u32,
    /// Its line.
    pub(in super::super) row: u32,
    /// Its number, and which revision it is.
    pub(in super::super) revision: Option<Revision>,
    /// Its message, or the family in it.
    pub(in super::super) label: Arc<str>,
    /// What it compares.
    pub(in super::super) kind: MatchKind,
    /// Whether it accuses.
    pub(in super::super) standing: Standing,
    /// When it was written.
    pub(in super::super) listed: Option<EventTime>,
    /// The server's port.
    pub(in super::super) port: Option<u16>,
    /// All of them have to hold; never empty.
    pub(in super::super) tests: Vec<BufferTest>,
}

/// Which rule a rule is, and which revision of it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Revision {
    /// The group that the number is of.
    pub(in super::super) gid: u64,
    /// The number of the rule.
    pub(in super::super) sid: u64,
    /// The number of the revision.
    pub(in super::super) number: u64,
}

/// A rule that holds, and the text that shows it.
pub(in super::super) struct RuleHit<'a> {
    pub(in super::super) rule: &'a Rule,
    pub(in super::super) field: &'static str,
    pub(in super::super) observed: String,
}

/// Rules by the texts that they look for.
#[derive(Default)]
pub(in super::super) struct RuleSet {
    /// In the order of the files.
    rules: Vec<Rule>,
    /// Those that look at certificates only.
    certificate: Finder,
    /// Those that look at the server's name too.
    session: Finder,
    asks_for_sha1: bool,
}

/// Finds the rules that may hold.
#[derive(Default)]
struct Finder {
    /// For each text, an automaton and the rule of each of its patterns.
    by_content: Vec<(Buffer, AhoCorasick, Vec<u32>)>,
    /// Rules without a text to be found: they are tried always.
    always: Vec<u32>,
}

/// What is looked for in one text, and the rule of each.
struct Patterns<'a> {
    buffer: Buffer,
    contents: Vec<&'a [u8]>,
    rules: Vec<u32>,
}

impl Rule {
    /// What its hits show as the indicator.
    pub(in super::super) fn indicator(&self) -> String {
        self.revision.map_or_else(|| format!("rule in line {}", self.row), |revision| format!("sid:{}", revision.sid))
    }

    fn asks_for_name(&self) -> bool {
        self.tests.iter().any(|test| test.buffer == Buffer::ServerName)
    }

    fn hit(&self, buffers: &Buffers) -> Option<RuleHit<'_>> {
        if !self.tests.iter().all(|test| test.holds(buffers)) {
            return None;
        }
        let buffer = self.tests.first()?.buffer;
        Some(RuleHit {
            rule: self,
            field: buffer.field(),
            observed: buffers.get(buffer).unwrap_or_default().to_owned(),
        })
    }
}

impl RuleSet {
    /// Indexes rules.
    pub(in super::super) fn new(rules: Vec<Rule>) -> Self {
        let finder = |wanted: bool| {
            let chosen = (0_u32..).zip(&rules).filter(|(_, rule)| rule.asks_for_name() == wanted);
            Finder::new(chosen, wanted)
        };
        let (certificate, session) = (finder(false), finder(true));
        let is_fingerprint = |test: &BufferTest| test.buffer == Buffer::Fingerprint;
        let asks_for_sha1 = rules.iter().flat_map(|rule| &rule.tests).any(is_fingerprint);
        Self { certificate, session, asks_for_sha1, rules }
    }

    /// The rules, in the order of the files.
    pub(in super::super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether there is no rule.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a rule looks at the SHA-1 of certificates.
    pub(in super::super) fn asks_for_sha1(&self) -> bool {
        self.asks_for_sha1
    }

    /// The rules that hold for a certificate by itself.
    pub(in super::super) fn of_certificate(&self, certificate: &Certificate) -> Vec<RuleHit<'_>> {
        match self.certificate.is_empty() {
            true => Vec::new(),
            false => self.hits(&self.certificate, &Buffers::of_certificate(certificate)),
        }
    }

    /// Whether a rule looks at the server's name.
    pub(in super::super) fn look_at_sessions(&self) -> bool {
        !self.session.is_empty()
    }

    /// The rules that look at the server's name and hold for a session.
    pub(in super::super) fn of_session(&self, name: &str, certificate: Option<&Certificate>) -> Vec<RuleHit<'_>> {
        let named = Buffers::default().with_server_name(Some(name));
        let candidates = self.session.candidates(&named);
        if candidates.is_empty() {
            return Vec::new();
        }
        let buffers = certificate.map(Buffers::of_certificate).unwrap_or_default().with_server_name(Some(name));
        candidates.into_iter().filter_map(|index| self.rules[index as usize].hit(&buffers)).collect()
    }

    fn hits(&self, finder: &Finder, buffers: &Buffers) -> Vec<RuleHit<'_>> {
        let candidates = finder.candidates(buffers);
        candidates.into_iter().filter_map(|index| self.rules[index as usize].hit(buffers)).collect()
    }
}

impl Finder {
    fn new<'a>(rules: impl Iterator<Item = (u32, &'a Rule)>, by_name: bool) -> Self {
        let mut finder = Self::default();
        let mut patterns: Vec<Patterns<'_>> = Vec::new();
        for (index, rule) in rules {
            // A serial number may be spelled otherwise, and a name may be all that is known of a session.
            let usable = |test: &&BufferTest| match by_name {
                true => test.buffer == Buffer::ServerName,
                false => test.serial.is_none(),
            };
            let tests = rule.tests.iter().filter(usable);
            let longest = tests
                .filter_map(|test| Some((test.buffer, test.longest_content().map(|bytes| undotted(test, bytes))?)))
                .max_by_key(|(_, bytes)| bytes.len());
            match longest {
                Some((buffer, bytes)) => match patterns.iter_mut().find(|known| known.buffer == buffer) {
                    Some(known) => {
                        known.contents.push(bytes);
                        known.rules.push(index);
                    }
                    None => patterns.push(Patterns { buffer, contents: vec![bytes], rules: vec![index] }),
                },
                None => finder.always.push(index),
            }
        }
        for Patterns { buffer, contents, rules } in patterns {
            let automaton = AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(AhoMatchKind::Standard)
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(contents);
            match automaton {
                Ok(automaton) => finder.by_content.push((buffer, automaton, rules)),
                // Too many texts for one automaton: then each of the rules is tried.
                Err(_) => finder.always.extend(rules),
            }
        }
        finder
    }

    fn is_empty(&self) -> bool {
        self.by_content.is_empty() && self.always.is_empty()
    }

    /// Rules that may hold, in their order.
    fn candidates(&self, buffers: &Buffers) -> Vec<u32> {
        let mut found = self.always.clone();
        for (buffer, automaton, rules) in &self.by_content {
            let Some(text) = buffers.get(*buffer) else { continue };
            found.extend(automaton.find_overlapping_iter(text).map(|hit| rules[hit.pattern().as_usize()]));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// A text as it stands in the name itself: the dot that Suricata puts before the name is not there.
fn undotted<'a>(test: &BufferTest, bytes: &'a [u8]) -> &'a [u8] {
    bytes.strip_prefix(b".").filter(|rest| test.dot_prefix && !rest.is_empty()).unwrap_or(bytes)
}
