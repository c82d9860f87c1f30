//! Tests of the whole chat from outside: one binary of integration tests, with a module for each topic.
//!
//! Every test starts a server of its own on a free port and connects to it with sockets. The tests contain the
//! texts of the protocol exactly as they are on the wire. Texts that the protocol does not prescribe come from
//! `chat::protocol::replies`, so that each text is written only once. [`harness`] explains how tests wait.
//!
//! If the machine lacks something that a test needs, such as `tmux` or `/dev/full`, the test is left out and
//! prints a line that says so. With `CHAT_TESTS_COMPLETE=1` the test fails instead. Tests that take minutes or
//! need root are separate programs: `load soak`, `load end`, `tests/cable.sh` and `tests/addresses.sh`.
//!
//! Tests that need signals, a shell, or `tmux` do not run on Windows. Tests that read `/proc`, or that stop a
//! process or limit its resources, run only on Linux.
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

/// Reports on other Unix systems that the tests which need Linux are left out.
#[cfg(all(unix, not(target_os = "linux")))]
#[test]
fn what_needs_linux_is_left_out() {
    harness::leave_out("`/proc`, and limits on processes: see `tests/it/main.rs`");
}

/// Reports on Windows that the tests which need Unix are left out.
#[cfg(windows)]
#[test]
fn what_needs_unix_is_left_out() {
    harness::leave_out("signals, shells and terminals: see `tests/it/main.rs`");
}
