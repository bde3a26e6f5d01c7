//! Finished files in archives: what they hold, and what of them is still to be read.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::peek::{Sensors, file_name};
use super::stages::{PipelineError, Ticket, Workers};
use crate::config::Config;
use crate::correlate::KeyTracker;
use crate::decode::{Detected, Format, detect};
use crate::model::{Batch, EventTime, Log, SourceInfo, StreamKey};
use crate::source::tail::stream_key;
use crate::source::{LineReader, Lines, Splitter, discover, open};

/// A finished file, open from its beginning.
pub(super) struct Archive {
    reader: LineReader<crate::source::Reader>,
    splitter: Splitter,
    pub(super) source: Option<Arc<SourceInfo>>,
    pub(super) log: Log,
    /// Where the wanted lines begin.
    pub(super) skip: u64,
}

/// The first and the last time of a file, as keys.
pub(super) type Span = (EventTime, EventTime);

/// Which files of the archives have been looked at.
#[derive(Default)]
pub(super) struct Looks(HashMap<PathBuf, (Stamp, bool)>);

type Stamp = (SystemTime, u64);

/// Bytes of an archive that one step reads.
const ARCHIVE_BYTES: usize = 512 * 1024;

/// A file in an archive, with its time of change and its size.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) changed: SystemTime,
    pub(super) path: PathBuf,
    size: u64,
}

impl Looks {
    /// Files that are new or have changed. Unless all are finished (`settled`), a plain file has to look the same twice:
    /// somebody may still write to it. A compressed one says itself where it ends.
    pub(super) fn due(&mut self, candidates: Vec<Candidate>, settled: bool) -> Vec<Candidate> {
        let mut next = HashMap::with_capacity(candidates.len());
        let mut due = Vec::new();
        for candidate in candidates {
            let stamp = (candidate.changed, candidate.size);
            let done = match self.0.get(&candidate.path) {
                Some((known, done)) if *known == stamp => {
                    if !done {
                        due.push(candidate.clone());
                    }
                    true
                }
                _ if settled || is_packed(&candidate.path) => {
                    due.push(candidate.clone());
                    true
                }
                _ => false,
            };
            next.insert(candidate.path, (stamp, done));
        }
        self.0 = next;
        due
    }
}

/// Files in the configured archives, by their time of change, that changed since a time; and those beside `lost` inputs.
pub(super) fn candidates(config: &Config, since: Option<SystemTime>, lost: &[PathBuf]) -> Vec<Candidate> {
    let mut patterns: Vec<String> = config.inputs.iter().flat_map(|input| &input.archives).cloned().collect();
    // What was compressed where it lay is among the followed names.
    patterns.extend(config.inputs.iter().flat_map(|input| &input.paths).cloned());
    patterns.extend(lost.iter().filter_map(|path| Some(path.parent()?.to_string_lossy().into_owned())));
    patterns.sort();
    patterns.dedup();
    let mut files = Vec::new();
    for pattern in patterns {
        match discover(&[&pattern]) {
            Ok((found, _)) => files.extend(found.into_iter().filter_map(|file| {
                let metadata = file.path.metadata().ok()?;
                let changed = metadata.modified().ok()?;
                let wanted = metadata.is_file() && since.is_none_or(|since| changed >= since);
                wanted.then_some(Candidate { changed, path: file.path, size: metadata.len() })
            })),
            Err(error) => tracing::debug!(%error, "cannot look into archives"),
        }
    }
    files.sort();
    files.dedup();
    files
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

/// An event time on the clock on the wall, and some time before it.
pub(super) fn wall_time(time: EventTime, before: Duration) -> Option<SystemTime> {
    let since_epoch = Duration::from_nanos(u64::try_from(time.0).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)?.checked_sub(before)
}

impl Archive {
    pub(super) fn open(path: &Path, config: &Config) -> Result<Self, io::Error> {
        let reader = open(path, Arc::default()).map_err(|error| error.source)?;
        let mut reader = LineReader::new(reader);
        let head = reader.head(StreamKey::MAX_HEAD).to_vec();
        let name = file_name(path);
        let format = match detect(&head, &name) {
            Detected::Format(format) => Some(format),
            _ => None,
        };
        let sensors = Sensors { inputs: &config.inputs, sensor: None, time_zone: None };
        let source = stream_key(&head, reader.head_is_all()).map(|stream| Arc::new(sensors.source(path, stream)));
        let log = format.as_ref().map_or(Log::Unknown, Format::log);
        Ok(Self { reader, splitter: Splitter::new(&name, format), source, log, skip: 0 })
    }

    /// Whether it may hold certificates that sessions elsewhere refer to.
    pub(super) fn holds_certificates(&self) -> bool {
        matches!(self.log, Log::ZeekX509 | Log::ZeekFiles | Log::SuricataOther)
    }

    /// Whether it is a log that is read at all.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self.log, Log::ZeekOther | Log::Unknown)
    }

    /// The next lines, on their way through the workers; `None` at the end.
    pub(super) fn next(&mut self, workers: &Workers) -> Result<Option<Vec<Ticket<Batch>>>, io::Error> {
        let Some(source) = &self.source else { return Ok(None) };
        let Some(mut lines) = self.reader.next(ARCHIVE_BYTES)? else { return Ok(None) };
        let end = lines.offset + lines.oversize.unwrap_or(lines.bytes.len() as u64);
        let mut batches = Vec::new();
        if end <= self.skip {
            // Headers are needed even where the rows are not.
            self.splitter.split(lines, &mut |_| {});
            return Ok(Some(batches));
        }
        if lines.offset < self.skip && lines.oversize.is_none() {
            let cut = (self.skip - lines.offset) as usize;
            let before = lines.bytes.drain(..cut).collect();
            self.splitter.split(Lines { bytes: before, offset: lines.offset, oversize: None }, &mut |_| {});
            lines.offset = self.skip;
        }
        self.splitter.split(lines, &mut |raw| batches.push(workers.decode(source, raw)));
        Ok(Some(batches))
    }

    /// Reads all of it for its times; `None` when no record has one.
    pub(super) fn span(mut self, workers: &Workers) -> Result<Option<Span>, PipelineError> {
        let mut keys = KeyTracker::default();
        let mut span: Option<Span> = None;
        while let Ok(Some(batches)) = self.next(workers) {
            for ticket in batches {
                for record in &ticket.redeem()?.records {
                    if let Some(key) = keys.next(record.time) {
                        let (first, _) = *span.get_or_insert((key, key));
                        span = Some((first.min(key), key));
                    }
                }
            }
        }
        Ok(span)
    }
}
