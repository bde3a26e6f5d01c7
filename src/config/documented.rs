//! Every key with its default and what it means, as a configuration to begin with and as a JSON Schema for editors.
//!
//! Both come from the types that a configuration is read into and the comments on them, so that they cannot say anything
//! else.

use serde_json::{Map, Value};
use toml::Table;

use super::network;
use super::raw::RawConfig;

/// The tables, in the order in which they are shown.
const TABLES: [&str; 11] =
    ["input", "output", "join", "state", "network", "knowledge", "trust", "rdap", "checks", "history", "observe"];

/// The JSON Schema of a configuration.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawConfig);
    schema.insert("title".to_owned(), "certsift.toml".into());
    schema.insert("description".to_owned(), "The configuration of certsift.".into());
    schema.to_value()
}

/// A configuration with every key, its default or the value that `text` gives it, and what it means.
///
/// # Errors
/// `text` is no configuration.
pub fn shown(text: &str) -> Result<String, String> {
    let complaint = |error: toml::de::Error| network::complaint(text, &error);
    let raw = toml::from_str::<RawConfig>(text).map_err(complaint)?;
    let given = text.parse::<Table>().map_err(complaint)?;
    let schema = schema();
    let pages = Pages { schema: &schema, sends: raw.output.sends() };
    let mut out = String::new();
    out.push_str("# Every key of a configuration of certsift. What stands behind a # has no default.\n");
    let tables = pages.properties(&schema);
    // One that is new here is shown all the same.
    let others = tables.keys().map(String::as_str).filter(|name| !TABLES.contains(name));
    for name in TABLES.into_iter().chain(others) {
        let Some(table) = tables.get(name) else { continue };
        pages.table(&mut out, name, table, given.get(name));
    }
    Ok(out)
}

/// Looks things up in a schema.
struct Pages<'a> {
    schema: &'a Value,
    /// A server is named, beside which the default of `output.path` is a mistake.
    sends: bool,
}

impl<'a> Pages<'a> {
    fn table(&self, out: &mut String, name: &str, described: &Value, given: Option<&toml::Value>) {
        out.push('\n');
        comment(out, described);
        let table = self.resolved(described);
        if table["type"] == "array" {
            let item = self.resolved(&table["items"]);
            let all = given.and_then(toml::Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for (number, one) in all.iter().enumerate() {
                if number > 0 {
                    out.push('\n');
                }
                out.push_str(&format!("[[{name}]]\n"));
                self.keys(out, name, item, one.as_table(), false);
            }
            if all.is_empty() {
                out.push_str(&format!("# [[{name}]]\n"));
                self.keys(out, name, item, None, true);
            }
            return;
        }
        // A table that may be left out says something by being there.
        let may_be_absent =
            described["anyOf"].as_array().is_some_and(|kinds| kinds.iter().any(|it| it["type"] == "null"));
        let is_example = may_be_absent && given.is_none();
        out.push_str(&format!("{}[{name}]\n", if is_example { "# " } else { "" }));
        self.keys(out, name, table, given.and_then(toml::Value::as_table), is_example);
    }

    /// The keys of a table, and then the tables in it.
    fn keys(&self, out: &mut String, name: &str, table: &Value, given: Option<&Table>, is_example: bool) {
        let properties = self.properties(table);
        let mut tables = Vec::new();
        for (key, described) in &properties {
            let value = given.and_then(|given| given.get(key));
            if self.resolved(described)["properties"].is_object() {
                tables.push((key, described, value));
                continue;
            }
            comment(out, described);
            let choices = self.choices(described);
            if !choices.is_empty() {
                out.push_str(&format!("# One of: {}.\n", choices.join(", ")));
            }
            match (value.map(toml::Value::to_string), described.get("default").filter(|default| !default.is_null())) {
                (Some(value), _) => out.push_str(&format!("{key} = {value}\n")),
                (None, Some(default)) => {
                    let is_other = self.sends && name == "output" && key == "path";
                    let mark = if is_example || is_other { "# " } else { "" };
                    out.push_str(&format!("{mark}{key} = {}\n", as_toml(default)));
                }
                _ => out.push_str(&format!("# {key} = {}\n", self.example(described))),
            }
        }
        for (key, described, value) in tables {
            self.table(out, &format!("{name}.{key}"), described, value);
        }
    }

    /// What a value can be, where that is a list of words.
    fn choices(&self, described: &Value) -> Vec<String> {
        let all = self.resolved(described)["oneOf"].as_array();
        let words = all.into_iter().flatten().filter_map(|choice| choice["const"].as_str());
        words.map(|word| format!("\"{word}\"")).collect()
    }

    /// What a value could be that has no default.
    fn example(&self, described: &Value) -> String {
        let given = [described, self.resolved(described)].into_iter().find_map(|place| place["examples"].get(0));
        match given {
            Some(example) => as_toml(example),
            None if self.resolved(described)["type"] == "array" => "[\"…\"]".to_owned(),
            None => "\"…\"".to_owned(),
        }
    }

    /// A description with what it refers to: the definition, and of a value that may be left out the value.
    fn resolved(&self, described: &'a Value) -> &'a Value {
        let mut place = described;
        // A definition refers to none of those that refer to it.
        for _ in 0..8 {
            let choices = place["anyOf"].as_array().or(place["allOf"].as_array());
            if let Some(reference) = place["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
                place = self.schema.pointer(reference).unwrap_or(&Value::Null);
            } else if let Some(choice) =
                choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"))
            {
                place = choice;
            } else {
                break;
            }
        }
        place
    }

    fn properties(&self, table: &Value) -> Map<String, Value> {
        table["properties"].as_object().cloned().unwrap_or_default()
    }
}

fn comment(out: &mut String, described: &Value) {
    for line in described["description"].as_str().unwrap_or_default().lines() {
        out.push_str(&format!("# {line}\n"));
    }
}

fn as_toml(value: &Value) -> String {
    match toml::Value::try_from(value) {
        Ok(value) => value.to_string(),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn raw(text: &str) -> RawConfig {
        toml::from_str(text).unwrap()
    }

    /// Every key with its description, such as `history.learning.days`.
    fn keys() -> Vec<(String, String)> {
        fn collect(pages: &Pages<'_>, path: &str, described: &Value, found: &mut Vec<(String, String)>) {
            let table = pages.resolved(described);
            let table = if table["type"] == "array" { pages.resolved(&table["items"]) } else { table };
            for (key, described) in table["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                found.push((path.clone(), described["description"].as_str().unwrap_or_default().to_owned()));
                collect(pages, &path, described, found);
            }
        }
        let schema = schema();
        let mut found = Vec::new();
        collect(&Pages { schema: &schema, sends: false }, "", &schema, &mut found);
        found
    }

    #[test]
    fn every_key_says_what_it_means_and_stands_in_the_readme() {
        let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
        let keys = keys();
        assert!(keys.len() > 50, "{keys:?}");
        for (key, description) in &keys {
            assert!(!description.is_empty(), "{key} has no comment");
            let is_row = key.contains('.') && !key.starts_with("history.learning.");
            let is_row = is_row && !key.starts_with("knowledge.registered.");
            // What several servers have stands in one row.
            let is_of_server = ["output.elasticsearch.", "output.splunk."].iter().any(|server| key.starts_with(server));
            let rows = match key.rsplit_once('.') {
                Some((_, name)) if is_of_server => vec![format!("`{name}`"), format!("`output.*.{name}`")],
                _ => vec![format!("| `{key}` |")],
            };
            let mut rows = rows.into_iter().chain([format!("`{key}`")]);
            let row_is_there = rows.any(|row| readme.contains(&row));
            assert!(!is_row || row_is_there, "the README lacks {key}");
        }
        for table in TABLES {
            assert!(keys.iter().any(|(key, _)| key == table), "{table} is no table");
        }
    }

    #[test]
    fn what_is_shown_is_the_default() {
        let text = shown("").unwrap();
        assert_eq!(raw(&text), RawConfig { network: raw(&text).network, ..output_is_stdout() }, "{text}");
        let (default, written) = (Config::default(), Config::parse(&text, Path::new("")).unwrap());
        assert_eq!(format!("{default:?}"), format!("{written:?}"));
        for (key, _) in keys().iter().filter(|(key, _)| !key.starts_with("knowledge.registered.")) {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
            let line = |line: &str| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{name} = ")) || line.contains(&format!("[{key}]"))
            };
            assert!(text.lines().any(line), "{table} {name}: {text}");
        }
    }

    fn output_is_stdout() -> RawConfig {
        raw("[output]\npath = \"-\"\n")
    }

    #[test]
    fn what_a_file_says_is_shown_in_place_of_the_default() {
        let given = "[[input]]\npaths = [\"a\"]\nsensor = \"x\"\n[[input]]\npaths = [\"b\"]\n[join]\nwait = \"7s\"\n\
            [history]\nlearning = { days = 3 }\n[rdap]\nservers = { com = \"https://rdap.example/\" }\n\
            [knowledge]\nregistered = [{ path = \"r\", window_days = 9 }, \"s\"]\n[network]\nlocal = [\"10.0.0.0/8\"]\n";
        let text = shown(given).unwrap();
        let (given, written) = (Config::parse(given, Path::new("/c")), Config::parse(&text, Path::new("/c")));
        assert_eq!(format!("{:?}", given.unwrap()), format!("{:?}", written.unwrap()), "{text}");
        assert!(text.contains("# One of: \"auto\", \"full\".\ndetail = \"auto\"\n"), "{text}");
        assert!(shown("[join]\nwiat = 1\n").unwrap_err().contains("wiat"));
        let given = "[output.elasticsearch]\nurl = \"https://e:9200\"\n";
        let text = shown(given).unwrap();
        let (given, written) = (Config::parse(given, Path::new("/c")), Config::parse(&text, Path::new("/c")));
        assert_eq!(format!("{:?}", given.unwrap()), format!("{:?}", written.unwrap()), "{text}");
    }

    #[test]
    fn the_schema_takes_what_can_be_used_and_refuses_what_cannot() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let fits = |text: &str| {
            let value = serde_json::to_value(text.parse::<Table>().unwrap()).unwrap();
            validator.is_valid(&value)
        };
        assert!(fits("") && fits(&shown("").unwrap()));
        assert!(fits("[[input]]\npaths = [\"a\"]\n[output]\nformat = \"ecs\"\nrotate_size = \"1GiB\"\n"));
        assert!(fits("[knowledge]\nregistered = [\"a\", { path = \"b\", window_days = 3, date = \"2026-11-20\" }]\n"));
        for wrong in [
            "[join]\nwiat = \"5s\"\n",
            "[join]\nwait = \"5\"\n",
            "[[input]]\npaths = \"x\"\n",
            "[output]\nformat = \"x\"\n",
        ] {
            assert!(!fits(wrong), "{wrong}");
        }
    }
}
