//! The client in a real terminal: what a person sees, and the state in which it leaves the terminal.
//!
//! Everything here needs `tmux`; where it cannot be had the tests say that they are skipped.
#![allow(clippy::unwrap_used, reason = "a test may: its panic is its verdict")]

mod peers;
mod tmux;

mod connection;

mod typing;

mod reading;

mod plain;

mod endings;

use peers::{FakeServer, Peer, Server};
use tmux::{Tmux, wait};
