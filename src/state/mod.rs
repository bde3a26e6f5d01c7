//! What outlives the process: certificates, history, and how far inputs were read, in one file and one transaction.
//!
//! The file is `certsift.redb` in the state directory. Its tables:
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | `version` (of this format), `clock`, `learning`, `newest`, `written` |
//! | `certificates` | certificate id | facts, and whether it came first in a message |
//! | `rows` | table number, key | place in the order of recency, value |
//! | `held` | place in their order | a session that waits for its certificate |
//! | `inputs` | stream key | where to read on |
//!
//! Beside it lies a journal of what was written since the last commit, which a restart goes through.
//!
//! Promise: a commit is whole or not there, and a state of a newer version is refused and not touched.

mod changes;
mod fill;
mod inspect;
mod journal;
mod migrate;
mod prune;
mod reading;
mod spill;
mod view;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

pub use changes::{InputPosition, Newest, StateChanges, Step};
pub use inspect::{Inspection, StoreFound, inspect};
pub use journal::{Entry, Journal, JournalError, JournalReader, JournalStart, remove_journals};
pub use prune::Pruned;
pub use spill::CertificateSpill;
pub use view::StateView;

use reading::Reading;

use crate::correlate::{Correlator, StoredCertificate};
use crate::history::Alerts;
use crate::knowledge::Answers;
use crate::model::{CertificateId, StreamKey};
use crate::sink::FileMark;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const CERTIFICATES: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("certificates");
const ROWS: TableDefinition<'_, RowKey, RowValue<'_>> = TableDefinition::new("rows");
const HELD: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("held");
const INPUTS: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("inputs");

/// Number of the table, and the key in it.
type RowKey = (u8, [u8; 16]);
/// The place in the order of recency, and the value.
type RowValue<'a> = (u64, bool, &'a [u8]);

/// Version of the format that this program reads and writes.
const VERSION: u32 = 5;
const DAMAGED: &str = "the file is damaged";
const FILE_NAME: &str = "certsift.redb";
/// The store's own cache; certificates that are in use are cached in front of it.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Numbers of tables beside those of the history.
const TABLE_LINKS: u8 = 16;
const TABLE_PAIRS: u8 = 17;
const TABLE_PRESENTED: u8 = 18;
const TABLE_FLOWS: u8 = 19;
const TABLE_VALIDATING: u8 = 20;
const TABLE_ALERTS: u8 = 21;
const TABLE_SENSOR_CLOCKS: u8 = 22;
const TABLE_ANSWERS: u8 = 23;

/// The state of one certsift.
pub struct StateStore {
    database: Arc<Shared>,
    path: PathBuf,
}

/// The open store. A write that failed makes it useless; then it is closed and opened again.
struct Shared(RwLock<Option<Database>>);

/// What certsift itself has written, as of a commit.
#[derive(Clone, PartialEq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Written {
    /// The journal that goes on from this commit.
    pub journal: u64,
    /// The output, where it is a file.
    pub output: Option<FileMark>,
    /// The dead letters.
    pub dead_letters: Option<FileMark>,
}

/// Reads certificates back that are not in memory.
pub trait CertificateReader: Send {
    /// The certificate of an id; `None` when it is not stored or cannot be read.
    fn read(&self, id: CertificateId) -> Option<StoredCertificate>;
}

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory cannot be made or entered.
    #[error("{}: cannot use the state directory: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is none.
    #[error("{}: there is no state here", .path.display())]
    None {
        /// Where it would be.
        path: PathBuf,
    },
    /// Whoever wrote to it last did not come to close it.
    #[error(
        "{}: this state was not closed in order, and is not repaired by only looking at it; start certsift with it once",
        .path.display()
    )]
    NotClosed {
        /// The file.
        path: PathBuf,
    },
    /// Another process holds the state.
    #[error("{}: another certsift is using this state; stop it, or give this one a state of its own", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The state was written by a newer version.
    #[error(
        "{}: written by a newer certsift (format {found}, this one knows {VERSION}); use that version, \
         or another state directory",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The state was written by an older version whose format is no longer read.
    #[error(
        "{}: written by an older certsift (format {found}, this one knows {VERSION}); move the file away to start anew",
        .path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A part of it cannot be read.
    #[error("{}: the state is damaged in its table {table}; move the file away to start anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
    },
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It cannot be opened or read at all.
    #[error("{}: the state cannot be read: {why}; move the file away to start anew", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is amiss.
        why: &'static str,
    },
    /// The store failed. A full disk is the usual cause, and trying again helps once there is room.
    #[error("{}: {source}", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store says.
        source: Box<redb::Error>,
    },
}

impl StateStore {
    /// Opens the state in a directory, which is made when it is not there.
    ///
    /// # Errors
    /// The directory or file cannot be used, another process uses it, or a newer version wrote it.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let directory_error = |source| StateError::Directory { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(directory_error)?;
        let path = directory.join(FILE_NAME);
        guarded(&path.clone(), || {
            refuse_empty(&path)?;
            refuse_other_versions(&path)?;
            let database = open_database(&path)?;
            let store = Self { database: Arc::new(Shared(RwLock::new(Some(database)))), path };
            store.prepare()?;
            Ok(store)
        })
    }

    /// The folder of the state.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Closes the store and opens it again, after it could not be written.
    ///
    /// # Errors
    /// It still cannot be used.
    pub fn reopen(&self) -> Result<(), StateError> {
        let mut database = self.database.0.write().unwrap_or_else(PoisonError::into_inner);
        // Its lock goes with it.
        drop(database.take());
        *database = Some(guarded(&self.path, || open_database(&self.path))?);
        Ok(())
    }

    /// What certsift itself had written at the last commit; nothing before the first one.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn written(&self) -> Result<Option<Written>, StateError> {
        self.reading(|reading| reading.meta("written"))
    }

    /// Whether a journal holds what no commit does: then whoever wrote it has to go through it first.
    ///
    /// # Errors
    /// The state or a journal cannot be read.
    pub fn has_open_journal(&self) -> Result<bool, StateError> {
        let mut number = self.written()?.unwrap_or_default().journal;
        loop {
            let mut journal = JournalReader::open(self.directory(), number)?;
            if journal.start().is_none() {
                return Ok(false);
            }
            if journal.next_entry()?.is_some() {
                return Ok(true);
            }
            number += 1;
        }
    }

    /// The clock at the last commit; none before the first one.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn clock(&self) -> Result<Option<crate::correlate::Clock>, StateError> {
        self.reading(|reading| reading.clock())
    }

    /// The newest events at the last commit.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn newest(&self) -> Result<Newest, StateError> {
        Ok(self.reading(|reading| reading.meta("newest"))?.unwrap_or_default())
    }

    /// Reads certificates from this state.
    pub fn certificates(&self) -> Box<dyn CertificateReader> {
        Box::new(DiskCertificates { database: Arc::clone(&self.database) })
    }

    /// Puts everything that is stored into a new correlator.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn restore(&self, correlator: &mut Correlator) -> Result<(), StateError> {
        self.reading(|reading| reading.restore(correlator))
    }

    /// The alerts at the last commit.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn alerts(&self) -> Result<Alerts, StateError> {
        let mut alerts = Alerts::new(true);
        self.reading(|reading| reading.restore_alerts(&mut alerts))?;
        Ok(alerts)
    }

    /// What registries had answered at the last commit.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn answers(&self) -> Result<Answers, StateError> {
        Ok(Answers::new(self.read()?.decoded(TABLE_ANSWERS)?))
    }

    /// Where inputs are to be read on.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn input_positions(&self) -> Result<Vec<InputPosition>, StateError> {
        self.reading(|reading| reading.input_positions())
    }

    /// Writes changes, all or none, and where certsift's own files stand, if it keeps account of them.
    ///
    /// # Errors
    /// The store cannot write; nothing was changed. It has to be [reopened](Self::reopen) before the next attempt.
    pub fn commit(&self, changes: &StateChanges, written: Option<&Written>) -> Result<(), StateError> {
        guarded(&self.path, || self.commit_now(changes, written))
    }

    fn commit_now(&self, changes: &StateChanges, written: Option<&Written>) -> Result<(), StateError> {
        let mut transaction = self.begin_write()?;
        // After a kill the store is repaired from its last commit at once, and not by reading all of it.
        transaction.set_quick_repair(true);
        self.write(&transaction, changes, written).map_err(|source| self.store_error(source))?;
        crate::crash::point("store-written");
        transaction.commit().map_err(|error| self.store_error(error))?;
        crate::crash::point("store-committed");
        Ok(())
    }

    fn prepare(&self) -> Result<(), StateError> {
        let transaction = self.begin_write()?;
        let mut version = VERSION;
        {
            let mut meta = transaction.open_table(META).map_err(|error| self.store_error(error))?;
            let stored = meta
                .get("version")
                .map_err(|error| self.store_error(error))?
                .map(|value| <[u8; 4]>::try_from(value.value()).map(u32::from_be_bytes));
            match stored {
                Some(Ok(found)) => version = readable_version(&self.path, found)?,
                Some(Err(_)) => return Err(StateError::Damaged { path: self.path.clone(), table: "meta" }),
                None => {
                    let version = VERSION.to_be_bytes();
                    meta.insert("version", version.as_slice()).map_err(|error| self.store_error(error))?;
                }
            }
            transaction.open_table(CERTIFICATES).map_err(|error| self.store_error(error))?;
            transaction.open_table(ROWS).map_err(|error| self.store_error(error))?;
            transaction.open_table(HELD).map_err(|error| self.store_error(error))?;
            transaction.open_table(INPUTS).map_err(|error| self.store_error(error))?;
        }
        if version < VERSION {
            migrate::from_format(version, &transaction, &self.path)?;
            tracing::info!(path = %self.path.display(), from = version, to = VERSION, "brought the state to this format");
        }
        transaction.commit().map_err(|error| self.store_error(error))
    }

    fn write(
        &self,
        transaction: &redb::WriteTransaction,
        changes: &StateChanges,
        written: Option<&Written>,
    ) -> Result<(), redb::Error> {
        let mut certificates = transaction.open_table(CERTIFICATES)?;
        for (id, stored) in changes.certificates.iter() {
            certificates.insert(id.0, postcard::to_allocvec(stored).unwrap_or_default().as_slice())?;
        }
        let mut rows = transaction.open_table(ROWS)?;
        for row in &changes.rows {
            match &row.value {
                Some(value) => {
                    let value = (row.recency.sequence, row.recency.established, value.as_slice());
                    rows.insert((row.table, row.key.0), value)?;
                }
                None => {
                    rows.remove((row.table, row.key.0))?;
                }
            }
        }
        let mut held = transaction.open_table(HELD)?;
        for ((end, arrival), session) in &changes.held {
            match session {
                Some(session) => {
                    held.insert((end.0, *arrival), postcard::to_allocvec(session).unwrap_or_default().as_slice())?;
                }
                None => {
                    held.remove((end.0, *arrival))?;
                }
            }
        }
        let mut inputs = transaction.open_table(INPUTS)?;
        for position in &changes.inputs {
            inputs.insert(position.stream.0, postcard::to_allocvec(position).unwrap_or_default().as_slice())?;
        }
        for StreamKey(stream) in &changes.forgotten {
            inputs.remove(*stream)?;
        }
        let mut meta = transaction.open_table(META)?;
        put(&mut meta, "clock", changes.clock.as_ref())?;
        put(&mut meta, "learning", changes.learning.as_ref())?;
        put(&mut meta, "newest", changes.newest.as_ref())?;
        put(&mut meta, "written", written)
    }

    fn read(&self) -> Result<Reading, StateError> {
        let database = self.database.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else { return Err(self.store_error(redb::Error::PreviousIo)) };
        Reading::begin(database, &self.path)
    }

    /// What the last commit says.
    fn reading<T>(&self, ask: impl FnOnce(Reading) -> Result<T, StateError>) -> Result<T, StateError> {
        guarded(&self.path, || ask(self.read()?))
    }

    fn begin_write(&self) -> Result<redb::WriteTransaction, StateError> {
        let database = self.database.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else { return Err(self.store_error(redb::Error::PreviousIo)) };
        database.begin_write().map_err(|error| self.store_error(error))
    }

    fn store_error(&self, source: impl Into<redb::Error>) -> StateError {
        StateError::of_store(&self.path, source)
    }
}

impl StateError {
    fn of_store(path: &Path, source: impl Into<redb::Error>) -> Self {
        match source.into() {
            redb::Error::Corrupted(_) => Self::Unreadable { path: path.to_owned(), why: DAMAGED },
            source => Self::Store { path: path.to_owned(), source: Box::new(source) },
        }
    }
}

/// The version of a format, if this program reads it.
fn readable_version(path: &Path, found: u32) -> Result<u32, StateError> {
    let path = path.to_owned();
    if found > VERSION {
        Err(StateError::Newer { path, found })
    } else if found < migrate::OLDEST {
        Err(StateError::Older { path, found })
    } else {
        Ok(found)
    }
}

impl Shared {
    fn begin_read(&self) -> Result<redb::ReadTransaction, redb::Error> {
        let database = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(database.as_ref().ok_or(redb::Error::PreviousIo)?.begin_read()?)
    }
}

/// A file that is damaged in the wrong place makes the store panic. That costs the state and not the process.
fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
    let damaged = StateError::Unreadable { path: path.to_owned(), why: DAMAGED };
    catch_unwind(AssertUnwindSafe(open)).unwrap_or(Err(damaged))
}

/// It is never made empty: it is made under another name and whole when it gets its own.
fn refuse_empty(path: &Path) -> Result<(), StateError> {
    match path.metadata() {
        Ok(metadata) if metadata.len() == 0 => {
            Err(StateError::Unreadable { path: path.to_owned(), why: "the file is empty" })
        }
        _ => Ok(()),
    }
}

/// Looks at the version before anything is opened for writing, which alone may change the file. One that was not closed
/// in order cannot be looked at; it is repaired first.
fn refuse_other_versions(path: &Path) -> Result<(), StateError> {
    let Ok(database) = builder().open_read_only(path) else { return Ok(()) };
    Reading::begin(&database, path).map(drop)
}

fn open_database(path: &Path) -> Result<Database, StateError> {
    let open = || {
        if !path.exists() {
            make_database(path)?;
        }
        builder().create(path)
    };
    open().map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StateError::InUse { path: path.to_owned() },
        error => StateError::of_store(path, error),
    })
}

/// Makes a store, which gets its name only once it is whole: what a kill leaves before that is no store, and would be
/// refused for good.
fn make_database(path: &Path) -> Result<(), redb::DatabaseError> {
    let unfinished = path.with_extension("unfinished");
    match builder().create(&unfinished) {
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(redb::DatabaseError::DatabaseAlreadyOpen),
        Err(_) => {
            std::fs::remove_file(&unfinished)?;
            drop(builder().create(&unfinished)?);
        }
        Ok(whole) => drop(whole),
    }
    Ok(std::fs::rename(unfinished, path)?)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn put<T: serde::Serialize>(
    meta: &mut redb::Table<'_, &str, &[u8]>,
    name: &str,
    value: Option<&T>,
) -> Result<(), redb::Error> {
    if let Some(value) = value {
        meta.insert(name, postcard::to_allocvec(value).unwrap_or_default().as_slice())?;
    }
    Ok(())
}

const READ_ATTEMPTS: u32 = 100;
const READ_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

struct DiskCertificates {
    database: Arc<Shared>,
}

impl CertificateReader for DiskCertificates {
    fn read(&self, id: CertificateId) -> Option<StoredCertificate> {
        let read = || -> Result<Option<StoredCertificate>, redb::Error> {
            let certificates = self.database.begin_read()?.open_table(CERTIFICATES)?;
            let Some(value) = certificates.get(id.0)? else { return Ok(None) };
            let stored = postcard::from_bytes(value.value());
            Ok(Some(stored.map_err(|_| redb::Error::Corrupted("a certificate in it is none".to_owned()))?))
        };
        let read = || {
            let damaged = || redb::Error::Corrupted("it cannot be read".to_owned());
            catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged()))
        };
        // After a write that failed, the store is opened again at once: what is stored must not seem to be unknown.
        for _ in 0..READ_ATTEMPTS {
            match read() {
                Err(redb::Error::PreviousIo) => std::thread::sleep(READ_PAUSE),
                outcome => {
                    return outcome.unwrap_or_else(|error| {
                        tracing::error!(%error, "a certificate of the state cannot be read; sessions with it go without");
                        None
                    });
                }
            }
        }
        None
    }
}
