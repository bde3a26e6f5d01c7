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
        take_members(&self.0, document, "", &unmapped);
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

fn take_members(mapping: &Value, object: &Value, path: &str, unmapped: &impl Fn(&str) -> bool) {
    let members = object.as_object().unwrap_or_else(|| panic!("{path} is mapped as an object: {object}"));
    for (name, value) in members {
        // A name with dots is a path.
        let mut at = mapping;
        let mut path = path.to_owned();
        for part in name.split('.') {
            path = join(&path, part);
            at = &at["properties"][part];
        }
        if at.is_null() {
            // Objects do as what they are in, unless they say something else.
            assert!(mapping["dynamic"].is_null() || mapping["dynamic"] == false, "{path} would be mapped anew");
            assert!(unmapped(&path), "{path} is not mapped");
            continue;
        }
        take(at, value, &path, unmapped);
    }
}

fn take(mapping: &Value, value: &Value, path: &str, unmapped: &impl Fn(&str) -> bool) {
    if let Value::Array(values) = value {
        values.iter().for_each(|value| take(mapping, value, path, unmapped));
        return;
    }
    if mapping["properties"].is_object() {
        return take_members(mapping, value, path, unmapped);
    }
    let text = value.as_str();
    let fits = match mapping["type"].as_str().unwrap() {
        "keyword" => {
            let is_bounded = mapping["ignore_above"].as_u64().is_some_and(|bound| bound <= 8191);
            assert!(is_bounded || mapping["index"] == false, "{path}: a long value would cost the document");
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
        other => panic!("{path} is {other}"),
    };
    assert!(fits, "{path} is mapped as {}: {value}", mapping["type"]);
}

fn depth(value: &Value) -> u64 {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Array(values) => values.iter().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}
