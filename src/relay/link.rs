//! The link: the records to append next, and the position up to which this server has read the stream.
//!
//! Records gather in an [outbox](crate::server::outbox) of their own, with the same rules as the room's outbox. The
//! link also contains the current run. A run is the time in which this server is in the room, starting with its hello.
//! If the room is lost, the run ends, and a new run begins. Everything that was still under way in the old run is
//! dropped. This server's clients are told that the room is lost, and are disconnected.
//!
//! One lock guards the link. Sessions append records, `relay-writer` takes them, and `relay-reader` notes the position
//! up to which it has read.

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

/// If the slowest server is behind by more than this number of bytes, the other servers stop appending. The stream
/// always keeps at least twice this number of bytes. So even in a flood, the entries that the slowest server still
/// needs are not deleted.
const WINDOW_BYTES: u64 = 8 << 20;

/// The number of bytes after which a server reports how far it has read. It then appends an entry, even without
/// records: the entry's header has the position.
const REPORT_BYTES: u64 = 1 << 20;

/// The data that the sessions and the relay's threads share.
#[derive(Debug, Default)]
pub struct Link {
    /// The records to append next.
    records: Records,
    /// The last batch of records that this server has read back. (Batches are numbered.)
    done: u64,
    phase: Phase,
    /// The reason why the server cannot continue. `None` if it can continue.
    failure: Option<String>,
    /// The current run. `None` while the room is being loaded.
    run: Option<Run>,
    /// The connections of the relay's two threads.
    streams: [Option<TcpStream>; 2],
    /// The names of the other servers, for the console.
    pub(super) servers: HashMap<Sid, String>,
    /// The server of each member that is not on this server, for the console.
    pub(super) elsewhere: HashMap<ClientId, Sid>,
}

/// The phases of the relay's shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Phase {
    #[default]
    Open,
    /// No more records are accepted. The records that have gathered are appended, followed by `X`, the closing
    /// record.
    Closing,
    /// The other servers have been told that this server closes, or it is too late to tell them. The relay's threads
    /// are woken from every wait, and end.
    Closed,
}

/// One run of this server, starting with its hello.
#[derive(Debug)]
struct Run {
    sid: Sid,
    /// The number of the last entry that was sent.
    sent: u64,
    /// The work to do when the last sent entry is read back. `None` if no entry is under way.
    under_way: Option<UnderWay>,
    /// The entry that was read last.
    last: Place,
    /// Whether the engine has lost the entry that was read last.
    is_lost: bool,
    /// The point up to which this server has read the stream.
    point: (u64, u64),
    /// The position that this server last reported to the other servers.
    reported: u64,
    /// The number of bytes by which the slowest of the other servers is behind.
    lag: u64,
    /// The time at which the next beat is due. `None` while a beat is under way.
    next_beat: Option<Instant>,
}

/// The data about an entry that is kept until the entry is read back.
#[derive(Debug)]
struct UnderWay {
    since: Instant,
    /// The number of the last batch of records in this entry.
    batch: u64,
    /// The local work to do between the entry's records.
    locals: Vec<(usize, Local)>,
}

/// An entry to append.
#[derive(Debug)]
pub(super) struct Outgoing {
    sid: Sid,
    pub(super) seq: u64,
    pub(super) text: String,
}

/// The thread of the relay that uses a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Writer,
    Reader,
}

impl Gathers for Link {
    /// Whether no entry is due. Beats are not considered: see `until_beat`.
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

    /// The lines are valid UTF-8: the session checked them when it read them.
    fn say(&mut self, client: ClientId, lines: &[u8]) {
        self.records.say(client, &String::from_utf8_lossy(lines));
    }
}

impl Link {
    /// Whether records may be appended now. While another server is far behind, no records may be appended. So the
    /// outbox fills up, the sessions wait, and TCP slows the clients down.
    fn may_talk(&self, run: &Run) -> bool {
        run.lag <= WINDOW_BYTES || self.phase == Phase::Closing
    }

    fn until_beat(&self) -> Option<Duration> {
        let beat = self.run.as_ref()?.next_beat?;
        Some(beat.saturating_duration_since(Instant::now()))
    }

    /// Returns the next entry to append, if an entry is due. `name` is the name of this server. `batch` is the number
    /// of the batch of records that has gathered.
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
            // The wait for the next beat begins when this beat is read back. So no beats accumulate while the engine
            // does not answer.
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

/// The functions that sessions and the console call.
impl Relay {
    /// Calls `fill` to append records of a client. Blocks while the outbox makes this client wait. Returns `None`, and
    /// appends nothing, if the client has left or the relay is closed.
    pub fn append(&self, client: &Client, fill: impl FnOnce(&mut Records)) -> Option<()> {
        self.link.append_for(client, |link| fill(&mut link.records))
    }

    /// Appends the wish of a client to join (`kind` is `J`) or to change its nickname (`kind` is `R`). Blocks until the
    /// wish is decided, the client has left, or `deadline` has passed.
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

    /// Makes the reader call `act` with the room, to show a member something that nobody else notices, such as an
    /// answer. The member sees this after the effects of all its earlier actions. `bytes` is the size of the memory
    /// that `act` uses.
    pub fn locally(&self, client: &Client, bytes: usize, act: Box<dyn FnOnce(&mut Room) + Send>) {
        self.append(client, |records| records.locally(bytes, act));
    }

    /// Whether any record of this client has not been read back yet.
    pub fn has_under_way(&self, client: &Client) -> bool {
        self.link.look(|link| client.last_batch.load(Relaxed) > link.done)
    }

    /// Returns the name of the other server that a member is connected to. `None` if the member is on this server.
    pub fn server_of(&self, id: ClientId) -> Option<String> {
        self.link.look(|link| link.servers.get(link.elsewhere.get(&id)?).cloned())
    }

    /// Appends the operator's notice for everyone. Never blocks.
    pub fn announce(&self, notice: &str) {
        let text = notice.strip_prefix(NOTICE_PREFIX).unwrap_or(notice);
        self.link.append(|link| link.records.announce(text));
    }

    /// Appends the leave of a client. Only the first call for a client has an effect. Never blocks. Once the relay is
    /// closing, this function appends nothing and returns `false`, because the closing record makes all members of this
    /// server leave.
    pub fn leave(&self, client: &Client, reason: LeaveReason) -> bool {
        let left = self.link.append(|link| {
            // The other servers do not know a client that has never asked to join.
            if !client.has_left.swap(true, Relaxed) && client.last_batch.load(Relaxed) > 0 {
                link.records.leave(client.id, reason);
            }
        });
        left.is_some()
    }

    /// Leaves the room. Accepts no more records. Appends the records that have gathered, and then `X`, the closing
    /// record. Blocks until these records are appended, or until `deadline`. Then stops the relay's threads.
    pub fn close(&self, deadline: Instant) {
        self.enter(Phase::Closing);
        let left = deadline.saturating_duration_since(Instant::now());
        self.link.wait_while(left, |link| link.phase < Phase::Closed && link.run.is_some());
        self.stop();
        self.end_run(std::iter::empty());
    }

    /// Returns `Ok` if the relay has had no failure.
    ///
    /// # Errors
    ///
    /// The reason why the server could not continue.
    pub fn result(&self) -> io::Result<()> {
        let failure = self.link.look(|link| link.failure.clone());
        failure.map_or(Ok(()), |why| Err(io::Error::other(why)))
    }
}

/// The functions that the relay's own threads call.
impl Relay {
    /// Connects to the engine if there is no connection. A new connection is used only if the engine still has
    /// the entry that was read last. Otherwise the run ends, and its unfinished entry must not be appended: a
    /// server that enters the room later would see this entry without the lost entries before it. Blocks until
    /// the connection is established, but at most for some seconds. [`Relay::close`] wakes the thread.
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

    /// Whether the engine has lost entries that were read in this run.
    pub(super) fn is_lost(&self) -> bool {
        self.link.look(|link| link.run.as_ref().is_some_and(|run| run.is_lost))
    }

    /// Sleeps for `time`. Returns whether the relay is still running. Closing the relay wakes the thread.
    pub(super) fn pause(&self, time: Duration) -> bool {
        !self.link.wait_while(time, |link| link.phase < Phase::Closed)
    }

    /// Begins a run. `state` is the room as it was loaded. Returns the number of the run.
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

    /// Blocks until there is something to append: records, a beat, the position up to which this server has read, or
    /// the closing record. Returns `None` once the relay is closed.
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

    /// Blocks until an entry is read back or its run has ended, but at most for `time`. Returns `false` if the time
    /// has passed first.
    pub(super) fn wait_for(&self, entry: &Outgoing, time: Duration) -> bool {
        self.link.wait_while(time, |link| link.is_under_way(entry))
    }

    /// Takes the local work of the entry with the number `seq` in this run. Returns `None` if that entry is not under
    /// way, so a copy of an entry gets no local work.
    pub(super) fn take_locals(&self, seq: u64) -> Option<Vec<(usize, Local)>> {
        self.link.change(|link| {
            let run = link.run.as_mut().filter(|run| run.sent == seq)?;
            Some(std::mem::take(&mut run.under_way.as_mut()?.locals))
        })
    }

    /// Notes the position up to which the stream was read, and the number of bytes by which the slowest other server is
    /// behind.
    pub(super) fn note_progress(&self, state: &State) {
        self.link.change(|link| {
            let Some(run) = &mut link.run else { return };
            (run.last, run.point, run.lag) = (state.place(), state.point(), state.lag(run.sid));
        });
    }

    /// Notes that the entry under way was read back.
    pub(super) fn note_read_back(&self) {
        self.link.change(|link| {
            let Some(run) = &mut link.run else { return };
            if let Some(entry) = run.under_way.take() {
                run.next_beat.get_or_insert_with(|| Instant::now() + self.beat);
                link.done = entry.batch;
            }
        });
    }

    /// Whether an entry of this server has been under way for at least `time`.
    pub(super) fn is_under_way_for(&self, time: Duration) -> bool {
        self.link.look(|link| {
            let entry = link.run.as_ref().and_then(|run| run.under_way.as_ref());
            entry.is_some_and(|entry| entry.since.elapsed() >= time)
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.link.look(|link| link.phase)
    }

    /// Enters a phase, unless a later phase was already entered. Wakes all threads that wait in the link. Records are
    /// accepted in the first phase only.
    fn enter(&self, phase: Phase) {
        self.link.close_with(|link| link.phase = link.phase.max(phase));
    }

    /// Ends the run. Marks `clients` as having left, and drops all records and wishes that were not read back.
    pub(super) fn end_run<'a>(&self, clients: impl Iterator<Item = &'a Arc<Client>>) {
        // The wishes are dropped after the lock is released, because dropping them wakes sessions.
        let lost = self.link.take_now(|link, batch| {
            clients.for_each(|client| client.has_left.store(true, Relaxed));
            link.done = batch;
            (link.run.take(), link.records.take())
        });
        drop(lost);
    }

    /// Stops the relay's threads, and with them the server. `why` is the reason why the server cannot continue.
    pub(super) fn fail(&self, why: String) {
        self.link.change(|link| link.failure = link.failure.take().or(Some(why)));
        self.stop();
    }

    /// Stops the relay's threads, and wakes them from every wait.
    pub(super) fn stop(&self) {
        self.enter(Phase::Closed);
        self.link.look(|link| {
            for stream in link.streams.iter().flatten() {
                // This fails if the connection is already closed.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }
}

/// Returns a random number. It comes from the random keys of a hash map, because `std` has no other source.
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
        relay.note_read_back();
        assert!(relay.wait_for(&hello, Duration::ZERO));
        assert!(relay.take_locals(1).is_none(), "a copy");

        relay.link.append(|link| link.records.locally(0, Box::new(|_| ())));
        let second = relay.next_entry().unwrap();
        assert!(relay.take_locals(1).is_none(), "a copy of the entry before it");
        assert_eq!(relay.take_locals(second.seq).map(|locals| locals.len()), Some(1));
    }
}
