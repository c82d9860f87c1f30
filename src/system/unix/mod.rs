//! The calls of Linux, Android, macOS and FreeBSD, each against the C library.
//!
//! The modules of [`system`](super) call them, and document what they do. Each system has a file for its own
//! numbers: `linux.rs` (also for Android), `macos.rs`, `freebsd.rs`.

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "linux.rs")]
#[cfg_attr(target_os = "macos", path = "macos.rs")]
#[cfg_attr(target_os = "freebsd", path = "freebsd.rs")]
mod numbers;

pub(super) mod descriptor;

pub(super) mod fifo;

pub(super) mod poll;

#[cfg(not(any(target_os = "macos", portable)))]
mod send;

pub(super) mod signal;

pub(super) mod socket;

pub(super) mod terminal;
