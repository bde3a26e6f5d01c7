//! Where to read on: what is stored across restarts, and what is remembered of files that ended.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::identity::{Mark, Node};
use super::item::FileId;
use crate::model::{Sha256Digest, StreamKey};

/// How far a stream was committed, and what its bytes before that look like.
///
/// Store it under `stream`: a later point of the same stream replaces an earlier one, whatever file it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumePoint {
    /// The stream.
    pub stream: StreamKey,
    /// Where it was last found: the device. A hint, as `inode` and `path` are.
    pub dev: u64,
    /// Where it was last found: the inode.
    pub inode: u64,
    /// Where it was last found; stored with replacement characters where it is not UTF-8.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// The byte to read on at.
    pub offset: u64,
    /// The bytes from 0 on that `head_sha256` covers: the offset, at most 64 KiB.
    pub head_len: u32,
    /// SHA-256 of the head.
    pub head_sha256: Sha256Digest,
    /// The bytes before the offset that `window_sha256` covers: the offset, at most 4 KiB.
    pub window_len: u32,
    /// SHA-256 of the window.
    pub window_sha256: Sha256Digest,
}

/// The marks at which a file's items ended and that are not committed yet.
#[derive(Debug)]
pub(super) struct Trail {
    stream: StreamKey,
    node: Node,
    path: Arc<Path>,
    marks: VecDeque<Mark>,
    committed: u64,
    end: Option<u64>,
}

/// The trails of all files, and how many marks they hold together.
#[derive(Debug, Default)]
pub(super) struct Trails {
    by_file: HashMap<FileId, Trail>,
    marks: usize,
}

/// Streams that are known by content and that no open file holds.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// From before the restart, not found yet.
    resume: Vec<ResumePoint>,
    /// Ended in this process; oldest first.
    ended: VecDeque<(StreamKey, Mark)>,
}

impl ResumePoint {
    pub(super) fn mark(&self) -> Mark {
        Mark {
            offset: self.offset,
            head_len: self.head_len,
            head: self.head_sha256,
            window_len: self.window_len,
            window: self.window_sha256,
        }
    }

    pub(super) fn node(&self) -> Node {
        Node { dev: self.dev, inode: self.inode }
    }
}

impl Trails {
    /// Begins the trail of a file that is read from `mark` on.
    pub(super) fn begin(&mut self, file: FileId, stream: StreamKey, node: Node, path: Arc<Path>, mark: Mark) {
        let marks = VecDeque::from([mark]);
        self.marks += 1;
        self.by_file.insert(file, Trail { stream, node, path, marks, committed: 0, end: None });
    }

    pub(super) fn push(&mut self, file: FileId, mark: Mark) {
        if let Some(trail) = self.by_file.get_mut(&file)
            && trail.marks.back().is_none_or(|last| last.offset < mark.offset)
        {
            trail.marks.push_back(mark);
            self.marks += 1;
        }
    }

    pub(super) fn moved(&mut self, file: FileId, path: Arc<Path>) {
        if let Some(trail) = self.by_file.get_mut(&file) {
            trail.path = path;
        }
    }

    /// Nothing follows beyond `offset`: the trail goes once that is committed.
    pub(super) fn end(&mut self, file: FileId, offset: u64) {
        let Some(trail) = self.by_file.get_mut(&file) else { return };
        trail.end = Some(offset);
        let committed = trail.committed;
        self.commit(file, committed);
    }

    pub(super) fn remove(&mut self, file: FileId) {
        if let Some(trail) = self.by_file.remove(&file) {
            self.marks -= trail.marks.len();
        }
    }

    pub(super) fn commit(&mut self, file: FileId, offset: u64) {
        let Some(trail) = self.by_file.get_mut(&file) else { return };
        trail.committed = trail.committed.max(offset);
        if trail.end.is_some_and(|end| trail.committed >= end) {
            return self.remove(file);
        }
        // The last mark at or below the offset stays, since the caller may store the same offset again.
        while trail.marks.get(1).is_some_and(|next| next.offset <= offset) {
            trail.marks.pop_front();
            self.marks -= 1;
        }
    }

    pub(super) fn point(&self, file: FileId, offset: u64) -> Option<ResumePoint> {
        let trail = self.by_file.get(&file)?;
        let index = trail.marks.binary_search_by_key(&offset, |mark| mark.offset).ok()?;
        let mark = trail.marks.get(index)?;
        Some(ResumePoint {
            stream: trail.stream,
            dev: trail.node.dev,
            inode: trail.node.inode,
            path: trail.path.to_path_buf(),
            offset: mark.offset,
            head_len: mark.head_len,
            head_sha256: mark.head,
            window_len: mark.window_len,
            window_sha256: mark.window,
        })
    }

    /// Whether so much is uncommitted that reading has to wait.
    pub(super) fn are_full(&self) -> bool {
        self.marks >= MAX_MARKS + self.by_file.len()
    }
}

impl Known {
    pub(super) fn new(resume: Vec<ResumePoint>) -> Self {
        Self { resume, ended: VecDeque::new() }
    }

    pub(super) fn unresolved(&self) -> &[ResumePoint] {
        &self.resume
    }

    /// Where the streams with this key stood: the mark, and the path of a stored point.
    pub(super) fn of(&self, stream: StreamKey) -> impl Iterator<Item = (Mark, Option<&Path>)> {
        let stored =
            self.resume.iter().filter(move |point| point.stream == stream).map(|p| (p.mark(), Some(p.path.as_path())));
        stored.chain(self.ended.iter().filter(move |(key, _)| *key == stream).map(|(_, mark)| (*mark, None)))
    }

    pub(super) fn has_node(&self, node: Node) -> bool {
        self.resume.iter().any(|point| point.node() == node)
    }

    /// An open file holds this stream now, up to `offset` and on.
    pub(super) fn taken(&mut self, stream: StreamKey, offset: u64) {
        self.resume.retain(|point| point.stream != stream || point.offset > offset);
        self.ended.retain(|(key, mark)| *key != stream || mark.offset > offset);
    }

    pub(super) fn ended(&mut self, stream: StreamKey, mark: Mark) {
        self.ended.retain(|(key, other)| (*key, other.offset) != (stream, mark.offset));
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back((stream, mark));
    }

    /// Gives up looking for a stored stream.
    pub(super) fn resolve(&mut self, stream: StreamKey) {
        self.resume.retain(|point| point.stream != stream);
    }
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// At most this many items are handed out and not committed (about 25 MiB of marks); then reading waits.
const MAX_MARKS: usize = 262_144;

/// At most this many ended streams are remembered. A copy of one that was ended earlier is read again, with the same ids.
const MAX_ENDED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: u64) -> Mark {
        Mark { offset, ..Mark::start() }
    }

    fn trails() -> Trails {
        let mut trails = Trails::default();
        trails.begin(FileId(1), StreamKey([7; 32]), Node { dev: 1, inode: 2 }, Path::new("a").into(), Mark::start());
        trails.push(FileId(1), mark(10));
        trails.push(FileId(1), mark(20));
        trails
    }

    #[test]
    fn a_point_is_there_until_something_later_is_committed() {
        let mut trails = trails();
        assert_eq!(trails.point(FileId(1), 10).map(|point| point.offset), Some(10));
        assert_eq!(trails.point(FileId(1), 15), None, "only where an item ended");
        trails.commit(FileId(1), 10);
        assert!(trails.point(FileId(1), 10).is_some());
        assert!(trails.point(FileId(1), 0).is_none());
        trails.commit(FileId(1), 20);
        assert!(trails.point(FileId(1), 10).is_none());
        assert_eq!(trails.marks, 1);
    }

    #[test]
    fn the_trail_of_an_ended_file_goes_with_its_last_commit() {
        let mut trails = trails();
        trails.end(FileId(1), 20);
        assert!(trails.point(FileId(1), 20).is_some());
        trails.commit(FileId(1), 20);
        assert!(trails.point(FileId(1), 20).is_none());
        assert_eq!(trails.marks, 0);
    }

    #[test]
    fn a_point_survives_being_stored() {
        let point = trails().point(FileId(1), 20).unwrap();
        let stored = postcard::to_stdvec(&point).unwrap();
        assert_eq!(postcard::from_bytes::<ResumePoint>(&stored).unwrap(), point);
        let text = serde_json::to_string(&point).unwrap();
        assert_eq!(serde_json::from_str::<ResumePoint>(&text).unwrap(), point);
    }
}
