//! One run of the real program, or of another, and what it took.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What is run.
pub(super) struct Job<'a> {
    pub(super) folder: &'a Path,
    pub(super) output: &'a Path,
    pub(super) config: Option<&'a Path>,
    pub(super) detail: &'a str,
    /// 0 stands for the default.
    pub(super) threads: usize,
    pub(super) dead_letters: &'a Path,
    /// The processors that it may use, as `taskset` takes them; without, all.
    pub(super) cores: Option<&'a str>,
}

/// What a run took.
pub(super) struct Run {
    pub(super) took: Took,
    /// Records written, as the program says.
    pub(super) written: u64,
    /// Dead letters, likewise.
    pub(super) dead_letters: u64,
}

/// What processes took.
pub(super) struct Took {
    pub(super) wall: Duration,
    /// User and system.
    pub(super) cpu: Duration,
    /// Most anonymous memory that was seen, in bytes.
    pub(super) peak_anon: u64,
    /// What they said on standard error.
    pub(super) said: String,
}

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(5);
/// Linux counts times of processes in hundredths, whatever its own clock does.
const TICKS_PER_SECOND: u64 = 100;

/// Runs `certsift replay`.
pub(super) fn run(job: &Job<'_>) -> anyhow::Result<Run> {
    let took = processes(vec![command(job)], None)?;
    let said_number =
        |key: &str| number_after(&took.said, key).with_context(|| format!("no `{key}` in: {}", took.said));
    let (written, dead_letters) = (said_number("records ")?, said_number("dead ")?);
    Ok(Run { took, written, dead_letters })
}

/// The command of a job.
pub(super) fn command(job: &Job<'_>) -> Command {
    let mut command = pinned(env!("CARGO_BIN_EXE_certsift"), job.cores);
    command.arg("replay").arg(job.folder).arg("-o").arg(job.output).args(["--detail", job.detail]);
    command.arg("--dead-letter").arg(job.dead_letters);
    if let Some(config) = job.config {
        command.arg("--config").arg(config);
    }
    if job.threads > 0 {
        command.args(["--threads", &job.threads.to_string()]);
    }
    command
}

/// A program that may use these processors, or all.
pub(super) fn pinned(program: impl AsRef<OsStr>, cores: Option<&str>) -> Command {
    let Some(cores) = cores else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", cores]).arg(program);
    command
}

/// Runs programs one after another. What a process `beside` them takes meanwhile is counted with theirs.
pub(super) fn processes(commands: Vec<Command>, beside: Option<u32>) -> anyhow::Result<Took> {
    let mut all = Took { wall: Duration::ZERO, cpu: Duration::ZERO, peak_anon: 0, said: String::new() };
    for mut command in commands {
        let took = process(&mut command, beside)?;
        all.wall += took.wall;
        all.cpu += took.cpu;
        all.peak_anon = all.peak_anon.max(took.peak_anon);
        all.said += &took.said;
    }
    Ok(all)
}

fn process(command: &mut Command, beside: Option<u32>) -> anyhow::Result<Took> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let cpu_now = || anyhow::Ok(children_cpu()? + beside.map_or(Ok(Duration::ZERO), cpu_of)?);
    let cpu_before = cpu_now()?;
    let started = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let watched: Vec<u32> = std::iter::once(child.id()).chain(beside).collect();
    let done = AtomicBool::new(false);
    let (status, said, wall, peak_anon) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_memory(&watched, &done));
        let mut said = Vec::new();
        let read = child.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said));
        let status = child.wait();
        let wall = started.elapsed();
        done.store(true, Ordering::Relaxed);
        let peak_anon = watcher.join().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        anyhow::Ok((status?, read.map(|_| said)?, wall, peak_anon))
    })?;
    if !status.success() {
        bail!("{name} failed, {status}: {said}");
    }
    Ok(Took { wall, cpu: cpu_now()?.saturating_sub(cpu_before), peak_anon, said })
}

/// Looks at the anonymous memory of processes until the first one ends; the most that they had together, in bytes.
fn watch_memory(watched: &[u32], done: &AtomicBool) -> u64 {
    let anon = |process: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        number_after(&status, "RssAnon:").unwrap_or_default()
    };
    let mut most = 0;
    while !done.load(Ordering::Relaxed) {
        most = most.max(watched.iter().map(anon).sum());
        std::thread::sleep(LOOK);
    }
    most * 1024
}

/// User and system time of the processes that were started here and have ended.
fn children_cpu() -> anyhow::Result<Duration> {
    ticks("/proc/self/stat", 2)
}

/// User and system time of a process that runs, and of those that it has started and that have ended.
fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    ticks(&format!("/proc/{process}/stat"), 0)
}

/// Of `utime`, `stime`, `cutime` and `cstime` in proc_pid_stat(5), all but so many.
fn ticks(stat_file: &str, skipped: usize) -> anyhow::Result<Duration> {
    /// Of `utime`, behind the name of the process.
    const UTIME: usize = 11;
    let stat = std::fs::read_to_string(stat_file).with_context(|| stat_file.to_owned())?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(UTIME + skipped).take(4 - skipped).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().with_context(|| stat_file.to_owned())?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The number in the line that begins with `key`.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.trim_end_matches(',').parse().ok()
}
