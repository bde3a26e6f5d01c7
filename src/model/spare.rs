//! Memory that was used once and is used again.
//!
//! Records travel between the stages in vectors of some hundred kilobytes, hundreds of them in a second. Given back to the
//! allocator, their memory goes back to the kernel as often as not, and comes from there again page by page.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// Vectors that keep their memory.
#[derive(Debug)]
pub struct Spare<T>(Mutex<Vec<Vec<T>>>);

/// Vectors that wait here at the most; about as many are under way at a time.
const MAX_KEPT: usize = 8;
/// Bytes that each of them has: what is smaller costs the allocator little, and what one odd batch needed is not kept for
/// all others.
const BYTES: RangeInclusive<usize> = 64 * 1024..=4 * 1024 * 1024;

impl<T> Spare<T> {
    /// A vector, empty or as it was [kept](Self::keep).
    pub fn take(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Takes back a vector that is not needed any more.
    pub fn give_back(&self, mut used: Vec<T>) {
        used.clear();
        self.keep(used);
    }

    /// The same with what is in it, for those who write over it.
    pub fn keep(&self, used: Vec<T>) {
        if !BYTES.contains(&(used.capacity() * size_of::<T>())) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_KEPT {
            kept.push(used);
        }
    }
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(bytes: usize) -> Vec<u64> {
        Vec::with_capacity(bytes / size_of::<u64>())
    }

    #[test]
    fn what_comes_back_is_empty_and_keeps_its_memory() {
        let spare = Spare::default();
        let mut used = of_bytes(*BYTES.start());
        used.extend([1, 2, 3]);
        spare.give_back(used);
        let again = spare.take();
        assert!(again.is_empty() && again.capacity() * size_of::<u64>() >= *BYTES.start());
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn what_is_kept_is_as_it_was() {
        let spare = Spare::default();
        let mut used = of_bytes(*BYTES.start());
        used.extend([1, 2, 3]);
        spare.keep(used);
        assert_eq!(spare.take(), [1, 2, 3]);
    }

    #[test]
    fn neither_many_nor_small_nor_large_ones_are_kept() {
        let spare = Spare::default();
        for bytes in [8, *BYTES.start() - 8, *BYTES.end() + 8] {
            spare.give_back(of_bytes(bytes));
            assert_eq!(spare.take().capacity(), 0, "{bytes}");
        }
        for _ in 0..2 * MAX_KEPT {
            spare.give_back(of_bytes(*BYTES.end()));
        }
        let kept = std::iter::repeat_with(|| spare.take()).take_while(|one| one.capacity() > 0).count();
        assert_eq!(kept, MAX_KEPT);
    }
}
