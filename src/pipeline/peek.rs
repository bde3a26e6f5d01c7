//! A first look at an input: what it is, who it is, and when it begins.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::InputConfig;
use crate::correlate::first_key;
use crate::decode::{DecodeContext, Detected, Format, decode, detect};
use crate::model::{EventTime, Log, Record, SourceInfo, StreamKey, TimeZone};
use crate::source::tail::stream_key;
use crate::source::{Discovered, LineReader, OpenError, Reader, Splitter, is_named_like_a_log, open, open_stdin};

/// What a first look shows.
pub(super) enum Peeked {
    /// It holds records.
    Records(Box<PeekedInput>),
    /// It holds no line that could be a record.
    Empty,
    /// It is no log that certsift reads.
    Skipped(Skipped),
    /// It cannot be read.
    Failed(OpenError),
}

/// An input with records.
pub(super) struct PeekedInput {
    pub(super) path: PathBuf,
    pub(super) source: Arc<SourceInfo>,
    pub(super) format: Format,
    /// The smallest of the first three times.
    pub(super) first_key: Option<EventTime>,
    /// Rank of the first record.
    pub(super) rank: u8,
    /// Whether it holds certificates, as far as its beginning shows.
    pub(super) holds_certificates: bool,
    /// An input that cannot be opened twice.
    pub(super) reader: Option<LineReader<Reader>>,
}

/// An input that is left alone.
pub(super) struct Skipped {
    pub(super) path: PathBuf,
    pub(super) why: SkipReason,
}

/// Why an input is left alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SkipReason {
    /// It is another log of Zeek.
    OtherZeekLog,
    /// It is no log.
    NotALog,
}

/// Where sensors' names and zones come from.
pub(super) struct Sensors<'a> {
    pub(super) inputs: &'a [InputConfig],
    pub(super) sensor: Option<&'a str>,
    pub(super) time_zone: Option<&'a TimeZone>,
}

/// How much of a head is looked at, and how much where that shows no record.
const HEAD: usize = StreamKey::MAX_HEAD;
const MAX_HEAD: usize = 16 * 1024 * 1024;

/// Looks at an input without consuming it.
pub(super) fn peek(file: &Discovered, context: &DecodeContext, sensors: &Sensors<'_>) -> Peeked {
    let stdin = file.path.as_os_str() == "-";
    let opened = if stdin { open_stdin(Arc::default()) } else { open(&file.path, Arc::default()) };
    let reader = match opened {
        Ok(reader) => reader,
        Err(error) => return Peeked::Failed(error),
    };
    let mut reader = LineReader::new(reader);
    let name = file_name(&file.path);
    let wanted = file.named || is_named_like_a_log(&name);
    let mut size = HEAD;
    let look = loop {
        let look = Look::at(&mut reader, size, file, context, sensors);
        // A file may begin with megabytes of blank lines, or of headers of hours without a record.
        if look.is_enough() || size >= MAX_HEAD {
            break look;
        }
        size *= 16;
    };
    // What breaks later in the file is reported where the reading gets there.
    if look.head.is_empty()
        && let Some(source) = reader.head_error()
    {
        return Peeked::Failed(OpenError { path: file.path.clone(), source });
    }
    let skipped = |why| Peeked::Skipped(Skipped { path: file.path.clone(), why });
    let format = match &look.detected {
        Detected::Format(format) if format.log() == Log::ZeekOther && !file.named && is_one_log(&look.head, &name) => {
            return skipped(SkipReason::OtherZeekLog);
        }
        Detected::Format(format) => format.clone(),
        Detected::NotALog if !wanted => return skipped(SkipReason::NotALog),
        Detected::Undecided if look.whole => return Peeked::Empty,
        Detected::NotALog | Detected::Undecided => Format::Unknown,
    };
    let Some(source) = look.source else { return Peeked::Empty };
    if look.whole && look.records.is_empty() {
        return Peeked::Empty;
    }
    let rank = look.records.first().map_or(format.log(), |first| first.log).rank();
    let first_key = first_key(look.records.iter().filter_map(|record| record.time));
    // What is read once is read here: standard input, a FIFO, what a shell substitutes for a process.
    let once = stdin || !file.path.metadata().is_ok_and(|metadata| metadata.is_file());
    let reader = once.then_some(reader);
    // Sensors may write all of their logs into one file.
    let is_of_certificates = |log: Log| matches!(log, Log::ZeekX509 | Log::ZeekFiles);
    let holds_certificates =
        is_of_certificates(format.log()) || look.records.iter().any(|record| is_of_certificates(record.log));
    let path = file.path.clone();
    Peeked::Records(Box::new(PeekedInput { path, source, format, first_key, rank, holds_certificates, reader }))
}

/// What the head of an input shows.
struct Look {
    head: Vec<u8>,
    /// The head is everything there is.
    whole: bool,
    detected: Detected,
    source: Option<Arc<SourceInfo>>,
    /// The first few records of the head; none where it holds a header only.
    records: Vec<Record>,
}

impl Look {
    fn at(
        reader: &mut LineReader<Reader>,
        size: usize,
        file: &Discovered,
        context: &DecodeContext,
        sensors: &Sensors<'_>,
    ) -> Self {
        let name = file_name(&file.path);
        let head = reader.head(size).to_vec();
        let whole = reader.head_is_all();
        let detected = detect(&head, &name);
        let source = stream_key(&head, whole).map(|stream| Arc::new(sensors.source(&file.path, stream)));
        let format = match &detected {
            Detected::Format(format) => format.clone(),
            Detected::NotALog | Detected::Undecided => Format::Unknown,
        };
        let records = match &source {
            Some(source) => first_records(&head, whole, &name, format, source, context),
            None => Vec::new(),
        };
        Self { head, whole, detected, source, records }
    }

    fn is_enough(&self) -> bool {
        self.whole || (!matches!(self.detected, Detected::Undecided) && !self.records.is_empty())
    }
}

fn first_records(
    head: &[u8],
    whole: bool,
    name: &str,
    format: Format,
    source: &Arc<SourceInfo>,
    context: &DecodeContext,
) -> Vec<Record> {
    let end = match memchr::memrchr(b'\n', head) {
        Some(last) if !whole => last + 1,
        _ => head.len(),
    };
    let lines = crate::source::Lines { bytes: head[..end].to_vec(), offset: 0, oversize: None };
    let mut records = Vec::new();
    Splitter::new(name, Some(format)).split(lines, &mut |raw| {
        if records.len() < 3 {
            records.extend(decode(context, source, raw).records);
        }
    });
    records
}

impl Sensors<'_> {
    /// What is known of an input before its first record: what the command line says, else the configured input whose
    /// paths or archives hold the file.
    pub(super) fn source(&self, path: &std::path::Path, stream: StreamKey) -> SourceInfo {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let configured = self.inputs.iter().find(|input| {
            let is_socket = input.socket.as_ref().is_some_and(|socket| socket.path == path);
            is_socket || input.paths.iter().chain(&input.archives).any(|pattern| is_among(path, &real, pattern))
        });
        let sensor = self.sensor.or_else(|| configured.and_then(|input| input.sensor.as_deref()));
        let time_zone = self.time_zone.or_else(|| configured.and_then(|input| input.time_zone.as_ref()));
        SourceInfo {
            stream,
            path: path.to_string_lossy().into(),
            sensor: sensor.map(Into::into),
            time_zone: time_zone.cloned(),
        }
    }
}

/// Whether a file is one of those that a path or pattern of the configuration means; `real` is its path without links.
fn is_among(path: &std::path::Path, real: &std::path::Path, pattern: &str) -> bool {
    const OPTIONS: glob::MatchOptions = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: false,
    };
    let folder = std::path::Path::new(pattern).canonicalize().unwrap_or_else(|_| pattern.into());
    // Everything before the first wildcard is a folder that may be reached in several ways.
    let wild = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let fixed = pattern[..wild].rfind('/').map_or(0, |at| at + 1);
    let resolved = std::path::Path::new(if fixed == 0 { "." } else { &pattern[..fixed] })
        .canonicalize()
        .map(|folder| format!("{}/{}", glob::Pattern::escape(&folder.to_string_lossy()), &pattern[fixed..]));
    let matches = |pattern: &str| {
        glob::Pattern::new(pattern)
            .is_ok_and(|pattern| pattern.matches_path_with(path, OPTIONS) || pattern.matches_path_with(real, OPTIONS))
    };
    real.starts_with(&folder) || matches(pattern) || resolved.is_ok_and(|pattern| matches(&pattern))
}

/// Whether a file of another log of Zeek holds that log alone: it is named for it. Joined and mixed files are not.
pub(super) fn is_one_log(head: &[u8], name: &str) -> bool {
    let value_of = |key: &[u8], end: u8| {
        let start = memchr::memmem::find(head, key)? + key.len();
        let length = head[start..].iter().position(|&byte| byte == end || byte == b'\r')?;
        std::str::from_utf8(&head[start..start + length]).ok()
    };
    let path = value_of(b"#path\t", b'\n').or_else(|| value_of(b"\"_path\":\"", b'"'));
    path.is_none_or(|path| name.contains(path))
}

/// A file's name without its folder.
pub(super) fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
