//! Outputs that take nothing for a while, a full disk and a consumer that stands still: certsift waits, reads no further,
//! keeps hold of what is rotated and deleted meanwhile, and goes on with every session once.
//!
//! `CERTSIFT_FULL_TESTS=1` makes the pauses as long as they are in life.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::process::{anonymous_memory, bytes_read, end_within, holds_open};
use support::sidecar::{World, compress, x509};
use support::small_disk::{SmallDisk, may_mount};
use support::traffic::{BEGINNING, Traffic, lines, number_of, numbers};

/// What is on the disk that gets full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Small {
    Output,
    State,
    Both,
}

/// A sensor, certsift beside it, and where its output goes.
struct Site {
    world: World,
    traffic: Traffic,
    output: PathBuf,
    certificates: u32,
    logs_taken: u32,
}

/// How long anything may take that happens at once when nothing else runs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Sessions that certsift cannot have on its way all at once: some 16 MB.
const MANY: u32 = 50_000;
/// Certificates that a state cannot hold without growing.
const MANY_CERTIFICATES: u32 = 5000;
/// Bytes that it may read while nothing can be written, and that it may have in memory for it.
const MOST_READ: u64 = 12 << 20;
const MOST_MEMORY: u64 = 64 << 20;
/// Lines a second beside a consumer that stands still.
const RATE: u32 = 20_000;

#[test]
fn a_full_output_disk_stops_reading_and_loses_nothing() {
    if may_mount("a_full_output_disk_stops_reading_and_loses_nothing") {
        wait_for_space(Small::Output);
    }
}

#[test]
fn a_full_state_disk_stops_reading_and_loses_nothing() {
    if may_mount("a_full_state_disk_stops_reading_and_loses_nothing") {
        wait_for_space(Small::State);
    }
}

#[test]
fn a_full_disk_under_output_and_state_stops_reading_and_loses_nothing() {
    if may_mount("a_full_disk_under_output_and_state_stops_reading_and_loses_nothing") {
        wait_for_space(Small::Both);
    }
}

fn wait_for_space(small: Small) {
    let (mut site, disk) = Site::on_small_disk(small);
    site.start_and_fill(&disk);
    site.assert_waits();
    let read_before = bytes_read(site.process());
    // What is rotated and deleted meanwhile exists in certsift's hands only.
    for count in [1000, 1000, MANY] {
        site.append(count);
        site.take_log_away();
    }
    site.append(10);
    std::thread::sleep(pause());
    site.assert_waits();
    let (read, written) = (bytes_read(site.process()) - read_before, u64::from(MANY) * 300);
    assert!(read < MOST_READ && MOST_READ < written, "read on to {read} bytes of more than {written}");
    disk.free();
    site.wait_for_all();
    site.assert_exactly_once();
}

#[test]
fn a_kill_while_the_disk_is_full_loses_and_doubles_nothing() {
    on_full_disks("a_kill_while_the_disk_is_full_loses_and_doubles_nothing", |_, site, disk| {
        site.world.kill();
        // Read in part, rotated and compressed while nobody looks.
        compress(&site.log(), &site.world.path("archive/ssl.00-01.log.gz"));
        site.append(1000);
        disk.free();
        site.world.start();
        site.wait_for_all();
        site.assert_exactly_once();
    });
}

#[test]
fn sigterm_on_a_full_disk_gives_up_in_time_and_a_restart_goes_on() {
    on_full_disks("sigterm_on_a_full_disk_gives_up_in_time_and_a_restart_goes_on", |small, site, disk| {
        site.world.signal("-TERM");
        // It may hope for some 15 s that space returns.
        let status = end_within(site.world.child.as_mut().unwrap(), Duration::from_secs(20));
        let said = site.world.said();
        assert_eq!(status.and_then(|status| status.code()), Some(1), "{small:?}: {status:?}; {said}");
        assert!(said.lines().next_back().is_some_and(|line| line.starts_with("certsift: ")), "{small:?}: {said}");
        disk.free();
        site.world.start();
        site.wait_for_all();
        site.assert_exactly_once();
    });
}

#[test]
fn a_consumer_that_stands_still_costs_no_line_and_no_memory() {
    let mut site = Site::on_fifo();
    let consumer = Consumer::start(&site.output);
    site.world.start();
    site.append(1000);
    consumer.wait_for(site.traffic.sessions, &site.world);
    let before = anonymous_memory(site.process());
    consumer.standing.store(true, Ordering::Relaxed);
    let (started, mut most) = (Instant::now(), before);
    while started.elapsed() < pause() {
        site.append(RATE);
        site.take_log_away();
        std::thread::sleep(Duration::from_secs(1));
        most = most.max(anonymous_memory(site.process()));
    }
    consumer.standing.store(false, Ordering::Relaxed);
    site.append(1000);
    consumer.wait_for(site.traffic.sessions, &site.world);
    let after = anonymous_memory(site.process());
    let [shown_before, shown_most, shown_after] = [before, most, after].map(|bytes| bytes >> 10);
    eprintln!("anonymous memory: {shown_before} KiB before, {shown_most} KiB at the most, {shown_after} KiB after");
    assert!(most.max(after) < before + MOST_MEMORY, "memory grew from {shown_before} to {shown_most} KiB");
    site.world.stop();
    site.traffic.assert_once(consumer.finish(), &site.world.said());
}

#[test]
fn a_consumer_that_goes_away_and_comes_back_gets_every_line() {
    let mut site = Site::on_fifo();
    let output = site.output.clone();
    let first = std::thread::spawn(move || read_some(&output, 500));
    site.world.start();
    site.append(1000);
    let mut arrived = first.join().unwrap();
    // More than a pipe holds, while nobody reads.
    site.append(5000);
    std::thread::sleep(Duration::from_secs(2));
    site.assert_runs();
    let consumer = Consumer::start(&site.output);
    site.append(1000);
    let before = arrived.len();
    consumer.wait_for(site.traffic.sessions - u32::try_from(before).unwrap(), &site.world);
    site.world.stop();
    arrived.extend(consumer.finish());
    site.traffic.assert_at_least_once(arrived, &site.world.said());
}

#[test]
fn a_second_sigterm_ends_at_once_while_the_consumer_stands_still() {
    let mut site = Site::on_fifo();
    let consumer = Consumer::start(&site.output);
    site.world.start();
    site.append(1000);
    consumer.wait_for(site.traffic.sessions, &site.world);
    consumer.standing.store(true, Ordering::Relaxed);
    site.append(MANY);
    std::thread::sleep(Duration::from_secs(1));
    site.world.signal("-TERM");
    std::thread::sleep(Duration::from_millis(500));
    site.assert_runs();
    site.world.signal("-TERM");
    let status = end_within(site.world.child.as_mut().unwrap(), Duration::from_secs(2));
    assert_eq!(status.and_then(|status| status.code()), Some(143), "{status:?}; {}", site.world.said());
    consumer.standing.store(false, Ordering::Relaxed);
    let mut arrived = consumer.finish();
    let again = Consumer::start(&site.output);
    site.world.start();
    again.wait_for(site.traffic.sessions - u32::try_from(arrived.len()).unwrap(), &site.world);
    site.world.stop();
    arrived.extend(again.finish());
    site.traffic.assert_at_least_once(arrived, &site.world.said());
}

/// How long nothing can be written.
fn pause() -> Duration {
    Duration::from_secs(if support::full_tests() { 30 } else { 3 })
}

/// One disk under both has it all; the long form tells where something is wrong.
fn chosen() -> Vec<Small> {
    if support::full_tests() { vec![Small::Output, Small::State, Small::Both] } else { vec![Small::Both] }
}

/// Runs a story that begins with a certsift that waits for space, on each disk that may be full.
fn on_full_disks(test: &str, story: impl Fn(Small, &mut Site, &SmallDisk)) {
    if !may_mount(test) {
        return;
    }
    for small in chosen() {
        let (mut site, disk) = Site::on_small_disk(small);
        site.start_and_fill(&disk);
        site.append(1000);
        site.assert_waits();
        story(small, &mut site, &disk);
    }
}

fn speaks_of_space(line: &str) -> bool {
    let line = line.to_lowercase();
    ["full", "no space"].iter().any(|words| line.contains(words))
}

impl Site {
    fn on_small_disk(small: Small) -> (Self, SmallDisk) {
        let world = World::new();
        let disk = SmallDisk::mount(world.path("disk"));
        let output = if small == Small::State { "out.ndjson" } else { "disk/out.ndjson" };
        let state = if small == Small::Output { "state" } else { "disk/state" };
        let site = Self::new(world, output);
        site.configure(output, state, "auto");
        (site, disk)
    }

    fn on_fifo() -> Self {
        let world = World::new();
        assert!(Command::new("mkfifo").arg(world.path("pipe")).status().unwrap().success());
        let site = Self::new(world, "pipe");
        site.configure("pipe", "state", "auto");
        site
    }

    fn new(world: World, output: &str) -> Self {
        world.append("logs/x509.log", &[x509(BEGINNING, 1)]);
        let output = world.path(output);
        Self { world, traffic: Traffic::default(), output, certificates: 1, logs_taken: 0 }
    }

    fn configure(&self, output: &str, state: &str, detail: &str) {
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n\
             [output]\npath = \"{output}\"\ndetail = \"{detail}\"\ndead_letter = \"dead.ndjson\"\n\
             [state]\ndir = \"{state}\"\ncommit_interval = \"100ms\"\n"
        );
        std::fs::write(self.world.path("certsift.toml"), config).unwrap();
    }

    /// Starts certsift, and lets it say that there is no space when it has committed something.
    fn start_and_fill(&mut self, disk: &SmallDisk) {
        self.world.start();
        self.append(50);
        self.wait_for_all();
        std::thread::sleep(Duration::from_secs(1));
        disk.fill();
        self.append(1000);
        // The state has room for some changes in what it holds already.
        let certificates: Vec<_> =
            (self.certificates + 1..=MANY_CERTIFICATES).map(|number| x509(BEGINNING, number)).collect();
        self.world.append("logs/x509.log", &certificates);
        self.certificates = MANY_CERTIFICATES;
        self.wait("no word of a full disk", |site| site.world.said().lines().any(speaks_of_space));
    }

    fn process(&self) -> u32 {
        self.world.child.as_ref().unwrap().id()
    }

    fn log(&self) -> PathBuf {
        self.world.path("logs/ssl.log")
    }

    fn append(&mut self, count: u32) {
        let log = self.log();
        self.traffic.append(&log, count);
    }

    /// Rotates the log and deletes it, once certsift has it open.
    fn take_log_away(&mut self) {
        self.wait("the new log was not opened", |site| holds_open(site.process(), &site.log()));
        self.logs_taken += 1;
        let away = self.world.path(&format!("taken-{}", self.logs_taken));
        std::fs::rename(self.log(), &away).unwrap();
        std::fs::remove_file(away).unwrap();
    }

    fn assert_runs(&mut self) {
        let ended = self.world.child.as_mut().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "it has ended, {ended:?}: {}", self.world.said());
    }

    /// It runs and has said so, once for each thing that it cannot write.
    fn assert_waits(&mut self) {
        self.assert_runs();
        let said = self.world.said();
        let words = said.lines().filter(|line| speaks_of_space(line)).count();
        assert!((1..=2).contains(&words), "{said}");
    }

    fn wait_for_all(&mut self) {
        self.wait("not all was written", |site| {
            lines(&site.output) >= (site.traffic.sessions + site.certificates) as usize
        });
    }

    /// Once all is there: every session once, and all of them in the history.
    fn assert_exactly_once(&mut self) {
        self.world.stop();
        let said = self.world.said();
        self.traffic.assert_once(numbers(&std::fs::read(&self.output).unwrap()), &said);
        assert!(!self.world.path("dead.ndjson").exists(), "{said}");
        // One more session shows what is remembered.
        let config = std::fs::read_to_string(self.world.path("certsift.toml")).unwrap();
        std::fs::write(self.world.path("certsift.toml"), config.replace("\"auto\"", "\"full\"")).unwrap();
        self.world.start();
        self.append(1);
        self.wait_for_all();
        self.world.stop();
        let output = std::fs::read(&self.output).unwrap();
        let last = output.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap();
        let last: serde_json::Value = serde_json::from_slice(last).unwrap();
        let history = &last["certsift"]["issuer_history"];
        assert_eq!(history["clients"], self.traffic.clients, "{last}");
        assert_eq!(history["first_seen"], "2025-10-09T08:53:20Z", "{last}");
    }

    fn wait(&mut self, otherwise: &str, what: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !what(self) {
            self.assert_runs();
            assert!(started.elapsed() < PATIENCE, "{otherwise}: {}", self.world.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Reads a FIFO until its writer ends, and stands still when it is told to.
struct Consumer {
    thread: JoinHandle<()>,
    arrived: Arc<Mutex<Vec<u32>>>,
    count: Arc<AtomicUsize>,
    standing: Arc<AtomicBool>,
}

impl Consumer {
    fn start(fifo: &Path) -> Self {
        let (fifo, arrived, count, standing) = (fifo.to_owned(), Arc::default(), Arc::default(), Arc::default());
        let (all, seen, stand): (Arc<Mutex<Vec<u32>>>, Arc<AtomicUsize>, Arc<AtomicBool>) =
            (Arc::clone(&arrived), Arc::clone(&count), Arc::clone(&standing));
        let thread = std::thread::spawn(move || {
            let mut reader = BufReader::new(File::open(fifo).unwrap());
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).unwrap() > 0 {
                all.lock().unwrap().extend(number_of(line.trim_ascii_end()));
                seen.store(all.lock().unwrap().len(), Ordering::Relaxed);
                line.clear();
                while stand.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
        Self { thread, arrived, count, standing }
    }

    /// Waits for so many sessions, however often each.
    fn wait_for(&self, sessions: u32, world: &World) {
        let started = Instant::now();
        while self.count.load(Ordering::Relaxed) < sessions as usize {
            let arrived = self.count.load(Ordering::Relaxed);
            assert!(started.elapsed() < 2 * PATIENCE, "{arrived} of {sessions} arrived: {}", world.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The numbers of what arrived, when the writer has ended.
    fn finish(self) -> Vec<u32> {
        self.thread.join().unwrap();
        std::mem::take(&mut self.arrived.lock().unwrap())
    }
}

/// Reads so many sessions from a FIFO, not a byte more, and goes away.
fn read_some(fifo: &Path, sessions: usize) -> Vec<u32> {
    let (mut file, mut arrived, mut line) = (File::open(fifo).unwrap(), Vec::new(), Vec::new());
    while arrived.len() < sessions {
        let mut byte = [0];
        file.read_exact(&mut byte).unwrap();
        if byte == *b"\n" {
            arrived.extend(number_of(&line));
            line.clear();
        } else {
            line.extend(byte);
        }
    }
    arrived
}
