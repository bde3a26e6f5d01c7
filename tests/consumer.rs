//! A consumer that knows nothing of certsift takes its output as it is: DuckDB finds one type for every field, over whole
//! corpora and all schemas.
//!
//! `CERTSIFT_DUCKDB` names a Python that has the package `duckdb` (`python3 -m venv venv && venv/bin/pip install duckdb`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails, and says so; one that is skipped says so too"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{corpus, replay, repository};

const SETS: [&str; 5] = ["zeek-3.0-json", "zeek-3.0-tsv", "zeek-6.2-json", "zeek-6.2-tsv", "suricata-8.0"];

/// The Python that has DuckDB; says loudly where there is none.
fn python(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("CERTSIFT_DUCKDB").map(PathBuf::from);
    if python.is_none() {
        eprintln!("SKIPPED: {test}: CERTSIFT_DUCKDB names no Python with the package duckdb");
    }
    python
}

/// What DuckDB says of files in a schema; fails the test where types conflict.
fn read(python: &Path, format: &str, files: &[PathBuf]) -> String {
    let script = repository("tests/consumer/read.py");
    let output = Command::new(python).arg(script).arg(format).args(files).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprint!("{said}");
    said
}

/// The records and their verdicts of what DuckDB said.
fn counts(said: &str) -> &str {
    said.split_once("records ").unwrap().1.lines().next().unwrap()
}

#[test]
fn duckdb_reads_every_schema_without_a_conflict() {
    let Some(python) = python("output in DuckDB") else { return };
    let Some(corpus) = corpus("output in DuckDB") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for format in ["raw", "ecs", "ocsf"] {
        let files = SETS.map(|set| {
            let file = folder.path().join(format!("{set}.{format}.ndjson"));
            std::fs::write(&file, replay(&[corpus.join(set)], &["--format", format])).unwrap();
            file
        });
        said.push(read(&python, format, &files));
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }
    assert_eq!(counts(&said[0]), counts(&said[1]));
    assert_eq!(counts(&said[0]), counts(&said[2]));
}

#[test]
fn duckdb_reads_the_samples_of_all_sensors_at_once() {
    let Some(python) = python("samples in DuckDB") else { return };
    for format in ["ecs", "ocsf"] {
        read(&python, format, &[repository(&format!("tests/golden/sample_logs.{format}.ndjson"))]);
    }
}

#[test]
fn the_reader_finds_conflicts() {
    let Some(python) = python("conflicts in DuckDB") else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = [(r#"{"a":{"b":1},"certsift":{"verdict":"info"}}"#, "1"), (r#"{"a":"x"}"#, "2")].map(|(line, name)| {
        let file = folder.path().join(name);
        std::fs::write(&file, line).unwrap();
        file
    });
    let script = repository("tests/consumer/read.py");
    let output = Command::new(python).arg(script).arg("ecs").args(&files).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success() && said.contains("conflict: a: JSON"), "{said}");
}
