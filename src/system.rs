//! The system calls that the programs need, but that `std` does not offer. All `unsafe` code is here.
//!
//! The modules here are the interface. They document what each call does on every system, and contain the tests.
//! The calls themselves are in two private modules: `unix` (Linux, Android, macOS, FreeBSD) and `windows`. Only
//! one of the two is compiled. Each call is declared against a library that `std` links anyway, and is wrapped in
//! a safe function that cannot be misused. `.ci/abi.c` compares the numbers and layouts that are declared by hand
//! with the system's own headers.
//!
//! On Linux and FreeBSD, `send` has a flag that makes it return without waiting. On macOS and Windows, the socket is
//! made non-blocking for each call. With `RUSTFLAGS="--cfg portable"`, Linux does the same as macOS, so that this can
//! be tested on Linux.
#![allow(unsafe_code)]

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd",
    windows
)))]
compile_error!(
    "The numbers of this system are not known: see src/system/unix/numbers.rs for what it takes."
);

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

pub mod signal;

pub mod poll;

pub mod socket;

#[cfg(any(windows, target_os = "macos", portable))]
mod unblocked;

pub mod fifo;

pub mod file;

pub mod descriptor;

pub mod memory_map;

pub mod terminal;
