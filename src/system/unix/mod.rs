//! The calls of Linux, Android, macOS and FreeBSD, each declared against the C library.
//!
//! The modules of [`system`](super) use these calls, and document what each call does. The numbers and types that
//! differ between these systems are in `numbers`.

mod numbers;

pub(super) mod descriptor;

pub(super) mod fifo;

pub(super) mod poll;

#[cfg(not(any(target_os = "macos", portable)))]
mod send;

pub(super) mod signal;

pub(super) mod socket;

pub(super) mod terminal;
