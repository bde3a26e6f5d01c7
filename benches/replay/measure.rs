//! One run of the real program, and what it took.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// What is run.
pub(super) struct Job<'a> {
    pub(super) folder: &'a Path,
    pub(super) detail: &'a str,
    /// 0 stands for the default.
    pub(super) threads: usize,
    pub(super) dead_letters: &'a Path,
}

/// What a run took.
pub(super) struct Run {
    pub(super) wall: Duration,
    /// User and system.
    pub(super) cpu: Duration,
    /// Most anonymous memory that was seen, in bytes.
    pub(super) peak_anon: u64,
    /// Records written, as the program says.
    pub(super) written: u64,
    /// Dead letters, likewise.
    pub(super) dead_letters: u64,
}

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(5);
/// Linux counts times of processes in hundredths, whatever its own clock does.
const TICKS_PER_SECOND: u64 = 100;

/// Runs `certsift replay` into `/dev/null`.
pub(super) fn run(job: &Job<'_>) -> anyhow::Result<Run> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
    command.arg("replay").arg(job.folder).args(["-o", "/dev/null", "--detail", job.detail]);
    command.arg("--dead-letter").arg(job.dead_letters);
    if job.threads > 0 {
        command.args(["--threads", &job.threads.to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let cpu_before = children_cpu()?;
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start certsift")?;
    let status_file = format!("/proc/{}/status", child.id());
    let done = AtomicBool::new(false);
    let (status, said, wall, peak_anon) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_memory(&status_file, &done));
        let mut said = String::new();
        let read = child.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut said));
        let status = child.wait();
        let wall = started.elapsed();
        done.store(true, Ordering::Relaxed);
        let peak_anon = watcher.join().unwrap_or_default();
        anyhow::Ok((status?, read.map(|_| said)?, wall, peak_anon))
    })?;
    if !status.success() {
        bail!("certsift failed, {status}: {said}");
    }
    let cpu = children_cpu()?.saturating_sub(cpu_before);
    let said_number = |key: &str| number_after(&said, key).with_context(|| format!("no `{key}` in: {said}"));
    let (written, dead_letters) = (said_number("records ")?, said_number("dead ")?);
    Ok(Run { wall, cpu, peak_anon, written, dead_letters })
}

/// Looks at a process's anonymous memory until it ends; the most that was seen, in bytes.
fn watch_memory(status_file: &str, done: &AtomicBool) -> u64 {
    let mut most = 0;
    while !done.load(Ordering::Relaxed) {
        let Ok(status) = std::fs::read_to_string(status_file) else { break };
        most = most.max(number_after(&status, "RssAnon:").unwrap_or_default());
        std::thread::sleep(LOOK);
    }
    most * 1024
}

/// User and system time of the processes that were started here and have ended.
fn children_cpu() -> anyhow::Result<Duration> {
    /// Of `cutime` behind the name of the process, see proc_pid_stat(5); `cstime` follows.
    const CUTIME: usize = 13;
    let stat = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(CUTIME).take(2).map(str::parse::<u64>);
    let ticks = ticks.sum::<Result<u64, _>>().context("/proc/self/stat")?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The number in the line that begins with `key`.
fn number_after(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}
