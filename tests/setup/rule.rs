//! The rules that `certsift setup` prints, evaluated on records: as much of each language as they use, and what they do
//! not use is refused.

use std::collections::BTreeMap;

use serde_json::Value;

/// A condition on one field: it has one of these values.
pub(crate) struct Condition {
    field: String,
    values: Vec<String>,
}

/// Conditions that have to be met together.
pub(crate) struct Rule(Vec<Condition>);

impl Rule {
    pub(crate) fn fires(&self, record: &Value) -> bool {
        self.0.iter().all(|condition| {
            let found = condition.field.split('.').try_fold(record, |value, name| value.get(name));
            let found = match found {
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Bool(_) | Value::Number(_))) => Some(value.to_string()),
                _ => None,
            };
            found.is_some_and(|found| condition.values.iter().any(|value| *value == "*" || *value == found))
        })
    }

    /// A Sigma rule: a mapping of fields to a value or a list of values, and a condition that names it.
    pub(crate) fn sigma(text: &str) -> Self {
        let (_, detection) = text.split_once("\ndetection:\n").unwrap();
        let block: Vec<&str> = detection.lines().take_while(|line| line.starts_with(' ')).collect();
        assert_eq!(block.first(), Some(&"    selection:"));
        assert_eq!(block.last(), Some(&"    condition: selection"));
        let mut conditions: Vec<Condition> = Vec::new();
        for line in &block[1..block.len() - 1] {
            if let Some(value) = line.strip_prefix("            - ") {
                conditions.last_mut().unwrap().values.push(value.to_owned());
                continue;
            }
            let (field, value) = line.strip_prefix("        ").unwrap().split_once(':').unwrap();
            assert!(!field.contains('|'), "no modifier is known here: {field}");
            let values = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            conditions.push(Condition { field: field.to_owned(), values: values.into_iter().collect() });
        }
        Self(conditions)
    }

    /// A query of Kibana: `field : value` and `field : (a or b)`, joined by `and`.
    pub(crate) fn kql(text: &str) -> Self {
        let mut conditions = Vec::new();
        for part in text.split(" and ") {
            let (field, values) = part.split_once(" : ").unwrap();
            let values = values.trim_start_matches('(').trim_end_matches(')').split(" or ");
            let values = values.map(|value| value.trim_matches('"').to_owned()).collect();
            conditions.push(Condition { field: field.to_owned(), values });
        }
        Self(conditions)
    }

    /// The part of a search of Splunk before its first command: `field=value` and `field IN (a, b)`, one after the other.
    /// What is asked of the event itself, and not of its fields, is taken as met.
    pub(crate) fn spl(text: &str, event_types: &BTreeMap<String, BTreeMap<String, String>>) -> Self {
        let mut conditions = Vec::new();
        let mut rest = text.split('|').next().unwrap().trim();
        while !rest.is_empty() {
            let end = rest.find([' ', '=']).unwrap();
            let field = &rest[..end];
            let values;
            (values, rest) = match rest[end..].strip_prefix(" IN (") {
                Some(list) => list.split_once(')').unwrap(),
                None => {
                    let value = rest[end..].strip_prefix('=').unwrap();
                    value.split_once(' ').unwrap_or((value, ""))
                }
            };
            rest = rest.trim_start();
            let values: Vec<String> = values.split(", ").map(|value| value.trim_matches('"').to_owned()).collect();
            match field {
                "index" | "sourcetype" => {}
                _ if field.starts_with("_index_") => {}
                "eventtype" => {
                    let event_type = &event_types[&values[0]];
                    conditions.extend(Self::spl(&event_type["search"], event_types).0);
                }
                _ => conditions.push(Condition { field: field.to_owned(), values }),
            }
        }
        Self(conditions)
    }
}
