//! The protocol that both programs speak: lines, nicknames, commands, cleaning, and the exact texts.
//!
//! Everything here is pure: bytes and strings in, bytes and strings out. There is no socket, no
//! thread and no clock. So every rule of the wire can be read and tested without a network. The
//! modules below stand in reading order. The tables are in [`unicode`], the last one.

pub mod framing;

pub mod cleaning;

pub mod nickname;

pub mod command;

pub mod http;

pub mod replies;

pub mod server_line;

pub mod unicode;

/// The address that the server binds and the client connects to by default. It is this machine's
/// own, so nobody opens a server to a network without asking for it.
pub const DEFAULT_HOST: &str = "127.0.0.1";

/// The port of both programs by default.
pub const DEFAULT_PORT: u16 = 5555;

/// The longest line that a client may send, in bytes: with the command, without the line end and
/// telnet sequences. It holds before cleaning and after it. A longer line is refused, so that one
/// person cannot fill everybody's screen.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// The longest line that a client takes from the server, in bytes. It is larger than
/// [`MAX_MESSAGE_BYTES`] because a nickname stands in front of a message, and because a list of
/// names is long.
pub const MAX_SERVER_LINE_BYTES: usize = 64 * 1024;
