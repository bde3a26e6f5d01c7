//! The periodic sweep: which names lead to which files now.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::discover::{Discovery, Found, is_absent};
use super::error::ReadError;
use super::file::{Followed, Presence};
use super::identity::{Likeness, Node, read_span};
use super::item::FileId;
use super::{Done, DoneKind, Problem, SWEEP_MAX, SWEEP_MIN, Tail};
use crate::model::StreamKey;

impl Tail {
    /// Looks at all names and all open files.
    pub(super) fn sweep(&mut self, now: Instant) {
        let mut discovery = self.patterns.expand();
        self.present = discovery.by_node.keys().copied().collect();
        let mut changed = self.busy;
        for index in 0..self.files.len() {
            changed |= self.place(index, &mut discovery, now);
        }
        self.look(now);
        self.done.retain(|node, _| discovery.by_node.contains_key(node));
        changed |= self.adopt_all(&mut discovery, now);
        for file in &self.files {
            discovery.directories.extend(file.real_directory.as_deref().map(Path::to_path_buf));
        }
        self.watch.refresh(&discovery.directories);
        self.report(discovery.problems);
        self.busy = false;
        self.interval = if changed { SWEEP_MIN } else { (self.interval * 2).min(SWEEP_MAX) };
        self.next_sweep = now + self.interval;
    }

    /// Looks at all open files, whatever their names.
    pub(super) fn look(&mut self, now: Instant) {
        for file in &mut self.files {
            file.look(now);
        }
    }

    /// Finds out whether a followed file is still under its name. Returns whether that changed.
    fn place(&mut self, index: usize, discovery: &mut Discovery, now: Instant) -> bool {
        let Some(file) = self.files.get_mut(index) else { return false };
        let before = file.presence;
        if file.error.is_some() {
            file.reopen();
        }
        if file.stream.is_none() {
            // It may have waited for another file.
            file.check_again();
        }
        let found = discovery.by_node.get(&file.node).and_then(|&index| discovery.files.get(index));
        match found {
            Some(found) if found.paths.contains(&file.path) => {
                // Renamed away and back again is still renamed, if the grace is running.
                if matches!(file.presence, Presence::Gone(_)) {
                    file.presence = Presence::Here;
                }
            }
            Some(found) => {
                if let Some(path) = found.paths.first() {
                    tracing::debug!(from = %file.path.display(), to = %path.display(), "file was renamed");
                    file.path = Arc::clone(path);
                    self.trails.moved(file.id, Arc::clone(path));
                }
                file.presence = Presence::Rotated(now);
            }
            None => match fs::metadata(&file.path) {
                // The folder cannot be searched, or the file system does not answer: nothing says that it is gone.
                Err(error) if !is_absent(&error) => discovery.problems.push(ReadError::open(&file.path, error)),
                // The folder could not be listed, which is reported.
                Ok(metadata) if Node::of(&metadata) == file.node => {}
                _ if matches!(file.presence, Presence::Gone(_)) => {}
                _ => {
                    tracing::debug!(path = %file.path.display(), "file is no longer there; reading to its end");
                    file.presence = Presence::Gone(now);
                }
            },
        }
        file.presence != before
    }

    /// Begins to follow what is new. Returns whether something was.
    fn adopt_all(&mut self, discovery: &mut Discovery, now: Instant) -> bool {
        let mut new = Vec::new();
        let followed: HashSet<Node> = self.files.iter().map(|file| file.node).collect();
        for found in &discovery.files {
            if followed.contains(&found.node) {
                continue;
            }
            match self.is_done(found) {
                Ok(true) => {}
                Ok(false) => new.push(found),
                Err(error) => discovery.problems.push(error),
            }
        }
        // A file that is where it was stopped at comes before its copies, then the oldest.
        new.sort_by_key(|found| (!self.known.has_node(found.node), found.stamp.modified()));
        let any = !new.is_empty();
        let mut crowded = false;
        for found in new {
            if self.files.len() >= self.config.max_files && !self.park() {
                crowded = true;
                break;
            }
            if let Err(error) = self.adopt(found, now) {
                discovery.problems.push(error);
            }
        }
        if crowded && !self.crowded {
            tracing::warn!(max_files = self.config.max_files, "too many files to follow; the newest have to wait");
        }
        self.crowded = crowded;
        any
    }

    fn adopt(&mut self, found: &Found, now: Instant) -> Result<(), ReadError> {
        let Some(path) = found.paths.first() else { return Ok(()) };
        let id = self.new_id();
        let opened = match Followed::open(id, Arc::clone(path), now) {
            Err(error) if error.is_out_of_descriptors() && self.park() => Followed::open(id, Arc::clone(path), now),
            opened => opened,
        };
        let mut file = opened?;
        // Between listing and opening another file may have taken the name, which is followed already.
        if self.files.iter().any(|other| other.node == file.node) {
            return Ok(());
        }
        self.done.remove(&file.node);
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink()) {
            let real = fs::canonicalize(path).ok();
            file.real_directory = real.as_deref().and_then(Path::parent).map(Arc::from);
        }
        self.files.push(file);
        Ok(())
    }

    /// Whether a file was finished with and is unchanged since.
    fn is_done(&mut self, found: &Found) -> Result<bool, ReadError> {
        let Some(done) = self.done.get_mut(&found.node) else { return Ok(false) };
        let Some(path) = found.paths.first() else { return Ok(false) };
        if done.path != **path {
            done.path = path.to_path_buf();
        }
        if done.stamp == found.stamp && done.settled {
            return Ok(true);
        }
        // Its inode may have been given to another file, or its content replaced.
        let Some((_, mark)) = done.read else { return Ok(done.stamp == found.stamp) };
        let open = || -> io::Result<_> {
            let file = fs::File::open(path)?;
            let head = read_span(&file, 0, StreamKey::MAX_HEAD)?;
            let likeness = mark.compare(&file, &head, found.stamp.size)?;
            Ok((file.metadata()?, likeness))
        };
        let (metadata, likeness) = open().map_err(|source| ReadError::open(path, source))?;
        let same = Node::of(&metadata) == found.node && likeness == Likeness::Same;
        let grown = found.stamp.size > mark.offset && done.kind != DoneKind::Ignored;
        if !same || grown {
            return Ok(false);
        }
        done.stamp = found.stamp;
        done.settled = found.stamp.is_settled();
        Ok(true)
    }

    /// Closes the file that was idle longest, to be opened again when it grows.
    fn park(&mut self) -> bool {
        let idle = self.files.iter().enumerate().filter(|(_, file)| file.is_idle());
        let Some(index) = idle.min_by_key(|(_, file)| file.grew()).map(|(index, _)| index) else { return false };
        self.retire(index, DoneKind::Parked);
        true
    }

    /// Stops following a file, and remembers that it was read.
    pub(super) fn retire(&mut self, index: usize, kind: DoneKind) {
        if index >= self.files.len() {
            return;
        }
        let file = self.files.remove(index);
        if index < self.turn {
            self.turn -= 1;
        }
        let read = file.stream.map(|stream| (stream, file.mark));
        if let Some((stream, mark)) = read {
            self.known.ended(stream, mark);
            if file.told {
                self.trails.end(file.id, mark.offset);
            } else {
                // Nothing was handed out that could be committed.
                self.trails.remove(file.id);
            }
        }
        if self.present.contains(&file.node) && !matches!(file.presence, Presence::Gone(_)) {
            let settled = file.is_settled();
            let done = Done { kind, read, path: file.path.to_path_buf(), stamp: file.stamp, settled };
            self.done.insert(file.node, done);
        }
    }

    pub(super) fn new_id(&mut self) -> FileId {
        self.next_id += 1;
        FileId(self.next_id)
    }

    /// Says what is new among the problems, and what is over.
    fn report(&mut self, problems: Vec<ReadError>) {
        let mut now = BTreeMap::new();
        for problem in problems {
            let text = problem.to_string();
            if self.problems.get(problem.path()).is_none_or(|known| known.text != text) {
                tracing::warn!(path = %problem.path().display(), error = %problem, "input cannot be read; trying again");
            }
            let is_missing = matches!(problem, ReadError::Missing { .. });
            now.insert(problem.path().to_path_buf(), Problem { text, is_missing });
        }
        for path in self.problems.keys().filter(|path| !now.contains_key(*path)) {
            tracing::info!(path = %path.display(), "input can be read again");
        }
        self.problems = now;
    }
}
