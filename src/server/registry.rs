//! The registry: who is connected, and under which name.
//!
//! It is the truth about who is in. Its lock is held for map operations and for appending to the
//! outbox, and never while anything waits: not for a socket, not for room in the outbox. A name is
//! checked, taken and announced under one hold of the lock, and freed and announced likewise; so
//! notices appear in the order in which names had their owners, and no two clients get one name.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client_id::ClientId;
use super::options::Options;
use super::outbox::Outbox;
use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::{self, LeaveReason};

/// A connected client.
#[derive(Debug)]
pub struct Client {
    /// The connection. Shared, not cloned, so that a client costs one descriptor.
    stream: Arc<TcpStream>,
    address: IpAddr,
    /// `None` until the login is done.
    nickname: Option<Nickname>,
    /// It is sent what is said, with or without a nickname.
    listens: bool,
    /// Why its thread is to end, once somebody else decided so.
    turned_out: Option<LeaveReason>,
}

/// All connections, those without a nickname included.
#[derive(Debug, Default)]
pub struct Registry {
    clients: Arc<Mutex<HashMap<ClientId, Client>>>,
    /// Who has which nickname, by its folded form. Locked only while `clients` is.
    names: Mutex<HashMap<String, ClientId>>,
    /// A client was turned out, or waits were lifted: wakes those who wait for their rate.
    turned_out: Condvar,
    /// The last client is gone.
    emptied: Condvar,
    /// The server is shutting down: see [`Registry::lift_waits`].
    waits_lifted: AtomicBool,
}

/// Why there is no place for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There are as many as there may be.
    Full,
    /// There are as many from this address as there may be.
    TooManyFromAddress,
}

impl Refused {
    /// The only line that the connection gets.
    pub fn final_line(self) -> &'static str {
        match self {
            Self::Full => replies::SERVER_FULL,
            Self::TooManyFromAddress => replies::TOO_MANY_FROM_ADDRESS,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the server is full",
            Self::TooManyFromAddress => "too many connections from there",
        })
    }
}

/// Why a nickname could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken;

impl Registry {
    /// Adds a connection, which has no nickname yet.
    ///
    /// # Errors
    ///
    /// When there are too many, in all or from that address.
    pub fn insert(
        &self,
        id: ClientId,
        stream: Arc<TcpStream>,
        address: IpAddr,
        options: &Options,
    ) -> Result<(), Refused> {
        let mut clients = self.lock();
        if clients.len() >= options.max_clients {
            return Err(Refused::Full);
        }
        // Everyone on this machine shares one address.
        if options.max_per_address > 0 && !address.is_loopback() {
            let same = clients.values().filter(|client| client.address == address);
            if same.count() >= options.max_per_address {
                return Err(Refused::TooManyFromAddress);
            }
        }
        clients.insert(
            id,
            Client { stream, address, nickname: None, listens: false, turned_out: None },
        );
        Ok(())
    }

    /// Removes a connection that never got a thread.
    pub fn remove(&self, id: ClientId) {
        self.lock().remove(&id);
    }

    /// Gives a connection its nickname and announces it.
    ///
    /// # Errors
    ///
    /// [`Taken`] when somebody has the name; nothing is announced then.
    pub fn join(&self, id: ClientId, nickname: &Nickname, outbox: &Outbox) -> Result<(), Taken> {
        let mut clients = self.lock();
        let Some(client) = clients.get_mut(&id) else { return Ok(()) };
        self.claim(id, nickname)?;
        client.nickname = Some(nickname.clone());
        client.listens = true;
        let stream = Arc::clone(&client.stream);
        outbox.append(|batch| batch.join(id, nickname.clone(), stream, &replies::joined(nickname)));
        Ok(())
    }

    /// Lets a connection listen that has no nickname yet. Nobody is told.
    pub fn listen(&self, id: ClientId, outbox: &Outbox) {
        if let Some(client) = self.lock().get_mut(&id) {
            client.listens = true;
            outbox.append(|batch| batch.listen(id, Arc::clone(&client.stream)));
        }
    }

    /// Changes a nickname and announces it.
    ///
    /// # Errors
    ///
    /// [`Taken`] when somebody else has the name.
    pub fn rename(&self, id: ClientId, nickname: &Nickname, outbox: &Outbox) -> Result<(), Taken> {
        let mut clients = self.lock();
        let Some(Client { nickname: Some(current), .. }) = clients.get_mut(&id) else {
            return Ok(());
        };
        self.claim(id, nickname)?;
        let before = std::mem::replace(current, nickname.clone());
        if before.folded() != nickname.folded() {
            self.names().remove(&before.folded());
        }
        let notice = replies::renamed(&before, nickname);
        outbox.append(|batch| batch.rename(id, nickname.clone(), &notice));
        Ok(())
    }

    /// Passes a private message on to whoever is called `to`, and confirms it to its sender.
    /// Returns whether there is such a person.
    pub fn tell(
        &self,
        from: (ClientId, &Nickname),
        to: &str,
        message: &str,
        outbox: &Outbox,
    ) -> bool {
        let (sender, from) = from;
        let clients = self.lock();
        let recipient = self.names().get(&fold(to)).copied();
        let Some((recipient, client)) = recipient.and_then(|id| Some((id, clients.get(&id)?)))
        else {
            return false;
        };
        let Some(to) = &client.nickname else { return false };
        outbox.append(|batch| {
            batch.tell(recipient, &replies::told_you(from, message));
            batch.tell(sender, &replies::you_told(to, message));
        });
        true
    }

    /// Removes a connection; if it listened, tells it the last words; if it had a name, announces why it
    /// left, and frees the name. Whoever was turned out leaves for that reason, not for `reason`.
    ///
    /// Returns the name it had, and the reason announced.
    pub fn leave(
        &self,
        id: ClientId,
        reason: LeaveReason,
        outbox: &Outbox,
    ) -> Option<(Nickname, LeaveReason)> {
        let mut clients = self.lock();
        let client = clients.remove(&id)?;
        if clients.is_empty() {
            self.emptied.notify_all();
        }
        let reason = client.turned_out.unwrap_or(reason);
        if client.listens {
            let nickname = client.nickname.as_ref();
            let notice = nickname.map(|nickname| replies::left(nickname, reason));
            outbox.append(|batch| {
                if let Some(final_line) = reason.final_line() {
                    batch.tell(id, final_line);
                }
                batch.leave(id, reason, notice.as_deref());
            });
        }
        let nickname = client.nickname?;
        self.names().remove(&nickname.folded());
        Some((nickname, reason))
    }

    /// Has a client's thread end and leave for `reason`; the first reason given counts.
    ///
    /// Wakes that thread from reading (it reads the end of the stream) and from waiting for its
    /// rate. A client that is kicked can still be written to; one that is lost or too slow cannot,
    /// so whoever writes to it is woken too.
    pub fn turn_out(&self, id: ClientId, reason: LeaveReason) {
        let mut clients = self.lock();
        let Some(client) = clients.get_mut(&id) else { return };
        client.turned_out.get_or_insert(reason);
        let stream = Arc::clone(&client.stream);
        drop(clients);
        self.turned_out.notify_all();
        let how = if reason == LeaveReason::Kicked { Shutdown::Read } else { Shutdown::Both };
        // It fails when the peer is gone already, and then nobody needs to be woken.
        let _ = stream.shutdown(how);
    }

    /// Blocks until `deadline`, or until this client is turned out, or until waits are lifted.
    /// Returns whether the client may go on, that is, was not turned out.
    pub fn wait_until(&self, id: ClientId, deadline: Instant) -> bool {
        let clients = self.wait_while(&self.turned_out, deadline, |clients| {
            is_wanted(clients, id) && !self.waits_lifted.load(Ordering::Relaxed)
        });
        is_wanted(&clients, id)
    }

    /// Whether a client may go on, that is, was not turned out.
    pub fn is_wanted(&self, id: ClientId) -> bool {
        is_wanted(&self.lock(), id)
    }

    /// Ends all present and future [`Registry::wait_until`] at once.
    pub fn lift_waits(&self) {
        let clients = self.lock();
        self.waits_lifted.store(true, Ordering::Relaxed);
        drop(clients);
        self.turned_out.notify_all();
    }

    /// Blocks until nobody is connected, or until `deadline`.
    pub fn wait_until_empty(&self, deadline: Instant) {
        drop(self.wait_while(&self.emptied, deadline, |clients| !clients.is_empty()));
    }

    /// Finds a client by its nickname, in any case.
    pub fn find(&self, name: &str) -> Option<ClientId> {
        let _clients = self.lock();
        self.names().get(&fold(name)).copied()
    }

    /// The nicknames of those who are in, in the order in which they connected.
    pub fn nicknames(&self) -> Vec<Nickname> {
        let clients = self.lock();
        let mut named: Vec<_> = clients
            .iter()
            .filter_map(|(id, client)| Some((*id, client.nickname.clone()?)))
            .collect();
        drop(clients);
        named.sort_unstable_by_key(|&(id, _)| id);
        named.into_iter().map(|(_, nickname)| nickname).collect()
    }

    /// The connections of those of whom `wanted` holds, given whether they are sent what is said.
    pub fn streams(&self, wanted: impl Fn(bool) -> bool) -> Vec<(ClientId, Arc<TcpStream>)> {
        let clients = self.lock();
        let chosen = clients.iter().filter(|(_, client)| wanted(client.listens));
        chosen.map(|(&id, client)| (id, Arc::clone(&client.stream))).collect()
    }

    fn claim(&self, id: ClientId, nickname: &Nickname) -> Result<(), Taken> {
        let mut names = self.names();
        if *names.entry(nickname.folded()).or_insert(id) == id { Ok(()) } else { Err(Taken) }
    }

    fn wait_while(
        &self,
        changed: &Condvar,
        deadline: Instant,
        condition: impl Fn(&HashMap<ClientId, Client>) -> bool,
    ) -> MutexGuard<'_, HashMap<ClientId, Client>> {
        let mut clients = self.lock();
        while condition(&clients) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            let waited = changed.wait_timeout(clients, left);
            clients = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        clients
    }

    /// Maps stay whole whatever panics around them: a poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, ClientId>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_wanted(clients: &HashMap<ClientId, Client>, id: ClientId) -> bool {
    clients.get(&id).is_some_and(|client| client.turned_out.is_none())
}
