//! A state that is looked at and not changed.

use std::path::Path;

use redb::ReadOnlyDatabase;

use super::reading::Reading;
use super::{FILE_NAME, StateError, builder};
use crate::correlate::{Clock, StoredCertificate};
use crate::history::{History, HistorySettings};
use crate::model::{CertificateId, Id128};

/// A state, open for reading. While it is, no certsift can write to it.
pub struct StateView {
    reading: Reading,
    /// Holds the lock.
    _database: ReadOnlyDatabase,
}

impl StateView {
    /// Opens the state in a directory.
    ///
    /// # Errors
    /// There is none, a process writes to it, it was not closed in order, or another version wrote it.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let path = directory.join(FILE_NAME);
        if !path.is_file() {
            return Err(StateError::None { path });
        }
        let database = builder().open_read_only(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StateError::InUse { path: path.clone() },
            redb::DatabaseError::RepairAborted => StateError::NotClosed { path: path.clone() },
            error => StateError::of_store(&path, error),
        })?;
        Ok(Self { reading: Reading::begin(&database, &path)?, _database: database })
    }

    /// The format that it is written in.
    pub fn version(&self) -> u32 {
        self.reading.version()
    }

    /// The clock at the last commit.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn clock(&self) -> Result<Clock, StateError> {
        Ok(self.reading.clock()?.unwrap_or_default())
    }

    /// The history at the last commit, as far as `settings` have room for it.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn history(&self, settings: HistorySettings) -> Result<History, StateError> {
        let mut history = History::new(settings, false);
        self.reading.restore_history(&mut history)?;
        Ok(history)
    }

    /// The certificate of an id.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StateError> {
        self.reading.certificate(id)
    }

    /// Calls `each` with every certificate, in the order of their ids.
    ///
    /// # Errors
    /// The state cannot be read, or `each` fails.
    pub fn certificates(
        &self,
        each: impl FnMut(CertificateId, StoredCertificate) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        self.reading.certificates(each)
    }

    /// The rows of one table beside the history.
    pub(super) fn rows<V: serde::de::DeserializeOwned>(&self, table: u8) -> Result<Vec<(Id128, V)>, StateError> {
        self.reading.decoded(table)
    }
}
