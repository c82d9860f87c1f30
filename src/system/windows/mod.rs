//! The calls of Windows 10 (version 1709) and later, each declared against the library `ws2_32` or `kernel32`.
//!
//! The modules of [`system`](super) use these calls, and document what each call does.

pub(super) mod poll;

pub(super) mod signal;

pub(super) mod socket;

pub(super) mod terminal;
