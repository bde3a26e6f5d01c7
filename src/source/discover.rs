//! From the paths that a user names to the files that are meant.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A file to be read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Discovered {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// Whether the user named this very file, and not a folder or pattern that holds it.
    pub named: bool,
}

/// Why paths cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// There is nothing at a path.
    #[error("{0}: no such file or directory")]
    Missing(String),
    /// A pattern fits no file.
    #[error("{0}: no file matches this pattern")]
    NoMatch(String),
    /// A pattern cannot be understood.
    #[error("{pattern}: not a pattern: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: glob::PatternError,
    },
    /// A folder cannot be read.
    #[error("{}: cannot read the directory: {source}", .path.display())]
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Folders nested deeper than this are not entered.
const MAX_DEPTH: usize = 64;

/// All files that paths mean, each once: files, folders with everything below them, patterns, and `-`.
///
/// Hidden files in folders are left out, and links to folders are not followed, so that a walk always ends.
///
/// # Errors
/// A path leads nowhere: a mistyped name must not pass for an empty archive.
/// What lies below a named path and cannot be read is given beside the files: it costs itself only.
pub fn discover<S: AsRef<str>>(paths: &[S]) -> Result<(Vec<Discovered>, Vec<DiscoverError>), DiscoverError> {
    let mut found = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths.iter().map(AsRef::as_ref) {
        if path == "-" {
            found.push(Discovered { path: PathBuf::from(path), named: true });
        } else if Path::new(path).symlink_metadata().is_ok() {
            add(Path::new(path), true, &mut found, &mut unreadable);
        } else if path.contains(['*', '?', '[']) {
            let matches =
                glob::glob(path).map_err(|source| DiscoverError::Pattern { pattern: path.to_owned(), source })?;
            let before = found.len();
            for path in matches.flatten() {
                add(&path, false, &mut found, &mut unreadable);
            }
            if found.len() == before && unreadable.is_empty() {
                return Err(DiscoverError::NoMatch(path.to_owned()));
            }
        } else {
            return Err(DiscoverError::Missing(path.to_owned()));
        }
    }
    let mut seen = HashSet::new();
    found.retain(|file| seen.insert(file.path.canonicalize().unwrap_or_else(|_| file.path.clone())));
    Ok((found, unreadable))
}

fn add(path: &Path, named: bool, found: &mut Vec<Discovered>, unreadable: &mut Vec<DiscoverError>) {
    if path.is_dir() {
        walk(path, 0, found, unreadable);
    } else {
        found.push(Discovered { path: path.to_owned(), named });
    }
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<Discovered>, unreadable: &mut Vec<DiscoverError>) {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut entries = match list() {
        Ok(entries) => entries,
        Err(source) => return unreadable.push(DiscoverError::Directory { path: directory.to_owned(), source }),
    };
    entries.sort_unstable();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        let Ok(kind) = path.symlink_metadata() else { continue };
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, found, unreadable);
            }
        } else if path.is_file() {
            found.push(Discovered { path, named: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_files_and_patterns_give_each_file_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            path
        };
        let (one, two, _) = (file("a/ssl.log"), file("b.log"), file(".hidden"));
        let root = folder.path().to_string_lossy().into_owned();
        let (found, unreadable) =
            discover(&[root.clone(), format!("{root}/*.log"), two.to_string_lossy().into_owned()]).unwrap();
        assert!(unreadable.is_empty());
        assert_eq!(found.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), [one, two]);
        assert!(matches!(discover(&[format!("{root}/*.nothing")]), Err(DiscoverError::NoMatch(_))));
        assert!(matches!(discover(&[format!("{root}/nothing")]), Err(DiscoverError::Missing(_))));
    }
}
