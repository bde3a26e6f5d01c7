//! Sorted tables of hashed keys.

use rayon::slice::ParallelSliceMut as _;

use super::filter::Filter;

/// A key, and where it is listed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Entry<K> {
    /// The key.
    pub(super) key: K,
    /// Index of what is said of it.
    pub(super) note: u32,
    /// Its row in the feed.
    pub(super) row: u32,
}

/// Entries by their keys. Keys are hashes and so evenly spread: their first bits say where to look.
#[derive(Default)]
pub(super) struct Table<K> {
    /// Sorted by key, then note and row, which is the order of the files.
    entries: Vec<Entry<K>>,
    /// For each value of the first bits, where its entries begin; and the end.
    starts: Vec<u32>,
    filter: Filter,
}

/// A key whose first 64 bits can be had.
pub(super) trait Key: Copy + Ord + Send {
    /// The first 64 bits.
    fn first_bits(self) -> u64;
}

/// Entries that one value of the first bits has on the average.
const PER_START: usize = 8;

impl Key for u64 {
    fn first_bits(self) -> u64 {
        self
    }
}

impl Key for u128 {
    fn first_bits(self) -> u64 {
        (self >> 64) as u64
    }
}

impl<K: Key> Table<K> {
    /// Sorts entries into a table.
    pub(super) fn new(mut entries: Vec<Entry<K>>) -> Self {
        entries.par_sort_unstable();
        entries.shrink_to_fit();
        let bits = (entries.len() / PER_START).checked_ilog2().map_or(0, |log| log + 1);
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        for (index, entry) in (0_u32..).zip(&entries) {
            let bucket = bucket(entry.key, bits);
            while starts.len() <= bucket {
                starts.push(index);
            }
        }
        starts.resize((1 << bits) + 1, entries.len() as u32);
        let filter = Filter::new(entries.iter().map(|entry| entry.key.first_bits()));
        Self { entries, starts, filter }
    }

    /// The entries of a key.
    pub(super) fn find(&self, key: K) -> &[Entry<K>] {
        if !self.filter.may_hold(key.first_bits()) {
            return &[];
        }
        let bits = (self.starts.len() - 1).ilog2();
        let bucket = bucket(key, bits);
        let near = &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
        let from = near.partition_point(|entry| entry.key < key);
        let length = near[from..].iter().take_while(|entry| entry.key == key).count();
        &near[from..from + length]
    }

    /// All entries.
    pub(super) fn entries(&self) -> &[Entry<K>] {
        &self.entries
    }

    /// Whether there is no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn bucket<K: Key>(key: K, bits: u32) -> usize {
    key.first_bits().checked_shr(64 - bits).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_table_finds_what_a_plain_search_finds(
            keys in prop::collection::vec(prop_oneof![0_u64..40, any::<u64>(), (0_u64..40).prop_map(|k| k << 58)], 0..200),
            asked in prop_oneof![0_u64..40, (0_u64..40).prop_map(|k| k << 58)],
        ) {
            let entries: Vec<_> = (0..).zip(&keys).map(|(row, &key)| Entry { key, note: 0, row }).collect();
            let table = Table::new(entries.clone());
            for key in keys.iter().copied().chain([asked]) {
                let expected: Vec<_> = entries.iter().filter(|entry| entry.key == key).copied().collect();
                prop_assert_eq!(table.find(key), &expected);
            }
        }
    }
}
