//! The state: the room as the entries of the stream make it. Every server [applies](super::apply) the same entries
//! in the same order, and so comes to the same room.
//!
//! This holds because the room depends on nothing but the entries: no clock, no option, no table of Unicode, no
//! map with a random order. Whether a name is free, who is dead and which message comes first is decided by the
//! order of the stream alone.
//!
//! Here is what a state holds, and what can be asked of it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::entry::{Id, Sid};

/// How many points of the order are remembered, to compare them with what other servers have read.
pub(super) const REMEMBERED_POINTS: usize = 4096;

/// How many lines a checkpoint keeps for people who join later.
pub const HISTORY_LINES: usize = 20;

/// The longest nickname, in bytes: room for 32 characters of any script and their marks.
const MAX_NICK_BYTES: usize = 512;

/// A member, anywhere: the run of its server, and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// The run of the server.
    pub sid: Sid,
    /// The number of the client.
    pub client: u64,
}

/// An entry, with the run that wrote it and its number there. An engine that has lost entries may give their
/// numbers again.
pub type Place = (Id, (Sid, u64));

/// Somebody who is in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) nick: String,
    /// The form in which two names are the same. The member's own server has computed it. Other servers may
    /// have newer tables, and all must agree.
    pub(super) folded: String,
}

impl Member {
    /// Reads a nickname and its folded form. The characters are checked without a table.
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

/// A server that is in.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Server {
    pub(super) name: String,
    /// The number of its last entry.
    pub(super) seq: u64,
    /// How far the server had read when it wrote that entry.
    pub(super) at: u64,
    /// The position at which it came.
    pub(super) came: u64,
    /// How often each other server has beaten since its last entry.
    pub(super) missed: BTreeMap<Sid, u32>,
    pub(super) members: BTreeMap<u64, Member>,
}

/// The room.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub(super) servers: BTreeMap<Sid, Server>,
    /// The owner of each nickname, by its folded form.
    pub(super) names: HashMap<String, Who>,
    /// The last lines, as they are shown.
    pub(super) history: VecDeque<String>,
    /// The entry that was applied last.
    pub(super) last: Id,
    /// The run that wrote it, and its number in that run.
    pub(super) last_key: (Sid, u64),
    /// How many bytes all entries up to here have cost.
    pub(super) position: u64,
    /// How many bytes entries have cost since a checkpoint was last due, and the entry at which it was due.
    pub(super) since: u64,
    pub(super) mark: Id,
    /// A digest: servers with the same digest have read the same entries.
    pub(super) digest: u64,
    /// The last positions and digests, oldest first.
    pub(super) points: VecDeque<(u64, u64)>,
}

impl State {
    /// An empty room that begins after an entry.
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

    /// The cost of all entries up to here, and their digest.
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

    /// How far the slowest of the other servers is behind, in bytes.
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

    /// The last lines, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.history.iter().map(String::as_str)
    }

    /// Remembers the point that was reached.
    pub(super) fn remember_point(&mut self) {
        if self.points.len() == REMEMBERED_POINTS {
            self.points.pop_front();
        }
        self.points.push_back(self.point());
    }
}
