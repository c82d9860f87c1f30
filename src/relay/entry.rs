//! The entry: an element of the stream. Each entry is written by one server and contains any number of records.
//!
//! ```text
//! 934b05962fd117d3 3 488 b82fb84594d2d490      header: SID SEQ AT DIGEST
//! S 2 hello                                    the records, one per line
//! A 2 waves
//! ```
//!
//! SID is the random number of a run of a server, and SEQ counts the entries of that run. AT is the position up to
//! which the writer had read the stream. DIGEST is a digest of the entries that the writer had read. With AT and
//! DIGEST, the servers that read the entry can check whether its writer has read the same stream. A writer may have
//! read another stream because a demoted engine continues to answer: the servers that are connected to such an engine
//! notice neither an error nor a broken connection.

use std::fmt;
use std::str::FromStr;

/// The maximum length of a server's name, in bytes.
pub const MAX_SERVER_NAME_BYTES: usize = 128;

/// The number of an entry in the stream. The engine assigns the numbers in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id(u64, u64);

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (milliseconds, number) = text.split_once('-').ok_or(())?;
        Ok(Self(milliseconds.parse().map_err(drop)?, number.parse().map_err(drop)?))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

/// The random number of one run of one server. No other run has the same number. A server that has to enter the room
/// again starts a new run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sid(pub u64);

impl FromStr for Sid {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        u64::from_str_radix(text, 16).map(Self).map_err(drop)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// An entry as the stream stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The entry's number.
    pub id: Id,
    /// Field names and values, alternating.
    pub fields: Vec<Vec<u8>>,
}

/// The content of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// The header of the entry, and the records that follow it.
    Records(Header, &'a str),
    /// A server asks for a checkpoint.
    Question,
    /// No server of this room writes such an entry. The text says why.
    Foreign(&'static str),
}

impl Entry {
    /// Parses the entry.
    pub fn content(&self) -> Content<'_> {
        let [name, text] = &*self.fields else { return Content::Foreign("not one field") };
        if name != b"e" {
            return Content::Foreign("another field");
        }
        if text == b"?" {
            return Content::Question;
        }
        let Ok(text) = str::from_utf8(text) else { return Content::Foreign("not UTF-8") };
        let (header, records) = text.split_once('\n').unwrap_or((text, ""));
        let header = Header::parse(header).map(|header| Content::Records(header, records));
        header.unwrap_or(Content::Foreign("no header"))
    }
}

impl Content<'_> {
    /// The run that wrote the entry, and the number of the entry in that run. Both are zero for an entry without a
    /// header.
    pub fn key(&self) -> (Sid, u64) {
        match self {
            Self::Records(header, _) => (header.sid, header.seq),
            Self::Question | Self::Foreign(_) => (Sid::default(), 0),
        }
    }
}

/// The first line of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The run that wrote the entry.
    pub sid: Sid,
    /// The number of this entry in its run, counted from 1.
    pub seq: u64,
    /// The position up to which the writer had read.
    pub at: u64,
    /// The digest of the entries that the writer had read.
    pub digest: u64,
}

/// Formats the header line, including the line end.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, seq, at, digest } = self;
        writeln!(f, "{sid} {seq} {at} {digest:016x}")
    }
}

impl Header {
    /// Parses the first line of an entry. Returns `None` if the line is not a header.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let header = Self {
            sid: words.next()?.parse().ok()?,
            seq: words.next()?.parse().ok()?,
            at: words.next()?.parse().ok()?,
            digest: u64::from_str_radix(words.next()?, 16).ok()?,
        };
        words.next().is_none().then_some(header)
    }

    /// Returns the server's name, if this is the first entry of a run and begins with a hello of this version.
    pub fn name_in_hello<'a>(&self, records: &'a str) -> Option<&'a str> {
        let name = records.lines().next()?.strip_prefix("H 1 ")?;
        (self.seq == 1 && is_server_name(name)).then_some(name)
    }
}

/// Whether this is a valid name for a server.
pub fn is_server_name(name: &str) -> bool {
    (1..=MAX_SERVER_NAME_BYTES).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}
