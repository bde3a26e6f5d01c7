//! Who is active: every client with the last day on which it was seen.

use std::collections::BTreeMap;

use super::table::{Change, Fate, Recency, Table, entry_bytes};
use crate::model::Id128;

/// Clients, and how many were seen last on each day.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    last_days: Table<i32>,
    per_day: BTreeMap<i32, u32>,
    /// How many there are since a day, as it was asked last and kept up since: days change seldom.
    active: (i32, u32),
}

/// Clients whose last day is remembered; beyond, the number of active clients saturates.
const MAX_CLIENTS: u64 = 65_536;

impl Clients {
    pub(super) fn new(bytes: u64, tracking: bool) -> Self {
        let each = (entry_bytes::<i32>() + size_of::<i32>()) as u64;
        let last_days = Table::new((bytes / each).min(MAX_CLIENTS), tracking);
        Self { last_days, per_day: BTreeMap::new(), active: (i32::MIN, 0) }
    }

    /// Notes a client; says whether it is new.
    pub(super) fn note(&mut self, client: Id128, day: i32) -> bool {
        let Some(last) = self.last_days.get(client) else {
            let mut evicted = None;
            self.last_days.insert_instead(client, day, |_, last| evicted = Some(last));
            self.count(day, 1);
            if let Some(last) = evicted {
                self.count(last, -1);
            }
            return true;
        };
        let last = std::mem::replace(last, day.max(*last));
        if last < day {
            self.count(last, -1);
            self.count(day, 1);
        }
        false
    }

    /// How many were seen on a day or later.
    pub(super) fn since(&mut self, from_day: i32) -> u32 {
        if self.active.0 != from_day {
            self.active = (from_day, self.count_since(from_day));
        }
        self.active.1
    }

    /// The same, worked out anew.
    pub(super) fn count_since(&self, from_day: i32) -> u32 {
        self.per_day.range(from_day..).map(|(_, clients)| clients).sum()
    }

    pub(super) fn restore<E>(&mut self, rows: impl Iterator<Item = Result<(Id128, Recency, i32), E>>) -> Result<(), E> {
        self.last_days.restore(rows)?;
        self.per_day.clear();
        for (_, _, day) in self.last_days.iter() {
            *self.per_day.entry(*day).or_default() += 1;
        }
        self.active = (i32::MIN, self.count_since(i32::MIN));
        Ok(())
    }

    pub(super) fn take_changes(&mut self, each: impl FnMut(Change<'_, i32>)) {
        self.last_days.take_changes(each);
    }

    /// Forgets clients that were last seen before a day; says how many.
    pub(super) fn forget_before(&mut self, day: i32) -> u64 {
        let before = self.last_days.len();
        self.last_days.revise(|_, last| if *last < day { Fate::Gone } else { Fate::Same });
        self.per_day.retain(|known, _| *known >= day);
        self.active = (i32::MIN, self.count_since(i32::MIN));
        (before - self.last_days.len()) as u64
    }

    pub(super) fn table(&self) -> &Table<i32> {
        &self.last_days
    }

    fn count(&mut self, day: i32, change: i32) {
        let clients = self.per_day.entry(day).or_default();
        *clients = clients.saturating_add_signed(change);
        if *clients == 0 {
            self.per_day.remove(&day);
        }
        if day >= self.active.0 {
            self.active.1 = self.active.1.saturating_add_signed(change);
        }
    }
}
