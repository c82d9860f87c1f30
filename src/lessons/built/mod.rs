//! What the steps have built. Each module is the main part of one step. Later steps use it.
//!
//! A module has the name of its counterpart in the real server. The code is the code of the step, unchanged
//! except for `pub` and documentation.

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
