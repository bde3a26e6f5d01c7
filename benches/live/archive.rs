//! Where rotated logs go: renamed at once, compressed a little later by a thread of its own, and removed in the end.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, bounded};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Takes logs over.
pub(super) struct Archiver {
    folder: PathBuf,
    queue: Sender<PathBuf>,
}

/// Logs that wait to be compressed; beyond it the sensor has to wait, which counts as its own delay.
const QUEUE: usize = 8;
/// Archives that are kept.
const KEPT: usize = 6;

impl Archiver {
    pub(super) fn start(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&folder)?;
        let (queue, logs) = bounded(QUEUE);
        // It ends with the queue.
        std::thread::Builder::new().name("gzip".to_owned()).spawn(move || compress_all(&logs))?;
        Ok(Self { folder, queue })
    }

    /// Moves a log to `name` in the folder of a day.
    pub(super) fn take(&self, log: &Path, day: &str, name: &str) -> anyhow::Result<()> {
        let folder = self.folder.join(day);
        fs::create_dir_all(&folder)?;
        let archived = folder.join(name);
        fs::rename(log, &archived).with_context(|| log.display().to_string())?;
        self.queue.send(archived).context("the thread that compresses has ended")
    }
}

fn compress_all(logs: &Receiver<PathBuf>) -> io::Result<()> {
    let mut kept = VecDeque::new();
    for log in logs {
        let mut name = log.clone().into_os_string();
        name.push(".gz");
        let mut encoder = GzEncoder::new(File::create(&name)?, Compression::default());
        io::copy(&mut File::open(&log)?, &mut encoder)?;
        encoder.finish()?;
        fs::remove_file(&log)?;
        kept.push_back(name);
        if kept.len() > KEPT {
            kept.pop_front().map_or(Ok(()), fs::remove_file)?;
        }
    }
    Ok(())
}
