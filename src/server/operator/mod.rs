//! The operator: what the person has who runs the server.
//!
//! None of this is on the way of a message, and none of it can hold one up. To understand the chat, read it last:
//!
//! 1. [`options`]: the command line.
//! 2. [`event_log`]: what the server tells its operator, and a thread of its own that writes it.
//! 3. [`console`]: what the operator tells the server.
//! 4. [`bans`]: who may not come in.
//! 5. [`stats`]: how the server stands, in one line.
//! 6. [`history_file`]: the last messages, kept for the next start. [`files`] replaces a file as a whole.

pub mod options;

pub mod event_log;

pub mod console;

pub mod bans;

pub mod stats;

pub mod history_file;

pub mod files;
