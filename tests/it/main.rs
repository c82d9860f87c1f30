//! The chat as a stranger sees it: one binary of integration tests, a module for each topic.
//!
//! Every test starts a server of its own on a free port and talks to it over sockets, with the
//! texts written out as they are on the wire. Texts that the wire does not fix come from
//! `chat::protocol::replies`, so they stand in one place. See [`harness`] for how tests wait.
//!
//! A test is left out, with a line that says so, where the machine lacks what it needs: a terminal,
//! another user, a full disk. With `CHAT_TESTS_COMPLETE=1` it fails instead. What takes minutes or root
//! is not among these tests: `load soak`, `load end`, `tests/cable.sh` and `tests/addresses.sh`.
//!
//! On Windows all tests are left out that need signals, a shell, or `tmux`. On all systems except Linux, those
//! are left out that read `/proc`, or that stop or starve a process.
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "parts of the harness serve what is left out")
)]
#![allow(clippy::unwrap_used, reason = "a test may: its panic is its verdict")]

#[path = "../harness/mod.rs"]
mod harness;

mod login;

mod nicknames;

mod messages;

mod ordering;

mod commands;

mod leaving;

mod history;

mod bad_input;

mod text;

mod rate;

mod log;

#[cfg(unix)]
mod shutdown;

mod processes;

#[cfg(unix)]
mod relay;

mod client;

mod piped_client;

#[cfg(unix)]
mod client_scripts;

mod client_accounts;

mod gateway;

#[cfg(unix)]
mod quickstart;

#[cfg(unix)]
mod telnet;

#[cfg(unix)]
mod deadlines;

#[cfg(unix)]
mod terminal;

mod load;

#[cfg(target_os = "linux")]
mod slow_readers;

#[cfg(target_os = "linux")]
mod hardening;

#[cfg(target_os = "linux")]
mod limits;

#[cfg(target_os = "linux")]
mod exhaustion;

#[cfg(target_os = "linux")]
mod resources;

#[cfg(target_os = "linux")]
mod output;

#[cfg(target_os = "linux")]
mod console;

#[cfg(target_os = "linux")]
mod operator;

#[cfg(target_os = "linux")]
mod dead_peers;

#[cfg(target_os = "linux")]
mod random_bytes;

#[cfg(target_os = "linux")]
mod course;

/// So that it is said among the results.
#[cfg(windows)]
#[test]
fn what_needs_unix_is_left_out() {
    harness::leave_out("signals, shells and terminals: see `tests/it/main.rs`");
}
