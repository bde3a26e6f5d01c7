//! Real logs, fed slowly to a certsift that is killed again and again: every record once, and counted once.
//!
//! The records of the corpus come in the order in which Zeek wrote them, each file of a log as TSV or as JSON, cut where
//! the buffers of a writer are cut, and rotated now and then. Most kills come while certsift is writing. In the end the
//! output has every record once, and each object states what one uninterrupted pass over the output, in its order, has
//! seen by then; and so do probes, which are answered from what the last stop committed.
//!
//! A plain run kills 25 times over the first sessions, `CERTSIFT_FULL_TESTS=1` 1,000 times over all of them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::oracle::{assert_each_once, assert_history};
use support::random::{Random, seed};
use support::shipper::Shipper;
use support::sidecar::{PATIENCE, World};
use support::{gz_lines, name_of};

#[test]
fn a_thousand_kills_lose_nothing_and_count_nothing_twice() {
    let Some(corpus) = support::corpus("a thousand kills") else { return };
    let (kills, sessions) = if support::full_tests() { (1000, usize::MAX) } else { (25, 4000) };
    Run::begin(rows_of(&corpus, sessions), seed()).live_through(kills);
}

/// A record as Zeek writes it.
struct Row {
    log: &'static str,
    name: String,
    tsv: String,
    json: String,
}

/// The records up to a number of sessions, in the order in which Zeek wrote them, and what TSV logs begin with.
fn rows_of(corpus: &Path, sessions: usize) -> (Vec<Row>, HashMap<&'static str, String>) {
    let (mut rows, mut headers) = (Vec::new(), HashMap::new());
    for log in ["x509", "known_certs", "ssl"] {
        let lines = |set: &str| gz_lines(&corpus.join(format!("{set}/{log}.log.gz")));
        let (header, tsv): (Vec<_>, Vec<_>) = lines("zeek-6.2-tsv").into_iter().partition(|line| line.starts_with('#'));
        let header = header.iter().filter(|line| !line.starts_with("#close")).map(|line| format!("{line}\n"));
        headers.insert(log, header.collect());
        rows.extend(lines("zeek-6.2-json").into_iter().zip(tsv).map(|(json, tsv)| {
            let record: Value = serde_json::from_str(&json).unwrap();
            let row = Row { log, name: name_of(&record), tsv, json };
            (record["_write_ts"].as_str().unwrap().to_owned(), row)
        }));
    }
    rows.sort_by(|(time, _), (other, _)| time.cmp(other));
    let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let mut left = sessions;
    rows.retain(|row| {
        let is_wanted = left > 0;
        left -= usize::from(row.log == "ssl" && is_wanted);
        is_wanted
    });
    (rows, headers)
}

/// A sensor, certsift beside it, and whoever kills it.
struct Run {
    seed: u64,
    random: Random,
    world: World,
    shipper: Shipper,
    rows: Vec<Row>,
    /// Rows that the sensor has seen so far.
    seen: usize,
    logs: BTreeMap<&'static str, Log>,
    rotations: usize,
}

/// A log and its writer.
struct Log {
    path: PathBuf,
    header: String,
    /// Whether the file is TSV; `None` before its first line.
    tsv: Option<bool>,
    /// What the writer has not handed to the system yet.
    buffer: Vec<u8>,
    /// One time in so many it does. A session may be read long before its certificate.
    flushes: usize,
}

impl Run {
    fn begin((rows, headers): (Vec<Row>, HashMap<&'static str, String>), seed: u64) -> Self {
        let world = World::new();
        let config = "[[input]]\npaths = [\"logs/*.log\"]\n[output]\npath = \"out.ndjson\"\ndetail = \"full\"\n\
                      [join]\nwait = \"60s\"\n[state]\ndir = \"state\"\ncommit_interval = \"20ms\"\n";
        fs::write(world.path("certsift.toml"), config).unwrap();
        let log = |(name, header)| {
            let path = world.path(&format!("logs/{name}.log"));
            let flushes = if name == "x509" { 25 } else { 1 };
            (name, Log { path, header, tsv: None, buffer: Vec::new(), flushes })
        };
        let logs = headers.into_iter().map(log).collect();
        let (random, shipper) = (Random::from_seed(seed), Shipper::new(world.path("out.ndjson")));
        Self { seed, random, world, shipper, rows, seen: 0, logs, rotations: 0 }
    }

    fn live_through(mut self, kills: usize) {
        for kill in 0..kills {
            self.world.start();
            let share = (self.rows.len() - self.seen) / (kills - kill);
            self.feed_until_killed(self.seen + share);
            if self.random.one_in(15) {
                self.rotate("ssl");
            }
            if self.random.one_in(60) {
                self.rotate("x509");
            }
        }
        self.world.start();
        self.see(self.rows.len());
        self.flush_all();
        self.wait_for_all();
        // What is asked now is answered from what was committed.
        self.world.stop();
        let before = self.shipper.records();
        let probes = self.probe(&before);
        self.world.start();
        self.wait_for_all();
        self.world.stop();
        self.check(kills, probes);
    }

    /// Feeds rows until a kill. Of those that were meant to come before it and did not, nobody tells the sensor: they
    /// are written while certsift is down.
    fn feed_until_killed(&mut self, until: usize) {
        let step = (until - self.seen).div_ceil(STEPS).max(1);
        // Some kills come at any instant after the start. The others wait for the first new line: then certsift gets on,
        // and they meet it while it writes.
        let any_instant = self.random.one_in(5).then(|| self.instant());
        let (started, mut at) = (Instant::now(), any_instant);
        while at.is_none_or(|at| Instant::now() < at) {
            self.see(until.min(self.seen + step));
            self.flush_some();
            if self.shipper.look() > 0 && at.is_none() {
                at = Some(self.instant());
            }
            let pause = Duration::from_micros(self.random.below(8000) as u64);
            let left = at.map_or(pause, |at| at.saturating_duration_since(Instant::now()));
            std::thread::sleep(pause.min(left));
            assert!(at.is_some() || started.elapsed() < PATIENCE, "nothing is written: {}", self.world.said());
        }
        self.world.kill();
        self.see(until);
        self.flush_some();
    }

    fn instant(&mut self) -> Instant {
        Instant::now() + Duration::from_micros(5000 + self.random.below(145_000) as u64)
    }

    /// The sensor sees what the next rows say; they go into the buffers.
    fn see(&mut self, until: usize) {
        for row in &self.rows[self.seen..until] {
            let log = self.logs.get_mut(row.log).unwrap();
            let tsv = *log.tsv.get_or_insert_with(|| {
                let tsv = self.random.one_in(2);
                log.buffer.extend_from_slice(if tsv { log.header.as_bytes() } else { b"" });
                tsv
            });
            let line = if tsv { &row.tsv } else { &row.json };
            log.buffer.extend_from_slice(line.as_bytes());
            log.buffer.push(b'\n');
        }
        self.seen = until;
    }

    /// Writers hand over what they have, or a part of it that ends where it ends.
    fn flush_some(&mut self) {
        for log in self.logs.values_mut() {
            if self.random.one_in(log.flushes) {
                let part = if self.random.one_in(3) { self.random.below(log.buffer.len()) } else { log.buffer.len() };
                log.flush(part);
            }
        }
    }

    fn flush_all(&mut self) {
        self.logs.values_mut().for_each(|log| log.flush(log.buffer.len()));
    }

    /// Zeek closes its log and gives it another name.
    fn rotate(&mut self, name: &str) {
        let log = self.logs.get_mut(name).unwrap();
        let Some(tsv) = log.tsv.take() else { return };
        log.buffer.extend_from_slice(if tsv { b"#close\t2018-03-24-18-00-00\n" } else { b"" });
        log.flush(log.buffer.len());
        self.rotations += 1;
        fs::rename(&log.path, log.path.with_file_name(format!("{name}.{}.log", self.rotations))).unwrap();
    }

    fn wait_for_all(&mut self) {
        let (started, mut left) = (Instant::now(), self.rows.len());
        while left > 0 {
            assert!(started.elapsed() < PATIENCE, "{left} records do not come: {}", self.world.said());
            std::thread::sleep(Duration::from_millis(20));
            self.shipper.look();
            left = self.rows.iter().filter(|row| !self.shipper.has(&row.name)).count();
        }
    }

    /// Writes one session more for every certificate that was presented, each by a client that nobody has seen.
    fn probe(&mut self, records: &[Value]) -> usize {
        let presented = records.iter().filter(|record| record["certsift"]["certificate"]["state"] == "presented");
        let last: BTreeMap<&str, &Value> =
            presented.map(|record| (record["certsift"]["certificate"]["sha256"].as_str().unwrap(), record)).collect();
        let mut text = String::new();
        for (number, record) in last.values().enumerate() {
            let mut session = (*record).clone();
            session.as_object_mut().unwrap().remove("certsift");
            let name = format!("Cprobe{number}");
            let client = format!("10.200.{}.{}", number / 256, number % 256);
            (session["uid"], session["id.orig_h"]) = (name.as_str().into(), client.into());
            text.push_str(&format!("{session}\n"));
            self.rows.push(Row { log: "ssl", name, tsv: String::new(), json: String::new() });
        }
        fs::write(self.world.path("logs/ssl.probes.log"), text).unwrap();
        last.len()
    }

    fn check(&mut self, kills: usize, probes: usize) {
        let records = self.shipper.records();
        let in_the_middle = self.world.said().matches("went through the journal").count();
        let names: HashSet<String> = records.iter().map(name_of).collect();
        eprintln!(
            "{kills} kills, {in_the_middle} with lines that no commit held; {} rotations; {} records and {probes} probes: \
             {} missing, {} twice",
            self.rotations,
            self.rows.len() - probes,
            self.rows.iter().filter(|row| !names.contains(&row.name)).count(),
            records.len() - names.len(),
        );
        assert_each_once(&records, self.rows.iter().map(|row| &row.name));
        assert_history(&records);
        // Kills lose no certificate, nor a session that waits for one. One chain of the corpus lacks its leaf.
        let without: Vec<_> = records.iter().filter(|record| shows_a_chain(record) && !is_presented(record)).collect();
        assert!(without.iter().all(|record| record["uid"] == "CYPNI51t4H35LGVOlh"), "{without:?}");
        // Mostly it is three in four; a machine that is busy elsewhere lets commits catch up.
        assert!(in_the_middle >= kills / 25, "nearly all kills came when certsift had nothing to do");
        assert!(!self.world.path("out.ndjson.dead.ndjson").exists(), "dead letters");
    }
}

impl Log {
    fn flush(&mut self, part: usize) {
        if part == 0 {
            return;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        file.write_all(&self.buffer[..part]).unwrap();
        self.buffer.drain(..part);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("CERTSIFT_SEED={} feeds, rotates and kills alike", self.seed);
        }
    }
}

fn shows_a_chain(record: &Value) -> bool {
    record["cert_chain_fps"].as_array().is_some_and(|chain| !chain.is_empty())
}

fn is_presented(record: &Value) -> bool {
    record["certsift"]["certificate"]["state"] == "presented"
}

/// Steps in which the rows for one kill are fed, about as long as the longest wait for it.
const STEPS: usize = 25;
