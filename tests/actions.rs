//! Random lives of a sensor and of certsift beside it, against a model of where every line is.
//!
//! The sensor writes two logs, each file of them as TSV or as JSON: whole lines, and lines whose rest comes later or
//! never. The logs are rotated in every way, truncated and deleted; certsift is started, stopped, and killed at instants
//! that fall where they fall. In the end every line is in the output once. Only what was destroyed before certsift had
//! written it may be missing, and nothing may be there twice.
//!
//! A plain run lives 100 lives, `CERTSIFT_FULL_TESTS=1` makes it 2,000. One that fails is printed with its seed;
//! `CERTSIFT_SEED` lives it again, alone: the same actions, though not the same instants.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use support::files::{gzip, truncate, zstd};
use support::oracle::{assert_each_once, assert_history};
use support::random::Random;
use support::records;
use support::sensor::{self, Format};
use support::shipper::Shipper;
use support::sidecar::{PATIENCE, World, fingerprint};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Append(Kind, usize),
    /// Lines, the last of which is cut: its rest comes before what is appended next.
    AppendCut(Kind, usize),
    Rotate(Kind, Rotation, Rest),
    Destroy(Kind, Destruction, Haste),
    Start,
    /// SIGTERM, and the end that follows.
    Stop,
    /// SIGKILL after so many microseconds, in which the next things happen.
    KillSoon(u64),
    /// SIGTERM, and SIGKILL after so many microseconds.
    KillWhileStopping(u64),
    Pause(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Ssl,
    X509,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rotation {
    /// Into the folder that is followed.
    Rename,
    /// Into the archive.
    Archive,
    Gzip,
    Zstd,
    CopyAndTruncate,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Destruction {
    Truncate,
    Delete,
}

/// What becomes of a line that is cut when its log is rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    Written,
    Never,
}

/// Whether a log is destroyed before certsift, if it is running, has written what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Haste {
    Waits,
    Destroys,
}

#[test]
fn whatever_happens_every_line_that_can_be_read_is_written_once() {
    if let Ok(seed) = std::env::var("CERTSIFT_SEED") {
        return Life::new(seed.parse().unwrap()).live();
    }
    let lives = if support::full_tests() { 2000 } else { 100 };
    let (started, next, failed) = (Instant::now(), AtomicU64::new(1), Mutex::new(Vec::new()));
    let live_some = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > lives || failed.lock().unwrap().len() >= MAX_FAILURES {
                return;
            }
            if catch_unwind(|| Life::new(seed).live()).is_err() {
                failed.lock().unwrap().push(seed);
            }
        }
    };
    // Most of a life is waiting.
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(live_some))));
    let failed = failed.into_inner().unwrap();
    eprintln!("{lives} lives in {:.0?}", started.elapsed());
    assert!(failed.is_empty(), "see above; CERTSIFT_SEED=N lives one of {failed:?} alone");
}

/// A sensor, certsift, and the model.
struct Life {
    seed: u64,
    random: Random,
    world: World,
    /// Ends certsift at an instant to come.
    killer: Option<JoinHandle<()>>,
    shipper: Shipper,
    ssl: Log,
    x509: Log,
    /// Event time in microseconds.
    micros: u64,
    sessions: usize,
    certificates: usize,
    rotations: usize,
    /// Every line, by what it calls itself, and whether it has to be there in the end.
    lines: BTreeMap<String, Fate>,
    /// What was written of lines that were left cut.
    stumps: Vec<String>,
    told: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Required,
    /// It is not complete, or was destroyed before certsift had written it.
    MayBeMissing,
}

/// A log, and what is in its live file.
struct Log {
    path: PathBuf,
    columns: &'static sensor::Log,
    /// `None` before anything was written to the file.
    format: Option<Format>,
    lines: Vec<String>,
    cut: Option<Cut>,
}

/// The last line of a file, of which only a part is written.
struct Cut {
    name: String,
    written: String,
    rest: String,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::new();
        // Most kills shall meet commits.
        let interval = ["20ms", "20ms", "20ms", "2s"][random.below(4)];
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n\
             [output]\npath = \"out.ndjson\"\ndetail = \"full\"\n\
             [join]\nwait = \"100ms\"\n[state]\ndir = \"state\"\ncommit_interval = \"{interval}\"\n"
        );
        fs::write(world.path("certsift.toml"), config).unwrap();
        let log = |name, columns| Log { path: world.path(name), columns, format: None, lines: Vec::new(), cut: None };
        Self {
            seed,
            random,
            killer: None,
            shipper: Shipper::new(world.path("out.ndjson")),
            ssl: log("logs/ssl.log", &sensor::SSL),
            x509: log("logs/x509.log", &sensor::X509),
            world,
            micros: 1_760_000_000_000_000,
            sessions: 0,
            certificates: 0,
            rotations: 0,
            lines: BTreeMap::new(),
            stumps: Vec::new(),
            told: String::new(),
        }
    }

    fn live(mut self) {
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let began = Instant::now();
            for action in actions(&mut self.random) {
                writeln!(self.told, "{:7.1?} {action:?}", began.elapsed()).unwrap();
                self.act(action);
            }
            self.end();
        }));
        if let Err(panic) = lived {
            eprintln!("CERTSIFT_SEED={}:\n{}\n{}", self.seed, self.told, self.world.said());
            std::panic::resume_unwind(panic);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Append(kind, lines) => self.append(kind, lines, false),
            Action::AppendCut(kind, lines) => self.append(kind, lines, true),
            Action::Rotate(kind, rotation, rest) => self.rotate(kind, rotation, rest),
            Action::Destroy(kind, destruction, haste) => self.destroy(kind, destruction, haste),
            Action::Start => self.start(),
            Action::Stop => self.world.stop(),
            Action::KillSoon(micros) => self.kill_after(micros),
            Action::KillWhileStopping(micros) => {
                self.world.signal("-TERM");
                self.kill_after(micros);
            }
            Action::Pause(micros) => thread::sleep(Duration::from_micros(micros)),
        }
    }

    fn append(&mut self, kind: Kind, lines: usize, cuts: bool) {
        let mut text = String::new();
        if self.log(kind).format.is_none() {
            let format = if self.random.one_in(2) { Format::Tsv } else { Format::Json };
            let log = self.log(kind);
            log.format = Some(format);
            if format == Format::Tsv {
                text.push_str(&sensor::header(log.columns));
            }
        }
        text.push_str(&self.rest_of(kind));
        for number in 1..=lines {
            let (name, line) = self.line(kind);
            if cuts && number == lines {
                let (written, rest) = line.split_at(1 + self.random.below(line.len()));
                text.push_str(written);
                self.lines.insert(name.clone(), Fate::MayBeMissing);
                self.log(kind).cut = Some(Cut { name, written: written.to_owned(), rest: format!("{rest}\n") });
            } else {
                text.extend([&line, "\n"]);
                self.complete(kind, name);
            }
        }
        // The system may write it in parts.
        let (first, second) = text.split_at(if self.random.one_in(2) { self.random.below(text.len()) } else { 0 });
        let mut file = OpenOptions::new().create(true).append(true).open(&self.log(kind).path).unwrap();
        file.write_all(first.as_bytes()).unwrap();
        file.write_all(second.as_bytes()).unwrap();
    }

    /// The rest of a line that is cut, which is complete then.
    fn rest_of(&mut self, kind: Kind) -> String {
        let Some(cut) = self.log(kind).cut.take() else { return String::new() };
        self.complete(kind, cut.name);
        cut.rest
    }

    fn complete(&mut self, kind: Kind, name: String) {
        self.lines.insert(name.clone(), Fate::Required);
        self.log(kind).lines.push(name);
    }

    fn rotate(&mut self, kind: Kind, rotation: Rotation, rest: Rest) {
        if self.log(kind).format.is_none() {
            return;
        }
        let is_begun = self.has_written_of(kind);
        let rest = if rest == Rest::Written { self.rest_of(kind) } else { String::new() };
        self.rotations += 1;
        let (name, live) = (self.log(kind).columns.0, self.log(kind).path.clone());
        let beside = self.world.path(&format!("logs/{name}.{}.log", self.rotations));
        let archived = self.world.path(&format!("archive/{name}.{}.log", self.rotations));
        let finish = |path: &Path| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(rest.as_bytes()).unwrap();
        };
        match rotation {
            Rotation::Rename => {
                fs::rename(live, &beside).unwrap();
                // The writer goes on with its file, whatever that is called by now.
                finish(&beside);
            }
            Rotation::Archive => {
                finish(&live);
                fs::rename(live, archived).unwrap();
            }
            Rotation::Gzip | Rotation::Zstd => {
                fs::rename(live, &beside).unwrap();
                finish(&beside);
                let mut pause = || self.random.pause(Duration::from_millis(3));
                match rotation {
                    Rotation::Gzip => gzip(&beside, &archived.with_extension("log.gz"), &mut pause),
                    _ => zstd(&beside, &archived.with_extension("log.zst"), &mut pause),
                }
                pause();
                fs::remove_file(beside).unwrap();
            }
            Rotation::CopyAndTruncate => {
                finish(&live);
                fs::copy(&live, beside).unwrap();
                truncate(&live);
            }
        }
        let lines = self.leave(kind);
        // Archives from before the first record of a log are not read.
        if matches!(rotation, Rotation::Archive | Rotation::Gzip | Rotation::Zstd) && !is_begun {
            self.may_be_missing(lines);
        }
    }

    /// Whether certsift has written anything of a log.
    fn has_written_of(&mut self, kind: Kind) -> bool {
        self.shipper.look();
        self.shipper.names().iter().any(|name| name.starts_with('C') == (kind == Kind::Ssl))
    }

    fn destroy(&mut self, kind: Kind, destruction: Destruction, haste: Haste) {
        if self.log(kind).format.is_none() {
            return;
        }
        let lines = self.leave(kind);
        if haste == Haste::Waits && self.world.child.is_some() {
            self.wait_for(&lines);
        }
        self.may_be_missing(lines);
        match destruction {
            Destruction::Truncate => truncate(&self.log(kind).path),
            Destruction::Delete => fs::remove_file(&self.log(kind).path).unwrap(),
        }
    }

    /// The next line will be in a new file. Gives the lines of the old one.
    fn leave(&mut self, kind: Kind) -> Vec<String> {
        let log = self.log(kind);
        log.format = None;
        let (lines, cut) = (std::mem::take(&mut log.lines), log.cut.take());
        self.stumps.extend(cut.map(|cut| cut.written));
        lines
    }

    /// What certsift has not written by now may be missing.
    fn may_be_missing(&mut self, lines: Vec<String>) {
        self.shipper.look();
        for line in lines.into_iter().filter(|line| !self.shipper.has(line)) {
            self.lines.insert(line, Fate::MayBeMissing);
        }
    }

    fn start(&mut self) {
        if let Some(killer) = self.killer.take() {
            killer.join().unwrap();
        }
        self.world.start();
    }

    fn kill_after(&mut self, micros: u64) {
        let mut child = self.world.child.take().unwrap();
        self.killer = Some(thread::spawn(move || {
            thread::sleep(Duration::from_micros(micros));
            child.kill().unwrap();
            child.wait().unwrap();
        }));
    }

    /// What came to an archive unseen is found at a start.
    fn end(&mut self) {
        if self.world.child.is_some() {
            self.world.stop();
        }
        self.start();
        let required = self.lines.iter().filter(|(_, fate)| **fate == Fate::Required);
        let required: Vec<String> = required.map(|(name, _)| name.clone()).collect();
        self.wait_for(&required);
        self.world.stop();
        let records = self.shipper.records();
        let written = self.lines.iter().filter(|(name, fate)| **fate == Fate::Required || self.shipper.has(name));
        assert_each_once(&records, written.map(|(name, _)| name));
        assert_history(&records);
        self.check_dead_letters();
        let said = self.world.said();
        assert!(!said.contains("panicked") && !said.contains("ERROR"), "certsift complains");
    }

    fn wait_for(&mut self, lines: &[String]) {
        let started = Instant::now();
        loop {
            self.shipper.look();
            let missing: Vec<_> = lines.iter().filter(|line| !self.shipper.has(line)).collect();
            if missing.is_empty() {
                return;
            }
            let some = &missing[..missing.len().min(10)];
            assert!(started.elapsed() < PATIENCE, "{} of {} lines do not come: {some:?}", missing.len(), lines.len());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Only what was left cut may be no record, and this at most once.
    fn check_dead_letters(&mut self) {
        self.stumps.extend([&mut self.ssl, &mut self.x509].into_iter().filter_map(|log| Some(log.cut.take()?.written)));
        for letter in records(&fs::read(self.world.path("out.ndjson.dead.ndjson")).unwrap_or_default()) {
            let stump = self.stumps.iter().position(|stump| letter["text"] == **stump);
            self.stumps.swap_remove(stump.unwrap_or_else(|| panic!("no line, or one that was dead already: {letter}")));
        }
    }

    fn log(&mut self, kind: Kind) -> &mut Log {
        match kind {
            Kind::Ssl => &mut self.ssl,
            Kind::X509 => &mut self.x509,
        }
    }

    /// The next line of a log, and what it calls itself.
    fn line(&mut self, kind: Kind) -> (String, String) {
        self.micros += STEP;
        let time = sensor::seconds(self.micros);
        let Some(format) = self.log(kind).format else { unreachable!() };
        match kind {
            Kind::X509 => {
                let (number, name) = (self.certificates, fingerprint(self.certificates as u32));
                self.certificates += 1;
                let (subject, issuer) = (sensor::subject(number), sensor::issuer(number));
                let (from, until, serial) = ("1700000000.000000", "1800000000.000000", format!("0{number:X}"));
                let values = [&time, &name, "3", &serial, &subject, &issuer, from, until, "T", "F"];
                let line = format.line(&sensor::X509, &values);
                (name, line)
            }
            Kind::Ssl => {
                self.sessions += 1;
                let name = format!("C{:07}", self.sessions);
                // Some show a certificate that is logged later.
                let certificate = (self.certificates + 2).saturating_sub(1 + self.random.below(10));
                let client = format!("10.0.0.{}", 1 + self.random.below(20));
                let (server, host) = (sensor::server(certificate), sensor::host(certificate));
                let (resumed, chain) = match self.random.one_in(8) {
                    true => ("T", "(empty)".to_owned()),
                    false => ("F", fingerprint(certificate as u32)),
                };
                let values =
                    [&time, &name, &client, "50000", &server, "443", "TLSv12", &host, resumed, "T", &chain, "T"];
                let line = format.line(&sensor::SSL, &values);
                (name, line)
            }
        }
    }
}

/// What happens in a life.
fn actions(random: &mut Random) -> Vec<Action> {
    let mut running = false;
    let count = 10 + random.below(30);
    (0..count).map(|_| next_action(random, &mut running)).collect()
}

fn next_action(random: &mut Random, running: &mut bool) -> Action {
    let kind = if random.one_in(3) { Kind::X509 } else { Kind::Ssl };
    let most = if random.one_in(4) { 60 } else { 6 };
    let lines = 1 + random.below(most);
    match random.below(20) {
        0..6 => Action::Append(kind, lines),
        6..9 => Action::AppendCut(kind, lines),
        9..12 => {
            let ways = [Rotation::Rename, Rotation::Archive, Rotation::Gzip, Rotation::Zstd, Rotation::CopyAndTruncate];
            let rest = if random.one_in(2) { Rest::Written } else { Rest::Never };
            Action::Rotate(kind, ways[random.below(ways.len())], rest)
        }
        12 => {
            let way = if random.one_in(2) { Destruction::Truncate } else { Destruction::Delete };
            Action::Destroy(kind, way, if random.one_in(2) { Haste::Waits } else { Haste::Destroys })
        }
        13..15 => Action::Pause(random.below(20_000) as u64),
        _ if !*running => {
            *running = true;
            Action::Start
        }
        15..17 => Action::Pause(random.below(20_000) as u64),
        17 => {
            *running = false;
            if random.one_in(3) { Action::KillWhileStopping(random.below(60_000) as u64) } else { Action::Stop }
        }
        _ => {
            *running = false;
            Action::KillSoon(random.below(50_000) as u64)
        }
    }
}

/// Microseconds of event time between two lines: those of a life are close together, so that sessions wait.
const STEP: u64 = 1000;
const SIDE_BY_SIDE: usize = 8;
/// More than these say nothing new.
const MAX_FAILURES: usize = 5;
