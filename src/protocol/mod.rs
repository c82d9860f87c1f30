//! The protocol that both programs speak: lines, nicknames, commands, cleaning, and the exact texts.
//!
//! This module only turns bytes and strings into other bytes and strings. It uses no socket, no thread and no
//! clock. So every rule of the protocol can be read and tested without a network. The modules are listed in
//! reading order. The last module, [`unicode`], contains the tables.

pub mod framing;

pub mod cleaning;

pub mod nickname;

pub mod command;

pub mod http;

pub mod replies;

pub mod server_line;

pub mod unicode;

/// The address that the server binds and the client connects to by default. It is the loopback address, so a
/// server is open to the network only if its operator asks for this.
pub const DEFAULT_HOST: &str = "127.0.0.1";

/// The port that both programs use by default.
pub const DEFAULT_PORT: u16 = 5555;

/// The maximum length of a line that a client sends, in bytes. A command word is counted, but the line end and
/// telnet sequences are not. The limit applies both before and after cleaning. A longer line is refused, so that
/// one person cannot fill everybody's screen.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// The maximum length of a line that a client accepts from the server, in bytes. It is larger than
/// [`MAX_MESSAGE_BYTES`], because a message has a nickname in front of it, and because a list of names is long.
pub const MAX_SERVER_LINE_BYTES: usize = 64 * 1024;
