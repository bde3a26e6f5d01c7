//! The files that knowledge is read from: which they are, and whether somebody is still writing them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The files that patterns lead to, as they are at one moment. Two that are equal mean that nothing was changed between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnowledgeFiles(BTreeMap<PathBuf, Stamp>);

/// What the system says of a file without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    node: (u64, u64),
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Which files are to be read when knowledge is read again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileChanges {
    /// Those that were changed, appeared or went; `None` for all.
    pub changed: Option<BTreeSet<PathBuf>>,
    /// Those that somebody is still writing, and that are left alone.
    pub unsettled: BTreeSet<PathBuf>,
}

/// What changes mean for one part of knowledge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Concern {
    /// None of its files has changed.
    Nothing,
    /// It is to be read again.
    Changed,
    /// One of its files is still being written.
    Unsettled,
}

/// How an archive begins that Windows and many servers make; as text it would be a list without a readable row.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// Files of one configuration that are looked at.
const MAX_FILES: usize = 10_000;

impl KnowledgeFiles {
    /// Looks at the files that paths and patterns lead to; what is not there is not among them.
    pub fn look(patterns: &[String]) -> Self {
        let files = patterns.iter().flat_map(|pattern| files_of(pattern)).take(MAX_FILES);
        Self(files.filter_map(|path| Some((Stamp::of(&path)?, path))).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// The folders in which something has to happen before any of the files is another one. Those below a pattern's first
    /// wildcard are not among them.
    pub fn folders(patterns: &[String]) -> BTreeSet<PathBuf> {
        let folder = |pattern: &String| {
            let fixed: PathBuf =
                Path::new(pattern).components().take_while(|part| !is_pattern(part.as_os_str())).collect();
            let folder = if fixed.is_dir() { Some(fixed.as_path()) } else { fixed.parent() }?;
            Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
        };
        patterns.iter().filter_map(folder).collect()
    }

    /// The files that differ from `before`, those that came or went included.
    pub(crate) fn changed_since<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a Path> {
        let all = self.0.keys().chain(before.0.keys());
        all.filter(|path| self.0.get(*path) != before.0.get(*path)).map(PathBuf::as_path).collect()
    }

    /// What is known of a file; `None` for one that is not there.
    pub(crate) fn stamp(&self, path: &Path) -> Option<Stamp> {
        self.0.get(path).copied()
    }

    /// Takes over what `now` knows of a file.
    pub(crate) fn take(&mut self, path: &Path, now: &Self) {
        match now.stamp(path) {
            Some(stamp) => self.0.insert(path.to_owned(), stamp),
            None => self.0.remove(path),
        };
    }
}

impl FileChanges {
    /// Whether a file is to be read.
    pub(crate) fn are_of(&self, path: &Path) -> bool {
        !self.unsettled.contains(path) && self.changed.as_ref().is_none_or(|changed| changed.contains(path))
    }

    /// What they mean for the part of knowledge that is read from the files of these patterns.
    pub(crate) fn concern(&self, patterns: &[String]) -> Concern {
        let is_its = |path: &PathBuf| patterns.iter().any(|pattern| matches(pattern, path));
        if self.unsettled.iter().any(is_its) {
            return Concern::Unsettled;
        }
        match &self.changed {
            Some(changed) if !changed.iter().any(is_its) => Concern::Nothing,
            _ => Concern::Changed,
        }
    }
}

impl Stamp {
    /// What the system says now; `None` where there is no regular file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            node: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether both are of one file, and not of one that took the other's place.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        self.node == other.node
    }

    /// The file's length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// How long ago the file or its name was changed last, by a clock that may not be that of the file's machine.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        let at = u64::try_from(self.changed.0).map_or(UNIX_EPOCH, |seconds| {
            UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(self.changed.1.unsigned_abs())
        });
        now.duration_since(at).unwrap_or_default()
    }
}

/// Refuses what is no regular file, since opening a pipe that nobody writes to would wait for ever, and archives of
/// several files.
///
/// # Errors
/// It is none, it is an archive, or nothing is there.
pub(crate) fn require_file(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() {
        let mut head = [0; ZIP.len()];
        // What cannot be read says so when it is.
        let is_zip = File::open(path).and_then(|file| file.read_exact_at(&mut head, 0)).is_ok() && head == ZIP;
        return if is_zip { Err(io::Error::other("zip: unpack it")) } else { Ok(()) };
    }
    let what = if kind.is_dir() { "it is a folder, not a file; name its files with /*" } else { "it is no file" };
    Err(io::Error::other(what))
}

/// Whether a path is the one that a pattern spells, or one that it leads to.
pub(crate) fn matches(pattern: &str, path: &Path) -> bool {
    // Walking the folders leaves out what stands for the one at hand.
    let pattern = pattern.trim_start_matches("./");
    let path = path.strip_prefix(".").unwrap_or(path);
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    Path::new(pattern) == path || glob::Pattern::new(pattern).is_ok_and(|glob| glob.matches_path_with(path, options))
}

/// The file of a path, or those of a pattern.
pub fn files_of(pattern: &str) -> Vec<PathBuf> {
    if Path::new(pattern).is_file() {
        return vec![PathBuf::from(pattern)];
    }
    glob::glob(pattern).into_iter().flatten().flatten().filter(|path| path.is_file()).collect()
}

fn is_pattern(part: &std::ffi::OsStr) -> bool {
    part.to_string_lossy().contains(['*', '?', '['])
}

/// Whether a text ends within a line, as one does that is still being written. Archives and whatever is no text end as
/// they like.
pub(crate) fn ends_within_a_line(path: &Path) -> bool {
    let Some(last) = path.metadata().ok().and_then(|metadata| metadata.len().checked_sub(1)) else { return false };
    let (mut head, mut end) = ([0; 1], [0; 1]);
    let read = File::open(path).and_then(|file| {
        file.read_exact_at(&mut head, 0)?;
        file.read_exact_at(&mut end, last)
    });
    let is_text = head[0].is_ascii_graphic() || head[0].is_ascii_whitespace() || head[0] == 0xef;
    read.is_ok() && is_text && !matches!(end[0], b'\n' | b'}' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_a_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let patterns = [place("*.csv").to_string_lossy().into_owned(), place("one.txt").to_string_lossy().into_owned()];
        let mut before = KnowledgeFiles::look(&patterns);
        let mut changed = |what: &str| {
            let now = KnowledgeFiles::look(&patterns);
            assert_ne!(now, before, "{what}");
            before = now;
        };
        std::fs::write(place("a.csv"), "1\n").unwrap();
        changed("made");
        std::fs::write(place("a.csv"), "12\n").unwrap();
        changed("written");
        std::fs::write(place("new"), "34\n").unwrap();
        std::fs::rename(place("new"), place("a.csv")).unwrap();
        changed("replaced");
        std::fs::write(place("one.txt"), "1\n").unwrap();
        changed("named");
        std::fs::remove_file(place("a.csv")).unwrap();
        changed("removed");
        std::fs::write(place("other.txt"), "1\n").unwrap();
        assert_eq!(KnowledgeFiles::look(&patterns), before);
        assert_eq!(KnowledgeFiles::folders(&patterns), BTreeSet::from([folder.path().to_owned()]));
    }

    #[test]
    fn a_change_concerns_what_is_read_from_the_file() {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<BTreeSet<_>>();
        let patterns = ["/f/*.csv".to_owned(), "/g/one.txt".to_owned()];
        let concern = |changed: Option<&[&str]>, unsettled: &[&str]| {
            FileChanges { changed: changed.map(paths), unsettled: paths(unsettled) }.concern(&patterns)
        };
        assert_eq!(concern(None, &[]), Concern::Changed);
        assert_eq!(concern(None, &["/g/other.txt"]), Concern::Changed);
        assert_eq!(concern(None, &["/g/one.txt"]), Concern::Unsettled);
        assert_eq!(concern(Some(&["/f/a.csv"]), &[]), Concern::Changed);
        assert_eq!(concern(Some(&["/f/a.csv"]), &["/f/b.csv"]), Concern::Unsettled);
        assert_eq!(concern(Some(&["/f/a.txt"]), &[]), Concern::Nothing);
    }

    #[test]
    fn an_archive_is_refused_before_it_is_read_as_text() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |bytes: &[u8]| {
            let path = folder.path().join("list");
            std::fs::write(&path, bytes).unwrap();
            require_file(&path).err().map(|error| error.to_string())
        };
        assert_eq!(refusal(b"PK\x03\x04\x14\0\0\0").as_deref(), Some("zip: unpack it"));
        assert_eq!(refusal(b"PK\x03\x04").as_deref(), Some("zip: unpack it"));
        for text in ["", "PK", "PK,1\n", "evil.example\n"] {
            assert_eq!(refusal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_ends_within_a_line_is_still_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        for (text, unfinished) in
            [(&b"a\nb"[..], true), (b"a\nb\n", false), (b"{\"a\": 1}", false), (b"", false), (b"\x1f\x8b\x08", false)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(ends_within_a_line(&path), unfinished, "{text:?}");
        }
    }
}
