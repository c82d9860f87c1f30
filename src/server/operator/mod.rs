//! The operator: the tools of the person who runs the server.
//!
//! No message of a client passes through these modules, and they cannot delay a message. Read them last:
//!
//! 1. [`options`]: the command line.
//! 2. [`event_log`]: the messages for the operator, and the thread that prints them.
//! 3. [`console`]: the operator's commands.
//! 4. [`bans`]: the addresses that may not connect.
//! 5. [`stats`]: the state of the server, in one line.
//! 6. [`history_file`]: the last messages, kept for the next start. [`files`] replaces a file as a whole.

pub mod options;

pub mod event_log;

pub mod console;

pub mod bans;

pub mod stats;

pub mod history_file;

pub mod files;
