//! The journal: every chunk of output with what it did to the state, written down *before* the output gets it.
//!
//! A commit begins a new journal. After a kill the journal leads from the last commit to the last line: each of its
//! entries holds the bytes that belong into the output, so that what a kill tore is completed, and the effects on the
//! state, so that nothing is counted twice or never. An entry that was torn itself had no line written.
//!
//! The file is `journal-N` in the state directory; `N` rises with every commit. A commit takes its time, and the next
//! journal is begun before it is done: a restart goes through the one that the last commit names and those after it.
//! It holds a line that names it, a frame that says where it begins, and a frame for each entry. A frame is the length and
//! the CRC-32 of what follows (both 32 bits, big-endian); that of an entry holds the length of the head, the head, the
//! output lines and the dead letters.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Step;
use crate::sink::{AppendFile, FileMark, Patience, SinkError};

/// A journal that is being written.
pub struct Journal {
    file: AppendFile,
    number: u64,
    buffer: Vec<u8>,
}

/// Where a journal begins.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct JournalStart {
    /// Bytes of the journal before it, all of which came before.
    pub previous: u64,
    /// The output, where it is a file; perhaps another one than before.
    pub output: Option<FileMark>,
    /// The dead letters.
    pub dead_letters: Option<FileMark>,
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
    start: Option<JournalStart>,
    read: u64,
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

const MAGIC: &[u8] = b"certsift journal 5\n";
const PREFIX: &str = "journal-";

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(directory: &Path, number: u64, start: &JournalStart, patience: &Patience) -> Result<Self, SinkError> {
        let mut file = AppendFile::create(&place(directory, number))?;
        let mut buffer = MAGIC.to_vec();
        buffer.resize(MAGIC.len() + FRAME_START, 0);
        buffer = postcard::to_extend(start, buffer)
            .map_err(|error| file.error(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        close_frame(&mut buffer[MAGIC.len()..]);
        file.append(&buffer, patience)?;
        Ok(Self { file, number, buffer: Vec::new() })
    }

    /// Makes it last through a loss of power.
    ///
    /// # Errors
    /// The disk says no.
    pub fn sync(&self) -> Result<(), SinkError> {
        self.file.sync()
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
        buffer[FRAME_START..ENTRY_START].copy_from_slice(&head_len.to_be_bytes());
        close_frame(&mut buffer);
        let written = self.file.append(&buffer, patience);
        // One large chunk shall not hold its memory for good.
        buffer.clear();
        buffer.shrink_to(MAX_KEPT_BUFFER);
        self.buffer = buffer;
        written
    }
}

impl JournalStart {
    /// Where a journal begins that is linked to none before it: it repeats their lines.
    pub fn repeated(self) -> Self {
        Self { previous: u64::MAX, ..self }
    }
}

impl JournalReader {
    /// Opens the journal with this number; one that is not there has no start and no entries.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(directory: &Path, number: u64) -> Result<Self, JournalError> {
        let mut reader = Self { file: None, path: place(directory, number), start: None, read: 0, left: 0 };
        match reader.begin() {
            Ok(()) => Ok(reader),
            Err(source) => Err(JournalError { path: reader.path, source }),
        }
    }

    /// Where it begins; `None` when it is not there, or a loss of power left nothing of it.
    pub fn start(&self) -> Option<&JournalStart> {
        self.start.as_ref()
    }

    /// Bytes that were read, up to what a kill or a loss of power tore.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// The next entry; `None` at the end, and where a kill or a loss of power tore the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        let entry = self.read_frame().map_err(|source| JournalError { path: self.path.clone(), source })?;
        Ok(entry.and_then(Entry::decode))
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let length = file.metadata()?.len();
        let mut magic = Vec::new();
        (&mut file).take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Ok(());
        }
        self.read = MAGIC.len() as u64;
        self.left = length.saturating_sub(self.read);
        self.file = Some(BufReader::new(file));
        let start = self.read_frame()?;
        self.start = start.and_then(|start| postcard::from_bytes(&start).ok());
        if self.start.is_none() {
            self.file = None;
        }
        Ok(())
    }

    /// The next frame that is whole; after the first that is not there are no more.
    fn read_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let Some(left) = self.left.checked_sub(FRAME_START as u64) else { return Ok(None) };
        let mut start = [0; FRAME_START];
        file.read_exact(&mut start)?;
        let [length, checksum] = [0, 4].map(|at| u32::from_be_bytes([0, 1, 2, 3].map(|byte| start[at + byte])));
        let Some(left) = left.checked_sub(length.into()) else { return Ok(None) };
        let mut body = vec![0; length as usize];
        file.read_exact(&mut body)?;
        if crc32fast::hash(&body) != checksum {
            return Ok(None);
        }
        self.read += self.left - left;
        (self.left, self.file) = (left, Some(file));
        Ok(Some(body))
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

/// Length and checksum.
const FRAME_START: usize = 8;
/// Those of the frame, and the length of the head.
const ENTRY_START: usize = FRAME_START + 4;
/// A buffer for entries of the usual size.
const MAX_KEPT_BUFFER: usize = 4 * 1024 * 1024;

/// Removes the journals of a directory whose numbers are not wanted any more: a commit holds what they said.
pub fn remove_journals(directory: &Path, unwanted: impl Fn(u64) -> bool) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if number.is_some_and(&unwanted)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove a journal that is done with");
        }
    }
}

fn place(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{PREFIX}{number}"))
}

/// Writes down how long a frame is, and its checksum.
fn close_frame(frame: &mut [u8]) {
    let (start, body) = frame.split_at_mut(FRAME_START);
    start[..4].copy_from_slice(&(body.len() as u32).to_be_bytes());
    start[4..].copy_from_slice(&crc32fast::hash(body).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(directory: &Path) -> PathBuf {
        let patience = Patience::none();
        let start = JournalStart { previous: 5, ..JournalStart::default() };
        let mut journal = Journal::create(directory, 7, &start, &patience).unwrap();
        for number in 0..3 {
            let line = format!("line {number}\n");
            journal.append((number * 7, 5), &Step::default(), line.as_bytes(), b"dead\n", &patience).unwrap();
        }
        place(directory, 7)
    }

    fn read(directory: &Path) -> Vec<Entry> {
        let mut reader = JournalReader::open(directory, 7).unwrap();
        let entries: Vec<_> = std::iter::from_fn(|| reader.next_entry().unwrap()).collect();
        assert!(entries.is_empty() || reader.start().is_some_and(|start| start.previous == 5));
        entries
    }

    #[test]
    fn entries_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let entries = read(folder.path());
        let places: Vec<_> = entries.iter().map(|entry| (entry.output_at, entry.lines.as_slice())).collect();
        assert_eq!(places, [(0, &b"line 0\n"[..]), (7, b"line 1\n"), (14, b"line 2\n")]);
        assert_eq!(entries[1].dead_letters, b"dead\n");
        let mut reader = JournalReader::open(folder.path(), 7).unwrap();
        while reader.next_entry().unwrap().is_some() {}
        assert_eq!(reader.read(), place(folder.path(), 7).metadata().unwrap().len());
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
