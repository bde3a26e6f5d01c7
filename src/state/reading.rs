//! What a state says at one moment.

use std::path::{Path, PathBuf};

use redb::{ReadableDatabase, ReadableTable as _};

use super::{
    CERTIFICATES, HELD, INPUTS, InputPosition, META, ROWS, StateError, TABLE_ALERTS, TABLE_FLOWS, TABLE_LINKS,
    TABLE_PAIRS, TABLE_PRESENTED, TABLE_SENSOR_CLOCKS, TABLE_VALIDATING, VERSION,
};
use crate::correlate::{Clock, Correlator, Presented, SensorClock, StoredCertificate};
use crate::history::{Alerts, History, HistoryTable, Recency, Table, Weighted, migrate};
use crate::model::{CertificateId, EventTime, Id128, Sha1Digest};

/// The last commit of a state, whatever is committed meanwhile.
pub(super) struct Reading {
    transaction: redb::ReadTransaction,
    path: PathBuf,
    version: u32,
}

/// A row as it is stored: its key, its place in the order of recency, its value.
pub(super) type StoredRow = (Id128, Recency, Vec<u8>);

impl Reading {
    pub(super) fn begin(database: &impl ReadableDatabase, path: &Path) -> Result<Self, StateError> {
        let transaction = database.begin_read().map_err(|error| StateError::of_store(path, error))?;
        let mut reading = Self { transaction, path: path.to_owned(), version: VERSION };
        let Some(version) = reading.raw_meta("version")? else { return Ok(reading) };
        let version = <[u8; 4]>::try_from(version).map_err(|_| reading.damaged("meta"))?;
        reading.version = super::readable_version(path, u32::from_be_bytes(version))?;
        Ok(reading)
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }

    pub(super) fn meta<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        self.raw_meta(name)?.map(|value| self.decode(&value, "meta")).transpose()
    }

    /// Puts everything that is stored into a new correlator.
    pub(super) fn restore(&self, correlator: &mut Correlator) -> Result<(), StateError> {
        let parts = correlator.parts_mut();
        if let Some(clock) = self.clock()? {
            *parts.clock = clock;
        }
        self.restore_history(parts.history)?;
        self.restore_table::<CertificateId>(TABLE_LINKS, parts.certificates.links_mut())?;
        self.restore_table::<Sha1Digest>(TABLE_PAIRS, parts.certificates.pairs_mut())?;
        self.restore_table::<Presented>(TABLE_PRESENTED, parts.presented)?;
        self.restore_table::<CertificateId>(TABLE_FLOWS, parts.flows)?;
        let streams = self.rows(TABLE_VALIDATING)?.map(|row| row.map(|(key, recency, _)| (key, recency, ())));
        parts.validating.restore(streams)?;
        self.restore_table::<SensorClock>(TABLE_SENSOR_CLOCKS, parts.sensor_clocks)?;
        let held = self.transaction.open_table(HELD).map_err(|error| self.store_error(error))?;
        for row in held.iter().map_err(|error| self.store_error(error))? {
            let (place, session) = row.map_err(|error| self.store_error(error))?;
            let (end, arrival) = place.value();
            correlator.restore_held((EventTime(end), arrival), self.decode(session.value(), "held")?);
        }
        Ok(())
    }

    /// Puts the alerts that are stored into an empty table of them.
    pub(super) fn restore_alerts(&self, alerts: &mut Alerts) -> Result<(), StateError> {
        self.restore_table::<EventTime>(TABLE_ALERTS, alerts.table_mut())
    }

    /// Puts what is stored of the history into an empty one.
    pub(super) fn restore_history(&self, history: &mut History) -> Result<(), StateError> {
        if let Some(learning) = self.meta("learning")? {
            history.restore_learning(learning);
        }
        for table in HistoryTable::ALL {
            let rows = self.rows(table as u8)?.map(|row| {
                let (key, recency, value) = row?;
                let current = match self.version {
                    VERSION => value,
                    older => migrate::from_format(older, table, &value).map_err(|_| self.damaged("rows"))?,
                };
                Ok((key, recency, current))
            });
            history.restore(table, rows, |_| self.damaged("rows"))?;
        }
        Ok(())
    }

    pub(super) fn clock(&self) -> Result<Option<Clock>, StateError> {
        self.meta("clock")
    }

    pub(super) fn input_positions(&self) -> Result<Vec<InputPosition>, StateError> {
        let inputs = self.transaction.open_table(INPUTS).map_err(|error| self.store_error(error))?;
        let mut positions = Vec::new();
        for row in inputs.iter().map_err(|error| self.store_error(error))? {
            let (_, value) = row.map_err(|error| self.store_error(error))?;
            positions.push(self.decode(value.value(), "inputs")?);
        }
        Ok(positions)
    }

    /// The rows of one table, in the order of their keys.
    pub(super) fn rows(&self, table: u8) -> Result<impl Iterator<Item = Result<StoredRow, StateError>>, StateError> {
        let rows = self.transaction.open_table(ROWS).map_err(|error| self.store_error(error))?;
        let range = rows.range((table, [0; 16])..=(table, [0xff; 16])).map_err(|error| self.store_error(error))?;
        Ok(range.map(|row| {
            let (key, value) = row.map_err(|error| self.store_error(error))?;
            let (sequence, established, value) = value.value();
            Ok((Id128(key.value().1), Recency { sequence, established }, value.to_vec()))
        }))
    }

    /// The rows of one table beside the history.
    pub(super) fn decoded<V: serde::de::DeserializeOwned>(&self, table: u8) -> Result<Vec<(Id128, V)>, StateError> {
        let row = |row: Result<(Id128, Recency, Vec<u8>), StateError>| {
            let (key, _, value) = row?;
            Ok((key, self.decode(&value, "rows")?))
        };
        self.rows(table)?.map(row).collect()
    }

    /// Calls `each` with every certificate, in the order of their ids.
    pub(super) fn certificates(
        &self,
        mut each: impl FnMut(CertificateId, StoredCertificate) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let certificates = self.transaction.open_table(CERTIFICATES).map_err(|error| self.store_error(error))?;
        for row in certificates.iter().map_err(|error| self.store_error(error))? {
            let (id, value) = row.map_err(|error| self.store_error(error))?;
            each(Id128(id.value()), self.decode(value.value(), "certificates")?)?;
        }
        Ok(())
    }

    pub(super) fn certificate(&self, id: CertificateId) -> Result<Option<StoredCertificate>, StateError> {
        let certificates = self.transaction.open_table(CERTIFICATES).map_err(|error| self.store_error(error))?;
        let value = certificates.get(id.0).map_err(|error| self.store_error(error))?;
        value.map(|value| self.decode(value.value(), "certificates")).transpose()
    }

    fn decode<'a, T: serde::Deserialize<'a>>(&self, value: &'a [u8], table: &'static str) -> Result<T, StateError> {
        postcard::from_bytes(value).map_err(|_| self.damaged(table))
    }

    fn restore_table<V: serde::de::DeserializeOwned + Weighted>(
        &self,
        number: u8,
        table: &mut Table<V>,
    ) -> Result<(), StateError> {
        table.restore(self.rows(number)?.map(|row| {
            let (key, recency, value) = row?;
            Ok((key, recency, self.decode(&value, "rows")?))
        }))
    }

    fn raw_meta(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let meta = match self.transaction.open_table(META) {
            Ok(meta) => meta,
            // Made, and never committed to.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.store_error(error)),
        };
        let value = meta.get(name).map_err(|error| self.store_error(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn damaged(&self, table: &'static str) -> StateError {
        StateError::Damaged { path: self.path.clone(), table }
    }

    fn store_error(&self, source: impl Into<redb::Error>) -> StateError {
        StateError::of_store(&self.path, source)
    }
}
