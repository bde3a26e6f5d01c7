//! Two histories become one.
//!
//! An entry of both has the observers of both, the earlier first sight and the later last one. So, while nothing was
//! evicted, merging is commutative, associative and idempotent, and histories of sensors merge into the one that would
//! have seen all of their sessions: in every count, in first and last sights. What such a history would know beside that
//! is not in its parts: when its learning would have ended, whether a first sight would have come after that, and a
//! change of issuers of which each sensor saw one.

use std::collections::BTreeMap;
use std::convert::Infallible;

use super::entries::Entry;
use super::table::{Recency, Table, Weighted};
use super::{Clients, History};
use crate::model::Id128;

/// What two histories know together, by the settings of the first. The order of recency is that of last sights.
pub fn merge(one: &History, other: &History) -> History {
    let mut merged = History::new(one.settings, false);
    merge_tables(&mut merged.issuers, &one.issuers, &other.issuers);
    merge_tables(&mut merged.certificates, &one.certificates, &other.certificates);
    merge_tables(&mut merged.keys, &one.keys, &other.keys);
    merge_tables(&mut merged.names, &one.names, &other.names);
    merge_tables(&mut merged.servers, &one.servers, &other.servers);
    merge_tables(&mut merged.fingerprints, &one.fingerprints, &other.fingerprints);
    merge_clients(&mut merged.clients, &one.clients, &other.clients);
    let certificates = merged.certificates.len() as u64;
    let clients = merged.clients.table().len() as u64;
    merged.learning = one.learning.merge(other.learning, one.settings.learning, certificates, clients);
    merged
}

fn merge_tables<E: Entry + Weighted + Clone>(merged: &mut Table<E>, one: &Table<E>, other: &Table<E>) {
    let mut entries: BTreeMap<Id128, (E, bool)> = BTreeMap::new();
    for (key, recency, entry) in one.iter().chain(other.iter()) {
        match entries.get_mut(&key) {
            Some((known, established)) => {
                known.merge(entry);
                *established |= recency.established;
            }
            None => drop(entries.insert(key, (entry.clone(), recency.established))),
        }
    }
    for (entry, established) in entries.values_mut() {
        // Each sensor may have seen one client of it.
        *established |= entry.is_established();
    }
    let mut rows: Vec<_> = entries.into_iter().collect();
    rows.sort_by_key(|(key, (entry, _))| (entry.times().last_seen, *key));
    let rows =
        (1..).zip(rows).map(|(sequence, (key, (entry, established)))| (key, Recency { sequence, established }, entry));
    let Ok(()) = merged.restore(rows.map(Ok::<_, Infallible>));
}

fn merge_clients(merged: &mut Clients, one: &Clients, other: &Clients) {
    let mut days: BTreeMap<Id128, i32> = BTreeMap::new();
    for (client, _, day) in one.table().iter().chain(other.table().iter()) {
        let last = days.entry(client).or_insert(*day);
        *last = (*day).max(*last);
    }
    let mut rows: Vec<_> = days.into_iter().collect();
    rows.sort_by_key(|(client, day)| (*day, *client));
    let rows = (1..).zip(rows).map(|(sequence, (client, day))| (client, Recency { sequence, established: false }, day));
    let Ok(()) = merged.restore(rows.map(Ok::<_, Infallible>));
}
