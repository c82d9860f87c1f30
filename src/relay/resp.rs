//! RESP2: the protocol of Redis and Valkey. A command is an array of strings. The reply to a command is one value.
//!
//! ```text
//! *2\r\n $4\r\nXLEN\r\n $3\r\nlog\r\n      the command XLEN log (without the blanks)
//! :3\r\n                                 its reply, the number 3
//! ```
//!
//! A connection has only one command under way at a time, so every reply belongs to the command that was sent last.
//! [`read_value`] is pure. The [`engine`](super::engine) interprets the values.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::system::socket::connect;

/// The time limit for a connection attempt. The limit is short because a server must stop within three seconds, even if
/// it is connecting when it is asked to stop.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit for each write to the socket, and for each read from the socket.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum number of bytes in one reply. Every valid reply is far below this limit, and every machine has far more
/// memory.
const MAX_REPLY_BYTES: usize = 256 << 20;

/// The maximum depth of nested arrays. The reply to `XREAD` has five levels.
const MAX_DEPTH: usize = 8;

/// The maximum length of a line of the protocol itself, in bytes. The longest lines are errors.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// A reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Value {
    /// A simple string or a bulk string.
    Bytes(Vec<u8>),
    /// A number.
    Number(i64),
    /// No value: a time-out, or a key that does not exist.
    Nil,
    /// An array of values.
    Array(Vec<Value>),
}

impl Value {
    /// Returns the elements, if the value is an array.
    pub fn array(self) -> Option<Vec<Value>> {
        if let Self::Array(values) = self { Some(values) } else { None }
    }

    /// Returns the bytes, if the value is a string.
    pub fn bytes(self) -> Option<Vec<u8>> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// Returns the text, if the value is a string of valid UTF-8.
    pub fn text(self) -> Option<String> {
        String::from_utf8(self.bytes()?).ok()
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub enum Error {
    /// The connection is broken, or the time limit has passed. The caller must connect again.
    Io(io::Error),
    /// The engine refused the command. The connection can still be used.
    Refused(String),
    /// The peer does not speak RESP2, or sends an unexpected reply.
    NotResp(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) if is_timeout(error) => f.write_str("it does not answer"),
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it closed the connection")
            }
            Self::Io(error) => error.fmt(f),
            Self::Refused(why) => f.write_str(why),
            Self::NotResp(what) => write!(f, "it is neither Redis nor Valkey ({what})"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Error {
    /// Whether another attempt would be useless, because the password, a right or the address is wrong.
    pub fn is_final(&self) -> bool {
        const FINAL: [&str; 8] = [
            "WRONGPASS",
            "NOAUTH",
            "NOPERM",
            "DENIED",
            "WRONGTYPE",
            "MOVED",
            "ERR unknown command",
            "ERR AUTH",
        ];
        match self {
            Self::Io(_) => false,
            Self::Refused(why) => FINAL.iter().any(|start| why.starts_with(start)),
            Self::NotResp(_) => true,
        }
    }
}

/// Whether a read or a write has timed out. Operating systems report this with two different errors.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A connection to an engine.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
    /// The buffer for the command to send. It is kept so that its memory is reused.
    command: Vec<u8>,
}

impl Connection {
    /// Connects to `HOST:PORT`. The name is resolved each time, because it may belong to another machine after a
    /// failover. Blocks at most one second for each address of the name.
    ///
    /// # Errors
    ///
    /// The system's error for the last address.
    pub fn open(address: &str) -> io::Result<Self> {
        let stream = connect(address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        let reader = BufReader::with_capacity(64 << 10, stream);
        Ok(Self { reader, command: Vec::new() })
    }

    /// Returns the socket. Another thread can shut the socket down to wake this thread from [`Connection::call`].
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends a command and reads its reply. Blocks until the reply is complete, but fails if no byte arrives for
    /// three seconds.
    ///
    /// # Errors
    ///
    /// See [`Error`]. After any error except [`Error::Refused`] the connection cannot be used any more.
    pub fn call(&mut self, arguments: &[&[u8]]) -> Result<Value, Error> {
        write_command(&mut self.command, arguments);
        self.reader.get_mut().write_all(&self.command)?;
        let mut left = MAX_REPLY_BYTES;
        read_value(&mut self.reader, &mut left, MAX_DEPTH)
    }
}

fn write_command(command: &mut Vec<u8>, arguments: &[&[u8]]) {
    command.clear();
    command.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        command.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        command.extend_from_slice(argument);
        command.extend_from_slice(b"\r\n");
    }
}

/// Reads one value. Fails if the value has more than `left` bytes, or more than `depth` levels of nested arrays.
///
/// # Errors
///
/// See [`Error`]. A refusal inside an array makes the whole array a refusal.
pub fn read_value(
    reader: &mut impl BufRead,
    left: &mut usize,
    depth: usize,
) -> Result<Value, Error> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    let [kind, rest @ ..] = &*line else {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    };
    let kind = *kind;
    if !b"+-:$*".contains(&kind) {
        return Err(Error::NotResp("an unknown type"));
    }
    let Some(text) = rest.strip_suffix(b"\r\n") else {
        // Either the connection ended in the middle of the line, or the peer does not speak RESP2.
        return Err(if line.ends_with(b"\n") || line.len() as u64 == MAX_LINE_BYTES {
            Error::NotResp("a line without its end")
        } else {
            io::Error::from(io::ErrorKind::UnexpectedEof).into()
        });
    };
    let text = String::from_utf8_lossy(text);
    let spend = |left: &mut usize, bytes: usize| match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(Error::NotResp("too long a reply")),
    };
    spend(left, size_of::<Value>() + text.len())?;
    match kind {
        b'+' => Ok(Value::Bytes(text.into_owned().into_bytes())),
        b'-' => Err(Error::Refused(text.into_owned())),
        b':' => text.parse().map(Value::Number).map_err(|_| Error::NotResp("a bad number")),
        _ if text == "-1" => Ok(Value::Nil),
        _ => {
            let count: usize = text.parse().map_err(|_| Error::NotResp("a bad length"))?;
            if kind == b'$' {
                spend(left, count)?;
                return read_bytes(reader, count).map(Value::Bytes);
            }
            let Some(depth) = depth.checked_sub(1) else {
                return Err(Error::NotResp("too deep a reply"));
            };
            let values = (0..count).map(|_| read_value(reader, left, depth));
            values.collect::<Result<_, _>>().map(Value::Array)
        }
    }
}

/// Reads a bulk string of `count` bytes, and its line end. Memory is allocated only as the bytes arrive.
fn read_bytes(reader: &mut impl BufRead, count: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    reader.by_ref().take(count as u64 + 2).read_to_end(&mut bytes)?;
    if bytes.len() < count + 2 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    if bytes.split_off(count) != b"\r\n" {
        return Err(Error::NotResp("a string without its end"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> Result<Value, Error> {
        read_value(&mut bytes, &mut MAX_REPLY_BYTES.clone(), MAX_DEPTH)
    }

    /// A reply to `XREAD`.
    const ENTRIES: &[u8] =
        b"*1\r\n*2\r\n$3\r\nlog\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$4\r\na\r\nb\r\n";

    #[test]
    fn a_command_is_an_array_of_strings_and_is_read_as_one() {
        let mut command = Vec::new();
        write_command(&mut command, &[b"XLEN", b"lo\r\ng"]);
        assert_eq!(command, b"*2\r\n$4\r\nXLEN\r\n$5\r\nlo\r\ng\r\n");
        let words = [&b"XLEN"[..], b"lo\r\ng"].map(|word| Value::Bytes(word.to_vec()));
        assert_eq!(read(&command).unwrap(), Value::Array(words.into()));
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        assert_eq!(read(b"+OK\r\n").unwrap().text().unwrap(), "OK");
        assert_eq!(read(b":-7\r\n").unwrap(), Value::Number(-7));
        assert_eq!(read(b"$-1\r\n").unwrap(), Value::Nil);
        assert_eq!(read(b"*-1\r\n").unwrap(), Value::Nil);
        assert_eq!(read(b"*0\r\n").unwrap(), Value::Array(Vec::new()));
        let Err(Error::Refused(why)) = read(b"-NOAUTH no\r\n") else { panic!("a refusal") };
        assert_eq!(why, "NOAUTH no");
        let stream = read(ENTRIES).unwrap().array().unwrap().pop().unwrap().array().unwrap();
        let entry = stream.into_iter().nth(1).unwrap().array().unwrap().pop().unwrap();
        let fields = entry.array().unwrap().pop().unwrap().array().unwrap();
        assert_eq!(fields[1], Value::Bytes(b"a\r\nb".to_vec()));
    }

    #[test]
    fn a_reply_that_is_cut_anywhere_is_a_broken_connection_and_nothing_else() {
        for end in 0..ENTRIES.len() {
            let cut = read(&ENTRIES[..end]);
            assert!(
                matches!(&cut, Err(Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof),
                "cut at {end}: {cut:?}"
            );
        }
    }

    #[test]
    fn what_is_too_long_too_deep_or_something_else_is_not_resp() {
        let deep = b"*1\r\n".repeat(MAX_DEPTH + 1);
        let long_line = b"+".repeat(2 * (64 << 10));
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"[SERVER] Enter your nickname:\n",
            b"\r\n",
            b"+OK\n",
            b"$x\r\n",
            b"$-2\r\n",
            b":1x\r\n",
            b"$99999999999\r\n",
            b"*99999999999999999999\r\n",
            b"$1\r\nabc",
            &deep,
            &long_line,
        ] {
            let result = read(bytes);
            assert!(matches!(result, Err(Error::NotResp(_))), "{result:?}");
        }
        // An array may claim any length. No memory is allocated before its values arrive.
        assert!(matches!(read(b"*999999999\r\n"), Err(Error::Io(_))));
    }

    #[test]
    fn only_what_an_operator_has_to_mend_is_final() {
        for (reply, is_final) in [
            (&b"-WRONGPASS invalid username-password pair\r\n"[..], true),
            (b"-NOPERM this user has no permissions\r\n", true),
            (b"-LOADING Redis is loading the dataset in memory\r\n", false),
            (b"-OOM command not allowed\r\n", false),
            (b"-READONLY You can't write against a read only replica.\r\n", false),
            (b"", false),
            (b"SSH-2.0-OpenSSH\r\n", true),
        ] {
            assert_eq!(read(reply).unwrap_err().is_final(), is_final, "{reply:?}");
        }
    }
}
