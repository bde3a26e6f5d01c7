//! Writes `sample_logs/`: a small, readable world that shows each correlation, each reason for an absent certificate, and a
//! harmless twin beside each finding.
//!
//! ```text
//! cargo run --example generate_sample_logs              # write the folder
//! cargo run --example generate_sample_logs -- --check   # say whether the folder is what would be written
//! ```
//!
//! The same bytes every time: fixed keys (`keys/`), dates and serials, no wall clock, no randomness. Archives are compared
//! by what is in them, since two builds of a compressor may pack the same text differently.
//!
//! Read [`story`] for what happens, [`cast`] for who takes part; the rest is spelling.

mod cast;
mod certificates;
mod clock;
mod digest;
mod eve;
mod folder;
mod json;
mod names;
mod readme;
mod session;
mod story;
mod zeek;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;

use crate::folder::{Content, Files};

fn main() -> Result<()> {
    let check = match env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument {other}; only --check is known"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let keys = root.join("examples/generate_sample_logs/keys");
    let target = root.join("sample_logs");

    let certificates = certificates::make(cast::RECIPES, cast::PRINTED, &keys)?;
    let sessions = story::sessions()?;
    let files = folder::render(&sessions, &certificates)?;
    let differing = differing(&files, &target)?;
    if check {
        if !differing.is_empty() {
            bail!("sample_logs differs from what the generator writes: {}", differing.join(", "));
        }
        return Ok(());
    }
    for path in &differing {
        let place = target.join(path);
        match files.get(path) {
            Some(content) => {
                fs::create_dir_all(place.parent().context("a file has a folder")?)?;
                fs::write(&place, content.packed()?).with_context(|| format!("cannot write {path}"))?;
            }
            None => fs::remove_file(&place).with_context(|| format!("cannot remove {path}"))?,
        }
    }
    Ok(())
}

/// Paths that are missing, different, or too many.
fn differing(files: &Files, target: &Path) -> Result<Vec<String>> {
    let mut paths = files.keys().cloned().collect::<BTreeSet<_>>();
    present(target, target, &mut paths)?;
    let mut out = Vec::new();
    for path in paths {
        let same = match files.get(&path) {
            Some(content) => holds(&target.join(&path), content)?,
            None => false,
        };
        if !same {
            out.push(path);
        }
    }
    Ok(out)
}

fn present(folder: &Path, target: &Path, paths: &mut BTreeSet<String>) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            present(&path, target, paths)?;
        } else {
            let parts = path.strip_prefix(target)?.components();
            let parts = parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>();
            paths.insert(parts.join("/"));
        }
    }
    Ok(())
}

fn holds(path: &Path, content: &Content) -> Result<bool> {
    if !path.exists() {
        return Ok(false);
    }
    let bytes = fs::read(path)?;
    if !content.gzip {
        return Ok(bytes == content.plain);
    }
    let mut plain = Vec::new();
    Ok(MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).is_ok() && plain == content.plain)
}
