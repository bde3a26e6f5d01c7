//! A state of an older format becomes one of this, in one transaction.

use redb::ReadableTable as _;

use super::{META, ROWS, StateError, VERSION};
use crate::history::{HistoryTable, migrate};

/// The oldest format that is read.
pub(super) const OLDEST: u32 = 2;

/// Writes the rows of format 2 anew, where they have another form today.
pub(super) fn from_format_2(transaction: &redb::WriteTransaction, path: &std::path::Path) -> Result<(), StateError> {
    let store_error = |error: redb::Error| StateError::of_store(path, error);
    let mut rows = transaction.open_table(ROWS).map_err(|error| store_error(error.into()))?;
    for table in HistoryTable::ALL {
        let number = table as u8;
        let mut renewed = Vec::new();
        let range = rows.range((number, [0; 16])..=(number, [0xff; 16])).map_err(|error| store_error(error.into()))?;
        for row in range {
            let (key, value) = row.map_err(|error| store_error(error.into()))?;
            let (sequence, established, value) = value.value();
            let value = migrate::from_format_2(table, value)
                .map_err(|_| StateError::Damaged { path: path.to_owned(), table: "rows" })?;
            renewed.push((key.value(), sequence, established, value));
        }
        for (key, sequence, established, value) in renewed {
            rows.insert(key, (sequence, established, value.as_slice())).map_err(|error| store_error(error.into()))?;
        }
    }
    let mut meta = transaction.open_table(META).map_err(|error| store_error(error.into()))?;
    let version = VERSION.to_be_bytes();
    meta.insert("version", version.as_slice()).map_err(|error| store_error(error.into()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{FILE_NAME, StateStore, StateView};
    use super::*;
    use crate::history::{History, HistorySettings, LearningThresholds, Observation, ObservedCertificate};
    use crate::model::{EventTime, HOUR_NANOS, Id128};

    const SETTINGS: HistorySettings = HistorySettings {
        window_days: 30,
        learning: LearningThresholds { days: 7, certificates: 1000, clients: 50 },
        memory: 1 << 20,
    };
    const AT: EventTime = EventTime(20_000 * 24 * HOUR_NANOS);

    fn id(number: u8) -> Id128 {
        Id128([number; 16])
    }

    /// A state of format 2 with an issuer, a certificate and a name, as that version wrote it.
    fn write_format_2(directory: &std::path::Path, version: u32) {
        let database = redb::Database::create(directory.join(FILE_NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert("version", version.to_be_bytes().as_slice()).unwrap();
            let first = (AT, true);
            let clients = vec![(id(1), 20_000), (id(2), 20_003)];
            let none: Vec<(Id128, i32)> = Vec::new();
            let issuer = (first, AT.plus(5), clients.clone(), none.clone(), none.clone(), none);
            let mut rows = transaction.open_table(ROWS).unwrap();
            let mut put = |table: u8, key: u8, sequence: u64, value: Vec<u8>| {
                rows.insert((table, id(key).0), (sequence, true, value.as_slice())).unwrap();
            };
            put(1, 10, 7, postcard::to_allocvec(&issuer).unwrap());
            put(2, 11, 8, postcard::to_allocvec(&(first, clients)).unwrap());
            put(3, 12, 9, postcard::to_allocvec(&(first, Some(id(1)))).unwrap());
            put(4, 1, 3, postcard::to_allocvec(&20_003).unwrap());
        }
        transaction.commit().unwrap();
    }

    fn assert_history(history: &History) {
        let observation = Observation {
            at: AT,
            clock: AT.plus(3 * 24 * HOUR_NANOS),
            client: None,
            server: Some(id(99)),
            network: None,
            domain: Some(id(12)),
            certificate: Some(ObservedCertificate {
                id: id(11),
                key: Some(id(98)),
                issuer: Some(id(10)),
                organization: None,
                own_issuer: false,
                recalled: false,
            }),
        };
        let seen = history.look_up(&observation);
        let issuer = seen.issuer.unwrap();
        assert_eq!((issuer.clients, issuer.servers, issuer.first.at, issuer.last_seen), (2, 0, AT, AT.plus(5)));
        let certificate = seen.certificate.unwrap();
        assert_eq!((certificate.clients, certificate.servers, certificate.last_seen.day()), (2, 0, 20_003));
        let name = seen.name.unwrap();
        assert_eq!((name.clients, name.issuers, name.first.after_learning), (1, 0, true));
        assert_eq!((seen.server, seen.key, seen.active_clients), (None, None, 1));
    }

    #[test]
    fn a_state_of_format_2_is_read_as_it_is_and_written_in_this_format() {
        let folder = tempfile::tempdir().unwrap();
        write_format_2(folder.path(), 2);
        let view = StateView::open(folder.path()).unwrap();
        assert_eq!(view.version(), 2);
        assert_history(&view.history(SETTINGS).unwrap());
        drop(view);
        drop(StateStore::open(folder.path()).unwrap());
        let view = StateView::open(folder.path()).unwrap();
        assert_eq!(view.version(), VERSION);
        assert_history(&view.history(SETTINGS).unwrap());
    }

    #[test]
    fn other_formats_are_refused_and_not_touched() {
        for version in [1, VERSION + 1] {
            let folder = tempfile::tempdir().unwrap();
            write_format_2(folder.path(), version);
            let before = std::fs::read(folder.path().join(FILE_NAME)).unwrap();
            for _ in 0..2 {
                let error = StateStore::open(folder.path()).err().unwrap().to_string();
                assert!(error.contains(&format!("format {version}, this one knows {VERSION}")), "{error}");
                assert!(StateView::open(folder.path()).is_err());
            }
            assert_eq!(std::fs::read(folder.path().join(FILE_NAME)).unwrap().len(), before.len());
        }
    }
}
