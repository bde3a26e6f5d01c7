//! What the system knows of a running process.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Whether a process has the file at a path open.
pub(crate) fn holds_open(process: u32, path: &Path) -> bool {
    let Ok(wanted) = path.metadata() else { return false };
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    // What the links lead to, and not what they say: the file may have been renamed since.
    let mut files = descriptors.filter_map(|descriptor| descriptor.path().metadata().ok());
    files.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
}

/// Bytes that a process has read from files, since its start.
pub(crate) fn bytes_read(process: u32) -> u64 {
    number_of(&format!("/proc/{process}/io"), "rchar:")
}

/// Anonymous memory of a process in bytes: what is its own, without its code and cached files.
pub(crate) fn anonymous_memory(process: u32) -> u64 {
    number_of(&format!("/proc/{process}/status"), "RssAnon:") * 1024
}

/// The end of a process, or nothing when it does not come in time.
pub(crate) fn end_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

fn number_of(path: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}
