//! Output files that are full or old: moved away, and compressed beside the pipeline.
//!
//! `enriched.ndjson` becomes `enriched.20261124T085052123Z.ndjson`, by the wall clock in UTC, and then perhaps
//! `….ndjson.gz`. Promise: at no moment is a line in no file, whenever the process ends: the compressed file gets its
//! name when it is whole and synced, and only then the other one goes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};

use super::{SinkError, sync_folder_of};

/// When an output file is moved away and another one begun. It happens at a commit, so between whole lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    /// Once it holds this many bytes.
    pub size: Option<u64>,
    /// Once it was made this long ago by the wall clock.
    pub interval: Option<Duration>,
    /// What becomes of files that were moved away.
    pub compression: Compression,
}

/// How files that were moved away are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// Compresses files on a thread of its own, one after the other.
pub struct Compressor {
    files: Option<Sender<PathBuf>>,
}

impl Rotation {
    /// Whether a file of this length and age is to be moved away.
    pub fn is_due(&self, length: u64, age: Duration) -> bool {
        let large = self.size.is_some_and(|size| length >= size);
        let old = self.interval.is_some_and(|interval| age >= interval);
        length > 0 && (large || old)
    }
}

impl Compression {
    fn extension(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gz"),
            Self::Zstd => Some("zst"),
        }
    }
}

impl Compressor {
    /// One that has nothing to do.
    pub fn idle() -> Self {
        Self { files: None }
    }

    /// Starts the thread, where something is to be compressed at all, with what an earlier process left undone.
    pub fn start(output: &Path, compression: Compression) -> io::Result<Self> {
        let Some(extension) = compression.extension() else { return Ok(Self::idle()) };
        let (sender, receiver) = unbounded::<PathBuf>();
        for path in left_undone(output) {
            // The receiver is there.
            let _ = sender.send(path);
        }
        std::thread::Builder::new().name("compress".to_owned()).spawn(move || {
            for path in receiver {
                if let Err(error) = compress(&path, compression, extension) {
                    tracing::warn!(path = %path.display(), %error, "cannot compress a rotated output; it stays as it is");
                }
            }
        })?;
        Ok(Self { files: Some(sender) })
    }

    /// Compresses a file that was moved away.
    pub fn compress(&self, path: PathBuf) {
        if let Some(files) = &self.files {
            // Without the thread it stays as it is until the next start.
            let _ = files.send(path);
        }
    }
}

/// Moves an output away; gives its new name.
pub(super) fn rotate(path: &Path) -> Result<PathBuf, SinkError> {
    let rotated = loop {
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
        let candidate = rotated_name(path, &stamp);
        let packed = ["gz", "zst"].map(|extension| with_extension(&candidate, extension));
        if !candidate.exists() && !packed.iter().any(|packed| packed.exists()) {
            break candidate;
        }
        // Names shall sort by age.
        std::thread::sleep(Duration::from_millis(1));
    };
    std::fs::rename(path, &rotated).map_err(|source| SinkError { path: path.to_owned(), source })?;
    Ok(rotated)
}

fn rotated_name(path: &Path, stamp: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}.{stamp}.{}", extension.to_string_lossy()),
        None => format!("{stem}.{stamp}"),
    };
    path.with_file_name(name)
}

/// Whether a file is one that this output was before, compressed or not.
pub fn is_rotated_name(path: &Path, output: &Path) -> bool {
    let folder = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    stamp_of(path, output).is_some() && folder(path) == folder(output)
}

/// What stands between the parts of the output's name.
fn stamp_of<'a>(path: &'a Path, output: &Path) -> Option<&'a str> {
    let name = path.file_name()?.to_str()?;
    let name = ["gz", "zst"].iter().find_map(|e| name.strip_suffix(e)?.strip_suffix('.')).unwrap_or(name);
    let rest = name.strip_prefix(output.file_stem()?.to_str()?)?.strip_prefix('.')?;
    let stamp = match output.extension() {
        Some(extension) => rest.strip_suffix(extension.to_str()?)?.strip_suffix('.')?,
        None => rest,
    };
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let (day, clock) = stamp.strip_suffix('Z')?.split_once('T')?;
    (digits(day, 8) && digits(clock, 9)).then_some(stamp)
}

/// Files that were moved away and not compressed yet; what is half done is removed.
fn left_undone(output: &Path) -> Vec<PathBuf> {
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = Vec::new();
    for path in entries {
        let half_done = path.extension().is_some_and(|extension| extension == "tmp");
        if half_done && stamp_of(&path.with_extension(""), output).is_some() {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a half compressed output");
            }
        } else if stamp_of(&path, output).is_some()
            && !path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn compress(path: &Path, compression: Compression, extension: &str) -> Result<(), SinkError> {
    let done = with_extension(path, extension);
    let half_done = with_extension(&done, "tmp");
    let error = |source| SinkError { path: half_done.clone(), source };
    let source = File::open(path).map_err(|source| SinkError { path: path.to_owned(), source })?;
    let target = File::create(&half_done).map_err(error)?;
    write_compressed(BufReader::new(source), &target, compression).map_err(error)?;
    target.sync_all().map_err(error)?;
    crate::crash::point("compressed");
    std::fs::rename(&half_done, &done).map_err(error)?;
    sync_folder_of(&done)?;
    crate::crash::point("compressed-named");
    std::fs::remove_file(path).map_err(|source| SinkError { path: path.to_owned(), source })
}

fn write_compressed(mut source: impl Read, target: &File, compression: Compression) -> io::Result<()> {
    let target = BufWriter::new(target);
    let mut target = match compression {
        Compression::None => target,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::default());
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(target, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            io::copy(&mut source, &mut encoder)?;
            encoder.finish()?
        }
    };
    target.flush()
}

fn with_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_away_keeps_its_extension_and_is_known_by_its_name() {
        let output = Path::new("/var/log/enriched.ndjson");
        let rotated = rotated_name(output, "20261124T085052123Z");
        assert_eq!(rotated, Path::new("/var/log/enriched.20261124T085052123Z.ndjson"));
        for name in ["enriched.20261124T085052123Z.ndjson", "enriched.20261124T085053000Z.ndjson.gz"] {
            assert!(stamp_of(Path::new(name), output).is_some(), "{name}");
        }
        for name in ["enriched.ndjson", "enriched.old.ndjson", "ssl.20261124T085052123Z.log", "enriched.2026Z.ndjson"] {
            assert!(stamp_of(Path::new(name), output).is_none(), "{name}");
        }
    }

    #[test]
    fn an_output_is_rotated_when_it_is_large_or_old_and_never_when_it_is_empty() {
        let by_size = Rotation { size: Some(100), ..Rotation::default() };
        let by_age = Rotation { interval: Some(Duration::from_secs(60)), ..Rotation::default() };
        let due = |rotation: Rotation, length, age| rotation.is_due(length, Duration::from_secs(age));
        assert!(due(by_size, 100, 0) && !due(by_size, 99, 3600));
        assert!(due(by_age, 1, 60) && !due(by_age, 1, 59) && !due(by_age, 0, 60));
        assert!(!due(Rotation::default(), u64::MAX, u64::MAX / 2));
    }

    #[test]
    fn what_an_earlier_process_left_undone_is_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.ndjson");
        std::fs::write(&output, "now\n").unwrap();
        let rotated = rotate(&output).unwrap();
        let half_done = with_extension(&with_extension(&rotated, "gz"), "tmp");
        std::fs::write(&half_done, "half").unwrap();
        assert_eq!(left_undone(&output).as_slice(), std::slice::from_ref(&rotated));
        assert!(!half_done.exists());
        compress(&rotated, Compression::Gzip, "gz").unwrap();
        let mut text = String::new();
        let packed = File::open(with_extension(&rotated, "gz")).unwrap();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "now\n");
        assert!(!rotated.exists() && left_undone(&output).is_empty());
    }
}
