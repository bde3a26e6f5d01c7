//! What happened while certsift was down: archives that go on where reading stopped, and such as nobody has seen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::archives::{Archive, Candidate, Span, candidates, is_packed, wall_time};
use super::run::Running;
use super::stages::Stopped;
use crate::correlate::KeyTracker;
use crate::model::{Body, EventTime, HOUR_NANOS, StreamKey};
use crate::source::tail::ResumePoint;
use crate::state::InputPosition;

/// How long a finished archive may have been written before a first start to be of use: Zeek logs a certificate about
/// once a day.
const BACKFILL: Duration = Duration::from_secs(48 * 3600);
/// An unknown archive is read whole if it ends later than this before the newest event of its log.
const OVERLAP: i64 = HOUR_NANOS;
/// A file that was last changed longer than this before the newest event cannot hold a later one.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(24 * 3600);

/// An archive that is to be read, from its beginning or from where reading stopped.
struct Work {
    path: PathBuf,
    archive: Archive,
    stream: StreamKey,
    position: Option<InputPosition>,
    first: EventTime,
}

impl Running {
    /// Learns certificates from recent archives, so that the sessions to come find what was logged before the start.
    /// Nothing of what was there before the first start is ever written.
    pub(super) fn backfill(&mut self) -> Result<(), Stopped> {
        let since = SystemTime::now().checked_sub(BACKFILL);
        let found = candidates(&self.config, None, &[]);
        // A live log that began since the last look is among them; it is no archive.
        self.tail.find();
        for candidate in self.looks.due(found, true) {
            // There may be very many, of which nothing is read.
            self.say_how_it_goes();
            if since.is_some_and(|since| candidate.changed < since) {
                continue;
            }
            if let Ok(archive) = Archive::open(&candidate.path, &self.config)
                && archive.is_read()
                && !self.is_followed(&candidate)
                && let Some(stream) = archive.source.as_ref().map(|source| source.stream)
                // What is just being compressed is still there to be read.
                && !self.tail.is_following(stream)
                && self.learn_archive(&candidate.path, archive)?
            {
                self.note_archive(stream, None, KeyTracker::default(), candidate.end(), true);
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Whether a file that is open by now is followed, or is not the one that was found under its name.
    fn is_followed(&self, candidate: &Candidate) -> bool {
        let metadata = candidate.path.metadata();
        metadata.map_or(true, |metadata| !candidate.is(&metadata) || self.tail.handles(&metadata))
    }

    /// Says how far an archive was read, with the next step.
    fn note_archive(
        &mut self,
        stream: StreamKey,
        resume: Option<ResumePoint>,
        keys: KeyTracker,
        applied: u64,
        ended: bool,
    ) {
        self.archive = Some(InputPosition { stream, resume, keys, applied, ended });
    }

    /// Reads on in archives what was rotated and compressed while nobody followed it, and what began and ended then.
    /// `settled` says that nothing is being written to the archives, as far as that can be known.
    pub(super) fn catch_up(&mut self, settled: bool) -> Result<(), Stopped> {
        let lost: BTreeSet<PathBuf> = self.tail.unresolved().iter().map(|point| point.path.clone()).collect();
        let newest = self.newest.values().max().copied();
        let since = newest.and_then(|newest| wall_time(newest, CLOCK_DIFFERENCE));
        let found = candidates(&self.config, since, &lost.into_iter().collect::<Vec<_>>());
        // As at the first start.
        self.tail.find();
        let mut work = Vec::new();
        for candidate in self.looks.due(found, settled) {
            self.say_how_it_goes();
            work.extend(self.judge(&candidate)?);
        }
        // What others refer to is known before they come, in whichever order the files lie.
        for work in work.iter().filter(|work| work.archive.holds_certificates()) {
            if let Ok(archive) = Archive::open(&work.path, &self.config) {
                self.learn_archive(&work.path, archive)?;
            }
        }
        work.sort_by_key(|work| (work.first, work.archive.log.rank()));
        for work in work {
            if self.is_stopping_after_commit()? {
                return Ok(());
            }
            self.read_archive(work)?;
        }
        if settled {
            self.report_lost();
        }
        Ok(())
    }

    /// What is to be done with a file of the archives.
    fn judge(&mut self, candidate: &Candidate) -> Result<Option<Work>, Stopped> {
        let path = candidate.path.clone();
        if self.is_own(&path) {
            return Ok(None);
        }
        let mut archive = match Archive::open(&path, &self.config) {
            Ok(archive) => archive,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot look into an archive; trying again");
                self.looks.again(&path);
                return Ok(None);
            }
        };
        if self.is_followed(candidate) {
            return Ok(None);
        }
        let Some(source) = archive.source.clone().filter(|_| archive.is_read()) else { return Ok(None) };
        let stream = source.stream;
        if self.tail.is_following(stream) {
            return Ok(None);
        }
        if let Some(position) = self.positions.get(&stream).cloned() {
            let point: Option<ResumePoint> = position.resume.clone();
            archive.skip = position.applied.min(point.map_or(u64::MAX, |point| point.offset));
            let first = position.keys.current().unwrap_or(EventTime(0));
            // Of a plain file more may have come since, when its writer was slow.
            let grown = !is_packed(&path) && candidate.size > position.applied;
            let wanted = !position.ended || grown;
            return Ok(wanted.then_some(Work { path, archive, stream, position: Some(position), first }));
        }
        let sensor = source.sensor.as_deref().unwrap_or_default().to_owned();
        let newest = self.newest.get(&(sensor, archive.log.rank())).copied();
        let workers = self.workers.clone();
        let span = match Archive::open(&path, &self.config) {
            Ok(archive) => archive.span(&workers, || self.breathe()).map_err(|_| Stopped)?,
            Err(error) => Err(error),
        };
        let span: Option<Span> = match span {
            Ok(span) => span,
            Err(error) => {
                // What its end holds decides.
                tracing::warn!(path = %path.display(), %error, "cannot read an archive to its end; trying again");
                self.looks.again(&path);
                return Ok(None);
            }
        };
        match (span, newest) {
            (Some((first, last)), Some(newest)) if last.since(newest) > -OVERLAP => {
                tracing::info!(path = %path.display(), "began and ended while nobody followed it; reading it whole");
                Ok(Some(Work { path, archive, stream, position: None, first }))
            }
            _ => {
                if archive.holds_certificates() {
                    tracing::info!(path = %path.display(), "older than what was read; learning only its certificates");
                    if !self.learn_archive(&path, archive)? {
                        return Ok(None);
                    }
                } else {
                    tracing::info!(path = %path.display(), "older than what was read; skipped");
                }
                // Once is enough.
                self.note_archive(stream, None, KeyTracker::default(), candidate.end(), true);
                self.flush()?;
                Ok(None)
            }
        }
    }

    /// Says whether it came to the end of it.
    fn learn_archive(&mut self, path: &Path, mut archive: Archive) -> Result<bool, Stopped> {
        if !archive.holds_certificates() {
            return Ok(true);
        }
        let mut learnt = 0;
        loop {
            match archive.next(&self.workers) {
                Ok(Some(piece)) => {
                    for ticket in piece.batches {
                        let batch = ticket.redeem().map_err(|_| Stopped)?;
                        let certificates =
                            batch.records.iter().filter(|record| matches!(record.body, Body::Certificate(_)));
                        learnt += certificates.count();
                        self.correlator.learn_certificates(&batch);
                    }
                    self.flush()?;
                    if self.is_stopping_after_commit()? {
                        return Ok(false);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read certificates from an archive to its end");
                    return Ok(false);
                }
            }
        }
        tracing::info!(path = %path.display(), certificates = learnt, "learnt certificates from an archive");
        Ok(true)
    }

    /// Reads an archive to its end, as if it were the live file that it was.
    fn read_archive(&mut self, work: Work) -> Result<(), Stopped> {
        let Work { path, mut archive, stream, position, .. } = work;
        // Two archives may hold the same: a copy, or one that is about to be removed.
        if position.is_none() && self.positions.contains_key(&stream) {
            return Ok(());
        }
        let mut keys = position.as_ref().map_or_else(KeyTracker::default, |position| position.keys);
        let mut applied = position.as_ref().map_or(0, |position| position.applied);
        let resume = position.and_then(|position| position.resume);
        let from = applied;
        let mut end = applied;
        let whole = loop {
            match archive.next(&self.workers) {
                Ok(Some(piece)) => {
                    for ticket in piece.batches {
                        let batch = Arc::new(ticket.redeem().map_err(|_| Stopped)?);
                        for index in 0..batch.records.len() as u32 {
                            if self.correlate_record(&batch, index, &mut keys, &mut applied) {
                                self.note_archive(stream, resume.clone(), keys, applied, false);
                            }
                            if self.encoder.is_full() {
                                self.flush()?;
                            }
                        }
                        self.note_newest(&batch, &keys);
                    }
                    end = piece.end;
                    if self.is_stopping_after_commit()? {
                        break false;
                    }
                }
                Ok(None) => break true,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot read an archive to its end");
                    break false;
                }
            }
        };
        // What comes behind the last record, if the file grows after all, is another one.
        let applied = if whole { applied.max(end) } else { applied };
        self.note_archive(stream, resume, keys, applied, whole);
        tracing::info!(path = %path.display(), from, "read on in an archive");
        self.tail.resolve(stream);
        self.commit(false)
    }

    /// Says which inputs are gone. Their places are kept, since a file may be found again later.
    fn report_lost(&mut self) {
        for point in self.tail.unresolved() {
            let ended = self.positions.get(&point.stream).is_some_and(|position| position.ended);
            if !ended {
                tracing::warn!(
                    path = %point.path.display(),
                    offset = point.offset,
                    "this input is not there, and no archive continues it; what was written to it later is not read"
                );
            }
            if !self.ended.contains(&point.stream) {
                self.ended.push_back(point.stream);
            }
        }
    }
}
