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
//!  sessions ─> records ─> relay-writer ─ XADD ─> engine ─ XREAD ─> relay-reader ─> room in the outbox ─> writer ─> sockets
//!              (bounded)  one entry under way    one order          state, stage    (as without a relay)
//! ```
//!
//! 1. What a client does is appended to the [`records`] here, not to the room. Nobody knows yet whether a
//!    nickname is free, so the session waits for the verdict.
//! 2. The [`writer`] appends everything that has gathered as one entry. It sends the entry again until it has
//!    been read back.
//! 3. The [`reader`] reads every entry and applies it to the [`state`]. The state decides what happens. Through
//!    the [`stage`] this reaches the room in the outbox, by the functions that sessions call without a relay.
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
//! There is one lock. It guards the records, and how far this server has read. It is never held over a socket.
//!
//! The engine's user needs the rights `+auth +role +xadd +xread +xrange +xrevrange +xtrim +del` on
//! `~chat:{lobby}:*`, where `lobby` is the name of the room. `--relay-auth FILE` holds its password.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use self::engine::{Address, Engine};
use self::entry::{Header, Sid};
use self::options::Options;
use self::records::{Asked, Local, Records};
use self::resp::Error;
use self::state::State;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{LeaveReason, NOTICE_PREFIX};
use crate::server::client::{Client, ClientId};
use crate::server::operator::event_log::OutputThread;
use crate::server::room::{Room, Taken};
use crate::server::shared::Shared;
use crate::server::shutdown::ShutdownHandle;

pub mod entry;

pub mod state;

pub mod checkpoint;

pub mod records;

pub mod writer;

pub mod reader;

pub mod stage;

pub mod engine;

pub mod resp;

pub mod options;

/// How many bytes may gather before senders wait. An entry gets as long as this in a flood.
const GATHERED_BYTES: usize = 256 << 10;

/// How many bytes the slowest server may be behind before the others stop appending. It is half of the least
/// that the stream keeps. So a flood never makes the stream forget what the slowest server still needs.
const WINDOW_BYTES: u64 = 8 << 20;

/// After reading this many bytes, a server that has nothing to say tells the others how far it has read.
const REPORT_BYTES: u64 = 1 << 20;

/// How long the link may be down before people are told.
const PATIENCE: Duration = Duration::from_secs(3);

/// The room's link to the other servers.
#[derive(Debug)]
pub struct Relay {
    address: Address,
    /// The name of this server among the others.
    name: String,
    beat: Duration,
    link: Mutex<Link>,
    /// Something has gathered, was read back, or ends: wakes the relay's threads and [`Relay::close`].
    changed: Condvar,
    /// What had gathered was taken: wakes the sessions that wait for space.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct Link {
    /// What is to be appended next.
    records: Records,
    /// The number of the batch that gathers, from 1, and of the last one that was read back.
    batch: u64,
    done: u64,
    /// Without this flag each line would cost a system call that wakes nobody.
    writer_waits: bool,
    senders_wait: bool,
    phase: Phase,
    /// Why the server cannot go on, if it cannot.
    failure: Option<String>,
    /// None while the room is being loaded.
    run: Option<Run>,
    /// The connections of the relay's two threads.
    streams: [Option<TcpStream>; 2],
    /// What the other servers are called, and which of the members are at which of them.
    servers: HashMap<Sid, String>,
    elsewhere: HashMap<ClientId, Sid>,
}

/// How far the end of the relay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Phase {
    #[default]
    Open,
    /// Nothing gathers any more. What has gathered is appended, and then the notice that the server closes.
    Closing,
    /// The other servers know this. Nothing is read or appended any more.
    Closed,
    /// The threads are woken from every wait, and end.
    Stopped,
}

/// This server's part in the room, from its hello on.
#[derive(Debug)]
struct Run {
    sid: Sid,
    /// The number of the last entry that was sent, and of the last one that was read back.
    sent: u64,
    read_back: u64,
    /// What stands between the records of the entry that is under way, the number of its batch, and since when.
    locals: Vec<(usize, Local)>,
    batch: u64,
    since: Instant,
    /// How far the room was read, and how much of that the others know.
    point: (u64, u64),
    reported: u64,
    /// How far the slowest of the other servers is behind.
    lag: u64,
    /// None while a beat is under way.
    next_beat: Option<Instant>,
}

/// Which of the two threads a connection belongs to.
#[derive(Debug, Clone, Copy)]
enum Side {
    Writer,
    Reader,
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
        let link = Mutex::new(Link { batch: 1, ..Link::default() });
        let (changed, taken) = (Condvar::new(), Condvar::new());
        Ok(Self { address, name, beat: options.beat, link, changed, taken })
    }

    /// Whether the relay has had no failure.
    ///
    /// # Errors
    ///
    /// Why the server could not go on.
    pub fn result(&self) -> io::Result<()> {
        self.lock().failure.take().map_or(Ok(()), |why| Err(io::Error::other(why)))
    }

    /// A panic of another thread cannot leave this half changed in a way that matters. So a poisoned lock is
    /// used as it is.
    fn lock(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What sessions and the console do.
impl Relay {
    /// A member says whole lines, each with its nickname and its line end. Blocks and discards as the outbox
    /// does.
    pub fn say(&self, client: &Client, lines: &str) {
        let mut rest = lines;
        let mut link = self.lock();
        while !rest.is_empty() && link.accepts(client) {
            let now = if !link.is_full() {
                rest.len()
            } else if link.has_records_of(client) {
                link = self.wait_for_space(link);
                continue;
            } else {
                // The first line of a client in a batch never waits.
                rest.find('\n').map_or(rest.len(), |end| end + 1)
            };
            let (first, later) = rest.split_at(now);
            link.note_records_of(client);
            link.records.say(client.id.number(), first);
            rest = later;
        }
        self.release(link);
    }

    /// A member acts. `line` is the line that everyone sees. Returns whether it counts.
    pub fn act(&self, client: &Client, line: &str) -> bool {
        self.append(client, |records| records.act(client.id.number(), line))
    }

    /// A member sends a private message to the member called `to`. Returns whether it counts.
    pub fn tell(&self, client: &Client, to: &str, text: &str) -> bool {
        self.append(client, |records| records.tell(client.id.number(), to, text))
    }

    /// A client wants to join. Blocks until the order has decided, or until `deadline`. The reader wakes it.
    /// Returns how many bytes the welcome has, or `None` if nothing was decided.
    pub fn join(
        &self,
        client: &Arc<Client>,
        nickname: &Nickname,
        deadline: Instant,
    ) -> Option<Result<usize, Taken>> {
        self.ask(client, Some(deadline), |records, asked| records.join(asked, nickname))
    }

    /// A member wants another nickname. Blocks until the order has decided. The reader or a leave wakes it.
    pub fn rename(
        &self,
        client: &Arc<Client>,
        nickname: &Nickname,
    ) -> Option<Result<usize, Taken>> {
        self.ask(client, None, |records, asked| records.rename(asked, nickname))
    }

    /// Returns which other server a member is at; `None` if it is at none.
    pub fn server_of(&self, id: ClientId) -> Option<String> {
        let link = self.lock();
        link.servers.get(link.elsewhere.get(&id)?).cloned()
    }

    /// Whether something that a client did is not read back yet.
    pub fn has_under_way(&self, client: &Client) -> bool {
        client.last_batch.load(Relaxed) > self.lock().done
    }

    /// Shows a member something that nobody else notices, such as an answer. This happens after everything that
    /// the member did before. `bytes` is how much memory `act` holds.
    pub fn locally(&self, client: &Client, bytes: usize, act: Box<dyn FnOnce(&mut Room) + Send>) {
        self.append(client, |records| records.locally(bytes, act));
    }

    /// The operator says a notice to everyone. Never blocks.
    pub fn announce(&self, notice: &str) {
        let mut link = self.lock();
        if link.phase == Phase::Open {
            link.records.announce(notice.strip_prefix(NOTICE_PREFIX).unwrap_or(notice));
            self.release(link);
        }
    }

    /// A client leaves, for the first reason that is given. Never blocks. Returns `false` once the relay is
    /// closing. Then the other servers are told of all leaves at once.
    pub fn leave(&self, client: &Client, reason: LeaveReason) -> bool {
        let mut link = self.lock();
        if link.phase > Phase::Open {
            return false;
        }
        // The other servers never heard of a client that did not ask to join.
        if !client.has_left.swap(true, Relaxed) && client.last_batch.load(Relaxed) > 0 {
            link.note_records_of(client);
            link.records.leave(client.id.number(), reason);
        }
        self.release(link);
        true
    }

    fn append(&self, client: &Client, fill: impl FnOnce(&mut Records)) -> bool {
        let mut link = self.lock();
        while link.is_full() && link.has_records_of(client) && link.accepts(client) {
            link = self.wait_for_space(link);
        }
        if !link.accepts(client) {
            return false;
        }
        link.note_records_of(client);
        fill(&mut link.records);
        self.release(link);
        true
    }

    fn ask(
        &self,
        client: &Arc<Client>,
        deadline: Option<Instant>,
        fill: impl FnOnce(&mut Records, Asked),
    ) -> Option<Result<usize, Taken>> {
        let verdict = Arc::new(OnceLock::new());
        let asked = Asked { client: Arc::clone(client), verdict: Arc::clone(&verdict) };
        self.append(client, |records| fill(records, asked));
        client.wait_while(deadline, |client| {
            verdict.get().is_none() && !client.has_left.load(Relaxed)
        });
        verdict.get().copied().flatten()
    }

    fn wait_for_space<'a>(&'a self, mut link: MutexGuard<'a, Link>) -> MutexGuard<'a, Link> {
        link.senders_wait = true;
        self.taken.wait(link).unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, mut link: MutexGuard<'_, Link>) {
        let wake = !link.records.is_empty() && std::mem::take(&mut link.writer_waits);
        drop(link);
        if wake {
            self.changed.notify_all();
        }
    }
}

impl Link {
    fn is_full(&self) -> bool {
        self.records.bytes() >= GATHERED_BYTES
    }

    fn accepts(&self, client: &Client) -> bool {
        self.phase == Phase::Open && !client.has_left.load(Relaxed)
    }

    fn has_records_of(&self, client: &Client) -> bool {
        client.last_batch.load(Relaxed) == self.batch
    }

    fn note_records_of(&self, client: &Client) {
        client.last_batch.store(self.batch, Relaxed);
    }

    /// Takes what has gathered, and makes space for more. What is given back stands between the records.
    fn take_records(&mut self) -> (String, Vec<(usize, Local)>) {
        self.batch += 1;
        self.records.take()
    }
}

/// What the relay's own threads do.
impl Relay {
    /// Connects to the engine if there is no connection. Blocks until the connection stands, but at most for
    /// some seconds. [`Relay::close`] wakes it.
    fn connected<'e>(
        &self,
        engine: &'e mut Option<Engine>,
        side: Side,
    ) -> Result<&'e mut Engine, Error> {
        let register = |stream: &TcpStream| {
            let mut link = self.lock();
            if link.phase == Phase::Stopped {
                return Err(io::Error::other("it is closed"));
            }
            link.streams[side as usize] = Some(stream.try_clone()?);
            Ok(())
        };
        match engine {
            Some(engine) => Ok(engine),
            None => Ok(engine.insert(Engine::connect(&self.address, &register)?)),
        }
    }

    /// Sleeps, and returns whether the relay goes on. Its close wakes it.
    fn pause(&self, time: Duration) -> bool {
        let (link, _) = self
            .changed
            .wait_timeout_while(self.lock(), time, |link| link.phase < Phase::Stopped)
            .unwrap_or_else(PoisonError::into_inner);
        link.phase < Phase::Stopped
    }

    /// Begins a run in a room that was read up to here. Returns the run.
    fn begin_run(&self, state: &State) -> Sid {
        let sid = Sid(random());
        let point = state.point();
        let now = Instant::now();
        let mut link = self.lock();
        link.run = Some(Run {
            sid,
            sent: 0,
            read_back: 0,
            locals: Vec::new(),
            batch: link.done,
            since: now,
            point,
            reported: point.0,
            lag: 0,
            next_beat: Some(now),
        });
        drop(link);
        self.changed.notify_all();
        sid
    }

    /// Returns what stands between the records of an entry if it is the one that is under way.
    fn take_locals(&self, sid: Sid, fields: &[Vec<u8>]) -> Option<Vec<(usize, Local)>> {
        let mut link = self.lock();
        let run = link.run.as_mut().filter(|run| run.sid == sid)?;
        let is_own = Header::opens(sid, run.read_back + 1, fields);
        is_own.then(|| std::mem::take(&mut run.locals))
    }

    /// Notes how far the room was read, and how far the slowest other server is behind. Also notes whether the
    /// entry that is under way was read back.
    fn note_progress(&self, point: (u64, u64), lag: u64, is_read_back: bool) {
        let mut guard = self.lock();
        let link = &mut *guard;
        if let Some(run) = &mut link.run {
            (run.point, run.lag) = (point, lag);
            if is_read_back {
                run.read_back += 1;
                run.next_beat.get_or_insert_with(|| Instant::now() + self.beat);
                link.done = run.batch;
            }
        }
        drop(guard);
        self.changed.notify_all();
    }

    /// Whether an entry of this server has been under way for so long.
    fn is_under_way_for(&self, time: Duration) -> bool {
        let link = self.lock();
        let run = link.run.as_ref().filter(|run| run.read_back < run.sent);
        run.is_some_and(|run| run.since.elapsed() >= time)
    }

    fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// Goes on to a phase, and wakes all threads that wait for it.
    fn enter(&self, phase: Phase) {
        let mut link = self.lock();
        link.phase = link.phase.max(phase);
        drop(link);
        self.changed.notify_all();
        self.taken.notify_all();
    }

    /// Ends a run. What these clients did or wished for is ignored from now on.
    fn end_run<'a>(&self, clients: impl Iterator<Item = &'a Arc<Client>>) {
        let mut link = self.lock();
        clients.for_each(|client| client.has_left.store(true, Relaxed));
        let run = link.run.take();
        let lost = link.take_records();
        link.done = link.batch - 1;
        link.senders_wait = false;
        drop(link);
        self.changed.notify_all();
        self.taken.notify_all();
        // This is done after the lock is released, because it wakes sessions.
        drop((run, lost));
    }

    /// Ends the relay's threads, and with them the server. `why` says why the server cannot go on.
    fn fail(&self, why: String) {
        self.lock().failure.get_or_insert(why);
        self.stop();
    }

    /// Ends the relay's threads: wakes them from every wait.
    fn stop(&self) {
        self.enter(Phase::Stopped);
        for stream in self.lock().streams.iter().flatten() {
            // This fails when the connection is over.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Leaves the room. The other servers are told this after everything that has gathered. Nothing can be
    /// appended any more. Blocks until the others are told, or until `deadline`. Then stops the relay's
    /// threads.
    pub fn close(&self, deadline: Instant) {
        self.enter(Phase::Closing);
        let left = deadline.saturating_duration_since(Instant::now());
        let is_open = |link: &mut Link| link.phase < Phase::Closed && link.run.is_some();
        drop(self.changed.wait_timeout_while(self.lock(), left, is_open));
        self.stop();
        self.end_run(std::iter::empty());
    }
}

/// The pauses grow, up to two seconds. They are random, so that not all servers come back at once.
#[derive(Debug)]
struct Pauses(Duration);

impl Pauses {
    fn new() -> Self {
        Self(Duration::from_millis(20))
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(2));
        pause / 2 + pause * u32::try_from(random() % 1024).unwrap_or(0) / 1024
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

/// A random number. The keys of a hash map are random, and `std` has no other source.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
