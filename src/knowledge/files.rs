//! The files that knowledge is read from: which they are, and whether somebody is still writing them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The files that patterns lead to, as they are at one moment. Two that are equal mean that nothing was changed between.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KnowledgeFiles(BTreeMap<PathBuf, Stamp>);

/// What the system says of a file without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    node: (u64, u64),
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

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

    /// Whether a text that is not in `before` ends within a line, as one does that is still being written.
    pub fn is_unfinished_since(&self, before: &Self) -> bool {
        self.0.iter().any(|(path, stamp)| before.0.get(path) != Some(stamp) && ends_within_a_line(path, stamp.length))
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self {
            node: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
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

/// Archives and whatever is no text end as they like.
fn ends_within_a_line(path: &Path, length: u64) -> bool {
    let Some(last) = length.checked_sub(1) else { return false };
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
    fn a_text_that_ends_within_a_line_is_still_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed");
        let patterns = [path.to_string_lossy().into_owned()];
        for (text, unfinished) in
            [(&b"a\nb"[..], true), (b"a\nb\n", false), (b"{\"a\": 1}", false), (b"", false), (b"\x1f\x8b\x08", false)]
        {
            std::fs::write(&path, text).unwrap();
            let now = KnowledgeFiles::look(&patterns);
            assert_eq!(now.is_unfinished_since(&KnowledgeFiles::default()), unfinished, "{text:?}");
            assert!(!now.is_unfinished_since(&now));
        }
    }
}
