//! A state that is made of others.

use std::collections::BTreeMap;

use redb::ReadableTable as _;

use super::{
    CERTIFICATES, META, ROWS, StateError, StateStore, StateView, TABLE_ALERTS, TABLE_ANSWERS, TABLE_LINKS, TABLE_PAIRS,
    TABLE_PRESENTED, put,
};
use crate::correlate::{Clock, Presented, StoredCertificate};
use crate::history::History;
use crate::knowledge::registrations::Answer;
use crate::model::{CertificateId, EventTime, Id128, Sha1Digest};

impl StateStore {
    /// Puts a history into a state, and what `sources` know of certificates: their facts and names, and what servers
    /// presented last, which alerts were raised, and what registries answered. What belongs to a process stays behind: inputs, waiting sessions, what was written.
    ///
    /// # Errors
    /// A source cannot be read, or the state not written; then nothing was changed.
    pub fn fill(&self, history: &History, clock: Clock, sources: &[StateView]) -> Result<(), StateError> {
        let transaction = self.begin_write()?;
        {
            let mut certificates = transaction.open_table(CERTIFICATES).map_err(|error| self.store_error(error))?;
            for source in sources {
                source.certificates(|id, found| {
                    let known = certificates.get(id.0).map_err(|error| self.store_error(error))?;
                    let known = known.and_then(|value| postcard::from_bytes::<StoredCertificate>(value.value()).ok());
                    let merged = known.map_or_else(|| found.clone(), |known| known.merge(&found));
                    let value = postcard::to_allocvec(&merged).unwrap_or_default();
                    certificates.insert(id.0, value.as_slice()).map_err(|error| self.store_error(error))?;
                    Ok(())
                })?;
            }
        }
        let mut failed = None;
        {
            let mut rows = transaction.open_table(ROWS).map_err(|error| self.store_error(error))?;
            let mut insert = |table: u8, key: Id128, sequence: u64, established: bool, value: &[u8]| {
                if failed.is_none() {
                    failed = rows.insert((table, key.0), (sequence, established, value)).err();
                }
            };
            history.rows(|table, key, recency, value| {
                insert(table as u8, key, recency.sequence, recency.established, &value);
            });
            let links = merged(sources, TABLE_LINKS, |one: CertificateId, other| one.min(other))?;
            let pairs = merged(sources, TABLE_PAIRS, |one: Sha1Digest, other| one.min(other))?;
            let presented = merged(sources, TABLE_PRESENTED, |one: Presented, other| one.max(other))?;
            let alerts = merged(sources, TABLE_ALERTS, |one: EventTime, other| one.max(other))?;
            let latest = |one: Answer, other: Answer| {
                let age = |answer: &Answer| (answer.asked, answer.until, answer.source.clone());
                if age(&one) < age(&other) { other } else { one }
            };
            let answers = merged(sources, TABLE_ANSWERS, latest)?;
            let tables = [
                (TABLE_LINKS, links),
                (TABLE_PAIRS, pairs),
                (TABLE_PRESENTED, presented),
                (TABLE_ALERTS, alerts),
                (TABLE_ANSWERS, answers),
            ];
            for (table, entries) in tables {
                for (sequence, (key, value)) in (1..).zip(entries) {
                    insert(table, key, sequence, false, &value);
                }
            }
        }
        if let Some(error) = failed {
            return Err(self.store_error(error));
        }
        {
            let mut meta = transaction.open_table(META).map_err(|error| self.store_error(error))?;
            put(&mut meta, "clock", Some(&clock)).map_err(|error| self.store_error(error))?;
            put(&mut meta, "learning", Some(&history.learning())).map_err(|error| self.store_error(error))?;
        }
        transaction.commit().map_err(|error| self.store_error(error))
    }
}

/// The rows of one table of all sources, in the order of their keys; `choose` decides between two values of one key.
fn merged<V: serde::Serialize + serde::de::DeserializeOwned>(
    sources: &[StateView],
    table: u8,
    choose: impl Fn(V, V) -> V,
) -> Result<Vec<(Id128, Vec<u8>)>, StateError> {
    let mut all: BTreeMap<Id128, V> = BTreeMap::new();
    for source in sources {
        for (key, value) in source.rows::<V>(table)? {
            let known: Option<V> = all.remove(&key);
            let value = match known {
                Some(known) => choose(known, value),
                None => value,
            };
            all.insert(key, value);
        }
    }
    Ok(all.into_iter().map(|(key, value)| (key, postcard::to_allocvec(&value).unwrap_or_default())).collect())
}
