//! What the steps have built: each module is the heart of the step that it is from, for later steps.
//!
//! A module has the name of its counterpart in the real server, and what the step has inside `main` or
//! in one file stands here unchanged, except for `pub` and its documentation.

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
