//! The operator: the tools of the person who runs the server.
//!
//! No message passes through here, and nothing here can delay a message. To understand the chat, read it last:
//!
//! 1. [`options`]: the command line.
//! 2. [`event_log`]: what the server tells its operator, and a thread of its own that writes it.
//! 3. [`console`]: what the operator tells the server.
//! 4. [`bans`]: who may not come in.
//! 5. [`stats`]: the state of the server, in one line.
//! 6. [`history_file`]: the last messages, kept for the next start. [`files`] replaces a file as a whole.

pub mod options;

pub mod event_log;

pub mod console;

pub mod bans;

pub mod stats;

pub mod history_file;

pub mod files;
