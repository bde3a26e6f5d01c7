//! Rotation: whatever happens to a log, and whenever, every record leaves once and the history is right.
//!
//! The grid is every [`Event`] × every [`Moment`] × both [`Format`]s: the real binary beside a sensor, really killed. One
//! driver tells all of them, [`Story`]. The sensor numbers its sessions and loses none itself: it writes nothing between
//! copy and truncate. What nobody can read back is not counted either: where an event destroys what is in a file, certsift
//! has written it by then.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says so")]

mod support;

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::thread;
use std::time::{Duration, Instant};

use support::files::{copy, gzip, make_with_inode, swap_link, truncate, wait_until_closed, zstd};
use support::random::Random;
use support::scene::Scene;
use support::sensor::Format;
use support::sidecar::World;

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

#[test]
fn every_file_may_move_on_by_one() {
    // As the package json-streaming-logs does.
    let log = "logs/json_streaming_ssl.log";
    let old = |number: usize| format!("logs/json_streaming_ssl.{number}.log");
    let scene = Scene::new("moved on", Format::Json, "logs/*.log", "archive");
    live_a_day(scene, &|_| vec![log.to_owned()], &|scene, hour| {
        for number in (1..=hour).rev() {
            fs::rename(scene.world.path(&old(number)), scene.world.path(&old(number + 1))).unwrap();
        }
        fs::rename(scene.world.path(log), scene.world.path(&old(1))).unwrap();
    });
}

#[test]
fn every_hour_may_have_a_file_of_its_own() {
    // As Suricata does with `filename: eve-%Y-%m-%d-%H:%M.json`.
    let scene = Scene::new("dated names", Format::Eve, "logs/eve-*.json", "archive");
    live_a_day(scene, &|hour| vec![format!("logs/eve-2026-11-24-1{hour}:00.json")], &|_, _| ());
}

#[test]
fn every_thread_may_have_a_file_of_its_own() {
    // As Suricata does with `threaded: true`; both are moved into the archive as they are.
    let scene = Scene::new("threads", Format::Eve, "logs/eve.*.json", "archive");
    let logs = ["logs/eve.1.json", "logs/eve.2.json"].map(str::to_owned).to_vec();
    live_a_day(scene, &|_| logs.clone(), &|scene, hour| {
        for log in &logs {
            let old = format!("{}.{hour}", log.replace("logs", "archive"));
            fs::rename(scene.world.path(log), scene.world.path(&old)).unwrap();
        }
    });
}

#[test]
fn sessions_and_certificates_may_be_archived_by_the_day_and_the_hour() {
    // As zeekctl does, which archives next to the folder that is followed.
    let mut scene = Scene::new("zeekctl", Format::Tsv, "zeek/current/*.log", "zeek/20*/*");
    for folder in ["zeek/current", "zeek/2026-11-24"] {
        fs::create_dir_all(scene.world.path(folder)).unwrap();
    }
    scene.sensor.x509 = scene.world.path("zeek/current/x509.log");
    live_a_day(scene, &|_| vec!["zeek/current/ssl.log".to_owned()], &|scene, hour| {
        for log in ["x509", "ssl"] {
            let live = scene.world.path(&format!("zeek/current/{log}.log"));
            let closed = live.with_file_name(format!("{log}-26-11-24_1{hour}.00.00.log"));
            let archive = format!("zeek/2026-11-24/{log}.1{hour}:00:00-1{}:00:00.log.gz", hour + 1);
            scene.sensor.close(&live);
            fs::rename(live, &closed).unwrap();
            gzip(&closed, &scene.world.path(&archive), || ());
            fs::remove_file(closed).unwrap();
        }
    });
}

#[test]
fn a_link_may_lead_to_where_no_path_looks() {
    let scene = Scene::new("link", Format::Tsv, "logs/*.log", "spool");
    fs::create_dir(scene.world.path("spool")).unwrap();
    let lead = |scene: &Scene, hour: usize| {
        let target = scene.world.path(&format!("spool/ssl.{hour}"));
        File::create(&target).unwrap();
        swap_link(&scene.world.path(LOG), &target);
    };
    lead(&scene, 0);
    live_a_day(scene, &|_| vec![LOG.to_owned()], &|scene, hour| lead(scene, hour + 1));
}

#[test]
fn a_log_that_its_writer_closed_is_not_waited_for() {
    let scene = Scene::new("closed", Format::Tsv, "logs/*.log", "archive");
    live_a_day(scene, &|_| vec![LOG.to_owned()], &|scene, hour| {
        let old = scene.world.path(&format!("logs/ssl.{hour}.log"));
        fs::rename(scene.world.path(LOG), &old).unwrap();
        scene.sensor.close(&old);
        let closed = Instant::now();
        wait_until_closed(&scene.world, &old);
        assert!(closed.elapsed() < Duration::from_secs(4), "it was followed for the grace of a renamed file");
    });
}

#[test]
fn what_began_and_was_archived_while_certsift_was_down_is_read_whole_unless_it_is_old() {
    let mut scene = Scene::new("archived while down", Format::Tsv, "logs/*.log", "archive");
    let mut archived = 0;
    let mut archive = |scene: &Scene, log: &str| {
        archived += 1;
        let log = scene.world.path(log);
        gzip(&log, &scene.world.path(&format!("archive/{archived}.log.gz")), || ());
        fs::remove_file(log).unwrap();
    };
    fs::create_dir(scene.world.path("elsewhere")).unwrap();
    let x509 = std::mem::replace(&mut scene.sensor.x509, scene.world.path("elsewhere/x509.log"));
    // Hours before: of these, certificates are of use.
    scene.write("elsewhere/old.log", 30);
    scene.sensor.written.clear();
    // Half an hour before: late, but not old.
    scene.sensor.rest(150);
    scene.sensor.x509 = x509;
    scene.write("elsewhere/late.log", 30);
    scene.sensor.rest(30);
    let late = std::mem::take(&mut scene.sensor.written);

    scene.world.start();
    scene.write(LOG, 30);
    scene.wait_for_all();
    scene.world.stop();
    scene.sensor.written.extend(late);
    scene.write(LOG, 30);
    archive(&scene, LOG);
    scene.write(LOG, 30);
    archive(&scene, LOG);
    for log in ["elsewhere/x509.log", "elsewhere/old.log", "elsewhere/late.log"] {
        archive(&scene, log);
    }
    scene.write(LOG, 30);
    let from_before = scene.sensor.session_from_before();
    scene.append(LOG, &[from_before]);
    scene.world.start();
    scene.end(LOG);
}

/// Rotates every hour, in turns while certsift is running and while it is down with lines in the old files that it has
/// not seen.
fn live_a_day(mut scene: Scene, logs: &dyn Fn(usize) -> Vec<String>, rotate: &dyn Fn(&mut Scene, usize)) {
    const HOURS: usize = 6;
    scene.world.start();
    for hour in 0..HOURS {
        for log in &logs(hour) {
            scene.write(log, 10);
            scene.write_and_wait(log);
        }
        let down = hour % 2 == 1;
        if down {
            scene.world.stop();
        }
        logs(hour).iter().for_each(|log| scene.write(log, 15));
        rotate(&mut scene, hour);
        if down {
            logs(hour + 1).iter().for_each(|log| scene.write(log, 5));
            scene.world.start();
        }
    }
    scene.end(&logs(HOURS)[0]);
}

/// Tells the six stories of an event side by side: most of their time is waiting.
fn at_every_moment(event: Event) {
    let failed: Vec<Cell> = thread::scope(|scope| {
        let cells = MOMENTS.into_iter().flat_map(|moment| FORMATS.map(|format| Cell { event, moment, format }));
        let told: Vec<_> = cells.map(|cell| (cell, scope.spawn(move || Story::tell(cell)))).collect();
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

/// A cell as it is told.
struct Story {
    cell: Cell,
    scene: Scene,
    /// Files that the log was so far.
    rotations: usize,
    /// What was written before the current file began.
    before_file: usize,
    /// Sessions in the file before.
    size_before: usize,
}

const LOG: &str = "logs/ssl.log";

impl Story {
    fn tell(cell: Cell) {
        let scene = Scene::new(&format!("{cell:?}"), cell.format, "logs/*.log", "archive");
        let mut story = Self { cell, scene, rotations: 0, before_file: 0, size_before: 0 };
        if cell.event == Event::SymlinkSwap {
            File::create(story.scene.world.path("logs/ssl.0.log")).unwrap();
            symlink("ssl.0.log", story.scene.world.path(LOG)).unwrap();
        }
        // A first start that was never committed takes nothing from archives: this is not that story.
        story.scene.world.start();
        story.scene.write(LOG, 20);
        story.scene.wait_for_all();
        story.scene.restart();
        story.take(Precaution::Open);
        for round in 0..rounds(cell) {
            match cell.moment {
                Moment::Running => story.rotate_while_running(round),
                Moment::Killed => story.rotate_among_kills(round),
                Moment::Down => story.rotate_while_down(round),
            }
        }
        story.scene.end(LOG);
    }

    fn rotate_while_running(&mut self, round: usize) {
        for _ in 0..3 {
            self.scene.write(LOG, 20);
            self.scene.random.pause(MOMENT);
        }
        self.take(self.cell.precaution(true));
        self.rotate(|_, _| ());
        self.write_after_rotation(round);
    }

    fn rotate_while_down(&mut self, round: usize) {
        let precaution = self.cell.precaution(false);
        self.take(Precaution::Open);
        self.take(precaution);
        self.scene.world.stop();
        if precaution == Precaution::None {
            // Nobody has seen these yet.
            self.scene.write(LOG, 20);
        }
        self.rotate(|_, _| ());
        self.write_after_rotation(round);
        self.scene.world.start();
    }

    fn rotate_among_kills(&mut self, round: usize) {
        self.write_and_kill();
        if self.cell.precaution(false) == Precaution::Written || self.scene.random.one_in(2) {
            self.start_again();
        }
        if self.scene.is_running() {
            self.take(self.cell.precaution(true).max(self.cell.precaution(false)));
            if self.cell.event == Event::InodeReuse || self.scene.random.one_in(2) {
                self.scene.world.kill();
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
        let lines = self.scene.sensor.sessions(250);
        let at = self.scene.random.below(PIECES);
        let Scene { world, sensor, random, .. } = &mut self.scene;
        sensor.append(&world.path(LOG), &lines, PIECES, |piece| {
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
        if self.scene.is_running() {
            return;
        }
        self.scene.world.start();
        if self.scene.random.one_in(2) {
            self.scene.random.pause(10 * MOMENT);
            self.scene.world.kill();
            self.scene.world.start();
        }
    }

    /// Waits until the event may come.
    fn take(&mut self, precaution: Precaution) {
        match precaution {
            Precaution::None => {}
            Precaution::Open => {
                self.scene.write_and_wait(LOG);
                self.scene.write(LOG, 20);
            }
            Precaution::Written => self.scene.wait_for_all(),
        }
    }

    /// The sessions in the current file.
    fn in_file(&self) -> impl Iterator<Item = &String> {
        self.scene.sensor.written[self.before_file..].iter().filter(|name| name.starts_with('C'))
    }

    /// Something happens to the log; `meanwhile` comes between any two steps of it.
    fn rotate(&mut self, mut meanwhile: impl FnMut(&mut World, &mut Random)) {
        self.rotations += 1;
        self.size_before = self.in_file().count();
        let Scene { world, sensor, random, .. } = &mut self.scene;
        let (log, old) = (world.path(LOG), world.path(&format!("logs/ssl.{}.log", self.rotations)));
        let archive = world.path(&format!("archive/ssl.{}.log", self.rotations));
        match self.cell.event {
            Event::Rename => {
                fs::rename(&log, &old).unwrap();
                meanwhile(world, random);
                let late = sensor.sessions(3);
                sensor.append(&old, &late, 1, |_| ());
            }
            Event::RenameAndGzip | Event::RenameAndZstd => {
                fs::rename(&log, &old).unwrap();
                meanwhile(world, random);
                match self.cell.event {
                    Event::RenameAndGzip => gzip(&old, &archive.with_extension("log.gz"), || meanwhile(world, random)),
                    _ => zstd(&old, &archive.with_extension("log.zst"), || meanwhile(world, random)),
                }
                meanwhile(world, random);
                fs::remove_file(&old).unwrap();
            }
            Event::CopyAndTruncate => {
                copy(&log, &mut File::create(&old).unwrap(), || meanwhile(world, random));
                meanwhile(world, random);
                truncate(&log);
            }
            Event::DeleteAndRecreate => fs::remove_file(&log).unwrap(),
            Event::SymlinkSwap => {
                File::create(&old).unwrap();
                meanwhile(world, random);
                swap_link(&log, &old);
            }
            Event::TruncateInPlace => truncate(&log),
            Event::InodeReuse => {
                let inode = log.metadata().unwrap().ino();
                sensor.close(&log);
                fs::remove_file(&log).unwrap();
                wait_until_closed(world, &log);
                if !make_with_inode(&log, inode) {
                    eprintln!("{:?}: the file system did not use inode {inode} again", self.cell);
                }
            }
        }
        meanwhile(world, random);
        self.before_file = sensor.written.len();
    }

    /// The new content is longer than the old, or shorter, or as long.
    fn write_after_rotation(&mut self, round: usize) {
        let sessions = match round % 3 {
            0 => 2 * self.size_before + 5,
            1 => self.size_before / 3 + 1,
            _ => self.size_before,
        };
        self.scene.write(LOG, sessions);
    }
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
