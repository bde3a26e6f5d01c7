//! What feeds are called: by their files, and by as much of their folders as tells two of the same name apart.

use std::collections::HashMap;
use std::path::{Component, Path};

/// A feed's name: that of its file, without the compression's and its own extension.
pub(super) fn feed_name(path: &Path) -> String {
    bounded(&stem(&file_name(path)))
}

/// The names of files, in their order. Those that [`feed_name`] would call the same are told apart by their extension, or
/// else by the folders they are in, as few as are needed: output should not depend on where a feed lies.
pub(super) fn distinguishing<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<String> {
    let paths: Vec<&Path> = paths.collect();
    let mut levels = vec![0; paths.len()];
    loop {
        let names: Vec<String> = paths.iter().zip(&levels).map(|(path, level)| name_at(path, *level)).collect();
        let mut owners: HashMap<&str, Vec<usize>> = HashMap::new();
        names.iter().enumerate().for_each(|(index, name)| owners.entry(name).or_default().push(index));
        let mut has_moved = false;
        for same in owners.into_values().filter(|same| same.len() > 1) {
            for index in same {
                let can_move = levels[index] < MAX_LEVEL;
                levels[index] += usize::from(can_move);
                has_moved |= can_move;
            }
        }
        if !has_moved {
            return names.iter().map(|name| bounded(name)).collect();
        }
    }
}

/// A name that says the more the higher the level: the stem, the whole file name, both with one folder, with two …
fn name_at(path: &Path, level: usize) -> String {
    let (folders, is_whole) = (level / 2, level % 2 == 1);
    let file = file_name(path);
    let file = if is_whole { file } else { stem(&file) };
    let above: Vec<_> = path
        .parent()
        .into_iter()
        .flat_map(Path::components)
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    let from = above.len().saturating_sub(folders);
    above[from..].iter().map(|folder| format!("{folder}/")).collect::<String>() + &file
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn stem(name: &str) -> String {
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && extension.len() <= MAX_EXTENSION => stem,
        _ => name,
    };
    stem.to_owned()
}

/// What stands at the end tells names apart.
fn bounded(name: &str) -> String {
    let length = name.chars().count();
    name.chars().skip(length.saturating_sub(MAX_FEED_NAME)).collect()
}

/// Longest feed name that is kept, in characters.
const MAX_FEED_NAME: usize = 128;
/// Longest ending of a file's name that is taken for its extension, in bytes.
const MAX_EXTENSION: usize = 8;
/// Folders that are looked at, twice.
const MAX_LEVEL: usize = 2 * 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_named_by_their_files() {
        for (path, name) in
            [("a/sslbl.csv.gz", "sslbl"), ("feed.v1.txt", "feed.v1"), (".hidden", ".hidden"), ("x", "x")]
        {
            assert_eq!(feed_name(Path::new(path)), name);
        }
    }

    #[test]
    fn feeds_of_the_same_name_are_told_apart_by_as_little_as_possible() {
        let names = |paths: &[&str]| distinguishing(paths.iter().map(Path::new));
        assert_eq!(names(&["/f/a.csv", "/f/b.csv"]), ["a", "b"]);
        assert_eq!(names(&["/f/a.csv", "/f/a.json", "/f/b.csv"]), ["a.csv", "a.json", "b"]);
        assert_eq!(names(&["/f/x/a.csv", "/f/y/a.csv", "/f/y/c.csv"]), ["x/a", "y/a", "c"]);
        assert_eq!(names(&["/f/x/d/a.csv", "/f/y/d/a.csv", "a.csv"]), ["x/d/a", "y/d/a", "a"]);
        assert_eq!(names(&["/f/a.csv.txt", "/f/a.csv", "/g/a.csv"]).len(), 3);
        assert_eq!(names(&["same", "same"]), ["same", "same"], "there is nothing to tell them apart by");
    }
}
