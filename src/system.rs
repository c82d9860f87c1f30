//! What the programs need of the system and `std` does not offer: the only `unsafe` code.
//!
//! Each function is declared against the C library that `std` links anyway, and wraps one call in a
//! signature that cannot be misused. Constants are per system, Linux and macOS; elsewhere a function
//! does what plain `std` can, or nothing, and says so.
#![allow(unsafe_code)]

pub mod signal;

#[cfg(unix)]
pub mod poll;

#[cfg(unix)]
pub mod fifo;

pub mod socket;

pub mod descriptor;

pub mod memory_map;

pub mod terminal;
