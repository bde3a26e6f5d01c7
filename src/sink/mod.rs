//! Where lines go: a file, standard output or a [server](network), and the dead-letter file beside it.
//!
//! In: encoded chunks in their order. Out: bytes. Promise: one write a chunk; a full disk is waited for where that is
//! wanted, and any other write that fails stops the pipeline and is said with the file's name.

mod append;
pub mod network;
mod rotation;

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use append::UnsyncedFile;
pub use append::{AppendFile, FileMark, Patience, is_full, sync_folder, sync_folder_of};
use network::{Barrier, Network};
pub use rotation::{Compression, Compressor, Rotation, is_rotated_name};

/// How existing files are treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// They begin anew: the same command gives the same file.
    Replace,
    /// They go on.
    Append,
}

/// An output that lines are written to.
pub struct Output {
    lines: Target,
    dead_letters: DeadLetters,
    patience: Patience,
}

/// Files of an output whose last bytes may not be on the disk yet, and lines that a server may not have taken yet.
pub struct Unsynced {
    lines: Option<UnsyncedFile>,
    sent: Option<Barrier>,
    dead_letters: Option<UnsyncedFile>,
}

enum Target {
    File(AppendFile),
    Stdout(io::Stdout),
    Network(Network),
}

/// The dead-letter file, which is made when it is needed.
struct DeadLetters {
    path: PathBuf,
    mode: OpenMode,
    file: Option<AppendFile>,
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
    pub fn open(
        path: Option<&Path>,
        dead_letters: PathBuf,
        mode: OpenMode,
        patience: Patience,
    ) -> Result<Self, SinkError> {
        if path.is_some_and(|path| would_clash(path, &dead_letters)) {
            let source =
                io::Error::new(io::ErrorKind::InvalidInput, "is the output as well; name another dead-letter file");
            return Err(SinkError { path: dead_letters, source });
        }
        let lines = match path {
            None => Target::Stdout(io::stdout()),
            Some(path) => Target::File(open(path, mode, &patience)?),
        };
        Self::with(lines, dead_letters, mode, patience)
    }

    /// An output that is a server; dead letters go to `dead_letters`.
    ///
    /// # Errors
    /// A file cannot be opened, or is that of rejected lines as well.
    pub fn send(
        network: Network,
        dead_letters: PathBuf,
        mode: OpenMode,
        patience: Patience,
    ) -> Result<Self, SinkError> {
        if would_clash(network.rejected(), &dead_letters) {
            let source = io::Error::new(
                io::ErrorKind::InvalidInput,
                "is the file of rejected lines as well; name another dead-letter file",
            );
            return Err(SinkError { path: dead_letters, source });
        }
        Self::with(Target::Network(network), dead_letters, mode, patience)
    }

    fn with(lines: Target, dead_letters: PathBuf, mode: OpenMode, patience: Patience) -> Result<Self, SinkError> {
        if mode == OpenMode::Replace {
            remove_older(&dead_letters).map_err(|source| SinkError { path: dead_letters.clone(), source })?;
        }
        let mut dead_letters = DeadLetters { path: dead_letters, mode, file: None };
        if mode == OpenMode::Append {
            dead_letters.open_existing(&patience)?;
        }
        Ok(Self { lines, dead_letters, patience })
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// The output cannot take them.
    pub fn write(&mut self, lines: &[u8], dead_letters: &[u8]) -> Result<(), SinkError> {
        if !lines.is_empty() {
            match &mut self.lines {
                Target::File(file) => file.append(lines, &self.patience)?,
                Target::Stdout(stdout) => {
                    let _writing = self.patience.writing(Path::new("-"));
                    let written = stdout.write_all(lines).and_then(|()| stdout.flush());
                    written.map_err(|source| SinkError { path: PathBuf::from("-"), source })?;
                }
                Target::Network(network) => network.write(lines)?,
            }
            crate::crash::point("output-written");
        }
        if !dead_letters.is_empty() {
            self.dead_letters.open(&self.patience)?.append(dead_letters, &self.patience)?;
            crate::crash::point("dead-letters-written");
        }
        Ok(())
    }

    /// Where the next lines and the next dead letters will be; 0 in what has no length.
    ///
    /// # Errors
    /// The system says no.
    pub fn positions(&mut self, any_dead_letters: bool) -> Result<(u64, u64), SinkError> {
        let lines = match &mut self.lines {
            Target::File(file) => file.position()?,
            Target::Stdout(_) | Target::Network(_) => 0,
        };
        let dead_letters = if any_dead_letters { self.dead_letters.open(&self.patience)?.position()? } else { 0 };
        Ok((lines, dead_letters))
    }

    /// Where the output and the dead letters stand, as far as they are files; or to which server lines go.
    ///
    /// # Errors
    /// The system says no.
    pub fn marks(&self) -> Result<(Option<FileMark>, Option<FileMark>), SinkError> {
        let lines = match &self.lines {
            Target::File(file) => file.mark()?,
            Target::Stdout(_) => None,
            Target::Network(network) => Some(FileMark::server(network.name())),
        };
        Ok((lines, self.dead_letters.file.as_ref().map(AppendFile::mark).transpose()?.flatten()))
    }

    /// The output, where it is a file with a length.
    pub fn file(&self) -> Option<&AppendFile> {
        match &self.lines {
            Target::File(file) if file.is_regular() => Some(file),
            _ => None,
        }
    }

    /// Opens the files by their names again, after somebody moved them away.
    ///
    /// # Errors
    /// A file cannot be opened; the old one stays in use.
    pub fn reopen(&mut self) -> Result<(), SinkError> {
        match &mut self.lines {
            Target::File(file) => {
                let path = file.path().to_owned();
                *file = open(&path, OpenMode::Append, &self.patience)?;
            }
            Target::Stdout(_) => {}
            Target::Network(network) => network.reopen()?,
        }
        self.dead_letters.file = None;
        self.dead_letters.open_existing(&self.patience)
    }

    /// Moves the output away and begins another one under its name; the folder has to be synced then. Gives the new name.
    ///
    /// # Errors
    /// It cannot be moved, or the new file cannot be made. Then the old one stays in use, under whichever name it has.
    pub fn rotate(&mut self) -> Result<Option<PathBuf>, SinkError> {
        let Target::File(file) = &mut self.lines else { return Ok(None) };
        let path = file.path().to_owned();
        let rotated = rotation::rotate(&path)?;
        crate::crash::point("output-moved");
        let full = |error: &SinkError| is_full(&error.source);
        match self.patience.retry(&path, full, || AppendFile::open(&path)) {
            Ok(next) => *file = next,
            Err(error) => {
                // Under its name it can be rotated another time.
                let _ = std::fs::rename(&rotated, &path);
                return Err(error);
            }
        }
        crate::crash::point("output-begun");
        Ok(Some(rotated))
    }

    /// The files as they are now, to be synced while more is written to them.
    ///
    /// # Errors
    /// The system says no.
    pub fn unsynced(&self) -> Result<Unsynced, SinkError> {
        let (lines, sent) = match &self.lines {
            Target::File(file) => (file.unsynced()?, None),
            Target::Stdout(_) => (None, None),
            Target::Network(network) => (None, Some(network.barrier())),
        };
        let dead_letters = self.dead_letters.file.as_ref().map(AppendFile::unsynced).transpose()?.flatten();
        Ok(Unsynced { lines, sent, dead_letters })
    }

    /// Makes what was written last through a loss of power; waits until a server has taken it.
    ///
    /// # Errors
    /// The disk says no, or the server.
    pub fn sync(&self) -> Result<(), SinkError> {
        self.unsynced()?.sync()
    }

    /// Waits until a server has taken everything.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn finish(&self) -> Result<(), SinkError> {
        match &self.lines {
            Target::Network(network) => network.barrier().wait(),
            Target::File(_) | Target::Stdout(_) => Ok(()),
        }
    }

    /// Where dead letters are, if there were any.
    pub fn dead_letter_path(&self) -> Option<&Path> {
        self.dead_letters.file.is_some().then_some(self.dead_letters.path.as_path())
    }
}

impl Unsynced {
    /// Makes what was written to the files last through a loss of power; waits until a server has taken what it was sent.
    ///
    /// # Errors
    /// The disk says no, or the server.
    pub fn sync(&self) -> Result<(), SinkError> {
        if let Some(lines) = &self.lines {
            lines.sync()?;
        }
        if let Some(sent) = &self.sent {
            sent.wait()?;
        }
        crate::crash::point("output-synced");
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.sync()?;
            crate::crash::point("dead-letters-synced");
        }
        Ok(())
    }
}

impl DeadLetters {
    /// Opens the file if it is there, so that it is known how long it is.
    fn open_existing(&mut self, patience: &Patience) -> Result<(), SinkError> {
        if self.path.is_file() {
            self.open(patience)?;
        }
        Ok(())
    }

    fn open(&mut self, patience: &Patience) -> Result<&mut AppendFile, SinkError> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(open(&self.path, self.mode, patience)?)),
        }
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

/// The file of lines that a server rejects: beside the state, or else in the working directory.
pub fn default_rejected_path(state: Option<&Path>) -> PathBuf {
    state.unwrap_or(Path::new("")).join("certsift.rejected.ndjson")
}

/// Whether two paths lead to one file, by whatever names.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// Whether two things would be written into one file, which need not be there yet. A device or pipe may be for both.
pub fn would_clash(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some((folder.canonicalize().ok()?, path.file_name()?.to_owned()))
    };
    let is_one = one == other || is_same_file(one, other) || place(one).is_some_and(|one| place(other) == Some(one));
    is_one && is_regular_or_new(one)
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

fn open(path: &Path, mode: OpenMode, patience: &Patience) -> Result<AppendFile, SinkError> {
    let is_new = !path.exists();
    let full = |error: &SinkError| is_full(&error.source);
    let mut file = patience.retry(path, full, || match mode {
        OpenMode::Replace => AppendFile::create(path),
        OpenMode::Append => AppendFile::open(path),
    })?;
    if mode == OpenMode::Append {
        file.cut_torn_line(0)?;
        if is_new {
            sync_folder_of(path)?;
        }
    }
    Ok(file)
}
