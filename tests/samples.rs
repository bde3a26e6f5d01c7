//! The sample world: what it promises to show, it shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use serde_json::Value;
use support::{assert_valid, by_name, records, replay, repository};

fn sample() -> Vec<u8> {
    let config = repository("sample_logs/certsift.toml");
    replay(&[repository("sample_logs")], &["--config", config.to_str().unwrap()])
}

/// Every record that the sample's README tells a story of: what it is called, and what is expected of it.
const STORIES: [(&str, &str, &str, &str); 36] = [
    ("CLezDSi89avb4QO0Z0", "critical", "presented", "signature"),
    ("4781368155032", "critical", "presented", "signature"),
    ("C2IyxEsyvi7HxYGMv0", "info", "presented", ""),
    ("707006443485643", "info", "presented", ""),
    ("C2XFqOVUkdLGKEiAnR", "critical", "presented", "signature"),
    ("C6u6bpc2F0TLbqCnBf", "critical", "recalled", "signature"),
    ("CtDiyHmd8x14fR6j2B", "critical", "recalled", "signature"),
    ("CA0Rq445bPn1iDVt0W", "unknown", "incomplete", ""),
    ("Cj6TgnTw5NEkIEA1wl", "info", "presented", "signature"),
    ("CINy25Wk2fdpnn7vwU", "low", "presented", "self_signed"),
    ("CXKC3KhwWb4gWRdiW0", "info", "presented", "self_signed"),
    ("CCC8Axn7U4udowAqLN", "info", "presented", "self_signed"),
    ("Ch114PS56yEw5mZG9M", "info", "presented", "rare_issuer"),
    ("CEGArZkoaFrigLpHYu", "info", "presented", ""),
    ("CYLUxd8Z7LYFSseUx1", "low", "presented", "new_domain"),
    ("CVEG8cYrI9SJZvksmG", "info", "presented", ""),
    ("CSCsNjckANUF1jI7z8", "info", "presented", ""),
    ("C9zWU1NpwwvNrysRld", "info", "presented", ""),
    ("CF3E59PXqT44rHr5HF", "medium", "presented", "lookalike"),
    ("CfyOVoDZEd5IyxetBd", "high", "presented", "lookalike"),
    ("562764678890102", "high", "presented", "lookalike"),
    ("2103913543154789", "high", "quic", "lookalike"),
    ("C0gudVdLrFjNbAzoZp", "info", "presented", ""),
    ("CY0L3094XCnBS7bnl6", "unknown", "tls13", ""),
    ("CL4aiMR4eE8Dh5H0vS", "unknown", "resumed", ""),
    ("1484653568272160", "unknown", "quic", ""),
    ("C7C2CodY1lWBfozJa8", "unknown", "incomplete", ""),
    ("C22BSuD2M5kyLMJepm", "unknown", "unparsed", ""),
    ("C1BKWEpIH0DzrQDM5C", "unknown", "not_logged", ""),
    ("CoE5Jf2T6VnSnVatDR", "unknown", "not_found", ""),
    ("CbsZ8dG5jmYVnJTVdF", "info", "presented", ""),
    ("C7rpS7vUc6apH09Ow0", "info", "recalled", ""),
    ("CB9hY42zgONyTW6n1h", "info", "recalled", ""),
    ("1273244165853951", "info", "recalled", ""),
    ("CqXehgc0A4NwEvl6UD", "info", "presented", ""),
    ("CSBpJTED0IBTHo5fLG", "info", "presented", ""),
];

#[test]
fn every_story_ends_as_the_readme_tells_it() {
    let output = records(&sample());
    assert_valid(&output);
    let found = by_name(&output);
    for (name, verdict, state, finding) in STORIES {
        let told = &found[name];
        for record in told {
            let object = &record["certsift"];
            assert_eq!(object["verdict"], verdict, "{name}: {object}");
            let certificate = &object["certificate"];
            let shown = certificate.get("absent_reason").unwrap_or(&certificate["state"]);
            assert_eq!(shown, state, "{name}: {object}");
            let ids = object.get("finding_ids").and_then(Value::as_array).cloned().unwrap_or_default();
            // What is only seen for the first time is no story.
            let is_new = |id: &Value| id.as_str().is_some_and(|id| id.starts_with("first_seen_"));
            let told_so = if finding.is_empty() { ids.iter().all(is_new) } else { ids.iter().any(|id| id == finding) };
            assert!(told_so, "{name}: {object}");
        }
    }
    let stories = std::fs::read_to_string(repository("sample_logs/README.md")).unwrap();
    assert!(STORIES.iter().all(|(name, ..)| stories.contains(name)), "the README tells each of them");
}

#[test]
fn nothing_but_the_stories_is_above_info() {
    let output = records(&sample());
    let subject = |record: &Value| record["certsift"]["certificate"]["subject"]["dn"].clone();
    let found = by_name(&output);
    // A story's certificate is seen in other sessions with the same server, too.
    let told: Vec<Value> = STORIES.iter().flat_map(|(name, ..)| &found[*name]).map(|record| subject(record)).collect();
    let grave: Vec<String> = output
        .iter()
        .filter(|record| {
            !["info", "unknown", "null"].contains(&record["certsift"]["verdict"].as_str().unwrap_or("null"))
        })
        .filter(|record| record["certsift"]["certificate"]["state"] != "recalled")
        .filter(|record| record["certsift"]["log"] != "zeek.x509")
        .filter(|record| !told.contains(&subject(record)))
        .map(support::name_of)
        .collect();
    assert!(grave.is_empty(), "{grave:?}");
}

#[test]
fn the_output_is_the_golden_one() {
    let golden = repository("tests/golden/sample_logs.ndjson");
    let output = String::from_utf8(sample()).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &output).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    for (number, (line, expected)) in output.lines().zip(expected.lines()).enumerate() {
        assert_eq!(line, expected, "line {} of the golden file; UPDATE_GOLDEN=1 writes it anew", number + 1);
    }
    assert_eq!(output.lines().count(), expected.lines().count());
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    for (name, schema) in certsift::encode::schemas() {
        let published = std::fs::read_to_string(repository("schemas").join(name)).unwrap();
        assert_eq!(published, schema, "{name}: `cargo run --example generate_schemas` writes it anew");
    }
}

#[test]
fn the_input_schemas_fit_what_is_read() {
    let schema = |name: &str| -> jsonschema::Validator {
        let text = std::fs::read_to_string(repository("schemas").join(name)).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    let (ssl, x509, eve) =
        (schema("zeek_ssl.schema.json"), schema("zeek_x509.schema.json"), schema("suricata_eve.schema.json"));
    for record in records(&sample()) {
        let validator = match record["certsift"]["log"].as_str() {
            Some("zeek.ssl") => &ssl,
            Some("zeek.x509") => &x509,
            _ if record.get("event_type").is_some() => &eve,
            _ => continue,
        };
        assert!(validator.is_valid(&record), "{record}");
    }
}
