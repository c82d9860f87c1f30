//! The link: the records to be appended next, and how far this server has read.
//!
//! Records gather in an [outbox](crate::server::outbox) of their own. It has the same rules as the room's. The link
//! also holds the current run: this server's time in the room, which begins with its hello. If the room is lost,
//! the run ends, and a new run begins. Everything that the old run had not finished is dropped, and the clients
//! that it belonged to are disconnected and told.
//!
//! One lock guards all of this. Sessions append, `relay-writer` takes, and `relay-reader` notes its progress.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::Relay;
use super::engine::Engine;
use super::entry::{Header, Sid};
use super::records::{Asked, Local, Records, Verdict};
use super::resp::Error;
use super::state::{Place, State};
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{LeaveReason, NOTICE_PREFIX};
use crate::server::client::{Client, ClientId};
use crate::server::outbox::Gathers;
use crate::server::room::Room;

/// How many bytes the slowest server may be behind before the others stop appending. It is half of the least
/// that the stream keeps. So a flood never makes the stream forget what the slowest server still needs.
const WINDOW_BYTES: u64 = 8 << 20;

/// After reading this many bytes, a server that has nothing to say tells the others how far it has read.
const REPORT_BYTES: u64 = 1 << 20;

/// The data that the sessions and the relay's threads share.
#[derive(Debug, Default)]
pub struct Link {
    /// The records to be appended next.
    records: Records,
    /// The number of the last batch that was read back.
    done: u64,
    phase: Phase,
    /// Why the server cannot go on, if it cannot.
    failure: Option<String>,
    /// None while the room is being loaded.
    run: Option<Run>,
    /// The connections of the relay's two threads.
    streams: [Option<TcpStream>; 2],
    /// The names of the other servers, and at which of them a member is. For the console.
    pub(super) servers: HashMap<Sid, String>,
    pub(super) elsewhere: HashMap<ClientId, Sid>,
}

/// How far the end of the relay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Nothing gathers any more. What has gathered is appended, and then the notice that the server closes.
    Closing,
    /// The other servers know this, or it is too late to tell them. Nothing is read or appended any more: the
    /// threads are woken from every wait, and end.
    Closed,
}

/// This server's part in the room, from its hello on.
#[derive(Debug)]
struct Run {
    sid: Sid,
    /// The number of the last entry that was sent.
    sent: u64,
    /// The actions for when that entry is read back. None once it is.
    under_way: Option<UnderWay>,
    /// The entry that was read last, and whether the engine has lost it.
    last: Place,
    is_lost: bool,
    /// How far the room was read, and how much of that the others know.
    point: (u64, u64),
    reported: u64,
    /// How far the slowest of the other servers is behind.
    lag: u64,
    /// None while a beat is under way.
    next_beat: Option<Instant>,
}

/// The part of an entry that is kept until it is read back.
#[derive(Debug)]
struct UnderWay {
    since: Instant,
    /// The batch that is done then.
    batch: u64,
    /// What stands between its records.
    locals: Vec<(usize, Local)>,
}

/// An entry that is to be appended.
#[derive(Debug)]
pub(super) struct Outgoing {
    sid: Sid,
    pub(super) seq: u64,
    pub(super) text: String,
}

/// Which of the two threads a connection belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Writer,
    Reader,
}

impl Gathers for Link {
    /// Whether no entry is due. Beats are due by the clock: see `until_beat`.
    fn has_nothing(&self) -> bool {
        self.run.as_ref().is_none_or(|run| {
            let talks = !self.records.is_empty() && self.may_talk(run);
            let reports = run.point.0 - run.reported >= REPORT_BYTES;
            self.phase == Phase::Open && run.sent > 0 && !talks && !reports
        })
    }

    fn bytes(&self) -> usize {
        self.records.bytes()
    }

    /// The lines were checked to be UTF-8 when they came.
    fn say(&mut self, client: ClientId, lines: &[u8]) {
        self.records.say(client, &String::from_utf8_lossy(lines));
    }
}

impl Link {
    /// While another server is far behind, nothing is appended. What gathers here fills up, so senders wait,
    /// and TCP slows their clients.
    fn may_talk(&self, run: &Run) -> bool {
        run.lag <= WINDOW_BYTES || self.phase == Phase::Closing
    }

    fn until_beat(&self) -> Option<Duration> {
        let beat = self.run.as_ref()?.next_beat?;
        Some(beat.saturating_duration_since(Instant::now()))
    }

    /// Makes the next entry of the server of this name, if one is due. `batch` is the number of the batch that
    /// has gathered.
    fn next_entry(&mut self, name: &str, batch: u64) -> Option<Outgoing> {
        let is_idle = self.has_nothing() && self.until_beat() != Some(Duration::ZERO);
        let may_talk = self.run.as_ref().is_some_and(|run| self.may_talk(run));
        let run = self.run.as_mut().filter(|_| !is_idle)?;
        let mut under_way =
            UnderWay { since: Instant::now(), batch: self.done, locals: Vec::new() };
        run.sent += 1;
        run.reported = run.point.0;
        let (sid, seq, (at, digest)) = (run.sid, run.sent, run.point);
        let mut text = Header { sid, seq, at, digest }.to_string();
        if seq == 1 {
            text += &format!("H 1 {name}\n");
        } else if may_talk {
            let (records, locals) = self.records.take();
            text += &records;
            (under_way.batch, under_way.locals) = (batch, locals);
        }
        if self.phase == Phase::Closing && seq > 1 {
            text += "X\n";
        } else if run.next_beat.is_some_and(|beat| beat <= under_way.since) {
            text += "B\n";
            // The time to the next beat begins when this beat is read back. So no time passes while the engine
            // stands still.
            run.next_beat = None;
        }
        run.under_way = Some(under_way);
        Some(Outgoing { sid, seq, text })
    }

    fn is_under_way(&self, entry: &Outgoing) -> bool {
        let run = self.run.as_ref().filter(|run| run.sid == entry.sid);
        self.phase < Phase::Closed && run.is_some_and(|run| run.under_way.is_some())
    }
}

/// For sessions and the console.
impl Relay {
    /// A client does something. Blocks as the outbox does. `None` if it does not count: the client has left, or
    /// the relay is closed.
    pub fn append(&self, client: &Client, fill: impl FnOnce(&mut Records)) -> Option<()> {
        self.link.append_for(client, |link| fill(&mut link.records))
    }

    /// A client wants to join, `J`, or another nickname, `R`. Blocks until the order has decided, or until
    /// `deadline`. The reader or a leave wakes it.
    pub fn ask(
        &self,
        client: &Arc<Client>,
        kind: char,
        nickname: &Nickname,
        deadline: Option<Instant>,
    ) -> Verdict {
        let verdict = Arc::new(OnceLock::new());
        let asked = Asked { client: Arc::clone(client), verdict: Arc::clone(&verdict) };
        self.append(client, |records| records.ask(kind, asked, nickname));
        client.wait_while(deadline, |client| {
            verdict.get().is_none() && !client.has_left.load(Relaxed)
        });
        verdict.get().copied().flatten()
    }

    /// Shows a member something that nobody else notices, such as an answer. This happens after everything that
    /// the member did before. `bytes` is how much memory `act` holds.
    pub fn locally(&self, client: &Client, bytes: usize, act: Box<dyn FnOnce(&mut Room) + Send>) {
        self.append(client, |records| records.locally(bytes, act));
    }

    /// Whether something that a client did is not read back yet.
    pub fn has_under_way(&self, client: &Client) -> bool {
        self.link.look(|link| client.last_batch.load(Relaxed) > link.done)
    }

    /// Returns which other server a member is at; `None` if it is at none.
    pub fn server_of(&self, id: ClientId) -> Option<String> {
        self.link.look(|link| link.servers.get(link.elsewhere.get(&id)?).cloned())
    }

    /// The operator says a notice to everyone. Never blocks.
    pub fn announce(&self, notice: &str) {
        let text = notice.strip_prefix(NOTICE_PREFIX).unwrap_or(notice);
        self.link.append(|link| link.records.announce(text));
    }

    /// A client leaves, for the first reason that is given. Never blocks. Returns `false` once the relay is
    /// closing. Then the other servers are told of all leaves at once.
    pub fn leave(&self, client: &Client, reason: LeaveReason) -> bool {
        let left = self.link.append(|link| {
            // The other servers never heard of a client that did not ask to join.
            if !client.has_left.swap(true, Relaxed) && client.last_batch.load(Relaxed) > 0 {
                link.records.leave(client.id, reason);
            }
        });
        left.is_some()
    }

    /// Leaves the room. The other servers are told this after everything that has gathered. Nothing can be
    /// appended any more. Blocks until the others are told, or until `deadline`. Then stops the relay's
    /// threads.
    pub fn close(&self, deadline: Instant) {
        self.enter(Phase::Closing);
        let left = deadline.saturating_duration_since(Instant::now());
        self.link.wait_while(left, |link| link.phase < Phase::Closed && link.run.is_some());
        self.stop();
        self.end_run(std::iter::empty());
    }

    /// Whether the relay has had no failure.
    ///
    /// # Errors
    ///
    /// Why the server could not go on.
    pub fn result(&self) -> io::Result<()> {
        let failure = self.link.look(|link| link.failure.clone());
        failure.map_or(Ok(()), |why| Err(io::Error::other(why)))
    }
}

/// For the relay's own threads.
impl Relay {
    /// Connects to the engine if there is no connection. A new connection is used only if the entry that was
    /// read last is there. Otherwise the run ends, and nothing of it may be appended: servers that come in anew
    /// could not know what was before it. Blocks until the connection stands, but at most for some seconds.
    /// [`Relay::close`] wakes it.
    pub(super) fn connected<'e>(
        &self,
        engine: &'e mut Option<Engine>,
        side: Side,
    ) -> Result<&'e mut Engine, Error> {
        match engine {
            Some(engine) => Ok(engine),
            none => Ok(none.insert(self.connect(side)?)),
        }
    }

    fn connect(&self, side: Side) -> Result<Engine, Error> {
        let register = |stream: &TcpStream| {
            self.link.change(|link| {
                if link.phase == Phase::Closed {
                    return Err(io::Error::other("it is closed"));
                }
                link.streams[side as usize] = Some(stream.try_clone()?);
                Ok(())
            })
        };
        let mut engine = Engine::connect(&self.address, &register)?;
        let last = self.link.look(|link| link.run.as_ref().map(|run| (run.sid, run.last)));
        if let Some((sid, last)) = last
            && !engine.has(last)?
        {
            self.link.change(|link| {
                let run = link.run.as_mut().filter(|run| run.sid == sid);
                run.map(|run| run.is_lost = true)
            });
            return Err(io::Error::other("it has lost what was read here").into());
        }
        Ok(engine)
    }

    /// Whether the engine has lost what was read in this run.
    pub(super) fn is_lost(&self) -> bool {
        self.link.look(|link| link.run.as_ref().is_some_and(|run| run.is_lost))
    }

    /// Sleeps, and returns whether the relay goes on. Its close wakes it.
    pub(super) fn pause(&self, time: Duration) -> bool {
        !self.link.wait_while(time, |link| link.phase < Phase::Closed)
    }

    /// Begins a run in a room that was read up to here. Returns the run.
    pub(super) fn begin_run(&self, state: &State) -> Sid {
        let (sid, now) = (Sid(random()), Instant::now());
        self.link.change(|link| {
            link.run = Some(Run {
                sid,
                sent: 0,
                under_way: None,
                last: state.place(),
                is_lost: false,
                point: state.point(),
                reported: state.point().0,
                lag: 0,
                next_beat: Some(now),
            });
        });
        sid
    }

    /// Blocks until there is something to append: records, a beat, the position that this server has read, or
    /// the end of this server. `None` once the relay is closed.
    pub(super) fn next_entry(&self) -> Option<Outgoing> {
        while self.phase() < Phase::Closed {
            let until_beat = self.link.look(Link::until_beat);
            let next = |link: &mut Link, batch| link.next_entry(&self.name, batch);
            if let (Some(entry), _) = self.link.take_by(until_beat, false, next) {
                return Some(entry);
            }
        }
        None
    }

    /// Blocks until an entry was read back or is void, but at most for `time`. Returns whether that has
    /// happened.
    pub(super) fn wait_for(&self, entry: &Outgoing, time: Duration) -> bool {
        self.link.wait_while(time, |link| link.is_under_way(entry))
    }

    /// Takes what stands between the records of the entry with this number, if that entry is under way. Of a copy
    /// there is nothing to take.
    pub(super) fn take_locals(&self, seq: u64) -> Option<Vec<(usize, Local)>> {
        self.link.change(|link| {
            let run = link.run.as_mut().filter(|run| run.sent == seq)?;
            Some(std::mem::take(&mut run.under_way.as_mut()?.locals))
        })
    }

    /// Notes how far the room was read, and how far the slowest other server is behind. Also notes whether the
    /// entry that is under way was read back.
    pub(super) fn note_progress(&self, state: &State, is_read_back: bool) {
        self.link.change(|link| {
            let Some(run) = &mut link.run else { return };
            (run.last, run.point, run.lag) = (state.place(), state.point(), state.lag(run.sid));
            if is_read_back && let Some(entry) = run.under_way.take() {
                run.next_beat.get_or_insert_with(|| Instant::now() + self.beat);
                link.done = entry.batch;
            }
        });
    }

    /// Whether an entry of this server has been under way for so long.
    pub(super) fn is_under_way_for(&self, time: Duration) -> bool {
        self.link.look(|link| {
            let entry = link.run.as_ref().and_then(|run| run.under_way.as_ref());
            entry.is_some_and(|entry| entry.since.elapsed() >= time)
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.link.look(|link| link.phase)
    }

    /// Goes on to a phase, and wakes all threads that wait for it. Nothing can be appended in any but the first.
    fn enter(&self, phase: Phase) {
        self.link.close_with(|link| link.phase = link.phase.max(phase));
    }

    /// Ends a run. What these clients did or wished for is ignored from now on.
    pub(super) fn end_run<'a>(&self, clients: impl Iterator<Item = &'a Arc<Client>>) {
        // What is lost is dropped without the lock, because that wakes sessions.
        let lost = self.link.take_now(|link, batch| {
            clients.for_each(|client| client.has_left.store(true, Relaxed));
            link.done = batch;
            (link.run.take(), link.records.take())
        });
        drop(lost);
    }

    /// Ends the relay's threads, and with them the server. `why` says why the server cannot go on.
    pub(super) fn fail(&self, why: String) {
        self.link.change(|link| link.failure = link.failure.take().or(Some(why)));
        self.stop();
    }

    /// Ends the relay's threads: wakes them from every wait.
    pub(super) fn stop(&self) {
        self.enter(Phase::Closed);
        self.link.look(|link| {
            for stream in link.streams.iter().flatten() {
                // This fails when the connection is over.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

/// A random number. The keys of a hash map are random, and `std` has no other source.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::entry::Id;
    use crate::relay::options::Options;

    #[test]
    fn an_entry_is_read_back_once_and_its_locals_wait_for_it_alone() {
        let options = Options { hosts: vec!["localhost:6379".to_owned()], ..Options::default() };
        let relay = Relay::open(&options, "localhost", 5555).unwrap().unwrap();
        let state = State::after(Id::default());
        relay.begin_run(&state);
        let hello = relay.next_entry().unwrap();
        assert!(relay.take_locals(1).is_some());
        assert!(!relay.wait_for(&hello, Duration::ZERO), "it is under way until that is noted");
        relay.note_progress(&state, true);
        assert!(relay.wait_for(&hello, Duration::ZERO));
        assert!(relay.take_locals(1).is_none(), "a copy");

        relay.link.append(|link| link.records.locally(0, Box::new(|_| ())));
        let second = relay.next_entry().unwrap();
        assert!(relay.take_locals(1).is_none(), "a copy of the entry before it");
        assert_eq!(relay.take_locals(second.seq).map(|locals| locals.len()), Some(1));
    }
}
