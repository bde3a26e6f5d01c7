//! Numbers that look random and come again with their seed.

use std::time::{Duration, SystemTime};

use super::full_tests;

/// A generator (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Sleeps for less than a time.
    pub(crate) fn pause(&mut self, most: Duration) {
        std::thread::sleep(most.mul_f64(self.below(1000) as f64 / 1000.0));
    }
}

/// The seed that `CERTSIFT_SEED` asks for; in the long forms another one each time. The short forms begin with the same
/// one, so that what they say of a change is about the change.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var("CERTSIFT_SEED").ok().map(|seed| seed.parse().unwrap());
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    asked.unwrap_or_else(|| if full_tests() { now() } else { 1_588_004 })
}
