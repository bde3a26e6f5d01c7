//! A file that is only ever appended to, and whose length is known at every moment.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SinkError;
use crate::model::Sha256Digest;
use crate::observe::{Waiting, Writing};

/// A file to append to, or a pipe or device, which have no length.
#[derive(Debug)]
pub struct AppendFile {
    file: File,
    path: PathBuf,
    kind: Kind,
    /// Bytes that are in it.
    length: u64,
    /// The end of what went into a pipe, which is lost when its reader goes away without having read it.
    recent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Regular,
    Pipe,
    /// A device, a socket: what was written is gone.
    Other,
}

/// A file whose last bytes may not be on the disk yet.
pub(super) struct UnsyncedFile {
    file: File,
    path: PathBuf,
}

/// Where a file stood, and how to know it again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileMark {
    /// Its name then.
    pub path: PathBuf,
    /// Its device.
    pub dev: u64,
    /// Its inode.
    pub inode: u64,
    /// Its bytes.
    pub length: u64,
    /// SHA-256 of the last of these bytes, 4 KiB at the most.
    pub window: Sha256Digest,
}

impl FileMark {
    /// In place of a file: a server, which cannot be asked what it has.
    pub fn server(name: &str) -> Self {
        Self { path: PathBuf::from(name), dev: 0, inode: 0, length: 0, window: Sha256Digest([0; 32]) }
    }

    /// Whether it is a server. No file has the number 0.
    pub fn is_server(&self) -> bool {
        (self.dev, self.inode) == (0, 0)
    }
}

/// How long a full disk is waited for.
#[derive(Clone, Debug)]
pub struct Patience {
    waits: bool,
    abandoned: Arc<AtomicBool>,
    /// Where it is said what is waited for.
    waiting: Arc<Waiting>,
}

const WINDOW: u64 = 4096;
/// Between two attempts to write to a full disk.
const PAUSE: Duration = Duration::from_millis(200);
/// What a pipe holds unless somebody enlarged it.
const PIPE_CAPACITY: usize = 64 * 1024;

impl Patience {
    /// A full disk is an error at once.
    pub fn none() -> Self {
        Self { waits: false, abandoned: Arc::default(), waiting: Arc::default() }
    }

    /// A full disk is waited for until `abandoned` is set, which is said to `waiting`.
    pub fn until(abandoned: Arc<AtomicBool>, waiting: Arc<Waiting>) -> Self {
        Self { waits: true, abandoned, waiting }
    }

    /// Says that a write begins that may take as long as a reader likes.
    pub(super) fn writing(&self, path: &Path) -> Writing<'_> {
        self.waiting.writing(path)
    }

    /// Where it is said what takes nothing.
    pub(super) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Whether it waits at all.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether nothing is waited for any more.
    pub(super) fn has_ended(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Tries something until there is room for it; says so once.
    ///
    /// # Errors
    /// It fails for another reason than a want of room, or patience has ended.
    pub fn retry<T, E: std::error::Error>(
        &self,
        path: &Path,
        is_full: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let mut waiting = false;
        loop {
            match attempt() {
                Err(error) if self.waits && is_full(&error) && !self.abandoned.load(Ordering::Relaxed) => {
                    if !waiting {
                        tracing::warn!(
                            path = %path.display(),
                            %error,
                            "cannot write; reading waits until there is room, and nothing is lost"
                        );
                    }
                    waiting = true;
                    self.waiting.again(path, || error.to_string());
                    std::thread::sleep(PAUSE);
                }
                outcome => {
                    if waiting {
                        self.waiting.over(path);
                    }
                    if waiting && outcome.is_ok() {
                        tracing::info!(path = %path.display(), "there is room again; going on");
                    }
                    return outcome;
                }
            }
        }
    }
}

/// Whether something failed because there is no room.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

impl AppendFile {
    /// Opens a file to go on at its end; it is made when it is not there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        // A pipe is written to only: opened for reading as well, its reader could come and go unseen.
        let readable = path.metadata().map_or(true, |metadata| metadata.is_file());
        Self::open_with(path, OpenOptions::new().read(readable).append(true).create(true))
    }

    /// Makes a file anew, whatever was there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let regular = path.metadata().map_or(true, |metadata| metadata.is_file());
        Self::open_with(path, OpenOptions::new().write(true).create(true).truncate(regular))
    }

    fn open_with(path: &Path, options: &OpenOptions) -> Result<Self, SinkError> {
        let open = || {
            let file = options.open(path)?;
            let metadata = file.metadata()?;
            let kind = match metadata.file_type() {
                kind if kind.is_file() => Kind::Regular,
                kind if kind.is_fifo() => Kind::Pipe,
                _ => Kind::Other,
            };
            let length = if kind == Kind::Regular { metadata.len() } else { 0 };
            Ok(Self { file, path: path.to_owned(), kind, length, recent: Vec::new() })
        };
        open().map_err(|source| SinkError { path: path.to_owned(), source })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a file with a length, and not a pipe or a device.
    pub fn is_regular(&self) -> bool {
        self.kind == Kind::Regular
    }

    /// Bytes that are in it, by what was written.
    pub fn written(&self) -> u64 {
        self.length
    }

    /// Where the next bytes will be. Somebody else may have cut the file, or written to it.
    ///
    /// # Errors
    /// The system says no.
    pub fn position(&mut self) -> Result<u64, SinkError> {
        if self.kind == Kind::Regular {
            let actual = self.file.metadata().map_err(|source| self.error(source))?.len();
            if actual != self.length {
                tracing::warn!(
                    path = %self.path.display(),
                    expected = self.length,
                    actual,
                    "somebody else changed this file; going on at its end"
                );
                self.length = actual;
            }
        }
        Ok(self.length)
    }

    /// Appends bytes; a want of room is waited for as `patience` says.
    ///
    /// # Errors
    /// The file cannot take them.
    pub fn append(&mut self, bytes: &[u8], patience: &Patience) -> Result<(), SinkError> {
        if self.kind == Kind::Pipe && patience.waits {
            let _writing = patience.writing(&self.path);
            return self.append_to_pipe(bytes, patience);
        }
        self.append_once(bytes, patience).map_err(|source| self.error(source))
    }

    fn append_once(&mut self, bytes: &[u8], patience: &Patience) -> io::Result<()> {
        let (file, path) = (&self.file, &self.path);
        let mut done = 0;
        let outcome = patience.retry(path, is_full, || {
            while done < bytes.len() {
                match (&*file).write(&bytes[done..]) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => done += written,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        });
        self.length += done as u64;
        outcome
    }

    /// What a reader leaves unread when it goes away is lost; the next one gets it again.
    fn append_to_pipe(&mut self, bytes: &[u8], patience: &Patience) -> Result<(), SinkError> {
        let mut outcome = self.append_once(bytes, patience);
        while outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            tracing::warn!(path = %self.path.display(), "the reader has gone; waiting for another one");
            self.file = OpenOptions::new().write(true).open(&self.path).map_err(|source| self.error(source))?;
            let recent = std::mem::take(&mut self.recent);
            outcome = self.append_once(&recent, patience).and_then(|()| self.append_once(bytes, patience));
            self.recent = recent;
        }
        outcome.map_err(|source| self.error(source))?;
        self.recent.extend_from_slice(bytes);
        // Whole lines, as many as a pipe can hold.
        if let Some(excess) = self.recent.len().checked_sub(PIPE_CAPACITY)
            && let Some(end) = memchr::memrchr(b'\n', &self.recent[..excess])
        {
            self.recent.drain(..=end);
        }
        Ok(())
    }

    /// The file as it is now, to be synced while more is appended; `None` for what keeps nothing.
    ///
    /// # Errors
    /// The system says no.
    pub(super) fn unsynced(&self) -> Result<Option<UnsyncedFile>, SinkError> {
        if self.kind != Kind::Regular {
            return Ok(None);
        }
        let file = self.file.try_clone().map_err(|source| self.error(source))?;
        Ok(Some(UnsyncedFile { file, path: self.path.clone() }))
    }

    /// Makes what was written last through a loss of power.
    ///
    /// # Errors
    /// The disk says no.
    pub fn sync(&self) -> Result<(), SinkError> {
        match self.kind {
            Kind::Regular => self.file.sync_data().map_err(|source| self.error(source)),
            Kind::Pipe | Kind::Other => Ok(()),
        }
    }

    /// Where it stands; `None` for what has no length.
    ///
    /// # Errors
    /// The system says no.
    pub fn mark(&self) -> Result<Option<FileMark>, SinkError> {
        if self.kind != Kind::Regular {
            return Ok(None);
        }
        let mark = || {
            let metadata = self.file.metadata()?;
            let window = window_of(&self.file, self.length)?;
            Ok(FileMark {
                // A link may lead elsewhere by then.
                path: self.path.canonicalize().unwrap_or_else(|_| self.path.clone()),
                dev: metadata.dev(),
                inode: metadata.ino(),
                length: self.length,
                window,
            })
        };
        mark().map(Some).map_err(|source| self.error(source))
    }

    /// Whether this is the file of a mark, with nothing before the mark changed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn fits(&self, mark: &FileMark) -> Result<bool, SinkError> {
        if self.kind != Kind::Regular || self.length < mark.length {
            return Ok(false);
        }
        window_of(&self.file, mark.length).map(|window| window == mark.window).map_err(|source| self.error(source))
    }

    /// Bytes from a place on, to the end of the file at the most.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_at(&self, at: u64, length: usize) -> Result<Vec<u8>, SinkError> {
        let length = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX).min(length);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at).map_err(|source| self.error(source))?;
        Ok(bytes)
    }

    /// Cuts what lies beyond `length`.
    ///
    /// # Errors
    /// The system says no.
    pub fn cut(&mut self, length: u64) -> Result<(), SinkError> {
        self.file.set_len(length).map_err(|source| self.error(source))?;
        self.length = length;
        Ok(())
    }

    /// Cuts the last line where a kill or a full disk tore it, at `from` at the earliest: it was never whole, and what
    /// follows must not be glued to it.
    ///
    /// # Errors
    /// The file cannot be read or cut.
    pub fn cut_torn_line(&mut self, from: u64) -> Result<(), SinkError> {
        if self.kind != Kind::Regular {
            return Ok(());
        }
        const STEP: u64 = 64 * 1024;
        let mut end = self.length;
        while end > from {
            let start = end.saturating_sub(STEP).max(from);
            let part = self.read_at(start, (end - start) as usize)?;
            if let Some(last) = memchr::memrchr(b'\n', &part) {
                end = start + last as u64 + 1;
                break;
            }
            end = start;
        }
        if end < self.length {
            let bytes = self.length - end;
            tracing::warn!(path = %self.path.display(), bytes, "cut a last line that was not whole");
            self.cut(end)?;
        }
        Ok(())
    }

    /// An error of this file.
    pub fn error(&self, source: io::Error) -> SinkError {
        SinkError { path: self.path.clone(), source }
    }
}

impl UnsyncedFile {
    pub(super) fn sync(&self) -> Result<(), SinkError> {
        self.file.sync_data().map_err(|source| SinkError { path: self.path.clone(), source })
    }
}

/// Makes the names in the folder of a file last through a loss of power.
///
/// # Errors
/// The disk says no.
pub fn sync_folder_of(path: &Path) -> Result<(), SinkError> {
    sync_folder(match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    })
}

/// Makes the names in a folder last through a loss of power.
///
/// # Errors
/// The disk says no.
pub fn sync_folder(folder: &Path) -> Result<(), SinkError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| SinkError { path: folder.to_owned(), source })
}

fn window_of(file: &File, length: u64) -> io::Result<Sha256Digest> {
    let start = length.saturating_sub(WINDOW);
    let mut window = vec![0; (length - start) as usize];
    file.read_exact_at(&mut window, start)?;
    Ok(Sha256Digest::of(&window))
}
