//! The calls of Windows 10 (version 1709) and later, each against the libraries `ws2_32` and `kernel32`.
//!
//! What they do is documented where they are called, in the modules of [`system`](super).

pub(super) mod poll;

pub(super) mod signal;

pub(super) mod socket;

pub(super) mod terminal;
