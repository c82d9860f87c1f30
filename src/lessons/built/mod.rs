//! The code that several steps share. Each module is the main part of one step, and later steps use it.
//!
//! Each module has the name of the corresponding module in the real server. The code is the same as in the step,
//! except for `pub` and the documentation.

pub mod input;

pub mod login;

pub mod session;

pub mod accept;

pub mod client;

pub mod shutdown;

pub mod batch;

pub mod outbox;

pub mod registry;

pub mod writer;
