//! What Splunk makes of an event by props.conf and transforms.conf: as much as is used in them.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// Stanzas of a file with their settings.
pub(crate) type Stanzas = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) fn stanzas(text: &str) -> Stanzas {
    let mut found = Stanzas::new();
    let mut stanza = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            stanza = name.to_owned();
            assert!(found.insert(stanza.clone(), BTreeMap::new()).is_none(), "[{stanza}] is there twice");
        } else {
            let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            let settings = found.get_mut(&stanza).unwrap();
            assert!(settings.insert(key.to_owned(), value.to_owned()).is_none(), "{key} is there twice");
        }
    }
    found
}

/// Fields of an event, each with its values.
pub(crate) type Fields = BTreeMap<String, Vec<String>>;

/// The fields of a record with the settings of its source type.
pub(crate) fn fields(record: &Value, props: &BTreeMap<String, String>, transforms: &Stanzas) -> Fields {
    // Every event has it, whatever is in it.
    let mut fields = Fields::from([("host".to_owned(), vec!["forwarder".to_owned()])]);
    let is_indexed = props.get("INDEXED_EXTRACTIONS").is_some_and(|form| form == "json");
    assert_eq!(props["KV_MODE"], if is_indexed { "none" } else { "json" }, "fields are there once");
    // Transforms come before what is extracted at the time of a search.
    assert!(is_indexed || !props.keys().any(|key| key.starts_with("REPORT-")));
    extract("", record, &mut fields);
    for names in props.iter().filter(|(key, _)| key.starts_with("REPORT-")).map(|(_, value)| value) {
        for transform in names.split(", ").map(|name| &transforms[name]) {
            let Some(source) = fields.get(&transform["SOURCE_KEY"]) else { continue };
            let (name, group) = transform["FORMAT"].split_once("::").unwrap();
            assert_eq!(group, "$1");
            let found = Regex::new(&transform["REGEX"]).unwrap().captures(&source[0]).map(|found| found[1].to_owned());
            fields.extend(found.map(|value| (name.to_owned(), vec![value])));
        }
    }
    for alias in props.iter().filter(|(key, _)| key.starts_with("FIELDALIAS-")).map(|(_, value)| value) {
        let (source, name) = alias.split_once(" AS ").unwrap();
        let value = fields.get(source).cloned();
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    // They do not see each other.
    let calculated = props.iter().filter_map(|(key, value)| Some((key.strip_prefix("EVAL-")?, value)));
    let calculated: Vec<_> = calculated.map(|(name, text)| (name.to_owned(), evaluate(text, &fields))).collect();
    for (name, value) in calculated {
        match value {
            Some(value) => drop(fields.insert(name, value)),
            None => drop(fields.remove(&name)),
        }
    }
    fields
}

fn extract(path: &str, value: &Value, fields: &mut Fields) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                extract(&path, value, fields);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| extract(&format!("{path}{{}}"), value, fields)),
        Value::Null => {}
        Value::String(text) => fields.entry(path.to_owned()).or_default().push(text.clone()),
        value => fields.entry(path.to_owned()).or_default().push(value.to_string()),
    }
}

/// An expression: a text, a number, a field, or a call.
fn evaluate(text: &str, fields: &Fields) -> Option<Vec<String>> {
    let text = text.trim();
    if let Some(text) = text.strip_prefix('"') {
        return Some(vec![text.strip_suffix('"').unwrap().to_owned()]);
    }
    if text.parse::<u32>().is_ok() {
        return Some(vec![text.to_owned()]);
    }
    let Some((name, inner)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) else {
        let name = text.trim_matches('\'');
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        assert!(text.starts_with('\'') || name.bytes().all(is_plain), "{text} has to be quoted");
        return fields.get(name).cloned();
    };
    let arguments = arguments(inner);
    let value = |argument: &str| evaluate(argument, fields);
    match name {
        "coalesce" => arguments.iter().find_map(|argument| value(argument)),
        "mvindex" => {
            let index: usize = arguments[1].trim().parse().unwrap();
            Some(vec![value(arguments[0])?.get(index)?.clone()])
        }
        "strptime" => {
            assert_eq!(arguments[1].trim(), "\"%Y-%m-%dT%H:%M:%SZ\"");
            let time = value(arguments[0])?[0].strip_suffix('Z')?.parse::<jiff::civil::DateTime>().ok()?;
            let epoch = time.duration_since("1970-01-01T00:00:00".parse::<jiff::civil::DateTime>().unwrap());
            Some(vec![epoch.as_secs().to_string()])
        }
        "case" => {
            let met = arguments.chunks(2).find(|pair| {
                let (field, wanted, is_equal) = match pair[0].split_once("==") {
                    Some((field, wanted)) => (field, wanted, true),
                    None => pair[0].split_once("!=").map(|(field, wanted)| (field, wanted, false)).unwrap(),
                };
                // Of a field that is not there nothing is true.
                value(field).is_some_and(|found| (Some(found) == value(wanted)) == is_equal)
            });
            value(met?[1])
        }
        other => panic!("{other} is no function that is known here"),
    }
}

/// The arguments of a call: commas within calls and texts are no ends.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut start, mut found) = (0, false, 0, Vec::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            b',' if !quoted && depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}
