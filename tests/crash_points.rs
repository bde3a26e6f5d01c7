//! Crash by construction: the process ends at every step of a commit, and the next one finds nothing amiss.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::sidecar::{PATIENCE, World, compress, ssl, x509};
use support::{certsift, oracle};

/// Every place between two writes or syncs at which a process may end.
const POINTS: [&str; 13] = [
    "journal-written",
    "output-written",
    "dead-letters-written",
    "output-synced",
    "dead-letters-synced",
    "output-moved",
    "output-begun",
    "journal-begun",
    "store-written",
    "store-committed",
    "journal-removed",
    "compressed",
    "compressed-named",
];

const FIRST: u32 = 1_760_000_000;

fn lines_in(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

struct Crash {
    world: World,
    sessions: u32,
    broken: u32,
}

impl Crash {
    fn new() -> Self {
        let world = World::new();
        let config = "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n[output]\npath = \"out.ndjson\"\ndetail = \"full\"\n\
                      rotate_size = \"8kB\"\nrotate_compress = \"gzip\"\n\
                      [state]\ndir = \"state\"\ncommit_interval = \"30ms\"\n[join]\nwait = \"200ms\"\n";
        std::fs::write(world.path("certsift.toml"), config).unwrap();
        // Every other session is an alert, and all of these but the first repeat it.
        let known = x509(FIRST, 2).replace("CN=host2.example", "CN=AsyncRAT Server");
        world.append("logs/x509.log", &[x509(FIRST, 1), known]);
        Self { world, sessions: 0, broken: 0 }
    }

    /// A few sessions, one of them without its certificate, and a line that is no record.
    fn feed(&mut self) {
        let lines: Vec<String> = (0..9)
            .map(|step| {
                self.sessions += 1;
                ssl(FIRST + self.sessions, if step == 7 { 1000 } else { 1 + self.sessions % 2 })
            })
            .collect();
        self.world.append("logs/ssl.log", &lines);
        self.broken += 1;
        self.world.append("logs/ssl.log", &[format!("{{\"broken\":{}", self.broken)]);
    }

    /// Runs until the process ends at the wanted point.
    fn run_into(&mut self, point: &str) {
        let log = OpenOptions::new().create(true).append(true).open(self.world.path("stderr.txt")).unwrap();
        let mut child = self.world.command().env("CERTSIFT_CRASH_AT", point).stderr(log).spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("never came to {point}: {}", self.world.said());
            }
            self.feed();
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    /// Everything that was ever written, oldest first.
    fn records(&self) -> Vec<Value> {
        let mut text = Vec::new();
        for path in self.outputs() {
            let mut bytes = std::fs::read(&path).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "gz") {
                let packed = std::mem::take(&mut bytes);
                flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
            }
            text.extend(bytes);
        }
        // The last line may be on its way.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        support::records(&text[..whole])
    }

    /// Waits until so many lines were written, into whichever file: the output may be moved away at once.
    fn wait_for(&self, lines: usize) {
        let started = Instant::now();
        let written = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_default();
            let mut text = Vec::new();
            match path.extension().is_some_and(|extension| extension == "gz") {
                // One that is gone by now is found under its other name the next time.
                true => {
                    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).map_or(0, |_| lines_in(&text))
                }
                false => lines_in(&bytes),
            }
        };
        while self.outputs().iter().map(written).sum::<usize>() < lines {
            assert!(started.elapsed() < PATIENCE, "{}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn outputs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.world.folder.path()).unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| name(path).starts_with("out.2"));
        let packed: Vec<_> =
            paths.iter().filter_map(|path| name(path).strip_suffix(".gz").map(str::to_owned)).collect();
        // Between the naming of the compressed file and the removal of the other both are there, and the same.
        paths.retain(|path| !packed.contains(&name(path)) && !name(path).ends_with(".tmp"));
        paths.sort();
        paths.push(self.world.path("out.ndjson"));
        paths
    }

    /// Goes on without a crash, until everything is there once and counted in the order of the output.
    fn check(&mut self, told: &str) {
        oracle::assert_history(&self.check_lines(told));
    }

    /// Goes on without a crash, until everything is there, and checks that it is there once.
    fn check_lines(&mut self, told: &str) -> Vec<Value> {
        self.world.start();
        self.feed();
        let expected = self.sessions as usize + 2;
        self.wait_for(expected);
        self.world.stop();
        let records = self.records();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for record in &records {
            *seen.entry(support::name_of(record)).or_default() += 1;
        }
        let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{told}: written twice: {twice:?}\n{}", self.world.said());
        assert_eq!(records.len(), expected, "{told}: lost\n{}", self.world.said());
        let letters = support::records(&std::fs::read(self.world.path("out.ndjson.dead.ndjson")).unwrap());
        let texts: std::collections::BTreeSet<_> = letters.iter().map(|letter| letter["text"].to_string()).collect();
        assert_eq!((letters.len(), texts.len()), (self.broken as usize, self.broken as usize), "{told}: dead letters");
        records
    }
}

#[test]
fn wherever_the_process_ends_nothing_is_lost_and_nothing_is_twice() {
    let passages: &[u32] = if std::env::var_os("CERTSIFT_FULL_TESTS").is_some() { &[1, 2, 3, 5, 8] } else { &[1, 3] };
    std::thread::scope(|scope| {
        for point in POINTS {
            scope.spawn(move || {
                for passage in passages {
                    let mut crash = Crash::new();
                    crash.run_into(&format!("{point}@{passage}"));
                    crash.check(&format!("{point}, passage {passage}"));
                }
            });
        }
    });
}

#[test]
fn a_crash_while_a_crash_is_mended_is_mended_too() {
    let mut crash = Crash::new();
    crash.run_into("output-written@2");
    // Of the last chunk only a part was written.
    let output = OpenOptions::new().write(true).open(crash.world.path("out.ndjson")).unwrap();
    let length = output.metadata().unwrap().len();
    output.set_len(length - 50).unwrap();
    for point in ["redone", "store-written", "store-committed"] {
        crash.run_into(point);
    }
    crash.check("after three crashes in a row");
}

#[test]
fn a_crash_within_an_archive_goes_on_at_the_right_line() {
    let mut crash = Crash::new();
    crash.world.start();
    crash.feed();
    crash.wait_for(11);
    crash.world.stop();
    // It began and was archived while nobody followed it, and is written in several chunks.
    let first = crash.sessions;
    crash.sessions += 5000;
    let lines: Vec<String> = (first + 1..=crash.sessions).map(|number| ssl(FIRST + number, 1 + number % 2)).collect();
    crash.world.append("gone.log", &lines);
    compress(&crash.world.path("gone.log"), &crash.world.path("archive/ssl.gone.log.gz"));
    for point in ["output-written", "journal-written@2", "output-written@2"] {
        crash.run_into(point);
    }
    crash.check("within an archive");
}

#[test]
fn with_half_of_the_first_journal_of_two_no_line_is_written_twice() {
    // What a loss of power took of the first cannot be redone, and so neither can the second.
    let mut crash = Crash::new();
    crash.run_into("store-written@4");
    let entries = std::fs::read_dir(crash.world.path("state")).unwrap().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("journal-")?.parse::<u64>().ok();
    let mut journals: Vec<_> = entries.map(|entry| entry.path()).filter(|path| number(path).is_some()).collect();
    journals.sort_by_key(number);
    assert_eq!(journals.len(), 2, "{journals:?}");
    let first = OpenOptions::new().write(true).open(&journals[0]).unwrap();
    first.set_len(first.metadata().unwrap().len() - 20).unwrap();
    crash.check_lines("with half a journal");
    assert!(crash.world.said().contains("not written again"), "{}", crash.world.said());
}

#[test]
fn without_its_journal_no_line_is_written_twice() {
    // A loss of power may leave the output and take the journal, which is not synced.
    let mut crash = Crash::new();
    crash.run_into("output-written@4");
    for entry in std::fs::read_dir(crash.world.path("state")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("journal-") {
            std::fs::write(entry.path(), b"").unwrap();
        }
    }
    // Nobody knows any more in which order they were counted, but each was.
    let records = crash.check_lines("without a journal");
    let last = records.iter().rfind(|record| record["certsift"]["certificate"]["state"] == "presented").unwrap();
    assert_eq!(last["certsift"]["issuer_history"]["certificates"], 2, "{last}");
    assert!(crash.world.said().contains("not written again"), "{}", crash.world.said());
}

#[test]
fn nothing_is_forgotten_of_a_state_whose_journal_is_still_to_be_gone_through() {
    let mut crash = Crash::new();
    crash.run_into("output-written@2");
    let output = certsift(crash.world.folder.path(), &["state", "prune", "--older-than", "1d", "--state", "state"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("not closed in order"), "{said}");
    crash.check("after a prune that was refused");
}
