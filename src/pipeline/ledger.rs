//! The account of what was written: journal, output, state, in this order, and how a restart balances them.
//!
//! Every chunk is written down in the journal before the output gets it, with everything that it did to the state. A
//! commit begins a new journal, and while lines go on into it, another thread makes the output durable and writes the state
//! with the length that the output had, in one transaction. So whenever the process ends, the journals since the last
//! commit say which lines belong into the output and how the state came to be what it was: [`Ledger::open`] completes the
//! one and redoes the other.
//!
//! A server cannot be asked what arrived, and may take its time. What the journals hold is therefore written into the new one
//! once more, without what it did to the state, and sent again while new lines are read already: whatever happens meanwhile,
//! the next start finds it there. A commit waits until the server has taken all that came before.
//!
//! Here every line passes, one after the other, and so it is here that is known which alerts were raised before it: the
//! findings that an alert's key is made of are worked out by workers, after `correlate`, which could not know it. A chunk is
//! settled before it is written down: its journal entry holds the lines as they are and the alerts among them, which a
//! restart takes note of again; a commit holds the table as it is when the commit comes here, behind the last chunk of it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::committer::{Commit, Committer, store};
use super::recovery::{Redo, Unaccounted};
use super::stages::{PipelineError, Progress};
use crate::config::OutputConfig;
use crate::correlate::Correlator;
use crate::crash;
use crate::encode::Encoded;
use crate::history::Alerts;
use crate::model::StreamKey;
use crate::sink::network::Prepared;
use crate::sink::{Compressor, FileMark, OpenMode, Output, Patience, Rotation, SinkError, is_full, sync_folder};
use crate::state::{
    InputPosition, Journal, JournalReader, JournalStart, Newest, StateChanges, StateStore, Step, Written,
    remove_journals,
};

/// The output, the journal and the state, which are only written together.
pub(super) struct Ledger {
    output: Output,
    journal: Journal,
    alerts: Alerts,
    /// The folder of the state.
    directory: PathBuf,
    committer: Committer,
    patience: Patience,
    rotation: Rotation,
    unaccounted: Unaccounted,
    unaccounted_letters: Unaccounted,
    /// Lines for a server that were in the journals, and may have to be sent again.
    unsent: Option<JournalReader>,
}

/// What is written to.
pub(super) struct Destination {
    pub(super) dead_letters: PathBuf,
    /// The server, where it is one.
    pub(super) server: Option<Prepared>,
}

/// Where reading goes on.
pub(super) type Positions = HashMap<StreamKey, InputPosition>;

/// What a restart knows of the inputs.
pub(super) struct Known {
    pub(super) positions: Positions,
    pub(super) newest: Newest,
}

impl Ledger {
    /// Balances state and output after whatever ended the process before, and goes on with them.
    ///
    /// # Errors
    /// The output or the state cannot be used, or the output was shortened.
    pub(super) fn open(
        config: &OutputConfig,
        destination: Destination,
        state: Arc<StateStore>,
        patience: Patience,
        progress: Arc<Progress>,
        correlator: &mut Correlator,
    ) -> Result<(Self, Known), PipelineError> {
        let Destination { dead_letters, server } = destination;
        state.restore(correlator)?;
        let mut alerts = state.alerts()?;
        let mut positions: Positions =
            state.input_positions()?.into_iter().map(|position| (position.stream, position)).collect();
        let mut newest = state.newest()?;
        let written = state.written()?.unwrap_or_default();
        let directory = state.directory().to_owned();
        let mut number = written.journal;
        let first = number;
        let mut redo = Redo::begin(written, dead_letters.clone(), &patience)?;
        let mut journal = JournalReader::open(&directory, number)?;
        let mut entries = 0_u64;
        loop {
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
                for alert in entry.step.alerts {
                    alerts.note(alert);
                }
            }
            // A commit that was under way had begun another one.
            let next = JournalReader::open(&directory, number + 1)?;
            let Some(start) = next.start() else { break };
            if start.previous != journal.read() {
                redo.end_before(start);
                break;
            }
            redo.go_on(start)?;
            (number, journal) = (number + 1, next);
        }
        if entries > 0 {
            tracing::info!(chunks = entries, "went through the journal of what was written since the last commit");
        }
        let (mut unaccounted, unaccounted_letters) = redo.unaccounted(config.path.as_deref())?;
        let is_server = server.is_some();
        let mut output = match server {
            Some(server) => {
                Output::send(server.start(patience.clone())?, dead_letters, OpenMode::Append, patience.clone())?
            }
            None => Output::open(config.path.as_deref(), dead_letters, OpenMode::Append, patience.clone())?,
        };
        output.write(&redo.uncertain(), &[])?;
        if redo.is_undelivered() && !is_server {
            write_undelivered(&directory, first..=number, &mut output, &mut unaccounted)?;
        }
        output.sync()?;
        let (output_mark, dead_letter_mark) = output.marks()?;
        let start = JournalStart {
            previous: journal.read(),
            output: output_mark.clone(),
            dead_letters: dead_letter_mark.clone(),
        };
        let (journal, unsent) = match redo.is_undelivered() && is_server {
            true => repeat_journals(&directory, first..=number, start, &patience)?,
            false => (begin_journal(&directory, number + 1, &start, &patience)?, None),
        };
        // What was redone is committed before anything new is written.
        let mut changes = StateChanges::take(0, correlator);
        changes.add_alerts(&mut alerts);
        changes.inputs = positions.values().cloned().collect();
        changes.newest = Some(newest.clone());
        let written = Written { journal: number + 1, output: output_mark, dead_letters: dead_letter_mark };
        store(&state, &patience, &changes, &written)?;
        remove_journals(&directory, |other| other != number + 1);
        sync_folder(&directory)?;
        // Only now does nothing need the files that were moved away.
        let compressor = match &config.path {
            Some(path) => Compressor::start(path, config.rotation.compression).map_err(PipelineError::Thread)?,
            None => Compressor::idle(),
        };
        let committer = Committer::start(state, patience.clone(), compressor, progress)?;
        let ledger = Self {
            output,
            journal,
            alerts,
            directory,
            committer,
            patience,
            rotation: config.rotation,
            unaccounted,
            unaccounted_letters,
            unsent,
        };
        Ok((ledger, Known { positions, newest }))
    }

    /// Sends again what a server may not have got before the last end.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn send_again(&mut self) -> Result<(), PipelineError> {
        let Some(mut journal) = self.unsent.take() else { return Ok(()) };
        while let Some(entry) = journal.next_entry()? {
            self.output.write(&entry.lines, &[])?;
        }
        Ok(())
    }

    /// Writes a chunk, and what it did to the state.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn step(&mut self, encoded: &mut Encoded, mut step: Step) -> Result<(), PipelineError> {
        step.alerts = encoded.settle(|alert| self.alerts.note(alert));
        self.unaccounted.drop_from(&mut encoded.lines);
        self.unaccounted_letters.drop_from(&mut encoded.dead_letters);
        let positions = self.output.positions(!encoded.dead_letters.is_empty())?;
        self.journal.append(positions, &step, &encoded.lines, &encoded.dead_letters, &self.patience)?;
        crash::point("journal-written");
        self.output.write(&encoded.lines, &encoded.dead_letters)?;
        Ok(())
    }

    /// Begins to commit everything that was written until now; waits for the commit before this one.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn commit(&mut self, mut changes: Box<StateChanges>, reopen: bool) -> Result<(), PipelineError> {
        self.committer.wait()?;
        changes.add_alerts(&mut self.alerts);
        let unsynced = self.output.unsynced()?;
        let rotated = if self.is_rotation_due() { self.rotate() } else { None };
        if reopen {
            // What cannot be opened anew goes on as it was: the old file still takes lines.
            match self.output.reopen() {
                Ok(()) => tracing::info!("opened the output anew"),
                Err(error) => tracing::error!(%error, "cannot open the output anew; going on with the old file"),
            }
        }
        let (output, dead_letters) = self.output.marks()?;
        let start = JournalStart { previous: self.journal.length(), output, dead_letters };
        let number = self.journal.number() + 1;
        self.journal = begin_journal(&self.directory, number, &start, &self.patience)?;
        crash::point("journal-begun");
        let written = Written { journal: number, output: start.output, dead_letters: start.dead_letters };
        self.committer.send(Commit { changes, written, unsynced, rotated })
    }

    /// Waits for the last commit.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn finish(&mut self) -> Result<(), PipelineError> {
        self.committer.wait()
    }

    /// Bytes of journal since the last commit.
    pub(super) fn journal_length(&self) -> u64 {
        self.journal.length()
    }

    /// Alerts forgotten so far to stay within bounds.
    pub(super) fn evicted(&self) -> u64 {
        self.alerts.evicted()
    }

    pub(super) fn dead_letter_path(&self) -> Option<&Path> {
        self.output.dead_letter_path()
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

/// Writes what a server may not have got into the output that has taken its place, but for what is there already: another
/// start may have been ended here.
fn write_undelivered(
    directory: &Path,
    numbers: RangeInclusive<u64>,
    output: &mut Output,
    there: &mut Unaccounted,
) -> Result<(), PipelineError> {
    tracing::warn!("what the server before had not taken goes to the new output, as it was meant for that server");
    for_each_undelivered(directory, numbers, |mut lines| {
        there.drop_from(&mut lines);
        Ok(output.write(&lines, &[])?)
    })?;
    crash::point("undelivered-written");
    Ok(())
}

/// Calls `each` with the lines in journals of a server.
fn for_each_undelivered(
    directory: &Path,
    numbers: RangeInclusive<u64>,
    mut each: impl FnMut(Vec<u8>) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    for number in numbers {
        let mut journal = JournalReader::open(directory, number)?;
        let output = journal.start().and_then(|start| start.output.as_ref());
        if !output.is_some_and(FileMark::is_server) {
            continue;
        }
        while let Some(entry) = journal.next_entry()? {
            if !entry.lines.is_empty() {
                each(entry.lines)?;
            }
        }
    }
    Ok(())
}

/// Begins a journal with the lines of those before it, and what reads these lines from it.
fn repeat_journals(
    directory: &Path,
    numbers: RangeInclusive<u64>,
    start: JournalStart,
    patience: &Patience,
) -> Result<(Journal, Option<JournalReader>), PipelineError> {
    let next = numbers.end() + 1;
    let mut journal = begin_journal(directory, next, &start.repeated(), patience)?;
    for_each_undelivered(directory, numbers, |lines| {
        Ok(journal.append((0, 0), &Step::default(), &lines, &[], patience)?)
    })?;
    // The state will say that these lines are accounted for, and nothing but this journal has them then.
    journal.sync()?;
    sync_folder(directory)?;
    crash::point("journal-repeated");
    let repeated = JournalReader::open(directory, next)?;
    Ok((journal, Some(repeated)))
}

fn begin_journal(
    directory: &Path,
    number: u64,
    start: &JournalStart,
    patience: &Patience,
) -> Result<Journal, SinkError> {
    let full = |error: &SinkError| is_full(&error.source);
    patience.retry(directory, full, || Journal::create(directory, number, start, patience))
}
