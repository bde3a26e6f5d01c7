//! Every file of every fuzz corpus goes through its target, so that what broke once stays mended without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it cannot go on")]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 9] = [
    ("zeek_tsv", targets::zeek_tsv),
    ("zeek_json", targets::zeek_json),
    ("eve", targets::eve),
    ("json_object", targets::json_object),
    ("der", targets::der),
    ("distinguished_name", targets::distinguished_name),
    ("signatures_toml", targets::signatures_toml),
    ("registrations", targets::registrations),
    ("feeds", targets::feeds),
];

#[test]
fn every_file_of_every_corpus_is_taken_without_a_fault() {
    for (name, target) in TARGETS {
        let files = files_of(name);
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for (path, content) in files {
            let outcome = std::panic::catch_unwind(|| target(&content));
            assert!(outcome.is_ok(), "{}", path.display());
        }
    }
}

/// A fuzzer begins with such changes; these few are made on every run.
#[test]
fn cut_and_flipped_files_of_every_corpus_are_taken_without_a_fault() {
    for (name, target) in TARGETS {
        for (path, content) in files_of(name) {
            let step = (content.len() / 24).max(1);
            for at in (0..content.len()).step_by(step) {
                let mut flipped = content.clone();
                flipped[at] ^= 0x41;
                for changed in [&content[..at], &content[at..], &flipped] {
                    let outcome = std::panic::catch_unwind(|| target(changed));
                    assert!(outcome.is_ok(), "{} changed at {at}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_target_of_the_fuzz_workspace_is_replayed_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap();
    let names: Vec<_> = bins.iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name));
}

fn files_of(target: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}
