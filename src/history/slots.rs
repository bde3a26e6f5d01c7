//! Places for the entries of a table, in blocks: a table that grows copies nothing and wastes at most one block.

use std::ops::{Index, IndexMut};

/// A list that only grows and shrinks at its end, numbered by `u32`.
#[derive(Clone, Debug)]
pub(super) struct Slots<T> {
    blocks: Vec<Vec<T>>,
}

const BLOCK_BITS: u32 = 9;
const BLOCK: usize = 1 << BLOCK_BITS;

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { blocks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.blocks.get((at >> BLOCK_BITS) as usize)?.get(at as usize % BLOCK)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.blocks.get_mut((at >> BLOCK_BITS) as usize)?.get_mut(at as usize % BLOCK)
    }

    /// Adds a value behind the last one.
    pub(super) fn push(&mut self, value: T) {
        match self.blocks.last_mut() {
            // The first block grows like any list, so that small tables are small.
            Some(last) if last.len() < BLOCK => last.push(value),
            None => self.blocks.push(vec![value]),
            Some(_) => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(value);
                self.blocks.push(block);
            }
        }
    }

    /// Takes a value out; the last one takes its place.
    pub(super) fn swap_remove(&mut self, at: u32) -> Option<T> {
        let last = self.blocks.last_mut()?.pop()?;
        if self.blocks.last().is_some_and(Vec::is_empty) {
            self.blocks.pop();
        }
        match self.get_mut(at) {
            Some(place) => Some(std::mem::replace(place, last)),
            None => Some(last),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.blocks[(at >> BLOCK_BITS) as usize][at as usize % BLOCK]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.blocks[(at >> BLOCK_BITS) as usize][at as usize % BLOCK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_a_list() {
        let mut slots = Slots::new();
        let mut list: Vec<u32> = Vec::new();
        for value in 0..3 * BLOCK as u32 {
            slots.push(value);
            list.push(value);
        }
        let mut at = 7;
        while !list.is_empty() {
            at = (at * 31 + 11) % list.len();
            assert_eq!(slots.swap_remove(at as u32), Some(list.swap_remove(at)));
            assert_eq!(slots.len(), list.len());
        }
        assert_eq!(slots.swap_remove(0), None);
        slots.push(1);
        assert_eq!((slots[0], slots.get(1), slots.iter().count()), (1, None, 1));
    }
}
