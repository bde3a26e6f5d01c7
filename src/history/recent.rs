//! The K most recent distinct observers of something.

use serde::{Deserialize, Serialize};

use crate::model::Id128;

/// At most [`K`](Recent::K) observers, each with the last day on which it was seen.
///
/// The number of distinct observers in a window that ends at the newest day is exactly the smaller of K and the truth:
/// if more than K were seen in the window, the K kept ones all are in it. Ties are broken by the observer, so that the
/// outcome does not depend on the order of arrival.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Recent {
    observers: Vec<(Id128, i32)>,
}

impl Recent {
    /// How many observers are kept: rarity asks about small numbers only.
    pub const K: usize = 32;

    /// Notes that an observer was seen on a day.
    pub fn observe(&mut self, observer: Id128, day: i32) {
        if let Some((_, last)) = self.observers.iter_mut().find(|(known, _)| *known == observer) {
            *last = (*last).max(day);
            return;
        }
        if self.observers.len() < Self::K {
            self.observers.push((observer, day));
            return;
        }
        let weakest = self.observers.iter_mut().min_by_key(|(known, last)| (*last, std::cmp::Reverse(*known)));
        if let Some(weakest) = weakest
            && (day, std::cmp::Reverse(observer)) > (weakest.1, std::cmp::Reverse(weakest.0))
        {
            *weakest = (observer, day);
        }
    }

    /// Whether more than one observer was ever seen.
    pub fn is_several(&self) -> bool {
        self.observers.len() > 1
    }

    /// How many distinct observers were seen on `from_day` or later; K stands for K or more.
    pub fn count_since(&self, from_day: i32) -> u32 {
        self.observers.iter().filter(|(_, day)| *day >= from_day).count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn counts_are_exact_up_to_k(
            seen in prop::collection::vec((0u16..80, 0i32..40), 0..400),
            window in 1i32..45,
        ) {
            let mut recent = Recent::default();
            let mut all: BTreeMap<u16, i32> = BTreeMap::new();
            for (observer, day) in seen {
                recent.observe(Id128::of(&observer.to_be_bytes()), day);
                let last = all.entry(observer).or_insert(day);
                *last = (*last).max(day);
                let newest = all.values().copied().max().unwrap_or_default();
                let from = newest - window + 1;
                let truth = all.values().filter(|day| **day >= from).count();
                prop_assert_eq!(recent.count_since(from) as usize, truth.min(Recent::K));
            }
        }

        #[test]
        fn the_order_of_arrival_does_not_matter(
            seen in prop::collection::vec((0u16..80, 0i32..10), 0..200),
        ) {
            let set = |seen: &[(u16, i32)]| {
                let mut recent = Recent::default();
                seen.iter().for_each(|(observer, day)| recent.observe(Id128::of(&observer.to_be_bytes()), *day));
                recent.observers.sort_unstable();
                recent
            };
            let mut backwards = seen.clone();
            backwards.reverse();
            prop_assert_eq!(set(&seen), set(&backwards));
        }
    }
}
