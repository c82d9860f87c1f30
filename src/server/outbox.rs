//! The outbox: where everything that others can notice is put, in one order.
//!
//! Client threads append to it and go back to reading; the broadcaster takes all that has gathered.
//! That is what combines the words of a thousand people into one write a recipient. While the
//! broadcaster is busy a batch gathers; while it is idle it waits here and a line goes out at once:
//! nothing ever waits for a batch to fill.
//!
//! The text that gathers is bounded. Over the bound whoever *says* something waits, stops reading its
//! socket, and so TCP slows that peer down. Notices and what ends a connection never wait: the
//! broadcaster itself causes some of them, and would wait for itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::Batch;
use super::client_id::ClientId;

/// How much may gather before senders wait, in bytes, when a burst begins: it goes out in small pieces,
/// which the readers take while they are still in the processor's cache (measured: when three hundred
/// talk at once, a tenth to a third faster than with the most).
const MIN_GATHERED_BYTES: usize = 128 << 10;

/// The same once a flood lasts: fewer system calls (measured: a third faster than with the least).
const MAX_GATHERED_BYTES: usize = 512 << 10;

/// How much more may gather after a full batch. After one that is not half full it is the least again.
const GATHERED_STEP_BYTES: usize = 64 << 10;

/// The queue between the client threads and the broadcaster.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Held to copy text in or to swap the batch, never for a socket.
    state: Mutex<State>,
    /// Something was put into an empty outbox: wakes the broadcaster.
    filled: Condvar,
    /// The batch was taken: wakes the senders that wait for room.
    taken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// By how much the bound is raised above the least, in bytes.
    raised: usize,
    /// The broadcaster waits for `filled`. Waking nobody would cost a system call a message.
    broadcaster_waits: bool,
    /// How many senders wait for `taken`.
    senders_wait: usize,
    /// Senders wait no longer: the server is shutting down.
    unbounded: bool,
    /// The farewell is in: nothing comes after it.
    closed: bool,
}

impl Outbox {
    /// Appends whole lines that a client said. Blocks while too much has gathered; the broadcaster
    /// taking it, or [`Outbox::lift_bound`], wakes it.
    pub fn say(&self, client: ClientId, lines: &[u8]) {
        let state = self.wait_for_room(self.lock());
        self.append_to(state, |batch| batch.say(client, lines));
    }

    /// Blocks while too much has gathered, as [`Outbox::say`] does, and appends nothing. For text
    /// that is then appended under a lock, where nobody may wait. Returns whether the bound still
    /// stands: answers to one client are not worth going over it.
    pub fn wait(&self) -> bool {
        !self.wait_for_room(self.lock()).unbounded
    }

    /// Appends to the batch, all at one place of the order. Never waits for room.
    pub fn append(&self, fill: impl FnOnce(&mut Batch)) {
        self.append_to(self.lock(), fill);
    }

    /// Appends the last line: everyone is told `farewell`, and nothing can be appended any more.
    pub fn close(&self, farewell: &str) {
        let mut state = self.lock();
        state.batch.announce(farewell);
        state.closed = true;
        drop(state);
        self.filled.notify_one();
        self.taken.notify_all();
    }

    /// Lets waiting senders go on whatever has gathered, now and from now on.
    pub fn lift_bound(&self) {
        self.lock().unbounded = true;
        self.taken.notify_all();
    }

    /// Takes what has gathered in exchange for `empty`. Blocks while there is nothing; any append
    /// wakes it. Returns whether there was anything: not once the farewell was taken. For the
    /// broadcaster alone.
    pub fn take(&self, empty: &mut Batch) -> bool {
        let mut state = self.lock();
        while state.batch.is_empty() {
            if state.closed {
                return false;
            }
            state.broadcaster_waits = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.broadcaster_waits = false;
        }
        state.adapt_bound();
        std::mem::swap(&mut state.batch, empty);
        let senders_wait = state.senders_wait > 0;
        drop(state);
        if senders_wait {
            self.taken.notify_all();
        }
        true
    }

    fn wait_for_room<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while state.is_full() && !state.unbounded && !state.closed {
            state.senders_wait += 1;
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.senders_wait -= 1;
        }
        state
    }

    fn append_to(&self, mut state: MutexGuard<'_, State>, fill: impl FnOnce(&mut Batch)) {
        if state.closed {
            return;
        }
        fill(&mut state.batch);
        let wake = state.broadcaster_waits;
        drop(state);
        if wake {
            self.filled.notify_one();
        }
    }

    /// A panic elsewhere cannot leave a batch half filled in a way that matters: go on with it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How much may gather.
    fn bound(&self) -> usize {
        MIN_GATHERED_BYTES + self.raised
    }

    fn is_full(&self) -> bool {
        self.batch.gathered_bytes() >= self.bound()
    }

    /// Raises the bound when senders filled the batch, and lowers it when they are far from that.
    fn adapt_bound(&mut self) {
        if self.is_full() {
            let most = MAX_GATHERED_BYTES - MIN_GATHERED_BYTES;
            self.raised = (self.raised + GATHERED_STEP_BYTES).min(most);
        } else if self.batch.gathered_bytes() < self.bound() / 2 {
            self.raised = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the bound is after a batch of so many bytes was taken.
    fn bound_after(outbox: &Outbox, bytes: usize) -> usize {
        outbox.append(|batch| batch.announce(&"x".repeat(bytes - 1)));
        assert!(outbox.take(&mut Batch::default()));
        outbox.lock().bound()
    }

    #[test]
    fn batches_grow_while_a_flood_lasts() {
        let outbox = Outbox::default();
        let mut bound = outbox.lock().bound();
        assert_eq!(bound, MIN_GATHERED_BYTES);
        while bound < MAX_GATHERED_BYTES {
            assert_eq!(bound_after(&outbox, bound), bound + GATHERED_STEP_BYTES);
            bound += GATHERED_STEP_BYTES;
        }
        assert_eq!(bound_after(&outbox, bound), bound, "and no more than that");
        assert_eq!(bound_after(&outbox, bound / 2), bound, "nearly a flood still");
        assert_eq!(bound_after(&outbox, 1), MIN_GATHERED_BYTES);
    }
}
