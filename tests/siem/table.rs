//! The tables of `schemas/siem`: what leaves is in them, and they say of it what the published schemas say.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use serde_json::Value;

use super::support::repository;

/// What a table says of its fields.
pub(super) struct Table {
    rows: HashMap<String, Row>,
    /// What fields are in.
    outer: HashSet<String>,
    /// Whether some record had the field, by the numbers of rows.
    seen: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct Row {
    number: usize,
    pub(super) kind: String,
    pub(super) is_list: bool,
    pub(super) requirement: String,
    written: String,
}

impl Table {
    pub(super) fn read(schema: &str) -> Self {
        let path = repository(&format!("schemas/siem/{schema}.csv"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(lines.next(), Some("field,type,list,requirement,written,holds"));
        let rows = lines.enumerate().map(|(number, line)| {
            let cells: Vec<&str> = line.splitn(6, ',').collect();
            let [field, kind, list, requirement, written, holds] = cells[..] else { panic!("{line}") };
            assert!(["yes", "no"].contains(&list) && ["always", "often", "seldom"].contains(&written), "{line}");
            assert!(!holds.is_empty(), "{line}");
            let row = Row {
                number,
                kind: kind.to_owned(),
                is_list: list == "yes",
                requirement: requirement.to_owned(),
                written: written.to_owned(),
            };
            (field.to_owned(), row)
        });
        let rows: HashMap<String, Row> = rows.collect();
        let dots = |field: &String| field.match_indices('.').map(|(at, _)| field[..at].to_owned()).collect::<Vec<_>>();
        let outer = rows.keys().flat_map(dots).collect();
        let seen = vec![false; rows.len()];
        Self { rows, outer, seen }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&String, &Row)> {
        self.rows.iter()
    }

    /// Checks a record, but for what stands below `own`.
    pub(super) fn check(&mut self, record: &Value, own: &[&str]) {
        let mut found = vec![false; self.seen.len()];
        let mut path = String::new();
        for (name, value) in record.as_object().unwrap() {
            if !own.contains(&name.as_str()) {
                self.check_member(&mut path, name, value, &mut found);
            }
        }
        for (field, row) in &self.rows {
            assert!(row.written != "always" || found[row.number], "{field} is missing: {record}");
        }
        self.seen.iter_mut().zip(found).for_each(|(seen, found)| *seen |= found);
    }

    fn check_member(&self, path: &mut String, name: &str, value: &Value, found: &mut [bool]) {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        let row = self.rows.get(path.as_str());
        row.into_iter().for_each(|row| found[row.number] = true);
        if let Value::Array(values) = value {
            assert!(row.is_some_and(|row| row.is_list), "{path} is a list");
            values.iter().for_each(|value| self.check_value(path, row, value, found));
        } else {
            assert!(row.is_none_or(|row| !row.is_list), "{path} is no list");
            self.check_value(path, row, value, found);
        }
        path.truncate(length);
    }

    fn check_value(&self, path: &mut String, row: Option<&Row>, value: &Value, found: &mut [bool]) {
        match (row.map(|row| row.kind.as_str()), value) {
            // What may hold anything.
            (Some("object" | "json_t"), _) => {}
            (_, Value::Object(members)) => {
                assert!(self.outer.contains(path), "{path} is an object");
                members.iter().for_each(|(name, value)| self.check_member(path, name, value, found));
            }
            (kind, value) => {
                let kind = kind.unwrap_or_else(|| panic!("{path} is not in the table"));
                assert!(fits(kind, value), "{path} is no {kind}: {value}");
            }
        }
    }

    /// Fields that records are said to have often, and that none had.
    pub(super) fn unused(&self) -> Vec<&String> {
        let unused = self.rows.iter().filter(|(_, row)| row.written != "seldom" && !self.seen[row.number]);
        unused.map(|(field, _)| field).collect()
    }
}

/// Whether a value is of a type of either schema.
pub(super) fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "keyword" | "wildcard" | "match_only_text" | "string_t" | "hostname_t" | "file_hash_t" => value.is_string(),
        // Of the last day of 9999 jiff's timestamps know nothing.
        "date" => {
            let civil = value.as_str().and_then(|text| text.strip_suffix('Z'));
            civil.is_some_and(|text| text.parse::<jiff::civil::DateTime>().is_ok())
        }
        "ip" | "ip_t" => value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "port_t" => value.as_u64().is_some_and(|port| port <= 65_535),
        "long" | "integer_t" | "long_t" | "timestamp_t" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "boolean" | "boolean_t" => value.is_boolean(),
        other => panic!("{other} is no type"),
    }
}
