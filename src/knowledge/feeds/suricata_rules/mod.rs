//! Suricata rules that look at certificates and server names.
//!
//! A rule that compares a whole fingerprint or a whole serial number and nothing else becomes a row like those of other
//! feeds. Other rules are kept with their conditions, and found by the longest text that they look for.
//!
//! What a rule asks for beyond is ignored only where that cannot make it match more than it should: see
//! `options::IGNORED`. Any other keyword makes the rule unsupported; it is counted, with its `sid` and the keyword.
//! Rules that are commented out are switched off, and are not read. A rule goes on in the next line where its line ends
//! with `\`. Of several revisions of one rule in a file the latest counts, or none where the latest is unsupported.

mod buffer;
mod check;
mod options;
mod set;

use std::borrow::Cow;
use std::collections::HashMap;

use super::Standing;
use super::format::{Head, LineFormat, Lines, RowEnd, are_most};
use super::rows::{Indicator, Row, Rows};
use crate::model::Sha1Digest;
use options::Unusable;
pub(super) use set::{Revision, Rule, RuleHit, RuleSet};

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "Suricata rules",
    says_so: true,
    recognise: |head: &Head<'_>| {
        let is_rule = |line: &str| {
            let action = line.split_whitespace().next().unwrap_or_default();
            options::ACTIONS.contains(&action) && line.contains("->") | line.contains("<>") && line.ends_with(')')
        };
        let lines = head.rows.iter().map(|(_, line)| *line);
        are_most(joined(lines).iter().map(|line| is_rule(line))).then(|| Box::new(RuleLines) as Box<dyn Lines>)
    },
};

struct RuleLines;

impl Lines for RuleLines {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        let whole = joined(line.lines());
        match options::parse(number, whole.first().map_or("", |line| line.trim())) {
            // What it is counted as is known when all revisions of it are.
            Ok(rule) => rows.rules.push(rule),
            Err(Unusable::Bad(problem)) => rows.bad(number, problem),
            Err(Unusable::Unsupported { revision, keyword }) => {
                let sid = revision.map_or_else(|| "rule without sid".to_owned(), |rule| format!("sid {}", rule.sid));
                rows.unsupported(number, &format!("{sid}: {keyword}"));
                rows.unsupported_rules.extend(revision);
            }
        }
    }

    fn row_end(&self) -> RowEnd {
        RowEnd::Uncontinued
    }

    fn finish(&self, rows: &mut Rows) {
        let rules = std::mem::take(&mut rows.rules);
        let unsupported = std::mem::take(&mut rows.unsupported_rules);
        let (latest, latest_unsupported) = (latest(rules.iter().filter_map(|rule| rule.revision)), latest(unsupported));
        for rule in rules {
            let is_before = |latest: &HashMap<(u64, u64), u64>| {
                let later =
                    |rule: Revision| latest.get(&(rule.gid, rule.sid)).is_some_and(|latest| rule.number < *latest);
                rule.revision.is_some_and(later)
            };
            if is_before(&latest) {
                rows.expired();
            } else if is_before(&latest_unsupported) {
                // What its author no longer means is not in force because certsift cannot tell what he means now.
                let sid = rule.revision.map_or(0, |rule| rule.sid);
                rows.unsupported(rule.row, &format!("sid {sid}: a later revision that is not supported"));
            } else {
                add(rule, rows);
            }
        }
    }
}

/// The latest revision of each rule.
fn latest(revisions: impl IntoIterator<Item = Revision>) -> HashMap<(u64, u64), u64> {
    let mut latest: HashMap<(u64, u64), u64> = HashMap::new();
    for Revision { gid, sid, number } in revisions {
        let known = latest.entry((gid, sid)).or_default();
        *known = number.max(*known);
    }
    latest
}

/// Lines, each with those in which it goes on.
fn joined<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Cow<'a, str>> {
    let mut whole: Vec<Cow<'a, str>> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let continued = line.trim_end().strip_suffix('\\');
        let part = continued.unwrap_or(line);
        match whole.last_mut() {
            Some(last) if goes_on => last.to_mut().push_str(part),
            _ => whole.push(part.into()),
        }
        goes_on = continued.is_some();
    }
    whole
}

fn add(rule: Rule, rows: &mut Rows) {
    let indicator = match &rule.tests[..] {
        [test] if rule.port.is_none() => {
            let fingerprint = || test.whole_fingerprint().and_then(Sha1Digest::parse).map(Indicator::Sha1);
            fingerprint().or_else(|| test.whole_serial().cloned().map(Indicator::Serial))
        }
        _ => None,
    };
    let Some(indicator) = indicator else { return rows.add_rule(rule) };
    let written = rule.indicator();
    rows.add_as(
        rule.row,
        Row {
            label: &rule.label,
            written: &written,
            listed: rule.listed,
            standing: rule.standing,
            ..Row::of(indicator)
        },
    );
}

/// Classes of rules (`classtype`) that accuse. Rules without a class do too: they are somebody's own.
const ACCUSING: [&str; 16] = [
    "attempted-admin",
    "attempted-recon",
    "attempted-user",
    "coin-mining",
    "command-and-control",
    "credential-theft",
    "domain-c2",
    "exploit-kit",
    "shellcode-detect",
    "social-engineering",
    "successful-admin",
    "successful-user",
    "targeted-activity",
    "trojan-activity",
    "web-application-attack",
    "misc-attack",
];

/// What a rule of a class is meant to say.
fn standing_of(class: Option<&str>, is_informative: bool) -> Standing {
    match class {
        _ if is_informative => Standing::Informative,
        None => Standing::Malicious,
        Some(class) if ACCUSING.contains(&class) => Standing::Malicious,
        Some(_) => Standing::Informative,
    }
}
