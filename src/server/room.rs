//! Room: the members and their nicknames, the last messages, and the next batch.
//!
//! An action can change all of these at once, and it does so at one point of the order. So one lock guards them
//! all: the lock of the [`outbox`](super::outbox). A thread that holds this lock can append to the order, and knows
//! who the members are at exactly that point. So a nickname is checked, taken and announced in one step. For the
//! same reason, the welcome and the answer to `/who` always agree with the lines before and after them.
//!
//! Nothing in this module blocks or uses a socket.
//!
//! This module grew from the function `join` in step 7 of the [course](crate::lessons), and from the registry in
//! step 11.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::batch::Batch;
use super::client::{Client, ClientId};
use super::history::History;
use super::outbox::{Gathers, Outbox};
use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::{self, LeaveReason, Online};

/// An error: another member has the nickname.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

/// The members of the room, and the batch that is sent to them next.
#[derive(Debug)]
pub struct Room {
    batch: Batch,
    /// All members, in the order in which they connected.
    members: BTreeMap<ClientId, Nickname>,
    /// For each nickname, the member that has it. The keys are folded nicknames.
    names: HashMap<String, ClientId>,
    /// The largest number of members so far.
    most: usize,
    history: History,
    /// The notices that are shown to a newcomer after the welcome. Each notice has its line end.
    motd: String,
    /// The answer to `/who`. All members that ask share this one copy. It is dropped when a member joins, leaves or
    /// changes its nickname.
    online: Option<Arc<[u8]>>,
}

/// The actions of clients and of the server. Each action gets one place in the order.
impl Room {
    /// Makes an empty room that remembers the last `history` lines.
    pub fn new(history: usize) -> Self {
        Self {
            batch: Batch::default(),
            members: BTreeMap::new(),
            names: HashMap::new(),
            most: 0,
            history: History::new(history),
            motd: String::new(),
            online: None,
        }
    }

    /// A client joins: it is welcomed, and everyone else is told. Returns the number of bytes in the welcome.
    ///
    /// # Errors
    ///
    /// Returns [`Taken`] if another member has the nickname. In that case nothing changes.
    pub fn join(&mut self, client: &Arc<Client>, nickname: &Nickname) -> Result<usize, Taken> {
        self.claim(client.id, nickname)?;
        Ok(self.let_in(client, nickname))
    }

    /// Lets a client join with a nickname that is known to be free. Returns the number of bytes in the welcome.
    pub fn let_in(&mut self, client: &Arc<Client>, nickname: &Nickname) -> usize {
        self.admit(client.id, nickname);
        self.batch.add(client);
        let (connected, online, motd) = (replies::CONNECTED, online(&self.members), &self.motd);
        let welcome = self.batch.show(client.id, format_args!("{connected}\n{online}\n{motd}"));
        let history = self.history.shown();
        if let Some(history) = history {
            self.batch.show_shared(client.id, history);
        }
        welcome + history.map_or(0, |history| history.len())
    }

    /// Adds a member, and announces the join. This function does not make the member a recipient: it is also called
    /// for members on other servers, to which this server sends nothing.
    pub fn admit(&mut self, id: ClientId, nickname: &Nickname) {
        self.members.insert(id, nickname.clone());
        self.names.insert(nickname.folded(), id);
        self.most = self.most.max(self.members.len());
        self.online = None;
        self.batch.announce(&replies::joined(nickname));
    }

    /// A member performs an action (`/me`). Everyone sees this line, including the member.
    pub fn act(&mut self, line: &str) {
        let line = self.batch.announce(line);
        self.history.add(&self.batch.common()[line]);
    }

    /// A member sends a private message to the member called `to`. Returns the total number of bytes that are sent
    /// to the sender and the recipient. Returns `None` if nobody is called `to`.
    pub fn tell(&mut self, from: ClientId, to: &str, text: &str) -> Option<usize> {
        let recipient = self.find(to)?;
        self.whisper(from, recipient, text)
    }

    /// Sends a private message from one member to another. Returns the total number of bytes that are sent to the
    /// sender and the recipient. Returns `None` if one of these two members is not in the room.
    pub fn whisper(&mut self, from: ClientId, recipient: ClientId, text: &str) -> Option<usize> {
        let (sender, to) = (self.members.get(&from)?, self.members.get(&recipient)?);
        let (told, confirmed) = (replies::told_you(sender, text), replies::you_told(to, text));
        let told = self.batch.show(recipient, format_args!("{told}\n"));
        let confirmed = self.batch.show(from, format_args!("{confirmed}\n"));
        Some(told + confirmed)
    }

    /// A member changes its nickname, and everyone is told.
    ///
    /// # Errors
    ///
    /// Returns [`Taken`] if another member has the nickname. In that case nothing changes.
    pub fn rename(&mut self, client: ClientId, nickname: &Nickname) -> Result<(), Taken> {
        self.claim(client, nickname)?;
        self.set_nickname(client, nickname);
        Ok(())
    }

    /// Gives a member a nickname that is known to be free, and tells everyone.
    pub fn set_nickname(&mut self, client: ClientId, nickname: &Nickname) {
        let Some(before) = self.members.insert(client, nickname.clone()) else { return };
        self.names.remove(&before.folded());
        self.names.insert(nickname.folded(), client);
        self.online = None;
        self.batch.announce(&replies::renamed(&before, nickname));
    }

    /// A member asks who is online. The answer lists the members whose nicknames contain `part`, regardless of
    /// case. Returns the number of bytes in the answer.
    pub fn who(&mut self, client: ClientId, part: &str) -> usize {
        let part = fold(part);
        if !part.is_empty() {
            let found = self.find_all(&part);
            let nicknames = found.iter().filter_map(|id| self.members.get(id));
            let online = Online { count: found.len(), part: &part, nicknames };
            return self.batch.show(client, format_args!("{online}\n"));
        }
        let compose = || format!("{}\n", online(&self.members)).into_bytes().into();
        let answer = self.online.get_or_insert_with(compose);
        self.batch.show_shared(client, answer);
        answer.len()
    }

    /// The server sends an answer to one member alone.
    pub fn answer(&mut self, client: ClientId, bytes: &[u8]) {
        self.batch.show_bytes(client, bytes);
    }

    /// The server or its operator sends a line to everyone.
    pub fn announce(&mut self, line: &str) {
        self.batch.announce(line);
    }

    /// Adds the lines that were said before a restart to the history. From now on, each further line wakes the
    /// thread that saves the history.
    pub fn keep_history(&mut self, said: &[u8], wake: SyncSender<()>) {
        self.history.add(said);
        self.history.set_wake(Some(wake));
    }

    /// Sets the notices that are shown to newcomers from now on: see [`replies::motd`].
    pub fn set_motd(&mut self, motd: String) {
        self.motd = motd;
    }

    /// A client leaves: its final line is sent to it, everyone else is told the reason, and its nickname becomes
    /// free. Returns the client's nickname, or `None` if the client was not in the room or has already left. So
    /// only the first reason counts.
    pub fn leave(&mut self, client: &Client, reason: LeaveReason) -> Option<Nickname> {
        let nickname = self.forget(client)?;
        if let Some(line) = reason.final_line() {
            self.batch.show(client.id, format_args!("{line}\n"));
        }
        self.batch.remove(client.id, reason);
        self.batch.announce(&replies::left(&nickname, reason));
        Some(nickname)
    }

    /// A client leaves, and nobody is told. Returns the client's nickname if the client was in the room.
    pub fn forget(&mut self, client: &Client) -> Option<Nickname> {
        client.has_left.store(true, Relaxed);
        self.remove(client.id)
    }

    fn remove(&mut self, id: ClientId) -> Option<Nickname> {
        let nickname = self.members.remove(&id)?;
        self.names.remove(&nickname.folded());
        self.online = None;
        Some(nickname)
    }

    fn claim(&mut self, client: ClientId, nickname: &Nickname) -> Result<(), Taken> {
        let owner = *self.names.entry(nickname.folded()).or_insert(client);
        if owner == client { Ok(()) } else { Err(Taken) }
    }
}

/// Functions for a room that is shared with other servers.
impl Room {
    /// A member of another server leaves, and everyone is told.
    pub fn depart(&mut self, id: ClientId, reason: LeaveReason) {
        if let Some(nickname) = self.remove(id) {
            self.batch.announce(&replies::left(&nickname, reason));
        }
    }

    /// Called when this server loses the shared room. Sends the members of this server, `here`, their final line.
    /// Afterwards the room has no members.
    pub fn turn_out<'a>(&mut self, here: impl Iterator<Item = &'a Arc<Client>>) {
        for client in here {
            let line = LeaveReason::ServerLost.final_line().unwrap_or_default();
            self.batch.show(client.id, format_args!("{line}\n"));
            self.batch.remove(client.id, LeaveReason::ServerLost);
        }
        self.members.clear();
        self.names.clear();
        self.online = None;
    }

    /// Replaces the history with these lines.
    pub fn recall(&mut self, said: &[u8]) {
        self.history.clear();
        self.history.add(said);
    }
}

/// Looking up members, and taking the batch.
impl Room {
    /// Finds a member by its nickname, regardless of case.
    pub fn find(&self, name: &str) -> Option<ClientId> {
        self.names.get(&fold(name)).copied()
    }

    /// Finds all members whose nicknames contain `part`, regardless of case. Returns them in the order in which
    /// they connected.
    pub fn find_all(&self, part: &str) -> Vec<ClientId> {
        let part = fold(part);
        let found = self.names.iter().filter(|(folded, _)| folded.contains(&part));
        let mut found: Vec<ClientId> = found.map(|(_, id)| *id).collect();
        found.sort_unstable();
        found
    }

    /// Returns whether a client is in the room.
    pub fn has(&self, client: ClientId) -> bool {
        self.nickname(client).is_some()
    }

    /// Returns the nickname of a client that is in the room.
    pub fn nickname(&self, client: ClientId) -> Option<&Nickname> {
        self.members.get(&client)
    }

    /// Returns the number of members, and the largest number of members so far.
    pub fn count(&self) -> (usize, usize) {
        (self.members.len(), self.most)
    }

    /// Returns the last messages.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Ends the thread that saves the history. No line may be added to the history afterwards.
    pub fn end_history(&mut self) {
        self.history.set_wake(None);
    }

    /// Takes the batch, and puts `empty` in its place. Afterwards `empty` is the batch that was taken.
    pub fn take(&mut self, empty: &mut Batch) {
        std::mem::swap(&mut self.batch, empty);
    }
}

/// The next batch gathers in the room.
impl Gathers for Room {
    fn has_nothing(&self) -> bool {
        self.batch.is_empty()
    }

    fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Appends lines that everyone except `client` sees.
    fn say(&mut self, client: ClientId, lines: &[u8]) {
        self.batch.say(client, lines);
        self.history.add(lines);
    }
}

/// An outbox that contains a room.
impl Outbox<Room> {
    /// Makes a client leave: see [`Room::leave`]. Never blocks. Once the outbox is closed, nobody is told of the
    /// leave.
    pub fn leave(&self, client: &Client, reason: LeaveReason) -> Option<Nickname> {
        let left = self.append(|room| room.leave(client, reason));
        left.unwrap_or_else(|| self.change(|room| room.forget(client)))
    }

    /// Sends everyone the line `farewell`, and closes the outbox: nothing can be appended any more.
    pub fn close(&self, farewell: &str) {
        self.close_with(|room| {
            room.announce(farewell);
            room.end_history();
        });
    }

    /// Takes the batch, and puts `empty` in its place. Afterwards `empty` is the batch that was taken. Returns
    /// whether this was the last batch: see [`Outbox::take_by`].
    pub fn take(&self, empty: &mut Batch, timeout: Option<Duration>, is_too_fast: bool) -> bool {
        self.take_by(timeout, is_too_fast, |room, _| room.take(empty)).1
    }
}

/// Returns the line that tells a member who is online.
fn online(members: &BTreeMap<ClientId, Nickname>) -> impl Display {
    Online { count: members.len(), part: "", nicknames: members.values() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::client::tests::connected;

    fn nickname(name: &str) -> Nickname {
        Nickname::parse(name).unwrap()
    }

    /// Takes the batch. Returns the text that each of these clients would receive.
    fn seen<const N: usize>(room: &mut Room, clients: [&Client; N]) -> [String; N] {
        let mut batch = Batch::default();
        room.take(&mut batch);
        batch.seal();
        clients.map(|client| {
            String::from_utf8(batch.cursor().view(client.id).collect::<Vec<_>>().concat()).unwrap()
        })
    }

    #[test]
    fn each_sees_what_happens_between_its_join_and_its_leave() {
        let mut room = Room::new(20);
        let ((alice, _a), (bob, _b)) = (connected(1), connected(2));
        room.join(&alice, &nickname("alice")).unwrap();
        room.say(alice.id, b"alice: one\n");
        room.join(&bob, &nickname("bob")).unwrap();
        room.say(bob.id, b"bob: two\n");
        assert_eq!(room.leave(&alice, LeaveReason::Quit), Some(nickname("alice")));
        room.say(bob.id, b"bob: three\n");
        let [alice_saw, bob_saw] = seen(&mut room, [&alice, &bob]);
        assert_eq!(
            alice_saw,
            "[SERVER] Connected to the server!\n[SERVER] 1 online: alice\n\
             [SERVER] bob joined the chat!\nbob: two\n[SERVER] Goodbye!\n"
        );
        assert_eq!(
            bob_saw,
            "[SERVER] Connected to the server!\n[SERVER] 2 online: alice, bob\n\
             [SERVER] Last messages: 1\nalice: one\n[SERVER] alice left the chat!\n"
        );
    }

    #[test]
    fn a_name_is_had_by_one_until_it_is_given_up() {
        let mut room = Room::new(0);
        let ((alice, _a), (bob, _b)) = (connected(1), connected(2));
        room.join(&alice, &nickname("alice")).unwrap();
        assert_eq!(room.join(&bob, &nickname("ALICE")), Err(Taken));
        assert_eq!(room.rename(alice.id, &nickname("Alice")), Ok(()));
        assert_eq!(room.rename(alice.id, &nickname("al")), Ok(()));
        room.join(&bob, &nickname("alice")).unwrap();
        assert_eq!(room.rename(bob.id, &nickname("AL")), Err(Taken));
        room.leave(&alice, LeaveReason::Kicked).unwrap();
        room.rename(bob.id, &nickname("al")).unwrap();
        assert_eq!(room.find("AL"), Some(bob.id));
        assert_eq!(room.find("alice"), None);
    }

    #[test]
    fn the_first_reason_to_leave_counts() {
        let mut room = Room::new(0);
        let (alice, _peer) = connected(1);
        room.join(&alice, &nickname("alice")).unwrap();
        assert!(room.leave(&alice, LeaveReason::TooSlow).is_some());
        assert_eq!(room.leave(&alice, LeaveReason::Quit), None);
    }
}
