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
//!   comes in again: it [replays](super::replay) the newest checkpoint, and the stream after that.
//!
//! Its thread is named `relay-reader`. It ends when the relay is closed.

use std::time::{Duration, Instant};

use super::Relay;
use super::apply::{Applied, MISSES, Outcome};
use super::engine::Engine;
use super::entry::{Entry, Sid};
use super::link::{Phase, Side};
use super::replay;
use super::resp::Error;
use super::stage::Stage;
use super::state::State;
use super::writer::Pauses;
use crate::server::shared::Shared;

/// How long the link may be down before people are told.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one `XREAD` waits for entries. Its reply shows that the engine lives.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How a run ends.
enum End {
    /// The relay is closed, or cannot go on.
    Over,
    /// The room is lost, for this reason.
    Lost(&'static str),
}

/// Reads until the relay is closed.
pub fn read_loop(relay: &Relay, shared: &Shared) {
    let (mut engine, mut stage) = (None, Stage::new(relay, shared));
    while let Some(state) = replay::load(relay, shared, &mut engine) {
        let sid = relay.begin_run(&state);
        stage.begin(&state, sid);
        let now = Instant::now();
        let follower = Follower {
            relay,
            shared,
            engine: &mut engine,
            stage: &mut stage,
            state,
            sid,
            has_come: false,
            heard: now,
            down_since: None,
            up_since: now,
            is_told: false,
            foreign: 0,
            doubt: None,
            next_check: now,
        };
        let End::Lost(why) = follower.follow() else { break };
        stage.turn_out(why);
    }
    relay.stop();
}

/// One run of this server, as its reader follows the stream.
struct Follower<'r, 'a> {
    relay: &'a Relay,
    shared: &'a Shared,
    engine: &'r mut Option<Engine>,
    stage: &'r mut Stage<'a>,
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

impl Follower<'_, '_> {
    /// Reads and applies until the run ends. Blocks on the engine, and while the outbox is full. So a server
    /// that cannot deliver does not read. The others see that it is behind, and wait for it.
    fn follow(mut self) -> End {
        let mut pauses = Pauses::new();
        loop {
            let read = self.read();
            if self.relay.phase() == Phase::Closed {
                return End::Over;
            }
            if self.relay.is_lost() {
                return End::Lost("the engine has lost what was read here");
            }
            match read {
                Ok(entries) => {
                    pauses = Pauses::new();
                    if let Err(end) = self.take_all(&entries) {
                        return end;
                    }
                }
                Err(error) => {
                    self.lose_link(&error);
                    self.tell_people(self.is_told || self.heard.elapsed() >= PATIENCE);
                    if !self.relay.pause(pauses.next()) {
                        return End::Over;
                    }
                }
            }
        }
    }

    /// Reads the next entries.
    fn read(&mut self) -> Result<Vec<Entry>, Error> {
        let engine = self.relay.connected(self.engine, Side::Reader)?;
        engine.read(self.state.last(), Some(READ_WAIT.min(self.relay.beat)))
    }

    /// Takes an answer of the engine: the next entries, or none.
    fn take_all(&mut self, entries: &[Entry]) -> Result<(), End> {
        self.hear();
        // The engine answers, but does not take this server's entry: everything was read, and it is not there; or
        // that was so, and still is. The writer may send the entry again only some time after the link is back.
        let is_stuck = (entries.is_empty() || self.is_told)
            && self.up_since.elapsed() >= PATIENCE
            && self.relay.is_under_way_for(PATIENCE);
        self.tell_people(is_stuck);
        for entry in entries {
            if let Err(error) = self.take(entry) {
                self.lose_link(&error);
                break;
            }
            if self.has_come && self.state.server(self.sid).is_none() {
                return Err(self.gone());
            }
        }
        // Delivering may have taken its time.
        self.heard = Instant::now();
        self.look_into_doubt()
    }

    /// Takes the next entry of the stream.
    fn take(&mut self, entry: &Entry) -> Result<(), Error> {
        let (sid, seq) = entry.content().key();
        let locals = if sid == self.sid { self.relay.take_locals(seq) } else { None };
        let is_own = locals.is_some();
        let Applied { outcome, trim_to } =
            self.stage.apply(&mut self.state, entry, locals.unwrap_or_default());
        match outcome {
            Outcome::Counted | Outcome::Ignored => {}
            Outcome::Doubtful(why) => self.doubt = Some(why),
            Outcome::Foreign(why) => {
                self.foreign += 1;
                if self.foreign.is_power_of_two() {
                    let ignored =
                        format!("{} foreign entries ignored, the last: {why}", self.foreign);
                    self.shared.log.notice(&ignored);
                }
            }
            Outcome::Question => {
                if let Some(engine) = self.engine {
                    engine.keep_checkpoint(&self.state)?;
                }
            }
        }
        self.has_come |= is_own;
        self.relay.note_progress(&self.state, is_own);
        if is_own && let (Some(trim_to), Some(engine)) = (trim_to, &mut *self.engine) {
            // This server's entry made the checkpoint due, so this server writes it. If that fails, there will
            // be another checkpoint.
            engine.keep_checkpoint(&self.state)?;
            engine.trim(trim_to)?;
        }
        Ok(())
    }

    /// Decides what to do when this server is not in the room any more.
    fn gone(&self) -> End {
        if self.relay.phase() > Phase::Open {
            return End::Over;
        }
        if self.stage.is_replaced() {
            let why = "another server of this name has come: give each its own --relay-name";
            self.relay.fail(why.to_owned());
            return End::Over;
        }
        End::Lost("the others have heard nothing of this server for too long")
    }

    /// Checks a doubt about what this server has read. If the run has not read what the stream says, it ends.
    fn look_into_doubt(&mut self) -> Result<(), End> {
        let Some(why) = self.doubt.filter(|_| Instant::now() >= self.next_check) else {
            return Ok(());
        };
        let Some(engine) = self.engine else { return Ok(()) };
        match replay::has_read_right(engine, &self.state) {
            // The checkpoint is further on. This server checks again when it has read that far.
            Ok(None) => return Ok(()),
            Ok(Some(true)) => {
                let line = format!("An entry is doubtful ({why}), but this server has read right");
                self.shared.log.notice(&line);
            }
            Ok(Some(false)) => return Err(End::Lost("it has read something else than the others")),
            Err(error) => {
                self.lose_link(&error);
                return Ok(());
            }
        }
        self.doubt = None;
        self.next_check = Instant::now() + self.relay.beat * MISSES;
        Ok(())
    }

    /// The engine was heard.
    fn hear(&mut self) {
        if let Some(since) = self.down_since.take() {
            let time = since.elapsed().as_millis();
            self.shared.log.notice(&format!("The link to the engine is up after {time} ms"));
            self.up_since = Instant::now();
        }
        self.heard = Instant::now();
    }

    fn lose_link(&mut self, error: &Error) {
        *self.engine = None;
        if self.down_since.is_none() {
            self.down_since = Some(Instant::now());
            self.shared.log.notice(&format!("The link to the engine is down: {error}"));
        }
    }

    /// Tells this server's clients when the link is down, and when it is back.
    fn tell_people(&mut self, is_down: bool) {
        if is_down != self.is_told {
            self.is_told = is_down;
            self.stage.tell_link(!is_down);
        }
    }
}
