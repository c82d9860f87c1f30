//! A histogram of durations. The width of a bucket is at most 1/32 of the values in it, so percentiles have an
//! error of at most 3 %. A histogram of many millions of values needs only a few kilobytes.

use std::time::Duration;

/// Counts durations, in microseconds.
#[derive(Debug, Default, Clone)]
pub(crate) struct Histogram {
    /// The count of each bucket, up to the highest bucket in use. There are 32 buckets between a value and its
    /// double.
    buckets: Vec<u64>,
    total: u64,
    max: u32,
}

impl Histogram {
    /// Counts a duration. A duration over 71 minutes counts as 71 minutes.
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        let bucket = bucket_of(micros);
        self.buckets.resize(self.buckets.len().max(bucket + 1), 0);
        self.buckets[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(micros);
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// Returns the duration that `share` of every thousand values do not exceed.
    pub(crate) fn per_mille(&self, share: u64) -> Duration {
        let rank = (self.total * share).div_ceil(1000);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        let end = reached.map_or(0, |bucket| first_of(bucket + 1) - 1);
        Duration::from_micros(end.min(self.max.into()))
    }

    /// Draws the histogram as text: one line for each doubling of the duration, from the shortest to the longest.
    /// Returns no lines if nothing was counted.
    pub(crate) fn bars(&self) -> Vec<String> {
        let counts: Vec<u64> =
            self.buckets.chunks(32).map(|doubling| doubling.iter().sum()).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let line = |(doubling, &count): (usize, &u64)| {
            let end = Duration::from_micros(32 << doubling).as_secs_f64() * 1e3;
            let bar: String = (0..(count * 40).div_ceil(most)).map(|_| '#').collect();
            let per_mille = count * 1000 / self.total;
            format!("under {end:>9.2} ms  {bar:<40} {:>4}.{} %", per_mille / 10, per_mille % 10)
        };
        counts.iter().enumerate().skip_while(|(_, count)| **count == 0).map(line).collect()
    }
}

/// Returns the bucket of a value. Each of the first 64 values has its own bucket. After that there are 32 buckets
/// for each doubling.
fn bucket_of(micros: u32) -> usize {
    let shift = (micros / 32).checked_ilog2().unwrap_or(0);
    (32 * shift + (micros >> shift)) as usize
}

/// Returns the smallest value in a bucket.
fn first_of(bucket: usize) -> u64 {
    let shift = (bucket / 32).saturating_sub(1);
    ((bucket - 32 * shift) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_that_is_narrow() {
        let mut before = 0;
        for micros in (0..5000).chain([1 << 20, u32::MAX]) {
            let bucket = bucket_of(micros);
            let (first, end) = (first_of(bucket), first_of(bucket + 1));
            assert!((first..end).contains(&micros.into()), "{micros} is not in {first}..{end}");
            assert!((end - first) * 32 <= first.max(32));
            assert!(bucket == before || bucket == before + 1 || micros >= 5000);
            before = bucket;
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut low = Histogram::default();
        let mut high = Histogram::default();
        assert!(low.bars().is_empty());
        (1..=50).for_each(|ms| low.record(Duration::from_millis(ms)));
        (51..=100).for_each(|ms| high.record(Duration::from_millis(ms)));
        low.merge(&high);
        for share in [10, 500, 990, 1000] {
            let exact = Duration::from_millis(share / 10);
            let found = low.per_mille(share);
            assert!(exact <= found && found <= exact + exact / 32, "{share}: {found:?}");
        }
        assert_eq!(low.per_mille(1000), Duration::from_millis(100));
    }

    #[test]
    fn bars_show_each_doubling_with_its_share() {
        let mut histogram = Histogram::default();
        for micros in [100, 120, 127, 300] {
            histogram.record(Duration::from_micros(micros));
        }
        let bars = histogram.bars();
        assert_eq!(bars.len(), 3);
        assert_eq!(bars[0], format!("under      0.13 ms  {}   75.0 %", "#".repeat(40)));
        assert!(bars[1].ends_with("   0.0 %") && !bars[1].contains('#'));
        assert!(bars[2].starts_with("under      0.51 ms  ##############  "));
    }
}
