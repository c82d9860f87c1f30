//! The number of a connection, by which everything in the server speaks of it.

use std::fmt;

/// Identifies a connection for as long as the server runs: numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// The `n`-th connection.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
}

/// The name of the client's thread.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client-{}", self.0)
    }
}
