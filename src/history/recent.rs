//! The K most recent distinct observers of something.

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::Id128;

/// At most [`K`](Recent::K) observers, each with the last day on which it was seen.
///
/// The number of distinct observers in a window that ends at the newest day is exactly the smaller of K and the truth:
/// if more than K were seen in the window, the K kept ones all are in it. They stand in one order, the latest day first
/// and the smaller observer first within a day, so that neither the order of arrival nor that of merging matters.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recent(Kept);

/// Most sets hold one observer for good, and need no memory of their own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Kept {
    #[default]
    None,
    One(Observer),
    /// Two at least. What is asked most is beside the list, which is often not in the processor's cache.
    Many {
        /// The day of the last observer.
        oldest: i32,
        /// Whether it is the day of all of them.
        one_day: bool,
        kept: Box<[Observer]>,
    },
}

/// What a set makes of an observer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Noted {
    /// It had it.
    Known,
    /// It is new; the set takes as much memory as before, with the observer or without.
    Passed,
    /// It is new, and takes memory.
    Grown,
}

/// An observer, and the last day on which it was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observer {
    /// Who or what it is.
    pub id: Id128,
    /// The last day on which it was seen, in days since the epoch.
    pub day: i32,
}

impl Recent {
    /// How many observers are kept: rarity asks about small numbers only.
    pub const K: usize = 32;

    /// Nobody.
    pub(super) const EMPTY: Self = Self(Kept::None);

    /// Notes that an observer was seen on a day; says whether it is new to the set.
    pub fn observe(&mut self, id: Id128, day: i32) -> bool {
        self.note(id, day) != Noted::Known
    }

    /// The same, and says whether the set takes more memory now. Inline is what nearly all sessions come to.
    #[inline]
    pub(super) fn note(&mut self, id: Id128, day: i32) -> Noted {
        match &mut self.0 {
            Kept::One(only) if only.id == id => {
                only.day = only.day.max(day);
                Noted::Known
            }
            // Of what many see, the set is full of today's, and most others come behind the last one.
            Kept::Many { oldest, one_day: true, kept }
                if *oldest == day
                    && kept.len() == Self::K
                    && kept.last().is_some_and(|last| last.number() < number(id)) =>
            {
                Noted::Passed
            }
            _ => self.note_among(id, day),
        }
    }

    #[inline(never)]
    fn note_among(&mut self, id: Id128, day: i32) -> Noted {
        let Kept::Many { kept, .. } = &self.0 else { return self.begin(Observer { id, day }) };
        // So few are gone through faster than searched by their order; addresses differ at their end.
        let end = |id: Id128| id.0.last_chunk().map_or(0, |end| u64::from_ne_bytes(*end));
        let wanted = end(id);
        // The clock hardly ever goes back: what was seen on a later day stays there.
        if kept.iter().any(|known| end(known.id) == wanted && known.id == id && known.day >= day) {
            return Noted::Known;
        }
        self.renew(Observer { id, day })
    }

    /// Notes the first observer, or the second.
    #[inline(never)]
    fn begin(&mut self, seen: Observer) -> Noted {
        match &mut self.0 {
            Kept::One(only) => {
                let only = *only;
                let both = if only.comes_before(&seen) { [only, seen] } else { [seen, only] };
                self.0 = Kept::of(Box::new(both));
                Noted::Grown
            }
            _ => {
                self.0 = Kept::One(seen);
                Noted::Passed
            }
        }
    }

    /// Puts an observer in its place among several, of whom it may be one that was seen on an earlier day.
    #[inline(never)]
    fn renew(&mut self, seen: Observer) -> Noted {
        let Kept::Many { oldest, one_day, kept } = &mut self.0 else { return Noted::Passed };
        if let Some(known) = kept.iter().position(|known| known.id == seen.id) {
            let at = kept[..known].partition_point(|other| other.comes_before(&seen));
            kept[at..=known].rotate_right(1);
            kept[at] = seen;
            (*oldest, *one_day) = days_of(kept);
            return Noted::Known;
        }
        let at = kept.partition_point(|other| other.comes_before(&seen));
        if kept.len() < Self::K {
            // A set grows thirty times at the most, so that it never has to have room to spare.
            let mut grown = Vec::with_capacity(kept.len() + 1);
            let (before, after) = kept.split_at(at);
            grown.extend_from_slice(before);
            grown.push(seen);
            grown.extend_from_slice(after);
            self.0 = Kept::of(grown.into_boxed_slice());
            return Noted::Grown;
        }
        if at < kept.len() {
            kept[at..].rotate_right(1);
            kept[at] = seen;
            (*oldest, *one_day) = days_of(kept);
        }
        Noted::Passed
    }

    /// Whether more than one observer was ever seen.
    pub fn is_several(&self) -> bool {
        matches!(self.0, Kept::Many { .. })
    }

    /// How many distinct observers were seen on `from_day` or later; K stands for K or more.
    #[inline]
    pub fn count_since(&self, from_day: i32) -> u8 {
        match &self.0 {
            // Mostly all of them are inside the window.
            Kept::Many { oldest, kept, .. } if *oldest >= from_day => kept.len() as u8,
            Kept::One(only) => u8::from(only.day >= from_day),
            _ => self.observers().partition_point(|known| known.day >= from_day) as u8,
        }
    }

    /// The last day on which an observer was seen.
    pub fn last_day(&self, id: Id128) -> Option<i32> {
        self.observers().iter().find(|known| known.id == id).map(|known| known.day)
    }

    /// The observers, the latest first.
    pub fn observers(&self) -> &[Observer] {
        match &self.0 {
            Kept::None => &[],
            Kept::One(only) => std::slice::from_ref(only),
            Kept::Many { kept, .. } => kept,
        }
    }

    /// The K latest of both sets, each observer with its later day.
    pub fn merge(&self, other: &Self) -> Self {
        Self::of([self.observers(), other.observers()].concat())
    }

    /// Forgets observers that were last seen before a day; says whether there were any.
    pub fn forget_before(&mut self, day: i32) -> bool {
        let left = self.count_since(day) as usize;
        let any = left < self.observers().len();
        if any {
            *self = Self::of(self.observers()[..left].to_vec());
        }
        any
    }

    /// Bytes of memory beside the set itself: what follows from its content, whatever the allocator makes of it.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.0 {
            Kept::None | Kept::One(_) => 0,
            Kept::Many { kept, .. } => kept.len() * size_of::<Observer>() + super::budget::ALLOCATION_BYTES,
        }
    }

    /// The set of observers that come in any order.
    pub(super) fn of(mut seen: Vec<Observer>) -> Self {
        // The latest day of an observer comes first, and the others go.
        seen.sort_unstable_by_key(|observer| (observer.id, std::cmp::Reverse(observer.day)));
        seen.dedup_by_key(|observer| observer.id);
        seen.sort_unstable_by_key(Observer::place);
        seen.truncate(Self::K);
        Self(match seen[..] {
            [] => Kept::None,
            [only] => Kept::One(only),
            _ => Kept::of(seen.into_boxed_slice()),
        })
    }
}

impl Kept {
    /// Two observers at least, in their order.
    fn of(kept: Box<[Observer]>) -> Self {
        let (oldest, one_day) = days_of(&kept);
        Self::Many { oldest, one_day, kept }
    }
}

/// What orders observers of one day.
fn number(id: Id128) -> u128 {
    u128::from_be_bytes(id.0)
}

/// The day of the last of some observers, and whether it is that of all.
fn days_of(kept: &[Observer]) -> (i32, bool) {
    let last = kept.last().map_or(i32::MIN, |last| last.day);
    (last, kept.first().is_some_and(|first| first.day == last))
}

impl Observer {
    /// Bytes of one observer in a stored row.
    const STORED: usize = 20;

    fn place(&self) -> (std::cmp::Reverse<i32>, Id128) {
        (std::cmp::Reverse(self.day), self.id)
    }

    fn number(&self) -> u128 {
        number(self.id)
    }

    fn comes_before(&self, other: &Self) -> bool {
        self.day > other.day || (self.day == other.day && self.number() < other.number())
    }
}

/// Stored as bytes, 20 for each observer: the day, big-endian, and who it is.
impl Serialize for Recent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = [0; Self::K * Observer::STORED];
        let observers = self.observers();
        for (stored, observer) in bytes.chunks_exact_mut(Observer::STORED).zip(observers) {
            let (day, id) = stored.split_at_mut(4);
            day.copy_from_slice(&observer.day.to_be_bytes());
            id.copy_from_slice(&observer.id.0);
        }
        serializer.serialize_bytes(&bytes[..observers.len() * Observer::STORED])
    }
}

impl<'a> Deserialize<'a> for Recent {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Stored;

        impl Visitor<'_> for Stored {
            type Value = Recent;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the bytes of a set of observers")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Recent, E> {
                Recent::read(bytes).ok_or_else(|| E::custom("no set of observers"))
            }
        }

        deserializer.deserialize_bytes(Stored).map_err(D::Error::custom)
    }
}

impl Recent {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (stored, []) = bytes.as_chunks::<{ Observer::STORED }>() else { return None };
        let observer = |stored: &[u8; Observer::STORED]| {
            let (day, id) = stored.split_first_chunk::<4>()?;
            Some(Observer { id: Id128(id.try_into().ok()?), day: i32::from_be_bytes(*day) })
        };
        if let [only] = stored {
            return Some(Self(Kept::One(observer(only)?)));
        }
        let seen: Vec<_> = stored.iter().map(observer).collect::<Option<_>>()?;
        let in_order = seen.len() <= Self::K && seen.windows(2).all(|pair| pair[0].comes_before(&pair[1]));
        // What this program wrote is in order already.
        Some(if in_order && seen.len() > 1 { Self(Kept::of(seen.into_boxed_slice())) } else { Self::of(seen) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(observer: u16) -> Id128 {
        Id128::of(&observer.to_be_bytes())
    }

    fn set(seen: &[(u16, i32)]) -> Recent {
        let mut recent = Recent::default();
        for &(observer, day) in seen {
            recent.observe(id(observer), day);
        }
        recent
    }

    fn seen(days: i32) -> impl Strategy<Value = Vec<(u16, i32)>> {
        prop::collection::vec((0u16..80, 0..days), 0..300)
    }

    proptest! {
        #[test]
        fn counts_are_exact_up_to_k(seen in seen(40), window in 1i32..45) {
            let mut recent = Recent::default();
            let mut all: BTreeMap<u16, i32> = BTreeMap::new();
            for (observer, day) in seen {
                recent.observe(id(observer), day);
                let last = all.entry(observer).or_insert(day);
                *last = (*last).max(day);
                let newest = all.values().copied().max().unwrap_or_default();
                let from = newest - window + 1;
                let truth = all.values().filter(|day| **day >= from).count();
                prop_assert_eq!(recent.count_since(from) as usize, truth.min(Recent::K));
            }
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(seen in seen(10)) {
            let mut backwards = seen.clone();
            backwards.reverse();
            prop_assert_eq!(set(&seen), set(&backwards));
        }

        #[test]
        fn a_set_is_merged_as_if_it_had_seen_all(one in seen(10), two in seen(10), three in seen(10)) {
            let (a, b, c) = (set(&one), set(&two), set(&three));
            prop_assert_eq!(a.merge(&b), set(&[&one[..], &two].concat()));
            prop_assert_eq!(a.merge(&b), b.merge(&a));
            prop_assert_eq!(a.merge(&b).merge(&c), a.merge(&b.merge(&c)));
            prop_assert_eq!(a.merge(&a), a);
        }

        #[test]
        fn what_is_stored_comes_back(seen in seen(10), day in 0i32..10) {
            let mut recent = set(&seen);
            let stored = postcard::to_allocvec(&recent).unwrap();
            prop_assert_eq!(&postcard::from_bytes::<Recent>(&stored).unwrap(), &recent);
            let days = |recent: &Recent| recent.observers().iter().map(|known| known.day).collect::<Vec<_>>();
            let left = days(&recent).into_iter().filter(|known| *known >= day).collect::<Vec<_>>();
            recent.forget_before(day);
            prop_assert_eq!(days(&recent), left);
        }

        #[test]
        fn no_stored_bytes_are_too_bad_to_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(recent) = Recent::read(&bytes) {
                prop_assert!(recent.observers().len() <= Recent::K);
                prop_assert!(recent.observers().windows(2).all(|pair| pair[0].comes_before(&pair[1])));
            }
        }
    }

    #[test]
    fn a_set_of_one_needs_no_memory_of_its_own() {
        assert_eq!(size_of::<Recent>(), 24);
        assert_eq!((set(&[(1, 1)]).heap_bytes(), set(&[(1, 1), (2, 1)]).heap_bytes()), (0, 56));
    }
}
