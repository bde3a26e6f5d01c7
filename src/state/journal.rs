//! The journal: every chunk of output with what it did to the state, written down *before* the output gets it.
//!
//! A commit begins a new journal. After a kill the journal leads from the last commit to the last line: each of its
//! entries holds the bytes that belong into the output, so that what a kill tore is completed, and the effects on the
//! state, so that nothing is counted twice or never. An entry that was torn itself had no line written.
//!
//! The file is `journal-N` in the state directory; `N` rises with every commit. It holds a line that names it, and
//! entries: the length and the CRC-32 of what follows (both 32 bits, big-endian); the length of the head; the head; the
//! output lines; the dead letters.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Step;
use crate::sink::{AppendFile, Patience, SinkError};

/// A journal that is being written.
pub struct Journal {
    file: AppendFile,
    directory: PathBuf,
    number: u64,
    buffer: Vec<u8>,
}

/// One entry, as it is read back.
#[derive(Debug)]
pub struct Entry {
    /// Where its lines begin in the output.
    pub output_at: u64,
    /// Where its dead letters begin in their file.
    pub dead_letters_at: u64,
    /// What its lines did to the state.
    pub step: Step,
    /// Whole lines of output.
    pub lines: Vec<u8>,
    /// Whole dead letters.
    pub dead_letters: Vec<u8>,
}

/// Reads a journal back, entry by entry; what a kill tore ends it.
pub struct JournalReader {
    file: Option<BufReader<File>>,
    path: PathBuf,
    left: u64,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot read the journal: {source}", .path.display())]
pub struct JournalError {
    /// The file.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

#[derive(Serialize)]
struct HeadRef<'a> {
    output_at: u64,
    dead_letters_at: u64,
    lines: u64,
    step: &'a Step,
}

#[derive(Deserialize)]
struct Head {
    output_at: u64,
    dead_letters_at: u64,
    lines: u64,
    step: Step,
}

const MAGIC: &[u8] = b"certsift journal 1\n";
const PREFIX: &str = "journal-";

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(directory: &Path, number: u64, patience: &Patience) -> Result<Self, SinkError> {
        let path = place(directory, number);
        let mut file = AppendFile::create(&path)?;
        file.append(MAGIC, patience)?;
        Ok(Self { file, directory: directory.to_owned(), number, buffer: Vec::new() })
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.file.written()
    }

    /// Writes an entry down; only then may its lines be written.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(
        &mut self,
        (output_at, dead_letters_at): (u64, u64),
        step: &Step,
        lines: &[u8],
        dead_letters: &[u8],
        patience: &Patience,
    ) -> Result<(), SinkError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(ENTRY_START, 0);
        let head = HeadRef { output_at, dead_letters_at, lines: lines.len() as u64, step };
        buffer = postcard::to_extend(&head, buffer)
            .map_err(|error| self.file.error(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let head_len = (buffer.len() - ENTRY_START) as u32;
        buffer.extend_from_slice(lines);
        buffer.extend_from_slice(dead_letters);
        buffer[8..ENTRY_START].copy_from_slice(&head_len.to_be_bytes());
        let length = (buffer.len() - 8) as u32;
        let checksum = crc32fast::hash(&buffer[8..]);
        buffer[..4].copy_from_slice(&length.to_be_bytes());
        buffer[4..8].copy_from_slice(&checksum.to_be_bytes());
        let written = self.file.append(&buffer, patience);
        // One large chunk shall not hold its memory for good.
        buffer.clear();
        buffer.shrink_to(MAX_KEPT_BUFFER);
        self.buffer = buffer;
        written
    }

    /// Removes every other journal of the directory: a commit holds what they said.
    pub fn remove_others(&self) {
        let own = place(&self.directory, self.number);
        for path in all(&self.directory).filter(|path| *path != own) {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a journal that is done with");
            }
        }
    }
}

impl JournalReader {
    /// Opens the journal with this number; one that is not there has no entries.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(directory: &Path, number: u64) -> Result<Self, JournalError> {
        let path = place(directory, number);
        let open = || -> io::Result<_> {
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, 0)),
                opened => opened?,
            };
            let length = file.metadata()?.len();
            let mut magic = Vec::new();
            (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic)?;
            let begun = magic == MAGIC;
            Ok((begun.then(|| BufReader::new(file)), length.saturating_sub(MAGIC.len() as u64)))
        };
        match open() {
            Ok((file, left)) => Ok(Self { file, path, left }),
            Err(source) => Err(JournalError { path, source }),
        }
    }

    /// The next entry; `None` at the end, and where a kill or a loss of power tore the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        let entry = self.read_entry().map_err(|source| JournalError { path: self.path.clone(), source })?;
        if entry.is_none() {
            self.file = None;
        }
        Ok(entry)
    }

    fn read_entry(&mut self) -> io::Result<Option<Entry>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut start = [0; 8];
        if self.left < 8 {
            return Ok(None);
        }
        file.read_exact(&mut start)?;
        let length = u32::from_be_bytes([start[0], start[1], start[2], start[3]]);
        let checksum = u32::from_be_bytes([start[4], start[5], start[6], start[7]]);
        self.left -= 8;
        if u64::from(length) > self.left {
            return Ok(None);
        }
        let mut body = vec![0; length as usize];
        file.read_exact(&mut body)?;
        self.left -= u64::from(length);
        Ok(if crc32fast::hash(&body) == checksum { Entry::decode(body) } else { None })
    }
}

impl Entry {
    fn decode(mut body: Vec<u8>) -> Option<Self> {
        let head_len = u32::from_be_bytes(*body.first_chunk()?) as usize;
        let head: Head = postcard::from_bytes(body.get(4..4 + head_len)?).ok()?;
        let text = body.split_off(4 + head_len);
        let (lines, dead_letters) = text.split_at_checked(usize::try_from(head.lines).ok()?)?;
        Some(Self {
            output_at: head.output_at,
            dead_letters_at: head.dead_letters_at,
            step: head.step,
            lines: lines.to_vec(),
            dead_letters: dead_letters.to_vec(),
        })
    }
}

/// Length, checksum and length of the head.
const ENTRY_START: usize = 12;
/// A buffer for entries of the usual size.
const MAX_KEPT_BUFFER: usize = 4 * 1024 * 1024;

fn place(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number}"))
}

/// Every journal of a directory.
fn all(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)).map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(directory: &Path) -> PathBuf {
        let patience = Patience::none();
        let mut journal = Journal::create(directory, 7, &patience).unwrap();
        for number in 0..3 {
            let line = format!("line {number}\n");
            journal.append((number * 7, 5), &Step::default(), line.as_bytes(), b"dead\n", &patience).unwrap();
        }
        place(directory, 7)
    }

    fn read(directory: &Path) -> Vec<Entry> {
        let mut reader = JournalReader::open(directory, 7).unwrap();
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }

    #[test]
    fn entries_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let entries = read(folder.path());
        let places: Vec<_> = entries.iter().map(|entry| (entry.output_at, entry.lines.as_slice())).collect();
        assert_eq!(places, [(0, &b"line 0\n"[..]), (7, b"line 1\n"), (14, b"line 2\n")]);
        assert_eq!(entries[1].dead_letters, b"dead\n");
    }

    #[test]
    fn wherever_it_is_torn_the_whole_entries_before_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        let mut before = 3;
        for length in (0..whole.len()).rev() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let found = read(folder.path()).len();
            assert!(found <= before && before - found <= 1 && found < 3, "{found} at {length}");
            before = found;
        }
        assert_eq!(before, 0);
    }

    #[test]
    fn a_byte_that_changed_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for at in MAGIC.len()..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x40;
            std::fs::write(&path, &changed).unwrap();
            assert!(read(folder.path()).len() < 3, "{at}");
        }
    }

    #[test]
    fn none_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_empty());
    }
}
