//! It holds: every limit reached, every resource used up, and the end under load.
//!
//! Each test starts a server of its own, with a limit so small that it is reached at once, and shows
//! that whoever is over it reads why, and that those inside notice nothing. What a machine cannot
//! give (another user, a terminal, a full disk) is a line that says so, and the test passes.
//!
//! The attacks that last are in `tests/siege`, which shares its random numbers with this binary.
#![cfg(target_os = "linux")]

mod harness;

#[path = "../siege/random.rs"]
mod random;

mod limits;

mod rate;

mod slow_readers;

mod exhaustion;

mod output;

mod console;

mod shutdown;

mod dead_peers;

mod random_bytes;
