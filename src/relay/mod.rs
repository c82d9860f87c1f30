//! The relay: one room on several servers. Optional, and the last thing to read.
//!
//! One server has one order, because everything that happens is appended under one lock. Two servers have two
//! locks, and so two orders: Alice sees the question before the answer, Bob the answer before the question, and
//! each server gives the name `carol` away once. No clock helps, since clocks differ by more than a line takes.
//!
//! What helps is a **log** outside of all servers. It is a list that grows at one end. Each entry has one place
//! in it. An engine that many operators already have keeps such a list: a stream of Redis or Valkey. A server
//! appends what its clients do, and delivers it only when it reads it back, in the order of the log. All
//! servers apply the same entries in the same order. So all come to the same room, without ever speaking to
//! each other. This is called *state-machine replication*.
//!
//! ```text
//!  sessions ─> records ─> relay-writer ─ XADD ─> engine
//!              (bounded)  one entry under way    one order
//!
//!  engine ─ XREAD ─> relay-reader ─> room in the outbox ─> writer ─> sockets
//!                    state, stage    (as without a relay)
//! ```
//!
//! 1. What a client does is appended to the [`records`] of the [`link`], not to the room. Nobody knows yet
//!    whether a nickname is free, so the session waits for the verdict.
//! 2. The [`writer`] appends everything that has gathered as one entry. It sends the entry again until it has
//!    been read back.
//! 3. The [`reader`] reads every entry and [applies](apply) it to the [`state`]. This decides what happens.
//!    Through the [`stage`] it reaches the room in the outbox, by the functions that sessions call without a
//!    relay.
//!
//! What it costs: two more hops for each line, about half a millisecond. Without the engine nobody can talk, so
//! no two halves of a room can drift apart. A server that may have missed something says so, disconnects its
//! clients, and comes in again. So nobody misses a line without knowing it.
//!
//! The engine is spoken to in [`resp`], by the commands in [`engine`]. A [`checkpoint`] lets a newcomer catch up,
//! and the stream forget.
//!
//! | thread | blocks on | ended by |
//! | --- | --- | --- |
//! | `relay-writer` | records, beats; the engine, 3 s at most | the close of the relay |
//! | `relay-reader` | the engine, 3 s at most; space in the outbox | the close of the relay |
//!
//! There is one lock, that of the [`link`]. It is never held over a socket.
//!
//! The engine's user needs the rights `+auth +role +xadd +xread +xrange +xrevrange +xtrim +del` on
//! `~chat:{lobby}:*`, where `lobby` is the name of the room. `--relay-auth FILE` holds its password. A
//! Sentinel that wants a password gets the same one.
//!
//! # Faults
//!
//! `tests/relay.sh` has a real engine suffer each of these, while people talk at several servers. Each row is a
//! test in `tests/it/relay/redis`; `cargo test` has most of them with an engine that it plays itself. What
//! was said is compared at every listener: it must be the same lines in the same order, each of them once.
//!
//! | fault | what people see | lost | doubled, reordered |
//! | --- | --- | --- | --- |
//! | the engine is killed and restarted, four times | talk waits | 0 | 0 |
//! | it is ended and restarted, with `appendfsync everysec` | talk waits | 0 | 0 |
//! | it is down for 14 s, or stands still; a server is given up after 12 s there | link down, link back | 0 | 0 |
//! | all connections are killed, 70 times | nothing | 0 | 0 |
//! | its memory is full for 4 s | talk waits | 0 | 0 |
//! | the link of one server is cut | link down and back, at that server | 0 | 0 |
//! | Sentinel has a replica take over that has everything | link down, link back | 0 | 0 |
//! | a replica takes over that lags | all are disconnected and told | what it had not got | 0 |
//! | two primaries, until one is demoted | those at that one are disconnected and told | what was said there | 0 |
//! | the log loses its end, as when the power fails | all are disconnected and told | that end | 0 |
//! | the log is trimmed by hand | those who had not read it are disconnected and told | for them, that | 0 |
//! | everything is deleted | some are disconnected and told; then there is one room | what was deleted | 0 |
//! | a flood of 40 MB, and a server that stands still for 7 s | the flood waits for it | 0 | 0 |
//! | all servers are killed | their names are taken for six beats | 0 | 0 |
//! | two rooms on one engine | nothing of each other | 0 | 0 |
//! | all of it at random, three servers (`tests/relay.sh SECONDS`) | talk waits | 0 | 0 |

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use self::engine::Address;
use self::entry::Sid;
use self::link::{Link, random};
use self::options::Options;
use crate::server::operator::event_log::OutputThread;
use crate::server::outbox::Outbox;
use crate::server::shared::Shared;
use crate::server::shutdown::ShutdownHandle;

pub mod entry;

pub mod state;

pub mod apply;

pub mod checkpoint;

pub mod records;

pub mod link;

pub mod writer;

pub mod reader;

pub mod replay;

pub mod stage;

pub mod engine;

pub mod resp;

pub mod options;

/// The room's link to the other servers.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    /// The name of this server among the others.
    name: String,
    beat: Duration,
    /// The records to be appended next, and how far this server has read.
    pub link: Outbox<Link>,
}

impl Relay {
    /// Makes the relay if the options ask for one. If the options give the server no name, its name is made
    /// from the address on which it listens.
    ///
    /// # Errors
    ///
    /// The file with the password cannot be read.
    pub fn open(options: &Options, host: &str, port: u16) -> Option<io::Result<Self>> {
        (!options.hosts.is_empty()).then(|| Self::new(options, &format!("{host}:{port}")))
    }

    fn new(options: &Options, listens_on: &str) -> io::Result<Self> {
        let auth = options.auth.as_ref().map(fs::read_to_string).transpose()?.unwrap_or_default();
        // Only Linux and Windows tell what the machine is called without a further call. Elsewhere any name will do
        // that no other server has.
        let host =
            fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
        let host = host.ok().or_else(|| std::env::var("COMPUTERNAME").ok());
        let host = host.unwrap_or_else(|| Sid(random()).to_string());
        let name = options.name.clone().unwrap_or_else(|| format!("{host}/{listens_on}"));
        let address = Address {
            hosts: options.hosts.clone(),
            sentinel: options.sentinel.clone(),
            auth: auth.split_whitespace().map(str::to_owned).collect(),
            room: options.room.clone(),
        };
        Ok(Self { address, name, beat: options.beat, link: Outbox::new(Link::default()) })
    }
}

/// Starts the relay's threads, if there is a relay. When one of them ends, it asks the server to stop: without
/// the relay's threads nothing is delivered.
///
/// # Errors
///
/// When the system has no thread left.
pub fn start(shared: &Arc<Shared>, handle: &ShutdownHandle) -> io::Result<Vec<OutputThread>> {
    let start = |name, run: fn(&Relay, &Shared)| {
        let (shared, handle) = (Arc::clone(shared), handle.clone());
        // They may be stuck in looking up a name, so nobody joins them.
        OutputThread::start(name, move || {
            if let Some(relay) = &shared.relay {
                let _guard = StopOnDrop { relay, handle };
                run(relay, &shared);
            }
        })
    };
    if shared.relay.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![start("relay-writer", writer::write_loop)?, start("relay-reader", reader::read_loop)?])
}

/// Asks the server to stop when it is dropped. A panic drops it, too.
struct StopOnDrop<'a> {
    relay: &'a Relay,
    handle: ShutdownHandle,
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.relay.fail("a fault in the relay".to_owned());
        }
        self.handle.stop();
    }
}
