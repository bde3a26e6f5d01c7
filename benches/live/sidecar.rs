//! The real program, and what it takes while it runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// `certsift run` on the logs of a folder.
pub(super) struct Sidecar {
    child: Child,
    output: PathBuf,
    messages: PathBuf,
    ending: Arc<AtomicBool>,
    memory: Option<JoinHandle<Vec<(f64, f64)>>>,
}

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_secs(1);
/// Linux counts times of processes in hundredths, whatever its own clock does.
const TICKS_PER_SECOND: u64 = 100;

impl Sidecar {
    /// Starts it; the output is in a folder of its own.
    pub(super) fn start(folder: &Path, rotate_size: Option<&str>) -> anyhow::Result<Self> {
        let rotate = rotate_size.map(|size| format!("rotate_size = \"{size}\"\n")).unwrap_or_default();
        let config = format!(
            "[[input]]\npaths = [\"logs/*.log\"]\narchives = [\"archive\"]\n\
             [output]\npath = \"out/enriched.ndjson\"\ndead_letter = \"dead.ndjson\"\n{rotate}\
             [state]\ndir = \"state\"\n"
        );
        fs::write(folder.join("certsift.toml"), config)?;
        fs::create_dir(folder.join("out"))?;
        let messages = folder.join("stderr.txt");
        let mut command = Command::new(env!("CARGO_BIN_EXE_certsift"));
        command.args(["run", "--config", "certsift.toml"]).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&messages)?);
        let child = command.spawn().context("cannot start certsift")?;
        let output = folder.join("out/enriched.ndjson");
        Ok(Self { child, output, messages, ending: Arc::default(), memory: None })
    }

    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    pub(super) fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it said on standard error.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(&self.messages).unwrap_or_default()
    }

    /// User and system time so far.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        /// Of `utime` behind the name of the process, see proc_pid_stat(5); `stime` follows.
        const UTIME: usize = 11;
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(UTIME).take(2).map(str::parse::<u64>);
        let ticks = ticks.sum::<Result<u64, _>>().context(path)?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Looks at the memory every second from now on.
    pub(super) fn watch_memory(&mut self) -> anyhow::Result<()> {
        let status = format!("/proc/{}/status", self.child.id());
        let ending = Arc::clone(&self.ending);
        let watch = move || {
            let (started, mut samples) = (Instant::now(), Vec::new());
            while !ending.load(Ordering::Relaxed) {
                let Some(kib) = fs::read_to_string(&status).ok().and_then(|status| anonymous_kib(&status)) else {
                    break;
                };
                samples.push((started.elapsed().as_secs_f64(), kib as f64 / 1024.0));
                std::thread::sleep(LOOK);
            }
            samples
        };
        self.memory = Some(std::thread::Builder::new().name("memory".to_owned()).spawn(watch)?);
        Ok(())
    }

    /// SIGTERM, and the end that follows; gives the memory as `(seconds, MiB)`.
    pub(super) fn stop(mut self) -> anyhow::Result<Vec<(f64, f64)>> {
        self.ending.store(true, Ordering::Relaxed);
        let samples = self.memory.take().and_then(|memory| memory.join().ok()).unwrap_or_default();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "cannot send SIGTERM");
        let status = self.child.wait()?;
        if !status.success() {
            bail!("certsift failed, {status}: {}", self.said());
        }
        Ok(samples)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // When a benchmark fails, nothing is to be left behind; after an end in order both only fail.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn anonymous_kib(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    rest.split_whitespace().next()?.parse().ok()
}
