//! Pausing: for how long a round waits for its readers when the room is faster than they are.
//!
//! It is decided here and waited for in the [backlog](super::backlog), which knows who is behind.

use std::time::{Duration, Instant};

/// For how long a room that is too fast for its readers is held up in each round.
#[derive(Debug, Clone, Copy)]
struct Patience {
    longest: Duration,
    /// How recently a client behind must have taken something to count as one that still reads.
    reading: Duration,
}

/// Short, since it is felt by everyone.
const PATIENCE: Patience =
    Patience { longest: Duration::from_millis(50), reading: Duration::from_millis(100) };

/// The log is filling up, and those who read as fast as they can are about to fall off its end: then a
/// slow room is better than an empty one. Where a thousand threads catch up on two processors, a
/// second is what it takes for each to have its turn.
const PATIENCE_WHILE_FILLING: Patience =
    Patience { longest: Duration::from_secs(1), reading: Duration::from_secs(1) };

/// The pause after one round.
#[derive(Debug)]
pub struct Pause {
    start: Instant,
    tolerated: usize,
    /// More than the tolerated were behind.
    was_too_fast: bool,
}

impl Pause {
    /// The pause of a round that ended at `start`, for which up to `tolerated` clients may be behind.
    pub fn new(start: Instant, tolerated: usize) -> Self {
        Self { start, tolerated, was_too_fast: false }
    }

    /// Until when to wait at the longest, if at all. `readers` counts who is behind and took something
    /// that recently; `is_filling` says whether they are about to fall off the log's end.
    ///
    /// While more than the tolerated read, as long as it takes them; after that for all the others, too,
    /// but briefly: a room that goes on with nearly as many behind does not come to rest, and feeds
    /// them through a thread each.
    pub fn until(
        &mut self,
        is_filling: bool,
        readers: impl Fn(Duration) -> usize,
    ) -> Option<Instant> {
        let patience = if is_filling { PATIENCE_WHILE_FILLING } else { PATIENCE };
        if readers(patience.reading) > self.tolerated {
            self.was_too_fast = true;
            return Some(self.start + patience.longest);
        }
        // Not for as long as that: a few may read slowly on purpose.
        let waits = self.was_too_fast && readers(PATIENCE.reading) > 0;
        waits.then_some(self.start + PATIENCE.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_was_too_fast_waits_for_all_who_read() {
        let start = Instant::now();
        let mut pause = Pause::new(start, 1);
        assert_eq!(pause.until(false, |_| 1), None, "one is just slow");
        assert_eq!(pause.until(false, |_| 2), Some(start + PATIENCE.longest));
        assert_eq!(pause.until(false, |_| 1), Some(start + PATIENCE.longest), "for that one, too");
        assert_eq!(pause.until(false, |_| 0), None);
    }

    #[test]
    fn a_room_waits_longer_when_the_log_fills_up_but_not_for_a_few() {
        let start = Instant::now();
        let mut pause = Pause::new(start, 1);
        assert_eq!(pause.until(true, |_| 2), Some(start + PATIENCE_WHILE_FILLING.longest));
        assert_eq!(pause.until(true, |_| 1), Some(start + PATIENCE.longest));
        let seldom = |recently| usize::from(recently == PATIENCE_WHILE_FILLING.reading);
        assert_eq!(pause.until(true, seldom), None, "it takes too little to be waited for");
    }
}
