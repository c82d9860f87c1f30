//! The order: this module gives every action of a client its place in the one order of the room.
//!
//! A server that does not share its room makes the order itself. An action takes effect at once, in the room in
//! the [`outbox`](super::outbox). A server that shares its room with other servers sends the action to the
//! [`relay`](crate::relay) instead. The action takes effect later, when the server reads the action from the
//! relay. All servers read all actions in the same order, and call the same functions of the room for them.
//!
//! Apart from this module, only the server's start and end and [`Shared::log_message`] check whether there is a
//! relay. Without a relay, each function here only calls one function of the outbox.

use std::sync::Arc;
use std::time::Instant;

use super::client::{Client, ClientId};
use super::room::{Room, Taken};
use super::shared::Shared;
use super::shutdown::RELAYED_AFTER;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::LeaveReason;

/// The actions of clients. Each function blocks while too much text has gathered in the outbox: see
/// [`Outbox::say`](super::outbox::Outbox::say). Each function does nothing once the client has left or the
/// server has sent its farewell.
impl Shared {
    /// A member says whole lines to all others. Each line already has the member's nickname and a line end.
    pub fn say(&self, client: &Client, lines: &[u8]) {
        match &self.relay {
            None => self.outbox.say(client, lines),
            Some(relay) => relay.link.say(client, lines),
        }
    }

    /// A member performs an action (`/me`): everyone sees this line. Returns `false` if nothing was done.
    pub fn act(&self, client: &Client, line: &str) -> bool {
        match &self.relay {
            None => self.outbox.append_for(client, |room| room.act(line)),
            Some(relay) => relay.append(client, |records| records.act(client.id, line)),
        }
        .is_some()
    }

    /// A member sends a private message to the member called `to`. Returns the total number of bytes that are
    /// sent to the sender and the recipient. Returns `None` if nobody is called `to`. In that case, the caller
    /// must inform the sender.
    pub fn tell(&self, client: &Client, to: &str, text: &str) -> Option<usize> {
        match &self.relay {
            None => {
                let told = self.outbox.append_for(client, |room| room.tell(client.id, to, text));
                told.unwrap_or(Some(0))
            }
            Some(relay) => {
                relay.append(client, |records| records.tell(client.id, to, text));
                Some(2 * (to.len() + text.len()))
            }
        }
    }

    /// A client joins, and is welcomed. Returns the number of bytes in the welcome, or an error if the nickname
    /// is taken. Returns `None` if neither was decided before `deadline`.
    pub fn join(
        &self,
        client: &Arc<Client>,
        nickname: &Nickname,
        deadline: Instant,
    ) -> Option<Result<usize, Taken>> {
        match &self.relay {
            None => self.outbox.append_for(client, |room| room.join(client, nickname)),
            Some(relay) => relay.ask(client, 'J', nickname, Some(deadline)),
        }
    }

    /// A member changes its nickname, and everyone is told.
    pub fn rename(&self, client: &Arc<Client>, nickname: &Nickname) -> Option<Result<(), Taken>> {
        match &self.relay {
            None => self.outbox.append_for(client, |room| room.rename(client.id, nickname)),
            Some(relay) => relay.ask(client, 'R', nickname, None).map(|verdict| verdict.map(drop)),
        }
    }

    /// A member asks who is online. Returns the number of bytes in the answer.
    pub fn who(&self, client: &Client, part: &str) -> usize {
        let (id, part) = (client.id, part.to_owned());
        self.answer_by(client, part.len(), move |room| room.who(id, &part)).unwrap_or_default()
    }

    /// The server answers one member. The answer follows everything that the member did before.
    pub fn answer(&self, client: &Client, bytes: Vec<u8>) {
        let id = client.id;
        self.answer_by(client, bytes.len(), move |room| room.answer(id, &bytes));
    }

    /// Calls `act`, which shows a member something that nobody else sees. `bytes` is the number of bytes of
    /// memory that `act` uses.
    fn answer_by<T>(
        &self,
        client: &Client,
        bytes: usize,
        act: impl FnOnce(&mut Room) -> T + Send + 'static,
    ) -> Option<T> {
        match &self.relay {
            Some(relay) if relay.has_under_way(client) => {
                relay.locally(client, bytes, Box::new(move |room| drop(act(room))));
                None
            }
            // No action of this client is on its way through the relay, so the answer does not have to wait for
            // the relay.
            Some(_) => self.outbox.append_in_turn(act),
            None => self.outbox.append_for(client, act),
        }
    }
}

/// The actions of the operator and the server. Only `close` blocks.
impl Shared {
    /// The operator sends everyone a notice.
    pub fn announce(&self, notice: &str) {
        match &self.relay {
            None => drop(self.outbox.append(|room| room.announce(notice))),
            Some(relay) => relay.announce(notice),
        }
    }

    /// Returns the name of the other server to which a member is connected, or `None` if there is no such
    /// server.
    pub fn server_of(&self, id: ClientId) -> Option<String> {
        self.relay.as_ref()?.server_of(id)
    }

    /// Makes a client leave, and logs this. Any thread may call this function. Only the first call for a client
    /// has an effect.
    pub fn leave(&self, client: &Client, reason: LeaveReason) {
        let is_relayed = self.relay.as_ref().is_some_and(|relay| relay.leave(client, reason));
        if !is_relayed && let Some(nickname) = self.outbox.leave(client, reason) {
            self.log.event(&format!("{nickname} left the chat!{reason}"));
        }
        client.wake();
    }

    /// Sends everyone the last line. No action is possible afterwards. If the room is shared, this function
    /// first blocks until the other servers know of the shutdown, but at most until the deadline
    /// [`RELAYED_AFTER`].
    pub fn close(&self, farewell: &str) {
        if let Some(relay) = &self.relay {
            relay.close(self.shutdown.deadline(RELAYED_AFTER));
        }
        self.outbox.close(farewell);
    }
}
