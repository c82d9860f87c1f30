//! History: the last messages and actions, which the server shows to each newcomer.
//!
//! The room owns the history, and adds lines to it in the order of the outbox. So the history that is shown to
//! a newcomer ends exactly where the newcomer's live lines begin.
//!
//! No step of the [course](crate::lessons) has a history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use crate::protocol::replies;

/// The maximum total size of all lines, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// The last lines that were said.
#[derive(Debug)]
pub struct History {
    /// The lines, one after another, each with its line end.
    text: VecDeque<u8>,
    /// The number of lines in `text`, and the maximum of this number.
    lines: usize,
    limit: usize,
    /// The number of lines that have been added so far. Lines that [`History::add`] skipped do not count.
    added: u64,
    /// Wakes the thread that saves the lines.
    wake: Option<SyncSender<()>>,
    /// The text for newcomers. All clients that join before the next line is added share one copy.
    shown: Option<Arc<[u8]>>,
}

impl History {
    /// Makes a history that remembers at most `limit` lines. If `limit` is 0, it remembers no lines.
    pub fn new(limit: usize) -> Self {
        Self { text: VecDeque::new(), lines: 0, limit, added: 0, wake: None, shown: None }
    }

    /// Adds whole lines.
    ///
    /// During a flood, `lines` contains thousands of lines. Only the lines that will be kept are looked at.
    pub fn add(&mut self, lines: &[u8]) {
        let newest_first = lines.split_inclusive(|&byte| byte == b'\n').rev().take(self.limit);
        let (new, bytes) =
            newest_first.fold((0, 0), |(count, bytes), line| (count + 1, bytes + line.len()));
        if new == 0 {
            return;
        }
        self.shown = None;
        self.text.extend(&lines[lines.len() - bytes..]);
        self.lines += new;
        while self.lines > self.limit || self.text.len() > MAX_BYTES {
            self.forget_oldest();
        }
        self.added += new as u64;
        if let Some(wake) = &self.wake {
            // If the channel is full, a wake-up is already pending. The thread will then save these lines, too.
            let _ = wake.try_send(());
        }
    }

    /// Forgets all lines.
    pub fn clear(&mut self) {
        self.text.clear();
        self.lines = 0;
        self.shown = None;
    }

    /// Sets the channel that wakes the thread that saves the lines. `None` ends this thread.
    pub fn set_wake(&mut self, wake: Option<SyncSender<()>>) {
        self.wake = wake;
    }

    /// Returns the number of lines that have been added so far. Also returns the lines that were added after
    /// the first `lines` lines, except for lines that the history has forgotten.
    pub fn since(&self, lines: u64) -> (u64, Vec<u8>) {
        let forgotten = self.added - self.lines as u64;
        let skip = usize::try_from(lines.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        let mut ends =
            (1..).zip(&self.text).filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end);
        let first = skip.checked_sub(1).map_or(0, |last| ends.nth(last).unwrap_or(self.text.len()));
        (self.added, self.text.range(first..).copied().collect())
    }

    fn forget_oldest(&mut self) {
        let end = self.text.iter().position(|&byte| byte == b'\n');
        self.text.drain(..end.map_or(self.text.len(), |end| end + 1));
        self.lines -= 1;
    }

    /// Returns the text for a newcomer, or `None` if there are no lines.
    pub fn shown(&mut self) -> Option<&Arc<[u8]>> {
        if self.lines == 0 {
            return None;
        }
        if self.shown.is_none() {
            let first = replies::last_messages(self.lines) + "\n";
            self.shown = Some([first.into_bytes(), self.since(0).1].concat().into());
        }
        self.shown.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(history: &mut History) -> String {
        history.shown().map_or_else(String::new, |text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_last_lines_are_kept_whatever_they_came_in() {
        let mut history = History::new(3);
        assert_eq!(shown(&mut history), "");
        history.add(b"one\n");
        history.add(b"two\n");
        assert_eq!(shown(&mut history), "[SERVER] Last messages: 2\none\ntwo\n");
        history.add(b"three\nfour\n");
        assert_eq!(shown(&mut history), "[SERVER] Last messages: 3\ntwo\nthree\nfour\n");
        history.add(b"a\nb\nc\nd\ne\n");
        assert_eq!(shown(&mut history), "[SERVER] Last messages: 3\nc\nd\ne\n");
    }

    #[test]
    fn no_history_is_kept_when_none_is_wanted() {
        let mut history = History::new(0);
        history.add(b"one\n");
        assert_eq!(shown(&mut history), "");
    }

    #[test]
    fn all_who_join_meanwhile_are_shown_one_copy() {
        let mut history = History::new(3);
        history.add(b"one\n");
        let first = Arc::clone(history.shown().unwrap());
        assert!(Arc::ptr_eq(&first, history.shown().unwrap()));
        history.add(b"two\n");
        assert!(!Arc::ptr_eq(&first, history.shown().unwrap()));
    }

    #[test]
    fn many_long_lines_are_kept_up_to_a_limit_of_bytes() {
        let mut history = History::new(1000);
        let line = [&[b'x'; 1000][..], b"\n"].concat();
        (0..1000).for_each(|_| history.add(&line));
        assert_eq!(history.text.len(), MAX_BYTES / 1001 * 1001);
        assert_eq!(history.lines, MAX_BYTES / 1001);
    }
}
