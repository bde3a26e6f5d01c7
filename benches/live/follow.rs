//! The reader: follows the output as a shipper does, and compares every line with what was written.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::figures::Histogram;
use super::ledger::{Ledger, Pages, Phase};
use super::lines::{Known, recognise};

/// Reads in a thread of its own.
pub(super) struct Follower {
    thread: JoinHandle<io::Result<Arrived>>,
    records: Arc<AtomicU64>,
    ending: Arc<AtomicBool>,
}

/// What came out.
#[derive(Default)]
pub(super) struct Arrived {
    pub(super) idle: Times,
    pub(super) load: Times,
    pub(super) distinct: u64,
    pub(super) duplicates: u64,
    /// Lines that nobody wrote.
    pub(super) strange: u64,
    /// Sessions that were judged without their certificate.
    pub(super) without_certificate: u64,
    pub(super) bytes: u64,
    sessions: Seen,
    certificates: Seen,
}

/// How long lines took.
#[derive(Default)]
pub(super) struct Times {
    pub(super) direct: Histogram,
    /// Sessions that waited for their certificate, since they were written.
    pub(super) held: Histogram,
    /// The same sessions, since their certificate was written.
    pub(super) released: Histogram,
}

/// A bit for every number.
#[derive(Default)]
struct Seen(Vec<u64>);

struct Reading {
    path: PathBuf,
    /// With its inode.
    file: Option<(File, u64)>,
    /// The beginning of a line whose end is not there yet.
    rest: Vec<u8>,
    ledger: Arc<Ledger>,
    arrived: Arrived,
}

/// Time between two looks when there was nothing. A plain look costs less than a notification for each of thousands of
/// writes, and nothing can delay it but the scheduler.
const LOOK: Duration = Duration::from_micros(500);
/// Bytes that are read at once, and then have arrived at one instant.
const PIECE: usize = 64 * 1024;
/// How long a file that certsift moved away is left alone: it may be compressing it.
const REMOVE_AFTER: Duration = Duration::from_secs(10);

impl Follower {
    pub(super) fn start(path: PathBuf, ledger: Arc<Ledger>) -> anyhow::Result<Self> {
        let (records, ending) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (Arc::clone(&records), Arc::clone(&ending));
        let reading = Reading { path, file: None, rest: Vec::new(), ledger, arrived: Arrived::default() };
        let thread = std::thread::Builder::new().name("follow".to_owned()).spawn(move || reading.run(&count, &end))?;
        Ok(Self { thread, records, ending })
    }

    /// Different records that have arrived so far.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Reads to the end, when nothing more is written.
    pub(super) fn finish(self) -> anyhow::Result<Arrived> {
        self.ending.store(true, Ordering::Relaxed);
        let arrived = self.thread.join().ok().context("the reader failed")?;
        arrived.context("cannot read the output")
    }
}

impl Reading {
    fn run(mut self, records: &AtomicU64, ending: &AtomicBool) -> io::Result<Arrived> {
        let mut piece = vec![0; PIECE];
        let mut cleaned = Instant::now();
        loop {
            let last = ending.load(Ordering::Relaxed);
            self.read_all(&mut piece)?;
            if self.was_replaced() {
                // What was written between the last look and the renaming.
                self.read_all(&mut piece)?;
                self.open()?;
                continue;
            }
            records.store(self.arrived.distinct, Ordering::Relaxed);
            if last {
                self.arrived.strange += u64::from(!self.rest.is_empty());
                return Ok(self.arrived);
            }
            if cleaned.elapsed() >= REMOVE_AFTER {
                cleaned = Instant::now();
                remove_old(&self.path)?;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn read_all(&mut self, piece: &mut [u8]) -> io::Result<()> {
        while let Some((file, _)) = &mut self.file {
            let length = file.read(piece)?;
            if length == 0 {
                break;
            }
            self.take(&piece[..length], Instant::now());
        }
        Ok(())
    }

    /// Takes what was read at an instant.
    fn take(&mut self, mut bytes: &[u8], now: Instant) {
        self.arrived.bytes += bytes.len() as u64;
        let pages = self.ledger.pages();
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, behind) = bytes.split_at(end);
            if self.rest.is_empty() {
                self.arrived.take(line, now, &pages);
            } else {
                self.rest.extend_from_slice(line);
                self.arrived.take(&self.rest, now, &pages);
                self.rest.clear();
            }
            bytes = &behind[1..];
        }
        self.rest.extend_from_slice(bytes);
    }

    /// Whether there is another file under the name.
    fn was_replaced(&self) -> bool {
        let inode = self.file.as_ref().map(|(_, inode)| *inode);
        // Between a renaming and the next file there is none.
        fs::metadata(&self.path).is_ok_and(|metadata| Some(metadata.ino()) != inode)
    }

    fn open(&mut self) -> io::Result<()> {
        match File::open(&self.path) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                self.file = Some((file, inode));
                Ok(())
            }
            // Moved away again; the next look finds what follows.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Arrived {
    fn take(&mut self, line: &[u8], now: Instant, pages: &Pages) {
        const PRESENTED: &[u8] = br#""state":"presented""#;
        let known = recognise(line);
        let (stamp, released) = match known {
            Some(Known::Session { number, held, certificate }) => {
                (pages.session(number), held.then(|| pages.certificate(certificate)))
            }
            Some(Known::Certificate(number)) => (pages.certificate(number), None),
            None => (None, None),
        };
        let (Some(known), Some(stamp)) = (known, stamp) else {
            self.strange += 1;
            return;
        };
        let fresh = match known {
            Known::Session { number, .. } => {
                self.without_certificate += u64::from(memchr::memmem::find(line, PRESENTED).is_none());
                self.sessions.insert(number)
            }
            Known::Certificate(number) => self.certificates.insert(number),
        };
        if !fresh {
            self.duplicates += 1;
            return;
        }
        self.distinct += 1;
        let times = match stamp.phase {
            Phase::Start => return,
            Phase::Idle => &mut self.idle,
            Phase::Load => &mut self.load,
        };
        let Some(released) = released else { return times.direct.add(now.saturating_duration_since(stamp.at)) };
        times.held.add(now.saturating_duration_since(stamp.at));
        if let Some(released) = released {
            times.released.add(now.saturating_duration_since(released.at));
        }
    }
}

impl Seen {
    /// Whether the number is new.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let fresh = self.0[word] & bit == 0;
        self.0[word] |= bit;
        fresh
    }
}

/// Removes what certsift moved away from this path a while ago.
fn remove_old(path: &Path) -> io::Result<()> {
    for entry in path.parent().map(fs::read_dir).transpose()?.into_iter().flatten() {
        let entry = entry?;
        let old = |metadata: fs::Metadata| metadata.modified()?.elapsed().map_err(io::Error::other);
        if entry.path() != path && entry.metadata().and_then(old).is_ok_and(|age| age >= REMOVE_AFTER) {
            // Compressing it may have removed it meanwhile.
            fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}
