//! Logs repeated with later times and fresh identifiers, until there are as many sessions as wanted.
//!
//! Every line is taken apart once: what changes from one repetition to the next, and the text between. Memory is that of
//! the original logs, however long the extended ones are.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::samples::{Form, Set};

/// Extended logs in a folder of their own.
#[derive(Serialize, Deserialize, PartialEq)]
pub(super) struct Extended {
    #[serde(skip)]
    pub(super) folder: PathBuf,
    /// What they were made of, and how.
    made_of: Vec<u64>,
    pub(super) sessions: u64,
    /// Sessions and certificates.
    pub(super) records: u64,
    /// Names and sizes.
    files: Vec<(String, u64)>,
}

/// The way of making them; counts up when it changes, so that older files are not used any more.
const VERSION: u64 = 1;
/// Time between the last record of a repetition and the first of the next.
const GAP_MICROS: i64 = 60_000_000;
/// Longest pause between two EVE events that is kept: the file joins captures of many years, in no order.
const MAX_PAUSE_MICROS: i64 = 60_000_000;
/// What stands in for a longer pause or a step back.
const SHORT_PAUSE_MICROS: i64 = 1_000_000;

/// A log taken apart.
#[derive(Default)]
struct Template {
    text: String,
    lines: Vec<Line>,
    parts: Vec<Part>,
}

struct Line {
    parts: Range<usize>,
    /// The header block that the line needs; the same block is written once.
    header: Option<Range<usize>>,
}

enum Part {
    /// Text that stays.
    Text(Range<usize>),
    /// Seconds and microseconds.
    Epoch(i64),
    /// ISO 8601, with `Z` or with `+0000`.
    Iso { micros: i64, suffix: &'static str },
    /// An identifier that every repetition has its own of; the same one in all its places.
    Identifier(Range<usize>),
    /// A flow's number, likewise.
    Flow(u64),
}

impl Extended {
    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, size)| size).sum()
    }

    /// Whether the files are there as they were made.
    fn is_there(&self) -> bool {
        self.files.iter().all(|(name, size)| {
            fs::metadata(self.folder.join(name)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == *size)
        })
    }
}

/// Makes the extended logs of a set, unless they are there from an earlier time.
pub(super) fn make(set: &Set, target: &Path) -> anyhow::Result<Extended> {
    let name = format!("{}-{}", set.name, set.wanted);
    let folder = target.join(&name);
    let note = target.join(name + ".json");
    let mut made_of = vec![VERSION, set.wanted];
    for path in set.sessions.iter().chain(&set.certificates) {
        made_of.push(fs::metadata(path).with_context(|| path.display().to_string())?.len());
    }
    let known = fs::read(&note).ok().and_then(|note| serde_json::from_slice::<Extended>(&note).ok());
    if let Some(mut known) = known {
        known.folder.clone_from(&folder);
        if known.made_of == made_of && known.is_there() {
            return Ok(known);
        }
    }
    eprintln!("bench: making {} with {} sessions", set.name, set.wanted);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut extended = Extended { folder, made_of, sessions: set.wanted, records: 0, files: Vec::new() };
    write_set(set, &mut extended)?;
    // Only now: logs that were not finished have no note and are made again.
    fs::write(&note, serde_json::to_vec(&extended)?)?;
    Ok(extended)
}

fn write_set(set: &Set, extended: &mut Extended) -> anyhow::Result<()> {
    let mut sessions = Template::read(&set.sessions, set.form)?;
    let certificates = Template::read(&set.certificates, set.form)?;
    if set.form == Form::Eve {
        sessions.close_pauses();
    }
    let times = || sessions.times().chain(certificates.times());
    let (first, last) = times().min().zip(times().max()).context("no record has a time")?;
    let step = last - first + GAP_MICROS;
    let whole = sessions.lines.len() as u64;
    let repetitions = set.wanted.div_ceil(whole);
    let names = if set.form == Form::Eve { ("eve.json", "") } else { ("ssl.log", "x509.log") };
    for (template, name, limit) in [(&sessions, names.0, set.wanted), (&certificates, names.1, u64::MAX)] {
        if template.lines.is_empty() {
            continue;
        }
        let path = extended.folder.join(name);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut left = limit;
        let mut header = None;
        for repetition in 0..repetitions {
            left = template.write(&mut out, repetition, step, left, &mut header)?;
        }
        out.flush()?;
        extended.records += limit.min(repetitions * template.lines.len() as u64);
        extended.files.push((name.to_owned(), fs::metadata(&path)?.len()));
    }
    Ok(())
}

impl Template {
    fn read(paths: &[PathBuf], form: Form) -> anyhow::Result<Self> {
        let mut template = Self::default();
        for path in paths {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            let reader: Box<dyn Read> = match path.extension().is_some_and(|extension| extension == "gz") {
                true => Box::new(MultiGzDecoder::new(file)),
                false => Box::new(file),
            };
            let reader = BufReader::new(reader);
            let added = match form {
                Form::Tsv => template.add_tsv(reader),
                Form::Json | Form::Eve => template.add_json(reader),
            };
            added.with_context(|| path.display().to_string())?;
        }
        Ok(template)
    }

    fn add_tsv(&mut self, reader: impl BufRead) -> anyhow::Result<()> {
        let mut columns: Vec<String> = Vec::new();
        let mut header: Option<Range<usize>> = None;
        let mut block = String::new();
        for line in reader.lines() {
            let line = line?;
            if line.starts_with('#') {
                if let Some(fields) = line.strip_prefix("#fields\t") {
                    columns = fields.split('\t').map(str::to_owned).collect();
                }
                if !line.starts_with("#close") {
                    block.push_str(&line);
                    block.push('\n');
                }
                continue;
            }
            if !block.is_empty() {
                header = Some(self.add_header(&block));
                block.clear();
            }
            let start = self.text.len();
            self.text.push_str(&line);
            let mut marks = Vec::new();
            let mut at = start;
            for (cell, column) in line.split('\t').zip(&columns) {
                match column.as_str() {
                    "ts" => marks.push((at..at + cell.len(), Part::Epoch(epoch_micros(cell)?))),
                    "uid" | "id" | "cert_chain_fuids" | "client_cert_chain_fuids" => {
                        mark_elements(at, cell, &mut marks)
                    }
                    _ => {}
                }
                at += cell.len() + 1;
            }
            self.add_line(start, marks, header.clone())?;
        }
        Ok(())
    }

    /// The place of a header block; one that says the same about columns as the last has its place.
    fn add_header(&mut self, block: &str) -> Range<usize> {
        let fields = |block: &str| block.lines().find(|line| line.starts_with("#fields")).map(str::to_owned);
        if let Some(known) = self.lines.last().and_then(|line| line.header.clone())
            && fields(&self.text[known.clone()]) == fields(block)
        {
            return known;
        }
        let start = self.text.len();
        self.text.push_str(block);
        start..self.text.len()
    }

    fn add_json(&mut self, reader: impl BufRead) -> anyhow::Result<()> {
        for line in reader.lines() {
            let line = line?;
            let start = self.text.len();
            self.text.push_str(&line);
            // Inside of a string every quote has a backslash before it, so these can only be keys; and none is nested.
            let value = |key: &str, end: char| {
                let at = line.find(key)? + key.len();
                let value = line.get(at..)?;
                Some((start + at, &value[..value.find(end)?]))
            };
            let mut marks = Vec::new();
            for key in ["\"ts\":\"", "\"_write_ts\":\"", "\"timestamp\":\""] {
                if let Some((at, text)) = value(key, '"') {
                    marks.push((at..at + text.len(), iso(text)?));
                }
            }
            for key in ["\"uid\":\"", "\"id\":\""] {
                value(key, '"').into_iter().for_each(|(at, text)| mark_elements(at, text, &mut marks));
            }
            for key in ["\"cert_chain_fuids\":[", "\"client_cert_chain_fuids\":["] {
                value(key, ']').into_iter().for_each(|(at, text)| mark_elements(at, text, &mut marks));
            }
            if let Some((at, text)) = value("\"flow_id\":", ',') {
                marks.push((at..at + text.len(), Part::Flow(text.parse()?)));
            }
            self.add_line(start, marks, None)?;
        }
        Ok(())
    }

    /// Adds the line that is the end of the text; `marks` are its places that change.
    fn add_line(
        &mut self,
        start: usize,
        mut marks: Vec<(Range<usize>, Part)>,
        header: Option<Range<usize>>,
    ) -> anyhow::Result<()> {
        ensure!(marks.iter().any(|(_, part)| part.time().is_some()), "a line without a time: {}", &self.text[start..]);
        marks.sort_by_key(|(place, _)| place.start);
        let first = self.parts.len();
        let mut at = start;
        for (place, part) in marks {
            self.parts.push(Part::Text(at..place.start));
            self.parts.push(part);
            at = place.end;
        }
        self.text.push('\n');
        self.parts.push(Part::Text(at..self.text.len()));
        self.lines.push(Line { parts: first..self.parts.len(), header });
        Ok(())
    }

    fn times(&self) -> impl Iterator<Item = i64> {
        self.parts.iter().filter_map(Part::time)
    }

    /// Makes times ascend, with short pauses as they are and long ones closed.
    fn close_pauses(&mut self) {
        let mut last: Option<(i64, i64)> = None;
        for part in &mut self.parts {
            let Part::Iso { micros, .. } = part else { continue };
            let moved = match last {
                None => *micros,
                Some((original, moved)) => match *micros - original {
                    pause @ 0..=MAX_PAUSE_MICROS => moved + pause,
                    _ => moved + SHORT_PAUSE_MICROS,
                },
            };
            last = Some((*micros, moved));
            *micros = moved;
        }
    }

    /// Writes a repetition, `limit` lines of it at most; gives what is left of the limit.
    fn write(
        &self,
        out: &mut impl Write,
        repetition: u64,
        step: i64,
        limit: u64,
        header: &mut Option<Range<usize>>,
    ) -> anyhow::Result<u64> {
        let shift = i64::try_from(repetition)? * step;
        let code = code_of(repetition);
        let mut left = limit;
        for line in &self.lines {
            if left == 0 {
                break;
            }
            left -= 1;
            if let Some(needed) = &line.header
                && header.as_ref() != Some(needed)
            {
                out.write_all(&self.text.as_bytes()[needed.clone()])?;
                *header = Some(needed.clone());
            }
            for part in &self.parts[line.parts.clone()] {
                match part {
                    Part::Text(place) => out.write_all(&self.text.as_bytes()[place.clone()])?,
                    Part::Epoch(micros) => {
                        let micros = micros + shift;
                        write!(out, "{}.{:06}", micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000))?;
                    }
                    Part::Iso { micros, suffix } => {
                        let text = format!("{:.6}", Timestamp::from_microsecond(micros + shift)?);
                        out.write_all(text.trim_end_matches('Z').as_bytes())?;
                        out.write_all(suffix.as_bytes())?;
                    }
                    Part::Identifier(place) => {
                        let text = &self.text.as_bytes()[place.clone()];
                        // As long as before, and no other repetition's.
                        out.write_all(&text[..text.len().saturating_sub(code.len())])?;
                        out.write_all(&code)?;
                    }
                    Part::Flow(flow) => write!(out, "{}", fresh_flow(*flow, repetition))?,
                }
            }
        }
        Ok(left)
    }
}

impl Part {
    fn time(&self) -> Option<i64> {
        match self {
            Self::Epoch(micros) | Self::Iso { micros, .. } => Some(*micros),
            _ => None,
        }
    }
}

/// Marks the identifiers of a cell, of which a chain may hold several, with quotes or without.
fn mark_elements(start: usize, cell: &str, marks: &mut Vec<(Range<usize>, Part)>) {
    let mut at = start;
    for element in cell.split(',') {
        let name = element.trim_matches('"');
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let begin = at + element.find(name).unwrap_or_default();
            let place = begin..begin + name.len();
            marks.push((place.clone(), Part::Identifier(place)));
        }
        at += element.len() + 1;
    }
}

/// Letters and digits that stand for a repetition in its identifiers.
fn code_of(repetition: u64) -> [u8; 4] {
    const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut rest = repetition;
    std::array::from_fn(|_| {
        let letter = LETTERS[(rest % 62) as usize];
        rest /= 62;
        letter
    })
}

/// Another number of a flow for each repetition; Suricata's have 51 bits.
fn fresh_flow(flow: u64, repetition: u64) -> u64 {
    const STRIDE: u64 = 0x0003_79b9_7f4a_7c15;
    flow.wrapping_add(repetition.wrapping_mul(STRIDE)) & ((1 << 51) - 1)
}

fn epoch_micros(text: &str) -> anyhow::Result<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    ensure!(fraction.len() <= 6, "not a time: {text}");
    let micros: i64 = format!("{fraction:0<6}").parse().with_context(|| format!("not a time: {text}"))?;
    let seconds: i64 = seconds.parse().with_context(|| format!("not a time: {text}"))?;
    Ok(seconds * 1_000_000 + micros)
}

fn iso(text: &str) -> anyhow::Result<Part> {
    for suffix in ["Z", "+0000"] {
        if let Some(local) = text.strip_suffix(suffix) {
            let time: Timestamp = format!("{local}Z").parse().with_context(|| format!("not a time: {text}"))?;
            return Ok(Part::Iso { micros: time.as_microsecond(), suffix });
        }
    }
    bail!("not a time that is known here: {text}");
}
