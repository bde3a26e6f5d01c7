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
    Many(Box<[Observer]>),
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
        let seen = Observer { id, day };
        let kept = self.kept_mut();
        let (Some(&first), Some(&last)) = (kept.first(), kept.last()) else {
            self.insert(0, seen);
            return true;
        };
        // Of what many see, the set is full of today's, and most others come behind the last one.
        if kept.len() == Self::K && (first.day, last.day) == (day, day) && last.comes_before(&seen) {
            return true;
        }
        let at = kept.partition_point(|known| known.comes_before(&seen));
        if kept.get(at) == Some(&seen) {
            return false;
        }
        // The clock hardly ever goes back: what was seen on a later day stays there.
        if first.day > day && kept[..at].iter().any(|known| known.id == id && known.day > day) {
            return false;
        }
        // What comes behind and is of the same day is somebody else.
        if last.day < day
            && let Some(older) = kept[at..].iter().position(|known| known.id == id)
        {
            kept[at..=at + older].rotate_right(1);
            kept[at] = seen;
            return false;
        }
        if kept.len() < Self::K {
            self.insert(at, seen);
        } else if at < kept.len() {
            kept[at..].rotate_right(1);
            kept[at] = seen;
        }
        true
    }

    /// Whether more than one observer was ever seen.
    pub fn is_several(&self) -> bool {
        self.observers().len() > 1
    }

    /// How many distinct observers were seen on `from_day` or later; K stands for K or more.
    pub fn count_since(&self, from_day: i32) -> u32 {
        let observers = self.observers();
        match observers.last() {
            // Mostly all of them are inside the window.
            Some(last) if last.day >= from_day => observers.len() as u32,
            _ => observers.partition_point(|known| known.day >= from_day) as u32,
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
            Kept::Many(many) => many,
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
            Kept::Many(many) => many.len() * size_of::<Observer>() + super::budget::ALLOCATION_BYTES,
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
            _ => Kept::Many(seen.into_boxed_slice()),
        })
    }

    fn kept_mut(&mut self) -> &mut [Observer] {
        match &mut self.0 {
            Kept::None => &mut [],
            Kept::One(only) => std::slice::from_mut(only),
            Kept::Many(many) => many,
        }
    }

    /// Makes room for one more. A set grows thirty-one times at the most, so that it never has to have room to spare.
    fn insert(&mut self, at: usize, seen: Observer) {
        let mut grown = Vec::with_capacity(self.observers().len() + 1);
        let (before, after) = self.observers().split_at(at);
        grown.extend_from_slice(before);
        grown.push(seen);
        grown.extend_from_slice(after);
        self.0 = match grown[..] {
            [only] => Kept::One(only),
            _ => Kept::Many(grown.into_boxed_slice()),
        };
    }
}

impl Observer {
    /// Bytes of one observer in a stored row.
    const STORED: usize = 20;

    fn place(&self) -> (std::cmp::Reverse<i32>, Id128) {
        (std::cmp::Reverse(self.day), self.id)
    }

    fn comes_before(&self, other: &Self) -> bool {
        self.day > other.day
            || (self.day == other.day && u128::from_be_bytes(self.id.0) < u128::from_be_bytes(other.id.0))
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
        Some(if in_order && !seen.is_empty() { Self(Kept::Many(seen.into_boxed_slice())) } else { Self::of(seen) })
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
