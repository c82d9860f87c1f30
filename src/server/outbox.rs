//! The outbox: everything that others can notice passes through here. This makes the order.
//!
//! Sessions append to the [`room`](super::room) in it and go back to reading. The writer takes everything
//! that has gathered, as one batch. So the words of a thousand people become one write for each recipient.
//! A batch gathers only while the writer is busy. An idle writer waits here, and then a line goes out at
//! once: nothing ever waits for a batch to fill.
//!
//! The text that gathers is bounded. Over the bound, a client that already has text in the batch must wait.
//! Its session stops reading, and so TCP slows its peer down. The first line of a client in a batch never
//! waits, so a quiet person's line overtakes any flood. Notices never wait either: the writer itself causes
//! some of them, and it would wait for itself. So more than the bound may gather, by one line or action of each
//! client and the notices. When ten thousand speak at once, that is about ten megabytes.
//!
//! The bound starts small, because a small batch is still in the processor's cache when it is sent. It grows
//! while a flood lasts, because large batches need fewer system calls. It shrinks while most of the room cannot
//! keep up. (Measured with 300 clients who all talk at once: with 128 KiB they are 10 to 30 % faster than with
//! 512 KiB. In a flood that lasts, 512 KiB are faster.)
//!
//! This outbox holds the room and its next batch. With other servers, the [`relay`](crate::relay) has a second
//! outbox, in which its records gather by the same rules.
//!
//! Grew from step 11 of the [course](crate::lessons), its bound from step 13.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::{Client, ClientId};

/// How much may gather before senders wait, in bytes, at the beginning of a burst.
const GATHERED_BYTES: usize = 128 << 10;

/// The highest bound, in bytes, and how much the bound grows after each full batch. After a batch that is
/// less than half full, the bound is as at the beginning.
pub const MAX_GATHERED_BYTES: usize = 512 << 10;
const GATHERED_STEP_BYTES: usize = 64 << 10;

/// The lowest bound, in bytes, while most of the room cannot keep up.
const MIN_GATHERED_BYTES: usize = 16 << 10;

/// Something that can gather in an outbox.
pub trait Gathers {
    /// Whether there is nothing to take.
    fn has_nothing(&self) -> bool;

    /// How much has gathered, in bytes.
    fn bytes(&self) -> usize;

    /// A member says whole lines, each with its nickname and its line end.
    fn say(&mut self, client: ClientId, lines: &[u8]);
}

/// The queue between the sessions and the writer.
#[derive(Debug)]
pub struct Outbox<T> {
    /// Held to change what gathers, to look at it or to take it, never for a socket.
    state: Mutex<State<T>>,
    /// Something was appended while the writer waited: wakes the writer.
    filled: Condvar,
    /// The batch was taken, or the outbox was closed: wakes the sessions that wait for space.
    taken: Condvar,
}

#[derive(Debug)]
struct State<T> {
    gathered: T,
    /// The number of the batch that is being filled.
    number: u64,
    /// How much may gather, in bytes.
    bound: usize,
    /// The writer waits for `filled`. Without this flag each message would cost a system call that wakes
    /// nobody.
    writer_waits: bool,
    /// Some session waits for `taken`.
    senders_wait: bool,
    /// The farewell is in: nothing comes after it.
    is_closed: bool,
}

/// Appending, by sessions, and taking, by the writer.
impl<T: Gathers> Outbox<T> {
    /// An outbox in which this gathers.
    pub fn new(gathered: T) -> Self {
        let state = State {
            gathered,
            number: 1,
            bound: GATHERED_BYTES,
            writer_waits: false,
            senders_wait: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), taken: Condvar::new() }
    }

    /// Appends whole lines that a member says. Blocks while too much has gathered, until the writer takes the
    /// batch. The client's first line in a batch never waits. Once the member has left or the outbox is closed,
    /// the lines are discarded.
    pub fn say(&self, client: &Client, mut lines: &[u8]) {
        let mut state = self.lock();
        while !lines.is_empty() && state.accepts(client) {
            let now = if !state.is_full() {
                lines.len()
            } else if state.has_text_of(client) {
                state = self.wait_for_space(state);
                continue;
            } else {
                lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |end| end + 1)
            };
            let (first, rest) = lines.split_at(now);
            state.note_text_of(client);
            state.gathered.say(client.id, first);
            lines = rest;
        }
        self.release(state);
    }

    /// Appends everything that `fill` adds, at one place of the order. A client has caused it. Blocks as
    /// [`Outbox::say`] does. Once the client has left or the outbox is closed, nothing happens and this returns
    /// `None`.
    pub fn append_for<R>(&self, client: &Client, fill: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.lock();
        while state.is_full() && state.has_text_of(client) && state.accepts(client) {
            state = self.wait_for_space(state);
        }
        if !state.accepts(client) {
            return None;
        }
        state.note_text_of(client);
        let result = fill(&mut state.gathered);
        self.release(state);
        Some(result)
    }

    /// Appends everything that `fill` adds, at one place of the order. No client has caused it. Never blocks.
    /// Returns `None`, and nothing happens, once the outbox is closed.
    pub fn append<R>(&self, fill: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        let result = fill(&mut state.gathered);
        self.release(state);
        Some(result)
    }

    /// Appends as [`Outbox::append`] does, but blocks first while too much has gathered. The writer wakes it.
    /// The relay's reader uses this for what the clients of all servers do.
    pub fn append_in_turn<R>(&self, fill: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.lock();
        while state.is_full() && !state.is_closed {
            state = self.wait_for_space(state);
        }
        drop(state);
        self.append(fill)
    }

    /// Looks at what has gathered as it is now.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().gathered)
    }

    /// Appends what `fill` adds, and closes the outbox: nothing can be appended any more. Wakes everybody.
    pub fn close_with(&self, fill: impl FnOnce(&mut T)) {
        let mut state = self.lock();
        fill(&mut state.gathered);
        state.is_closed = true;
        drop(state);
        self.filled.notify_all();
        self.taken.notify_all();
    }

    /// Takes what has gathered, by `take`, which is given the number of the batch. Blocks while there is
    /// nothing, or until `timeout` is over, if there is one. Any append wakes it. Only the writer calls this.
    /// `is_too_fast` says that most of the room cannot keep up. Returns what `take` returns, and whether the
    /// outbox is closed: then nothing comes after this.
    pub fn take_by<R>(
        &self,
        timeout: Option<Duration>,
        is_too_fast: bool,
        take: impl FnOnce(&mut T, u64) -> R,
    ) -> (R, bool) {
        let mut state = self.lock();
        if state.gathered.has_nothing() {
            state.writer_waits = true;
            let is_empty = |state: &mut State<T>| state.gathered.has_nothing() && !state.is_closed;
            let timeout = timeout.unwrap_or(Duration::MAX);
            let waited = self.filled.wait_timeout_while(state, timeout, is_empty);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.writer_waits = false;
        }
        state.adapt_bound(is_too_fast);
        let is_last = state.is_closed;
        (self.take_from(state, take), is_last)
    }

    /// Takes what has gathered, and lets those go on who wait for space.
    fn take_from<R>(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        take: impl FnOnce(&mut T, u64) -> R,
    ) -> R {
        let number = state.number;
        let result = take(&mut state.gathered, number);
        // If something was left there, it is still the same batch.
        let is_taken = state.gathered.bytes() == 0;
        state.number += u64::from(is_taken);
        let wake = is_taken && std::mem::take(&mut state.senders_wait);
        drop(state);
        if wake {
            self.taken.notify_all();
        }
        result
    }

    fn wait_for_space<'a>(
        &'a self,
        mut state: MutexGuard<'a, State<T>>,
    ) -> MutexGuard<'a, State<T>> {
        state.senders_wait = true;
        self.taken.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the lock, and wakes the writer if it waits for what was appended.
    fn release(&self, mut state: MutexGuard<'_, State<T>>) {
        let wake = !state.gathered.has_nothing() && std::mem::take(&mut state.writer_waits);
        drop(state);
        if wake {
            // In the relay's outbox several threads may wait. In the room's only the writer does.
            self.filled.notify_all();
        }
    }

    /// If another thread panics here, the room may be half changed, but not in a way that matters. So a
    /// poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changing it and waiting for a change, also in a closed outbox.
impl<T: Gathers> Outbox<T> {
    /// Changes something that other threads may wait for, and wakes them. This works in a closed outbox, too.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.gathered);
        drop(state);
        self.filled.notify_all();
        result
    }

    /// Blocks while `condition` holds, but at most for `time`. Returns whether it holds no longer.
    /// [`Outbox::change`] and [`Outbox::close_with`] wake it.
    pub fn wait_while(&self, time: Duration, condition: impl Fn(&T) -> bool) -> bool {
        let holds = |state: &mut State<T>| condition(&state.gathered);
        let waited = self.filled.wait_timeout_while(self.lock(), time, holds);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Takes what has gathered, by any thread, without waiting.
    pub fn take_now<R>(&self, take: impl FnOnce(&mut T, u64) -> R) -> R {
        let taken = self.take_from(self.lock(), take);
        self.filled.notify_all();
        taken
    }
}

impl<T: Gathers> State<T> {
    fn is_full(&self) -> bool {
        self.gathered.bytes() >= self.bound
    }

    /// Whether lines of this client are still accepted.
    fn accepts(&self, client: &Client) -> bool {
        !self.is_closed && !client.has_left.load(Relaxed)
    }

    fn has_text_of(&self, client: &Client) -> bool {
        client.last_batch.load(Relaxed) == self.number
    }

    fn note_text_of(&self, client: &Client) {
        client.last_batch.store(self.number, Relaxed);
    }

    /// Raises the bound after a full batch, and resets it after a batch that is less than half full. Halves it
    /// when the room cannot keep up.
    fn adapt_bound(&mut self, is_too_fast: bool) {
        let bytes = self.gathered.bytes();
        if is_too_fast {
            self.bound = (self.bound / 2).max(MIN_GATHERED_BYTES);
        } else if bytes >= self.bound {
            self.bound = (self.bound + GATHERED_STEP_BYTES).min(MAX_GATHERED_BYTES);
        } else if bytes < self.bound / 2 {
            self.bound = GATHERED_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::replies::LeaveReason;
    use crate::server::batch::Batch;
    use crate::server::client::tests::connected;
    use crate::server::room::Room;
    use std::thread;

    fn take(outbox: &Outbox<Room>) -> String {
        let mut batch = Batch::default();
        outbox.take(&mut batch, Some(Duration::ZERO), false);
        String::from_utf8(batch.common().to_vec()).unwrap()
    }

    /// The bound after a batch of this size was taken.
    fn bound_after(outbox: &Outbox<Room>, bytes: usize, is_too_fast: bool) -> usize {
        outbox.append(|room| room.announce(&"x".repeat(bytes - 1)));
        outbox.take(&mut Batch::default(), None, is_too_fast);
        outbox.lock().bound
    }

    #[test]
    fn batches_grow_while_a_flood_lasts() {
        let outbox = Outbox::new(Room::new(0));
        let mut bound = outbox.lock().bound;
        assert_eq!(bound, GATHERED_BYTES);
        while bound < MAX_GATHERED_BYTES {
            assert_eq!(bound_after(&outbox, bound, false), bound + GATHERED_STEP_BYTES);
            bound += GATHERED_STEP_BYTES;
        }
        assert_eq!(bound_after(&outbox, bound, false), bound, "and no more than that");
        assert_eq!(bound_after(&outbox, bound / 2, false), bound, "nearly a flood still");
        assert_eq!(bound_after(&outbox, 1, false), GATHERED_BYTES);
    }

    #[test]
    fn batches_shrink_while_the_room_cannot_keep_up() {
        let outbox = Outbox::new(Room::new(0));
        for bound in [64, 32, 16, 16] {
            assert_eq!(bound_after(&outbox, GATHERED_BYTES, true), bound << 10);
        }
    }

    #[test]
    fn over_the_bound_a_flood_waits_and_a_first_line_does_not() {
        let outbox = Outbox::new(Room::new(0));
        let ((loud, _l), (quiet, _q)) = (connected(1), connected(2));
        let flood = "loud: x\n".repeat(GATHERED_BYTES / 8);
        outbox.say(&loud, flood.as_bytes());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| outbox.say(&loud, b"loud: and more\n"));
            let blocked = || outbox.lock().senders_wait;
            while !blocked() {
                thread::yield_now();
            }
            // The second of two lines waits, as every line of the flood does.
            let talking = scope.spawn(|| outbox.say(&quiet, b"quiet: hi\nquiet: ho\n"));
            while !outbox.lock().has_text_of(&quiet) {
                thread::yield_now();
            }
            assert!(!waiting.is_finished() && !talking.is_finished());
            assert_eq!(take(&outbox), flood + "quiet: hi\n");
        });
        let rest = take(&outbox);
        assert!(rest.contains("loud: and more\n") && rest.contains("quiet: ho\n"), "{rest}");
    }

    #[test]
    fn nothing_comes_after_a_leave_or_after_the_farewell() {
        let outbox = Outbox::new(Room::new(0));
        let ((alice, _a), (bob, _b)) = (connected(1), connected(2));
        assert_eq!(outbox.leave(&alice, LeaveReason::Quit), None, "it was not in");
        outbox.say(&alice, b"alice: too late\n");
        assert_eq!(outbox.append_for(&alice, |room| room.announce("too late")), None);
        outbox.say(&bob, b"bob: in time\n");
        outbox.close("bye");
        outbox.say(&bob, b"bob: too late\n");
        outbox.append(|room| room.announce("too late"));
        assert_eq!(take(&outbox), "bob: in time\nbye\n");
    }

    #[test]
    fn a_session_that_waits_for_space_is_let_go_when_the_outbox_is_closed() {
        let outbox = Outbox::new(Room::new(0));
        let (loud, _peer) = connected(1);
        outbox.say(&loud, "x\n".repeat(GATHERED_BYTES).as_bytes());
        thread::scope(|scope| {
            scope.spawn(|| outbox.say(&loud, b"more\n"));
            while !outbox.lock().senders_wait {
                thread::yield_now();
            }
            outbox.close("bye");
        });
        assert!(take(&outbox).ends_with("x\nbye\n"));
    }
}
