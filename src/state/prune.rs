//! Forgetting what has not been seen for long.

use std::collections::HashSet;

use super::{
    CERTIFICATES, ROWS, Reading, StateError, StateStore, TABLE_ALERTS, TABLE_ANSWERS, TABLE_PRESENTED, guarded,
};
use crate::correlate::Presented;
use crate::history::{History, HistorySettings};
use crate::knowledge::registrations::Answer;
use crate::model::{CertificateId, EventTime};

/// What was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Entries of the history.
    pub entries: u64,
    /// Entries that were kept with fewer observers.
    pub shortened: u64,
    /// Certificates of which nothing is left in the history.
    pub certificates: u64,
}

impl StateStore {
    /// Forgets everything that was last seen before a time, and observers that were.
    ///
    /// # Errors
    /// The state cannot be read or written; then nothing was changed.
    pub fn prune(&self, settings: HistorySettings, before: EventTime) -> Result<Pruned, StateError> {
        guarded(&self.path, || self.forget(settings, before))
    }

    fn forget(&self, settings: HistorySettings, before: EventTime) -> Result<Pruned, StateError> {
        let reading: Reading = self.read()?;
        // With room for all of it: how much memory there is decides elsewhere.
        let mut history = History::new(HistorySettings { memory: u64::MAX, ..settings }, true);
        reading.restore_history(&mut history)?;
        let presented: Vec<(_, Presented)> = reading.decoded(TABLE_PRESENTED)?;
        let mut alerts: Vec<(_, EventTime)> = reading.decoded(TABLE_ALERTS)?;
        alerts.retain(|(_, last)| *last < before);
        let mut answers: Vec<(_, Answer)> = reading.decoded(TABLE_ANSWERS)?;
        answers.retain(|(_, answer)| EventTime::from_seconds(answer.asked) < before);
        let gone = history.forget_before(before);
        let mut pruned = Pruned { entries: gone.entries, shortened: gone.shortened, certificates: 0 };
        let (kept, old): (Vec<_>, Vec<_>) = presented.into_iter().partition(|(_, presented)| presented.at() >= before);
        let kept: HashSet<CertificateId> = kept.iter().map(|(_, presented)| presented.certificate()).collect();
        let transaction = self.begin_write()?;
        let mut write = || -> Result<(), redb::Error> {
            let mut rows = transaction.open_table(ROWS)?;
            let mut failed = None;
            history.take_changes(|table, key, recency, value| {
                let place = (table as u8, key.0);
                let outcome = match value {
                    Some(value) => rows.insert(place, (recency.sequence, recency.established, value.as_slice())).err(),
                    None => rows.remove(place).err(),
                };
                failed = failed.take().or(outcome);
            });
            if let Some(error) = failed {
                return Err(error.into());
            }
            for (server, _) in &old {
                rows.remove((TABLE_PRESENTED, server.0))?;
            }
            for (alert, _) in &alerts {
                rows.remove((TABLE_ALERTS, alert.0))?;
            }
            for (domain, _) in &answers {
                rows.remove((TABLE_ANSWERS, domain.0))?;
            }
            let mut certificates = transaction.open_table(CERTIFICATES)?;
            for id in gone.certificates.iter().filter(|id| !kept.contains(id)) {
                pruned.certificates += u64::from(certificates.remove(id.0)?.is_some());
            }
            Ok(())
        };
        write().map_err(|error| self.store_error(error))?;
        transaction.commit().map_err(|error| self.store_error(error))?;
        Ok(pruned)
    }
}
