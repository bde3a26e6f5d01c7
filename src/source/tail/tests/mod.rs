//! The tail against real files, with a clock that the tests move.

mod model;
mod reading;
mod rotation;
mod trouble;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

/// A folder, a tail that follows it, and the time.
struct Rig {
    dir: tempfile::TempDir,
    patterns: Vec<String>,
    tail: Option<Tail>,
    now: Instant,
    max_files: usize,
}

impl Rig {
    fn new(patterns: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let patterns = patterns.iter().map(|name| dir.path().join(name).to_str().unwrap().to_owned()).collect();
        Self { dir, patterns, tail: None, now: Instant::now(), max_files: 4096 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        append(&self.path(name), text);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn start(&mut self, resume: Vec<ResumePoint>) -> &mut Tail {
        let patterns = self.patterns.clone();
        let config = TailConfig { patterns, watch: false, max_files: self.max_files, ..TailConfig::default() };
        self.tail.insert(Tail::new_at(config, resume, self.now).unwrap())
    }

    /// Lets so much time pass.
    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// What there is to read two seconds later, so that a sweep is due.
    fn items(&mut self) -> Vec<Item> {
        self.pass(2);
        let mut items = Vec::new();
        loop {
            let tail = self.tail.as_mut().unwrap();
            items.extend(tail.poll_at(1 << 20, self.now));
            if !tail.is_behind() {
                return items;
            }
        }
    }

    /// The lines among the items.
    fn lines(&mut self) -> Vec<String> {
        lines(&self.items())
    }

    /// The points for everything that these items hand out.
    fn points(&self, items: &[Item]) -> Vec<ResumePoint> {
        let last = |item: &Item| items.iter().rfind(|other| other.file() == item.file()).map(Item::end_offset);
        let mut points: Vec<_> = items
            .iter()
            .map(|item| self.tail.as_ref().unwrap().resume_point(item.file(), last(item).unwrap()).unwrap())
            .collect();
        points.dedup();
        points
    }

    fn state(&self, name: &str) -> Option<FileState> {
        let path = self.path(name);
        self.tail.as_ref().unwrap().status().iter().find(|status| *status.path == *path).map(|status| status.state)
    }
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn lines(items: &[Item]) -> Vec<String> {
    let mut lines = Vec::new();
    for item in items {
        if let Item::Chunk(chunk) = item {
            lines.extend(String::from_utf8_lossy(&chunk.bytes).split_inclusive('\n').map(str::to_owned));
        }
    }
    lines
}

fn ends(items: &[Item]) -> Vec<EndOfFile> {
    items.iter().filter_map(|item| if let Item::Chunk(chunk) = item { chunk.end } else { None }).collect()
}

fn causes(items: &[Item]) -> Vec<EndCause> {
    ends(items).iter().map(|end| end.cause).collect()
}

fn chunks(items: &[Item]) -> Vec<&Chunk> {
    items.iter().filter_map(|item| if let Item::Chunk(chunk) = item { Some(chunk) } else { None }).collect()
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).unwrap().ino()
}
