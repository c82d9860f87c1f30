//! A run: what all of its threads share. They use it to tell each other how far they are.

use std::fmt::Display;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::integrity::Texts;
use crate::options::Options;
use crate::say;

/// The purpose of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It receives everything.
    Member,
    /// It does not read while the others talk.
    Stalled,
    /// It comes and goes.
    Visitor,
}

/// The data that all threads of a run share. The counters leave out visitors. `Relaxed` is enough for them
/// and for the flags: each is looked at again and again, and stands for nothing but itself.
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) address: SocketAddr,
    pub(crate) texts: Texts,
    /// The actions with which the first client ends the joining and the talking.
    pub(crate) roll_call: String,
    pub(crate) closing: String,
    /// Stamps in messages count from here.
    pub(crate) epoch: Instant,
    /// The connections by client number, for the threads that write. A second descriptor for each client
    /// would halve the number of clients.
    pub(crate) streams: Vec<OnceLock<Arc<TcpStream>>>,
    /// Clients with numbers below this may connect.
    pub(crate) admitted: AtomicU32,
    /// How many clients are in, have seen the roll call, have received everything, and are gone.
    pub(crate) joined: AtomicU32,
    pub(crate) ready: AtomicU32,
    pub(crate) done: AtomicU32,
    pub(crate) gone: AtomicU32,
    pub(crate) received: AtomicU64,
    /// How many messages the first client has received.
    pub(crate) first_received: AtomicU64,
    /// How many messages each sender sends. In a siege there is no bound until the siege sets one.
    pub(crate) messages: AtomicU32,
    /// The senders end after this round, and note its number in `messages`.
    pub(crate) quiet: AtomicBool,
    /// The members have received everything. Stalled clients read now, and no more visitors come.
    pub(crate) over: AtomicBool,
    /// All threads end.
    pub(crate) closed: AtomicBool,
    failure: OnceLock<String>,
    /// How many broken promises there were, apart from lost or wrong lines.
    broken: AtomicU32,
}

/// How many broken promises are printed. The first ones say what is wrong.
const MAX_TOLD: u32 = 20;

impl Run {
    /// A run that nobody has joined.
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Another run hardly ever has the same number.
        let run = now.subsec_nanos().rotate_left(16) ^ std::process::id();
        Self {
            options: options.clone(),
            address,
            texts: Texts {
                run: run & 0x00FF_FFFF,
                senders: options.senders,
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
            first_received: AtomicU64::new(0),
            messages: AtomicU32::new(options.messages),
            quiet: AtomicBool::new(false),
            over: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
            broken: AtomicU32::new(0),
        }
    }

    /// Ends the run. The first reason counts, and the main thread reports it.
    pub(crate) fn fail(&self, why: String) {
        self.failure.get_or_init(|| why);
    }

    /// Returns the reason that was given, if one was.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Notes that a promise was broken, and says so; the run goes on.
    pub(crate) fn accuse(&self, what: impl Display) {
        if self.broken.fetch_add(1, Relaxed) < MAX_TOLD {
            say(format_args!("[ERROR] {what}"));
        }
    }

    /// Returns how many promises were broken.
    pub(crate) fn broken(&self) -> u32 {
        self.broken.load(Relaxed)
    }

    /// Returns the time on the clock of the stamps in messages.
    #[expect(clippy::cast_possible_truncation, reason = "the clock starts again after 71 minutes")]
    pub(crate) fn stamp(&self) -> u32 {
        self.epoch.elapsed().as_micros() as u32
    }

    /// Returns what a client is there for.
    pub(crate) fn role(&self, client: u32) -> Role {
        let Options { clients, stalled, .. } = self.options;
        match client {
            member if member < clients => Role::Member,
            stalling if stalling < clients + stalled => Role::Stalled,
            _ => Role::Visitor,
        }
    }

    /// Returns how many messages a client must receive: all except its own.
    pub(crate) fn expected(&self, client: u32) -> u64 {
        let others = self.options.senders - u32::from(client < self.options.senders);
        u64::from(others) * u64::from(self.messages.load(Relaxed))
    }

    /// Returns the time without a byte after which a missing line counts as lost.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs(self.options.silence.into())
    }
}
