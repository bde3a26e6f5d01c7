//! A state of an older format becomes one of this, in one transaction.

use redb::ReadableTable as _;

use super::{HELD, META, ROWS, StateError, VERSION};
use crate::history::{HistoryTable, migrate};

/// The oldest format that is read.
pub(super) const OLDEST: u32 = 2;

/// What waiting sessions lack that were stored before format 4: both fingerprints of the client, which nobody knows.
const NO_FINGERPRINTS: [u8; 2] = [0, 0];

/// Brings everything to the format of today.
///
/// # Errors
/// The store cannot be read or written, or a row cannot be read.
pub(super) fn from_format(
    version: u32,
    transaction: &redb::WriteTransaction,
    path: &std::path::Path,
) -> Result<(), StateError> {
    renew_rows(version, transaction, path)?;
    let store_error = |error| StateError::of_store(path, error);
    // Format 5 has a table more, which is empty.
    if version < 4 {
        lengthen_held(transaction).map_err(store_error)?;
    }
    let put_version = || -> Result<(), redb::Error> {
        transaction.open_table(META)?.insert("version", VERSION.to_be_bytes().as_slice())?;
        Ok(())
    };
    put_version().map_err(store_error)
}

/// Writes the rows of the history anew that have another form today.
fn renew_rows(version: u32, transaction: &redb::WriteTransaction, path: &std::path::Path) -> Result<(), StateError> {
    let store_error = |error: redb::Error| StateError::of_store(path, error);
    let mut rows = transaction.open_table(ROWS).map_err(|error| store_error(error.into()))?;
    for table in HistoryTable::ALL {
        let number = table as u8;
        let mut renewed = Vec::new();
        let range = rows.range((number, [0; 16])..=(number, [0xff; 16])).map_err(|error| store_error(error.into()))?;
        for row in range {
            let (key, value) = row.map_err(|error| store_error(error.into()))?;
            let (sequence, established, value) = value.value();
            let current = migrate::from_format(version, table, value)
                .map_err(|_| StateError::Damaged { path: path.to_owned(), table: "rows" })?;
            if current != value {
                renewed.push((key.value(), sequence, established, current));
            }
        }
        for (key, sequence, established, value) in renewed {
            rows.insert(key, (sequence, established, value.as_slice())).map_err(|error| store_error(error.into()))?;
        }
    }
    Ok(())
}

/// Adds to the end of waiting sessions what formats 2 and 3 did not have.
fn lengthen_held(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    let mut held = transaction.open_table(HELD)?;
    let mut longer = Vec::new();
    for row in held.iter()? {
        let (place, session) = row?;
        longer.push((place.value(), [session.value(), &NO_FINGERPRINTS].concat()));
    }
    for (place, session) in longer {
        held.insert(place, session.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{FILE_NAME, StateChanges, StateStore, StateView};
    use super::*;
    use crate::config::Config;
    use crate::correlate::{Backing, CertificateStore, Correlator};
    use crate::decode::{DecodeContext, Format, RawBatch, decode};
    use crate::history::{Caller, History, HistorySettings, LearningThresholds, Observation, ObservedCertificate};
    use crate::model::{EventTime, HOUR_NANOS, Id128, Log, SourceInfo, StreamKey};

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
            client: Caller::Unnamed,
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
            fingerprint: None,
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

    fn correlator_of(store: &StateStore) -> Correlator {
        let certificates = CertificateStore::new(Backing::State(store.certificates()));
        Correlator::new(Config::default().join, certificates, History::new(SETTINGS, true), true)
    }

    #[test]
    fn a_session_that_waited_before_fingerprints_were_stored_waits_on() {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"ts":1760000000.5,"id.orig_h":"10.0.0.1","id.resp_h":"192.0.2.1","id.resp_p":443,"version":"TLSv12","established":true,"cert_chain_fps":["7812c001f7cda45a7c745a0e692d874c4f0319b2fd1bd49f2d199e0e7b0c1b3c"]}"#;
        let stream = StreamKey([1; 32]);
        let source = SourceInfo { stream, path: "ssl.log".into(), sensor: None, time_zone: None };
        let format = Format::ZeekJson(Log::ZeekSsl);
        let raw = RawBatch { bytes: line.as_bytes().to_vec(), offset: 0, format, oversize: None };
        let batch = Arc::new(decode(&DecodeContext::default(), &Arc::new(source), raw));
        let store = StateStore::open(folder.path()).unwrap();
        let mut correlator = correlator_of(&store);
        correlator.process(&batch, 0, batch.records[0].time, &mut |_| panic!("it waits for its certificate"));
        store.commit(&StateChanges::take(1, &mut correlator), None).unwrap();
        drop((store, correlator));
        // As format 3 had it.
        let database = redb::Database::create(folder.path().join(FILE_NAME)).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut meta = transaction.open_table(META).unwrap();
            meta.insert("version", 3_u32.to_be_bytes().as_slice()).unwrap();
            let mut held = transaction.open_table(HELD).unwrap();
            let (place, stored) =
                held.first().unwrap().map(|(place, row)| (place.value(), row.value().to_vec())).unwrap();
            let without = stored.strip_suffix(&NO_FINGERPRINTS).unwrap();
            held.insert(place, without).unwrap();
        }
        transaction.commit().unwrap();
        drop(database);
        let store = StateStore::open(folder.path()).unwrap();
        let mut correlator = correlator_of(&store);
        store.restore(&mut correlator).unwrap();
        let mut out = Vec::new();
        correlator.finish(&mut |judged| out.push(judged.batch.text.clone()));
        assert_eq!(out, [line]);
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
            assert!(std::fs::read(folder.path().join(FILE_NAME)).unwrap() == before);
        }
    }
}
