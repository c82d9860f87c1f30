//! What both programs speak: lines, nicknames, commands, cleaning, and the exact texts.
//!
//! Everything here is pure: bytes and strings in, bytes and strings out, no sockets, no threads, no
//! clock. So every rule of the wire can be read and tested without a network. Reading order:
//! [`framing`], [`cleaning`], [`nickname`], [`command`], [`http`], [`replies`], and [`unicode`] for the one table.

pub mod framing;

pub mod cleaning;

pub mod nickname;

pub mod command;

pub mod http;

pub mod replies;

pub mod unicode;

/// The address that the server binds and the client connects to when none is given: this machine
/// only, so that nobody is put on a network without having asked for it.
pub const DEFAULT_HOST: &str = "127.0.0.1";

/// The port of both programs when none is given.
pub const DEFAULT_PORT: u16 = 5555;

/// The longest line a client may send, the command included, without its line end, in bytes.
/// A longer one is refused, so that one person cannot fill everybody's screen.
pub const MAX_MESSAGE_BYTES: usize = 1024;

/// The longest line a client takes from the server, in bytes. Larger than [`MAX_MESSAGE_BYTES`]
/// because cleaning can lengthen a line (one control byte becomes the three bytes of U+FFFD) and
/// because a list of names is long.
pub const MAX_SERVER_LINE_BYTES: usize = 64 * 1024;
