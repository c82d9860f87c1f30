//! What everybody in a test said and was told, in order.
//!
//! Shared by the peers, the programs and their reader threads; the lock is held to append a line and
//! never while anything waits. Printed once, by the server when it is dropped in a failing test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// So many lines are kept, the last ones: a test that joins a thousand people fails at its end.
const MAX_LINES: usize = 100;
/// So much of a line is kept: a test that sends a megabyte is not about its text.
const MAX_CHARS: usize = 160;

/// The transcript of one test; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Transcript(Arc<Mutex<VecDeque<String>>>);

impl Transcript {
    /// Adds a line: `who` said it (`>`) or was told it (`<`).
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
