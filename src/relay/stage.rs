//! The stage: carries out the events of the shared room for the clients of this server.
//!
//! For each event, such as a join, a line or a leave, the stage calls the same function that a session calls on a
//! server without a relay. Members of other servers get client numbers above 2⁶³. The room treats them like all other
//! members, but sends no lines to them.
//!
//! Only the reader's thread uses the stage.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Relay;
use super::apply::{Applied, Event, Gone};
use super::entry::{Entry, Sid};
use super::records::{Asked, Local};
use super::state::{State, Who};

use crate::protocol::cleaning::clean;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{self, LeaveReason, NOTICE_PREFIX};
use crate::server::client::{Client, ClientId};
use crate::server::outbox::Gathers;
use crate::server::room::{Room, Taken};
use crate::server::shared::Shared;

/// The number after which the client numbers for members of other servers begin.
const ELSEWHERE: u64 = 1 << 63;

/// The number of bytes after which the gathered lines of a member are passed on to the room.
const MAX_SAID_BYTES: usize = 16 << 10;

/// The members of this server and of other servers, and the work to do between the records of this server's own
/// entry.
#[derive(Debug)]
pub struct Stage<'a> {
    relay: &'a Relay,
    shared: &'a Shared,
    sid: Sid,
    /// The members of this server, by their numbers.
    here: HashMap<u64, Arc<Client>>,
    /// The numbers of the members of other servers.
    elsewhere: HashMap<Who, ClientId>,
    /// The last number that was given to a member of another server.
    numbered: u64,
    locals: VecDeque<(usize, Local)>,
    /// The member whose lines are in `said`. `None` if `said` is empty.
    speaker: Option<ClientId>,
    /// Lines of one member that are not in the room yet.
    said: Vec<u8>,
    /// Whether another run of a server with this server's name has entered the room.
    is_replaced: bool,
}

impl<'a> Stage<'a> {
    /// Makes an empty stage.
    pub fn new(relay: &'a Relay, shared: &'a Shared) -> Self {
        Self {
            relay,
            shared,
            sid: Sid::default(),
            here: HashMap::new(),
            elsewhere: HashMap::new(),
            numbered: ELSEWHERE,
            locals: VecDeque::new(),
            speaker: None,
            said: Vec::new(),
            is_replaced: false,
        }
    }

    /// Begins a run: puts the history and the members of `state` into the room. This server has no members yet.
    pub fn begin(&mut self, state: &State, sid: Sid) {
        (self.sid, self.is_replaced) = (sid, false);
        let history: Vec<_> = state.history().map(|line| clean(line) + "\n").collect();
        let history = history.concat();
        let shared = self.shared;
        self.relay.link.change(|link| link.servers.extend(state.servers()));
        // Numbering the members locks the link, so they are numbered before the outbox is locked.
        let members: Vec<_> =
            state.members().map(|(who, nick)| (self.number(who), nickname(nick))).collect();
        shared.outbox.append(|room| {
            room.recall(history.as_bytes());
            for (id, nickname) in &members {
                room.admit(*id, nickname);
            }
        });
    }

    /// Applies an entry. `locals` is the work to do between the entry's records. Blocks while the outbox is full.
    pub fn apply(
        &mut self,
        state: &mut State,
        entry: &Entry,
        locals: Vec<(usize, Local)>,
    ) -> Applied {
        self.locals = locals.into();
        let applied = state.apply(entry, &mut |number, event| self.happen(number, event));
        self.catch_up(usize::MAX);
        self.flush();
        applied
    }

    /// Whether another run with this server's name has entered the room.
    pub fn is_replaced(&self) -> bool {
        self.is_replaced
    }

    /// Tells all members of this server that the link is down, or that it is back.
    pub fn tell_link(&self, is_up: bool) {
        let line = if is_up { replies::LINK_UP } else { replies::LINK_DOWN };
        self.shared.outbox.append(|room| room.announce(line));
    }

    /// Called when the room is lost. Disconnects all members on this server, and forgets the members on other servers.
    /// `why` is the reason for the loss.
    pub fn turn_out(&mut self, why: &str) {
        self.shared.log.notice(&format!("All clients are turned out: {why}"));
        self.relay.end_run(self.here.values());
        self.shared.outbox.append(|room| room.turn_out(self.here.values()));
        self.here.drain().for_each(|(_, client)| client.wake());
        self.elsewhere.clear();
        self.relay.link.change(|link| (link.servers, link.elsewhere) = Default::default());
    }

    fn happen(&mut self, number: usize, event: Event<'_>) {
        let asked = self.catch_up(number);
        if !matches!(event, Event::Said(..)) {
            self.flush();
        }
        match event {
            Event::Joined(who, nick) => self.join(who, &nickname(nick), asked),
            Event::Renamed(who, nick) => {
                let id = self.number(who);
                self.append(|room| room.set_nickname(id, &nickname(nick)));
                if let Some(asked) = asked {
                    asked.decide(Ok(0));
                }
            }
            Event::Refused(_) => {
                if let Some(asked) = asked {
                    asked.decide(Err(Taken));
                }
            }
            Event::Said(who, nick, text) => {
                let speaker = self.number(who);
                if self.speaker != Some(speaker) || self.said.len() >= MAX_SAID_BYTES {
                    self.flush();
                    self.speaker = Some(speaker);
                }
                let start = self.said.len();
                for part in [&clean(nick), ": ", &clean(text), "\n"] {
                    self.said.extend_from_slice(part.as_bytes());
                }
                self.log_message(&self.said[start..]);
            }
            Event::Acted(_, nick, text) => {
                let line = replies::action(&nickname(nick), &clean(text));
                self.append(|room| room.act(&line));
                self.log_message(line.as_bytes());
            }
            Event::Told(from, to, text) => self.tell(from, to, &clean(text)),
            Event::Left(who, nick, reason) => self.leave(who, nick, reason),
            Event::Announced(text) => {
                self.append(|room| room.announce(&format!("{NOTICE_PREFIX}{}", clean(text))));
            }
            Event::Came(sid, _) if sid == self.sid => {
                self.shared.log.notice("In the room with the other servers");
            }
            Event::Came(sid, name) => {
                self.relay.link.change(|link| link.servers.insert(sid, name.to_owned()));
                self.shared.log.notice(&format!("The server {name} has come"));
            }
            Event::Gone(sid, name, how) => {
                if sid == self.sid {
                    self.is_replaced = how == Gone::Replaced;
                } else {
                    self.relay.link.change(|link| link.servers.remove(&sid));
                    self.shared.log.notice(&format!("The server {name} is gone ({how})"));
                }
            }
            Event::Bad(why) => {
                self.shared.log.notice(&format!("A record of another server is ignored: {why}"));
            }
        }
    }

    /// Does the local work that comes before the record with this number. If the record is a wish of one of this
    /// server's clients, returns the wish.
    fn catch_up(&mut self, number: usize) -> Option<Asked> {
        while self.locals.front().is_some_and(|&(at, _)| at <= number)
            && let Some((at, local)) = self.locals.pop_front()
        {
            self.flush();
            match local {
                Local::Do(act) => drop(self.append(act)),
                Local::Asked(asked) if at == number => return Some(asked),
                // The record of this wish has caused no event. Dropping the wish wakes its client.
                Local::Asked(_) => {}
            }
        }
        None
    }

    /// Moves the gathered lines into the room.
    fn flush(&mut self) {
        if let Some(speaker) = self.speaker.take() {
            self.append(|room| room.say(speaker, &self.said));
            self.said.clear();
        }
    }

    /// Calls `fill` with the room as soon as the outbox has space. Does nothing once the outbox is closed.
    fn append<T>(&self, fill: impl FnOnce(&mut Room) -> T) -> Option<T> {
        self.shared.outbox.append_in_turn(fill)
    }

    fn join(&mut self, who: Who, nickname: &Nickname, asked: Option<Asked>) {
        // The client may have left in the meantime. In that case, the record of its leave is on its way.
        if let Some(asked) = asked.filter(|asked| !asked.client.has_left.load(Relaxed)) {
            if let Some(bytes) = self.append(|room| room.let_in(&asked.client, nickname)) {
                self.here.insert(who.client, Arc::clone(&asked.client));
                asked.decide(Ok(bytes));
            }
        } else {
            let id = self.number(who);
            self.append(|room| room.admit(id, nickname));
        }
    }

    fn leave(&mut self, who: Who, nick: &str, reason: LeaveReason) {
        let is_own = who.sid == self.sid;
        if is_own && matches!(reason, LeaveReason::ServerLost | LeaveReason::ServerClosed) {
            // This server itself was removed from the room. The reader handles that after this entry: see
            // `Follower::gone`.
            return;
        }
        if is_own {
            self.shared.log.event(&format!("{nick} left the chat!{reason}"));
        }
        let here = if is_own { self.here.remove(&who.client) } else { None };
        let id = self.number(who);
        self.append(|room| match here {
            Some(client) => drop(room.leave(&client, reason)),
            None => room.depart(id, reason),
        });
        self.elsewhere.remove(&who);
        self.relay.link.change(|link| link.elsewhere.remove(&id));
    }

    fn tell(&self, from: Who, to: Result<Who, &str>, text: &str) {
        let is_here = |who: Who| who.sid == self.sid;
        match to {
            Ok(to) if is_here(from) || is_here(to) => {
                // The sender's server does not know how much text is kept here for the recipient, and does not stop
                // sending. So an overloaded recipient is disconnected.
                let here = self.here.get(&to.client).filter(|_| is_here(to) && !is_here(from));
                if let Some(client) = here.filter(|client| client.is_overloaded.load(Relaxed)) {
                    return self.shared.leave(client, LeaveReason::TooSlow);
                }
                if let (Some(from), Some(to)) = (self.find(from), self.find(to)) {
                    self.append(|room| room.whisper(from, to, text));
                }
            }
            Err(asked) if is_here(from) => {
                let line = replies::no_such_nickname(&clean(asked)) + "\n";
                let id = ClientId::new(from.client);
                self.append(|room| room.answer(id, line.as_bytes()));
            }
            _ => {}
        }
    }

    fn log_message(&self, line: &[u8]) {
        if self.shared.options.log_messages {
            self.shared.log.notice(String::from_utf8_lossy(line).trim_end());
        }
    }

    fn find(&self, who: Who) -> Option<ClientId> {
        let is_here = who.sid == self.sid;
        if is_here { Some(ClientId::new(who.client)) } else { self.elsewhere.get(&who).copied() }
    }

    /// Returns the client number of a member. A new member of another server gets a new number.
    fn number(&mut self, who: Who) -> ClientId {
        self.find(who).unwrap_or_else(|| {
            self.numbered += 1;
            let id = ClientId::new(self.numbered);
            self.elsewhere.insert(who, id);
            self.relay.link.change(|link| link.elsewhere.insert(id, who.sid));
            id
        })
    }
}

/// Makes a [`Nickname`] of a name that the member's own server has already checked.
fn nickname(nick: &str) -> Nickname {
    Nickname::checked_elsewhere(&clean(nick))
}
