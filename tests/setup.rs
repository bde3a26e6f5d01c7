//! What `certsift setup` prints fits what certsift writes: mappings take every record, rules fire on what they are for,
//! and the fields of data models are there.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says so; one that is skipped says so too"
)]

#[path = "setup/mapping.rs"]
mod mapping;
#[path = "setup/rule.rs"]
mod rule;
#[path = "setup/splunk.rs"]
mod splunk;
mod support;

use std::collections::BTreeSet;

use mapping::Mapping;
use rule::Rule;
use serde_json::Value;
use splunk::{Stanzas, fields, stanzas};
use support::{certsift, corpus, records, replay, repository};

fn golden(name: &str) -> Vec<Value> {
    records(&std::fs::read(repository(&format!("tests/golden/{name}.ndjson"))).unwrap())
}

/// The files of a setup by their names.
fn files(what: &str) -> std::collections::BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let output = certsift(folder.path(), &["setup", what, "--output", "made/here"]);
    assert!(output.status.success() && output.stdout.is_empty() && !output.stderr.is_empty());
    let files = std::fs::read_dir(folder.path().join("made/here")).unwrap().map(|file| {
        let path = file.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
    });
    files.collect()
}

/// A record as the ingest pipeline for raw records leaves it.
fn ingested(mut record: Value) -> Value {
    let members = record.as_object_mut().unwrap();
    if members.get("id").is_some_and(Value::is_string) {
        let id = members.remove("id").unwrap();
        members.insert("fuid".to_owned(), id);
    }
    record
}

/// What only sensors know of is kept and not indexed; the `certsift` object is mapped wholly.
fn is_of_sensor(path: &str) -> bool {
    !path.starts_with("certsift")
}

#[test]
fn the_mapping_of_raw_records_takes_those_of_every_sensor() {
    let mapping = Mapping::printed(&["--format", "raw"]);
    golden("sample_logs").into_iter().for_each(|record| mapping.check(&ingested(record), is_of_sensor));
    let Some(folder) = corpus("raw records in Elasticsearch") else { return };
    for set in ["zeek-3.0-json", "suricata-8.0"] {
        for record in records(&replay(&[folder.join(set)], &[])) {
            mapping.check(&ingested(record), is_of_sensor);
        }
    }
}

#[test]
fn mappings_take_all_of_a_record_and_make_no_field_of_their_own() {
    let elastic = Mapping::printed(&[]);
    let opensearch = Mapping::printed(&["--opensearch"]);
    for record in golden("sample_logs.ecs") {
        elastic.check(&record, |_| false);
        opensearch.check(&record, |path| path.starts_with("zeek.") || path.starts_with("suricata."));
    }
    for mapping in [&elastic, &opensearch] {
        // The default of `index.mapping.total_fields.limit` is 1000, objects included.
        assert!(mapping.fields().len() < 500);
    }
    let only_here: BTreeSet<_> = elastic.fields().into_iter().collect();
    let types: BTreeSet<_> = opensearch.fields().into_iter().filter(|field| !only_here.contains(field)).collect();
    let own = [("suricata.eve.flow_id", "keyword"), ("zeek.session_id", "keyword")];
    assert_eq!(types, own.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into());
}

#[test]
fn times_of_the_object_are_dates() {
    let fields: BTreeSet<_> = Mapping::printed(&[]).fields().into_iter().collect();
    for (field, kind) in [
        ("certsift.certificate.not_before", "date"),
        ("certsift.client_certificate.not_after", "date"),
        ("certsift.history.issuer_change.since", "date"),
        ("certsift.registration.registered", "date"),
        ("certsift.transparency.name_logged", "date"),
        ("certsift.feeds.listed", "date"),
        ("certsift.findings.weight", "float"),
        ("certsift.score", "long"),
        ("certsift.repeat", "boolean"),
        ("certsift.certificate.subject.cn", "keyword"),
    ] {
        assert!(fields.contains(&(field.to_owned(), kind.to_owned())), "{field} is no {kind}");
    }
}

#[test]
fn what_is_printed_together_is_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let output = certsift(folder.path(), &["setup", "elastic"]);
    let together: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, text) in files("elastic") {
        let alone: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(together[name.trim_end_matches(".json")], alone);
    }
    for what in ["splunk", "sigma", "elastic-rules", "splunk-rules", "grafana", "prometheus"] {
        let printed = String::from_utf8(certsift(folder.path(), &["setup", what]).stdout).unwrap();
        for (name, text) in files(what) {
            assert!(printed.contains(text.as_str()), "{name}");
        }
    }
}

/// Checks that a rule fires on just those records that it is for, and that there are records that only `repeat` keeps
/// from it.
fn check_rule(rule: &Rule, verdicts: &[&str]) {
    let (mut fired, mut repeated) = (0, 0);
    for record in golden("sample_logs").iter().chain(&golden("sample_logs.ecs")) {
        let is_for = verdicts.iter().any(|verdict| record["certsift"]["verdict"] == *verdict);
        let is_first = record["certsift"]["repeat"] == false;
        assert_eq!(rule.fires(record), is_for && is_first, "{record}");
        fired += u32::from(is_for && is_first);
        repeated += u32::from(is_for && !is_first && record["certsift"]["log"] != "zeek.x509");
    }
    assert!(fired > 0 && (repeated > 0 || verdicts == ["medium"]), "{verdicts:?}: {fired}, {repeated}");
    // Of what the samples do not hold: the same once more, and what is below.
    for verdict in verdicts {
        let record = |repeat: bool| serde_json::json!({"certsift": {"verdict": verdict, "repeat": repeat}});
        assert!(rule.fires(&record(false)) && !rule.fires(&record(true)));
    }
    for below in ["low", "info", "unknown"] {
        assert!(!rule.fires(&serde_json::json!({"certsift": {"verdict": below, "repeat": false}})));
    }
    assert!(!rule.fires(&serde_json::json!({"certsift": {"log": "zeek.x509", "verdict": verdicts[0]}})));
}

const PAGE: [&str; 2] = ["high", "critical"];
const HUNT: [&str; 1] = ["medium"];

#[test]
fn sigma_rules_fire_on_what_they_are_for() {
    let files = files("sigma");
    assert_eq!(files.len(), 2);
    check_rule(&Rule::sigma(&files["certsift_page.yml"]), &PAGE);
    check_rule(&Rule::sigma(&files["certsift_hunt.yml"]), &HUNT);
}

#[test]
fn rules_of_elastic_fire_on_what_they_are_for() {
    let text = &files("elastic-rules")["elastic_rules.ndjson"];
    let rules = records(text.as_bytes());
    assert_eq!(rules.len(), 2);
    for (rule, verdicts) in rules.iter().zip([&PAGE[..], &HUNT]) {
        check_rule(&Rule::kql(rule["query"].as_str().unwrap()), verdicts);
        for key in ["rule_id", "name", "description", "severity", "language", "interval", "from"] {
            assert!(rule[key].is_string(), "{key}");
        }
        assert!(rule["risk_score"].as_u64().is_some_and(|score| score <= 100));
        // They look where the index templates put documents.
        let prefix = rule["index"][0].as_str().unwrap().trim_end_matches('*');
        for format in ["ecs", "raw"] {
            let folder = tempfile::tempdir().unwrap();
            let output = certsift(folder.path(), &["setup", "elastic", "--format", format]);
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(printed["index_template"]["index_patterns"][0].as_str().unwrap().starts_with(prefix));
        }
    }
    // The lasting window of the rule is longer than the time between two looks.
    assert_eq!((&rules[1]["interval"], &rules[1]["from"]), (&"24h".into(), &"now-25h".into()));
}

#[test]
fn searches_of_splunk_fire_on_what_they_are_for() {
    let searches = stanzas(&files("splunk-rules")["savedsearches.conf"]);
    let event_types = stanzas(&files("splunk")["eventtypes.conf"]);
    assert_eq!(searches.len(), 2);
    for (name, search) in &searches {
        let verdicts: &[&str] = if name.contains("medium") { &HUNT } else { &PAGE };
        check_rule(&Rule::spl(&search["search"], &event_types), verdicts);
    }
    let shown = Rule::spl(&event_types["certsift_certificate"]["search"], &event_types);
    for record in golden("sample_logs") {
        assert_eq!(shown.fires(&record), record["certsift"]["certificate"]["sha256"].is_string());
    }
    for event_type in stanzas(&files("splunk")["tags.conf"]).keys() {
        assert!(event_types.contains_key(event_type.strip_prefix("eventtype=").unwrap()));
    }
}

#[test]
fn certificates_have_the_fields_of_the_common_information_model() {
    let files = files("splunk");
    let [props, transforms] = ["props.conf", "transforms.conf"].map(|name| stanzas(&files[name]));
    let mut seen = BTreeSet::new();
    for (golden_name, source_type) in [
        ("sample_logs", "certsift"),
        ("sample_logs", "certsift:raw"),
        ("sample_logs.ecs", "certsift:file:ecs"),
        ("sample_logs.ecs", "certsift:ecs"),
    ] {
        for record in golden(golden_name) {
            let object = &record["certsift"]["certificate"];
            if !object["sha256"].is_string() {
                continue;
            }
            let found = fields(&record, &props[source_type], &transforms);
            let text = |name: &str| found.get(name).map(|values| values[0].as_str());
            assert_eq!(text("ssl_hash"), object["sha256"].as_str());
            assert_eq!(text("ssl_subject"), object["subject"]["dn"].as_str(), "{record}");
            assert_eq!(text("ssl_issuer"), object["issuer"]["dn"].as_str(), "{record}");
            assert_eq!(text("severity"), record["certsift"]["verdict"].as_str());
            for (name, key) in [("ssl_start_time", "not_before"), ("ssl_end_time", "not_after")] {
                let time = object[key].as_str().map(|text| text.trim_end_matches('Z').parse::<jiff::civil::DateTime>());
                let epoch = "1970-01-01T00:00:00".parse::<jiff::civil::DateTime>().unwrap();
                let seconds = time.map(|time| time.unwrap().duration_since(epoch).as_secs().to_string());
                assert_eq!(text(name), seconds.as_deref(), "{name}: {record}");
            }
            if let Some(name) = object["subject"]["cn"][0].as_str() {
                assert_eq!(text("ssl_subject_common_name"), Some(name), "{record}");
            } else if source_type != "certsift:raw" && object["subject"]["dn"].as_str().unwrap().contains("CN=") {
                assert!(text("ssl_subject_common_name").is_some(), "{record}");
            }
            if record["certsift"]["log"] != "zeek.x509" {
                assert!(["src", "dest", "dest_port", "dvc"].iter().all(|name| found.contains_key(*name)), "{record}");
            }
            seen.extend(found.into_keys());
        }
    }
    for wanted in [
        "ssl_end_time",
        "ssl_hash",
        "ssl_is_valid",
        "ssl_issuer",
        "ssl_issuer_common_name",
        "ssl_issuer_organization",
        "ssl_name",
        "ssl_publickey_algorithm",
        "ssl_serial",
        "ssl_signature_algorithm",
        "ssl_start_time",
        "ssl_subject",
        "ssl_subject_common_name",
        "ssl_subject_organization",
        "ssl_version",
        "src",
        "src_port",
        "transport",
    ] {
        assert!(seen.contains(wanted), "no event has {wanted}");
    }
}

#[test]
fn names_that_hold_separators_are_read_to_their_end() {
    let files = files("splunk");
    let [props, transforms] = ["props.conf", "transforms.conf"].map(|name| stanzas(&files[name]));
    let name = |dn: &str| {
        let record = serde_json::json!({"certsift": {"certificate": {"subject": {"dn": dn}, "sha256": "00"}}});
        fields(&record, &props["certsift"], &transforms).get("ssl_subject_common_name").map(|values| values[0].clone())
    };
    assert_eq!(name("CN=a.example,O=Some\\, Inc").as_deref(), Some("a.example"));
    assert_eq!(name("C=US, O=CN Inc, CN=b.example").as_deref(), Some("b.example"));
    assert_eq!(name("O=Some,CN=c\\,d").as_deref(), Some("c\\,d"));
    assert_eq!(name("O=XCN=d"), None);
    assert_eq!(name(""), None);
}

/// Nothing is set but what Splunk's documentation names.
#[test]
fn settings_of_splunk_are_known_ones() {
    const KNOWN: [&str; 8] = [
        "INDEXED_EXTRACTIONS",
        "KV_MODE",
        "SHOULD_LINEMERGE",
        "LINE_BREAKER",
        "TRUNCATE",
        "TIMESTAMP_FIELDS",
        "TIME_FORMAT",
        "REPORT-certsift_names",
    ];
    let props: Stanzas = stanzas(&files("splunk")["props.conf"]);
    for key in props.values().flat_map(|settings| settings.keys()) {
        let is_known = KNOWN.contains(&key.as_str()) || key.starts_with("FIELDALIAS-") || key.starts_with("EVAL-");
        assert!(is_known, "{key}");
    }
}
