//! Findings and verdicts that history decides, against an oracle that forgets nothing: the same on every session, for
//! any way of cutting the records into files and batches, any number of threads, and across a restart at any point.
//!
//! The long form runs with `CERTSIFT_FULL_TESTS=1`; `CERTSIFT_SEED` gives a failing world again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

#[path = "history_verdicts/oracle.rs"]
mod oracle;
mod support;
#[path = "history_verdicts/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use oracle::{Expected, LEARNING, Oracle, WINDOW_DAYS, told};
use serde_json::Value;
use support::random::{Random, seed};
use support::{certsift, full_tests};
use world::World;

/// Compares what was written with what has to be said, line by line: all of it is large.
fn assert_sessions(output: &Path, world: &World, expected: &[Expected], from: usize, what: &str) {
    let mut sessions = 0;
    for line in BufReader::new(File::open(output).unwrap()).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let Some(uid) = record["uid"].as_str() else { continue };
        let number: usize = uid[1..].parse().unwrap();
        sessions += 1;
        let said = said(&record["certsift"], &expected[number]);
        let it = told(&world.sessions[number]);
        assert_eq!(said, expected[number], "{what}: {it}\n{:#}", record["certsift"]);
    }
    assert_eq!(sessions, expected.len() - from, "{what}");
    std::fs::remove_file(output).unwrap();
}

/// What an object says, in the oracle's form.
fn said(object: &Value, expected: &Expected) -> Expected {
    let verdicts = ["medium", "low", "info", "unknown"];
    let verdict = verdicts.into_iter().find(|verdict| object["verdict"] == *verdict).unwrap_or("higher");
    let found = object["findings"].as_array().into_iter().flatten().map(|finding| {
        let id = expected.findings.iter().map(|(id, _)| *id).find(|id| finding["id"] == *id);
        (id.unwrap_or("one that is not expected"), (finding["weight"].as_f64().unwrap() * 1000.0).round() as i64)
    });
    let issuer = &object["issuer_history"];
    let classes = ["public", "private", "interception", "self"];
    Expected {
        verdict,
        score: object["score"].as_i64(),
        findings: found.collect(),
        class: classes.into_iter().find(|class| issuer["class"] == *class),
        rare: issuer["rare"].as_bool(),
        learning: issuer["learning"].as_bool(),
    }
}

/// The file that a replay writes.
fn replay(folder: &Path, logs: &str, options: &[&str]) -> PathBuf {
    let name = format!("{logs}{}.ndjson", options.concat());
    let arguments = ["replay", "--config", "certsift.toml", "--detail", "full", "-o", &name, logs];
    let output = certsift(folder, &[&arguments, options].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(name)
}

#[test]
fn every_finding_and_verdict_is_what_the_whole_past_says() {
    let seed = seed();
    let count = if full_tests() { 200_000 } else { 12_000 };
    let world = World::new(seed, count, 45);
    let mut oracle = Oracle::default();
    let expected: Vec<_> = world.sessions.iter().map(|session| oracle.judge(&world, session)).collect();
    let folder = tempfile::tempdir().unwrap();
    let (days, certificates, clients) = LEARNING;
    let config = format!(
        "[history]\nwindow = \"{WINDOW_DAYS}d\"\nlearning = {{ days = {days}, certificates = {certificates}, clients = {clients} }}\n"
    );
    std::fs::write(folder.path().join("certsift.toml"), config).unwrap();
    // More files at once are read in smaller batches.
    for (files, threads) in [(1, "1"), (1, "4"), (7, "2"), (60, "3")] {
        let logs = format!("logs-{files}");
        world.write(&folder.path().join(&logs), 0..count, files);
        let what = format!("CERTSIFT_SEED={seed}, {files} files, {threads} threads");
        assert_sessions(&replay(folder.path(), &logs, &["--threads", threads]), &world, &expected, 0, &what);
    }
    let mut random = Random::from_seed(seed ^ 7);
    for turn in 0..if full_tests() { 5 } else { 2 } {
        let cut = 1 + random.below(count - 1);
        let state = format!("state-{turn}");
        for (part, range) in [0..cut, cut..count].into_iter().enumerate() {
            let (logs, first) = (format!("cut-{turn}-{part}"), range.start);
            let end = range.end;
            world.write(&folder.path().join(&logs), range, 1);
            let what = format!("CERTSIFT_SEED={seed}, cut at {cut}, part {part}");
            let output = replay(folder.path(), &logs, &["--state", &state]);
            assert_sessions(&output, &world, &expected[..end], first, &what);
        }
    }
    // A world in which nothing happens would prove nothing.
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for it in &expected {
        it.findings.iter().for_each(|(id, _)| *found.entry(id).or_default() += 1);
        *found.entry(it.verdict).or_default() += 1;
    }
    eprintln!("CERTSIFT_SEED={seed}: {count} sessions, {found:?}");
    let wanted = [
        "issuer_change",
        "moved_certificate",
        "shared_certificate",
        "changing_server",
        "fresh_certificate",
        "rare_issuer",
        "self_signed",
        "interception",
        "first_seen_certificate",
        "first_seen_name",
        "unusual_port",
        "client_fingerprint",
        "medium",
        "low",
        "info",
        "unknown",
    ];
    for id in wanted {
        assert!(found.contains_key(id), "{id} never, CERTSIFT_SEED={seed}: {found:?}");
    }
}
