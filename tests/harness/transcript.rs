//! The transcript of a test: everything that was sent and received, in order.
//!
//! The peers, the programs and their reader threads share it. Its lock is held to append a line, never while
//! anything waits. When a test fails, the dropped server prints the transcript once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many lines are kept: the last ones. A test that joins a thousand people fails at its end.
const MAX_LINES: usize = 100;
/// How much of a line is kept. A test that sends a megabyte is not about its text.
const MAX_CHARS: usize = 160;

/// The transcript of one test. Its clones share it.
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

    /// Prints it, if the test is failing.
    pub(crate) fn print_if_failing(&self) {
        if std::thread::panicking() {
            let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            eprintln!("transcript (last {MAX_LINES} lines):\n{}", lines.join("\n"));
        }
    }
}
