//! Suricata rules that look at certificates and server names.
//!
//! A rule that compares a whole fingerprint or a whole serial number and nothing else becomes a row like those of other
//! feeds. Other rules are kept with their conditions, and found by the longest text that they look for.
//!
//! What a rule asks for beyond is ignored only where that cannot make it match more than it should: see
//! `options::IGNORED`. Any other keyword makes the rule unsupported; it is counted, with its `sid` and the keyword.
//! Rules that are commented out are switched off, and are not read.

mod buffer;
mod check;
mod options;
mod set;

use super::Standing;
use super::format::{Head, LineFormat, Lines};
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
        head.most_rows(is_rule).then(|| Box::new(RuleLines) as Box<dyn Lines>)
    },
};

struct RuleLines;

impl Lines for RuleLines {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        match options::parse(number, line) {
            Ok(rule) => add(number, rule, rows),
            Err(Unusable::Bad(problem)) => rows.bad(number, problem),
            Err(Unusable::Unsupported { sid, keyword }) => {
                let sid = sid.map_or_else(|| "rule without sid".to_owned(), |sid| format!("sid {sid}"));
                rows.unsupported(number, &format!("{sid}: {keyword}"));
            }
        }
    }
}

fn add(number: u32, rule: Rule, rows: &mut Rows) {
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
        number,
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
