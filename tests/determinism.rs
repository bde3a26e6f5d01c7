//! Same input, same bytes: with one worker or four, the first time or the second, as files or as archives.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

mod common;

use std::path::Path;
use std::process::Output;

use common::*;

/// Replays a path to standard output; the dead letters go to a file of their own.
fn replay(path: &Path, options: &[&str]) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let dead = folder.path().join("dead.ndjson");
    let Output { status, stdout, stderr } =
        certsift().arg("replay").args(options).arg("--dead-letter").arg(&dead).arg(path).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    (stdout, std::fs::read(dead).unwrap_or_default())
}

#[track_caller]
fn assert_same(found: &(Vec<u8>, Vec<u8>), expected: &(Vec<u8>, Vec<u8>), what: &str) {
    // Not `assert_eq`: megabytes in a message help nobody.
    let first = found.0.iter().zip(&expected.0).position(|(found, expected)| found != expected);
    let lengths = (found.0.len(), expected.0.len());
    assert!(first.is_none() && found.0.len() == expected.0.len(), "{what}: output differs at {first:?} {lengths:?}");
    assert!(found.1 == expected.1, "{what}: dead letters differ");
}

fn assert_deterministic(path: &Path, options: &[&str]) {
    let with = |threads: &str| replay(path, &[options, &["--threads", threads]].concat());
    let expected = with("1");
    assert!(!expected.0.is_empty(), "{}: nothing was written", path.display());
    for threads in ["1", "2", "4"] {
        assert_same(&with(threads), &expected, &format!("{} with {threads} threads", path.display()));
    }
}

#[test]
fn the_sample_gives_the_same_bytes_with_any_number_of_threads() {
    let config = repository("sample_logs/certsift.toml");
    let config = config.to_str().unwrap();
    for detail in ["auto", "full"] {
        assert_deterministic(&repository("sample_logs"), &["--config", config, "--detail", detail]);
    }
}

#[test]
fn hostile_lines_do_not_disturb_the_order() {
    let world = World::new();
    let mut lines = Vec::new();
    for number in 0..3000 {
        lines.push(ssl_json(number));
        match number % 7 {
            0 => lines.push("{broken".to_owned()),
            1 => lines.push("{}".to_owned()),
            2 => lines.push(ssl_json(number).replace("1773", "-1e3")),
            3 => lines.push(ssl_json(number).replace("1773", "9e30")),
            4 => lines.push(String::new()),
            _ => {}
        }
    }
    for file in 0..4 {
        lines.rotate_left(17);
        world.file(&format!("{file}/ssl.log"), lines.join("\n"));
        let events: String =
            (0..500).map(|number| eve(&format!("{{\"sni\":\"h{file}{number}\"}}")) + "\n{cut\n").collect();
        world.file(&format!("{file}/eve.json"), events);
    }
    assert_deterministic(world.input(), &[]);
}

#[test]
fn the_corpus_gives_the_same_bytes_with_any_number_of_threads() {
    // The larger sets take minutes without optimisation, and add nothing to what these two show.
    for set in ["suricata-8.0/eve-mixed.json.gz", "zeek-6.2-tsv/x509.log.gz"] {
        if let Some(path) = corpus(set) {
            assert_deterministic(&path, &[]);
        }
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation: cargo test --release")]
fn whole_sets_of_the_corpus_give_the_same_bytes_with_any_number_of_threads() {
    for set in ["zeek-3.0-tsv", "zeek-3.0-json", "zeek-6.2-tsv", "zeek-6.2-json", "suricata-8.0"] {
        if let Some(path) = corpus(set) {
            assert_deterministic(&path, &["--detail", "full"]);
        }
    }
}
