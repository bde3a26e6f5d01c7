//! Lists of names without dates, one on a line, in the spellings of blocklists: a bare name, `*.evil.example`,
//! `||evil.example^` of ad blockers, `local-zone: "evil.example" always_nxdomain` of unbound, `0.0.0.0 evil.example` of
//! hosts files. When they were registered is known of the list as a whole.

use super::Precision;
use super::list::Head;
use super::read::{Found, ListFormat, Reading, Row};
use super::report::ListDays;
use crate::knowledge::suffix::registrable_domain;

pub(super) const FORMAT: ListFormat = ListFormat {
    name: "names",
    recognise: |head: &Head<'_>| {
        // What lists nothing says nothing of the shape.
        let rows = head.rows.iter().map(|line| name_in(line)).filter(|name| *name != Some(None));
        let (good, bad): (Vec<_>, Vec<_>) = rows.partition(|name| name.flatten().is_some_and(is_domain));
        if good.is_empty() || bad.len() * 2 > good.len() {
            return Ok(None);
        }
        let days = head.days()?.ok_or(NO_DAYS)?;
        Ok(Some(Box::new(Names(days)) as Box<dyn Reading>))
    },
};

const NO_DAYS: &str = "names without dates, and neither the file's name nor a comment says which days they were registered \
                       in: set window_days or date for it in knowledge.registered";

struct Names(ListDays);

impl Reading for Names {
    fn read<'a>(&self, line: &'a str, take: &mut dyn FnMut(Row<'a>)) -> Result<Found, &'static str> {
        match name_in(line) {
            None => Err("more than one thing in a line"),
            Some(None) => Ok(Found::Nothing),
            Some(Some(name)) => {
                take(Row {
                    name: name.into(),
                    day: self.0.first,
                    // A list of a single day is one of what was noticed then, too: no row of it outweighs a date.
                    precision: Precision::Window,
                    as_of: Some(self.0.last),
                    source: None,
                });
                Ok(Found::Row)
            }
        }
    }

    fn days(&self) -> Option<ListDays> {
        Some(self.0)
    }
}

/// The name that a line lists; `Some(None)` where it lists nothing, `None` where it cannot be understood.
fn name_in(line: &str) -> Option<Option<&str>> {
    if is_remark(line) {
        return Some(None);
    }
    let line = line.split_once(" #").or_else(|| line.split_once("\t#")).map_or(line, |(line, _)| line.trim_end());
    if let Some(rule) = line.strip_prefix("||") {
        return Some(rule.split(['^', '$']).next());
    }
    if let Some(zone) = line.strip_prefix("local-zone:") {
        return Some(zone.trim_start().trim_start_matches('"').split(['"', ' ']).next());
    }
    let mut words = line.split_whitespace();
    match (words.next(), words.next()) {
        (Some("127.0.0.1" | "0.0.0.0" | "::1" | "::" | "fe80::1%lo0" | "255.255.255.255"), Some(host)) => {
            // `localhost` and its like.
            Some(Some(host).filter(|host| host.contains('.') && *host != "0.0.0.0" && !host.starts_with("localhost.")))
        }
        (Some(word), None) => Some(Some(word)),
        _ => None,
    }
}

/// Comments of ad blockers and their exceptions, and what unbound's files say beside zones.
fn is_remark(line: &str) -> bool {
    ["[Adblock", "@@", "//", "server:", "local-data:"].iter().any(|start| line.starts_with(start))
}

fn is_domain(name: &str) -> bool {
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    registrable_domain(name).is_some()
}
