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
        // Zeek logs how the handshake went and the whole certificate; this Suricata its names, validity and SHA-1.
        let only_one = [
            "established",
            "resumed",
            "cipher",
            "curve:",
            "hash.sha",
            "public_key",
            "signature_algorithm",
            "version_number",
        ];
        let names = |record: &Value| {
            let fields = shape(&record["tls"]).into_iter();
            fields.filter(|name| only_one.iter().all(|one| !name.contains(one))).collect::<Vec<_>>()
        };
        assert_eq!(names(zeek), names(eve));
    }
}

#[test]
fn nothing_of_a_record_is_lost() {
    // Every value of a record as it came stands in it somewhere, except where its form is another one.
    let plain = records(&sample("raw"));
    let formats = ["ecs", "ocsf"].map(|format| String::from_utf8(sample(format)).unwrap());
    for (record, line) in formats.iter().flat_map(|text| plain.iter().zip(text.lines())) {
        let fields = record.as_object().unwrap().iter().filter(|(name, _)| *name != "certsift");
        // What stands in the object of a sensor, such as the certificate itself, is a field as well.
        let inner = ["tls", "alert"].iter().filter_map(|name| record[*name].as_object()).flatten();
        for (name, value) in fields.chain(inner).filter_map(|(name, value)| Some((name, value.as_str()?))) {
            let is_time = ["ts", "timestamp", "_write_ts"].contains(&name.as_str()) || name.contains("not_valid");
            let is_form = ["version", "next_protocol", "proto", "certificate.exponent"].contains(&name.as_str())
                || name.ends_with("_h")
                || name.ends_with("_ip");
            let written = serde_json::to_string(value).unwrap();
            assert!(is_time || is_form || line.contains(&written), "{name} {value} is not in {line}");
        }
    }
}

/// Values of every type but the one that a sensor writes, and odd ones of that.
const ODD: [&str; 12] = [
    "null",
    "true",
    "-1",
    "18446744073709551616",
    "1.5e300",
    r#""""#,
    r#""\ud800""#,
    r#""\u0000\u202e\uffff""#,
    r#""443""#,
    "[]",
    r#"[{"a":1},"b",2]"#,
    r#"{"hash":{"x":1},"sni":[1],"certsift":{"id":"x"}}"#,
];

/// Fields below the names of sensors that certsift writes itself.
const WRITTEN: [&str; 18] = [
    ".zeek.session_id",
    ".zeek.ssl.curve",
    ".zeek.ssl.ja4",
    ".zeek.ssl.ja4s",
    ".zeek.ssl.last_alert",
    ".zeek.ssl.validation_status",
    ".zeek.ssl.resumed",
    ".zeek.ssl.version",
    ".zeek.x509.certificate.exponent",
    ".suricata.eve.alert.category",
    ".suricata.eve.alert.signature",
    ".suricata.eve.alert.signature_id",
    ".suricata.eve.flow_id",
    ".suricata.eve.tls.certificate",
    ".suricata.eve.tls.chain",
    ".suricata.eve.tls.ja4",
    ".suricata.eve.tls.session_resumed",
    ".suricata.eve.tls.version",
];

/// A record with each of its fields replaced by each odd value, and with the field twice.
fn spoiled(record: &str, keys: &[&str]) -> String {
    let mut lines = String::new();
    let base: Value = serde_json::from_str(record).unwrap();
    for key in keys {
        for odd in ODD {
            let (outer, inner) = key.split_once('/').map_or((None, *key), |(outer, inner)| (Some(outer), inner));
            let mut members = base.as_object().unwrap().clone();
            let object = match outer {
                Some(outer) => members[outer].as_object_mut().unwrap(),
                None => &mut members,
            };
            object.insert(inner.to_owned(), "PLACE".into());
            let text = serde_json::to_string(&members).unwrap();
            lines += &text.replacen("\"PLACE\"", odd, 1);
            lines += "\n";
            lines += &text.replacen("\"PLACE\"", &format!("\"first\",\"{inner}\":{odd}"), 1);
            lines += "\n";
        }
    }
    lines
}

#[test]
fn no_value_of_a_record_makes_a_field_of_another_type() {
    let folder = tempfile::tempdir().unwrap();
    let ssl = r#"{"ts":1773022447.1,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"198.51.100.2","id.resp_p":443,"version":"TLSv12","cipher":"X","established":true,"resumed":false,"id":{}}"#;
    let ssl_keys = [
        "_write_ts",
        "uid",
        "community_id",
        "id.orig_h",
        "id.orig_p",
        "id.resp_p",
        "id",
        "version",
        "cipher",
        "curve",
        "server_name",
        "next_protocol",
        "established",
        "resumed",
        "last_alert",
        "validation_status",
        "ja3",
        "ja3s",
        "ja4",
        "ja4s",
        "subject",
        "issuer",
        "ts",
        "zeek",
        "tls",
        "@timestamp",
    ];
    let x509 = r#"{"ts":1773022447.1,"fingerprint":"00","certificate.version":3,"certificate.serial":"01","certificate.subject":"CN=a","certificate.issuer":"CN=a","certificate.not_valid_before":1700000000.0,"certificate.not_valid_after":1800000000.0}"#;
    let x509_keys = [
        "certificate.version",
        "certificate.serial",
        "certificate.subject",
        "certificate.not_valid_before",
        "certificate.not_valid_after",
        "certificate.exponent",
        "certificate.key_length",
        "san.dns",
        "fingerprint",
    ];
    let eve = r#"{"timestamp":"2026-03-08T19:32:16.975543+0000","flow_id":1,"event_type":"tls","src_ip":"10.0.0.1","src_port":1,"dest_ip":"198.51.100.2","dest_port":443,"proto":"TCP","tls":{"version":"TLS 1.2","subject":"CN=a","issuerdn":"CN=a","serial":"01"}}"#;
    let eve_keys = [
        "flow_id",
        "community_id",
        "proto",
        "src_ip",
        "src_port",
        "dest_port",
        "host",
        "tls/sni",
        "tls/version",
        "tls/session_resumed",
        "tls/certificate",
        "tls/chain",
        "tls/client",
        "tls/ja3",
        "tls/ja3s",
        "tls/ja4",
        "tls/server_alpns",
        "tls/subject",
        "tls/serial",
        "tls/notbefore",
        "alert",
        "quic",
    ];
    let alert = eve.replace(r#""event_type":"tls""#, r#""event_type":"alert","alert":{"signature_id":1}"#);
    let alert_keys = ["alert/signature_id", "alert/signature", "alert/category", "alert/gid", "flow_id", "tls/sni"];
    for (name, lines) in [
        ("ssl.log", spoiled(ssl, &ssl_keys)),
        ("x509.log", spoiled(x509, &x509_keys)),
        ("eve.json", spoiled(eve, &eve_keys) + &spoiled(&alert, &alert_keys)),
    ] {
        std::fs::write(folder.path().join(name), lines).unwrap();
    }
    for format in ["ecs", "ocsf"] {
        let text = String::from_utf8(replay(&[folder.path().to_owned()], &["--format", format])).unwrap();
        // Half a pair is passed on, as it came, and this reader of JSON does not take it.
        let output = records(text.replace("\\ud800", "\\ufffd").as_bytes());
        assert!(output.len() > 1500);
        let mut table = table::Table::read(format);
        let mut types = ecs::Types::default();
        for record in output.iter().chain(&records(&sample(format))) {
            table.check(record, &OWN);
            types.note(record);
        }
        // What is of another type than sensors write is kept below their names as it came, and nowhere else, and not in
        // the place of what is written there.
        let is_kept = |conflict: &String| {
            let path = conflict.trim_start_matches(".unmapped").split(['[', ':']).next().unwrap();
            let own = path.starts_with(".zeek.") || path.starts_with(".suricata.");
            own && !WRITTEN.contains(&path)
        };
        let conflicts: Vec<_> = types.conflicts().into_iter().filter(|conflict| !is_kept(conflict)).collect();
        assert!(conflicts.is_empty(), "{format}: {conflicts:#?}");
    }
}

#[test]
fn what_is_deep_or_long_leaves_as_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ssl.log");
    let deep = [["[", "]"], [r#"{"a":"#, "}"]].map(|[open, close]| open.repeat(50_000) + "1" + &close.repeat(50_000));
    let long = format!(r#""{}""#, "\u{202e}<b>\u{1f512}".repeat(200_000));
    let line = |odd: &str| {
        format!(
            r#"{{"_path":"ssl","ts":1773022447.1,"uid":"C1","id.orig_h":"10.0.0.1","id.resp_h":"198.51.100.2","odd":{odd},"server_name":{long}}}"#
        )
    };
    let lines = deep.iter().chain([&long]).map(|odd| line(odd)).collect::<Vec<_>>();
    std::fs::write(&path, lines.join("\n")).unwrap();
    for format in ["ecs", "ocsf"] {
        let text = String::from_utf8(replay(std::slice::from_ref(&path), &["--format", format])).unwrap();
        assert_eq!(text.lines().count(), lines.len());
        for (written, odd) in text.lines().zip(deep.iter().chain([&long])) {
            assert!(written.contains(&format!("\"odd\":{odd}")) && written.contains(&long), "{format}");
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
