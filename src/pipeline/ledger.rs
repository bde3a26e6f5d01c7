//! The account of what was written: journal, output, state, in this order, and how a restart balances them.
//!
//! Every chunk is written down in the journal before the output gets it, with everything that it did to the state. A
//! commit makes the output durable, writes the state with the length of the output in one transaction, and begins a new
//! journal. So whenever the process ends, the journal of the last commit says which lines belong into the output and how
//! the state came to be what it was: [`Ledger::open`] completes the one and redoes the other.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::stages::PipelineError;
use crate::config::OutputConfig;
use crate::correlate::Correlator;
use crate::crash;
use crate::encode::Encoded;
use crate::model::{Id128, StreamKey};
use crate::sink::{
    AppendFile, Compressor, FileMark, OpenMode, Output, Patience, Rotation, SinkError, is_full, sync_folder,
};
use crate::state::{
    Entry, InputPosition, Journal, JournalReader, Newest, StateChanges, StateError, StateStore, Step, Written,
};

/// The output, the journal and the state, which are only written together.
pub(super) struct Ledger {
    output: Output,
    journal: Journal,
    state: Arc<StateStore>,
    patience: Patience,
    rotation: Rotation,
    compressor: Option<Compressor>,
    unaccounted: Unaccounted,
    unaccounted_letters: Unaccounted,
}

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

/// Where reading goes on.
pub(super) type Positions = HashMap<StreamKey, InputPosition>;

/// What a restart knows of the inputs.
pub(super) struct Known {
    pub(super) positions: Positions,
    pub(super) newest: Newest,
}

/// Lines in the output that no journal knows: a loss of power took the journal and left them. They are not written again.
#[derive(Default)]
struct Unaccounted {
    ids: HashSet<[u8; ID_LEN]>,
    /// Lines without an id, and how often they are there.
    lines: HashMap<Id128, u32>,
}

/// The file that the lines of the journal belong into.
enum Previous {
    File(AppendFile),
    /// There is none any more, or it has no length: only the last lines may be missing.
    Gone,
}

const ID_LEN: usize = 32;
/// What precedes the id in a line that certsift enriched.
const BEFORE_ID: &[u8] = b"\"certsift\":{\"schema\":1,\"id\":\"";
/// Lines that are looked at after a loss of power, which cannot have left more than some seconds of them.
const MAX_UNACCOUNTED: usize = 1_000_000;

impl Ledger {
    /// Balances state and output after whatever ended the process before, and goes on with them.
    ///
    /// # Errors
    /// The output or the state cannot be used, or the output was shortened.
    pub(super) fn open(
        config: &OutputConfig,
        dead_letters: PathBuf,
        state: Arc<StateStore>,
        patience: Patience,
        correlator: &mut Correlator,
    ) -> Result<(Self, Known), PipelineError> {
        state.restore(correlator)?;
        let mut positions: Positions =
            state.input_positions()?.into_iter().map(|position| (position.stream, position)).collect();
        let mut newest = state.newest()?;
        let written = state.written()?;
        let number = written.as_ref().map_or(0, |written| written.journal);
        let mut redo = Redo::begin(&written.unwrap_or_default(), dead_letters.clone(), &patience)?;
        let mut journal = JournalReader::open(state.directory(), number)?;
        let mut entries = 0_u64;
        while let Some(entry) = journal.next_entry()? {
            entries += 1;
            redo.write(&entry)?;
            for position in entry.step.inputs {
                positions.insert(position.stream, position);
            }
            for stream in entry.step.forgotten {
                positions.remove(&stream);
            }
            newest = entry.step.newest.unwrap_or(newest);
            correlator.apply(entry.step.effects);
        }
        if entries > 0 {
            tracing::info!(chunks = entries, "went through the journal of what was written since the last commit");
        }
        let (unaccounted, unaccounted_letters) = redo.unaccounted()?;
        let mut output = Output::open(config.path.as_deref(), dead_letters, OpenMode::Append, patience.clone())?;
        output.write(&redo.uncertain(), &[])?;
        let journal = begin_journal(state.directory(), number + 1, &patience)?;
        let mut ledger = Self {
            output,
            journal,
            state,
            patience,
            rotation: config.rotation,
            compressor: None,
            unaccounted,
            unaccounted_letters,
        };
        // What was redone is committed before anything new is written.
        let mut changes = StateChanges::take(0, correlator);
        changes.inputs = positions.values().cloned().collect();
        changes.newest = Some(newest.clone());
        ledger.store(&changes)?;
        ledger.journal.remove_others();
        // Only now does nothing need the files that were moved away.
        if let Some(path) = &config.path {
            let compressor = Compressor::start(path, config.rotation.compression).map_err(PipelineError::Thread)?;
            ledger.compressor = Some(compressor);
        }
        sync_folder(ledger.state.directory())?;
        Ok((ledger, Known { positions, newest }))
    }

    /// Writes a chunk, and what it did to the state.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn step(&mut self, encoded: &mut Encoded, step: &Step) -> Result<(), PipelineError> {
        self.unaccounted.drop_from(&mut encoded.lines);
        self.unaccounted_letters.drop_from(&mut encoded.dead_letters);
        let positions = self.output.positions(!encoded.dead_letters.is_empty())?;
        self.journal.append(positions, step, &encoded.lines, &encoded.dead_letters, &self.patience)?;
        crash::point("journal-written");
        self.output.write(&encoded.lines, &encoded.dead_letters)?;
        Ok(())
    }

    /// Commits, once everything before is written.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn commit(&mut self, changes: &StateChanges, reopen: bool) -> Result<(), PipelineError> {
        self.output.sync()?;
        let rotated = if self.is_rotation_due() { self.rotate() } else { None };
        if reopen {
            // What cannot be opened anew goes on as it was: the old file still takes lines.
            match self.output.reopen() {
                Ok(()) => tracing::info!("opened the output anew"),
                Err(error) => tracing::error!(%error, "cannot open the output anew; going on with the old file"),
            }
        }
        let next = begin_journal(self.state.directory(), self.journal.number() + 1, &self.patience)?;
        crash::point("journal-begun");
        self.journal = next;
        self.store(changes)?;
        self.journal.remove_others();
        crash::point("journal-removed");
        if let (Some(compressor), Some(path)) = (&self.compressor, rotated) {
            compressor.compress(path);
        }
        Ok(())
    }

    /// Bytes of journal since the last commit.
    pub(super) fn journal_length(&self) -> u64 {
        self.journal.length()
    }

    pub(super) fn dead_letter_path(&self) -> Option<&Path> {
        self.output.dead_letter_path()
    }

    /// Writes the state. A store that could not be written has to be opened again before the next attempt.
    fn store(&self, changes: &StateChanges) -> Result<(), PipelineError> {
        let (output, dead_letters) = self.output.marks()?;
        let written = Written { journal: self.journal.number(), output, dead_letters };
        let attempt = || {
            self.state.commit(changes, Some(&written)).inspect_err(|error| {
                if is_store_full(error)
                    && let Err(error) = self.state.reopen()
                {
                    tracing::warn!(%error, "cannot open the state again yet");
                }
            })
        };
        Ok(self.patience.retry(self.state.directory(), is_store_full, attempt)?)
    }

    fn is_rotation_due(&self) -> bool {
        let Some(file) = self.output.file() else { return false };
        let age = || {
            let made = file.path().metadata().ok()?.created().ok()?;
            SystemTime::now().duration_since(made).ok()
        };
        self.rotation.is_due(file.written(), age().unwrap_or_default())
    }

    fn rotate(&mut self) -> Option<PathBuf> {
        self.output.rotate().unwrap_or_else(|error| {
            tracing::error!(%error, "cannot rotate the output; going on with the old file");
            None
        })
    }
}

fn begin_journal(directory: &Path, number: u64, patience: &Patience) -> Result<Journal, SinkError> {
    let full = |error: &SinkError| is_full(&error.source);
    patience.retry(directory, full, || Journal::create(directory, number, patience))
}

/// Whether the store has no room; after a write that failed for it, everything else fails until it is opened again.
fn is_store_full(error: &StateError) -> bool {
    match error {
        StateError::Store { source, .. } => match &**source {
            redb::Error::Io(error) => is_full(error),
            redb::Error::PreviousIo => true,
            _ => false,
        },
        _ => false,
    }
}

/// Completes the files that the journal's lines belong into.
struct Redo {
    output: Previous,
    dead_letters: Option<AppendFile>,
    dead_letter_path: PathBuf,
    /// Where the journal's last line ends, and its last dead letter.
    end: u64,
    dead_letters_end: u64,
    /// The last entry's lines, where they cannot be looked for.
    last: Vec<u8>,
    patience: Patience,
}

impl Redo {
    fn begin(written: &Written, dead_letter_path: PathBuf, patience: &Patience) -> Result<Self, PipelineError> {
        Ok(Self {
            output: Previous::find(written.output.as_ref())?,
            dead_letters: None,
            dead_letter_path,
            end: written.output.as_ref().map_or(0, |mark| mark.length),
            dead_letters_end: written.dead_letters.as_ref().map_or(0, |mark| mark.length),
            last: Vec::new(),
            patience: patience.clone(),
        })
    }

    fn write(&mut self, entry: &Entry) -> Result<(), SinkError> {
        self.last.clear();
        match &mut self.output {
            Previous::File(file) => {
                complete(file, entry.output_at, &entry.lines, &self.patience)?;
                self.end = entry.output_at + entry.lines.len() as u64;
            }
            Previous::Gone => self.last.clone_from(&entry.lines),
        }
        if !entry.dead_letters.is_empty() {
            let file = match &mut self.dead_letters {
                Some(file) => file,
                none => none.insert(AppendFile::open(&self.dead_letter_path)?),
            };
            complete(file, entry.dead_letters_at, &entry.dead_letters, &self.patience)?;
            self.dead_letters_end = entry.dead_letters_at + entry.dead_letters.len() as u64;
        }
        crash::point("redone");
        Ok(())
    }

    /// What lies beyond the journal: a torn line, which is cut, and whole ones, which nobody has counted.
    fn unaccounted(&mut self) -> Result<(Unaccounted, Unaccounted), SinkError> {
        let lines = match &mut self.output {
            Previous::File(file) => Unaccounted::read(file, self.end)?,
            Previous::Gone => Unaccounted::default(),
        };
        if self.dead_letters.is_none() && self.dead_letter_path.is_file() {
            self.dead_letters = Some(AppendFile::open(&self.dead_letter_path)?);
        }
        let letters = match &mut self.dead_letters {
            Some(file) => Unaccounted::read(file, self.dead_letters_end)?,
            None => Unaccounted::default(),
        };
        Ok((lines, letters))
    }

    /// Lines of which nobody can say whether they were written.
    fn uncertain(&mut self) -> Vec<u8> {
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
        let changed = |file: &AppendFile| OutputChanged {
            path: file.path().to_owned(),
            found: file.written(),
            expected: mark.length,
        };
        let path = if is_marked(&mark.path, mark) { Some(mark.path.clone()) } else { moved(mark) };
        if let Some(path) = path {
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

/// The file of a mark under another name.
fn moved(mark: &FileMark) -> Option<PathBuf> {
    let folder = match mark.path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find(|path| is_marked(path, mark))
}

impl Unaccounted {
    fn read(file: &mut AppendFile, from: u64) -> Result<Self, SinkError> {
        const PIECE: usize = 1024 * 1024;
        file.cut_torn_line(from)?;
        file.sync()?;
        let mut found = Self::default();
        let (mut at, mut rest) = (from, Vec::new());
        while at < file.written() && found.len() < MAX_UNACCOUNTED {
            let piece = file.read_at(at, PIECE)?;
            at += piece.len() as u64;
            rest.extend_from_slice(&piece);
            let whole = memchr::memrchr(b'\n', &rest).map_or(0, |end| end + 1);
            lines_of(&rest[..whole]).for_each(|line| found.add(line));
            rest.drain(..whole);
        }
        if found.len() > 0 {
            tracing::warn!(
                lines = found.len(),
                path = %file.path().display(),
                "this file holds lines that the journal does not know; they are not written again"
            );
        }
        Ok(found)
    }

    fn len(&self) -> usize {
        self.ids.len() + self.lines.len()
    }

    fn add(&mut self, line: &[u8]) {
        match id_of(line) {
            Some(id) => {
                self.ids.insert(id);
            }
            None => *self.lines.entry(Id128::of(line)).or_default() += 1,
        }
    }

    /// Takes out of a chunk what the output holds already.
    fn drop_from(&mut self, lines: &mut Vec<u8>) {
        if self.len() == 0 {
            return;
        }
        let mut kept = Vec::with_capacity(lines.len());
        for line in lines_of(lines) {
            let known = match id_of(line) {
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

fn id_of(line: &[u8]) -> Option<[u8; ID_LEN]> {
    let at = memchr::memmem::rfind(line, BEFORE_ID)? + BEFORE_ID.len();
    line.get(at..at + ID_LEN)?.try_into().ok()
}
