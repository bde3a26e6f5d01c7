//! What an operator wants to see of the inputs.

use std::path::Path;
use std::sync::Arc;

use super::file::{Followed, Presence};
use super::{DoneKind, FileId, Problem, Tail};
use crate::model::StreamKey;

/// One input as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStatus {
    /// The file while it is followed.
    pub file: Option<FileId>,
    /// Its stream, as soon as that is known.
    pub stream: Option<StreamKey>,
    /// The file, or the pattern that finds nothing.
    pub path: Arc<Path>,
    /// The byte up to which it was handed out.
    pub offset: u64,
    /// Its bytes at the last look.
    pub size: u64,
    /// Its bytes that were not handed out yet.
    pub lag: u64,
    /// What it is to the tail.
    pub state: FileState,
    /// Why it could not be read the last time.
    pub error: Option<String>,
}

/// What a file is to the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileState {
    /// It is followed.
    Live,
    /// Its first data line is not complete, so that nothing is handed out yet.
    Waiting,
    /// It has the content of another followed file, and is read on when that one ends.
    Copy,
    /// It was renamed; its end comes after the grace.
    Rotated,
    /// It was deleted or renamed to where no pattern looks; its end comes after the grace.
    Gone,
    /// It was read to its end.
    Finished,
    /// It was closed because too many files were open, and is opened again when it grows.
    Parked,
    /// The caller does not want it.
    Ignored,
    /// It is an archive, which others read.
    Compressed,
    /// It cannot be read for now.
    Unreadable,
    /// Nothing is found where a path or a pattern leads.
    Missing,
}

impl FileState {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Live,
        Self::Waiting,
        Self::Copy,
        Self::Rotated,
        Self::Gone,
        Self::Finished,
        Self::Parked,
        Self::Ignored,
        Self::Compressed,
        Self::Unreadable,
        Self::Missing,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Copy => "copy",
            Self::Rotated => "rotated",
            Self::Gone => "gone",
            Self::Finished => "finished",
            Self::Parked => "parked",
            Self::Ignored => "ignored",
            Self::Compressed => "compressed",
            Self::Unreadable => "unreadable",
            Self::Missing => "missing",
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TailCounts {
    /// Files that ended.
    pub files_ended: u64,
    /// Files whose content was replaced.
    pub truncations: u64,
    /// Bytes that were seen and gone before they could be read. A copy of the file may still have yielded them.
    pub lost_bytes: u64,
    /// Lines that were too long.
    pub oversize_lines: u64,
}

impl Tail {
    /// Every input with its place: the followed files in the order of their turns, then the others by path.
    pub fn status(&self) -> Vec<FileStatus> {
        let mut all: Vec<_> = self.files.iter().map(followed).collect();
        let mut others = Vec::new();
        for done in self.done.values() {
            let size = done.stamp.size;
            let state = match done.kind {
                DoneKind::Finished => FileState::Finished,
                DoneKind::Parked => FileState::Parked,
                DoneKind::Ignored => FileState::Ignored,
                DoneKind::Compressed => FileState::Compressed,
            };
            let (stream, offset) = done.read.map_or((None, 0), |(stream, mark)| (Some(stream), mark.offset));
            let path = Arc::from(done.path.as_path());
            others.push(FileStatus { file: None, stream, path, offset, size, lag: 0, state, error: None });
        }
        for (path, problem) in &self.problems {
            others.push(unreadable(path, problem));
        }
        others.sort_by(|a, b| a.path.cmp(&b.path));
        all.append(&mut others);
        all
    }

    /// What was counted since the start.
    pub fn counts(&self) -> TailCounts {
        self.counts
    }
}

fn followed(file: &Followed) -> FileStatus {
    let state = match file.presence {
        _ if file.error.is_some() => FileState::Unreadable,
        Presence::Gone(_) => FileState::Gone,
        _ if file.copy => FileState::Copy,
        _ if file.stream.is_none() => FileState::Waiting,
        Presence::Rotated(_) => FileState::Rotated,
        Presence::Here => FileState::Live,
    };
    let (offset, size) = (file.mark.offset, file.stamp.size);
    // All that a copy holds, the other file yields.
    let lag = if file.copy { 0 } else { size.saturating_sub(offset) };
    let error = file.error.as_ref().map(ToString::to_string);
    let (file, stream, path) = (Some(file.id), file.stream, Arc::clone(&file.path));
    FileStatus { file, stream, path, offset, size, lag, state, error }
}

fn unreadable(path: &Path, problem: &Problem) -> FileStatus {
    let state = if problem.is_missing { FileState::Missing } else { FileState::Unreadable };
    let (path, error) = (Arc::from(path), Some(problem.text.clone()));
    FileStatus { file: None, stream: None, path, offset: 0, size: 0, lag: 0, state, error }
}
