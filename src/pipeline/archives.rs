//! Finished files in archives: what they hold, and what of them is still to be read.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
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
    /// No record that begins before this byte is wanted.
    pub(super) skip: u64,
    /// Nobody writes to it any more, so that a last line without an end is a line.
    finished: bool,
    /// What comes after the last whole line.
    failed: Option<io::Error>,
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
    pub(super) size: u64,
    /// Device and inode: another file may have its name by now.
    node: (u64, u64),
}

/// A plain file that was not changed for so long is taken to be finished.
const FINISHED: Duration = Duration::from_secs(10);

impl Candidate {
    fn new(path: PathBuf, metadata: &Metadata) -> Result<Self, io::Error> {
        let node = (metadata.dev(), metadata.ino());
        Ok(Self { changed: metadata.modified()?, path, size: metadata.len(), node })
    }

    /// Whether this is still the file that has the name.
    pub(super) fn is(&self, metadata: &Metadata) -> bool {
        self.node == (metadata.dev(), metadata.ino())
    }

    /// The end of its lines, as far as that is known without reading it.
    pub(super) fn end(&self) -> u64 {
        if is_packed(&self.path) { 0 } else { self.size }
    }
}

impl Looks {
    /// Looks at a file again the next time.
    pub(super) fn again(&mut self, path: &Path) {
        if let Some((_, done)) = self.0.get_mut(path) {
            *done = false;
        }
    }

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
    patterns.extend(config.inputs.iter().flat_map(|input| input.files()).cloned());
    patterns.extend(lost.iter().filter_map(|path| Some(path.parent()?.to_string_lossy().into_owned())));
    patterns.sort();
    patterns.dedup();
    let mut files = Vec::new();
    for pattern in patterns {
        match discover(&[&pattern]) {
            Ok((found, _)) => files.extend(found.into_iter().filter_map(|file| {
                let metadata = file.path.metadata().ok().filter(Metadata::is_file)?;
                let candidate = Candidate::new(file.path, &metadata).ok()?;
                since.is_none_or(|since| candidate.changed >= since).then_some(candidate)
            })),
            Err(error) => tracing::debug!(%error, "cannot look into archives"),
        }
    }
    files.sort();
    files.dedup();
    files
}

pub(super) fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz" || extension == "zst")
}

/// An event time on the clock on the wall, and some time before it.
pub(super) fn wall_time(time: EventTime, before: Duration) -> Option<SystemTime> {
    let since_epoch = Duration::from_nanos(u64::try_from(time.0).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)?.checked_sub(before)
}

impl Archive {
    pub(super) fn open(path: &Path, config: &Config) -> Result<Self, io::Error> {
        let changed = path.metadata()?.modified()?;
        let finished = is_packed(path) || changed.elapsed().is_ok_and(|age| age >= FINISHED);
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
        Ok(Self { reader, splitter: Splitter::new(&name, format), source, log, skip: 0, finished, failed: None })
    }

    /// Whether it may hold certificates that sessions elsewhere refer to.
    pub(super) fn holds_certificates(&self) -> bool {
        matches!(self.log, Log::ZeekX509 | Log::ZeekFiles | Log::SuricataOther)
    }

    /// Whether it is a log that is read at all.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self.log, Log::ZeekOther | Log::Unknown)
    }

    /// The next lines, on their way through the workers, and where they end; `None` at the end.
    pub(super) fn next(&mut self, workers: &Workers) -> Result<Option<Piece>, io::Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let Some(source) = &self.source else { return Ok(None) };
        let Some(mut lines) = self.reader.next(ARCHIVE_BYTES)? else { return Ok(None) };
        if lines.oversize.is_none() && !lines.bytes.ends_with(b"\n") {
            // The last line has no end. It is one if the file is whole, and else will be when its writer goes on.
            let after = self.reader.next(ARCHIVE_BYTES);
            if !self.finished || after.is_err() {
                let unfinished = || io::Error::new(io::ErrorKind::UnexpectedEof, "it is still being written");
                self.failed = Some(after.err().unwrap_or_else(unfinished));
                lines.bytes.truncate(memchr::memrchr(b'\n', &lines.bytes).map_or(0, |end| end + 1));
            }
        }
        let end = lines.offset + lines.oversize.unwrap_or(lines.bytes.len() as u64);
        let mut batches = Vec::new();
        if end <= self.skip {
            // Headers are needed even where the rows are not.
            self.splitter.split(lines, &mut |_| {});
            return Ok(Some(Piece { batches, end }));
        }
        if lines.offset < self.skip && lines.oversize.is_none() {
            // Only at the end of a line, or the rest of a line would become one.
            let cut = (self.skip - lines.offset) as usize;
            let cut = memchr::memrchr(b'\n', &lines.bytes[..cut]).map_or(0, |end| end + 1);
            let before: Vec<u8> = lines.bytes.drain(..cut).collect();
            if !before.is_empty() {
                self.splitter.split(Lines { bytes: before, offset: lines.offset, oversize: None }, &mut |_| {});
            }
            lines.offset += cut as u64;
        }
        self.splitter.split(lines, &mut |raw| batches.push(workers.decode(source, raw)));
        Ok(Some(Piece { batches, end }))
    }

    /// Reads all of it for its times; `None` when no record has one. Calls `meanwhile` now and then.
    pub(super) fn span(
        mut self,
        workers: &Workers,
        mut meanwhile: impl FnMut(),
    ) -> Result<Result<Option<Span>, io::Error>, PipelineError> {
        let mut keys = KeyTracker::default();
        let mut span: Option<Span> = None;
        loop {
            let piece = match self.next(workers) {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(Ok(span)),
                Err(error) => return Ok(Err(error)),
            };
            for ticket in piece.batches {
                for record in &ticket.redeem()?.records {
                    if let Some(key) = keys.next(record.time) {
                        let (first, _) = *span.get_or_insert((key, key));
                        span = Some((first.min(key), key));
                    }
                }
            }
            meanwhile();
        }
    }
}

/// Some lines of an archive.
pub(super) struct Piece {
    pub(super) batches: Vec<Ticket<Batch>>,
    /// Where they end.
    pub(super) end: u64,
}
