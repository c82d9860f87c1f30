//! The log: the batches that some recipients have not received completely.
//!
//! Batches are numbered. For each recipient that is [`behind`](super::behind), the writer notes the number of
//! the batch that it is sending to this recipient. So all of these recipients share one copy of the text.
//!
//! The log has a size limit. Above this limit, the oldest batches are dropped. The log contains only the
//! *common* text of the batches, which everybody receives. So private messages cannot push a batch out of the
//! log.
//!
//! This module grew from step 12 of the [course](crate::lessons), which has such a log.

use std::collections::VecDeque;

use super::batch::Common;

/// The log counts as filling when it uses one sixty-fourth of its limit. Until then, the writer does not wait
/// for slow readers. So clients that have just stopped reading delay nobody.
const FILLING_PART: usize = 64;

/// The common text of batches, each with its number.
#[derive(Debug)]
pub struct Log {
    batches: VecDeque<Common>,
    /// The number of the first batch.
    first: u64,
    /// The number of bytes that the batches cost (see [`cost`]), and the maximum of this number.
    bytes: usize,
    limit: usize,
}

impl Log {
    /// Makes an empty log with a limit of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { batches: VecDeque::new(), first: 0, bytes: 0, limit }
    }

    /// Returns the number of the first batch that the log still has.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number that the next batch will have.
    pub fn end(&self) -> u64 {
        self.first + self.batches.len() as u64
    }

    /// Returns the number of bytes that the log uses of its limit.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether the log is so full that the writer may wait for slow readers.
    pub fn is_filling(&self) -> bool {
        self.bytes >= self.limit / FILLING_PART
    }

    /// Returns the batches, beginning with the batch `number`. This batch must not have been dropped.
    pub fn from(&self, number: u64) -> impl Iterator<Item = &Common> {
        let place = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        self.batches.range(place.min(self.batches.len())..)
    }

    /// Appends a batch. If the log is then over its limit, the oldest batches are dropped.
    pub fn append(&mut self, batch: Common) {
        self.bytes += cost(&batch);
        self.batches.push_back(batch);
        while self.bytes > self.limit && self.batches.len() > 1 {
            self.drop_first();
        }
    }

    /// Drops the batches before `number`, or all batches if `number` is `None`.
    pub fn drop_before(&mut self, number: Option<u64>) {
        while !self.batches.is_empty() && number.is_none_or(|number| self.first < number) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= cost(&batch);
            self.first += 1;
        }
    }
}

/// Returns the number of bytes that a batch uses of the limit. Even a batch without text uses memory.
fn cost(batch: &Common) -> usize {
    size_of::<Common>() + batch.text().len()
}

#[cfg(test)]
mod tests {
    use super::super::batch::Batch;
    use super::*;

    fn said(text: &str) -> Common {
        let mut batch = Batch::default();
        batch.announce(text);
        batch.seal();
        batch.copy_common()
    }

    #[test]
    fn what_is_over_the_limit_is_dropped_from_the_front() {
        let mut log = Log::new(10 + 2 * size_of::<Common>());
        for text in ["one", "two", "six"] {
            log.append(said(text));
        }
        assert_eq!((log.first(), log.end(), log.batches.len()), (1, 3, 2));
        assert_eq!(log.from(2).map(Common::text).collect::<Vec<_>>(), [b"six\n"]);
        log.drop_before(None);
        assert_eq!((log.first(), log.end(), log.bytes()), (3, 3, 0));
    }
}
