//! What can go wrong with an input. Only [`TailError`] stops work; a [`ReadError`] is reported and retried.

use std::io;
use std::path::{Path, PathBuf};

/// Why a tail cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// A glob that cannot be understood. Trying again does not help.
    #[error("the pattern {pattern:?} cannot be understood")]
    Pattern {
        /// The pattern as configured.
        pattern: String,
        /// Where it is wrong.
        source: glob::PatternError,
    },
}

/// Why a file cannot be followed for now. It is tried again on every sweep.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened, or its folder cannot be listed.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is open, and cannot be read.
    #[error("cannot read {} at byte {offset}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The byte up to which it was handed out.
        offset: u64,
        /// What the system says.
        source: io::Error,
    },
    /// A folder, a pipe, a socket or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Nothing is there, or no longer.
    #[error("nothing is found at {}", path.display())]
    Missing {
        /// The path or the pattern.
        path: PathBuf,
    },
}

impl ReadError {
    /// The path that it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Open { path, .. } | Self::Read { path, .. } | Self::NotAFile { path } | Self::Missing { path } => {
                path
            }
        }
    }

    pub(super) fn open(path: &Path, source: io::Error) -> Self {
        Self::Open { path: path.to_path_buf(), source }
    }

    /// Whether the process has no descriptors left.
    pub(super) fn is_out_of_descriptors(&self) -> bool {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        matches!(self, Self::Open { source, .. } if matches!(source.raw_os_error(), Some(ENFILE | EMFILE)))
    }
}
