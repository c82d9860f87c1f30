//! Outbox: the queue between the sessions and the writer. Everything that other clients can notice passes
//! through the outbox. So the outbox makes the one order.
//!
//! A session appends to the [`room`](super::room) in the outbox, and then reads again. The writer takes
//! everything that has gathered, as one batch. So the messages of a thousand clients become one write for each
//! recipient. A batch gathers only while the writer is busy. An idle writer waits for the outbox, and takes a
//! line as soon as it is appended. So no line ever waits for a batch to fill up.
//!
//! The amount of text that gathers has a bound. Once the bound is reached, a client that already has text in the
//! batch must wait. The session of this client stops reading, so TCP slows the client down. The first line of a
//! client in a batch never waits. So a flood does not delay the line of a quiet client. Notices never wait
//! either, because the writer itself causes some of them, and the writer would wait for itself. So a batch can
//! exceed the bound by one line or action of each client, and by the notices. If ten thousand clients send at
//! once, the excess is about ten megabytes.
//!
//! The bound is small at first, because a small batch is still in the processor's cache when it is sent. The
//! bound grows while a flood lasts, because large batches need fewer system calls. The bound shrinks while most
//! recipients cannot keep up. (Measured with 300 clients that all send at once: with a bound of 128 KiB, all
//! text is delivered 10 to 30 % sooner than with 512 KiB. In a long flood, it is delivered sooner with 512 KiB.)
//!
//! If the room is shared with other servers, the [`relay`](crate::relay) has a second outbox. The records for
//! the other servers gather there, by the same rules.
//!
//! This module grew from step 11 of the [course](crate::lessons), and the bound grew from step 13.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::{Client, ClientId};

/// The bound on the gathered text at the beginning of a flood, in bytes.
const GATHERED_BYTES: usize = 128 << 10;

/// The highest bound, in bytes.
pub const MAX_GATHERED_BYTES: usize = 512 << 10;

/// The number of bytes by which the bound grows after each full batch.
const GATHERED_STEP_BYTES: usize = 64 << 10;

/// The lowest bound, in bytes. The bound shrinks to this value while most recipients cannot keep up.
const MIN_GATHERED_BYTES: usize = 16 << 10;

/// Something that can gather in an outbox.
pub trait Gathers {
    /// Returns whether there is nothing for the writer to take.
    fn has_nothing(&self) -> bool;

    /// Returns the number of bytes that have gathered.
    fn bytes(&self) -> usize;

    /// Adds whole lines that a member says. Each line already has the member's nickname and a line end.
    fn say(&mut self, client: ClientId, lines: &[u8]);
}

/// The queue between the sessions and the writer.
#[derive(Debug)]
pub struct Outbox<T> {
    /// A thread locks this to change, read or take what has gathered. No thread uses a socket while it holds
    /// this lock.
    state: Mutex<State<T>>,
    /// Wakes the writer when something is appended. Also wakes the threads in [`Outbox::wait_while`].
    filled: Condvar,
    /// Wakes the threads that wait for space, when the batch is taken or the outbox is closed.
    taken: Condvar,
}

#[derive(Debug)]
struct State<T> {
    gathered: T,
    /// The number of the batch that is being filled.
    number: u64,
    /// The number of bytes that may gather before senders must wait.
    bound: usize,
    /// Whether the writer waits for `filled`. Without this flag, each message would cost a system call even
    /// when the writer does not wait.
    writer_waits: bool,
    /// Whether any thread waits for `taken`.
    senders_wait: bool,
    /// Whether the outbox is closed: nothing can be appended any more.
    is_closed: bool,
}

/// Appending and taking.
impl<T: Gathers> Outbox<T> {
    /// Makes an open outbox with this content.
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

    /// Appends whole lines that a member says. If the batch has reached its bound and contains text from this
    /// client, this function blocks until the writer takes the batch. When the client leaves or the outbox is
    /// closed, the lines that have not been appended yet are discarded.
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

    /// Calls `fill`, which appends all effects of one action of a client. All these effects together get one
    /// place in the order. Blocks first under the same condition as [`Outbox::say`]. Does nothing and returns
    /// `None` once the client has left or the outbox is closed.
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

    /// Calls `fill`, which appends something that must not wait, such as a notice. Never blocks, even if the
    /// batch has reached its bound. Does nothing and returns `None` once the outbox is closed.
    pub fn append<R>(&self, fill: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        let result = fill(&mut state.gathered);
        self.release(state);
        Some(result)
    }

    /// Does the same as [`Outbox::append`], but first blocks while the batch is at its bound. If the room is
    /// shared with other servers, this function is used for the actions of the clients of all servers.
    pub fn append_in_turn<R>(&self, fill: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut state = self.lock();
        while state.is_full() && !state.is_closed {
            state = self.wait_for_space(state);
        }
        drop(state);
        self.append(fill)
    }

    /// Calls `look` with the content of the outbox, and returns the result.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock().gathered)
    }

    /// Calls `fill`, which appends the last text, and closes the outbox. Nothing can be appended afterwards.
    /// Wakes all threads that wait for the outbox.
    pub fn close_with(&self, fill: impl FnOnce(&mut T)) {
        let mut state = self.lock();
        fill(&mut state.gathered);
        state.is_closed = true;
        drop(state);
        self.filled.notify_all();
        self.taken.notify_all();
    }

    /// Calls `take`, which takes what has gathered. The second argument of `take` is the number of the batch. If
    /// nothing has gathered, this function first blocks until something is appended, until the outbox is closed,
    /// or until `timeout` expires. Only the writer calls this function. If `is_too_fast` is true, most
    /// recipients cannot keep up, and the bound is lowered. Returns the result of `take`, and whether the outbox
    /// is closed. If the outbox is closed, this was the last batch.
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

    /// Calls `take`. If `take` leaves no text, the next batch begins, and the threads that wait for space are
    /// woken.
    fn take_from<R>(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        take: impl FnOnce(&mut T, u64) -> R,
    ) -> R {
        let number = state.number;
        let result = take(&mut state.gathered, number);
        // Text that `take` has left still belongs to the same batch.
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

    /// Releases the lock. Wakes the writer if it waits and now has something to take.
    fn release(&self, mut state: MutexGuard<'_, State<T>>) {
        let wake = !state.gathered.has_nothing() && std::mem::take(&mut state.writer_waits);
        drop(state);
        if wake {
            // Several threads can wait for the relay's outbox. Only the writer waits for the room's outbox.
            self.filled.notify_all();
        }
    }

    /// A panic can leave the content half changed, but this does no harm. So the lock is used even if it is
    /// poisoned.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changing the content, and waiting for a change. All of this also works in a closed outbox.
impl<T: Gathers> Outbox<T> {
    /// Calls `change`, and wakes the threads that wait in [`Outbox::wait_while`]. Returns the result of
    /// `change`.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.gathered);
        drop(state);
        self.filled.notify_all();
        result
    }

    /// Blocks while `condition` is true, but at most for `time`. Returns whether `condition` is false at the
    /// end. [`Outbox::change`], [`Outbox::take_now`] and [`Outbox::close_with`] wake a thread that is
    /// blocked in this function.
    pub fn wait_while(&self, time: Duration, condition: impl Fn(&T) -> bool) -> bool {
        let holds = |state: &mut State<T>| condition(&state.gathered);
        let waited = self.filled.wait_timeout_while(self.lock(), time, holds);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Calls `take`, which takes what has gathered. Never blocks. Any thread may call this.
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

    /// Returns whether text from this client can still be appended.
    fn accepts(&self, client: &Client) -> bool {
        !self.is_closed && !client.has_left.load(Relaxed)
    }

    fn has_text_of(&self, client: &Client) -> bool {
        client.last_batch.load(Relaxed) == self.number
    }

    fn note_text_of(&self, client: &Client) {
        client.last_batch.store(self.number, Relaxed);
    }

    /// Adapts the bound to the batch that is about to be taken. If most recipients cannot keep up, the bound is
    /// halved. Otherwise, it is raised if this batch is full, and reset if the batch is less than half full.
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

    /// Takes a batch of this size, and returns the bound afterwards.
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
            // The first of these lines is appended at once. The second must wait, like a line of the flood.
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
