//! Forgetting what has not been seen for long.

use super::History;
use super::entries::Entry;
use super::table::{Fate, Table, Weighted};
use crate::model::{CertificateId, EventTime};

/// What was forgotten.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// Entries.
    pub entries: u64,
    /// Entries that were kept with fewer observers.
    pub shortened: u64,
    /// The certificates among the entries.
    pub certificates: Vec<CertificateId>,
}

impl History {
    /// Forgets everything that was last seen before a time, and observers that were last seen before its day. What is
    /// left stays as established as it was.
    pub fn forget_before(&mut self, before: EventTime) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let certificates = revise(&mut self.certificates, before, &mut forgotten);
        revise(&mut self.issuers, before, &mut forgotten);
        revise(&mut self.keys, before, &mut forgotten);
        revise(&mut self.names, before, &mut forgotten);
        revise(&mut self.servers, before, &mut forgotten);
        revise(&mut self.fingerprints, before, &mut forgotten);
        forgotten.entries += self.clients.forget_before(before.day());
        forgotten.certificates = certificates;
        forgotten
    }
}

/// Gives the keys of what is gone.
fn revise<E: Entry + Weighted>(
    table: &mut Table<E>,
    before: EventTime,
    forgotten: &mut Forgotten,
) -> Vec<crate::model::Id128> {
    let mut gone = Vec::new();
    table.revise(|key, entry| {
        if entry.times().last_seen < before {
            gone.push(key);
            Fate::Gone
        } else if entry.forget_before(before.day()) {
            forgotten.shortened += 1;
            Fate::Changed
        } else {
            Fate::Same
        }
    });
    forgotten.entries += gone.len() as u64;
    gone
}
