//! Rotation: whatever happens to a log, and whenever, every record leaves once and the history is right.
//!
//! The grid is every [`Event`] × every [`Moment`] × both [`Format`]s: the real binary beside a sensor, really killed. One
//! driver tells all of them, [`Story`]. The sensor numbers its sessions and loses none itself: it writes nothing between
//! copy and truncate. What nobody can read back is not counted either: where an event destroys what is in a file, certsift
//! has written it by then.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use support::oracle::{assert_each_once, assert_history};
use support::random::{Random, seed};
use support::sensor::{Format, Sensor};
use support::sidecar::{PATIENCE, World};

/// What happens to a log.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Event {
    /// `ssl.log` becomes `ssl.1.log`; what its writer has still to say goes there, too.
    Rename,
    /// As zeekctl does: renamed, compressed into the archive, removed.
    RenameAndGzip,
    RenameAndZstd,
    /// As logrotate does for those who do not open their log again.
    CopyAndTruncate,
    DeleteAndRecreate,
    /// `ssl.log` is a link, which then leads to another file.
    SymlinkSwap,
    /// As a restart of Zeek does.
    TruncateInPlace,
    /// The new file has the number that the deleted one had.
    InodeReuse,
}

/// What certsift is doing at that time.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Moment {
    Running,
    /// Killed before, in and after the event, in the middle of large batches.
    Killed,
    /// Stopped before the event and started after it.
    Down,
}

const MOMENTS: [Moment; 3] = [Moment::Running, Moment::Killed, Moment::Down];
const FORMATS: [Format; 2] = [Format::Tsv, Format::Json];

#[test]
fn a_log_may_be_renamed() {
    at_every_moment(Event::Rename);
}

#[test]
fn a_log_may_be_renamed_and_gzipped() {
    at_every_moment(Event::RenameAndGzip);
}

#[test]
fn a_log_may_be_renamed_and_compressed_with_zstd() {
    at_every_moment(Event::RenameAndZstd);
}

#[test]
fn a_log_may_be_copied_and_truncated() {
    at_every_moment(Event::CopyAndTruncate);
}

#[test]
fn a_log_may_be_deleted_and_made_anew() {
    at_every_moment(Event::DeleteAndRecreate);
}

#[test]
fn a_log_may_be_a_link_that_is_swapped() {
    at_every_moment(Event::SymlinkSwap);
}

#[test]
fn a_log_may_be_truncated_in_place() {
    at_every_moment(Event::TruncateInPlace);
}

#[test]
fn a_log_may_get_the_inode_of_the_one_before() {
    at_every_moment(Event::InodeReuse);
}

/// Tells the six stories of an event side by side: most of their time is waiting.
fn at_every_moment(event: Event) {
    let failed: Vec<Cell> = thread::scope(|scope| {
        let cells = MOMENTS.into_iter().flat_map(|moment| FORMATS.map(|format| Cell { event, moment, format }));
        let told: Vec<_> = cells.map(|cell| (cell, scope.spawn(move || Story::begin(cell, seed()).tell()))).collect();
        told.into_iter().filter_map(|(cell, told)| told.join().is_err().then_some(cell)).collect()
    });
    assert!(failed.is_empty(), "{failed:?}");
}

/// One cell of the grid.
#[derive(Clone, Copy)]
struct Cell {
    event: Event,
    moment: Moment,
    format: Format,
}

impl Cell {
    /// What certsift has to have done so that the event destroys nothing that it has not seen.
    fn precaution(self, is_running: bool) -> Precaution {
        match self.event {
            // The old file is still among the paths.
            Event::Rename | Event::CopyAndTruncate | Event::SymlinkSwap => Precaution::None,
            // A file that is open can be read to its end, whatever becomes of its name.
            Event::RenameAndGzip | Event::RenameAndZstd | Event::DeleteAndRecreate if is_running => Precaution::Open,
            Event::RenameAndGzip | Event::RenameAndZstd => Precaution::None,
            Event::DeleteAndRecreate | Event::TruncateInPlace | Event::InodeReuse => Precaution::Written,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precaution {
    None,
    /// It has the current file open.
    Open,
    /// It has written all that there is.
    Written,
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} / {:?} / {:?}", self.event, self.moment, self.format)
    }
}

/// A sensor, certsift beside it, and what happens to them.
struct Story {
    cell: Cell,
    seed: u64,
    random: Random,
    world: World,
    sensor: Sensor,
    output: Output,
    /// Files that the log was so far.
    rotations: usize,
    /// What was written before the current file began.
    before_file: usize,
    /// Sessions in the file before.
    size_before: usize,
}

impl Story {
    fn begin(cell: Cell, seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let world = World::new();
        // Most kills shall meet commits; some meet the interval that users have.
        let interval = if random.one_in(4) { "" } else { "commit_interval = \"100ms\"\n" };
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n\
             [output]\npath = \"out.ndjson\"\ndetail = \"full\"\n[join]\nwait = \"60s\"\n[state]\ndir = \"state\"\n{interval}"
        );
        fs::write(world.path("certsift.toml"), config).unwrap();
        if cell.event == Event::SymlinkSwap {
            File::create(world.path("logs/ssl.0.log")).unwrap();
            symlink("ssl.0.log", world.path("logs/ssl.log")).unwrap();
        }
        let sensor = Sensor::new(cell.format, world.path("logs/x509.log"), seed);
        let output = Output::default();
        Self { cell, seed, random, world, sensor, output, rotations: 0, before_file: 0, size_before: 0 }
    }

    fn tell(mut self) {
        // A first start that was never committed takes nothing from archives: this is not that story.
        self.world.start();
        self.write(20);
        self.wait_for_all();
        self.restart();
        self.take(Precaution::Open);
        for round in 0..rounds(self.cell) {
            match self.cell.moment {
                Moment::Running => self.rotate_while_running(round),
                Moment::Killed => self.rotate_among_kills(round),
                Moment::Down => self.rotate_while_down(round),
            }
        }
        self.wait_for_all();
        // What is asked last is answered from what was committed.
        self.restart();
        let probes = self.sensor.probes();
        self.append(&probes);
        self.wait_for_all();
        self.world.stop();
        self.check();
    }

    fn rotate_while_running(&mut self, round: usize) {
        for _ in 0..3 {
            self.write(20);
            self.random.pause(MOMENT);
        }
        self.take(self.cell.precaution(true));
        self.rotate(|_, _| ());
        self.write_after_rotation(round);
    }

    fn rotate_while_down(&mut self, round: usize) {
        let precaution = self.cell.precaution(false);
        self.take(Precaution::Open);
        self.take(precaution);
        self.world.stop();
        if precaution == Precaution::None {
            // Nobody has seen these yet.
            self.write(20);
        }
        self.rotate(|_, _| ());
        self.write_after_rotation(round);
        self.world.start();
    }

    fn rotate_among_kills(&mut self, round: usize) {
        self.write_and_kill();
        if self.cell.precaution(false) == Precaution::Written || self.random.one_in(2) {
            self.start_again();
        }
        if self.world.child.is_some() {
            self.take(self.cell.precaution(true).max(self.cell.precaution(false)));
            if self.cell.event == Event::InodeReuse || self.random.one_in(2) {
                self.world.kill();
            }
        }
        self.rotate(|world, random| match &world.child {
            Some(_) if random.one_in(2) => world.kill(),
            None if random.one_in(2) => world.start(),
            _ => random.pause(MOMENT),
        });
        self.write_after_rotation(round);
        self.start_again();
        self.write_and_kill();
        self.start_again();
    }

    /// Writes a large batch, and kills certsift at some instant of it.
    fn write_and_kill(&mut self) {
        const PIECES: usize = 20;
        let lines = self.sensor.sessions(250);
        let at = self.random.below(PIECES);
        let (world, random) = (&mut self.world, &mut self.random);
        self.sensor.append(&world.path("logs/ssl.log"), &lines, PIECES, |piece| {
            random.pause(MOMENT);
            if piece == at && world.child.is_some() {
                world.kill();
                if random.one_in(2) {
                    world.start();
                }
            }
        });
    }

    /// Starts certsift if it is not running, sometimes after a start that did not get far.
    fn start_again(&mut self) {
        if self.world.child.is_some() {
            return;
        }
        self.world.start();
        if self.random.one_in(2) {
            self.random.pause(10 * MOMENT);
            self.world.kill();
            self.world.start();
        }
    }

    fn restart(&mut self) {
        self.world.stop();
        self.world.start();
    }

    /// Waits until the event may come.
    fn take(&mut self, precaution: Precaution) {
        match precaution {
            Precaution::None => {}
            Precaution::Open => {
                self.write(1);
                let last = self.sensor.written.last().cloned();
                self.output.wait_for(&self.world, last.as_slice());
                self.write(20);
            }
            Precaution::Written => self.wait_for_all(),
        }
    }

    fn wait_for_all(&mut self) {
        self.output.wait_for(&self.world, &self.sensor.written);
    }

    /// The sessions in the current file.
    fn in_file(&self) -> impl Iterator<Item = &String> {
        self.sensor.written[self.before_file..].iter().filter(|name| name.starts_with('C'))
    }

    fn write(&mut self, number: usize) {
        let lines = self.sensor.sessions(number);
        self.append(&lines);
    }

    fn append(&mut self, lines: &[String]) {
        let pieces = 1 + self.random.below(lines.len());
        self.sensor.append(&self.world.path("logs/ssl.log"), lines, pieces, |_| ());
    }

    /// Something happens to the log; `meanwhile` comes between any two steps of it.
    fn rotate(&mut self, mut meanwhile: impl FnMut(&mut World, &mut Random)) {
        self.rotations += 1;
        let (log, old) =
            (self.world.path("logs/ssl.log"), self.world.path(&format!("logs/ssl.{}.log", self.rotations)));
        let archive = self.world.path(&format!("archive/ssl.{}.log", self.rotations));
        self.size_before = self.in_file().count();
        let mut meanwhile = |world: &mut World| meanwhile(world, &mut self.random);
        match self.cell.event {
            Event::Rename => {
                fs::rename(&log, &old).unwrap();
                meanwhile(&mut self.world);
                let late = self.sensor.sessions(3);
                self.sensor.append(&old, &late, 1, |_| ());
            }
            Event::RenameAndGzip | Event::RenameAndZstd => {
                fs::rename(&log, &old).unwrap();
                meanwhile(&mut self.world);
                match self.cell.event {
                    Event::RenameAndGzip => {
                        let target = File::create(archive.with_extension("log.gz")).unwrap();
                        let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::default());
                        copy(&old, &mut encoder, || meanwhile(&mut self.world));
                        encoder.finish().unwrap();
                    }
                    _ => {
                        let target = File::create(archive.with_extension("log.zst")).unwrap();
                        let mut encoder = zstd::Encoder::new(target, 0).unwrap();
                        copy(&old, &mut encoder, || meanwhile(&mut self.world));
                        encoder.finish().unwrap();
                    }
                }
                meanwhile(&mut self.world);
                fs::remove_file(&old).unwrap();
            }
            Event::CopyAndTruncate => {
                copy(&log, &mut File::create(&old).unwrap(), || meanwhile(&mut self.world));
                meanwhile(&mut self.world);
                truncate(&log);
            }
            Event::DeleteAndRecreate => fs::remove_file(&log).unwrap(),
            Event::SymlinkSwap => {
                File::create(&old).unwrap();
                meanwhile(&mut self.world);
                let link = self.world.path("logs/.ssl.log");
                symlink(&old, &link).unwrap();
                fs::rename(link, &log).unwrap();
            }
            Event::TruncateInPlace => truncate(&log),
            Event::InodeReuse => {
                let inode = log.metadata().unwrap().ino();
                self.sensor.close(&log);
                fs::remove_file(&log).unwrap();
                // The number is free when nobody has the file open any more.
                let started = Instant::now();
                while has_open(&self.world, &log) {
                    assert!(started.elapsed() < PATIENCE, "certsift keeps a deleted file open");
                    thread::sleep(Duration::from_millis(1));
                }
                if !make_with_inode(&log, inode) {
                    eprintln!("{:?}: the file system did not use inode {inode} again", self.cell);
                }
            }
        }
        meanwhile(&mut self.world);
        self.before_file = self.sensor.written.len();
    }

    /// The new content is longer than the old, or shorter, or as long.
    fn write_after_rotation(&mut self, round: usize) {
        self.write(match round % 3 {
            0 => 2 * self.size_before + 5,
            1 => self.size_before / 3 + 1,
            _ => self.size_before,
        });
    }

    fn check(&self) {
        let records = self.world.output();
        assert_each_once(&records, &self.sensor.written);
        assert_history(&records);
        let absent = records.iter().find(|record| {
            let shows = record["cert_chain_fps"].as_array().is_some_and(|chain| !chain.is_empty());
            shows && record["certsift"]["certificate"]["state"] != "presented"
        });
        assert_eq!(absent, None, "its certificate was written before it");
        assert!(!self.world.path("out.ndjson.dead.ndjson").exists(), "dead letters");
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{:?} with CERTSIFT_SEED={}:\n{}", self.cell, self.seed, self.world.said());
        }
    }
}

/// What is in the output so far.
#[derive(Default)]
struct Output {
    seen: HashSet<String>,
    read: u64,
}

/// What a record calls itself.
#[derive(serde::Deserialize)]
struct Name {
    uid: Option<String>,
    fingerprint: Option<String>,
}

impl Output {
    fn wait_for(&mut self, world: &World, names: &[String]) {
        let started = Instant::now();
        loop {
            self.look(world);
            let missing: Vec<_> = names.iter().filter(|name| !self.seen.contains(*name)).collect();
            if missing.is_empty() {
                return;
            }
            let some = &missing[..missing.len().min(10)];
            assert!(started.elapsed() < PATIENCE, "{} records do not come, such as {some:?}", missing.len());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes note of the lines that are complete.
    fn look(&mut self, world: &World) {
        let Ok(mut file) = File::open(world.path("out.ndjson")) else { return };
        let size = file.metadata().unwrap().len();
        assert!(size >= self.read, "complete lines were taken back: {size} bytes, of which {} were read", self.read);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.read)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += complete as u64;
        for line in bytes[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let name: Name = serde_json::from_slice(line).unwrap();
            self.seen.extend(name.uid.or(name.fingerprint));
        }
    }
}

/// Copies a file; `half_way` comes when a part of it is in the target.
fn copy(from: &Path, to: &mut impl Write, half_way: impl FnOnce()) {
    let bytes = fs::read(from).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    to.write_all(first).unwrap();
    to.flush().unwrap();
    half_way();
    to.write_all(rest).unwrap();
}

fn truncate(log: &Path) {
    OpenOptions::new().write(true).open(log).unwrap().set_len(0).unwrap();
}

/// Whether certsift, if it is running, has a deleted file open.
fn has_open(world: &World, deleted: &Path) -> bool {
    let Some(certsift) = &world.child else { return false };
    let name = format!("{} (deleted)", deleted.display());
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", certsift.id())) else { return false };
    open.flatten().any(|open| fs::read_link(open.path()).is_ok_and(|path| path == Path::new(&name)))
}

/// Makes a file that has the number of another, which was deleted; tells whether it has.
fn make_with_inode(path: &Path, inode: u64) -> bool {
    let name = |number: usize| path.with_file_name(format!(".new{number}"));
    let made = |number: &usize| File::create(name(*number)).unwrap().metadata().unwrap().ino() == inode;
    // Those that have another number keep it meanwhile.
    let found = (0..200).find(made);
    fs::rename(name(found.unwrap_or(0)), path).unwrap();
    (0..200).for_each(|number| fs::remove_file(name(number)).unwrap_or_default());
    found.is_some()
}

/// How often a log is rotated in a cell.
fn rounds(cell: Cell) -> usize {
    let longer = if std::env::var_os("CERTSIFT_FULL_TESTS").is_some_and(|value| value == "1") { 4 } else { 1 };
    longer
        * match (cell.event, cell.moment) {
            // The inode is free after the grace in which certsift follows a deleted file.
            (Event::InodeReuse, Moment::Running) => 1,
            (_, Moment::Killed) => 2,
            _ => 3,
        }
}

/// About the time in which certsift handles a batch.
const MOMENT: Duration = Duration::from_millis(20);
