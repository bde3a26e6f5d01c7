//! Suricata rules that look at certificates and server names.
//!
//! A rule that compares a whole fingerprint or a whole serial number and nothing else becomes a row like those of other
//! feeds. Other rules are kept with their conditions, and found by the longest text that they look for.
//!
//! What a rule asks for beyond is ignored only where that cannot make it match more than it should: see
//! `options::IGNORED`. Any other keyword makes the rule unsupported; it is counted, with its `sid` and the keyword.
//! Rules that are commented out are switched off, and are not read. A rule goes on in the next line where its line ends
//! with `\`. Of several revisions of one rule in a file the latest counts.

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
pub(super) use set::{Rule, RuleHit, RuleSet};

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
            Err(Unusable::Unsupported { sid, keyword }) => {
                let sid = sid.map_or_else(|| "rule without sid".to_owned(), |sid| format!("sid {sid}"));
                rows.unsupported(number, &format!("{sid}: {keyword}"));
            }
        }
    }

    fn row_end(&self) -> RowEnd {
        RowEnd::Uncontinued
    }

    fn finish(&self, rows: &mut Rows) {
        let rules = std::mem::take(&mut rows.rules);
        let mut latest: HashMap<(u64, u64), u64> = HashMap::new();
        for rule in &rules {
            if let Some(sid) = rule.sid {
                let revision = latest.entry((rule.gid, sid)).or_default();
                *revision = rule.revision.max(*revision);
            }
        }
        for rule in rules {
            let latest = rule.sid.and_then(|sid| latest.get(&(rule.gid, sid)));
            if latest.is_some_and(|latest| rule.revision < *latest) {
                rows.expired();
            } else {
                add(rule, rows);
            }
        }
    }
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
