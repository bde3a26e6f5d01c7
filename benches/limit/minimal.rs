//! The least that a program could do for the same output: it finds the fields that are needed, or parses them as well,
//! looks two of them up, and appends the same bytes to every line.
//!
//! Nothing is checked, joined, remembered or decided, and a line that is not as expected is not noticed: no program for
//! real logs can be as fast. To find a field is to know where it begins and ends; to parse it is to have a time, an
//! address, a number or text in valid UTF-8.

use std::collections::HashSet;
use std::fs::File;
use std::hint::black_box;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::Context as _;

/// What is to be done.
#[derive(clap::Args, Debug)]
pub(super) struct Work {
    /// Logs of JSON lines
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) input: Vec<PathBuf>,
    /// Where the lines go
    #[arg(long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// Lines of which the part up to the first comma is looked for
    #[arg(long, value_name = "FILE")]
    pub(super) table: Vec<PathBuf>,
    /// Bytes to append to every line
    #[arg(long, value_name = "N")]
    pub(super) append: usize,
    /// Parse the fields, and do not only find them
    #[arg(long)]
    pub(super) parse: bool,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) threads: usize,
}

/// A part of a file: lines that begin in it.
struct Piece<'a> {
    file: &'a File,
    start: u64,
    end: u64,
}

/// Whose turn it is to write.
#[derive(Default)]
struct Turn {
    next: Mutex<usize>,
    changed: Condvar,
}

type Table = HashSet<Box<[u8]>, foldhash::fast::RandomState>;
type Fields<'a> = [&'a [u8]; NEEDED];

/// Bytes that are read, worked on and written at once.
const PIECE: u64 = 512 * 1024;
/// Fields that a judgement of a session or of a certificate needs; their places are those of [`place`].
const NEEDED: usize = 32;
const TIMES: [usize; 4] = [7, 8, 26, 27];
const ADDRESSES: [usize; 4] = [11, 12, 14, 15];
const NUMBERS: [usize; 4] = [10, 13, 16, 28];
const TEXTS: [usize; 15] = [0, 1, 2, 3, 4, 5, 6, 17, 18, 19, 20, 23, 24, 25, 29];
/// Of those, the first three name an issuer and the next four a certificate.
const ISSUERS: usize = 3;
const CERTIFICATES: usize = 7;

/// Does it; gives how many look-ups found something.
pub(super) fn run(work: &Work) -> anyhow::Result<u64> {
    let mut table = Table::default();
    for path in &work.table {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        for row in text.split(|&byte| byte == b'\n').filter(|row| !row.is_empty()) {
            // Issuers have commas, and therefore quotes around them.
            let end = if row.first() == Some(&b'"') { b'"' } else { b',' };
            let row = row.strip_prefix(b"\"").unwrap_or(row);
            table.insert(row[..memchr::memchr(end, row).unwrap_or(row.len())].into());
        }
    }
    let open = |path: &PathBuf| File::open(path).with_context(|| path.display().to_string());
    let files = work.input.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let mut pieces = Vec::new();
    for file in &files {
        let length = file.metadata()?.len();
        let starts = (0..length).step_by(PIECE as usize);
        pieces.extend(starts.map(|start| Piece { file, start, end: length.min(start + PIECE) }));
    }
    let output = File::create(&work.output)?;
    let appended = appended(work.append);
    let (claimed, turn) = (Mutex::new(0), Turn::default());
    std::thread::scope(|scope| {
        let worker = || worker(&pieces, &claimed, &turn, &output, (&table, work.parse), &appended);
        let workers: Vec<_> = (0..work.threads.max(1)).map(|_| scope.spawn(worker)).collect();
        let found = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread failed"))));
        found.sum::<std::io::Result<u64>>()
    })
    .context("limit")
}

/// What stands in place of a line's last brace.
fn appended(length: usize) -> Vec<u8> {
    const FRAME: [&[u8]; 2] = [b",\"certsift\":\"", b"\"}\n"];
    // A brace and the end of the line are there already.
    let filling = (length + 2).saturating_sub(FRAME.concat().len());
    [FRAME[0], &vec![b'x'; filling], FRAME[1]].concat()
}

fn worker(
    pieces: &[Piece<'_>],
    claimed: &Mutex<usize>,
    turn: &Turn,
    output: &File,
    (table, parses): (&Table, bool),
    appended: &[u8],
) -> std::io::Result<u64> {
    let (mut bytes, mut lines, mut found) = (Vec::new(), Vec::new(), 0);
    loop {
        let number = {
            let mut next = claimed.lock().unwrap_or_else(PoisonError::into_inner);
            *next += 1;
            *next - 1
        };
        let Some(piece) = pieces.get(number) else { return Ok(found) };
        lines.clear();
        let read = piece.read(&mut bytes);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let mut fields = Fields::default();
            scan(line, &mut fields);
            found += look_up(table, &fields[..ISSUERS]) + look_up(table, &fields[ISSUERS..CERTIFICATES]);
            if parses {
                parse(&fields);
            } else {
                black_box(&fields);
            }
            let end = memchr::memrchr(b'}', line).unwrap_or(line.len());
            lines.extend_from_slice(&line[..end]);
            lines.extend_from_slice(appended);
        }
        turn.take(number, || read.and_then(|()| std::io::Write::write_all(&mut &*output, &lines)))?;
    }
}

/// Makes of each field what its type says.
fn parse(fields: &Fields<'_>) {
    let of = |places: [usize; 4]| places.map(|at| fields[at]);
    black_box(of(TIMES).map(time));
    black_box(of(ADDRESSES).map(|field| text(field).parse::<IpAddr>().ok()));
    black_box(of(NUMBERS).map(number));
    black_box(TEXTS.map(|at| text(fields[at])));
}

fn text(field: &[u8]) -> &str {
    std::str::from_utf8(field).unwrap_or_default()
}

fn number(digits: &[u8]) -> i64 {
    digits
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |all, digit| all.wrapping_mul(10) + i64::from(digit - b'0'))
}

/// Microseconds, of a number of seconds or of a date as ISO 8601 has it.
fn time(field: &[u8]) -> i64 {
    const SECOND: i64 = 1_000_000;
    let (whole, fraction) = field.split_at(memchr::memchr(b'.', field).unwrap_or(field.len()));
    let fraction = number(fraction.get(1..7).unwrap_or_default());
    let part = |from: usize, to: usize| number(whole.get(from..to).unwrap_or_default());
    if whole.get(10) != Some(&b'T') {
        return number(whole).wrapping_mul(SECOND) + fraction;
    }
    // Days since 1970, by a year that begins in March.
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    let year = year - i64::from(month <= 2);
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 719_469;
    (((days * 24 + part(11, 13)) * 60 + part(14, 16)) * 60 + part(17, 19)) * SECOND + fraction
}

fn look_up(table: &Table, candidates: &[&[u8]]) -> u64 {
    let text = candidates.iter().find(|text| !text.is_empty()).copied().unwrap_or_default();
    u64::from(table.contains(text))
}

impl Piece<'_> {
    /// Reads the lines that begin in the piece, of which the last may end behind it.
    fn read(&self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        // The byte before tells whether a line begins at the start.
        let from = self.start.saturating_sub(1);
        bytes.resize((self.end - from) as usize, 0);
        self.file.read_exact_at(bytes, from)?;
        let mut at = self.end;
        while bytes.last() != Some(&b'\n') {
            let mut more = [0; 4096];
            let count = self.file.read_at(&mut more, at)?;
            if count == 0 {
                break;
            }
            let end = memchr::memchr(b'\n', &more[..count]).map_or(count, |at| at + 1);
            bytes.extend_from_slice(&more[..end]);
            at += end as u64;
        }
        if self.start > 0 {
            let begin = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            bytes.drain(..begin);
        }
        Ok(())
    }
}

impl Turn {
    fn take<T>(&self, number: usize, write: impl FnOnce() -> T) -> T {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.changed.wait_while(next, |next| *next != number).unwrap_or_else(PoisonError::into_inner);
        let written = write();
        *next += 1;
        self.changed.notify_all();
        written
    }
}

/// Finds the needed fields of a line, those of its `tls` object included.
fn scan<'a>(line: &'a [u8], fields: &mut Fields<'a>) {
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'"', &line[at..]) {
        let key_start = at + open + 1;
        let Some(key_length) = memchr::memchr(b'"', &line[key_start..]) else { return };
        let key = &line[key_start..key_start + key_length];
        // Behind the quote and the colon.
        let start = key_start + key_length + 2;
        at = match line.get(start) {
            Some(b'"') => end_of_string(line, start),
            // Its fields are among those that are needed.
            Some(b'{') if key == b"tls" => start + 1,
            Some(b'{' | b'[') => end_of_nested(line, start),
            _ => start + memchr::memchr2(b',', b'}', line.get(start..).unwrap_or_default()).unwrap_or_default(),
        };
        if let Some(place) = place(key) {
            fields[place] = inner(line.get(start..at).unwrap_or_default());
        }
        if at >= line.len() {
            return;
        }
    }
}

fn place(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"issuer" => 0,
        b"certificate.issuer" => 1,
        b"issuerdn" => 2,
        b"cert_chain_fuids" => 3,
        b"cert_chain_fps" => 4,
        b"id" => 5,
        b"fingerprint" => 6,
        b"ts" => 7,
        b"timestamp" => 8,
        b"uid" => 9,
        b"flow_id" => 10,
        b"id.orig_h" => 11,
        b"id.resp_h" => 12,
        b"id.resp_p" => 13,
        b"src_ip" => 14,
        b"dest_ip" => 15,
        b"dest_port" => 16,
        b"version" => 17,
        b"server_name" => 18,
        b"sni" => 19,
        b"subject" => 20,
        b"resumed" => 21,
        b"established" => 22,
        b"validation_status" => 23,
        b"certificate.serial" => 24,
        b"certificate.subject" => 25,
        b"certificate.not_valid_before" => 26,
        b"certificate.not_valid_after" => 27,
        b"certificate.key_length" => 28,
        b"san.dns" => 29,
        b"certificate" => 30,
        b"chain" => 31,
        _ => return None,
    })
}

/// A value without its quotes and, of a list, the first element.
fn inner(value: &[u8]) -> &[u8] {
    let value = value.strip_prefix(b"[").unwrap_or(value);
    match value.strip_prefix(b"\"") {
        Some(text) => &text[..memchr::memchr(b'"', text).unwrap_or(text.len())],
        None => value,
    }
}

/// The place behind a string that begins at `start`.
fn end_of_string(line: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', line.get(at..).unwrap_or_default()) {
        at += found + 1;
        if line[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    line.len()
}

/// The place behind a list or an object that begins at `start`.
fn end_of_nested(line: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_u32);
    while let Some(&byte) = line.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(line, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    line.len()
}
