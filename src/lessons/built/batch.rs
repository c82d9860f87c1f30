//! From step 11: what gathers in the outbox between two rounds of the writer. Data only, no thread.
//!
//! In the real server this is [`server::batch`](crate::server::batch). There all entries share one text. A
//! recipient's view is that text with a few edits, so nothing is copied for each recipient.

use std::net::TcpStream;
use std::sync::Arc;

/// Something that people can notice. One client may get a text of its own; all others get the same text.
#[derive(Debug)]
pub struct Entry {
    /// The client that gets a text of its own.
    pub who: Arc<str>,
    /// The line that everyone else gets.
    pub to_others: String,
    /// The lines, if any, that `who` gets.
    pub to_self: String,
    /// How it changes who is written to.
    pub change: Change,
}

/// How an entry changes who is written to.
#[derive(Debug)]
pub enum Change {
    /// Nothing: somebody said something.
    Nothing,
    /// `who` gets this entry and what follows, on this connection.
    Joined(Arc<TcpStream>),
    /// This is the last entry that `who` gets.
    Left,
    /// This is the last entry that anybody gets.
    End,
}

/// Returns what `name` gets of these entries.
pub fn view(entries: &[Entry], name: &str) -> String {
    let is_own = |entry: &Entry| *entry.who == *name;
    let text = |entry| if is_own(entry) { &entry.to_self } else { &entry.to_others };
    entries.iter().map(|entry| text(entry).as_str()).collect()
}
