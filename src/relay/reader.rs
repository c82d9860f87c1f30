//! The relay's reader: reads the stream and applies its entries one by one. It also checks that this server and the
//! other servers have the same room.
//!
//! The reader recovers from two kinds of failure.
//!
//! - **The link is down**: the engine cannot be reached, does not answer, or answers with an error. Until the link is
//!   back, nothing is decided, and every session waits. The reader connects again, and checks that the engine still
//!   has the last entry that was read: see the [`link`](super::link). Then the reader continues after that entry, and
//!   the writer appends again.
//! - **The room is lost**: the engine has lost entries that this server had read, or this server has not read the same
//!   entries as the other servers, or the other servers have removed this server. The server tells its clients so and
//!   disconnects them. Then it enters the room again: it [replays](super::replay) the newest checkpoint and the entries
//!   after that checkpoint.
//!
//! The reader's thread is named `relay-reader`. It ends when the relay is closed.

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

/// The time for which the link may be down before the clients are told.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time for which one `XREAD` waits for entries. Even an empty reply shows that the engine is alive.
const READ_WAIT: Duration = Duration::from_secs(1);

/// Why a run ends.
enum End {
    /// The relay is closed, or cannot continue.
    Over,
    /// The room is lost, for this reason.
    Lost(&'static str),
}

/// Reads the stream until the relay is closed.
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

/// The reader's data for one run of this server.
struct Follower<'r, 'a> {
    relay: &'a Relay,
    shared: &'a Shared,
    engine: &'r mut Option<Engine>,
    stage: &'r mut Stage<'a>,
    state: State,
    sid: Sid,
    /// Whether the hello of this run was read back.
    has_come: bool,
    /// The time at which the engine last answered.
    heard: Instant,
    /// The time at which the link went down. `None` while the link is up.
    down_since: Option<Instant>,
    /// The time at which the link last came up.
    up_since: Instant,
    /// Whether the clients were told that the link is down.
    is_told: bool,
    /// The number of foreign entries that were read.
    foreign: u64,
    /// The reason to doubt that this server has read the same entries as the other servers.
    doubt: Option<&'static str>,
    /// The earliest time of the next check of a doubt.
    next_check: Instant,
}

impl Follower<'_, '_> {
    /// Reads and applies entries until the run ends. Blocks on the engine, and while the outbox is full. So a server
    /// that cannot deliver lines stops reading the stream. The other servers see that this server is behind, and wait
    /// for it.
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

    /// Applies the entries of a reply of the engine. A reply can be empty.
    fn take_all(&mut self, entries: &[Entry]) -> Result<(), End> {
        self.hear();
        // The clients are also told that the link is down if the engine answers, but does not accept this server's
        // entry. In this case, the reader reaches the end of the stream without reading that entry. Once the clients
        // have been told, `is_stuck` stays true until the entry is read back. The check of `up_since` gives the writer
        // time to send the entry again after the link has come back.
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
            self.look_into_doubt()?;
            if self.engine.is_none() {
                // The check has lost the link. The other entries are read again.
                break;
            }
        }
        // Delivering may have blocked for a long time. This does not mean that the engine was silent.
        self.heard = Instant::now();
        Ok(())
    }

    /// Applies the next entry of the stream, and does what follows from the outcome.
    fn take(&mut self, entry: &Entry) -> Result<(), Error> {
        let (sid, seq) = entry.content().key();
        let locals = if sid == self.sid { self.relay.take_locals(seq) } else { None };
        let is_own = locals.is_some();
        let Applied { outcome, trim_to } =
            self.stage.apply(&mut self.state, entry, locals.unwrap_or_default());
        match outcome {
            Outcome::Counted | Outcome::Ignored => {}
            Outcome::Doubtful(why) => self.doubt = Some(why),
            Outcome::Missing => self.doubt = Some("entries before it are missing"),
            Outcome::Foreign(why) => {
                self.foreign += 1;
                if self.foreign.is_power_of_two() {
                    let ignored =
                        format!("{} foreign entries ignored, the last: {why}", self.foreign);
                    self.shared.log.notice(&ignored);
                }
            }
            Outcome::Question => {
                if let (None, Some(engine)) = (self.doubt, &mut *self.engine) {
                    engine.keep_checkpoint(&self.state)?;
                }
            }
        }
        self.has_come |= is_own;
        // While there is a doubt, this server tells the others nothing about its state. If the writer reported a wrong
        // position, or if the state became a checkpoint, servers that have read all entries would doubt their own state.
        let is_sure = self.doubt.is_none();
        if is_sure {
            self.relay.note_progress(&self.state);
        }
        if is_own {
            self.relay.note_read_back();
        }
        if is_own
            && is_sure
            && let (Some(trim_to), Some(engine)) = (trim_to, &mut *self.engine)
        {
            // An entry of this server made the checkpoint due, so this server stores the checkpoint. If that fails, the
            // stream keeps more entries until the next checkpoint.
            engine.keep_checkpoint(&self.state)?;
            engine.trim(trim_to)?;
        }
        Ok(())
    }

    /// Returns why the run ends after this server was removed from the room.
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

    /// If there is a doubt, this function checks whether this server has read the entries that the stream contains. If
    /// it has not, the run ends.
    fn look_into_doubt(&mut self) -> Result<(), End> {
        let Some(why) = self.doubt.filter(|_| Instant::now() >= self.next_check) else {
            return Ok(());
        };
        let Some(engine) = self.engine else { return Ok(()) };
        match replay::has_read_right(engine, &self.state) {
            // The checkpoint is newer than this server's state. The check is repeated after one beat.
            Ok(None) => {
                self.next_check = Instant::now() + self.relay.beat;
                return Ok(());
            }
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

    /// Notes that the engine has answered.
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

    /// Tells this server's clients that the link is down, or that it is back, if they were not told so already.
    fn tell_people(&mut self, is_down: bool) {
        if is_down != self.is_told {
            self.is_told = is_down;
            self.stage.tell_link(!is_down);
        }
    }
}
