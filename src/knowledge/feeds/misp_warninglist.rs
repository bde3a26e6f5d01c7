//! MISP warning lists: what is popular, shared or harmless by itself. They accuse nobody and are said beside the rows of
//! other feeds only; a listed server address weighs nothing where the name is on one of them.

use std::borrow::Cow;

use regex::RegexBuilder;
use serde::Deserialize;

use super::Standing;
use super::address::Network;
use super::document::Shape;
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
    name: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    list: Vec<Cow<'a, str>>,
}

/// Largest compiled expression, in bytes.
const MAX_REGEX: usize = 64 * 1024;
/// A shorter part would be in every other name.
const MIN_PART: usize = 4;

fn is_kind(kind: &str) -> bool {
    matches!(kind, "string" | "hostname" | "cidr" | "substring" | "regex")
}

fn read(text: &str, rows: &mut Rows) -> Result<(), serde_json::Error> {
    let list: WarningList<'_> = serde_json::from_str(text)?;
    for (number, value) in (1..).zip(&list.list) {
        let value = value.trim();
        match &*list.kind {
            "hostname" => match indicator::name(value) {
                Ok(name) => add(number, Indicator::Name(NameKey { below: true, ..name }), &list.name, rows),
                // A top-level domain, or an address among names.
                Err(problem) => match Network::parse(value) {
                    Some(network) => add(number, Indicator::Network(network, None), &list.name, rows),
                    None if !value.trim_start_matches('.').contains('.') => rows.context(),
                    None => rows.bad(number, problem),
                },
            },
            "cidr" => match Network::parse(value) {
                Some(network) => add(number, Indicator::Network(network, None), &list.name, rows),
                None => rows.bad(number, "it is no network"),
            },
            "substring" => match value.len() >= MIN_PART {
                true => rows.add_pattern(number, PatternTest::Contains(value.to_lowercase().into()), &list.name),
                false => rows.context(),
            },
            "regex" => {
                let pattern = value.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')).map_or(value, |(p, _)| p);
                let regex = RegexBuilder::new(pattern).case_insensitive(true).size_limit(MAX_REGEX).build();
                match regex {
                    Ok(regex) => rows.add_pattern(number, PatternTest::Matches(regex), &list.name),
                    Err(_) => rows.unsupported(number, "an expression with look-around or of too large a size"),
                }
            }
            _ => match indicator::read(value) {
                Reading::Row(found) => add(number, found, &list.name, rows),
                // Texts of all kinds: e-mail addresses, file names, MD5.
                Reading::Unsupported(_) | Reading::Bad(_) => rows.context(),
            },
        }
    }
    Ok(())
}

fn add(number: u32, indicator: Indicator, label: &str, rows: &mut Rows) {
    rows.add(number, Row { label, standing: Standing::WellKnown, ..Row::of(indicator) });
}
