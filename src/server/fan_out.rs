//! Fan-out: sending a batch to all recipients. In a large room, several processors share this work.
//!
//! ```text
//!           parts        waiting                        done
//!  writer  ───────>  0 1 2 3 4 5 6 7  ── take one, ──>  0 1 2 3 4 5 6 7  ──>  writer
//!                                        send, put back
//!                                        ↑ writer, helper-1, helper-2 …
//! ```
//!
//! The recipients are divided into [parts](Part). In a large room, the writer puts all parts on a table in each
//! round. Then the writer and its helpers each take a part, send the batch to its recipients, and put the part
//! back. They repeat this until all parts are done. Only then does the writer begin the next round, so there is
//! one order. Only one thread at a time has a part, so only one thread at a time writes to a socket. If a helper
//! gets no processor time, the other threads take the parts.
//!
//! In a small room the writer works alone. During a flood, at most half of the processors send, because the clients
//! and the sessions need the other half. A round counts as a flood if its batch is large, or if the writer is busy.
//! The writer is busy if it works for more than a quarter of the time.
//!
//! (Measured with two processors: a helper is worth its cost if there are at least fifty recipients for each thread.
//! If the helper also worked during floods, a flood to 500 readers would take a fifth longer, and a chat of a
//! thousand people would use a tenth more processor time. With five senders and 2,000 listeners, the median delay of
//! a line would be a fifth longer.)
//!
//! In the [course](crate::lessons) the writer has no helpers.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope};

use super::batch::{Batch, Total};
use super::client::{Client, ClientId};
use super::part::Part;

/// The amount of common text, in bytes, above which a batch counts as a flood.
const FLOOD_BYTES: usize = 64 << 10;

/// The number of parts for each thread. With several small parts, no thread has to wait long for the others at the
/// end of a round.
const PARTS_PER_THREAD: usize = 4;

/// All current recipients, and the helper threads that share the work of sending to them.
#[derive(Debug)]
pub struct FanOut {
    /// All parts. While several threads share a round, the parts are on the table instead. [`ClientId::part`] tells
    /// which part a client belongs to.
    parts: Vec<Part>,
    /// The number of threads, including the writer.
    threads: usize,
    /// The number of threads that send during a flood.
    threads_in_flood: usize,
    /// The minimum number of recipients for each thread that sends.
    share: usize,
    table: Arc<Table>,
}

/// The table from which the threads take parts, and to which they put parts back.
#[derive(Debug, Default)]
struct Table {
    /// A thread locks this to take a part or to put a part back. No thread sends anything while it holds this lock.
    state: Mutex<State>,
    /// Wakes the helpers when parts are on the table, or when there are no more rounds.
    laid_out: Condvar,
    /// Wakes the writer when no helper is at work, or when a helper has panicked.
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The batch of this round. `None` between rounds.
    batch: Option<Arc<Batch>>,
    /// The parts that no thread has taken yet. A part has the same place here and in `done`.
    waiting: Vec<Option<Part>>,
    /// The parts that are done.
    done: Vec<Option<Part>>,
    /// The number of helpers that are at work.
    at_work: usize,
    /// Whether a helper has panicked. The part that it had taken is lost.
    has_failed: bool,
    /// Whether there are no more rounds.
    has_ended: bool,
}

impl FanOut {
    /// Makes a fan-out without recipients, and starts its helpers in `scope`. The calling thread counts as one of
    /// the `threads`. If the system cannot start that many threads, there are fewer helpers. The helpers end when
    /// the fan-out is dropped.
    pub fn new<'scope>(
        threads: NonZeroUsize,
        share: NonZeroUsize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Self {
        let table = Arc::new(Table::default());
        let start = |&number: &usize| {
            let table = Arc::clone(&table);
            let helper = move || {
                // A panic of the helper makes the writer panic, too, and that ends the server.
                if catch_unwind(AssertUnwindSafe(|| table.help(number))).is_err() {
                    table.fail();
                }
            };
            Builder::new().name(format!("helper-{number}")).spawn_scoped(scope, helper).is_ok()
        };
        let threads = 1 + (1..threads.get()).take_while(start).count();
        let parts = if threads == 1 { 1 } else { threads * PARTS_PER_THREAD };
        let parts = (0..parts).map(|_| Part::default()).collect();
        let processors = thread::available_parallelism().map_or(threads, NonZeroUsize::get);
        let threads_in_flood = threads.min(processors / 2);
        Self { parts, threads, threads_in_flood, share: share.get(), table }
    }

    /// Returns the number of recipients.
    pub fn count(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// Returns the amount of text that has been delivered so far: see [`Part::delivered`].
    pub fn delivered(&self) -> Total {
        let mut delivered = Total::default();
        self.parts.iter().for_each(|part| delivered += part.delivered());
        delivered
    }

    /// Adds a recipient.
    pub fn add(&mut self, client: Arc<Client>) {
        self.part_of(client.id).add(client);
    }

    /// Removes a recipient. Returns `None` if it is not in any part.
    pub fn remove(&mut self, id: ClientId) -> Option<Arc<Client>> {
        self.part_of(id).remove(id)
    }

    /// Returns all parts, one after another.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut()
    }

    fn part_of(&mut self, id: ClientId) -> &mut Part {
        let parts = self.parts.len();
        &mut self.parts[id.part(parts)]
    }

    /// Sends a sealed batch to all recipients. `is_busy` tells whether the writer is busy. Blocks until all
    /// threads are done, but never waits for a socket. Afterwards no helper has a reference to the batch.
    ///
    /// # Panics
    ///
    /// Panics if a helper has panicked. The recipients to which that helper was sending are lost.
    pub fn send(&mut self, batch: &Arc<Batch>, is_busy: bool) {
        let is_loud = is_busy || batch.common().len() > FLOOD_BYTES;
        let most = if is_loud { self.threads_in_flood } else { self.threads };
        let threads = (self.count() / self.share).min(most);
        if threads < 2 {
            self.parts.iter_mut().for_each(|part| part.send(batch));
            return;
        }
        self.table.lay_out(&mut self.parts, batch);
        (1..threads).for_each(|_| self.table.laid_out.notify_one());
        self.table.work(batch, 0);
        self.table.take_back(&mut self.parts);
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        self.table.lock().has_ended = true;
        self.table.laid_out.notify_all();
    }
}

/// The steps of a round that only the writer takes.
impl Table {
    fn lay_out(&self, parts: &mut Vec<Part>, batch: &Arc<Batch>) {
        let mut state = self.lock();
        state.batch = Some(Arc::clone(batch));
        state.waiting.extend(parts.drain(..).map(Some));
        let places = state.waiting.len();
        state.done.resize_with(places, || None);
    }

    /// Blocks until no helper is at work. Then moves all parts from the table to `parts`, in their old order.
    fn take_back(&self, parts: &mut Vec<Part>) {
        let mut state = self.lock();
        while state.at_work > 0 && !state.has_failed {
            state = self.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        assert!(!state.has_failed, "a helper panicked");
        state.batch = None;
        state.waiting.clear();
        parts.extend(state.done.drain(..).flatten());
    }
}

/// What every thread does in a round, and the main loop of a helper.
impl Table {
    /// Takes a part, sends the batch to its recipients, and puts the part back. Repeats this until no part is left to
    /// take. A thread begins with the parts that it usually handles, because the cache of its processor can still
    /// contain the sockets of these parts.
    fn work(&self, batch: &Batch, number: usize) {
        let mut state = self.lock();
        while let Some((place, mut part)) = state.take_part(number * PARTS_PER_THREAD) {
            drop(state);
            part.send(batch);
            state = self.lock();
            state.done[place] = Some(part);
        }
    }

    /// Runs a helper. The helper waits for a round, and works if a part is still left when it wakes. Returns when
    /// there are no more rounds.
    fn help(&self, number: usize) {
        let mut state = self.lock();
        while !state.has_ended {
            let Some(batch) = state.batch.clone().filter(|_| state.has_waiting()) else {
                state = self.laid_out.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.at_work += 1;
            drop(state);
            self.work(&batch, number);
            // The writer needs the only reference to the batch. So this reference is dropped before the writer wakes.
            drop(batch);
            state = self.lock();
            state.at_work -= 1;
            if state.at_work == 0 {
                self.finished.notify_one();
            }
        }
    }

    fn fail(&self) {
        self.lock().has_failed = true;
        self.finished.notify_one();
    }

    /// A panic cannot leave the state half changed. So the lock is used even if it is poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_waiting(&self) -> bool {
        self.waiting.iter().any(Option::is_some)
    }

    /// Takes a part that no thread has taken yet, and returns the part with its place. The search begins at place
    /// `first` and wraps around at the end.
    fn take_part(&mut self, first: usize) -> Option<(usize, Part)> {
        let places = self.waiting.len();
        let mut turns = (0..places).map(|later| (first + later) % places);
        let place = turns.find(|&place| self.waiting[place].is_some())?;
        Some((place, self.waiting[place].take()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::client::tests::connected;
    use std::io::Read;

    const ONE: NonZeroUsize = NonZeroUsize::MIN;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn each_is_sent_every_batch_once_whatever_the_number_of_threads() {
        for count in [1, 2, 8] {
            let mut peers = Vec::new();
            let mut expected = String::new();
            thread::scope(|scope| {
                let mut fan_out = FanOut::new(threads(count), ONE, scope);
                for number in (0..200).step_by(3) {
                    let (client, peer) = connected(number);
                    fan_out.add(client);
                    peers.push(peer);
                }
                let mut batch = Arc::new(Batch::default());
                for round in 0..50 {
                    let sealed = Arc::get_mut(&mut batch).expect("nobody else has it");
                    sealed.clear();
                    sealed.announce(&format!("round {round}"));
                    expected += &format!("round {round}\n");
                    sealed.seal();
                    fan_out.send(&batch, false);
                }
                assert_eq!(fan_out.count(), peers.len());
                assert!(fan_out.remove(ClientId::new(3)).is_some());
                assert!(fan_out.remove(ClientId::new(4)).is_none());
            });
            for mut peer in peers {
                let mut seen = String::new();
                peer.read_to_string(&mut seen).unwrap();
                assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn a_helper_that_panics_is_noticed() {
        let table = Table::default();
        let mut parts = vec![Part::default()];
        table.lay_out(&mut parts, &Arc::default());
        table.fail();
        let taken_back = catch_unwind(AssertUnwindSafe(|| table.take_back(&mut parts)));
        assert!(taken_back.is_err());
    }
}
