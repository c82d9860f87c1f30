//! The order: here everything that a client does gets its place in the one order.
//!
//! A server that is alone makes the order itself. It appends an action to the room in the
//! [`outbox`](super::outbox), and the action has happened. A server that shares its room appends the action to
//! the [`relay`](crate::relay). The action happens later, when the relay reads it back. All servers read the
//! same order. The same functions of the room are called then.
//!
//! Apart from this module, only the server's start and end and the log of messages look whether there is a relay.
//! Without a relay, each function here is one call.

use std::sync::Arc;
use std::time::Instant;

use super::client::{Client, ClientId};
use super::room::{Room, Taken};
use super::shared::Shared;
use super::shutdown::RELAYED_AFTER;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::LeaveReason;

/// The actions of clients. Each function blocks while too much has gathered: see
/// [`Outbox::say`](super::outbox::Outbox::say). Each does nothing once the client has left or the server has
/// said its farewell.
impl Shared {
    /// A member says whole lines, each with its nickname and its line end, to all others.
    pub fn say(&self, client: &Client, lines: &[u8]) {
        match &self.relay {
            None => self.outbox.say(client, lines),
            Some(relay) => relay.link.say(client, lines),
        }
    }

    /// A member acts: everyone sees this line. Returns whether it counts.
    pub fn act(&self, client: &Client, line: &str) -> bool {
        match &self.relay {
            None => self.outbox.append_for(client, |room| room.act(line)),
            Some(relay) => relay.append(client, |records| records.act(client.id, line)),
        }
        .is_some()
    }

    /// A member sends a private message. Returns how many bytes both of them are sent. Returns `None` if nobody
    /// is called `to`. The caller must then tell the member so.
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

    /// A client joins, and is welcomed. Returns how many bytes the welcome has. Returns `None` if nothing was
    /// decided before `deadline`.
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

    /// A member takes another nickname, and everyone is told.
    pub fn rename(&self, client: &Arc<Client>, nickname: &Nickname) -> Option<Result<(), Taken>> {
        match &self.relay {
            None => self.outbox.append_for(client, |room| room.rename(client.id, nickname)),
            Some(relay) => relay.ask(client, 'R', nickname, None).map(|verdict| verdict.map(drop)),
        }
    }

    /// A member asks who is online. Returns how many bytes the answer has.
    pub fn who(&self, client: &Client, part: &str) -> usize {
        let (id, part) = (client.id, part.to_owned());
        self.answer_by(client, part.len(), move |room| room.who(id, &part)).unwrap_or_default()
    }

    /// The server answers one member, after everything that it did before.
    pub fn answer(&self, client: &Client, bytes: Vec<u8>) {
        let id = client.id;
        self.answer_by(client, bytes.len(), move |room| room.answer(id, &bytes));
    }

    /// Shows a member something that nobody else notices. `bytes` is how much memory `act` holds.
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
            // Nothing of the client is on its way, so this need not go there either.
            Some(_) => self.outbox.append_in_turn(act),
            None => self.outbox.append_for(client, act),
        }
    }
}

/// The actions of the operator and the server. Only `close` blocks.
impl Shared {
    /// The operator says a notice to everyone.
    pub fn announce(&self, notice: &str) {
        match &self.relay {
            None => drop(self.outbox.append(|room| room.announce(notice))),
            Some(relay) => relay.announce(notice),
        }
    }

    /// Returns which other server a member of the room is at; `None` if it is at none.
    pub fn server_of(&self, id: ClientId) -> Option<String> {
        self.relay.as_ref()?.server_of(id)
    }

    /// Makes a client leave, from any thread, and logs it. Only the first call for a client counts.
    pub fn leave(&self, client: &Client, reason: LeaveReason) {
        let is_relayed = self.relay.as_ref().is_some_and(|relay| relay.leave(client, reason));
        if !is_relayed && let Some(nickname) = self.outbox.leave(client, reason) {
            self.log.event(&format!("{nickname} left the chat!{reason}"));
        }
        client.wake();
    }

    /// Says the last line to everyone. Nothing happens afterwards. If there are other servers, blocks until
    /// they know, but only for a moment.
    pub fn close(&self, farewell: &str) {
        if let Some(relay) = &self.relay {
            relay.close(self.shutdown.deadline(RELAYED_AFTER));
        }
        self.outbox.close(farewell);
    }
}
