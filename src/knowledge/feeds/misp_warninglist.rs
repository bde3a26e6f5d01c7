//! MISP warning lists: what is popular, shared, or of some kind. They accuse nobody and are said beside the rows of other
//! feeds only. Where a name is popular, a listed server address weighs nothing; only ranks of popular sites say that. The
//! others, of dynamic DNS as of cloud networks, say what kind of thing it is.

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Standing;
use super::address::Network;
use super::document::{Loose, Shape, for_each};
use super::format::DocumentFormat;
use super::indicator::{self, Reading};
use super::rows::{Indicator, NameKey, PatternTest, Row, Rows};

pub(super) const FORMAT: DocumentFormat = DocumentFormat {
    name: "MISP warning list",
    recognise: |shape: &Shape| !shape.is_list && shape.has("list") && shape.kind.as_deref().is_some_and(is_kind),
    read,
};

#[derive(Deserialize)]
struct WarningList<'a> {
    #[serde(borrow, default)]
    name: Loose<'a>,
    #[serde(rename = "type", borrow)]
    kind: Loose<'a>,
    #[serde(borrow)]
    list: &'a RawValue,
}

/// What all entries of one list share.
struct List<'a> {
    name: &'a str,
    standing: Standing,
}

/// Largest compiled expression, in bytes.
const MAX_REGEX: usize = 64 * 1024;
/// A shorter part would be in every other name.
const MIN_PART: usize = 4;

fn is_kind(kind: &str) -> bool {
    matches!(kind, "string" | "hostname" | "cidr" | "substring" | "regex")
}

fn read(text: &str, rows: &mut Rows) -> Result<(), serde_json::Error> {
    let WarningList { name, kind, list: entries } = serde_json::from_str(text)?;
    let standing = if is_popularity(&name.0, &kind.0) { Standing::WellKnown } else { Standing::Category };
    let list = List { name: &name.0, standing };
    for_each(entries.get(), |number, entry| {
        // An entry that is no text costs itself only.
        let value: Loose<'_> = serde_json::from_str(entry.get()).unwrap_or_default();
        list.read(number, value.0.trim(), &kind.0, rows);
    })
}

impl List<'_> {
    fn read(&self, number: u32, value: &str, kind: &str, rows: &mut Rows) {
        if value.is_empty() {
            return rows.bad(number, "it is no text");
        }
        match kind {
            "hostname" => match indicator::name(value) {
                Ok(name) => self.add(number, Indicator::Name(NameKey { below: true, ..name }), rows),
                // A top-level domain, or an address among names.
                Err(problem) => match Network::parse(value) {
                    Some(network) => self.add(number, Indicator::Network(network, None), rows),
                    None if !value.trim_start_matches('.').contains('.') => rows.context(),
                    None => rows.bad(number, problem),
                },
            },
            "cidr" => match Network::parse(value) {
                Some(network) => self.add(number, Indicator::Network(network, None), rows),
                None => rows.bad(number, "it is no network"),
            },
            "substring" => match value.len() >= MIN_PART {
                true => self.add_pattern(number, PatternTest::Contains(value.to_lowercase().into()), rows),
                false => rows.context(),
            },
            "regex" => {
                let pattern = value.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')).map_or(value, |(p, _)| p);
                let regex = RegexBuilder::new(pattern).case_insensitive(true).size_limit(MAX_REGEX).build();
                match regex {
                    Ok(regex) => self.add_pattern(number, PatternTest::Matches(regex), rows),
                    Err(_) => rows.unsupported(number, "an expression with look-around or of too large a size"),
                }
            }
            _ => match indicator::read(value) {
                Reading::Row(found) => self.add(number, found, rows),
                // Texts of all kinds: e-mail addresses, file names, MD5.
                Reading::Unsupported(_) | Reading::Bad(_) => rows.context(),
            },
        }
    }

    fn add(&self, number: u32, indicator: Indicator, rows: &mut Rows) {
        rows.add(number, Row { label: self.name, standing: self.standing, ..Row::of(indicator) });
    }

    fn add_pattern(&self, number: u32, test: PatternTest, rows: &mut Rows) {
        rows.add_pattern(number, test, self.name, self.standing);
    }
}

/// Whether a list ranks sites by how much they are used: by the name of a ranking, or by a number of them at the top.
fn is_popularity(name: &str, kind: &str) -> bool {
    const RANKINGS: [&str; 9] =
        ["tranco", "umbrella", "majestic", "alexa", "quantcast", "crux", "cisco top", "moz.com", "cloudflare top"];
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is_number = |word: &str| word.bytes().next().is_some_and(|first| first.is_ascii_digit());
    let counts = words.windows(2).any(|pair| matches!(pair, ["top", number] if is_number(number)));
    let are_sites = ["site", "domain", "page", "hostname"].iter().any(|what| name.contains(what));
    matches!(kind, "hostname" | "string") && (RANKINGS.iter().any(|known| name.contains(known)) || counts && are_sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rankings_of_sites_are_popularity() {
        for name in [
            "Top 10K most-used sites from Tranco",
            "Top 1000 website from Alexa",
            "Top 1,000,000 most-used sites from Cisco Umbrella",
            "Top 10000 websites from Majestic Million",
            "Top 500 domains and pages from https://moz.com/top500",
            "Top 20 000 most-visited sites",
            "Google Chrome CRUX top 1 million",
        ] {
            assert!(is_popularity(name, "hostname"), "{name}");
        }
        for name in [
            "List of known dynamic DNS domains",
            "List of known Cloudflare IP ranges",
            "Top level domains by IANA",
            "University domains",
            "List of known sinkholes",
            "",
        ] {
            assert!(!is_popularity(name, "hostname"), "{name}");
        }
        assert!(!is_popularity("Top 10K most-used sites from Tranco", "cidr"));
    }
}
