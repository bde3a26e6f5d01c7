//! Where lines go: a file or standard output, and the dead-letter file beside it.
//!
//! In: encoded chunks in their order. Out: bytes. Promise: one write a chunk; a write that fails stops the pipeline and
//! is said with the file's name.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How existing files are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// They begin anew: the same command gives the same file.
    Replace,
    /// They go on.
    Append,
}

/// When an output file is moved away and another one begun. It happens at a commit, so between whole lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    /// Once it holds this many bytes.
    pub size: Option<u64>,
    /// Once its first line is this old by the wall clock.
    pub interval: Option<std::time::Duration>,
    /// What becomes of files that were moved away.
    pub compression: Compression,
}

/// How files that were moved away are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
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

/// An output that lines are written to.
pub struct Output {
    lines: Target,
    dead_letters: DeadLetters,
}

enum Target {
    File { file: File, path: PathBuf },
    Stdout(io::Stdout),
}

/// The dead-letter file, which is made when it is needed.
struct DeadLetters {
    path: PathBuf,
    mode: OpenMode,
    file: Option<File>,
}

/// Why lines cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot write: {source}", .path.display())]
pub struct SinkError {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

impl SinkError {
    /// Whether the reader of a pipe has gone, which is how `head` ends a pipeline and no failure.
    pub fn is_broken_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

impl Output {
    /// Opens a file, or standard output where there is none; dead letters go to `dead_letters`.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn open(path: Option<&Path>, dead_letters: PathBuf, mode: OpenMode) -> Result<Self, SinkError> {
        if path.is_some_and(|path| path == dead_letters || is_same_file(path, &dead_letters))
            && is_regular_or_new(&dead_letters)
        {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "is the output as well; name another dead-letter file");
            return Err(SinkError { path: dead_letters, source });
        }
        let lines = match path {
            None => Target::Stdout(io::stdout()),
            Some(path) => Target::File { file: open(path, mode)?, path: path.to_owned() },
        };
        if mode == OpenMode::Replace {
            remove_older(&dead_letters).map_err(|source| SinkError { path: dead_letters.clone(), source })?;
        }
        let dead_letters = DeadLetters { path: dead_letters, mode, file: None };
        Ok(Self { lines, dead_letters })
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// The output cannot take them.
    pub fn write(&mut self, lines: &[u8], dead_letters: &[u8]) -> Result<(), SinkError> {
        if !lines.is_empty() {
            match &mut self.lines {
                Target::File { file, path } => {
                    file.write_all(lines).map_err(|source| SinkError { path: path.clone(), source })?;
                }
                Target::Stdout(stdout) => {
                    let written = stdout.write_all(lines).and_then(|()| stdout.flush());
                    written.map_err(|source| SinkError { path: PathBuf::from("-"), source })?;
                }
            }
        }
        if !dead_letters.is_empty() {
            self.dead_letters.write(dead_letters)?;
        }
        Ok(())
    }

    /// Opens the files by their names again, after somebody moved them away.
    ///
    /// # Errors
    /// A file cannot be opened; the old one stays in use.
    pub fn reopen(&mut self) -> Result<(), SinkError> {
        if let Target::File { file, path } = &mut self.lines {
            *file = open(path, OpenMode::Append)?;
        }
        // The next dead letter opens its file by its name.
        self.dead_letters.file = None;
        Ok(())
    }

    /// Makes what was written last through a loss of power.
    ///
    /// # Errors
    /// The disk says no.
    pub fn sync(&mut self) -> Result<(), SinkError> {
        if let Target::File { file, path } = &self.lines {
            sync(file, path)?;
        }
        if let Some(file) = &self.dead_letters.file {
            sync(file, &self.dead_letters.path)?;
        }
        Ok(())
    }

    /// Where dead letters are, if there were any.
    pub fn dead_letter_path(&self) -> Option<&Path> {
        self.dead_letters.file.is_some().then_some(self.dead_letters.path.as_path())
    }
}

impl DeadLetters {
    fn write(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(&self.path, self.mode)?),
        };
        file.write_all(lines).map_err(|source| SinkError { path: self.path.clone(), source })
    }
}

/// The dead-letter file of an output: its name with `.dead.ndjson`; beside the state, or else in the working directory,
/// when the output is a stream.
pub fn default_dead_letter_path(output: Option<&Path>, state: Option<&Path>) -> PathBuf {
    const NAME: &str = "certsift.dead.ndjson";
    match (output, state) {
        (Some(output), _) if is_regular_or_new(output) => {
            let mut name = output.file_name().unwrap_or_default().to_owned();
            name.push(".dead.ndjson");
            output.with_file_name(name)
        }
        (_, Some(state)) => state.join(NAME),
        _ => PathBuf::from(NAME),
    }
}

/// Whether two paths lead to one file, by whatever names.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Removes the dead letters of another run; left there they would be taken for this one's. Nothing else is removed.
fn remove_older(path: &Path) -> io::Result<()> {
    use io::Read as _;
    const BEGINNING: &[u8] = b"{\"file\":";
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        // Devices and pipes are written to; what is not there need not go.
        _ => return Ok(()),
    }
    let mut beginning = Vec::new();
    File::open(path)?.take(BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    if !beginning.is_empty() && beginning != BEGINNING {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "is there and holds no dead letters; move it away, or name another dead-letter file",
        ));
    }
    std::fs::remove_file(path)
}

/// A device or pipe is no place to put a file beside.
fn is_regular_or_new(path: &Path) -> bool {
    path.metadata().map_or(true, |metadata| metadata.is_file())
}

fn open(path: &Path, mode: OpenMode) -> Result<File, SinkError> {
    let mut options = OpenOptions::new();
    match mode {
        OpenMode::Replace => options.write(true).create(true).truncate(is_regular_or_new(path)),
        OpenMode::Append => options.read(true).append(true).create(true),
    };
    let open = || {
        let file = options.open(path)?;
        if mode == OpenMode::Append && is_regular_or_new(path) {
            cut_torn_line(&file, path)?;
        }
        Ok(file)
    };
    open().map_err(|source| SinkError { path: path.to_owned(), source })
}

/// Cuts the last line where a kill or a full disk tore it: it was never whole, and what follows must not be glued to it.
fn cut_torn_line(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    const STEP: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut part = vec![0; (end - start) as usize];
        file.read_exact_at(&mut part, start)?;
        if let Some(last) = memchr::memrchr(b'\n', &part) {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        tracing::warn!(path = %path.display(), bytes = length - end, "cut a last line that was not whole");
        file.set_len(end)?;
    }
    Ok(())
}

fn sync(file: &File, path: &Path) -> Result<(), SinkError> {
    match file.sync_data() {
        // Pipes and devices have nothing to sync.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome.map_err(|source| SinkError { path: path.to_owned(), source }),
    }
}
