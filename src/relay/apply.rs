//! Applying: changes the [`state`](super::state) as an entry says, and reports what happens in the room.
//!
//! Everything that happens in the room is reported as an [`Event`], which the [`stage`](super::stage) carries out.
//! This module itself does no I/O.
//!
//! A server has one entry under way at a time, and keeps resending this entry until it has read the entry back. Every
//! copy has the same number as the original, so copies can be recognized. A gap in the numbers proves that
//! entries are missing.
//!
//! A server counts as dead once one other server has sent [`MISSES`] beats since the silent server's last entry. All
//! servers count the same beats, so all agree on which servers are dead. A time limit would not have this property.
//! While the engine does not answer, no beats are appended, and no server is declared dead.

use std::collections::VecDeque;
use std::fmt;

use super::entry::{Content, Entry, Header, Id, Sid};
use super::state::{HISTORY_LINES, Member, Server, State, Who};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::replies::LeaveReason;

/// The number of bytes that are counted for each entry in addition to its text. The engine needs about this much memory
/// to store an entry.
const ENTRY_COST: u64 = 64;

/// The number of bytes that are appended from one checkpoint to the next. The stream keeps up to twice this number of
/// bytes.
pub const CHECKPOINT_BYTES: u64 = 16 << 20;

/// A server that appends nothing is removed when another server has sent this number of beats.
pub const MISSES: u32 = 6;

/// Why a server is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It has announced that it closes.
    Closed,
    /// It has appended nothing for too long.
    Silent,
    /// Another run with the same server name has entered the room.
    Replaced,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
        })
    }
}

/// Something that happens in the room.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// Somebody joins.
    Joined(Who, &'a str),
    /// Somebody takes another nickname.
    Renamed(Who, &'a str),
    /// Somebody wants a nickname that is taken.
    Refused(Who),
    /// Somebody says a line.
    Said(Who, &'a str, &'a str),
    /// Somebody performs an action, such as "alice waves".
    Acted(Who, &'a str, &'a str),
    /// Somebody sends a private message to a member. If there is no such member, the `Err` contains the name as it
    /// was typed.
    Told(Who, Result<Who, &'a str>, &'a str),
    /// Somebody leaves.
    Left(Who, &'a str, LeaveReason),
    /// An operator sends a notice to everyone.
    Announced(&'a str),
    /// A server enters the room.
    Came(Sid, &'a str),
    /// A server was removed. Its members have already left.
    Gone(Sid, &'a str, Gone),
    /// A record is invalid: no server of this version writes such a record. The text says why.
    Bad(&'static str),
}

/// The verdict on an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The entry is valid, and was applied.
    Counted,
    /// The entry is ignored: it is a copy, or its server is not in the room.
    Ignored,
    /// No server of this room writes such an entry. The text says why.
    Foreign(&'static str),
    /// A server asks for a checkpoint.
    Question,
    /// An earlier entry of the same server was not read. This entry was not applied.
    Missing,
    /// The server that wrote the entry may not have read the same entries as this server. The text says why. The entry
    /// may have been applied nevertheless.
    Doubtful(&'static str),
}

/// The result of applying an entry.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The verdict on the entry.
    pub outcome: Outcome,
    /// The first entry to keep, if a checkpoint is due after this entry. Once the checkpoint is stored, entries older
    /// than the first entry to keep can be deleted.
    pub trim_to: Option<Id>,
}

impl State {
    /// Applies the next entry of the stream. Calls `tell` for each event, with the number of the event's record in
    /// the entry.
    pub fn apply(&mut self, entry: &Entry, tell: &mut dyn FnMut(usize, Event<'_>)) -> Applied {
        let content = entry.content();
        let outcome = match content {
            Content::Records(header, records) => self.apply_records(&header, records, tell),
            Content::Question => Outcome::Question,
            Content::Foreign(why) => Outcome::Foreign(why),
        };
        // Every entry is counted here, even an ignored entry, because all servers must agree on the positions.
        let cost = ENTRY_COST + entry.fields.iter().map(|field| field.len() as u64).sum::<u64>();
        self.position += cost;
        self.since += cost;
        (self.last, self.last_key) = (entry.id, content.key());
        self.remember_point();
        let is_due = self.since >= CHECKPOINT_BYTES;
        let trim_to = is_due.then(|| {
            self.since = 0;
            std::mem::replace(&mut self.mark, entry.id)
        });
        Applied { outcome, trim_to }
    }

    fn apply_records(
        &mut self,
        header: &Header,
        records: &str,
        tell: &mut dyn FnMut(usize, Event<'_>),
    ) -> Outcome {
        let doubt = self.doubt(header);
        match self.servers.get(&header.sid).map(|server| server.seq) {
            Some(last) if header.seq <= last => return Outcome::Ignored,
            Some(last) if header.seq > last + 1 => return Outcome::Missing,
            Some(_) => {}
            None if self.let_in(header, records, tell) => {}
            None => return doubt.map_or(Outcome::Ignored, Outcome::Doubtful),
        }
        if let Some(server) = self.servers.get_mut(&header.sid) {
            (server.seq, server.at) = (header.seq, header.at);
            server.missed.clear();
        }
        self.mix(header.sid.0);
        self.mix(header.seq);
        for (number, record) in records.lines().enumerate() {
            let mut tell = |event: Event<'_>| tell(number, event);
            if let Err(why) = self.apply_record(header.sid, record, &mut tell) {
                tell(Event::Bad(why));
            }
        }
        doubt.map_or(Outcome::Counted, Outcome::Doubtful)
    }

    /// Checks whether the writer of an entry has read the same entries as this server. If not, returns the reason for
    /// the doubt. The entry is applied regardless of the doubt: all servers must apply the same entries, but a server
    /// that remembers another part of the stream may not have this doubt.
    ///
    /// The point of a server that lags behind may be older than all remembered points. In that case, there is no doubt.
    /// But a server that enters the room has just read everything, so its point must be remembered. If the point is not
    /// remembered, that server has read another stream, for example the stream before the engine was emptied.
    fn doubt(&self, header: &Header) -> Option<&'static str> {
        if header.at > self.position {
            return Some("its server had read more than there was");
        }
        let is_remembered = |&(oldest, _): &(u64, u64)| header.at >= oldest || header.seq == 1;
        let point = (header.at, header.digest);
        (self.points.front().is_some_and(is_remembered)
            && self.points.binary_search(&point).is_err())
        .then_some("its server had read something else")
    }

    /// Lets a server into the room, if the entry is its hello. Removes an older run with the same name. Returns whether
    /// the server was let in.
    fn let_in(
        &mut self,
        header: &Header,
        records: &str,
        tell: &mut dyn FnMut(usize, Event<'_>),
    ) -> bool {
        let Some(name) = header.name_in_hello(records) else { return false };
        let same = self.servers.iter().find(|(_, server)| server.name == name);
        if let Some((&same, server)) = same {
            if header.at <= server.came {
                // This entry is a late copy: the other run entered the room after this entry was written.
                return false;
            }
            self.remove_server(same, Gone::Replaced, &mut |event| tell(0, event));
        }
        let (name_kept, came) = (name.to_owned(), self.position);
        self.servers.insert(header.sid, Server { name: name_kept, came, ..Server::default() });
        tell(0, Event::Came(header.sid, name));
        true
    }

    fn apply_record(
        &mut self,
        sid: Sid,
        record: &str,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), &'static str> {
        let (kind, rest) = record.split_once(' ').unwrap_or((record, ""));
        match kind {
            "H" => {}
            "B" => self.beat(sid, tell),
            "X" => self.remove_server(sid, Gone::Closed, tell),
            "N" => tell(Event::Announced(rest)),
            _ => {
                let (client, rest) = rest.split_once(' ').ok_or("it is cut off")?;
                let client = client.parse().map_err(|_| "no client number")?;
                return self.apply_of_client(Who { sid, client }, kind, rest, tell);
            }
        }
        Ok(())
    }

    /// Applies a record of a client.
    fn apply_of_client(
        &mut self,
        who: Who,
        kind: &str,
        rest: &str,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), &'static str> {
        // Records after `X` in the same entry are ignored.
        let Some(server) = self.servers.get_mut(&who.sid) else { return Ok(()) };
        if kind == "J" {
            let member = Member::parse(rest)?;
            if server.members.contains_key(&who.client) {
                return Err("it joins twice");
            }
            let is_free = !self.names.contains_key(&member.folded);
            if is_free {
                tell(Event::Joined(who, &member.nick));
                self.names.insert(member.folded.clone(), who);
                server.members.insert(who.client, member);
            } else {
                tell(Event::Refused(who));
            }
            self.mix(u64::from(is_free));
            return Ok(());
        }
        // The records of a client whose join was refused are ignored.
        let Some(member) = server.members.get_mut(&who.client) else { return Ok(()) };
        match kind {
            "S" | "A" | "T" if rest.len() > 2 * MAX_MESSAGE_BYTES => return Err("it is too long"),
            "S" => {
                tell(Event::Said(who, &member.nick, rest));
                remember(&mut self.history, &[&member.nick, ": ", rest]);
            }
            "A" => {
                tell(Event::Acted(who, &member.nick, rest));
                remember(&mut self.history, &["* ", &member.nick, " ", rest]);
            }
            "T" => {
                let mut parts = rest.splitn(3, ' ');
                let mut part = || parts.next().ok_or("it is cut off");
                let (folded, asked, text) = (part()?, part()?, part()?);
                tell(Event::Told(who, self.names.get(folded).copied().ok_or(asked), text));
            }
            "R" => {
                let new = Member::parse(rest)?;
                let is_free = self.names.get(&new.folded).is_none_or(|&owner| owner == who);
                if is_free {
                    tell(Event::Renamed(who, &new.nick));
                    self.names.remove(&member.folded);
                    self.names.insert(new.folded.clone(), who);
                    *member = new;
                } else {
                    tell(Event::Refused(who));
                }
                self.mix(u64::from(is_free));
            }
            "L" => {
                self.names.remove(&member.folded);
                tell(Event::Left(who, &member.nick, reason(rest)));
                server.members.remove(&who.client);
            }
            _ => return Err("it is of no known kind"),
        }
        Ok(())
    }

    /// Counts a beat of the server `sid` as missed by every other server. Removes the servers that have missed too many
    /// beats.
    fn beat(&mut self, sid: Sid, tell: &mut dyn FnMut(Event<'_>)) {
        let mut silent = Vec::new();
        for (&other, server) in self.servers.iter_mut().filter(|&(&other, _)| other != sid) {
            let missed = server.missed.entry(sid).or_default();
            *missed += 1;
            if *missed >= MISSES {
                silent.push(other);
            }
        }
        for other in silent {
            self.remove_server(other, Gone::Silent, tell);
        }
    }

    fn remove_server(&mut self, sid: Sid, how: Gone, tell: &mut dyn FnMut(Event<'_>)) {
        let Some(server) = self.servers.remove(&sid) else { return };
        for other in self.servers.values_mut() {
            other.missed.remove(&sid);
        }
        let reason = match how {
            Gone::Closed => LeaveReason::ServerClosed,
            Gone::Silent | Gone::Replaced => LeaveReason::ServerLost,
        };
        for (client, member) in server.members {
            self.names.remove(&member.folded);
            tell(Event::Left(Who { sid, client }, &member.nick, reason));
        }
        self.mix(how as u64);
        tell(Event::Gone(sid, &server.name, how));
    }

    /// Mixes a number into the digest. This is FNV-1a with eight bytes per step. The rotation moves high bits to low
    /// positions.
    fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
}

/// Adds a line to the history. If the history is full, the new line reuses the memory of the oldest line.
fn remember(history: &mut VecDeque<String>, parts: &[&str]) {
    let is_full = history.len() >= HISTORY_LINES;
    let mut line = if is_full { history.pop_front() } else { None }.unwrap_or_default();
    line.clear();
    for part in parts {
        line.push_str(part);
    }
    history.push_back(line);
}

/// Returns the reason why a client leaves, from its letter in the record.
fn reason(letter: &str) -> LeaveReason {
    match letter {
        "q" => LeaveReason::Quit,
        "s" => LeaveReason::TooSlow,
        "k" => LeaveReason::Kicked,
        _ => LeaveReason::ConnectionLost,
    }
}

#[cfg(test)]
mod tests;
