//! History: the last messages and actions, for whoever joins.
//!
//! The broadcaster owns it and brings it up to date in the order of the outbox, so a newcomer's
//! history ends exactly where its live lines begin.

use std::collections::VecDeque;
use std::ops::Range;

use crate::protocol::replies;

/// The last lines that were said.
#[derive(Debug)]
pub struct History {
    lines: VecDeque<Vec<u8>>,
    limit: usize,
}

impl History {
    /// Remembers at most `limit` lines; 0 for none.
    pub fn new(limit: usize) -> Self {
        Self { lines: VecDeque::new(), limit }
    }

    /// Adds what was said in `common`: `said` are ranges of whole lines, in order.
    ///
    /// Only as many lines as are kept are looked at, from the end, since a flood brings thousands.
    pub fn add<'a>(
        &mut self,
        common: &'a [u8],
        said: impl DoubleEndedIterator<Item = &'a Range<usize>> + Clone,
    ) {
        let newest_first = said.rev().flat_map(|range| {
            // Without the last line's end, behind which there would be one more, empty line.
            common[range.start..range.end - 1].rsplit(|&byte| byte == b'\n')
        });
        let new = newest_first.clone().take(self.limit).count();
        let old = self.lines.len();
        self.lines.resize_with((old + new).min(self.limit), Vec::new);
        // The oldest lines go to the back, where their memory takes the newest.
        self.lines.rotate_left(old + new - self.lines.len());
        for (line, newest) in self.lines.iter_mut().rev().zip(newest_first) {
            line.clear();
            line.extend_from_slice(newest);
        }
    }

    /// Appends the history as a newcomer gets it; nothing if nothing was said yet.
    pub fn write_to(&self, buffer: &mut Vec<u8>) {
        if self.lines.is_empty() {
            return;
        }
        buffer.extend_from_slice(replies::last_messages(self.lines.len()).as_bytes());
        buffer.push(b'\n');
        for line in &self.lines {
            buffer.extend_from_slice(line);
            buffer.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(history: &History) -> String {
        let mut buffer = Vec::new();
        history.write_to(&mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn the_last_lines_are_kept_whatever_they_came_in() {
        let mut history = History::new(3);
        assert_eq!(written(&history), "");
        history.add(b"one\n[notice]\ntwo\n", [0..4, 13..17].iter());
        assert_eq!(written(&history), "[SERVER] Last messages: 2\none\ntwo\n");
        history.add(b"three\nfour\n", std::iter::once(&(0..11)));
        assert_eq!(written(&history), "[SERVER] Last messages: 3\ntwo\nthree\nfour\n");
        history.add(b"a\nb\nc\nd\ne\n", [0..2, 2..4, 4..10].iter());
        assert_eq!(written(&history), "[SERVER] Last messages: 3\nc\nd\ne\n");
    }

    #[test]
    fn no_history_is_kept_when_none_is_wanted() {
        let mut history = History::new(0);
        history.add(b"one\n", std::iter::once(&(0..4)));
        assert_eq!(written(&history), "");
    }
}
