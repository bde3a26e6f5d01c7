//! After a kill or a loss of power: the files are completed by the journals, and what no journal knows is noted.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::stages::PipelineError;
use crate::crash;
use crate::encode::{ID_LEN, id_in};
use crate::model::Id128;
use crate::sink::{AppendFile, FileMark, Patience, SinkError};
use crate::state::{Entry, JournalStart, Written};

/// Why the output is not what the state says that it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: holds {found} bytes, and not the {expected} that were written to it; somebody shortened or replaced it. \
     Restore it, or move it away to begin a new one",
    .path.display()
)]
pub struct OutputChanged {
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub found: u64,
    /// Its bytes at the last commit.
    pub expected: u64,
}

/// Completes the files that the lines of journals belong into.
pub(super) struct Redo {
    output: Previous,
    /// A server may not have got some of the lines.
    undelivered: bool,
    output_mark: Option<FileMark>,
    dead_letters: Option<AppendFile>,
    dead_letter_mark: Option<FileMark>,
    dead_letter_path: PathBuf,
    /// Where the journal's last line ends, and its last dead letter.
    end: u64,
    dead_letters_end: u64,
    /// The last entry's lines, where they cannot be looked for.
    last: Vec<u8>,
    /// Where an output began whose journal cannot be redone.
    begun_at: Option<FileMark>,
    patience: Patience,
}

/// The file that the lines of the journal belong into.
enum Previous {
    File(AppendFile),
    /// There is none any more, or it has no length: only the last lines may be missing.
    Gone,
    /// A server: it may have got any of the lines, or none.
    Server,
}

/// Lines in the output that no journal knows: a loss of power took the journal and left them. They are not written again.
#[derive(Default)]
pub(super) struct Unaccounted {
    ids: HashSet<[u8; ID_LEN]>,
    /// Lines without an id, and how often they are there.
    lines: HashMap<Id128, u32>,
}

/// Lines that are looked at after a loss of power, which cannot have left more than some seconds of them.
const MAX_UNACCOUNTED: usize = 1_000_000;

impl Redo {
    pub(super) fn begin(
        written: Written,
        dead_letter_path: PathBuf,
        patience: &Patience,
    ) -> Result<Self, PipelineError> {
        Ok(Self {
            output: Previous::find(written.output.as_ref())?,
            undelivered: false,
            end: length_of(written.output.as_ref()),
            output_mark: written.output,
            dead_letters: None,
            dead_letters_end: length_of(written.dead_letters.as_ref()),
            dead_letter_mark: written.dead_letters,
            dead_letter_path,
            last: Vec::new(),
            begun_at: None,
            patience: patience.clone(),
        })
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
        self.last.clear();
        match &mut self.output {
            Previous::File(file) => {
                complete(file, entry.output_at, &entry.lines, &self.patience)?;
                self.end = entry.output_at + entry.lines.len() as u64;
            }
            Previous::Gone => self.last.clone_from(&entry.lines),
            Previous::Server => self.undelivered |= !entry.lines.is_empty(),
        }
        if !entry.dead_letters.is_empty() {
            let file = match &mut self.dead_letters {
                Some(file) => file,
                none => {
                    none.insert(AppendFile::open(&place_of(self.dead_letter_mark.as_ref(), &self.dead_letter_path))?)
                }
            };
            complete(file, entry.dead_letters_at, &entry.dead_letters, &self.patience)?;
            self.dead_letters_end = entry.dead_letters_at + entry.dead_letters.len() as u64;
        }
        crash::point("redone");
        Ok(())
    }

    /// Goes on with the next journal, whose lines may belong into other files.
    pub(super) fn go_on(&mut self, start: &JournalStart) -> Result<(), PipelineError> {
        if !is_one_file(self.output_mark.as_ref(), start.output.as_ref()) {
            self.output = Previous::find(start.output.as_ref())?;
            self.end = length_of(start.output.as_ref());
            self.output_mark.clone_from(&start.output);
        }
        if !is_one_file(self.dead_letter_mark.as_ref(), start.dead_letters.as_ref()) {
            // The first dead letters made the file that is open.
            let is_open = self
                .dead_letters
                .as_ref()
                .is_some_and(|file| start.dead_letters.as_ref().is_some_and(|mark| is_marked(file.path(), mark)));
            if !is_open {
                self.dead_letters = None;
                self.dead_letters_end = length_of(start.dead_letters.as_ref());
            }
            self.dead_letter_mark.clone_from(&start.dead_letters);
        }
        Ok(())
    }

    /// Ends before a journal whose predecessor a loss of power tore: its effects cannot be redone without those that are
    /// gone. What it wrote is found in the files.
    pub(super) fn end_before(&mut self, start: &JournalStart) {
        self.begun_at.clone_from(&start.output);
    }

    /// What lies beyond the journals: a torn line, which is cut, and whole ones, which nobody has counted.
    pub(super) fn unaccounted(&mut self, output: Option<&Path>) -> Result<(Unaccounted, Unaccounted), SinkError> {
        let (mut lines, mut letters) = (Unaccounted::default(), Unaccounted::default());
        if let Previous::File(file) = &mut self.output {
            lines.read(file, self.end)?;
        }
        // An output that was begun since then, and of which the loss of power took the journal.
        let known = |path: &&Path| self.output_mark.as_ref().is_some_and(|mark| is_marked(path, mark));
        // Lines of a server went to it in a start that was ended, too, and need not be looked for where there are none.
        let output = output.filter(|_| self.undelivered || !matches!(self.output, Previous::Server));
        if let Some(path) = output.filter(|path| path.is_file() && self.output_mark.is_some() && !known(path)) {
            let from = self.begun_at.as_ref().filter(|mark| is_marked(path, mark));
            lines.read(&mut AppendFile::open(path)?, length_of(from))?;
        }
        let place = place_of(self.dead_letter_mark.as_ref(), &self.dead_letter_path);
        if self.dead_letters.is_none() && place.is_file() {
            self.dead_letters = Some(AppendFile::open(&place)?);
        }
        if let Some(file) = &mut self.dead_letters {
            letters.read(file, self.dead_letters_end)?;
        }
        Ok((lines, letters))
    }

    /// Whether a server may not have got lines that the journals hold.
    pub(super) fn is_undelivered(&self) -> bool {
        self.undelivered
    }

    /// Lines of which nobody can say whether they were written.
    pub(super) fn uncertain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.last)
    }
}

/// Appends what is missing of `bytes`, which belong at `at`.
fn complete(file: &mut AppendFile, at: u64, bytes: &[u8], patience: &Patience) -> Result<(), SinkError> {
    let there = usize::try_from(file.written().saturating_sub(at)).unwrap_or(usize::MAX);
    if there >= bytes.len() {
        return Ok(());
    }
    let (begun, missing) = bytes.split_at(there);
    if file.read_at(at, there)? == begun {
        tracing::info!(path = %file.path().display(), bytes = missing.len(), "completed what was cut off");
        return file.append(missing, patience);
    }
    // Somebody else wrote here.
    file.cut_torn_line(at)?;
    file.append(bytes, patience)
}

impl Previous {
    /// Finds the file of a mark: under its name, or under another one in the same folder.
    fn find(mark: Option<&FileMark>) -> Result<Self, PipelineError> {
        let Some(mark) = mark else { return Ok(Self::Gone) };
        if mark.is_server() {
            return Ok(Self::Server);
        }
        let changed = |file: &AppendFile| OutputChanged {
            path: file.path().to_owned(),
            found: file.written(),
            expected: mark.length,
        };
        if let Some(path) = find(mark) {
            let file = AppendFile::open(&path)?;
            return if file.fits(mark)? { Ok(Self::File(file)) } else { Err(changed(&file).into()) };
        }
        if !mark.path.is_file() {
            if mark.length > 0 {
                tracing::warn!(path = %mark.path.display(), "the output is no longer there; beginning a new one");
            }
            return Ok(Self::Gone);
        }
        // Another file: a copy that was put back, or one that somebody made when he moved the old one away.
        let file = AppendFile::open(&mark.path)?;
        if file.fits(mark)? {
            Ok(Self::File(file))
        } else if file.written() == 0 {
            Ok(Self::Gone)
        } else {
            Err(changed(&file).into())
        }
    }
}

fn is_marked(path: &Path, mark: &FileMark) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    path.metadata().is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (mark.dev, mark.inode))
}

/// The file of a mark, under its name or another one in the same folder.
fn find(mark: &FileMark) -> Option<PathBuf> {
    if is_marked(&mark.path, mark) {
        return Some(mark.path.clone());
    }
    let folder = match mark.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| is_marked(path, mark))
}

/// Where dead letters are that belong into the file of a mark, or into none yet.
fn place_of(mark: Option<&FileMark>, path: &Path) -> PathBuf {
    mark.and_then(find).unwrap_or_else(|| path.to_owned())
}

fn length_of(mark: Option<&FileMark>) -> u64 {
    mark.map_or(0, |mark| mark.length)
}

fn is_one_file(one: Option<&FileMark>, other: Option<&FileMark>) -> bool {
    let identity = |mark: &FileMark| (mark.dev, mark.inode);
    one.map(identity) == other.map(identity)
}

impl Unaccounted {
    fn read(&mut self, file: &mut AppendFile, from: u64) -> Result<(), SinkError> {
        const PIECE: usize = 1024 * 1024;
        file.cut_torn_line(from)?;
        file.sync()?;
        let before = self.len();
        let (mut at, mut rest) = (from, Vec::new());
        while at < file.written() && self.len() < MAX_UNACCOUNTED {
            let piece = file.read_at(at, PIECE)?;
            at += piece.len() as u64;
            rest.extend_from_slice(&piece);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            lines_of(&rest[..whole]).for_each(|line| self.add(line));
            rest.drain(..whole);
        }
        if self.len() > before {
            tracing::warn!(
                lines = self.len() - before,
                path = %file.path().display(),
                "this file holds lines that the journal does not know; they are not written again"
            );
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.ids.len() + self.lines.len()
    }

    fn add(&mut self, line: &[u8]) {
        match id_in(line) {
            Some(id) => {
                self.ids.insert(id);
            }
            None => *self.lines.entry(Id128::of(line)).or_default() += 1,
        }
    }

    /// Takes out of a chunk what the output holds already.
    pub(super) fn drop_from(&mut self, lines: &mut Vec<u8>) {
        if self.len() == 0 {
            return;
        }
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines_of(lines) {
            let known = match id_in(line) {
                Some(id) => self.ids.remove(&id),
                None => match self.lines.get_mut(&Id128::of(line)) {
                    Some(count) if *count > 0 => {
                        *count -= 1;
                        true
                    }
                    _ => false,
                },
            };
            if !known {
                kept.extend_from_slice(line);
            }
        }
        *lines = kept;
    }
}

/// The lines of a text, each with its end.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}
