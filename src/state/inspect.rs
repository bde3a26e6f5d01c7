//! A look at a state from outside: nothing is created, repaired or changed, and its lock is not kept.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use redb::{Database, ReadOnlyDatabase, ReadableDatabase as _};

use super::{FILE_NAME, META, VERSION, readable_version};

/// What a state directory holds.
#[derive(Debug)]
pub struct Inspection {
    /// The store.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Files of the journal, and their size in bytes.
    pub journals: (usize, u64),
    /// What the store says.
    pub store: StoreFound,
}

/// What a store is found to be.
#[derive(Debug)]
pub enum StoreFound {
    /// It can be used: the version of its format.
    Free(u32),
    /// Another process uses it.
    InUse,
    /// It was not closed in order; the next start repairs it.
    NeedsRepair,
    /// It is of another version than this program reads.
    OtherVersion {
        /// Its version.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// It cannot be read.
    Unreadable(String),
}

/// Looks into a state directory; `None` where it holds no state yet.
///
/// # Errors
/// The directory cannot be read.
pub fn inspect(directory: &Path) -> std::io::Result<Option<Inspection>> {
    let mut journals = (0, 0);
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("journal-") {
            journals = (journals.0 + 1, journals.1 + entry.metadata().map_or(0, |metadata| metadata.len()));
        }
    }
    let path = directory.join(FILE_NAME);
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    let store = catch_unwind(|| look(&path)).unwrap_or_else(|_| StoreFound::Unreadable("it is damaged".to_owned()));
    Ok(Some(Inspection { path, bytes: metadata.len(), journals, store }))
}

fn look(path: &Path) -> StoreFound {
    // Read-only: the lock is a shared one, and ends with this function.
    let database = match Database::builder().open_read_only(path) {
        Ok(database) => database,
        Err(redb::DatabaseError::DatabaseAlreadyOpen) => return StoreFound::InUse,
        Err(redb::DatabaseError::RepairAborted) => return StoreFound::NeedsRepair,
        Err(error) => return StoreFound::Unreadable(error.to_string()),
    };
    match version(&database) {
        // An older one is brought to this format by the next start.
        Ok(Some(found)) if readable_version(path, found).is_ok() => StoreFound::Free(found),
        Ok(Some(found)) => StoreFound::OtherVersion { found, known: VERSION },
        Ok(None) => StoreFound::Unreadable("it says no version".to_owned()),
        Err(error) => StoreFound::Unreadable(error.to_string()),
    }
}

fn version(database: &ReadOnlyDatabase) -> Result<Option<u32>, redb::Error> {
    let meta = database.begin_read()?.open_table(META)?;
    let value = meta.get("version")?;
    Ok(value.and_then(|value| <[u8; 4]>::try_from(value.value()).ok()).map(u32::from_be_bytes))
}
