//! The relay's writer: appends the gathered records to the stream, one entry after the other.
//!
//! One entry is under way at a time. Meanwhile records gather for the next entry. A successful reply of the engine does
//! not prove that the entry stays in the stream, because the engine may still lose the entry. An error does not prove
//! that the entry is not in the stream, because the connection may have broken after the append. The only proof is that
//! the reader has read the entry back. Until then, the writer sends the entry again and again, and readers apply only
//! the first copy. So no entry is lost, applied twice or overtaken.
//!
//! The writer's thread is named `relay-writer`. It ends when the relay is closed.

use std::time::Duration;

use super::Relay;
use super::engine::Engine;
use super::link::{Outgoing, Side, random};
use super::resp::Error;
use crate::server::shared::Shared;

/// Appends entries until the relay is closed.
pub fn write_loop(relay: &Relay, shared: &Shared) {
    let mut engine = None;
    while let Some(entry) = relay.next_entry() {
        deliver(relay, &mut engine, &entry, shared);
    }
}

/// Appends an entry again and again, until it is read back.
fn deliver(relay: &Relay, engine: &mut Option<Engine>, entry: &Outgoing, shared: &Shared) {
    let mut pauses = Pauses::new();
    let mut is_told = false;
    loop {
        let appended = append(relay, engine, &entry.text);
        let wait = match &appended {
            Ok(()) => relay.beat,
            Err(error) => {
                *engine = None;
                // Only refusals are logged here. If the engine cannot be reached, the reader logs this.
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
        // The engine's memory is full. Only servers that are far behind still need the entries before the checkpoint.
        engine.trim(checkpoint.last())?;
    }
    appended.map(drop)
}

/// The pauses between attempts. They grow, up to two seconds. They are random, so that not all servers reconnect at
/// the same moment.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(Duration::from_millis(20))
    }

    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Duration::from_secs(2));
        (pause + pause * u32::try_from(random() % 1024).unwrap_or(0) / 1024) / 2
    }
}
