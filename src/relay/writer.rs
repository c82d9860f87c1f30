//! The relay's writer: appends what has gathered to the stream, one entry after the other.
//!
//! One entry is under way at a time; the next one gathers meanwhile. The engine's reply does not tell whether
//! an entry is in the stream: the reply can be lost. An error does not tell it either: the connection may break
//! after the append. The entry is there when the reader has read it back. Until then the writer sends it again,
//! and readers take the first copy. So nothing is lost, doubled or overtaken, by a rule without exceptions.
//!
//! Its thread is named `relay-writer`. It ends when the relay is closed.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::entry::{Header, Sid};
use super::resp::Error;
use super::{Pauses, Phase, REPORT_BYTES, Relay, Side, WINDOW_BYTES};
use crate::server::shared::Shared;

/// An entry that is to be appended.
struct Outgoing {
    sid: Sid,
    seq: u64,
    text: String,
}

/// Appends until the relay is closed.
pub fn write_loop(relay: &Relay, shared: &Shared) {
    let mut engine = None;
    while let Some(entry) = relay.next_entry() {
        deliver(relay, &mut engine, &entry, shared);
    }
}

impl Relay {
    /// Blocks until there is something to append: records, a beat, the position that this server has read, or
    /// the end of this server. `None` once the relay is closed.
    fn next_entry(&self) -> Option<Outgoing> {
        let mut guard = self.lock();
        loop {
            let link = &mut *guard;
            if link.phase >= Phase::Closed {
                return None;
            }
            let now = Instant::now();
            let mut wait = Duration::MAX;
            if let Some(run) = &mut link.run {
                // While another server is far behind, nothing is appended. What gathers here fills up, so
                // senders wait, and TCP slows their clients.
                let is_closing = link.phase == Phase::Closing;
                let may_talk = run.lag <= WINDOW_BYTES || is_closing;
                let reports = run.point.0 - run.reported >= REPORT_BYTES;
                let beats = run.next_beat.is_some_and(|beat| beat <= now);
                let talks = may_talk && !link.records.is_empty();
                if run.sent == 0 || talks || reports || beats || is_closing {
                    run.sent += 1;
                    run.since = now;
                    run.reported = run.point.0;
                    let (sid, seq) = (run.sid, run.sent);
                    let (at, digest) = run.point;
                    let mut text = Header { sid, seq, at, digest }.to_string();
                    if seq == 1 {
                        text += &format!("H 1 {}\n", self.name);
                    } else if may_talk {
                        let (records, locals) = link.records.take();
                        text += &records;
                        (run.locals, run.batch) = (locals, link.batch);
                        link.batch += 1;
                        if std::mem::take(&mut link.senders_wait) {
                            self.taken.notify_all();
                        }
                    }
                    if is_closing && seq > 1 {
                        text += "X\n";
                    } else if beats {
                        text += "B\n";
                        // The time to the next beat begins when this beat is read back. So no time passes while
                        // the engine stands still.
                        run.next_beat = None;
                    }
                    return Some(Outgoing { sid, seq, text });
                }
                wait = run.next_beat.map_or(wait, |beat| beat.saturating_duration_since(now));
            }
            link.writer_waits = true;
            let waited = self.changed.wait_timeout(guard, wait);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
            guard.writer_waits = false;
        }
    }

    /// Blocks until an entry was read back or is void, but at most for `time`. Returns whether that has
    /// happened.
    fn wait_for(&self, entry: &Outgoing, time: Duration) -> bool {
        let (link, _) = self
            .changed
            .wait_timeout_while(self.lock(), time, |link| {
                let run = link.run.as_ref().filter(|run| run.sid == entry.sid);
                link.phase < Phase::Closed && run.is_some_and(|run| run.read_back < entry.seq)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let run = link.run.as_ref().filter(|run| run.sid == entry.sid);
        link.phase >= Phase::Closed || run.is_none_or(|run| run.read_back >= entry.seq)
    }
}

/// Appends an entry until it was read back.
fn deliver(relay: &Relay, engine: &mut Option<Engine>, entry: &Outgoing, shared: &Shared) {
    let mut pauses = Pauses::new();
    let mut is_told = false;
    loop {
        let appended = append(relay, engine, &entry.text);
        let wait = match &appended {
            Ok(()) => relay.beat,
            Err(error) => {
                *engine = None;
                // The reader reports it when the engine is not there.
                if let Error::Refused(why) = error {
                    if !is_told {
                        shared.log.notice(&format!("The engine takes nothing: {why}"));
                    }
                    is_told = true;
                    if entry.seq == 1 && error.is_final() {
                        relay.fail(format!("the engine takes nothing: {why}"));
                        return;
                    }
                }
                pauses.next()
            }
        };
        if relay.wait_for(entry, wait) {
            return;
        }
    }
}

fn append(relay: &Relay, engine: &mut Option<Engine>, text: &str) -> Result<(), Error> {
    let engine = relay.connected(engine, Side::Writer)?;
    let appended = engine.append(text);
    if let Err(Error::Refused(why)) = &appended
        && why.starts_with("OOM")
        && let Some(checkpoint) = engine.newest_checkpoint()?
    {
        // Only servers that are far behind need the entries before the checkpoint.
        engine.trim(checkpoint.last())?;
    }
    appended.map(drop)
}
