//! Rate: a token bucket, which lets a client talk in bursts but not without end.
//!
//! A bucket holds one burst of tokens at most and gains so many a second; each line takes one. A
//! client whose bucket is empty is not refused: its thread waits, stops reading, and TCP tells the peer.

use std::time::{Duration, Instant};

/// How many lines may come at once before the rate counts. Enough to paste a page.
const BURST: f64 = 200.0;

/// The lines that one client may still send.
#[derive(Debug)]
pub struct TokenBucket {
    /// Below zero: a line was promised that many tokens ahead.
    tokens: f64,
    /// A second; 0 for no limit.
    rate: f64,
    filled: Instant,
}

impl TokenBucket {
    /// Makes a full bucket that gains `rate` tokens a second; 0 for no limit.
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { tokens: BURST, rate: rate.into(), filled: now }
    }

    /// Returns whether there is a limit at all.
    pub fn is_limited(&self) -> bool {
        self.rate > 0.0
    }

    /// Takes a token, and returns how long to wait until it would have been there.
    pub fn take(&mut self, now: Instant) -> Duration {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        self.filled = now;
        self.tokens = (self.tokens + gained).min(BURST) - 1.0;
        if self.tokens >= 0.0 || !self.is_limited() {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / self.rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_counts() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(50, start);
        for _ in 0..200 {
            assert_eq!(bucket.take(start), Duration::ZERO);
        }
        assert_eq!(bucket.take(start), Duration::from_millis(20));
        assert_eq!(bucket.take(start), Duration::from_millis(40));
        let later = start + Duration::from_secs(1);
        for _ in 0..48 {
            assert_eq!(bucket.take(later), Duration::ZERO);
        }
        assert!(bucket.take(later) > Duration::ZERO);
    }

    #[test]
    fn an_idle_bucket_holds_no_more_than_a_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(50, start);
        let later = start + Duration::from_hours(1);
        let free = (0..1000).take_while(|_| bucket.take(later) == Duration::ZERO).count();
        assert_eq!(free, 200);
    }

    #[test]
    fn rate_zero_is_no_limit() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(0, now);
        assert!((0..10_000).all(|_| bucket.take(now) == Duration::ZERO));
    }
}
