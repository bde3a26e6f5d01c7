//! Lists become an index, in as little memory as wished: rows are parted by the leading bits of their hash into files
//! without names on the index's disk, and each of these is sorted by itself.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::super::list::RegistrationList;
use super::super::read::{self, Kept};
use super::super::{ListReport, Notes};
use super::{ENTRY, Header, MAX_BITS, MIN_BITS, Shared, is_index, slot_of};
use crate::knowledge::suffix;
use crate::model::Id128;

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// What became of each list, in their order.
    pub reports: Vec<ListReport>,
    /// Registrations in the index.
    pub entries: u64,
    /// Bytes of the index.
    pub bytes: u64,
}

/// Why no index was built; the one before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A list cannot be read to its end.
    #[error("{}: {why}", .path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something else than an index stands where it is to be.
    #[error("{}: exists and is no index: name the index first and the lists after it", .0.display())]
    NoIndex(PathBuf),
    /// No list holds a registration.
    #[error("the lists hold no registration")]
    Nothing,
    /// The index cannot be written.
    #[error("{}: cannot write the index: {source}", .path.display())]
    Write {
        /// The index.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Files that rows are parted into: with 20 million of them each holds 2.5 MB.
const PARTS: usize = 128;
/// Bytes of a row in them: 12 of the hash, the day, the number of the note.
const ROW: usize = 16;
const BUFFER: usize = 64 * 1024;
/// Entries for each place in the directory, about.
const PER_SLOT: u64 = 6;

/// Builds an index of lists and puts it in the place of the one before, when it is whole.
///
/// # Errors
/// A list cannot be read to its end, or the index cannot be written; nothing is replaced then.
pub fn build(out: &Path, lists: &[RegistrationList]) -> Result<Built, BuildError> {
    // Most likely one of the lists, or another file whose name was given first by mistake.
    if out.symlink_metadata().is_ok() && !is_index(out) {
        return Err(BuildError::NoIndex(out.to_owned()));
    }
    let written = |source| BuildError::Write { path: out.to_owned(), source };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let unfinished = Unfinished::beside(out);
    unfinished.remove_leftovers(folder);
    let mut parts = Parts::new(folder).map_err(written)?;
    let mut reports = Vec::new();
    for list in lists {
        let list_failed = |why: &str| BuildError::List { path: list.path.clone(), why: why.to_owned() };
        if is_index(&list.path) {
            return Err(list_failed("is an index already; name the lists that it was built of"));
        }
        let report = read::read(list, &mut |row| parts.push(&row));
        if let Some(error) = &report.error {
            return Err(list_failed(error));
        }
        reports.push(report);
    }
    if let Some(error) = parts.failed {
        return Err(written(error));
    }
    if parts.rows == 0 {
        return Err(BuildError::Nothing);
    }
    let (entries, bytes) = parts.finish(out, folder, &unfinished).map_err(written)?;
    Ok(Built { reports, entries, bytes })
}

/// What the file of an index is called until it is whole. It is locked as long as it is being written, so that what a
/// kill has left is told from what another build is at.
struct Unfinished(String);

impl Unfinished {
    fn beside(out: &Path) -> Self {
        let name = out.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self(format!(".{name}.unfinished-"))
    }

    fn make(&self, folder: &Path) -> io::Result<tempfile::NamedTempFile> {
        // Whoever runs certsift reads it, and need not be who builds it.
        let readable = std::fs::Permissions::from_mode(0o644);
        let file = tempfile::Builder::new().prefix(&self.0).permissions(readable).tempfile_in(folder)?;
        file.as_file().lock()?;
        Ok(file)
    }

    fn remove_leftovers(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_its = entry.file_name().to_string_lossy().starts_with(&self.0);
            if is_its
                && entry.file_type().is_ok_and(|kind| kind.is_file())
                && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok())
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "cannot remove what a build has left behind");
            }
        }
    }
}

/// Rows, parted by the leading bits of their hash.
struct Parts {
    files: Vec<BufWriter<File>>,
    notes: Notes,
    rows: u64,
    failed: Option<io::Error>,
}

impl Parts {
    fn new(folder: &Path) -> io::Result<Self> {
        // Without names, so that nothing is left of them however the build ends.
        let file = |_| Ok(BufWriter::with_capacity(BUFFER, tempfile::tempfile_in(folder)?));
        let files = (0..PARTS).map(file).collect::<io::Result<_>>()?;
        Ok(Self { files, notes: Notes::default(), rows: 0, failed: None })
    }

    /// Takes a row; `false` when there are as many as an index can hold.
    fn push(&mut self, row: &Kept<'_>) -> bool {
        if self.rows >= u64::from(u32::MAX) {
            return false;
        }
        let Some(note) = self.notes.number(row) else { return false };
        // Days are those of `when::parse`, and there are no more notes than 16 bits can tell.
        let (day, note) = (row.day.clamp(0, i32::from(u16::MAX)) as u16, note as u16);
        let mut bytes = [0; ROW];
        bytes[..12].copy_from_slice(&row.domain.0[..12]);
        bytes[12..14].copy_from_slice(&day.to_be_bytes());
        bytes[14..].copy_from_slice(&note.to_be_bytes());
        let part = usize::from(row.domain.0[0]) * PARTS / 256;
        if let Some(file) = self.files.get_mut(part)
            && let Err(error) = file.write_all(&bytes)
        {
            self.failed.get_or_insert(error);
        }
        self.rows += 1;
        true
    }

    fn finish(self, out: &Path, folder: &Path, unfinished: &Unfinished) -> io::Result<(u64, u64)> {
        let (notes, ranks) = self.notes.in_order();
        let shared = Shared { suffixes: suffix::edition(), notes };
        let notes_bytes = postcard::to_stdvec(&shared).map_err(io::Error::other)?;
        let bits = (self.rows / PER_SLOT).max(1).ilog2().clamp(MIN_BITS, MAX_BITS);
        let mut header = Header {
            bits,
            entries: 0,
            notes: notes_bytes.len() as u64,
            content: [0; 32],
            notes_crc: crc32fast::hash(&notes_bytes),
        };
        let mut target = unfinished.make(folder)?;
        let mut hash = Sha256::new();
        let mut directory = vec![0_u32; (1 << bits) + 1];
        let mut writer = BufWriter::with_capacity(BUFFER, target.as_file_mut());
        writer.seek(SeekFrom::Start(header.entries_at().start as u64))?;
        for file in self.files {
            for row in sorted(file, &ranks)? {
                let row = row.to_be_bytes();
                let mut domain = Id128([0; 16]);
                domain.0[..12].copy_from_slice(&row[..12]);
                if let Some(count) = directory.get_mut(slot_of(&domain, bits) + 1) {
                    *count += 1;
                }
                let entry = &row[ROW - ENTRY..];
                writer.write_all(entry)?;
                hash.update(entry);
                header.entries += 1;
            }
        }
        let mut begins = 0;
        for slot in &mut directory {
            begins += *slot;
            *slot = begins;
        }
        let directory: Vec<u8> = directory.iter().flat_map(|slot| slot.to_le_bytes()).collect();
        hash.update(&directory);
        hash.update(&notes_bytes);
        header.content = hash.finalize().into();
        writer.seek(SeekFrom::Start(0))?;
        writer.write_all(&header.write())?;
        writer.write_all(&notes_bytes)?;
        writer.write_all(&directory)?;
        writer.flush()?;
        drop(writer);
        target.as_file().sync_all()?;
        target.persist(out).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()?;
        Ok((header.entries, header.entries_at().end as u64))
    }
}

/// The rows of a part in their order, each once, with the numbers that notes have in theirs.
fn sorted(file: BufWriter<File>, ranks: &[u32]) -> io::Result<Vec<u128>> {
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let length = file.stream_position()?;
    file.rewind()?;
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut rows = Vec::with_capacity(usize::try_from(length).unwrap_or_default() / ROW);
    let mut row = [0; ROW];
    for _ in 0..length / ROW as u64 {
        reader.read_exact(&mut row)?;
        let number = usize::from(u16::from_be_bytes([row[14], row[15]]));
        let rank = ranks.get(number).copied().unwrap_or_default() as u16;
        row[14..].copy_from_slice(&rank.to_be_bytes());
        rows.push(u128::from_be_bytes(row));
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}
