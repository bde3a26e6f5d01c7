//! From patterns to the files that are there now.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{ReadError, TailError};
use super::identity::{Node, Stamp};

/// What to follow, as configured.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

/// A regular file that is among the patterns.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) node: Node,
    pub(super) stamp: Stamp,
    /// The names that lead to it; more than one with hard or symbolic links.
    pub(super) paths: Vec<Arc<Path>>,
}

/// One look at the file system.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// In the order of the patterns and their paths.
    pub(super) files: Vec<Found>,
    pub(super) by_node: HashMap<Node, usize>,
    /// What could not be looked at.
    pub(super) problems: Vec<ReadError>,
    /// The folders in which something may appear.
    pub(super) directories: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    /// The folder above the first part with a wild card.
    base: PathBuf,
    is_glob: bool,
}

impl Patterns {
    /// Takes files, folders (the files directly in them, hidden ones left out) and globs (`*` and `?` do not match `/`,
    /// nor a leading dot; `**` matches any number of folders).
    pub(super) fn new(texts: &[String]) -> Result<Self, TailError> {
        texts.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>().map(Self)
    }

    /// The files that are there.
    pub(super) fn expand(&self) -> Discovery {
        let mut discovery = Discovery::default();
        for pattern in &self.0 {
            pattern.expand(&mut discovery);
        }
        discovery
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, TailError> {
        let first = text.find(['*', '?', '[']);
        let is_glob = first.is_some();
        if is_glob && !Path::new(text).exists() {
            glob::Pattern::new(text).map_err(|source| TailError::Pattern { pattern: text.to_owned(), source })?;
        }
        let fixed = Path::new(&text[..first.unwrap_or(text.len())]);
        let base = match (first, text.get(..first.unwrap_or(0)).is_some_and(|fixed| fixed.ends_with('/'))) {
            (Some(_), true) => fixed,
            _ => fixed.parent().unwrap_or(Path::new("")),
        };
        let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base.to_path_buf() };
        Ok(Self { text: text.to_owned(), base, is_glob })
    }

    fn expand(&self, discovery: &mut Discovery) {
        discovery.directories.insert(self.base.clone());
        let path = Path::new(&self.text);
        // A name may hold a bracket: what is there under the very name is meant.
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.expand_directory(path, discovery),
            Ok(metadata) => discovery.add(path, &metadata),
            Err(error) if is_absent(&error) && self.is_glob => self.expand_glob(discovery),
            Err(error) if is_absent(&error) => discovery.missing(path),
            Err(error) => discovery.problems.push(ReadError::open(path, error)),
        }
    }

    fn expand_directory(&self, directory: &Path, discovery: &mut Discovery) {
        discovery.directories.insert(directory.to_path_buf());
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return discovery.problems.push(ReadError::open(directory, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                Ok(entry) => paths.push(entry.path()),
                Err(error) => discovery.problems.push(ReadError::open(directory, error)),
            }
        }
        paths.sort_unstable();
        for path in paths {
            discovery.add_if_file(&path);
        }
    }

    fn expand_glob(&self, discovery: &mut Discovery) {
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        // The pattern was tried when it was made.
        let Ok(paths) = glob::glob_with(&self.text, options) else { return };
        let mut any = false;
        for path in paths {
            any = true;
            match path {
                Ok(path) => discovery.add_if_file(&path),
                Err(error) => {
                    let path = error.path().to_path_buf();
                    discovery.problems.push(ReadError::Open { path, source: error.into() });
                }
            }
        }
        if !any {
            discovery.missing(Path::new(&self.text));
        }
    }
}

impl Discovery {
    /// Adds what is at `path` unless it is a folder or the like.
    fn add_if_file(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => self.add(path, &metadata),
            Ok(_) => {}
            // Gone since it was listed, or a symbolic link to nowhere: it is not there.
            Err(error) if is_absent(&error) => {}
            Err(error) => self.problems.push(ReadError::open(path, error)),
        }
    }

    fn add(&mut self, path: &Path, metadata: &fs::Metadata) {
        if !metadata.is_file() {
            return self.problems.push(ReadError::NotAFile { path: path.to_path_buf() });
        }
        let node = Node::of(metadata);
        let path: Arc<Path> = Arc::from(path);
        if let Some(&index) = self.by_node.get(&node) {
            if let Some(found) = self.files.get_mut(index)
                && !found.paths.contains(&path)
            {
                found.paths.push(path);
            }
            return;
        }
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            self.directories.insert(directory.to_path_buf());
        }
        self.by_node.insert(node, self.files.len());
        self.files.push(Found { node, stamp: Stamp::of(metadata), paths: vec![path] });
    }

    fn missing(&mut self, path: &Path) {
        self.problems.push(ReadError::Missing { path: path.to_path_buf() });
    }
}

/// Whether an error says that nothing is there, rather than that it cannot be seen.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[String]) -> Vec<String> {
        let discovery = Patterns::new(texts).unwrap().expand();
        let name = |found: &Found| found.paths[0].file_name().unwrap().to_string_lossy().into_owned();
        discovery.files.iter().map(name).collect()
    }

    #[test]
    fn files_folders_and_globs_are_taken_once_each() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["ssl.log", "x509.log", ".shadow.x509.log", "[1].log"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("old")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("ssl.log"), dir.path().join("tls.log")).unwrap();
        let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        assert_eq!(names(&[text("")]), ["[1].log", "ssl.log", "x509.log"]);
        assert_eq!(names(&[text("s*.log"), text("*")]), ["ssl.log", "[1].log", "x509.log"]);
        assert_eq!(names(&[text("[1].log")]), ["[1].log"], "a bracket in a name is only a bracket");
        assert_eq!(names(&[text("[sx]*.log")]), ["ssl.log", "x509.log"]);
    }

    #[test]
    fn what_is_not_there_is_a_problem_and_a_bad_pattern_an_error() {
        let discovery = Patterns::new(&["/nonexistent/a.log".into(), "/nonexistent/*.log".into()]).unwrap().expand();
        assert!(discovery.problems.iter().all(|problem| matches!(problem, ReadError::Missing { .. })));
        assert_eq!(discovery.problems.len(), 2);
        assert!(matches!(Patterns::new(&["/nonexistent/***".into()]), Err(TailError::Pattern { .. })));
    }

    #[test]
    fn the_base_of_a_pattern_is_above_its_first_wild_card() {
        let base = |text: &str| Pattern::new(text).unwrap().base;
        assert_eq!(base("/a/b/*.log"), Path::new("/a/b"));
        assert_eq!(base("/a/b*/c.log"), Path::new("/a"));
        assert_eq!(base("/a/b/c.log"), Path::new("/a/b"));
        assert_eq!(base("c.log"), Path::new("."));
    }
}
