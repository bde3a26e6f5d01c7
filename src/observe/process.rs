//! What the system knows of this process, where it says so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Process {
    /// Memory that is in use, in bytes.
    pub(super) resident_bytes: u64,
    /// Descriptors that are open.
    pub(super) open_descriptors: u64,
}

impl Process {
    /// Asks the system; nothing where it has no such files.
    pub(super) fn look() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        // The folder itself is open while it is counted.
        let open_descriptors = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
        Some(Self { resident_bytes: kilobytes * 1024, open_descriptors })
    }
}

/// A time as seconds since 1970-01-01.
pub(super) fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
