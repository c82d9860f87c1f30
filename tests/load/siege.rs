//! A siege: a run with attackers. The clients of the run must not be disturbed by the attackers.
//!
//! The lines that the clients receive are checked as in an integrity run. This module checks three more things:
//! the server keeps its promises to the attackers, the server's memory stays within bounds, and the server
//! releases all resources after the attacks.
//!
//! Every attacker is a scoped thread. Its connections are limited in number, and its rounds and waits are limited
//! in time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::attacks::{ATTACKS, Attack};
use crate::integrity::ATTACKER_PREFIX;
use crate::options::{Options, Siege};
use crate::proc::Sample;
use crate::random::Random;
use crate::run::Run;
use crate::server::Server;

/// The number of seconds for which the siege's own server waits for a nickname. The time is short, so that
/// some attackers reach this deadline.
const LOGIN_TIMEOUT: &str = "3";

/// The interval at which the main thread checks whether the siege is over, and measures the server's
/// resources.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The pause of an attacker between two rounds.
const BREATH: Duration = Duration::from_millis(20);

/// The maximum time for the server to release its resources after the attacks. The server promises to notice
/// a vanished peer within two minutes.
const HEAL_TIME: Duration = Duration::from_secs(150);

/// The maximum growth of the server's memory from before the siege to after it, in KiB. The allocator keeps
/// some memory of threads that have ended. Over time, a leak would exceed this limit.
const MAX_KEPT_KIB: u64 = 128 << 10;

/// The maximum growth of the server's memory during the siege, in KiB. This is enough for full queues and for
/// the overhead of the allocator.
const MAX_PEAK_KIB: u64 = 512 << 10;

/// The data that the attackers share.
pub(crate) struct Field<'a> {
    pub(crate) run: &'a Run,
    /// Raised when the attacks are over.
    pub(crate) over: Flag,
    /// Raised when an attack has reached its goal, so that the server can be stopped.
    pub(crate) complete: Flag,
    /// Raised when the server is being stopped. After that, a broken connection is not a broken promise.
    ending: Flag,
    strangers: AtomicU64,
    /// Each attack, with the number of its rounds so far.
    rounds: Vec<(&'static Attack, AtomicU64)>,
}

/// The results of a siege, apart from what the clients received.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Each attack, with the number of its rounds.
    pub(crate) rounds: Vec<(&'static str, u64)>,
    /// The peak of each resource of the server.
    pub(crate) peak: Sample,
    /// The server's resources after it had recovered.
    pub(crate) healed: Option<Sample>,
    /// The time that the server took to end.
    pub(crate) ended: Option<Duration>,
}

/// A flag that is raised once. Threads can wait for it.
#[derive(Default)]
pub(crate) struct Flag {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Blocks until the flag is raised, but at most for `time`. Returns whether the flag is raised. Most pauses
    /// of a siege use this function.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(raised, time, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.wait(Duration::ZERO)
    }
}

/// Starts the server for a siege.
pub(crate) fn start_server(options: &Options) -> Result<Server, String> {
    let places = (options.clients + options.places).to_string();
    Server::start(&["--max-clients", &places, "--login-timeout", LOGIN_TIMEOUT])
}

/// Attacks while the run's clients talk. Blocks until all attackers have stopped, and the server has either
/// released its resources or ended.
pub(crate) fn attack(run: &Run, siege: &Siege, server: &mut Option<Server>) -> Outcome {
    let chosen = |attack: &&Attack| siege.attack.as_ref().is_none_or(|name| attack.name == name);
    let field = Field {
        run,
        over: Flag::default(),
        complete: Flag::default(),
        ending: Flag::default(),
        strangers: AtomicU64::new(0),
        rounds: ATTACKS.iter().filter(chosen).map(|attack| (attack, AtomicU64::new(0))).collect(),
    };
    let before = run.server_sample();
    let mut outcome = Outcome::default();
    thread::scope(|attackers| {
        for (attack, rounds) in &field.rounds {
            for n in 0..attack.threads {
                let (field, seed) = (&field, u64::from(run.options.seed) + n as u64);
                attackers.spawn(move || field.fight(attack, seed, rounds));
            }
        }
        outcome.peak = field.watch(siege, before);
        if siege.ends {
            field.ending.raise();
            outcome.ended = server.take().map(|server| {
                let (took, peak_kib) = stop(run, server);
                outcome.peak.resident_kib = outcome.peak.resident_kib.max(peak_kib);
                took
            });
        }
        field.over.raise();
    });
    if !siege.ends {
        outcome.healed = before.and_then(|before| heal(run, before));
    }
    outcome.rounds =
        field.rounds.iter().map(|(attack, n)| (attack.name, n.load(Relaxed))).collect();
    outcome
}

/// Stops a server. Returns the time that this took, and the peak of the server's memory, in KiB.
pub(crate) fn stop(run: &Run, server: Server) -> (Duration, u64) {
    let (took, peak_kib, wrong) = server.stop();
    for what in wrong {
        run.accuse(what);
    }
    (took, peak_kib)
}

impl Field<'_> {
    /// Returns a new nickname for an attacker.
    pub(crate) fn nickname(&self, attack: &str) -> String {
        format!("{ATTACKER_PREFIX}{attack}-{}", self.strangers.fetch_add(1, Relaxed))
    }

    /// Returns a new nickname of the maximum length: 32 letters, most of them with four bytes.
    pub(crate) fn long_nickname(&self, attack: &str) -> String {
        let start = self.nickname(attack);
        let filling = "\u{10428}".repeat(32 - start.chars().count());
        start + &filling
    }

    /// Whether the siege has only one attack.
    pub(crate) fn has_one_attack(&self) -> bool {
        self.rounds.len() == 1
    }

    /// Carries out rounds of one attack until the siege is over, or until the server breaks a promise.
    fn fight(&self, attack: &Attack, seed: u64, rounds: &AtomicU64) {
        let mut random = Random::new(seed);
        while !self.over.wait(BREATH) {
            match (attack.round)(self, &mut random) {
                Ok(()) => rounds.fetch_add(1, Relaxed),
                Err(_) if self.ending.is_raised() => return,
                Err(why) => return self.run.accuse(format_args!("{}: {why}", attack.name)),
            };
        }
    }

    /// Waits until the time of the attacks is over, and prints the progress. If the siege will stop the server,
    /// the wait also ends when an attack is complete. Returns the peak of each resource of the server.
    fn watch(&self, siege: &Siege, before: Option<Sample>) -> Sample {
        let mut peak = Sample::default();
        let end = Instant::now() + siege.time;
        let enough = if siege.ends { &self.complete } else { &self.over };
        let mut progress = self.run.progress();
        loop {
            let last =
                enough.wait(LOOK_AGAIN) || Instant::now() >= end || self.run.failure().is_some();
            progress.tell("under attack");
            if let Some((now, before)) = self.run.server_sample().zip(before) {
                peak.resident_kib = peak.resident_kib.max(now.resident_kib);
                peak.descriptors = peak.descriptors.max(now.descriptors);
                peak.threads = peak.threads.max(now.threads);
                if now.resident_kib > before.resident_kib + MAX_PEAK_KIB {
                    self.run.accuse(format_args!(
                        "the server's memory grew to {} KiB",
                        now.resident_kib
                    ));
                    return peak;
                }
            }
            if last {
                return peak;
            }
        }
    }
}

/// Polls until the server has released its resources, while the run's clients continue to talk. Returns the
/// resources that the server then uses.
fn heal(run: &Run, before: Sample) -> Option<Sample> {
    let start = Instant::now();
    let mut progress = run.progress();
    loop {
        let now = run.server_sample()?;
        if now.descriptors <= before.descriptors && now.threads <= before.threads {
            if now.resident_kib > before.resident_kib + MAX_KEPT_KIB {
                run.accuse(format_args!("the server kept {} KiB", now.resident_kib));
            }
            return Some(now);
        }
        if start.elapsed() > HEAL_TIME {
            run.accuse(format_args!("the server does not heal: {now:?}, before {before:?}"));
            return Some(now);
        }
        progress.tell("healing");
        thread::sleep(LOOK_AGAIN);
    }
}
