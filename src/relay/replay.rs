//! Replay: computes the room from the newest checkpoint and the entries after it.
//!
//! A server that enters the room loads the state in this way. A server that doubts whether it has read the right
//! entries compares its own state with the replayed state.
//!
//! Only the reader's thread uses this module.

use std::time::{Duration, Instant};

use super::Relay;
use super::apply::{MISSES, Outcome};
use super::engine::Engine;
use super::entry::{Id, Sid};
use super::link::{Phase, Side};
use super::resp::Error;
use super::state::State;
use super::writer::Pauses;
use crate::server::shared::Shared;

/// The time between two checks for a checkpoint that this server has asked for.
const ANSWER_INTERVAL: Duration = Duration::from_millis(50);

/// Loads the room, up to the end of the stream. Blocks until the engine can be reached, and logs once that the server
/// waits. Returns `None` if the relay is closed, or if the engine cannot be used.
pub(super) fn load(relay: &Relay, shared: &Shared, engine: &mut Option<Engine>) -> Option<State> {
    let mut pauses = Pauses::new();
    let mut is_told = false;
    loop {
        match try_load(relay, engine) {
            Ok(Some(state)) => return Some(state),
            Ok(None) => {}
            Err(error) => {
                *engine = None;
                if error.is_final() {
                    relay.fail(format!("the engine cannot be used: {error}"));
                } else if !is_told && relay.phase() < Phase::Closed {
                    let hosts = relay.address.hosts.join(",");
                    shared.log.notice(&format!("Waiting for the engine at {hosts}: {error}"));
                    is_told = true;
                }
            }
        }
        if !relay.pause(pauses.next()) {
            return None;
        }
    }
}

fn try_load(relay: &Relay, engine: &mut Option<Engine>) -> Result<Option<State>, Error> {
    let is_new = engine.is_none();
    let engine = relay.connected(engine, Side::Reader)?;
    if is_new {
        engine.check_rights()?;
    }
    if let Replayed { state, doubted: None, .. } = replay_all(engine)? {
        return Ok(Some(state));
    }
    // The stream does not contain all entries that are needed. So this server asks the other servers for a checkpoint.
    let question = engine.append("?")?;
    let until = Instant::now() + relay.beat * MISSES;
    while Instant::now() < until {
        if engine.newest_checkpoint()?.is_some_and(|state| state.last() >= question) {
            return Ok(Some(replay_all(engine)?.state));
        }
        if !relay.pause(ANSWER_INTERVAL) {
            return Ok(None);
        }
    }
    // No server has answered, so the room begins empty, unless another server has just begun it. All servers that find
    // no room must begin the same room, so all of them begin it at the same entry: the first question after the last
    // entry that does not fit the replayed state. This server stores a checkpoint of an empty room at that entry. If
    // there is no such question, this server asks again.
    let Replayed { state, doubted, asked } = replay_all(engine)?;
    if doubted.is_none() {
        return Ok(Some(state));
    }
    if let Some(question) = asked {
        engine.keep_checkpoint(&State::after(question))?;
    }
    Ok(None)
}

/// Whether `state` is equal to the result of a replay up to the same entry. `None` if the checkpoint is newer than the
/// state.
pub(super) fn has_read_right(engine: &mut Engine, state: &State) -> Result<Option<bool>, Error> {
    let checkpoint = engine.newest_checkpoint()?;
    if checkpoint.as_ref().is_some_and(|newest| newest.last() > state.last()) {
        return Ok(None);
    }
    let truth = replay(engine, checkpoint, Some(state.last()))?.state;
    Ok(Some(truth.point() == state.point()))
}

/// The result of a replay.
struct Replayed {
    state: State,
    /// The server whose entries do not fit the replayed state, if there is such a server.
    doubted: Option<Sid>,
    /// The first question after the last entry that did not fit.
    asked: Option<Id>,
}

/// Replays the newest checkpoint and all entries after it.
fn replay_all(engine: &mut Engine) -> Result<Replayed, Error> {
    let checkpoint = engine.newest_checkpoint()?;
    replay(engine, checkpoint, None)
}

/// Replays the checkpoint and the entries after it, up to the entry `until` or to the end of the stream. If the
/// checkpoint's last entry is not in the stream any more, the checkpoint is not used, and the result is doubted.
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
                Outcome::Doubtful(_) | Outcome::Missing => (doubted, asked) = (Some(sid), None),
                // This entry of the same server fits. So the doubtful entry before it was forged, and no entry is
                // missing.
                Outcome::Counted if doubted == Some(sid) => doubted = None,
                Outcome::Question => asked = asked.or(Some(entry.id)),
                _ => {}
            }
        }
    }
}
