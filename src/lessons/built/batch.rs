//! From step 11: the entries that gather in the outbox between two rounds of the writer. The one function of this
//! module runs on the writer's thread.
//!
//! The real server's counterpart is [`server::batch`](crate::server::batch), where all entries share one text. Each
//! recipient's view is that text with a few edits. So the text is not copied for each recipient.

use std::net::TcpStream;
use std::sync::Arc;

/// One event that clients will see. The client `who` gets `to_self`, and all other clients get `to_others`.
#[derive(Debug)]
pub struct Entry {
    /// The client that gets a text of its own.
    pub who: Arc<str>,
    /// The line that all other clients get.
    pub to_others: String,
    /// The lines that `who` gets. Can be empty.
    pub to_self: String,
    /// The change that this entry makes to the set of clients that the writer writes to.
    pub change: Change,
}

/// The change that an entry makes to the set of clients that the writer writes to.
#[derive(Debug)]
pub enum Change {
    /// The entry is a message, and changes nothing.
    Nothing,
    /// `who` gets this entry and all entries after it, on this connection.
    Joined(Arc<TcpStream>),
    /// This is the last entry that `who` gets.
    Left,
    /// This is the last entry that anybody gets.
    End,
}

/// Returns the text that the client `name` gets for these entries.
pub fn view(entries: &[Entry], name: &str) -> String {
    let is_own = |entry: &Entry| *entry.who == *name;
    let text = |entry| if is_own(entry) { &entry.to_self } else { &entry.to_others };
    entries.iter().map(|entry| text(entry).as_str()).collect()
}
