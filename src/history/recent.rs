//! The K most recent distinct observers of something.

use std::ops::DerefMut;

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

/// Most sets hold one observer for good, and need no memory of their own. Of the others, what is asked most is beside
/// the list, which is often not in the processor's cache.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Kept {
    #[default]
    None,
    One(Observer),
    /// Two at least, and fewer than K.
    Several {
        /// The day of the last observer.
        oldest: i32,
        /// Whether it is that of all of them.
        one_day: bool,
        list: Columns<Box<[u32]>>,
    },
    /// K of them.
    All {
        oldest: i32,
        one_day: bool,
        /// Where the last observer stands among all, roughly.
        last: u64,
        list: Columns<Box<[u32; Recent::K * WORDS]>>,
    },
}

/// Observers, column by column: the ends of their identities, which tell most of them apart, their days, and the rest of
/// their identities. Who is looked for is compared with all ends at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Columns<W>(W);

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

/// Words of a list for each observer: one is the end of its identity, one the day, three the rest.
const WORDS: usize = 5;

impl Recent {
    /// How many observers are kept: rarity asks about small numbers only.
    pub const K: usize = 32;

    /// Nobody.
    pub(super) const EMPTY: Self = Self(Kept::None);

    /// Notes that an observer was seen on a day; says whether it is new to the set.
    pub fn observe(&mut self, id: Id128, day: i32) -> bool {
        self.note(id, day) != Noted::Known
    }

    /// The same, and says whether the set takes more memory now. Inline is what most sessions come to.
    #[inline]
    pub(super) fn note(&mut self, id: Id128, day: i32) -> Noted {
        match &mut self.0 {
            Kept::One(only) if only.id == id => {
                only.day = only.day.max(day);
                Noted::Known
            }
            // Of what many see, the set is full of today's, and most others come behind the last one.
            Kept::All { oldest, one_day: true, last, .. } if *oldest == day && *last < rough_place(id) => Noted::Passed,
            _ => self.note_among(Observer { id, day }),
        }
    }

    #[inline(never)]
    fn note_among(&mut self, seen: Observer) -> Noted {
        let known = match &self.0 {
            Kept::None | Kept::One(_) => return self.begin(seen),
            Kept::Several { list, .. } => list.find(seen.id),
            Kept::All { list, .. } => list.find(seen.id),
        };
        // The clock hardly ever goes back: what was seen on a later day stays there.
        match known {
            Some((_, day)) if day >= seen.day => Noted::Known,
            known => self.renew(seen, known.map(|(at, _)| at)),
        }
    }

    /// Notes the first observer, or the second.
    #[inline(never)]
    fn begin(&mut self, seen: Observer) -> Noted {
        match &self.0 {
            Kept::One(only) => {
                let both = if only.comes_before(&seen) { [*only, seen] } else { [seen, *only] };
                self.0 = Kept::of(&both);
                Noted::Grown
            }
            _ => {
                self.0 = Kept::One(seen);
                Noted::Passed
            }
        }
    }

    /// Puts an observer in its place among several, where it stands at `known` by an earlier day, if it does.
    #[inline(never)]
    fn renew(&mut self, seen: Observer, known: Option<usize>) -> Noted {
        // Without room, the last one goes; if nobody does, it is who was to come in.
        let gap = known.unwrap_or(Self::K - 1);
        match &mut self.0 {
            Kept::Several { list, .. } if known.is_none() => {
                self.0 = Kept::many(list.with(seen));
                return Noted::Grown;
            }
            Kept::Several { oldest, one_day, list } => {
                list.put(seen, gap);
                (*oldest, *one_day) = list.days();
            }
            Kept::All { oldest, one_day, last, list } if known.is_some() || seen.comes_before(&list.at(gap)) => {
                list.put(seen, gap);
                ((*oldest, *one_day), *last) = (list.days(), list.last());
            }
            _ => {}
        }
        if known.is_some() { Noted::Known } else { Noted::Passed }
    }

    /// Whether more than one observer was ever seen.
    pub fn is_several(&self) -> bool {
        matches!(self.0, Kept::Several { .. } | Kept::All { .. })
    }

    /// How many distinct observers were seen on `from_day` or later; K stands for K or more.
    #[inline]
    pub fn count_since(&self, from_day: i32) -> u8 {
        match &self.0 {
            Kept::None => 0,
            Kept::One(only) => u8::from(only.day >= from_day),
            // Mostly all of them are inside the window.
            Kept::All { oldest, .. } if *oldest >= from_day => Self::K as u8,
            Kept::Several { oldest, list, .. } if *oldest >= from_day => list.len() as u8,
            Kept::All { list, .. } => list.count_since(from_day),
            Kept::Several { list, .. } => list.count_since(from_day),
        }
    }

    /// The last day on which an observer was seen.
    pub fn last_day(&self, id: Id128) -> Option<i32> {
        self.observers().find(|known| known.id == id).map(|known| known.day)
    }

    /// How many observers are kept.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kept::None => 0,
            Kept::One(_) => 1,
            Kept::Several { list, .. } => list.len(),
            Kept::All { .. } => Self::K,
        }
    }

    /// Whether nobody was ever seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The observers, the latest first.
    pub fn observers(&self) -> impl ExactSizeIterator<Item = Observer> + '_ {
        let one = Observer { id: Id128([0; 16]), day: i32::MIN };
        (0..self.len()).map(move |at| match &self.0 {
            Kept::None => one,
            Kept::One(only) => *only,
            Kept::Several { list, .. } => list.at(at),
            Kept::All { list, .. } => list.at(at),
        })
    }

    /// The K latest of both sets, each observer with its later day.
    pub fn merge(&self, other: &Self) -> Self {
        Self::of(self.observers().chain(other.observers()).collect())
    }

    /// Forgets observers that were last seen before a day; says whether there were any.
    pub fn forget_before(&mut self, day: i32) -> bool {
        let left = self.count_since(day) as usize;
        let any = left < self.len();
        if any {
            *self = Self::of(self.observers().take(left).collect());
        }
        any
    }

    /// Bytes of memory beside the set itself: what follows from its content, whatever the allocator makes of it.
    pub(super) fn heap_bytes(&self) -> usize {
        match self.len() {
            0 | 1 => 0,
            len => len * WORDS * size_of::<u32>() + super::budget::ALLOCATION_BYTES,
        }
    }

    /// The set of observers that come in any order.
    pub(super) fn of(mut seen: Vec<Observer>) -> Self {
        // The latest day of an observer comes first, and the others go.
        seen.sort_unstable_by_key(|observer| (observer.id, std::cmp::Reverse(observer.day)));
        seen.dedup_by_key(|observer| observer.id);
        seen.sort_unstable_by_key(Observer::place);
        seen.truncate(Self::K);
        Self(Kept::of(&seen))
    }
}

impl Kept {
    /// Observers in their order, K at the most.
    fn of(observers: &[Observer]) -> Self {
        match observers {
            [] => Self::None,
            [only] => Self::One(*only),
            _ => Self::many(Columns::of(observers)),
        }
    }

    /// Two observers at least.
    fn many(list: Columns<Box<[u32]>>) -> Self {
        let (oldest, one_day) = list.days();
        match Box::try_from(list.0) {
            Ok(all) => {
                let list = Columns(all);
                Self::All { oldest, one_day, last: list.last(), list }
            }
            Err(several) => Self::Several { oldest, one_day, list: Columns(several) },
        }
    }
}

impl Columns<Box<[u32]>> {
    fn of(observers: &[Observer]) -> Self {
        let mut list = Self(vec![0; observers.len() * WORDS].into_boxed_slice());
        for (at, observer) in observers.iter().enumerate() {
            list.set(at, *observer);
        }
        list
    }

    /// The same observers and one more. A list grows thirty times at the most, so that it never has to have room to spare.
    fn with(&self, seen: Observer) -> Self {
        let (at, len) = (self.place_of(&seen, self.len()), self.len());
        let (end, rest) = words_of(seen.id);
        let (ends, others) = self.words().split_at(len);
        let (days, rests) = others.split_at(len);
        let mut words = Vec::with_capacity((len + 1) * WORDS);
        for (column, at, word) in [(ends, at, &[end][..]), (days, at, &[seen.day as u32]), (rests, 3 * at, &rest)] {
            let (before, after) = column.split_at(at);
            words.extend_from_slice(before);
            words.extend_from_slice(word);
            words.extend_from_slice(after);
        }
        Self(words.into_boxed_slice())
    }
}

impl<W: DerefMut<Target: AsRef<[u32]> + AsMut<[u32]>>> Columns<W> {
    fn words(&self) -> &[u32] {
        (*self.0).as_ref()
    }

    fn len(&self) -> usize {
        self.words().len() / WORDS
    }

    /// Where an observer stands, and its day.
    #[inline]
    fn find(&self, id: Id128) -> Option<(usize, i32)> {
        /// Ends that are looked at together.
        const LANES: usize = 8;
        /// A bit for each place.
        const PLACES: [[u32; LANES]; Recent::K / LANES] = {
            let mut places = [[0; LANES]; Recent::K / LANES];
            let mut at = 0;
            while at < Recent::K {
                places[at / LANES][at % LANES] = 1 << at;
                at += 1;
            }
            places
        };
        let (words, len) = (self.words(), self.len());
        let (end, rest) = words_of(id);
        let mut found = [0; LANES];
        // Which of so few is the one is found without a branch that nobody can foresee. What is looked at behind the last
        // end is a day.
        for (ends, places) in words.as_chunks::<LANES>().0.iter().take(len.div_ceil(LANES)).zip(&PLACES) {
            for lane in 0..LANES {
                found[lane] |= if ends[lane] == end { places[lane] } else { 0 };
            }
        }
        let mut candidates = found.iter().fold(0, |all, found| all | found) & (u32::MAX >> (Recent::K - len));
        while candidates != 0 {
            let at = candidates.trailing_zeros() as usize;
            if words[2 * len + 3 * at..][..3] == rest {
                return Some((at, words[len + at] as i32));
            }
            candidates &= candidates - 1;
        }
        None
    }

    fn at(&self, at: usize) -> Observer {
        let words = self.words();
        let len = self.len();
        let rest = 2 * len + 3 * at;
        Observer { id: id_of(words[at], [words[rest], words[rest + 1], words[rest + 2]]), day: words[len + at] as i32 }
    }

    fn set(&mut self, at: usize, observer: Observer) {
        let len = self.len();
        let words = (*self.0).as_mut();
        let (end, rest) = words_of(observer.id);
        words[at] = end;
        words[len + at] = observer.day as u32;
        words[2 * len + 3 * at..][..3].copy_from_slice(&rest);
    }

    /// How many of the first `len` observers come before another one.
    fn place_of(&self, seen: &Observer, len: usize) -> usize {
        let (mut from, mut to) = (0, len);
        while from < to {
            let middle = (from + to) / 2;
            if self.at(middle).comes_before(seen) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        from
    }

    /// Puts an observer in its place, which is not behind `gap`; who stands at `gap` goes.
    fn put(&mut self, seen: Observer, gap: usize) {
        let at = self.place_of(&seen, gap);
        let len = self.len();
        let words = (*self.0).as_mut();
        words[at..=gap].rotate_right(1);
        words[len..][at..=gap].rotate_right(1);
        words[2 * len..][3 * at..3 * (gap + 1)].rotate_right(3);
        self.set(at, seen);
    }

    /// The day of the last observer, and whether it is that of all of them.
    fn days(&self) -> (i32, bool) {
        let days = &self.words()[self.len()..2 * self.len()];
        let oldest = days.last().map_or(i32::MIN, |day| *day as i32);
        (oldest, days.first().is_some_and(|first| *first as i32 == oldest))
    }

    fn last(&self) -> u64 {
        rough_place(self.at(self.len() - 1).id)
    }

    fn count_since(&self, from_day: i32) -> u8 {
        let days = &self.words()[self.len()..2 * self.len()];
        days.partition_point(|day| *day as i32 >= from_day) as u8
    }
}

/// The end of an identity, in which addresses differ, and the rest of it.
fn words_of(id: Id128) -> (u32, [u32; 3]) {
    let number = u128::from_ne_bytes(id.0);
    let word = |at: u32| (number >> (32 * at)) as u32;
    if cfg!(target_endian = "little") {
        (word(3), [word(0), word(1), word(2)])
    } else {
        (word(0), [word(3), word(2), word(1)])
    }
}

fn id_of(end: u32, rest: [u32; 3]) -> Id128 {
    let mut bytes = [0; 16];
    for (place, word) in bytes.chunks_exact_mut(4).zip([rest[0], rest[1], rest[2], end]) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    Id128(bytes)
}

/// What orders observers of one day.
fn number(id: Id128) -> u128 {
    u128::from_be_bytes(id.0)
}

/// The same in half as many bits: what comes before another one by this does so by its number. IPv4 addresses, which have
/// small numbers, keep all of theirs.
fn rough_place(id: Id128) -> u64 {
    const SMALL: u128 = 1 << 63;
    let number = number(id);
    if number < SMALL { number as u64 } else { 1 << 63 | (number >> 65) as u64 }
}

impl Observer {
    /// Bytes of one observer in a stored row.
    const STORED: usize = 20;

    fn place(&self) -> (std::cmp::Reverse<i32>, Id128) {
        (std::cmp::Reverse(self.day), self.id)
    }

    fn comes_before(&self, other: &Self) -> bool {
        self.day > other.day || (self.day == other.day && number(self.id) < number(other.id))
    }
}

/// Stored as bytes, 20 for each observer: the day, big-endian, and who it is.
impl Serialize for Recent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = [0; Self::K * Observer::STORED];
        for (stored, observer) in bytes.chunks_exact_mut(Observer::STORED).zip(self.observers()) {
            let (day, id) = stored.split_at_mut(4);
            day.copy_from_slice(&observer.day.to_be_bytes());
            id.copy_from_slice(&observer.id.0);
        }
        serializer.serialize_bytes(&bytes[..self.len() * Observer::STORED])
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
        let seen: Vec<_> = stored.iter().map(observer).collect::<Option<_>>()?;
        let in_order = seen.len() <= Self::K && seen.windows(2).all(|pair| pair[0].comes_before(&pair[1]));
        // What this program wrote is in order already.
        Some(if in_order { Self(Kept::of(&seen)) } else { Self::of(seen) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Hashes, IPv4 addresses, which are small numbers, and prefixes of IPv6, whose ends are equal.
    fn id(observer: u16) -> Id128 {
        let number = u128::from(observer);
        match observer % 3 {
            0 => Id128::of(&observer.to_be_bytes()),
            1 => Id128((0xffff_0a00_0000 + number).to_be_bytes()),
            _ => Id128(((0x2001_0db8_u128 << 32 | number) << 64).to_be_bytes()),
        }
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
            let days = |recent: &Recent| recent.observers().map(|known| known.day).collect::<Vec<_>>();
            let left = days(&recent).into_iter().filter(|known| *known >= day).collect::<Vec<_>>();
            recent.forget_before(day);
            prop_assert_eq!(days(&recent), left);
        }

        #[test]
        fn no_stored_bytes_are_too_bad_to_read(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(recent) = Recent::read(&bytes) {
                prop_assert!(recent.observers().len() <= Recent::K);
                let observers: Vec<_> = recent.observers().collect();
                prop_assert!(observers.windows(2).all(|pair| pair[0].comes_before(&pair[1])));
            }
        }
    }

    #[test]
    fn a_set_of_one_needs_no_memory_of_its_own() {
        assert_eq!(size_of::<Recent>(), 24);
        assert_eq!((set(&[(1, 1)]).heap_bytes(), set(&[(1, 1), (2, 1)]).heap_bytes()), (0, 56));
    }
}
