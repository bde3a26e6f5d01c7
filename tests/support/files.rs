//! What rotations do to files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use super::sidecar::{PATIENCE, World};

/// Copies a file; `half_way` comes when a part of it is in the target.
pub(crate) fn copy(from: &Path, to: &mut impl Write, half_way: impl FnOnce()) {
    let bytes = fs::read(from).unwrap();
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    to.write_all(first).unwrap();
    to.flush().unwrap();
    half_way();
    to.write_all(rest).unwrap();
}

pub(crate) fn gzip(from: &Path, to: &Path, half_way: impl FnOnce()) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(to).unwrap(), flate2::Compression::default());
    copy(from, &mut encoder, half_way);
    encoder.finish().unwrap();
}

pub(crate) fn zstd(from: &Path, to: &Path, half_way: impl FnOnce()) {
    let mut encoder = zstd::Encoder::new(File::create(to).unwrap(), 0).unwrap();
    copy(from, &mut encoder, half_way);
    encoder.finish().unwrap();
}

pub(crate) fn truncate(log: &Path) {
    OpenOptions::new().write(true).open(log).unwrap().set_len(0).unwrap();
}

/// Makes a file that has the number of another, which was deleted and is not open; tells whether it has.
pub(crate) fn make_with_inode(path: &Path, inode: u64) -> bool {
    let name = |number: usize| path.with_file_name(format!(".new{number}"));
    let made = |number: &usize| File::create(name(*number)).unwrap().metadata().unwrap().ino() == inode;
    // Those that have another number keep it meanwhile.
    let found = (0..200).find(made);
    fs::rename(name(found.unwrap_or(0)), path).unwrap();
    (0..200).for_each(|number| fs::remove_file(name(number)).unwrap_or_default());
    found.is_some()
}

/// Lets a link lead to another file, in one step.
pub(crate) fn swap_link(link: &Path, target: &Path) {
    let new = link.with_file_name(".link");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

/// Waits until certsift, if it is running, has the file closed that has, or had, this name.
pub(crate) fn wait_until_closed(world: &World, path: &Path) {
    let started = Instant::now();
    while has_open(world, path) {
        assert!(started.elapsed() < PATIENCE, "{} stays open", path.display());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn has_open(world: &World, path: &Path) -> bool {
    let Some(certsift) = &world.child else { return false };
    let deleted = format!("{} (deleted)", path.display());
    let open = fs::read_dir(format!("/proc/{}/fd", certsift.id())).unwrap();
    let mut open = open.flatten().filter_map(|open| fs::read_link(open.path()).ok());
    open.any(|open| open == path || open == Path::new(&deleted))
}
