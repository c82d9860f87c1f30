//! The room of a run: what all of its threads share, and by which they tell each other how far things
//! are.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::integrity::Texts;
use super::options::Options;

/// What a client is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// To receive everything.
    Member,
    /// Not to read while the others talk.
    Stalled,
    /// To come and go.
    Visitor,
}

/// What all threads of a run share. The counters leave out visitors. `Relaxed` is enough for them
/// and for the flags: each is looked at again and again, and stands for nothing but itself.
pub(super) struct Room {
    pub(super) options: Options,
    pub(super) address: SocketAddr,
    pub(super) texts: Texts,
    /// What the first client says, as an action, to end the joining, and to end the talking.
    pub(super) roll_call: String,
    pub(super) closing: String,
    /// Stamps in messages count from here.
    pub(super) epoch: Instant,
    /// By number, for whoever writes: a second descriptor each would halve the number of clients.
    pub(super) streams: Vec<OnceLock<Arc<TcpStream>>>,
    /// Clients with numbers below this may connect.
    pub(super) admitted: AtomicU32,
    /// How many are in, have seen the roll call, receive no more, and are gone.
    pub(super) joined: AtomicU32,
    pub(super) ready: AtomicU32,
    pub(super) done: AtomicU32,
    pub(super) gone: AtomicU32,
    pub(super) received: AtomicU64,
    /// The first client has received everything.
    pub(super) arrived: AtomicBool,
    /// The members have: those that stall read now, and visitors do not come again.
    pub(super) over: AtomicBool,
    /// All threads end.
    pub(super) closed: AtomicBool,
    failure: OnceLock<String>,
}

impl Room {
    /// The room of a run that nobody has joined.
    pub(super) fn new(options: &Options, address: SocketAddr) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Another run hardly has the same.
        let run = now.subsec_nanos().rotate_left(16) ^ std::process::id();
        Self {
            options: options.clone(),
            address,
            texts: Texts {
                run,
                senders: options.senders,
                messages: options.messages,
                max_bytes: options.bytes as usize,
            },
            roll_call: format!("^{run:08x} all here"),
            closing: format!("^{run:08x} all said"),
            epoch: Instant::now(),
            streams: vec![OnceLock::new(); (options.clients + options.stalled) as usize],
            admitted: AtomicU32::new(1),
            joined: AtomicU32::new(0),
            ready: AtomicU32::new(0),
            done: AtomicU32::new(0),
            gone: AtomicU32::new(0),
            received: AtomicU64::new(0),
            arrived: AtomicBool::new(false),
            over: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    /// Ends the run: the main thread finds the first reason that was given.
    pub(super) fn fail(&self, why: String) {
        self.failure.get_or_init(|| why);
    }

    /// Returns the reason that was given, if one was.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Returns what a client is there for.
    pub(super) fn role(&self, client: u32) -> Role {
        let Options { clients, stalled, .. } = self.options;
        match client {
            member if member < clients => Role::Member,
            stalling if stalling < clients + stalled => Role::Stalled,
            _ => Role::Visitor,
        }
    }

    /// Returns how many messages a client is to receive: all but its own.
    pub(super) fn expected(&self, client: u32) -> u64 {
        let others = self.options.senders - u32::from(client < self.options.senders);
        u64::from(others) * u64::from(self.options.messages)
    }

    /// Returns after how long without a byte what has not come is lost.
    pub(super) fn silence(&self) -> Duration {
        Duration::from_secs(self.options.silence.into())
    }
}
