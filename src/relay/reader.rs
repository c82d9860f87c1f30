//! The relay's reader: reads the stream, and applies it entry by entry. It makes sure that this server and the
//! others have the same room.
//!
//! There are two ways to recover from a failure.
//!
//! - **The link is down**, the engine stands still, or it answers with an error. Nothing is decided, and
//!   everybody waits. Each new connection is used only if the entry that was read last is still there: see
//!   the [`link`](super::link). Then the reader goes on after that entry, and the writer appends.
//! - **The room is lost**: the engine has lost what was read here, or this server has not read the same as the
//!   others, or the others have given it up. The server tells its clients so and disconnects them. Then it
//!   comes in again: it reads the newest checkpoint, and the stream after that.
//!
//! Its thread is named `relay-reader`. It ends when the relay is closed.

use std::time::{Duration, Instant};

use super::Relay;
use super::apply::{Applied, MISSES, Outcome};
use super::engine::Engine;
use super::entry::{Entry, Id, Sid};
use super::link::{Phase, Side};
use super::resp::Error;
use super::stage::Stage;
use super::state::State;
use super::writer::Pauses;
use crate::server::shared::Shared;

/// How long the link may be down before people are told.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one `XREAD` waits for entries. Its reply shows that the engine lives.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How often a server that has asked for a checkpoint looks for it.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// How a run ends.
enum End {
    /// The relay is closed, or cannot go on.
    Over,
    /// The room is lost, for this reason.
    Lost(&'static str),
}

/// The data of the reader's thread.
struct Reader<'a> {
    relay: &'a Relay,
    shared: &'a Shared,
    engine: Option<Engine>,
    stage: Stage<'a>,
}

/// Reads until the relay is closed.
pub fn read_loop(relay: &Relay, shared: &Shared) {
    let mut reader = Reader { relay, shared, engine: None, stage: Stage::new(relay, shared) };
    while let Some(state) = reader.load() {
        let sid = relay.begin_run(&state);
        reader.stage.begin(&state, sid);
        let end = Follower::new(&mut reader, state, sid).follow();
        let End::Lost(why) = end else { break };
        reader.stage.turn_out(why);
    }
    relay.stop();
}

/// Loading.
impl Reader<'_> {
    /// Brings the room up to the end of the stream. Blocks until the engine is there. The log says once that it
    /// waits. `None` if the relay is closed, or if the engine cannot be used.
    fn load(&mut self) -> Option<State> {
        let mut pauses = Pauses::new();
        let mut is_told = false;
        loop {
            match self.try_load() {
                Ok(Some(state)) => return Some(state),
                Ok(None) => {}
                Err(error) => {
                    self.engine = None;
                    if error.is_final() {
                        self.relay.fail(format!("the engine cannot be used: {error}"));
                    } else if !is_told && self.relay.phase() < Phase::Closed {
                        let engine = self.relay.address.hosts.join(",");
                        self.shared
                            .log
                            .notice(&format!("Waiting for the engine at {engine}: {error}"));
                        is_told = true;
                    }
                }
            }
            if !self.relay.pause(pauses.next()) {
                return None;
            }
        }
    }

    fn try_load(&mut self) -> Result<Option<State>, Error> {
        let is_new = self.engine.is_none();
        let engine = self.relay.connected(&mut self.engine, Side::Reader)?;
        if is_new {
            engine.check_rights()?;
        }
        if let Replayed { state, doubted: None, .. } = replay_all(engine)? {
            return Ok(Some(state));
        }
        // The stream does not go back far enough. The other servers are asked for a checkpoint.
        let question = engine.append("?")?;
        let until = Instant::now() + self.relay.beat * MISSES;
        while Instant::now() < until {
            if engine.newest_checkpoint()?.is_some_and(|state| state.last() >= question) {
                return Ok(Some(replay_all(engine)?.state));
            }
            if !self.relay.pause(ANSWER_INTERVAL) {
                return Ok(None);
            }
        }
        // No living server has one. So the room begins empty, unless another server has just begun it. All who
        // find no room must begin the same one, so the stream says where: at its first question after
        // everything that does not fit. If something came after that, this server asks again.
        let Replayed { state, doubted, asked } = replay_all(engine)?;
        if doubted.is_none() {
            return Ok(Some(state));
        }
        if let Some(question) = asked {
            engine.keep_checkpoint(&State::after(question))?;
        }
        Ok(None)
    }
}

/// Following.
struct Follower<'r, 'a> {
    reader: &'r mut Reader<'a>,
    state: State,
    sid: Sid,
    /// Whether the hello of this run was read.
    has_come: bool,
    /// When the engine was last heard.
    heard: Instant,
    /// Since when the connection has been broken, and when it was last made.
    down_since: Option<Instant>,
    up_since: Instant,
    /// Whether people were told that the link is down.
    is_told: bool,
    /// How many entries were foreign.
    foreign: u64,
    /// Why this server may not have read the same as the others, and when it may check this next.
    doubt: Option<&'static str>,
    next_check: Instant,
}

impl<'r, 'a> Follower<'r, 'a> {
    fn new(reader: &'r mut Reader<'a>, state: State, sid: Sid) -> Self {
        Self {
            reader,
            state,
            sid,
            has_come: false,
            heard: Instant::now(),
            down_since: None,
            up_since: Instant::now(),
            is_told: false,
            foreign: 0,
            doubt: None,
            next_check: Instant::now(),
        }
    }

    /// Reads and applies until the run ends. Blocks on the engine, and while the outbox is full. So a server
    /// that cannot deliver does not read. The others see that it is behind, and wait for it.
    fn follow(mut self) -> End {
        let mut pauses = Pauses::new();
        loop {
            let read = self.read();
            if self.reader.relay.phase() == Phase::Closed {
                return End::Over;
            }
            if self.reader.relay.is_lost() {
                return End::Lost("the engine has lost what was read here");
            }
            match read {
                Ok(entries) => {
                    pauses = Pauses::new();
                    self.hear();
                    // The engine answers, but does not take this server's entry: everything was read, and it is
                    // not there; or that was so, and still is. The writer may send the entry again only some
                    // time after the link is back.
                    let is_stuck = (entries.is_empty() || self.is_told)
                        && self.up_since.elapsed() >= PATIENCE
                        && self.reader.relay.is_under_way_for(PATIENCE);
                    self.tell_people(is_stuck);
                    for entry in entries {
                        if let Err(error) = self.take(&entry) {
                            self.lose_link(&error);
                            break;
                        }
                        if self.has_come && self.state.server(self.sid).is_none() {
                            return self.gone();
                        }
                    }
                    // Delivering may have taken its time.
                    self.heard = Instant::now();
                    if let Err(end) = self.look_into_doubt() {
                        return end;
                    }
                }
                Err(error) => {
                    self.lose_link(&error);
                    self.tell_people(self.is_told || self.heard.elapsed() >= PATIENCE);
                    if !self.reader.relay.pause(pauses.next()) {
                        return End::Over;
                    }
                }
            }
        }
    }

    /// Reads the next entries.
    fn read(&mut self) -> Result<Vec<Entry>, Error> {
        let Reader { relay, engine, .. } = &mut *self.reader;
        let engine = relay.connected(engine, Side::Reader)?;
        engine.read(self.state.last(), Some(READ_WAIT.min(relay.beat)))
    }

    /// Takes the next entry of the stream.
    fn take(&mut self, entry: &Entry) -> Result<(), Error> {
        let Reader { relay, shared, engine, stage } = &mut *self.reader;
        let (sid, seq) = entry.content().key();
        let locals = if sid == self.sid { relay.take_locals(seq) } else { None };
        let is_own = locals.is_some();
        let Applied { outcome, trim_to } =
            stage.apply(&mut self.state, entry, locals.unwrap_or_default());
        let state = &self.state;
        match outcome {
            Outcome::Counted | Outcome::Ignored => {}
            Outcome::Doubtful(why) => self.doubt = Some(why),
            Outcome::Foreign(why) => {
                self.foreign += 1;
                if self.foreign.is_power_of_two() {
                    let ignored =
                        format!("{} foreign entries ignored, the last: {why}", self.foreign);
                    shared.log.notice(&ignored);
                }
            }
            Outcome::Question => {
                if let Some(engine) = engine {
                    engine.keep_checkpoint(state)?;
                }
            }
        }
        self.has_come |= is_own;
        relay.note_progress(state, is_own);
        if is_own && let (Some(trim_to), Some(engine)) = (trim_to, engine) {
            // This server's entry made the checkpoint due, so this server writes it. If that fails, there will
            // be another checkpoint.
            engine.keep_checkpoint(state)?;
            engine.trim(trim_to)?;
        }
        Ok(())
    }

    /// Decides what to do when this server is not in the room any more.
    fn gone(&self) -> End {
        let relay = self.reader.relay;
        if relay.phase() > Phase::Open {
            return End::Over;
        }
        if self.reader.stage.is_replaced() {
            let why = "another server of this name has come: give each its own --relay-name";
            relay.fail(why.to_owned());
            return End::Over;
        }
        End::Lost("the others have heard nothing of this server for too long")
    }

    /// Checks a doubt about what this server has read. If the run has not read what the stream says, it ends.
    fn look_into_doubt(&mut self) -> Result<(), End> {
        let Some(why) = self.doubt.filter(|_| Instant::now() >= self.next_check) else {
            return Ok(());
        };
        let Some(engine) = &mut self.reader.engine else { return Ok(()) };
        match has_read_right(engine, &self.state) {
            // The checkpoint is further on. This server checks again when it has read that far.
            Ok(None) => return Ok(()),
            Ok(Some(true)) => {
                let line = format!("An entry is doubtful ({why}), but this server has read right");
                self.reader.shared.log.notice(&line);
            }
            Ok(Some(false)) => return Err(End::Lost("it has read something else than the others")),
            Err(error) => {
                self.lose_link(&error);
                return Ok(());
            }
        }
        self.doubt = None;
        self.next_check = Instant::now() + self.reader.relay.beat * MISSES;
        Ok(())
    }

    /// The engine was heard.
    fn hear(&mut self) {
        if let Some(since) = self.down_since.take() {
            let time = since.elapsed().as_millis();
            self.reader.shared.log.notice(&format!("The link to the engine is up after {time} ms"));
            self.up_since = Instant::now();
        }
        self.heard = Instant::now();
    }

    fn lose_link(&mut self, error: &Error) {
        self.reader.engine = None;
        if self.down_since.is_none() {
            self.down_since = Some(Instant::now());
            self.reader.shared.log.notice(&format!("The link to the engine is down: {error}"));
        }
    }

    /// Tells this server's clients when the link is down, and when it is back.
    fn tell_people(&mut self, is_down: bool) {
        if is_down != self.is_told {
            self.is_told = is_down;
            self.reader.stage.tell_link(!is_down);
        }
    }
}

/// Whether a server has read what checkpoint and stream say. `None` if the checkpoint is further on.
fn has_read_right(engine: &mut Engine, state: &State) -> Result<Option<bool>, Error> {
    let checkpoint = engine.newest_checkpoint()?;
    if checkpoint.as_ref().is_some_and(|newest| newest.last() > state.last()) {
        return Ok(None);
    }
    let truth = replay(engine, checkpoint, Some(state.last()))?.state;
    Ok(Some(truth.point() == state.point()))
}

/// The state that a checkpoint and the stream give.
struct Replayed {
    state: State,
    /// The server whose entries do not fit, if there is such a server.
    doubted: Option<Sid>,
    /// The first question after the last entry that did not fit.
    asked: Option<Id>,
}

/// Returns what the newest checkpoint and the whole stream give.
fn replay_all(engine: &mut Engine) -> Result<Replayed, Error> {
    let checkpoint = engine.newest_checkpoint()?;
    replay(engine, checkpoint, None)
}

/// Returns what checkpoint and stream give, up to the end or up to an entry. If the stream does not go back to
/// the checkpoint, that does not fit.
fn replay(
    engine: &mut Engine,
    checkpoint: Option<State>,
    until: Option<Id>,
) -> Result<Replayed, Error> {
    let mut state = State::after(Id::default());
    let (mut doubted, mut asked) = (None, None);
    if let Some(checkpoint) = checkpoint {
        if engine.has(checkpoint.place())? {
            state = checkpoint;
        } else {
            doubted = Some(Sid::default());
        }
    }
    loop {
        let entries = engine.read(state.last(), None)?;
        if entries.is_empty() {
            return Ok(Replayed { state, doubted, asked });
        }
        for entry in entries {
            if until.is_some_and(|until| entry.id > until) {
                return Ok(Replayed { state, doubted, asked });
            }
            let (sid, _) = entry.content().key();
            match state.apply(&entry, &mut |_, _| {}).outcome {
                Outcome::Doubtful(_) => (doubted, asked) = (Some(sid), None),
                // The entry before it was forged. So nothing is missing.
                Outcome::Counted if doubted == Some(sid) => doubted = None,
                Outcome::Question => asked = asked.or(Some(entry.id)),
                _ => {}
            }
        }
    }
}
