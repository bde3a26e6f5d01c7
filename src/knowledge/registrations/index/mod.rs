//! An index of registrations in one file: for tens of millions of domains, opened without being read.
//!
//! In: lists, by `certsift feeds build`. Out: the registrations of a domain. Promise: a look-up touches the directory and
//! a handful of entries beside each other, and nothing in the file is trusted: what does not fit finds nothing.
//!
//! | part | what it holds |
//! |---|---|
//! | header | 96 bytes, see [`Header`] |
//! | notes | what entries share, see [`Shared`]; postcard |
//! | directory | for each value of the leading bits of a domain's hash, where its entries begin: 4 bytes each |
//! | entries | 14 bytes each, sorted: bytes 2 to 11 of the hash, the day, the number of the note |
//!
//! Numbers are little-endian, but in entries big-endian, so that they sort as bytes. The hash is SHA-256 of the registrable domain. The directory tells at least its first 16
//! bits, the entry the 80 that follow: among 20 million domains another one is taken for one of them with a probability of
//! 2.5 × 10⁻²², and to make up a name that is takes some 2⁷² attempts.

mod build;
mod map;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

pub use build::{BuildError, Built, build};
use map::ReadOnlyMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ListReport, Note, Registration};
use crate::knowledge::suffix::{self, Edition};
use crate::model::Id128;

/// An index that is open.
#[derive(Debug)]
pub struct Index {
    map: ReadOnlyMap,
    shared: Shared,
    header: Header,
}

/// What all entries have in common.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Shared {
    /// The list of public suffixes that made registrable domains of names. By another one, some are asked for differently.
    suffixes: Edition,
    /// Source, exactness and day of the data.
    notes: Vec<Note>,
}

/// What the file begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    /// Bits of the hash that the directory tells.
    bits: u32,
    /// How many entries there are.
    entries: u64,
    /// Bytes of the notes.
    notes: u64,
    /// SHA-256 of entries, directory and notes, in this order.
    content: [u8; 32],
    /// CRC-32 of the notes; that of the header itself is its last field.
    notes_crc: u32,
}

/// The first byte is none of a text.
const MAGIC: [u8; 16] = *b"\x93certsift index\n";
const VERSION: u32 = 2;
const HEADER: usize = 96;
const ENTRY: usize = 14;
const SLOT: usize = 4;
/// Bytes of the hash that stand in an entry.
const HASH: std::ops::Range<usize> = 2..12;
const MIN_BITS: u32 = 16;
const MAX_BITS: u32 = 28;
/// Notes are small; more than this is no index.
const MAX_NOTES_BYTES: u64 = 64 * 1024 * 1024;

/// Whether the head of a file is that of an index.
pub(super) fn has_magic(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Whether a file is an index.
pub(super) fn is_index(path: &Path) -> bool {
    let mut head = [0; MAGIC.len()];
    path.is_file() && File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok() && has_magic(&head)
}

impl Index {
    /// Opens an index; why it cannot be used is in the report.
    pub(super) fn open(path: &Path) -> (Option<Self>, ListReport) {
        let mut report = ListReport::new(path.to_owned());
        report.shape = Some("index");
        match Self::try_open(path) {
            Ok(index) => {
                report.rows = index.len();
                report.index_bytes = Some(index.map.len() as u64);
                report.version = Some(Id128::first_half(&index.header.content));
                let built_by = &index.shared.suffixes;
                report.other_suffixes = (built_by.content != suffix::edition().content).then(|| built_by.name.clone());
                (Some(index), report)
            }
            Err(error) => {
                report.error = Some(error);
                (None, report)
            }
        }
    }

    /// How many registrations it holds.
    pub fn len(&self) -> u64 {
        self.header.entries
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The registrations of a domain.
    pub(super) fn find(&self, domain: Id128) -> impl Iterator<Item = Registration<'_>> {
        let mut wanted = [0; HASH.end - HASH.start];
        wanted.copy_from_slice(&domain.0[HASH]);
        let bucket = self.bucket(&domain);
        let start = bucket.partition_point(|entry| entry[..wanted.len()] < wanted[..]);
        let found = bucket.get(start..).unwrap_or_default().iter();
        let found = found.take_while(move |entry| entry[..wanted.len()] == wanted);
        found.filter_map(|[.., day_high, day_low, note_high, note_low]| {
            let note = self.shared.notes.get(usize::from(u16::from_be_bytes([*note_high, *note_low])))?;
            Some(note.of(i32::from(u16::from_be_bytes([*day_high, *day_low]))))
        })
    }

    fn try_open(path: &Path) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = [0; HEADER];
        file.read_exact(&mut bytes).map_err(|_| "the index is cut off")?;
        let header = Header::read(&bytes)?;
        let map = ReadOnlyMap::of(&file).map_err(|error| format!("cannot be mapped: {error}"))?;
        if header.length() != Some(map.len() as u64) {
            return Err("the index is cut off, or something stands behind its end".to_owned());
        }
        let notes = map.get(header.notes_at()).unwrap_or_default();
        if crc32fast::hash(notes) != header.notes_crc {
            return Err(DAMAGED.to_owned());
        }
        let shared = postcard::from_bytes(notes).map_err(|_| DAMAGED)?;
        Ok(Self { map, shared, header })
    }

    /// Whether the whole file is as it was built, by its SHA-256.
    fn is_whole(&self) -> bool {
        let mut hash = Sha256::new();
        for part in [self.header.entries_at(), self.header.directory_at(), self.header.notes_at()] {
            hash.update(self.map.get(part).unwrap_or_default());
        }
        self.header.content[..] == hash.finalize()[..]
    }

    /// The entries that share the leading bits of a hash.
    fn bucket(&self, domain: &Id128) -> &[[u8; ENTRY]] {
        let (slots, _) = self.map.get(self.header.directory_at()).unwrap_or_default().as_chunks::<SLOT>();
        let slot = slot_of(domain, self.header.bits);
        let at = |slot: usize| slots.get(slot).map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let (entries, _) = self.map.get(self.header.entries_at()).unwrap_or_default().as_chunks::<ENTRY>();
        at(slot).zip(at(slot + 1)).and_then(|(from, to)| entries.get(from..to)).unwrap_or_default()
    }
}

/// Compares the content of an index with the SHA-256 that it was built with: all of it is read.
///
/// # Errors
/// It cannot be opened, or is not what was built.
pub fn verify(path: &Path) -> Result<(), String> {
    if Index::try_open(path)?.is_whole() { Ok(()) } else { Err(DAMAGED.to_owned()) }
}

/// How long a look-up of a domain takes that the index does not hold, as nearly all of them do not.
///
/// # Errors
/// It cannot be opened.
pub fn look_up_time(path: &Path) -> Result<Duration, String> {
    const LOOK_UPS: u32 = 200_000;
    let index = Index::try_open(path)?;
    let domains: Vec<Id128> = (0..LOOK_UPS).map(|number| Id128::of(&number.to_be_bytes())).collect();
    let started = Instant::now();
    let found = domains.iter().filter(|domain| index.find(**domain).next().is_some()).count();
    let took = started.elapsed();
    tracing::debug!(found, "looked up what it should not hold");
    Ok(took / LOOK_UPS)
}

const DAMAGED: &str = "the index is damaged; build it again";

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Result<Self, String> {
        let number = |at: usize| {
            let mut number = [0; 4];
            number.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(number)
        };
        let long = |at: usize| u64::from(number(at)) | u64::from(number(at + 4)) << 32;
        if !has_magic(bytes) {
            return Err("not an index".to_owned());
        }
        if number(16) != VERSION {
            return Err(format!(
                "an index of version {}, and this certsift reads {VERSION}; build it again",
                number(16)
            ));
        }
        let mut content = [0; 32];
        content.copy_from_slice(&bytes[40..72]);
        let header = Self { bits: number(20), entries: long(24), notes: long(32), content, notes_crc: number(72) };
        let is_sound = number(HEADER - 4) == crc32fast::hash(&bytes[..HEADER - 4])
            && (MIN_BITS..=MAX_BITS).contains(&header.bits)
            && header.entries <= u64::from(u32::MAX)
            && header.notes <= MAX_NOTES_BYTES;
        if is_sound { Ok(header) } else { Err(DAMAGED.to_owned()) }
    }

    fn write(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..16].copy_from_slice(&MAGIC);
        bytes[16..20].copy_from_slice(&VERSION.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.bits.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.entries.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.notes.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.content);
        bytes[72..76].copy_from_slice(&self.notes_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn notes_at(&self) -> std::ops::Range<usize> {
        HEADER..HEADER + self.notes as usize
    }

    fn directory_at(&self) -> std::ops::Range<usize> {
        let start = self.notes_at().end;
        start..start + ((1 << self.bits) + 1) * SLOT
    }

    fn entries_at(&self) -> std::ops::Range<usize> {
        let start = self.directory_at().end;
        start..start.saturating_add((self.entries as usize).saturating_mul(ENTRY))
    }

    /// Bytes of the whole file.
    fn length(&self) -> Option<u64> {
        u64::try_from(self.entries_at().end).ok()
    }
}

/// The place in the directory that the leading bits of a domain's hash mean.
fn slot_of(domain: &Id128, bits: u32) -> usize {
    let [a, b, c, d, ..] = domain.0;
    (u32::from_be_bytes([a, b, c, d]) >> (u32::BITS - bits)) as usize
}
