//! Records in the schemas of SIEMs are what those schemas ask for, over whole corpora and for both sensors. The published
//! schemas are found in the folder `schemas` beside the corpus.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

#[path = "siem/ecs.rs"]
mod ecs;
#[path = "siem/ocsf.rs"]
mod ocsf;
mod support;

use std::path::PathBuf;

use serde_json::Value;
use support::{corpus, records, replay};

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

#[test]
fn every_record_is_as_elastic_common_schema_asks() {
    let Some(folder) = published("ecs") else { return };
    let schema = ecs::Schema::read(&folder);
    for set in SETS {
        all("ecs", set).iter().for_each(|record| schema.check(record));
    }
}

#[test]
fn every_record_is_as_ocsf_asks() {
    let Some(folder) = published("ocsf") else { return };
    let schema = ocsf::Schema::read(&folder);
    for set in SETS {
        all("ocsf", set).iter().for_each(|record| schema.check(record));
    }
}

#[test]
fn nothing_is_one_type_here_and_another_there() {
    if corpus("types of fields").is_none() {
        return;
    }
    for format in ["ecs", "ocsf"] {
        let mut types = ecs::Types::default();
        for set in SETS {
            all(format, set).iter().for_each(|record| types.note(record));
        }
        assert_eq!(types.conflicts(), Vec::<String>::new(), "{format}");
    }
}
