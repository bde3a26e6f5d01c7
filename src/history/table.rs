//! A bounded table that forgets what was used least recently, by record order.
//!
//! Two segments share one index: entries begin in the first and move to the second when they prove to be established. A
//! flood of one-off keys turns over the first segment only. What changed since the last look is listed, so that a commit
//! writes changes and not the table.

use std::collections::HashMap;

use crate::model::Id128;

/// A bounded map from identities to `V`.
#[derive(Debug)]
pub struct Table<V> {
    /// Keyed by the standard library's randomly keyed hash: keys come from what attackers write.
    index: HashMap<Id128, u32>,
    slots: Vec<Slot<V>>,
    segments: [Segment; 2],
    /// Rises with every use; the order of recency across restarts.
    sequence: u64,
    tracking: bool,
    changed: Vec<u32>,
    removed: Vec<Id128>,
    evicted: u64,
}

/// One entry that changed: its key, its place in the order of recency, and its value, or `None` when it is gone.
pub struct Change<'a, V> {
    /// The key.
    pub key: Id128,
    /// Where it stands in the order of recency, and whether it is established.
    pub recency: Recency,
    /// The value; `None` when the entry was removed.
    pub value: Option<&'a V>,
}

/// The place of an entry in the order of recency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recency {
    /// Rises with every use of the table.
    pub sequence: u64,
    /// Whether the entry is in the second segment.
    pub established: bool,
}

#[derive(Debug)]
struct Slot<V> {
    key: Id128,
    value: V,
    recency: Recency,
    changed: bool,
    newer: u32,
    older: u32,
}

/// A list of slots from the newest to the oldest.
#[derive(Debug)]
struct Segment {
    newest: u32,
    oldest: u32,
    len: usize,
    capacity: usize,
}

const NONE: u32 = u32::MAX;

impl<V> Table<V> {
    /// A table of at most `capacity` entries that are not established, and as many that are. `tracking` says whether
    /// changes are wanted.
    pub fn new(capacity: usize, tracking: bool) -> Self {
        let capacity = capacity.clamp(1, (NONE / 4) as usize);
        let segment = || Segment { newest: NONE, oldest: NONE, len: 0, capacity };
        Self {
            index: HashMap::new(),
            slots: Vec::new(),
            segments: [segment(), segment()],
            sequence: 0,
            tracking,
            changed: Vec::new(),
            removed: Vec::new(),
            evicted: 0,
        }
    }

    /// The value of a key, without counting as use.
    pub fn peek(&self, key: Id128) -> Option<&V> {
        self.index.get(&key).map(|&at| &self.slots[at as usize].value)
    }

    /// The value of a key, which counts as use.
    pub fn get(&mut self, key: Id128) -> Option<&mut V> {
        let at = *self.index.get(&key)?;
        self.touch(at);
        Some(&mut self.slots[at as usize].value)
    }

    /// The value of a key, made by `make` when it is not there; the second part says whether it was made.
    pub fn get_or_insert_with(&mut self, key: Id128, make: impl FnOnce() -> V) -> (&mut V, bool) {
        let known = self.index.get(&key).copied();
        let at = match known {
            Some(at) => {
                self.touch(at);
                at
            }
            None => self.insert_new(key, make()),
        };
        (&mut self.slots[at as usize].value, known.is_none())
    }

    /// Sets the value of a key; gives what was evicted to make room, if anything was.
    pub fn insert(&mut self, key: Id128, value: V) -> Option<(Id128, V)> {
        if let Some(&at) = self.index.get(&key) {
            self.touch(at);
            self.slots[at as usize].value = value;
            return None;
        }
        let evicted = self.make_room(0);
        self.insert_without_bound(key, value);
        evicted
    }

    /// Moves an entry to the established segment.
    pub fn establish(&mut self, key: Id128) {
        let Some(&at) = self.index.get(&key) else { return };
        if self.slots[at as usize].recency.established {
            return;
        }
        self.unlink(at);
        // Making room moves the last slot into the hole, which may be this one.
        self.make_room(1);
        let Some(&at) = self.index.get(&key) else { return };
        self.slots[at as usize].recency.established = true;
        self.link_newest(at);
        self.mark(at);
    }

    /// Puts back an entry as it was stored. Entries must come in the order of their sequence.
    pub fn restore(&mut self, key: Id128, recency: Recency, value: V) {
        let tracking = std::mem::replace(&mut self.tracking, false);
        let segment = usize::from(recency.established);
        self.make_room(segment);
        self.sequence = recency.sequence;
        let at = self.slots.len() as u32;
        self.slots.push(Slot { key, value, recency, changed: false, newer: NONE, older: NONE });
        self.index.insert(key, at);
        self.link_newest(at);
        self.tracking = tracking;
    }

    /// Calls `each` with everything that changed since the last call.
    pub fn take_changes(&mut self, mut each: impl FnMut(Change<'_, V>)) {
        for key in std::mem::take(&mut self.removed) {
            if !self.index.contains_key(&key) {
                each(Change { key, recency: Recency::default(), value: None });
            }
        }
        for at in std::mem::take(&mut self.changed) {
            // A slot may have been emptied, or filled anew, since it was noted.
            if let Some(slot) = self.slots.get_mut(at as usize).filter(|slot| slot.changed) {
                slot.changed = false;
                each(Change { key: slot.key, recency: slot.recency, value: Some(&slot.value) });
            }
        }
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many entries were forgotten to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn insert_new(&mut self, key: Id128, value: V) -> u32 {
        self.make_room(0);
        self.insert_without_bound(key, value)
    }

    fn insert_without_bound(&mut self, key: Id128, value: V) -> u32 {
        let at = self.slots.len() as u32;
        self.sequence += 1;
        let recency = Recency { sequence: self.sequence, established: false };
        self.slots.push(Slot { key, value, recency, changed: false, newer: NONE, older: NONE });
        self.index.insert(key, at);
        self.link_newest(at);
        self.mark(at);
        at
    }

    fn touch(&mut self, at: u32) {
        self.unlink(at);
        self.sequence += 1;
        self.slots[at as usize].recency.sequence = self.sequence;
        self.link_newest(at);
        self.mark(at);
    }

    fn mark(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        if self.tracking && !slot.changed {
            slot.changed = true;
            self.changed.push(at);
        }
    }

    /// Evicts the oldest entry of a segment when it is full.
    fn make_room(&mut self, segment: usize) -> Option<(Id128, V)> {
        if self.segments[segment].len < self.segments[segment].capacity {
            return None;
        }
        let at = self.segments[segment].oldest;
        self.unlink(at);
        self.evicted += 1;
        Some(self.remove_unlinked(at))
    }

    fn remove_unlinked(&mut self, at: u32) -> (Id128, V) {
        let slot = self.slots.swap_remove(at as usize);
        self.index.remove(&slot.key);
        if self.tracking {
            self.removed.push(slot.key);
        }
        if let Some(moved) = self.slots.get(at as usize) {
            let (key, newer, older, changed) = (moved.key, moved.newer, moved.older, moved.changed);
            let segment = usize::from(moved.recency.established);
            // An entry that is on its way between segments is in no list, and nobody points to it.
            let last = self.slots.len() as u32;
            match newer {
                NONE if self.segments[segment].newest == last => self.segments[segment].newest = at,
                NONE => {}
                newer => self.slots[newer as usize].older = at,
            }
            match older {
                NONE if self.segments[segment].oldest == last => self.segments[segment].oldest = at,
                NONE => {}
                older => self.slots[older as usize].newer = at,
            }
            if changed {
                self.changed.push(at);
            }
            self.index.insert(key, at);
        }
        (slot.key, slot.value)
    }

    fn unlink(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        let (newer, older) = (slot.newer, slot.older);
        (slot.newer, slot.older) = (NONE, NONE);
        let segment = &mut self.segments[usize::from(slot.recency.established)];
        segment.len -= 1;
        match newer {
            NONE => segment.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => segment.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let segment = &mut self.segments[usize::from(self.slots[at as usize].recency.established)];
        let previous = std::mem::replace(&mut segment.newest, at);
        segment.len += 1;
        if previous == NONE {
            segment.oldest = at;
        } else {
            self.slots[previous as usize].newer = at;
        }
        self.slots[at as usize].older = previous;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same promises, kept the slow way.
    #[derive(Default)]
    struct Model {
        /// Oldest first.
        segments: [Vec<(u8, u32)>; 2],
    }

    impl Model {
        fn find(&self, key: u8) -> Option<(usize, usize)> {
            (0..2).find_map(|s| self.segments[s].iter().position(|(k, _)| *k == key).map(|at| (s, at)))
        }

        fn insert(&mut self, key: u8, value: u32, capacity: usize) {
            match self.find(key) {
                Some((segment, at)) => {
                    self.segments[segment].remove(at);
                    self.segments[segment].push((key, value));
                }
                None => {
                    if self.segments[0].len() == capacity {
                        self.segments[0].remove(0);
                    }
                    self.segments[0].push((key, value));
                }
            }
        }

        fn establish(&mut self, key: u8, capacity: usize) {
            let Some((0, at)) = self.find(key) else { return };
            let entry = self.segments[0].remove(at);
            if self.segments[1].len() == capacity {
                self.segments[1].remove(0);
            }
            self.segments[1].push(entry);
        }
    }

    fn key(key: u8) -> Id128 {
        Id128::of(&[key])
    }

    proptest! {
        #[test]
        fn the_table_does_what_the_model_does(
            capacity in 1usize..6,
            actions in prop::collection::vec((0u8..3, 0u8..16, any::<u32>()), 0..200),
        ) {
            let mut table = Table::new(capacity, true);
            let mut model = Model::default();
            let mut stored = std::collections::BTreeMap::new();
            for (action, name, value) in actions {
                match action {
                    0 => { table.insert(key(name), value); model.insert(name, value, capacity); }
                    1 => { table.establish(key(name)); model.establish(name, capacity); }
                    _ => {
                        let known = table.get(key(name)).copied();
                        prop_assert_eq!(known.is_some(), model.find(name).is_some());
                        if let Some(known) = known { model.insert(name, known, capacity); }
                        table.take_changes(|change| match change.value {
                            Some(value) => { stored.insert(change.key, (change.recency.sequence, change.recency.established, *value)); }
                            None => { stored.remove(&change.key); }
                        });
                    }
                }
                prop_assert_eq!(table.len(), model.segments[0].len() + model.segments[1].len());
                for (name, value) in model.segments.iter().flatten() {
                    prop_assert_eq!(table.peek(key(*name)), Some(value));
                }
            }
            // What was listed as changed is the table, and restoring it gives the same order of eviction.
            table.take_changes(|change| match change.value {
                Some(value) => { stored.insert(change.key, (change.recency.sequence, change.recency.established, *value)); }
                None => { stored.remove(&change.key); }
            });
            let mut rows: Vec<_> = stored.into_iter().collect();
            rows.sort_by_key(|(_, (sequence, ..))| *sequence);
            let mut restored = Table::new(capacity, true);
            for (key, (sequence, established, value)) in rows {
                restored.restore(key, Recency { sequence, established }, value);
            }
            for name in 100..110 {
                restored.insert(key(name), 0);
                table.insert(key(name), 0);
                model.insert(name, 0, capacity);
                prop_assert_eq!(restored.len(), table.len());
                for (name, value) in model.segments.iter().flatten() {
                    prop_assert_eq!(restored.peek(key(*name)), Some(value));
                }
            }
        }
    }
}
