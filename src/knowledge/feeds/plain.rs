//! One indicator on a line, in the spellings of blocklists: a bare hash, name, address or network, `*.evil.example`,
//! `||evil.example^` of ad blockers, `local-zone: "evil.example" always_nxdomain` of unbound, `127.0.0.1 evil.example`
//! of hosts files. What stands behind ` #` is a remark and becomes the label.

use super::Standing;
use super::format::{Head, LineFormat, Lines};
use super::indicator::{self, Reading};
use super::rows::{Indicator, NameKey, Row, Rows};
use super::when;
use crate::model::EventTime;

pub(super) const FORMAT: LineFormat = LineFormat {
    name: "plain list",
    says_so: false,
    recognise: |head: &Head<'_>| {
        let remarks = head.rows.iter().filter(|(_, line)| is_remark(line)).count();
        let is_row = |line: &str| {
            is_remark(line) || matches!(read(line), Parsed::One(Reading::Row(_) | Reading::Unsupported(_), _))
        };
        let has_rows = remarks < head.rows.len();
        (has_rows && head.most_rows(is_row)).then(|| Box::new(List::new(head)) as Box<dyn Lines>)
    },
};

/// Addresses to which hosts files send the names that they block.
pub(super) const SINKS: [&str; 6] = ["127.0.0.1", "0.0.0.0", "::1", "::", "fe80::1%lo0", "255.255.255.255"];

/// A list, and what its first comments say of all of it.
struct List {
    label: String,
    listed: Option<EventTime>,
    standing: Standing,
}

enum Parsed<'a> {
    /// A line that lists nothing, such as that of the host itself.
    Nothing,
    One(Reading, &'a str),
}

impl List {
    fn new(head: &Head<'_>) -> Self {
        let after = |words: &[&str]| {
            head.comments.iter().find_map(|comment| {
                let (key, value) = comment.split_once(':')?;
                words.iter().any(|word| key.trim().eq_ignore_ascii_case(word)).then(|| value.trim())
            })
        };
        let kind = after(&["type", "category", "threat"]).unwrap_or_default();
        // A list of all that was registered lately accuses nobody; one of what phishes does. Some have no comment at all.
        let named_so = ["nrd", "domain-names", "newly"].iter().any(|start| head.name.to_lowercase().starts_with(start));
        let says_so = after(&["max domain age", "time of compilation"]).is_some();
        let is_registrations = (named_so || says_so) && kind.is_empty();
        Self {
            label: if is_registrations { "newly registered".to_owned() } else { kind.to_owned() },
            listed: after(&["generated on", "last updated", "last modified", "time of compilation", "date"])
                .and_then(when::parse),
            standing: if is_registrations { Standing::Informative } else { Standing::Malicious },
        }
    }
}

impl Lines for List {
    fn read(&self, number: u32, line: &str, rows: &mut Rows) {
        if is_remark(line) {
            return;
        }
        match read(line) {
            Parsed::Nothing => {}
            Parsed::One(Reading::Unsupported(what), _) => rows.unsupported(number, what),
            Parsed::One(Reading::Bad(problem), _) => rows.bad(number, problem),
            Parsed::One(Reading::Row(found), remark) => {
                let label = if remark.is_empty() { &*self.label } else { remark };
                rows.add(number, Row { label, listed: self.listed, standing: self.standing, ..Row::of(found) });
            }
        }
    }
}

/// Comments of ad blockers and of unbound's files.
fn is_remark(line: &str) -> bool {
    line.starts_with(['!', ';']) || ["[Adblock", "server:", "//"].iter().any(|start| line.starts_with(start))
}

fn read(line: &str) -> Parsed<'_> {
    let (line, remark) = match line.split_once(" #").or_else(|| line.split_once("\t#")) {
        Some((line, remark)) => (line.trim_end(), remark.trim_matches(['#', ' '])),
        None => (line, ""),
    };
    let below = |text: &str| match indicator::name(text) {
        Ok(name) => Reading::Row(Indicator::Name(NameKey { below: true, ..name })),
        Err(problem) => Reading::Bad(problem),
    };
    if let Some(rule) = line.strip_prefix("||") {
        return Parsed::One(below(rule.split(['^', '$']).next().unwrap_or_default()), remark);
    }
    if let Some(zone) = line.strip_prefix("local-zone:") {
        let name = zone.trim_start().trim_start_matches('"').split(['"', ' ']).next().unwrap_or_default();
        return Parsed::One(below(name), remark);
    }
    if line.starts_with("local-data:") {
        // The address that unbound answers with, of a zone that stands in a line of its own.
        return Parsed::Nothing;
    }
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some(sink), Some(host)) if SINKS.contains(&sink) => {
            match indicator::name(host) {
                Ok(name) => Parsed::One(Reading::Row(Indicator::Name(name)), remark),
                // `localhost` and its like.
                Err(_) if !host.contains('.') => Parsed::Nothing,
                Err(_) if host == "0.0.0.0" || host.starts_with("localhost.") => Parsed::Nothing,
                Err(problem) => Parsed::One(Reading::Bad(problem), remark),
            }
        }
        (Some(word), None) => Parsed::One(indicator::read(word), remark),
        _ => Parsed::One(Reading::Bad("more than one thing in a line"), remark),
    }
}
