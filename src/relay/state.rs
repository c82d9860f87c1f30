//! The state: the room as the result of all entries of the stream. Every server [applies](super::apply) the same
//! entries in the same order, and so computes the same room.
//!
//! This works because the state depends on the entries alone. It depends on no clock, no option, no Unicode table,
//! and no map with a random order. The order of the stream alone decides whether a name is free, which servers are
//! dead, and which message comes first.
//!
//! This module contains the data of the state, and the functions that read this data.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::entry::{Id, Sid};

/// The maximum number of points of the stream that are remembered. A point is a position with its digest. The headers
/// of other servers' entries are checked against these points.
pub(super) const REMEMBERED_POINTS: usize = 4096;

/// The number of lines that a checkpoint keeps for people who join later.
pub const HISTORY_LINES: usize = 20;

/// The maximum length of a nickname, in bytes: enough for 32 characters of any script with their combining marks.
const MAX_NICK_BYTES: usize = 512;

/// Identifies a member of any server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// The run of the server.
    pub sid: Sid,
    /// The number of the client on that server.
    pub client: u64,
}

/// Identifies an entry: the entry's number in the stream, the run that wrote the entry, and the entry's number in that
/// run. The number in the stream alone is not enough: an engine that has lost entries may assign their numbers again.
pub type Place = (Id, (Sid, u64));

/// A member of the room.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) nick: String,
    /// The nickname in a form that is equal for all names that count as the same. The member's own server computes this
    /// form. Other servers must not compute it: with newer Unicode tables their result could differ.
    pub(super) folded: String,
}

impl Member {
    /// Parses a nickname and its folded form. Checks the characters without a Unicode table.
    pub(super) fn parse(words: &str) -> Result<Self, &'static str> {
        let fits = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || c > '\u{9F}';
            (1..=MAX_NICK_BYTES).contains(&name.len()) && name.chars().all(fits)
        };
        match words.split_once(' ') {
            Some((nick, folded)) if fits(nick) && fits(folded) => {
                Ok(Self { nick: nick.to_owned(), folded: folded.to_owned() })
            }
            _ => Err("it has no name"),
        }
    }
}

/// A server whose clients are in the room.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Server {
    pub(super) name: String,
    /// The number of the server's last entry.
    pub(super) seq: u64,
    /// The position up to which the server had read when it wrote its last entry.
    pub(super) at: u64,
    /// The position at which the server entered the room.
    pub(super) came: u64,
    /// The number of beats that each other server has sent since this server's last entry.
    pub(super) missed: BTreeMap<Sid, u32>,
    pub(super) members: BTreeMap<u64, Member>,
}

/// The room.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub(super) servers: BTreeMap<Sid, Server>,
    /// The owner of each nickname. The key is the nickname's folded form.
    pub(super) names: HashMap<String, Who>,
    /// The most recent lines, in the form that clients see.
    pub(super) history: VecDeque<String>,
    /// The entry that was applied last.
    pub(super) last: Id,
    /// The run that wrote the entry `last`, and the entry's number in that run.
    pub(super) last_key: (Sid, u64),
    /// The cost of all entries applied so far, in bytes.
    pub(super) position: u64,
    /// The cost of the entries since a checkpoint was last due, in bytes.
    pub(super) since: u64,
    /// The entry at which a checkpoint was last due.
    pub(super) mark: Id,
    /// A digest: servers with the same digest have read the same entries.
    pub(super) digest: u64,
    /// The most recent positions and digests, oldest first.
    pub(super) points: VecDeque<(u64, u64)>,
}

impl State {
    /// Returns an empty room that begins after the entry `last`.
    pub fn after(last: Id) -> Self {
        Self { last, points: VecDeque::from([(0, 0)]), ..Self::default() }
    }

    /// The entry that was applied last.
    pub fn last(&self) -> Id {
        self.last
    }

    /// The entry that was applied last, and who wrote it.
    pub fn place(&self) -> Place {
        (self.last, self.last_key)
    }

    /// The current point: the position in the stream, and the digest of all entries applied so far.
    pub fn point(&self) -> (u64, u64) {
        (self.position, self.digest)
    }

    /// The name of a server that is in the room.
    pub fn server(&self, sid: Sid) -> Option<&str> {
        self.servers.get(&sid).map(|server| server.name.as_str())
    }

    /// Returns all servers with their names.
    pub fn servers(&self) -> impl Iterator<Item = (Sid, String)> {
        self.servers.iter().map(|(&sid, server)| (sid, server.name.clone()))
    }

    /// The number of bytes by which the slowest of the other servers is behind.
    pub fn lag(&self, own: Sid) -> u64 {
        let others = self.servers.iter().filter(|&(&sid, _)| sid != own);
        others.map(|(_, server)| self.position.saturating_sub(server.at)).max().unwrap_or(0)
    }

    /// All members, with their nicknames.
    pub fn members(&self) -> impl Iterator<Item = (Who, &str)> {
        self.servers.iter().flat_map(|(&sid, server)| {
            let members = server.members.iter();
            members.map(move |(&client, member)| (Who { sid, client }, member.nick.as_str()))
        })
    }

    /// The most recent lines, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.history.iter().map(String::as_str)
    }

    /// Remembers the current point.
    pub(super) fn remember_point(&mut self) {
        if self.points.len() == REMEMBERED_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(self.point());
    }
}
