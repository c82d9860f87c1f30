//! The relay: one room on several servers. The relay is optional. Read this module last.
//!
//! A single server has a single order of events, because every event is appended under the same lock. Two servers
//! have two locks, and so two orders. Alice may see the question before the answer, while Bob sees the answer before
//! the question. Both servers may give the name `carol` to somebody. Clocks do not help: two clocks differ by more
//! time than a line needs to arrive.
//!
//! The solution is a **log** outside of all servers. The log is a list that grows only at its end, so every entry has
//! one place in the order. The *streams* of Redis and Valkey are such lists. The server that stores the log, Redis or
//! Valkey, is called the *engine*. A chat server appends the actions of its clients to the log. It delivers these
//! actions only when it reads them back, in the order of the log. All servers apply the same entries in the same order.
//! So all servers compute the same room, without ever connecting to each other. This is called *state-machine
//! replication*.
//!
//! ```text
//!  sessions ─> records ─> relay-writer ─ XADD ─> engine
//!              (bounded)  one entry under way    one order
//!
//!  engine ─ XREAD ─> relay-reader ─> room in the outbox ─> writer ─> sockets
//!                    state, stage    (as without a relay)
//! ```
//!
//! 1. A session appends each action of its client to the [`records`] of the [`link`], not to the room. After a request
//!    for a nickname, the session waits for the verdict, because no server knows yet whether the nickname is free.
//! 2. The [`writer`] appends all gathered records to the stream as one entry. It sends this entry again and again until
//!    the reader has read the entry back.
//! 3. The [`reader`] reads every entry and [applies](apply) it to the [`state`]. This step decides what happens. The
//!    [`stage`] then changes the room in the outbox. The stage calls the same functions that the sessions call on a
//!    server without a relay.
//!
//! The relay adds two hops to the path of each line. The two hops take about half a millisecond. While the engine is
//! down, nobody can talk. So a room cannot split into two halves that drift apart. A server that may have missed an
//! entry tells its clients so, disconnects them, and enters the room again. So nobody misses a line without being told.
//!
//! [`resp`] implements the engine's protocol, and [`engine`] implements the commands. A [`checkpoint`] is a copy of the
//! state. A new server loads the newest checkpoint instead of all older entries, so those entries can be deleted.
//!
//! | thread | blocks | ends |
//! | --- | --- | --- |
//! | `relay-writer` | until there are records or a beat is due; in calls to the engine, at most 3 s | when the relay is closed |
//! | `relay-reader` | in calls to the engine, at most 3 s; until the outbox has space | when the relay is closed |
//!
//! The relay has one lock, which guards the [`link`]. No thread holds this lock during a socket call.
//!
//! The server's account on the engine needs the rights `+auth +role +xadd +xread +xrange +xrevrange +xtrim +del` on
//! `~chat:{lobby}:*`, where `lobby` is the name of the room. In the option `--relay-auth FILE`, FILE contains the
//! account's password. A Sentinel that asks for a password gets the same password.
//!
//! # Faults
//!
//! `tests/relay.sh` subjects a real engine to each of these faults, while people talk on several servers. Each row is a
//! test in `tests/it/relay/redis`. `cargo test` runs most of these tests with a simulated engine. The tests check that
//! all listeners receive the same lines in the same order, and each line once. In the table, "link down" and "link
//! back" are notices to the clients, and "lines wait" means that lines arrive late.
//!
//! | fault | what people see | lines lost | doubled or reordered |
//! | --- | --- | --- | --- |
//! | the engine is killed and restarted, four times | lines wait | 0 | 0 |
//! | the engine is shut down and restarted, with `appendfsync everysec` | lines wait | 0 | 0 |
//! | the engine is down or suspended for 14 s; in this test a silent server is removed after 12 s | link down, link back | 0 | 0 |
//! | all connections to the engine are killed, 70 times | nothing | 0 | 0 |
//! | the engine's memory is full for 4 s | lines wait | 0 | 0 |
//! | the link of one server is cut | link down, link back, at that server | 0 | 0 |
//! | Sentinel promotes a replica that has all entries | link down, link back | 0 | 0 |
//! | a replica that lags is promoted | all clients are disconnected and told why | the lines that the replica had not received | 0 |
//! | there are two primaries until one is demoted | all users of the demoted primary are disconnected and told why | the lines of these users | 0 |
//! | the log loses its last entries, as in a power failure | all clients are disconnected and told why | the lines in those entries | 0 |
//! | the log is trimmed by hand | clients of a server that had not read the trimmed part are disconnected and told why | the trimmed part, for these clients | 0 |
//! | everything is deleted | some clients are disconnected and told why; after that, there is one room again | the deleted lines | 0 |
//! | a flood of 40 MB, and one server is suspended for 7 s | the flood waits for that server | 0 | 0 |
//! | all chat servers are killed | the nicknames of all members stay taken for six beats | 0 | 0 |
//! | two rooms on one engine | only their own room | 0 | 0 |
//! | random faults, three servers (`tests/relay.sh SECONDS`) | lines wait | 0 | 0 |

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

/// The relay of this server.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    /// The name by which the other servers know this server.
    name: String,
    beat: Duration,
    /// The records to append next, and the position up to which this server has read the stream.
    pub link: Outbox<Link>,
}

impl Relay {
    /// Makes the relay if the options ask for a relay. If the options contain no name for this server, the name is
    /// made from the machine's name and the address on which the server listens.
    ///
    /// # Errors
    ///
    /// The file with the password cannot be read.
    pub fn open(options: &Options, host: &str, port: u16) -> Option<io::Result<Self>> {
        (!options.hosts.is_empty()).then(|| Self::new(options, &format!("{host}:{port}")))
    }

    fn new(options: &Options, listens_on: &str) -> io::Result<Self> {
        let auth = options.auth.as_ref().map(fs::read_to_string).transpose()?.unwrap_or_default();
        // `std` can read the machine's name on Linux and Windows only. On other systems the name is random, so that
        // no other server has the same name.
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

/// Starts the relay's threads, if there is a relay. If one of these threads ends, it asks the server to stop, because
/// no line is delivered without both threads.
///
/// # Errors
///
/// The system cannot create another thread.
pub fn start(shared: &Arc<Shared>, handle: &ShutdownHandle) -> io::Result<Vec<OutputThread>> {
    let start = |name, run: fn(&Relay, &Shared)| {
        let (shared, handle) = (Arc::clone(shared), handle.clone());
        // These threads are never joined, because they may block in a name lookup.
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

/// A guard that asks the server to stop when the guard is dropped. A panic drops the guard, too.
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
