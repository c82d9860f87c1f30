//! The transcript of a test: everything that was sent and received, in order.
//!
//! The peers, the programs and their reader threads share the transcript. A thread holds the transcript's lock only
//! to append a line or to print all lines, never while it waits for something. When a test fails, the
//! [`Server`](super::Server) prints the transcript as it is dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum number of lines that are kept. Earlier lines are dropped: if a test sends thousands of lines, the
/// last of them show why it failed.
const MAX_LINES: usize = 100;
/// The maximum number of characters that are kept of a line. The start of a very long line is enough to recognize
/// it.
const MAX_CHARS: usize = 160;

/// The transcript of one test. All clones share the same lines.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Arc<Mutex<VecDeque<String>>>);

impl Transcript {
    /// Adds a line that `who` sent (`>`) or received (`<`).
    pub(crate) fn add(&self, who: &str, direction: char, what: &[u8]) {
        let lossy = String::from_utf8_lossy(&what[..what.len().min(4 * MAX_CHARS)]);
        let mut text: String = lossy.escape_debug().take(MAX_CHARS).collect();
        if what.len() > MAX_CHARS {
            text += &format!("... {} bytes", what.len());
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(format!("{who:>12} {direction} {text}"));
    }

    /// Prints the transcript if the current thread is panicking, which means that the test is failing.
    pub(crate) fn print_if_failing(&self) {
        if std::thread::panicking() {
            let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            eprintln!("transcript (last {MAX_LINES} lines):\n{}", lines.join("\n"));
        }
    }
}
