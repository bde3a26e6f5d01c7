//! Elastic Common Schema, by the list of fields that its release publishes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::OWN;
use super::table::fits;

pub(super) struct Schema(BTreeMap<String, Field>);

struct Field {
    kind: String,
    level: String,
    is_array: bool,
}

/// The JSON types of every field.
#[derive(Default)]
pub(super) struct Types(BTreeMap<String, BTreeSet<&'static str>>);

impl Schema {
    pub(super) fn read(folder: &Path) -> Self {
        let rows = std::fs::read_to_string(folder.join("fields.csv")).unwrap();
        let fields = rows.lines().skip(1).filter_map(|row| {
            let cells: Vec<&str> = row.splitn(8, ',').collect();
            let [_, _, _, name, kind, level, normalization, _] = cells[..] else { return None };
            let (kind, level) = (kind.to_owned(), level.to_owned());
            Some((name.to_owned(), Field { kind, level, is_array: normalization == "array" }))
        });
        Self(fields.collect())
    }

    /// Type of a field, whether it is a list, and its level.
    pub(super) fn field(&self, name: &str) -> Option<(&str, bool, &str)> {
        self.0.get(name).map(|field| (field.kind.as_str(), field.is_array, field.level.as_str()))
    }

    pub(super) fn check(&self, record: &Value) {
        for required in ["@timestamp", "ecs", "event"] {
            assert!(record.get(required).is_some(), "{required} is missing: {record}");
        }
        for (name, value) in record.as_object().unwrap() {
            if !OWN.contains(&name.as_str()) {
                self.check_field(name, value, record);
            }
        }
    }

    fn check_field(&self, path: &str, value: &Value, record: &Value) {
        if let Value::Object(inner) = value {
            assert!(!inner.is_empty(), "{path} is empty: {record}");
            for (name, value) in inner {
                self.check_field(&format!("{path}.{name}"), value, record);
            }
            return;
        }
        let field = self.0.get(path).unwrap_or_else(|| panic!("{path} is no field of the schema: {record}"));
        let values = match value {
            Value::Array(values) => {
                assert!(field.is_array && !values.is_empty(), "{path} is a list: {record}");
                values.as_slice()
            }
            value => {
                assert!(!field.is_array, "{path} is no list: {record}");
                std::slice::from_ref(value)
            }
        };
        for value in values {
            assert!(fits(&field.kind, value), "{path} is not {}: {record}", field.kind);
        }
    }
}

impl Types {
    pub(super) fn note(&mut self, value: &Value) {
        self.note_at("", value);
    }

    pub(super) fn conflicts(&self) -> Vec<String> {
        let conflicts = self.0.iter().filter(|(_, kinds)| kinds.len() > 1);
        conflicts.map(|(path, kinds)| format!("{path}: {kinds:?}")).collect()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(path, kinds)| format!("{path}: {kinds:?}")).collect()
    }

    fn note_at(&mut self, path: &str, value: &Value) {
        let kind = match value {
            Value::Null => return,
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(values) => {
                values.iter().for_each(|value| self.note_at(&format!("{path}[]"), value));
                "list"
            }
            Value::Object(inner) => {
                inner.iter().for_each(|(name, value)| self.note_at(&format!("{path}.{name}"), value));
                "object"
            }
        };
        match self.0.get_mut(path) {
            Some(kinds) => drop(kinds.insert(kind)),
            None => drop(self.0.insert(path.to_owned(), BTreeSet::from([kind]))),
        }
    }
}
