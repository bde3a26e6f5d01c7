//! Records in the schemas of SIEMs are what those schemas ask for, over whole corpora and for both sensors. The published
//! schemas are found in the folder `schemas` beside the corpus.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says so; one that is skipped says so too"
)]

#[path = "siem/ecs.rs"]
mod ecs;
#[path = "setup/mapping.rs"]
#[allow(dead_code, reason = "the tests of setup use the rest")]
mod mapping;
#[path = "siem/ocsf.rs"]
mod ocsf;
mod support;
#[path = "siem/table.rs"]
mod table;

use std::path::PathBuf;

use serde_json::Value;
use support::{corpus, records, replay, repository};

const SETS: [&str; 5] = ["zeek-3.0-json", "zeek-3.0-tsv", "zeek-6.2-json", "zeek-6.2-tsv", "suricata-8.0"];

/// The folder of the published schemas; says loudly where it is missing.
fn published(schema: &str) -> Option<PathBuf> {
    let folder = corpus(&format!("published {schema}"))?.join("../schemas").join(schema);
    if !folder.exists() {
        eprintln!("SKIPPED: no published {schema} at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn all(format: &str, set: &str) -> Vec<Value> {
    let folder = corpus(set).unwrap().join(set);
    let output = records(&replay(&[folder], &["--format", format]));
    assert!(!output.is_empty());
    output
}

/// Namespaces of products, which Elastic Common Schema leaves to them.
const OWN: [&str; 3] = ["certsift", "zeek", "suricata"];

/// Checks every record of every set, that nothing is of one type here and of another there, and that our own table tells
/// of just what leaves.
fn check_all(format: &str, check: impl Fn(&Value)) {
    let mut types = ecs::Types::default();
    let mut table = table::Table::read(format);
    records(&sample(format)).iter().for_each(|record| table.check(record, &OWN));
    for set in SETS {
        for record in all(format, set) {
            check(&record);
            table.check(&record, &OWN);
            types.note(&record);
        }
    }
    assert_eq!(table.unused(), Vec::<&String>::new(), "{format}: said to be written");
    assert_eq!(types.conflicts(), Vec::<String>::new(), "{format}");
}

#[test]
fn every_record_is_as_elastic_common_schema_asks() {
    let Some(folder) = published("ecs") else { return };
    let schema = ecs::Schema::read(&folder);
    for (field, row) in table::Table::read("ecs").rows() {
        let required = ["@timestamp", "ecs.version"].contains(&field.as_str());
        let (kind, is_list, level) = schema.field(field).unwrap_or_else(|| panic!("{field} is no field"));
        assert_eq!((row.kind.as_str(), row.is_list), (kind, is_list), "{field}");
        assert_eq!(row.requirement, if required { "required" } else { level }, "{field}");
    }
    // And Elasticsearch and OpenSearch take it.
    let (elastic, opensearch) = (mapping::Mapping::printed(&[]), mapping::Mapping::printed(&["--opensearch"]));
    check_all("ecs", |record| {
        schema.check(record);
        elastic.check(record, |_| false);
        opensearch.check(record, |path| path.starts_with("zeek.") || path.starts_with("suricata."));
    });
}

#[test]
fn every_record_is_as_ocsf_asks() {
    let Some(folder) = published("ocsf") else { return };
    let schema = ocsf::Schema::read(&folder);
    for (field, row) in table::Table::read("ocsf").rows() {
        let (kind, is_list, requirement) = schema.attribute(field).unwrap_or_else(|| panic!("{field} is no attribute"));
        assert_eq!((&row.kind, row.is_list, &row.requirement), (&kind, is_list, &requirement), "{field}");
    }
    check_all("ocsf", |record| schema.check(record));
}

#[test]
fn the_tables_tell_of_every_field_of_the_samples() {
    for format in ["ecs", "ocsf"] {
        let mut table = table::Table::read(format);
        records(&sample(format)).iter().for_each(|record| table.check(record, &OWN));
    }
}

/// The sample logs in a schema.
fn sample(format: &str) -> Vec<u8> {
    let config = repository("sample_logs/certsift.toml");
    replay(&[repository("sample_logs")], &["--config", config.to_str().unwrap(), "--format", format])
}

#[test]
fn the_samples_are_the_golden_ones() {
    for format in ["ecs", "ocsf"] {
        let golden = repository(&format!("tests/golden/sample_logs.{format}.ndjson"));
        let output = String::from_utf8(sample(format)).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &output).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        for (number, (line, expected)) in output.lines().zip(expected.lines()).enumerate() {
            assert_eq!(line, expected, "{format}, line {}; UPDATE_GOLDEN=1 writes it anew", number + 1);
        }
        assert_eq!(output.lines().count(), expected.lines().count());
    }
}

/// Names of fields below an object, with the types of their values.
fn shape(value: &Value) -> Vec<String> {
    let mut types = ecs::Types::default();
    types.note(value);
    types.names()
}

#[test]
fn like_sessions_of_both_sensors_have_the_same_fields() {
    let output = records(&sample("ecs"));
    let session = |id: &str| {
        let is_it = |record: &&Value| record["zeek"]["session_id"] == id || record["suricata"]["eve"]["flow_id"] == id;
        output.iter().find(is_it).unwrap_or_else(|| panic!("no session {id}"))
    };
    // One attack tool's certificate, and one look-alike, each as both sensors log it.
    for (zeek, eve) in [("CLezDSi89avb4QO0Z0", "4781368155032"), ("CfyOVoDZEd5IyxetBd", "562764678890102")] {
        let (zeek, eve) = (session(zeek), session(eve));
        for part in ["source", "destination", "client", "server", "network", "threat", "event", "related"] {
            let missing = |fields: Vec<String>| {
                let only_one =
                    |name: &String| ["outcome", "community_id", "created"].iter().any(|sensor| name.contains(sensor));
                fields.into_iter().filter(|name| !only_one(name)).collect::<Vec<_>>()
            };
            assert_eq!(missing(shape(&zeek[part])), missing(shape(&eve[part])), "{part}");
        }
        let names = |record: &Value| shape(&record["tls"]["server"]["x509"]["subject"]);
        assert_eq!(names(zeek), names(eve));
    }
}

#[test]
fn nothing_of_a_record_is_lost() {
    // Every value of a record as it came stands in it somewhere, except where its form is another one.
    let plain = records(&sample("raw"));
    let text = String::from_utf8(sample("ecs")).unwrap();
    assert_eq!(plain.len(), text.lines().count());
    for (record, line) in plain.iter().zip(text.lines()) {
        let fields = record.as_object().unwrap().iter().filter(|(name, _)| *name != "certsift");
        for (name, value) in fields.filter_map(|(name, value)| Some((name, value.as_str()?))) {
            let is_time = ["ts", "timestamp", "_write_ts"].contains(&name.as_str()) || name.contains("not_valid");
            let is_form = ["version", "next_protocol", "proto", "certificate.exponent"].contains(&name.as_str())
                || name.ends_with("_h")
                || name.ends_with("_ip");
            let written = serde_json::to_string(value).unwrap();
            assert!(is_time || is_form || line.contains(&written), "{name} {value} is not in {line}");
        }
    }
}

#[test]
fn a_line_that_cannot_be_taken_apart_leaves_whole() {
    let folder = tempfile::tempdir().unwrap();
    let line = r#"{"_path":"ssl","ts":1773022447.1,"uid":"C1","id.orig_h":"10.0.0.1","id.resp_h":"198.51.100.2","established":true,"\ud800":1}"#;
    let path = folder.path().join("ssl.log");
    std::fs::write(&path, line).unwrap();
    for (format, field) in [("ecs", "/event/original"), ("ocsf", "/raw_data")] {
        let output = records(&replay(std::slice::from_ref(&path), &["--format", format]));
        let original = output[0].pointer(field).and_then(Value::as_str).unwrap();
        assert!(original.starts_with(line.trim_end_matches('}')), "{format}: {original}");
    }
}
