//! What is made of many measurements.

use std::time::Duration;

/// Times in a histogram that stays small however many there are; what it says is right to one in a hundred.
#[derive(Default)]
pub(super) struct Histogram {
    /// Times by their microseconds: each one up to 256, then 128 for every doubling.
    buckets: Vec<u64>,
    count: u64,
    longest: Duration,
}

/// How a figure that was sampled every second went on.
pub(super) struct Trend {
    pub(super) median: f64,
    pub(super) most: f64,
    /// Of the straight line that fits best.
    pub(super) slope_per_minute: f64,
}

/// Every doubling has two to the power of this many buckets.
const FINENESS: u32 = 7;

impl Histogram {
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let exponent = (u64::BITS - micros.leading_zeros()).saturating_sub(FINENESS + 1);
        let bucket = ((exponent as usize) << FINENESS) + (micros >> exponent) as usize;
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// The time that this share of all times does not exceed.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share).ceil() as u64;
        let mut below = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= rank {
                return end_of(bucket).min(self.longest);
            }
        }
        self.longest
    }
}

/// The longest time that is counted in a bucket.
fn end_of(bucket: usize) -> Duration {
    let exponent = (bucket >> FINENESS).saturating_sub(1);
    let mantissa = bucket - (exponent << FINENESS);
    Duration::from_micros((((mantissa + 1) << exponent) - 1) as u64)
}

impl Trend {
    /// What samples, each with its second, say from the second `from` on; nothing when there are not enough.
    pub(super) fn of(samples: &[(f64, f64)], from: f64) -> Option<Self> {
        let samples: Vec<_> = samples.iter().filter(|(second, _)| *second >= from).collect();
        let mut values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let (median, most) = (*values.get(values.len() / 2)?, *values.last()?);
        let count = samples.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(|sample| of(sample)).sum::<f64>() / count;
        let (mean_second, mean_value) = (mean(|sample| sample.0), mean(|sample| sample.1));
        let spread: f64 = samples.iter().map(|(second, _)| (second - mean_second).powi(2)).sum();
        let together: f64 = samples.iter().map(|(second, value)| (second - mean_second) * (value - mean_value)).sum();
        (spread > 0.0).then(|| Self { median, most, slope_per_minute: together / spread * 60.0 })
    }
}
