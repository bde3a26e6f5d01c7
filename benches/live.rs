//! How long a line takes through `certsift run`, from its `write` to the enriched line in the output, and how much memory
//! certsift has after minutes of load.
//!
//! `cargo bench --bench live` takes ten minutes; `cargo bench --bench live -- --seconds 20` is the short form. Logs are
//! written as Zeek does: `ssl.log` and `x509.log`, which every few seconds are renamed into an archive folder and
//! compressed there, on the same processors. The tables go to standard output, notes to standard error. The exit code
//! speaks of lost and doubled records only, never of times.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark's output is its table")]

#[path = "live/archive.rs"]
mod archive;
#[path = "live/figures.rs"]
mod figures;
#[path = "live/follow.rs"]
mod follow;
#[path = "live/ledger.rs"]
mod ledger;
#[path = "live/lines.rs"]
mod lines;
#[path = "live/report.rs"]
mod report;
#[path = "live/sensor.rs"]
mod sensor;
#[path = "live/sidecar.rs"]
mod sidecar;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;

use figures::Trend;
use follow::Follower;
use ledger::{Ledger, Phase};
use lines::Form;
use report::Load;
use sensor::{Mix, Sensor};
use sidecar::Sidecar;

/// Measures `certsift run` beside a sensor.
#[derive(clap::Parser, Debug)]
struct Arguments {
    /// Seconds under load
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Seconds before that with ten lines each
    #[arg(long, value_name = "N", default_value_t = 20)]
    idle: u32,
    /// Lines a second under load
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(200..))]
    rate: u32,
    /// Seconds between two rotations of the logs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    rotate: u32,
    /// How the logs are written
    #[arg(long, value_enum, default_value_t = Form::Json)]
    format: Form,
    /// Let certsift rotate its output at this size; what was read of it is then removed. With 0 the output stays one file
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    rotate_output: String,
    /// Folder on the disk to measure on; cargo's folder for temporary files without it
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Lines are written so many times a second, as few as are due.
const WRITES_PER_SECOND: u32 = 200;
/// Lines a second without load.
const IDLE_RATE: u32 = 10;
/// Certificates that are known before anything is measured: the tables that have an entry for each are full by then, and
/// memory that grows afterwards has another cause.
const KNOWN_BEFORE: u64 = 150_000;
/// The last of them, which a table has room for, have been seen by as many clients as are counted.
const POPULAR_BEFORE: u64 = 66_000;
/// How long to wait for the last lines.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let place = arguments.dir.as_deref().unwrap_or(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let folder = tempfile::Builder::new().prefix("live-").tempdir_in(place).context("cannot make a folder")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    eprintln!("bench: {cores} cores, shared by certsift, the writer, its gzip and the reader");
    let rotation = Some(arguments.rotate_output.as_str()).filter(|size| *size != "0");
    if rotation.is_none() {
        let lines = u64::from(arguments.rate) * u64::from(arguments.seconds);
        // Some 900 bytes a line.
        eprintln!("bench: the output is not rotated and grows to about {} MB; see --rotate-output", lines * 9 / 10_000);
    }
    let ledger = Arc::new(Ledger::default());
    let mut sensor = Sensor::start(folder.path(), arguments.format, Arc::clone(&ledger), seconds(arguments.rotate))?;
    sensor.write_past(KNOWN_BEFORE, POPULAR_BEFORE)?;
    let mut sidecar = Sidecar::start(folder.path(), rotation)?;
    let follower = Follower::start(sidecar.output().to_owned(), Arc::clone(&ledger))?;
    let past = ledger.records();
    wait_until(PATIENCE, || Ok(follower.records() >= past || !sidecar.is_running()?))?;
    let cpu_before = sidecar.cpu()?;
    idle(&mut sensor, &arguments)?;
    let cpu_idle = sidecar.cpu()?;
    let wall = load(&mut sensor, &mut sidecar, &arguments)?;
    sensor.finish()?;
    let written = ledger.records();
    // What does not come is said below.
    wait_until(PATIENCE, || Ok(follower.records() >= written || !sidecar.is_running()?))?;
    let cpu_load = sidecar.cpu()?;
    let memory = sidecar.stop()?;
    let arrived = follower.finish()?;
    let skipped = 60.0_f64.min(f64::from(arguments.seconds) / 3.0);
    report::print(&Load {
        arrived: &arrived,
        written,
        late: sensor.late(),
        wall,
        cpu_idle: cpu_idle.saturating_sub(cpu_before),
        cpu_load: cpu_load.saturating_sub(cpu_idle),
        skipped,
        memory: Trend::of(&memory, skipped),
        memory_later: Trend::of(&memory, f64::from(arguments.seconds) / 2.0),
    });
    let missing = written - arrived.distinct;
    ensure!(missing == 0 && arrived.duplicates == 0, "{missing} records are missing, {} doubled", arrived.duplicates);
    ensure!(arrived.strange == 0, "{} lines of the output are none of those that were written", arrived.strange);
    Ok(())
}

/// A line now and then, at instants that nothing can guess.
fn idle(sensor: &mut Sensor, arguments: &Arguments) -> anyhow::Result<()> {
    let end = Instant::now() + seconds(arguments.idle);
    loop {
        let pause = sensor.random_below(2_000_000 / u64::from(IDLE_RATE));
        let next = Instant::now() + Duration::from_micros(pause);
        while let Some(due) = sensor.next_late().filter(|due| *due < next) {
            sleep_until(due);
            sensor.write(0, Mix::IDLE, Phase::Idle)?;
        }
        if next >= end {
            return Ok(());
        }
        sleep_until(next);
        sensor.write(1, Mix::IDLE, Phase::Idle)?;
    }
}

/// Lines at the rate; gives the time that it took.
fn load(sensor: &mut Sensor, sidecar: &mut Sidecar, arguments: &Arguments) -> anyhow::Result<Duration> {
    let started = Instant::now();
    sidecar.watch_memory()?;
    let due = |writes: u32| u64::from(arguments.rate) * u64::from(writes) / u64::from(WRITES_PER_SECOND);
    for write in 0..arguments.seconds * WRITES_PER_SECOND {
        sleep_until(started + Duration::from_secs(1) / WRITES_PER_SECOND * write);
        sensor.write(due(write + 1) - due(write), Mix::LOAD, Phase::Load)?;
        if write % WRITES_PER_SECOND == 0 && !sidecar.is_running()? {
            bail!("certsift has ended by itself: {}", sidecar.said());
        }
    }
    Ok(started.elapsed())
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn sleep_until(instant: Instant) {
    std::thread::sleep(instant.saturating_duration_since(Instant::now()));
}

fn wait_until(patience: Duration, mut what: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let started = Instant::now();
    while started.elapsed() < patience && !what()? {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
