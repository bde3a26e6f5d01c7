//! The files that inputs mean now, and what their beginnings show.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::InputConfig;
use crate::decode::{DecodeContext, Detected, Format, decode, detect};
use crate::model::{Address, Body, EventTime, Log, Record, SourceInfo, StreamKey};
use crate::source::tail::files_of;
use crate::source::{DiscoverError, LineReader, Lines, Splitter, discover, open};

/// The files of one input.
pub(super) struct InputFiles {
    /// What is followed, by path or pattern.
    pub(super) paths: Vec<Followed>,
    /// Where archives are, by path or pattern.
    pub(super) archives: Vec<Archives>,
}

/// The files that one path or pattern means.
pub(super) struct Followed {
    /// The path or pattern.
    pub(super) pattern: String,
    /// Its files, and what they are or why they cannot be read; only the first of many are looked at.
    pub(super) files: Vec<(PathBuf, Result<FileLook, String>)>,
    /// How many files there are beyond these.
    pub(super) more: usize,
    /// What cannot be looked at.
    pub(super) warnings: Vec<String>,
    /// The pattern cannot be understood.
    pub(super) problem: Option<String>,
}

/// Archives that one path or pattern means.
pub(super) struct Archives {
    /// The path or pattern.
    pub(super) pattern: String,
    /// How many files there are, and when the oldest and the newest were changed.
    pub(super) found: Option<(usize, EventTime, EventTime)>,
    /// What cannot be looked at.
    pub(super) warnings: Vec<String>,
    /// The pattern cannot be understood.
    pub(super) problem: Option<String>,
}

/// What the beginning of a file shows.
pub(super) struct FileLook {
    /// The log and its form, in words.
    pub(super) kind: String,
    /// Whether certsift reads it.
    pub(super) is_read: bool,
    /// The first time in it.
    pub(super) first: Option<EventTime>,
    /// Client and server of the sessions in it.
    pub(super) sessions: Vec<(Address, Address)>,
}

/// Files of one pattern that are looked at.
const MAX_FILES: usize = 20;
/// Bytes of a file that are looked at.
const HEAD: usize = 64 * 1024;

impl InputFiles {
    pub(super) fn of(input: &InputConfig) -> Self {
        Self {
            paths: input.files().map(|pattern| Followed::of(pattern)).collect(),
            archives: input.archives.iter().map(|pattern| Archives::of(pattern)).collect(),
        }
    }
}

impl Followed {
    fn of(pattern: &str) -> Self {
        let mut followed =
            Self { pattern: pattern.to_owned(), files: Vec::new(), more: 0, warnings: Vec::new(), problem: None };
        match files_of(&[pattern.to_owned()]) {
            Ok((files, problems)) => {
                followed.warnings.extend(problems.iter().map(ToString::to_string));
                if files.is_empty() && problems.is_empty() {
                    followed.warnings.push(format!("no file is in {pattern}"));
                }
                followed.more = files.len().saturating_sub(MAX_FILES);
                followed.files =
                    files.into_iter().take(MAX_FILES).map(|path| (path.clone(), FileLook::at(&path))).collect();
            }
            Err(error) => followed.problem = Some(format!("{error}: {}", source_of(&error))),
        }
        followed
    }
}

impl Archives {
    fn of(pattern: &str) -> Self {
        let mut archives = Self { pattern: pattern.to_owned(), found: None, warnings: Vec::new(), problem: None };
        match discover(&[pattern]) {
            Ok((files, unreadable)) => {
                archives.warnings.extend(unreadable.iter().map(ToString::to_string));
                let changed = files.iter().filter_map(|file| file.path.metadata().ok()?.modified().ok());
                let changed: Vec<_> = changed.map(event_time).collect();
                archives.found = changed
                    .iter()
                    .min()
                    .zip(changed.iter().max())
                    .map(|(oldest, newest)| (changed.len(), *oldest, *newest));
                if changed.is_empty() {
                    archives.warnings.push(format!("no file is in {pattern}"));
                }
            }
            Err(error @ DiscoverError::Pattern { .. }) => archives.problem = Some(error.to_string()),
            Err(error) => archives.warnings.push(error.to_string()),
        }
        archives
    }
}

impl FileLook {
    fn at(path: &Path) -> Result<Self, String> {
        // A pipe would be waited for.
        if !path.metadata().map_err(|error| error.to_string())?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let reader = open(path, Arc::default()).map_err(|error| error.source.to_string())?;
        let mut reader = LineReader::new(reader);
        let head = reader.head(HEAD).to_vec();
        if let Some(error) = reader.head_error() {
            return Err(error.to_string());
        }
        let whole = reader.head_is_all();
        let name = crate::cli::file_name(path);
        let unread = |kind: &str| Self { kind: kind.to_owned(), is_read: false, first: None, sessions: Vec::new() };
        let format = match detect(&head, &name) {
            Detected::Format(format) => format,
            Detected::NotALog => return Ok(unread("no log that certsift reads")),
            // A file that was just begun is what it will become.
            Detected::Undecided => return Ok(Self { is_read: true, ..unread("no record yet") }),
        };
        let form = match format {
            Format::ZeekTsv(_) => "TSV",
            _ => "JSON",
        };
        let records = Records::of(&head, whole, &name, format.clone());
        let log = records.log().unwrap_or(format.log());
        let is_read = !matches!(log, Log::ZeekOther | Log::Unknown) || records.any_read();
        Ok(Self {
            kind: if is_read { format!("{log}, {form}") } else { format!("another log of Zeek, {form}") },
            is_read,
            first: records.first_time(),
            sessions: records.sessions(),
        })
    }
}

/// The records in the beginning of a file.
struct Records(Vec<Record>);

impl Records {
    fn of(head: &[u8], whole: bool, name: &str, format: Format) -> Self {
        let end = match memchr::memrchr(b'\n', head) {
            Some(last) if !whole => last + 1,
            _ => head.len(),
        };
        let source = SourceInfo { stream: StreamKey([0; 32]), path: name.into(), sensor: None, time_zone: None };
        let (source, context) = (Arc::new(source), DecodeContext::default());
        let mut records = Vec::new();
        let lines = Lines { bytes: head[..end].to_vec(), offset: 0, oversize: None };
        Splitter::new(name, Some(format)).split(lines, &mut |raw| {
            records.extend(decode(&context, &source, raw).records);
        });
        Self(records)
    }

    fn log(&self) -> Option<Log> {
        self.0.first().map(|record| record.log)
    }

    /// A mixed file may begin with another log.
    fn any_read(&self) -> bool {
        self.0.iter().any(|record| !matches!(record.body, Body::Skipped | Body::DeadLetter(_)))
    }

    fn first_time(&self) -> Option<EventTime> {
        crate::correlate::first_key(self.0.iter().filter_map(|record| record.time))
    }

    fn sessions(&self) -> Vec<(Address, Address)> {
        let addresses = self.0.iter().filter_map(|record| match &record.body {
            Body::Session(session) => session.client.zip(session.server),
            _ => None,
        });
        addresses.collect()
    }
}

fn event_time(time: SystemTime) -> EventTime {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EventTime::from_seconds(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

fn source_of(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
