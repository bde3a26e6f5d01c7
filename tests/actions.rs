//! Random lives of a sidecar: lines, rotations, truncations, deletions, kills and restarts in any order, against a model
//! that only knows which lines were written and which of them somebody destroyed.
//!
//! A plain run takes 60 sequences, `CERTSIFT_FULL_TESTS=1` takes 2,000. A failure prints the seed of its sequence and what
//! was done; `CERTSIFT_SEED` runs that one alone.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::oracle;
use support::random::{Random, seed};
use support::sensor::{Format, Sensor};
use support::sidecar::{PATIENCE, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// Lines, in pieces that are cut anywhere.
    Append(usize),
    /// The same, with a kill between two pieces.
    AppendAroundKill(usize),
    RenameBeside,
    RenameToArchive,
    Gzip,
    Zstd,
    CopyAndTruncate,
    /// `true` waits until certsift has written what is destroyed.
    Truncate(bool),
    Delete(bool),
    Kill,
    Stop,
    Start,
    Pause,
}

struct Life {
    world: World,
    sensor: Sensor,
    random: Random,
    /// Sessions in the live log.
    live: Vec<String>,
    /// Sessions that nobody may be able to read any more.
    destroyed: BTreeSet<String>,
    rotations: usize,
    done: Vec<Action>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::new();
        let interval = ["20ms", "20ms", "100ms", "2s"][random.below(4)];
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n[output]\npath = \"out.ndjson\"\n\
             detail = \"full\"\n[state]\ndir = \"state\"\ncommit_interval = \"{interval}\"\n[join]\nwait = \"500ms\"\n"
        );
        fs::write(world.path("certsift.toml"), config).unwrap();
        let format = if random.one_in(2) { Format::Tsv } else { Format::Json };
        let sensor = Sensor::new(format, world.path("logs/x509.log"), seed);
        Self { world, sensor, random, live: Vec::new(), destroyed: BTreeSet::new(), rotations: 0, done: Vec::new() }
    }

    fn log(&self) -> PathBuf {
        self.world.path("logs/ssl.log")
    }

    fn next_action(&mut self) -> Action {
        let number = 1 + self.random.below(30);
        match self.random.below(22) {
            0..6 => Action::Append(number),
            6..8 => Action::AppendAroundKill(number),
            8 => Action::RenameBeside,
            9 => Action::RenameToArchive,
            10 => Action::Gzip,
            11 => Action::Zstd,
            12 => Action::CopyAndTruncate,
            13 => Action::Truncate(self.random.one_in(2)),
            14 => Action::Delete(self.random.one_in(2)),
            15..18 => Action::Kill,
            18 => Action::Stop,
            19..21 => Action::Start,
            _ => Action::Pause,
        }
    }

    fn run(&mut self) {
        // What there is at the first start is another story.
        self.start();
        self.append(5, false);
        self.wait_for_live();
        for _ in 0..8 + self.random.below(8) {
            let action = self.next_action();
            self.done.push(action);
            self.act(action);
        }
        self.start();
        self.append(1, false);
        let probes = self.sensor.probes();
        self.sensor.append(&self.log(), &probes, 1, |_| ());
        self.check();
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Append(number) => self.append(number, false),
            Action::AppendAroundKill(number) => self.append(number, true),
            Action::Kill => {
                self.random.pause(Duration::from_millis(40));
                self.kill();
            }
            Action::Stop => self.stop(),
            Action::Start => self.start(),
            Action::Pause => self.random.pause(Duration::from_millis(60)),
            _ if !self.log().exists() => {}
            Action::RenameBeside => drop(self.rename_to("logs")),
            Action::RenameToArchive => drop(self.rename_to("archive")),
            Action::Gzip | Action::Zstd => self.compress(action == Action::Gzip),
            Action::CopyAndTruncate => {
                self.rotations += 1;
                fs::copy(self.log(), self.world.path(&format!("logs/ssl.{}.log", self.rotations))).unwrap();
                fs::OpenOptions::new().write(true).open(self.log()).unwrap().set_len(0).unwrap();
                self.live.clear();
            }
            Action::Truncate(wait) => {
                self.destroy(wait);
                fs::OpenOptions::new().write(true).open(self.log()).unwrap().set_len(0).unwrap();
            }
            Action::Delete(wait) => {
                self.destroy(wait);
                fs::remove_file(self.log()).unwrap();
            }
        }
    }

    fn append(&mut self, number: usize, kill: bool) {
        let known = self.sensor.written.len();
        let lines = self.sensor.sessions(number);
        self.live.extend(self.sensor.written[known..].iter().filter(|name| name.starts_with('C')).cloned());
        let pieces = 1 + self.random.below(3) + usize::from(kill);
        let (world, random) = (&mut self.world, &mut self.random);
        self.sensor.append(&world.path("logs/ssl.log"), &lines, pieces, |piece| {
            if kill && piece == 0 && world.child.is_some() {
                random.pause(Duration::from_millis(20));
                world.kill();
                world.start();
            }
        });
    }

    fn start(&mut self) {
        if self.world.child.is_none() {
            self.world.start();
        }
    }

    fn kill(&mut self) {
        if self.world.child.is_some() {
            self.world.kill();
        }
    }

    /// SIGTERM, which a process that has hardly begun dies of.
    fn stop(&mut self) {
        if self.world.child.is_some() {
            self.world.signal("-TERM");
            let status = self.world.child.take().unwrap().wait().unwrap();
            assert!(status.success() || status.code().is_none(), "{status}");
        }
    }

    fn rename_to(&mut self, folder: &str) -> PathBuf {
        self.rotations += 1;
        self.sensor.close(&self.log());
        let to = self.world.path(&format!("{folder}/ssl.{}.log", self.rotations));
        fs::rename(self.log(), &to).unwrap();
        self.live.clear();
        to
    }

    fn compress(&mut self, gzip: bool) {
        let from = self.rename_to("archive");
        let text = fs::read(&from).unwrap();
        let (extension, packed) = if gzip {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&text).unwrap();
            ("log.gz", encoder.finish().unwrap())
        } else {
            ("log.zst", zstd::encode_all(&text[..], 1).unwrap())
        };
        fs::write(from.with_extension(extension), packed).unwrap();
        fs::remove_file(from).unwrap();
    }

    /// What is not in the output by now may be lost with its file.
    fn destroy(&mut self, wait: bool) {
        if wait && self.world.child.is_some() {
            self.wait_for_live();
        }
        let written = self.written_sessions();
        self.destroyed.extend(self.live.drain(..).filter(|session| !written.contains(session)));
    }

    fn wait_for_live(&self) {
        let started = Instant::now();
        loop {
            let written = self.written_sessions();
            if self.live.iter().all(|session| written.contains(session)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "does not come: {:?}", self.missing(&written));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Records that are whole lines of the output by now.
    fn written_sessions(&self) -> BTreeSet<String> {
        let mut text = fs::read(self.world.path("out.ndjson")).unwrap_or_default();
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1));
        support::records(&text).iter().map(support::name_of).collect()
    }

    fn missing(&self, written: &BTreeSet<String>) -> Vec<&String> {
        let wanted = |name: &&String| !written.contains(*name) && !self.destroyed.contains(*name);
        self.sensor.written.iter().filter(wanted).collect()
    }

    fn check(&mut self) {
        let started = Instant::now();
        while !self.missing(&self.written_sessions()).is_empty() && started.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
        self.world.stop();
        let records = self.world.output();
        let written = self.written_sessions();
        let kept = self.sensor.written.iter().filter(|name| !self.destroyed.contains(*name) || written.contains(*name));
        oracle::assert_each_once(&records, kept);
        oracle::assert_history(&records);
    }
}

#[test]
fn whatever_happens_every_line_that_can_be_read_is_written_once() {
    if std::env::var_os("CERTSIFT_SEED").is_some() {
        return live(seed());
    }
    let sequences = if std::env::var_os("CERTSIFT_FULL_TESTS").is_some() { 2000 } else { 60 };
    let (first, next, failed) = (seed(), AtomicU64::new(0), AtomicUsize::new(0));
    // Most of a life is waiting.
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while failed.load(Ordering::Relaxed) == 0 {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= sequences {
                        return;
                    }
                    if catch_unwind(|| live(first.wrapping_add(number))).is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    eprintln!("{} sequences from seed {first}", next.into_inner().min(sequences));
    assert_eq!(failed.into_inner(), 0, "see above");
}

fn live(seed: u64) {
    let mut life = Life::new(seed);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| life.run())) {
        eprintln!("CERTSIFT_SEED={seed}: {:?}\n{}", life.done, life.world.said());
        std::panic::resume_unwind(panic);
    }
}
