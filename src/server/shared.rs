//! Shared: the data that all threads of the server use. With this data, any thread can disconnect a client.
//!
//! This module grew from step 5 of the [course](crate::lessons), in which the threads begin to share a
//! registry.

use std::net::Shutdown::Both;

use super::client::Client;
use super::operator::bans::Bans;
use super::operator::event_log::EventLog;
use super::operator::options::Options;
use super::operator::stats::Stats;
use super::outbox::Outbox;
use super::registry::Registry;
use super::room::Room;
use super::shutdown::Shutdown;
use crate::protocol::replies::LeaveReason;
use crate::relay::Relay;

/// The data that all threads of the server share.
#[derive(Debug)]
pub struct Shared {
    /// The settings from the command line.
    pub options: Options,
    /// All connections.
    pub registry: Registry,
    /// The room, and the batch that is to be delivered next.
    pub outbox: Outbox<Room>,
    /// The link to the other servers that share the room, if there are any: see [`order`](super::order).
    pub relay: Option<Relay>,
    /// Whether the server is shutting down, and the number of sessions that have lines in flight.
    pub shutdown: Shutdown,
    /// The addresses that may not connect.
    pub bans: Bans,
    /// The counters for the operator.
    pub stats: Stats,
    /// The messages for the operator.
    pub log: EventLog,
}

impl Shared {
    /// Makes the data for a server that starts.
    pub fn new(options: Options, bans: Bans, log: EventLog) -> Self {
        Self {
            registry: Registry::default(),
            outbox: Outbox::new(Room::new(options.history)),
            relay: None,
            shutdown: Shutdown::default(),
            bans,
            stats: Stats::begin(),
            log,
            options,
        }
    }

    /// Disconnects a client, whether it has joined or not.
    pub fn expel(&self, client: &Client) {
        if self.outbox.look(|room| room.has(client.id)) {
            self.leave(client, LeaveReason::Kicked);
        } else {
            client.shut_down(Both);
        }
    }

    /// Logs a line that a member says to everyone, if the options ask for it. With a relay, this function
    /// does nothing, because the thread `relay-reader` logs the lines of all servers.
    pub fn log_message(&self, line: &str) {
        if self.options.log_messages && self.relay.is_none() {
            self.log.notice(line);
        }
    }
}
