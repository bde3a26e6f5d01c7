//! The file of lines that a server will never take, each with the reason.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::sink::{AppendFile, Patience, SinkError, sync_folder_of};

/// The file, which is made when it is needed.
pub(super) struct Rejected {
    path: PathBuf,
    file: Mutex<Option<AppendFile>>,
}

#[derive(Serialize)]
struct RejectedLine<'a> {
    reason: &'a str,
    text: &'a str,
}

impl Rejected {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: Mutex::default() }
    }

    /// Tries whether lines could be written down, before the first one has to be; nothing is left behind.
    ///
    /// # Errors
    /// They could not.
    pub(super) fn try_out(&self) -> Result<(), SinkError> {
        let tried = match self.path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err(std::io::ErrorKind::IsADirectory.into()),
            // Opening a pipe would wait for its reader.
            Ok(metadata) if !metadata.is_file() => Ok(()),
            Ok(_) => OpenOptions::new().append(true).open(&self.path).map(drop),
            Err(_) => {
                let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
                tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(drop)
            }
        };
        tried.map_err(|error| {
            let why = format!("{error}; output.rejected names another file for lines that the server rejects");
            SinkError { path: self.path.clone(), source: std::io::Error::new(error.kind(), why) }
        })
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Writes a line down.
    ///
    /// # Errors
    /// The file cannot take it.
    pub(super) fn write(&self, line: &[u8], reason: &str, patience: &Patience) -> Result<(), SinkError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => {
                let is_new = !self.path.exists();
                let mut opened = AppendFile::open(&self.path)?;
                opened.cut_torn_line(0)?;
                if is_new {
                    sync_folder_of(&self.path)?;
                }
                none.insert(opened)
            }
        };
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        let mut entry = serde_json::to_vec(&RejectedLine { reason, text: &text })
            .map_err(|error| file.error(std::io::Error::other(error)))?;
        entry.push(b'\n');
        file.append(&entry, patience)
    }

    /// Makes what was written last through a loss of power.
    ///
    /// # Errors
    /// The disk says no.
    pub(super) fn sync(&self) -> Result<(), SinkError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_ref().map_or(Ok(()), AppendFile::sync)
    }

    /// Opens the file by its name again when the next line comes.
    pub(super) fn reopen(&self) -> Result<(), SinkError> {
        self.sync()?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }
}
