//! A run: the data that all of its threads share. Through this data, the threads tell each other their
//! progress.

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
    /// The client receives everything.
    Member,
    /// The client does not read while the others talk.
    Stalled,
    /// The client joins and leaves again and again.
    Visitor,
}

/// The data that all threads of a run share. The counters of clients do not count visitors. `Relaxed` is enough
/// for the counters and the flags: the threads poll each of them, and no other data depends on them.
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) address: SocketAddr,
    pub(crate) texts: Texts,
    /// The line with which the first client ends the joining.
    pub(crate) roll_call: String,
    /// The line with which the first client ends the talking.
    pub(crate) closing: String,
    /// The moment from which the stamps in messages count.
    pub(crate) epoch: Instant,
    /// The connections by client number, for the threads that write. These threads share the descriptors of
    /// the readers, because a second descriptor for each client would halve the maximum number of clients.
    pub(crate) streams: Vec<OnceLock<Arc<TcpStream>>>,
    /// Clients with numbers below this may connect.
    pub(crate) admitted: AtomicU32,
    /// The number of clients that have joined.
    pub(crate) joined: AtomicU32,
    /// The number of clients that have received the roll call.
    pub(crate) ready: AtomicU32,
    /// The number of clients for which the talking has ended.
    pub(crate) done: AtomicU32,
    /// The number of clients whose connections have ended.
    pub(crate) gone: AtomicU32,
    /// The number of messages that all clients together have received.
    pub(crate) received: AtomicU64,
    /// The number of messages that the first client has received.
    pub(crate) first_received: AtomicU64,
    /// The number of messages that each sender sends. In a siege this number becomes known only when the
    /// senders stop.
    pub(crate) messages: AtomicU32,
    /// Whether the senders must stop. They stop when each of them has finished the current turn. Then the number
    /// of messages that each sender has sent is stored in `messages`.
    pub(crate) quiet: AtomicBool,
    /// Whether the members have received everything. After that, the stalled clients read, and no more visitors
    /// join.
    pub(crate) over: AtomicBool,
    /// Whether all threads of the run must end.
    pub(crate) closed: AtomicBool,
    failure: OnceLock<String>,
    /// The number of promises that the server has broken, not counting lost or wrong lines.
    broken: AtomicU32,
}

/// The maximum number of broken promises that are printed. The first few are enough to see what is wrong.
const MAX_TOLD: u32 = 20;

impl Run {
    /// Makes a run that no client has joined yet.
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // It is unlikely that another run has the same number.
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

    /// Makes the run fail. The main thread reports the first reason that is given.
    pub(crate) fn fail(&self, why: String) {
        self.failure.get_or_init(|| why);
    }

    /// Returns the reason why the run failed, or `None` if it has not failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Counts a broken promise of the server, and prints it. The run continues.
    pub(crate) fn accuse(&self, what: impl Display) {
        if self.broken.fetch_add(1, Relaxed) < MAX_TOLD {
            say(format_args!("[ERROR] {what}"));
        }
    }

    /// Returns the number of promises that the server has broken.
    pub(crate) fn broken(&self) -> u32 {
        self.broken.load(Relaxed)
    }

    /// Returns the current time for a stamp in a message, in microseconds since the run's epoch.
    #[expect(clippy::cast_possible_truncation, reason = "the clock starts again after 71 minutes")]
    pub(crate) fn stamp(&self) -> u32 {
        self.epoch.elapsed().as_micros() as u32
    }

    /// Returns the role of a client.
    pub(crate) fn role(&self, client: u32) -> Role {
        let Options { clients, stalled, .. } = self.options;
        match client {
            member if member < clients => Role::Member,
            stalling if stalling < clients + stalled => Role::Stalled,
            _ => Role::Visitor,
        }
    }

    /// Returns the number of messages that a client must receive: all messages except its own.
    pub(crate) fn expected(&self, client: u32) -> u64 {
        let others = self.options.senders - u32::from(client < self.options.senders);
        u64::from(others) * u64::from(self.messages.load(Relaxed))
    }

    /// Returns the time without a byte after which a missing line counts as lost.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs(self.options.silence.into())
    }
}
