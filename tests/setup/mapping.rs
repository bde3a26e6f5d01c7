//! What Elasticsearch does with a document by the mapping of its index, as far as it refuses documents.

use std::net::IpAddr;

use serde_json::Value;

use super::support::certsift;

/// A component template that `certsift setup elastic` prints.
pub(crate) struct Mapping(Value);

impl Mapping {
    pub(crate) fn printed(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = certsift(folder.path(), &[&["setup", "elastic"], options].concat());
        assert!(output.status.success());
        let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        Self(printed["component_template"]["template"]["mappings"].take())
    }

    /// Checks that a document is taken, and that all of it is mapped but for what is below `unmapped`.
    pub(crate) fn check(&self, document: &Value, unmapped: impl Fn(&str) -> bool) {
        assert_eq!(self.0["dynamic"], false);
        take_members(&self.0, document, None, &unmapped);
    }

    /// Every field with its type.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect(&self.0, "", &mut found);
        found
    }
}

fn collect(mapping: &Value, path: &str, found: &mut Vec<(String, String)>) {
    for (name, inner) in mapping["properties"].as_object().into_iter().flatten() {
        let path = join(path, name);
        match inner["type"].as_str() {
            Some(kind) if inner["properties"].is_null() => found.push((path, kind.to_owned())),
            _ => collect(inner, &path, found),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A field and what it is in; put together only where it is told.
struct Place<'a> {
    outer: Option<&'a Self>,
    name: &'a str,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.outer {
            Some(outer) => write!(f, "{outer}.{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

fn take_members(mapping: &Value, object: &Value, outer: Option<&Place<'_>>, unmapped: &impl Fn(&str) -> bool) {
    for (name, value) in object.as_object().unwrap() {
        let place = Place { outer, name };
        // A name with dots is a path.
        let at = name.split('.').try_fold(mapping, |at, part| at.get("properties")?.get(part));
        match at {
            Some(at) => take(at, value, &place, unmapped),
            None => {
                // Objects do as what they are in, unless they say something else.
                let dynamic = &mapping["dynamic"];
                assert!(dynamic.is_null() || *dynamic == false, "{place} would be mapped anew");
                assert!(unmapped(&place.to_string()), "{place} is not mapped");
            }
        }
    }
}

fn take(mapping: &Value, value: &Value, place: &Place<'_>, unmapped: &impl Fn(&str) -> bool) {
    if let Value::Array(values) = value {
        values.iter().for_each(|value| take(mapping, value, place, unmapped));
        return;
    }
    if mapping.get("properties").is_some() {
        assert!(value.is_object(), "{place} is mapped as an object: {value}");
        return take_members(mapping, value, Some(place), unmapped);
    }
    let text = value.as_str();
    let fits = match mapping["type"].as_str().unwrap() {
        "keyword" => {
            let is_bounded = mapping["ignore_above"].as_u64().is_some_and(|bound| bound <= 8191);
            assert!(is_bounded || mapping["index"] == false, "{place}: a long value would cost the document");
            !value.is_object()
        }
        "date" => {
            // Of the last day of 9999 jiff's timestamps know nothing.
            let text = text.unwrap_or_default();
            text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10
                || text.strip_suffix('Z').is_some_and(|text| text.parse::<jiff::civil::DateTime>().is_ok())
        }
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "long" => value.is_i64(),
        "float" => value.is_number(),
        "boolean" => value.is_boolean(),
        "flattened" => {
            depth(value) < mapping["depth_limit"].as_u64().unwrap()
                && mapping["ignore_above"].as_u64().unwrap() <= 8191
                && value.is_object()
        }
        other => panic!("{place} is {other}"),
    };
    assert!(fits, "{place} is mapped as {}: {value}", mapping["type"]);
}

fn depth(value: &Value) -> u64 {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Array(values) => values.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
