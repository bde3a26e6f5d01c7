//! A bounded table that forgets what was used least recently, by record order.
//!
//! Two segments share one index: entries begin in the first and move to the second when they prove to be established. A
//! flood of one-off keys turns over the first segment only: the second may take up to three quarters of the table, and
//! what it takes is out of reach. What changed since the last look is listed, so that a commit writes changes and not the
//! table.

use std::hash::{BuildHasher as _, RandomState};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;

use super::slots::Slots;
use crate::model::Id128;

/// What an entry takes of its table's room.
pub trait Weighted {
    /// Its share, which follows from its content alone; unless it says otherwise, a table counts entries.
    fn weight(&self) -> u32 {
        1
    }
}

/// A bounded map from identities to `V`.
#[derive(Clone, Debug)]
pub struct Table<V> {
    index: HashTable<u32>,
    /// Keys come from what attackers write, so that where they go depends on a random key.
    hasher: SeedableRandomState,
    slots: Slots<Slot<V>>,
    /// The neighbours of each slot, apart from it: every use changes those of four entries, which then stay untouched.
    links: Slots<Link>,
    segments: [Segment; 2],
    capacity: u64,
    /// Rises with every use; the order of recency across restarts.
    sequence: u64,
    tracking: bool,
    changed: Vec<u32>,
    removed: Vec<Id128>,
    evicted: u64,
    /// Where the entries are that were announced last, unless they have moved since.
    expected: [u32; 2],
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

/// What becomes of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It stays as it is.
    Same,
    /// It was changed.
    Changed,
    /// It is forgotten.
    Gone,
}

/// What a table has to know of a change to one of its entries.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Whether it is established now.
    pub established: bool,
    /// Whether it may weigh more or less than before: to weigh one takes as long as to change it.
    pub resized: bool,
}

/// The place of an entry in the order of recency.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recency {
    /// Rises with every use of the table.
    pub sequence: u64,
    /// Whether the entry is in the second segment.
    pub established: bool,
}

#[derive(Clone, Debug)]
struct Slot<V> {
    key: Id128,
    value: V,
    sequence: u64,
    weight: u32,
    established: bool,
    changed: bool,
}

/// The neighbours of an entry in its segment.
#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

impl Link {
    const NOWHERE: Self = Self { newer: NONE, older: NONE };
}

/// A list of slots from the newest to the oldest.
#[derive(Clone, Debug)]
struct Segment {
    newest: u32,
    oldest: u32,
    len: usize,
    weight: u64,
}

const NONE: u32 = u32::MAX;
/// More entries than this are never held, whatever they weigh.
const MAX_ENTRIES: usize = (NONE / 4) as usize;

/// Bytes of memory that an entry takes beside its value, its share of the index included.
pub(super) const fn entry_bytes<V>() -> usize {
    const INDEX: usize = 12;
    size_of::<Slot<V>>() - size_of::<V>() + size_of::<Link>() + INDEX
}

impl<V: Weighted> Table<V> {
    /// A table whose entries weigh at most `capacity` together. `tracking` says whether changes are wanted.
    pub fn new(capacity: u64, tracking: bool) -> Self {
        let segment = || Segment { newest: NONE, oldest: NONE, len: 0, weight: 0 };
        // The seed is the standard library's, which asks the system for it.
        let seed = RandomState::new().hash_one(0);
        Self {
            index: HashTable::new(),
            hasher: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            slots: Slots::new(),
            links: Slots::new(),
            segments: [segment(), segment()],
            capacity: capacity.max(1),
            sequence: 0,
            tracking,
            changed: Vec::new(),
            removed: Vec::new(),
            evicted: 0,
            expected: [NONE; 2],
        }
    }

    /// Announces that a key is about to be asked for; up to two are kept in mind. Who needs entries of several tables
    /// announces them all before the first is changed: then the processor waits for all of them at a time.
    #[inline]
    pub fn expect(&mut self, key: Option<Id128>) {
        if let Some(at) = key.and_then(|key| self.look_for(key)) {
            self.expected = [at, self.expected[0]];
        }
    }

    /// The value of a key, without counting as use.
    pub fn peek(&self, key: Id128) -> Option<&V> {
        self.find(key).map(|at| &self.slots[at].value)
    }

    /// The value of a key, which counts as use. What it weighs must stay as it is.
    pub fn get(&mut self, key: Id128) -> Option<&mut V> {
        let at = self.find(key)?;
        Some(&mut self.touch(at).value)
    }

    /// Changes the value of a key, which counts as use; `make` gives one where there is none, if there is to be one.
    /// `change` is told whether the entry is new, and says what its table has to know.
    pub fn update<R>(
        &mut self,
        key: Id128,
        make: impl FnOnce() -> Option<V>,
        change: impl FnOnce(&mut V, bool) -> (Outcome, R),
    ) -> Option<R> {
        let (at, new) = match self.find(key) {
            Some(at) => (at, false),
            None => (self.insert_without_bound(key, make()?), true),
        };
        let slot = self.touch(at);
        let (outcome, answer) = change(&mut slot.value, new);
        let rises = outcome.established && !slot.established;
        if new || rises || outcome.resized {
            self.settle(at, rises);
        } else {
            debug_assert_eq!(slot.weight, slot.value.weight(), "what an entry weighs has changed");
        }
        Some(answer)
    }

    /// Gives a changed entry its weight and its segment, and makes room where it needs more.
    #[inline(never)]
    fn settle(&mut self, at: u32, rises: bool) {
        self.weigh(at);
        if rises {
            self.unlink(at);
            self.sequence += 1;
            let slot = &mut self.slots[at];
            (slot.established, slot.sequence) = (true, self.sequence);
            self.link_newest(at);
        }
        self.make_room(|_, _| {});
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: Id128, value: V) {
        self.insert_instead(key, value, |_, _| {});
    }

    /// Sets the value of a key; `gone` is told what had to go to make room for it.
    pub fn insert_instead(&mut self, key: Id128, value: V, gone: impl FnMut(Id128, V)) {
        match self.find(key) {
            Some(at) => {
                let slot = self.touch(at);
                slot.value = value;
                if slot.weight == slot.value.weight() {
                    return;
                }
                self.weigh(at);
            }
            None => drop(self.insert_without_bound(key, value)),
        }
        self.make_room(gone);
    }

    /// Gives it more or less room, as the next entry finds it.
    pub fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity.max(1);
    }

    /// Puts back entries as they were stored, in any order, into an empty table.
    ///
    /// # Errors
    /// One of them cannot be had.
    pub fn restore<E>(&mut self, rows: impl Iterator<Item = Result<(Id128, Recency, V), E>>) -> Result<(), E> {
        for row in rows {
            let (key, Recency { sequence, established }, value) = row?;
            let weight = value.weight();
            let at = self.slots.len() as u32;
            self.slots.push(Slot { key, value, sequence, weight, established, changed: false });
            self.links.push(Link::NOWHERE);
            self.add_to_index(key, at);
        }
        let mut order: Vec<_> = (0..).zip(self.slots.iter()).map(|(at, slot)| (slot.sequence, at)).collect();
        order.sort_unstable();
        self.sequence = order.last().map_or(0, |(sequence, _)| *sequence);
        for (_, at) in order {
            self.link_newest(at);
        }
        // With less room than before.
        self.make_room(|_, _| {});
        Ok(())
    }

    /// Calls `each` with everything that changed since the last call.
    pub fn take_changes(&mut self, mut each: impl FnMut(Change<'_, V>)) {
        for key in std::mem::take(&mut self.removed) {
            if self.find(key).is_none() {
                each(Change { key, recency: Recency::default(), value: None });
            }
        }
        for at in std::mem::take(&mut self.changed) {
            // A slot may have been emptied, or filled anew, since it was noted.
            if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.changed) {
                slot.changed = false;
                each(Change { key: slot.key, recency: slot.recency(), value: Some(&slot.value) });
            }
        }
    }

    /// Goes through all entries, oldest first: `each` may change them, and says what becomes of them.
    pub fn revise(&mut self, mut each: impl FnMut(Id128, &mut V) -> Fate) {
        let mut keys: Vec<_> = self.slots.iter().map(|slot| (slot.sequence, slot.key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            let Some(at) = self.find(key) else { continue };
            match each(key, &mut self.slots[at].value) {
                Fate::Same => {}
                Fate::Changed => {
                    self.weigh(at);
                    self.mark(at);
                }
                Fate::Gone => {
                    self.unlink(at);
                    self.remove_unlinked(at);
                }
            }
        }
    }

    /// The entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Id128, Recency, &V)> {
        self.slots.iter().map(|slot| (slot.key, slot.recency(), &slot.value))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the entries weigh together.
    pub fn weight(&self) -> u64 {
        self.segments.iter().map(|segment| segment.weight).sum()
    }

    /// What they may weigh.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// How many entries were forgotten to make room.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    #[inline]
    fn find(&self, key: Id128) -> Option<u32> {
        let is_it = |at: &u32| self.slots.get(*at).is_some_and(|slot| slot.key == key);
        self.expected.into_iter().find(is_it).or_else(|| self.look_for(key))
    }

    #[inline]
    fn look_for(&self, key: Id128) -> Option<u32> {
        // Some tables are of what not every sensor logs.
        if self.index.is_empty() {
            return None;
        }
        self.index.find(self.hash(key), |&at| self.slots[at].key == key).copied()
    }

    fn hash(&self, key: Id128) -> u64 {
        self.hasher.hash_one(u128::from_ne_bytes(key.0))
    }

    fn add_to_index(&mut self, key: Id128, at: u32) {
        let hash = self.hash(key);
        let (hasher, slots) = (&self.hasher, &self.slots);
        self.index.insert_unique(hash, at, |&at| hasher.hash_one(u128::from_ne_bytes(slots[at].key.0)));
    }

    fn insert_without_bound(&mut self, key: Id128, value: V) -> u32 {
        let at = self.slots.len() as u32;
        self.sequence += 1;
        let (sequence, weight) = (self.sequence, value.weight());
        self.slots.push(Slot { key, value, sequence, weight, established: false, changed: false });
        self.links.push(Link::NOWHERE);
        self.add_to_index(key, at);
        self.link_newest(at);
        self.mark(at);
        at
    }

    /// Makes an entry the newest of its segment, and gives it.
    #[inline]
    fn touch(&mut self, at: u32) -> &mut Slot<V> {
        let slot = &mut self.slots[at];
        if self.tracking && !slot.changed {
            slot.changed = true;
            self.changed.push(at);
        }
        let segment = &mut self.segments[usize::from(slot.established)];
        // What is the newest of its segment already stays where it is.
        if segment.newest != at {
            self.sequence += 1;
            slot.sequence = self.sequence;
            let previous = std::mem::replace(&mut segment.newest, at);
            let link = Link { newer: NONE, older: previous };
            // It has a newer neighbour, since it is not the newest.
            let Link { newer, older } = std::mem::replace(&mut self.links[at], link);
            match older {
                NONE => segment.oldest = newer,
                older => self.links[older].newer = newer,
            }
            self.links[newer].older = older;
            self.links[previous].newer = at;
        }
        slot
    }

    /// Notes what an entry weighs.
    fn weigh(&mut self, at: u32) {
        let slot = &mut self.slots[at];
        let weight = slot.value.weight();
        let segment = &mut self.segments[usize::from(slot.established)];
        segment.weight = segment.weight - u64::from(slot.weight) + u64::from(weight);
        slot.weight = weight;
    }

    fn mark(&mut self, at: u32) {
        let slot = &mut self.slots[at];
        if self.tracking && !slot.changed {
            slot.changed = true;
            self.changed.push(at);
        }
    }

    /// Evicts the oldest entries until the others fit. The newest entry of a segment stays, so that a table may hold one
    /// entry more than it has room for.
    fn make_room(&mut self, mut gone: impl FnMut(Id128, V)) {
        loop {
            let [one_off, established] = &self.segments;
            let most_established = self.capacity - self.capacity / 4;
            let full = one_off.weight + established.weight > self.capacity || self.len() > MAX_ENTRIES;
            let at = if established.weight > most_established && established.len > 1 {
                established.oldest
            } else if full && one_off.len > 1 {
                one_off.oldest
            } else {
                return;
            };
            self.unlink(at);
            self.evicted += 1;
            if let Some((key, value)) = self.remove_unlinked(at) {
                gone(key, value);
            }
        }
    }

    fn remove_unlinked(&mut self, at: u32) -> Option<(Id128, V)> {
        let key = self.slots.get(at)?.key;
        let hash = self.hash(key);
        if let Ok(place) = self.index.find_entry(hash, |&known| known == at) {
            place.remove();
        }
        let slot = self.slots.swap_remove(at)?;
        self.links.swap_remove(at);
        if self.tracking {
            self.removed.push(slot.key);
        }
        if let Some(moved) = self.slots.get(at) {
            let (key, changed) = (moved.key, moved.changed);
            let Link { newer, older } = self.links[at];
            let segment = usize::from(moved.established);
            let last = self.slots.len() as u32;
            match newer {
                NONE => self.segments[segment].newest = at,
                newer => self.links[newer].older = at,
            }
            match older {
                NONE => self.segments[segment].oldest = at,
                older => self.links[older].newer = at,
            }
            if changed {
                self.changed.push(at);
            }
            let hash = self.hash(key);
            if let Some(place) = self.index.find_mut(hash, |&known| known == last) {
                *place = at;
            }
        }
        Some((slot.key, slot.value))
    }

    fn unlink(&mut self, at: u32) {
        let slot = &self.slots[at];
        let Link { newer, older } = std::mem::replace(&mut self.links[at], Link::NOWHERE);
        let segment = &mut self.segments[usize::from(slot.established)];
        segment.len -= 1;
        segment.weight -= u64::from(slot.weight);
        match newer {
            NONE => segment.newest = older,
            newer => self.links[newer].older = older,
        }
        match older {
            NONE => segment.oldest = newer,
            older => self.links[older].newer = newer,
        }
    }

    fn link_newest(&mut self, at: u32) {
        let slot = &self.slots[at];
        let segment = &mut self.segments[usize::from(slot.established)];
        let previous = std::mem::replace(&mut segment.newest, at);
        segment.len += 1;
        segment.weight += u64::from(slot.weight);
        if previous == NONE {
            segment.oldest = at;
        } else {
            self.links[previous].newer = at;
        }
        self.links[at].older = previous;
    }
}

impl<V> Slot<V> {
    fn recency(&self) -> Recency {
        Recency { sequence: self.sequence, established: self.established }
    }
}

impl Weighted for () {}
impl Weighted for i32 {}
impl Weighted for Id128 {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Weighted for u32 {
        fn weight(&self) -> u32 {
            *self
        }
    }

    /// The same promises, kept the slow way.
    #[derive(Default)]
    struct Model {
        /// Oldest first.
        segments: [Vec<(u8, u32)>; 2],
        capacity: u64,
    }

    impl Model {
        fn find(&self, key: u8) -> Option<(usize, usize)> {
            (0..2).find_map(|s| self.segments[s].iter().position(|(k, _)| *k == key).map(|at| (s, at)))
        }

        fn insert(&mut self, key: u8, value: u32) {
            match self.find(key) {
                Some((segment, at)) => {
                    self.segments[segment].remove(at);
                    self.segments[segment].push((key, value));
                }
                None => self.segments[0].push((key, value)),
            }
            self.make_room();
        }

        fn establish(&mut self, key: u8) {
            let Some((segment, at)) = self.find(key) else { return };
            let entry = self.segments[segment].remove(at);
            self.segments[1].push(entry);
            self.make_room();
        }

        fn make_room(&mut self) {
            let weight = |segment: &Vec<(u8, u32)>| segment.iter().map(|(_, value)| u64::from(*value)).sum::<u64>();
            while weight(&self.segments[1]) > self.capacity - self.capacity / 4 && self.segments[1].len() > 1 {
                self.segments[1].remove(0);
            }
            while weight(&self.segments[0]) + weight(&self.segments[1]) > self.capacity && self.segments[0].len() > 1 {
                self.segments[0].remove(0);
            }
        }

        fn entries(&self) -> impl Iterator<Item = (Id128, u32, bool)> {
            let entries = |segment: usize| self.segments[segment].iter().map(move |(k, v)| (key(*k), *v, segment == 1));
            entries(0).chain(entries(1))
        }
    }

    fn resized(established: bool) -> Outcome {
        Outcome { established, resized: true }
    }

    fn key(key: u8) -> Id128 {
        Id128::of(&[key])
    }

    fn entries(table: &Table<u32>) -> BTreeMap<Id128, (u32, bool)> {
        table.iter().map(|(key, recency, value)| (key, (*value, recency.established))).collect()
    }

    proptest! {
        #[test]
        fn the_table_does_what_the_model_does(
            capacity in 1u64..30,
            actions in prop::collection::vec((0u8..5, 0u8..24, 1u32..6), 0..300),
        ) {
            let mut table = Table::new(capacity, true);
            let mut model = Model { capacity, ..Model::default() };
            let mut stored = BTreeMap::new();
            for (action, name, value) in actions {
                match action {
                    0 => {
                        let known = table.update(key(name), || Some(value), |known, new| (resized(false), (std::mem::replace(known, value), new)));
                        prop_assert_eq!(known.map(|(_, new)| new), Some(model.find(name).is_none()));
                        model.insert(name, value);
                    }
                    1 => {
                        table.update(key(name), || None, |_, _| (resized(true), ()));
                        model.establish(name);
                    }
                    2 => {
                        let known = table.get(key(name)).copied();
                        prop_assert_eq!(known.is_some(), model.find(name).is_some());
                        if let Some(known) = known { model.insert(name, known); }
                    }
                    3 => table.expect(Some(key(name))),
                    _ => store(&mut table, &mut stored),
                }
                let expected: BTreeMap<_, _> = model.entries().map(|(key, value, established)| (key, (value, established))).collect();
                prop_assert_eq!(entries(&table), expected);
                prop_assert_eq!(table.weight(), model.entries().map(|(_, value, _)| u64::from(value)).sum::<u64>());
                for (key, value, _) in model.entries() {
                    prop_assert_eq!(table.peek(key), Some(&value));
                }
            }
            // What was listed as changed is the table, and restoring it gives the same order of eviction.
            store(&mut table, &mut stored);
            let mut restored = Table::new(capacity, true);
            restored.restore(stored.into_iter().map(|(key, (recency, value))| Ok::<_, ()>((key, recency, value)))).unwrap();
            for name in 100..110 {
                prop_assert_eq!(entries(&restored), entries(&table));
                restored.update(key(name), || Some(2), |_, _| (resized(name % 3 == 0), ()));
                table.update(key(name), || Some(2), |_, _| (resized(name % 3 == 0), ()));
            }
        }

        #[test]
        fn one_off_keys_cannot_push_out_what_is_established(flood in 1u8..200) {
            let mut table: Table<u32> = Table::new(40, false);
            for name in 200..215 {
                table.update(key(name), || Some(2), |_, _| (resized(true), ()));
            }
            for name in 0..flood {
                table.update(key(name), || Some(3), |_, _| (resized(false), ()));
            }
            prop_assert!((200..215).all(|name| table.peek(key(name)).is_some()));
            prop_assert!(table.weight() <= 40);
            prop_assert_eq!(table.evicted(), u64::from(flood.saturating_sub(3)));
        }
    }

    fn store(table: &mut Table<u32>, stored: &mut BTreeMap<Id128, (Recency, u32)>) {
        table.take_changes(|change| match change.value {
            Some(value) => drop(stored.insert(change.key, (change.recency, *value))),
            None => drop(stored.remove(&change.key)),
        });
    }
}
