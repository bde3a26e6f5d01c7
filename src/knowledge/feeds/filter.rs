//! Says of most keys that a large table does not hold them, for the price of one cache line.
//!
//! Nearly everything that is looked up is listed nowhere, and a search in a table of a million rows waits for memory
//! several times. Each key sets one bit in every word of one block (a split-block Bloom filter).

/// Keys that may be held.
#[derive(Default)]
pub(super) struct Filter {
    blocks: Vec<Block>,
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([u64; 8]);

/// Keys of a block on the average: 16 bits for each.
const PER_BLOCK: usize = 32;
/// Spreads a key over the bits of its block; where the block is follows from the key's first bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Filter {
    /// A filter of hashed keys, which are evenly spread.
    pub(super) fn new(keys: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut blocks = vec![Block([0; 8]); keys.len().div_ceil(PER_BLOCK)];
        for key in keys {
            let place = place(key, blocks.len());
            for (word, bit) in blocks[place].0.iter_mut().zip(bits(key)) {
                *word |= bit;
            }
        }
        Self { blocks }
    }

    /// Whether a key may be held; if not, it is not.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let block = self.blocks.get(place(key, self.blocks.len()));
        block.is_some_and(|block| block.0.iter().zip(bits(key)).all(|(word, bit)| word & bit != 0))
    }
}

fn place(key: u64, blocks: usize) -> usize {
    ((u128::from(key) * blocks as u128) >> 64) as usize
}

/// The bit of each word.
fn bits(key: u64) -> impl Iterator<Item = u64> {
    let spread = key.wrapping_mul(SPREAD);
    (0..8).map(move |word| 1 << (spread >> (16 + 6 * word) & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Id128;
    use proptest::prelude::*;

    fn key(number: u32) -> u64 {
        u128::from_be_bytes(Id128::of(&number.to_be_bytes()).0) as u64
    }

    proptest! {
        #[test]
        fn what_is_held_is_never_denied(keys in prop::collection::vec(any::<u64>(), 0..300)) {
            let filter = Filter::new(keys.iter().copied());
            prop_assert!(keys.iter().all(|key| filter.may_hold(*key)));
        }
    }

    #[test]
    fn few_others_get_past_it_and_none_where_there_is_nothing() {
        let filter = Filter::new((0..100_000).map(key).collect::<Vec<_>>().into_iter());
        let past = (100_000..200_000).filter(|number| filter.may_hold(key(*number))).count();
        assert!(past < 500, "{past} of 100,000");
        assert!(!Filter::new([].into_iter()).may_hold(0));
    }
}
