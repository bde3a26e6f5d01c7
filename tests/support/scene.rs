//! A sensor, certsift beside it, and what is in the output by now.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use super::oracle::{assert_each_once, assert_history};
use super::random::{Random, seed};
use super::sensor::{Format, Sensor};
use super::sidecar::{PATIENCE, World};

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) sensor: Sensor,
    pub(crate) random: Random,
    title: String,
    seed: u64,
    output: Output,
}

/// The lines that are complete.
#[derive(Default)]
struct Output {
    names: HashSet<String>,
    read: u64,
}

/// What a record calls itself.
#[derive(serde::Deserialize)]
struct Name {
    uid: Option<String>,
    fingerprint: Option<String>,
    flow_id: Option<u64>,
}

impl Scene {
    /// A scene whose input is `paths` and `archives`, as the configuration has them.
    pub(crate) fn new(title: &str, format: Format, paths: &str, archives: &str) -> Self {
        let (world, seed) = (World::new(), seed());
        let mut random = Random::from_seed(seed);
        // Most kills shall meet commits; some meet the interval that users have.
        let interval = if random.one_in(4) { "" } else { "commit_interval = \"100ms\"" };
        let config = format!(
            "[[input]]\npaths = [\"{paths}\"]\narchives = [\"{archives}\"]\n\
             [output]\npath = \"out.ndjson\"\ndetail = \"full\"\n\
             [join]\nwait = \"60s\"\n[state]\ndir = \"state\"\n{interval}\n"
        );
        fs::write(world.path("certsift.toml"), config).unwrap();
        let sensor = Sensor::new(format, world.path("logs/x509.log"), seed);
        Self { world, sensor, random, title: title.to_owned(), seed, output: Output::default() }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.world.child.is_some()
    }

    pub(crate) fn restart(&mut self) {
        self.world.stop();
        self.world.start();
    }

    /// Writes the next sessions to a log, with their certificates before them.
    pub(crate) fn write(&mut self, log: &str, sessions: usize) {
        let lines = self.sensor.sessions(sessions);
        self.append(log, &lines);
    }

    pub(crate) fn append(&mut self, log: &str, lines: &[String]) {
        let pieces = 1 + self.random.below(lines.len());
        self.sensor.append(&self.world.path(log), lines, pieces, |_| ());
    }

    /// Waits until everything that was written is in the output.
    pub(crate) fn wait_for_all(&mut self) {
        self.output.wait_for(&self.world, &self.sensor.written);
    }

    /// Writes a session to a log and waits for it: then certsift has that log open.
    pub(crate) fn write_and_wait(&mut self, log: &str) {
        self.write(log, 1);
        let last = self.sensor.written.last().cloned();
        self.output.wait_for(&self.world, last.as_slice());
    }

    /// Ends the scene: every record once, all in order, and what is asked last is answered from what was committed.
    pub(crate) fn end(mut self, log: &str) {
        self.wait_for_all();
        self.restart();
        let probes = self.sensor.probes();
        self.append(log, &probes);
        self.wait_for_all();
        self.world.stop();
        let records = self.world.output();
        assert_each_once(&records, &self.sensor.written);
        assert_history(&records);
        let without = records.iter().find(|record| {
            let shows = record["cert_chain_fps"].as_array().is_some_and(|chain| !chain.is_empty());
            shows && record["certsift"]["certificate"]["state"] != "presented"
        });
        assert_eq!(without, None, "its certificate was written before it");
        assert!(!self.world.path("out.ndjson.dead.ndjson").exists(), "dead letters");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} with CERTSIFT_SEED={}:\n{}", self.title, self.seed, self.world.said());
        }
    }
}

impl Output {
    fn wait_for(&mut self, world: &World, names: &[String]) {
        let started = Instant::now();
        loop {
            self.look(&world.path("out.ndjson"));
            let missing: Vec<_> = names.iter().filter(|name| !self.names.contains(*name)).collect();
            if missing.is_empty() {
                return;
            }
            let some = &missing[..missing.len().min(10)];
            assert!(started.elapsed() < PATIENCE, "{} records do not come, such as {some:?}", missing.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes note of what is new.
    fn look(&mut self, path: &Path) {
        let Ok(mut file) = File::open(path) else { return };
        let size = file.metadata().unwrap().len();
        assert!(size >= self.read, "lines were taken back: {size} bytes, of which {} had been read", self.read);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += complete as u64;
        for line in bytes[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Name { uid, fingerprint, flow_id } = serde_json::from_slice(line).unwrap();
            self.names.extend(uid.or(fingerprint).or(flow_id.map(|id| id.to_string())));
        }
    }
}
