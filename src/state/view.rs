//! A state that is looked at and not changed.

use std::path::{Path, PathBuf};

use redb::ReadOnlyDatabase;

use super::reading::Reading;
use super::{FILE_NAME, InputPosition, StateError, builder, guarded, refuse_empty};
use crate::correlate::{Clock, StoredCertificate};
use crate::history::{History, HistorySettings};
use crate::model::{CertificateId, Id128};

/// A state, open for reading. While it is, no certsift can write to it.
pub struct StateView {
    reading: Reading,
    path: PathBuf,
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
        match path.metadata() {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StateError::Directory { path: directory.to_owned(), source });
            }
            Ok(metadata) if metadata.is_file() => {}
            _ => return Err(StateError::None { path }),
        }
        refuse_empty(&path)?;
        guarded(&path, || {
            let database = builder().open_read_only(&path).map_err(|error| match error {
                redb::DatabaseError::DatabaseAlreadyOpen => StateError::InUse { path: path.clone() },
                redb::DatabaseError::RepairAborted => StateError::NotClosed { path: path.clone() },
                error => StateError::of_store(&path, error),
            })?;
            Ok(Self { reading: Reading::begin(&database, &path)?, path: path.clone(), _database: database })
        })
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
        Ok(guarded(&self.path, || self.reading.clock())?.unwrap_or_default())
    }

    /// How far inputs were read at the last commit.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn input_positions(&self) -> Result<Vec<InputPosition>, StateError> {
        guarded(&self.path, || self.reading.input_positions())
    }

    /// The history at the last commit, as far as `settings` have room for it.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn history(&self, settings: HistorySettings) -> Result<History, StateError> {
        let mut history = History::new(settings, false);
        guarded(&self.path, || self.reading.restore_history(&mut history))?;
        Ok(history)
    }

    /// The certificate of an id.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StateError> {
        guarded(&self.path, || self.reading.certificate(id))
    }

    /// Calls `each` with every certificate, in the order of their ids.
    ///
    /// # Errors
    /// The state cannot be read, or `each` fails.
    pub fn certificates(
        &self,
        each: impl FnMut(CertificateId, StoredCertificate) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        guarded(&self.path, || self.reading.certificates(each))
    }

    /// The rows of one table beside the history.
    pub(super) fn rows<V: serde::de::DeserializeOwned>(&self, table: u8) -> Result<Vec<(Id128, V)>, StateError> {
        guarded(&self.path, || self.reading.decoded(table))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{StateChanges, StateStore};
    use super::*;
    use crate::config::Config;
    use crate::correlate::{Backing, CertificateStore, Correlator};
    use crate::history::{Caller, Observation, ObservedCertificate};
    use crate::model::{DAY_NANOS, EventTime};

    fn observation(number: u8) -> Observation {
        let (at, id) = (EventTime(20_000 * DAY_NANOS), Id128([number; 16]));
        Observation {
            at,
            clock: at,
            client: Caller::Outgoing(id),
            server: Some(id),
            network: Some(id),
            domain: Some(id),
            certificate: Some(ObservedCertificate {
                id,
                key: Some(id),
                issuer: Some(id),
                organization: None,
                own_issuer: false,
                recalled: false,
            }),
            fingerprint: None,
        }
    }

    /// Opens a state every way there is.
    fn read_all(directory: &Path) -> Result<(), StateError> {
        let settings = Config::default().history;
        super::super::inspect(directory).unwrap();
        let view = StateView::open(directory)?;
        view.history(settings)?;
        view.certificates(|_, _| Ok(()))?;
        drop(view);
        let store = StateStore::open(directory)?;
        let certificates = CertificateStore::new(Backing::State(store.certificates()));
        let history = History::new(settings, true);
        let mut correlator = Correlator::new(Config::default().join, certificates, history, true);
        store.restore(&mut correlator)
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_the_end_of_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let store = StateStore::open(folder.path()).unwrap();
        let certificates = CertificateStore::new(Backing::State(store.certificates()));
        let mut history = History::new(Config::default().history, true);
        (0..200).for_each(|number| drop(history.observe(&observation(number), &mut |_| None)));
        let mut correlator = Correlator::new(Config::default().join, certificates, history, true);
        store.commit(&StateChanges::take(1, &mut correlator), None).unwrap();
        drop((store, correlator));
        read_all(folder.path()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for (number, at) in (0..whole.len()).step_by(4096).enumerate() {
            let mut damaged = whole.clone();
            let block = &mut damaged[at..(at + 4096).min(whole.len())];
            match number % 3 {
                0 => block.fill(0xff),
                1 => block.fill(0),
                _ => block.iter_mut().step_by(7).for_each(|byte| *byte ^= 0x55),
            }
            if damaged != whole {
                std::fs::write(&path, damaged).unwrap();
                refused += usize::from(read_all(folder.path()).is_err());
            }
        }
        assert!(refused > 5, "{refused}");
        std::fs::write(&path, b"").unwrap();
        assert!(StateView::open(folder.path()).err().unwrap().to_string().contains("the file is empty"));
        assert!(StateStore::open(folder.path()).err().unwrap().to_string().contains("the file is empty"));
    }
}
