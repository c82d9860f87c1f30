//! Fan-out: sending a batch to all recipients, on several processors when there are many.
//!
//! ```text
//!           parts        waiting                        done
//!  writer  ───────>  0 1 2 3 4 5 6 7  ── take one, ──>  0 1 2 3 4 5 6 7  ──>  writer
//!                                        send, put back
//!                                        ↑ writer, helper-1, helper-2 …
//! ```
//!
//! The recipients lie in [parts](Part). In a large room the writer lays all parts out on a table. The writer
//! and its helpers each take a part, send it the batch, and put it back, until no part is left. Then the writer
//! goes on alone. So there is one round at a time, and one order. A part has one owner at a time, and so a
//! socket has one writer. If a helper gets no processor, the other threads take its parts.
//!
//! In a small room the writer works alone. While much is said, at most half of the processors send. The clients
//! and the sessions need the others more than the writer needs help. Much is said when a batch is large, or when
//! the writer is busy: see [`Writer::run`](super::writer::Writer::run).
//!
//! Measured with two processors: a helper is worth its cost from fifty recipients for each thread on. If both
//! threads always worked, a flood of 500 readers would be a fifth slower, and a thousand people who chat would
//! cost a tenth more processor time. With 2,000 who listen to five, half of the lines would arrive a fifth later.
//!
//! No step of the [course](crate::lessons) has this.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, Scope};

use super::batch::{Batch, Total};
use super::client::{Client, ClientId};
use super::part::Part;

/// A batch with more text than this is a flood, in bytes.
const FLOOD_BYTES: usize = 64 << 10;

/// How many parts there are for each thread. With several, no thread waits for long at the end of a round.
const PARTS_PER_THREAD: usize = 4;

/// All recipients that are current, and the threads that help to send to them.
#[derive(Debug)]
pub struct FanOut {
    /// Between rounds all parts are here. [`ClientId::part`] says which part a client is in.
    parts: Vec<Part>,
    /// How many threads there are, the writer included.
    threads: usize,
    /// How many of them take part while much is said.
    threads_in_flood: usize,
    /// How many recipients there must be for each thread that takes part.
    share: usize,
    table: Arc<Table>,
}

/// Where parts change hands.
#[derive(Debug, Default)]
struct Table {
    /// Held to take a part or to put it back, never while anything is sent.
    state: Mutex<State>,
    /// Parts were laid out, or there are no more rounds: wakes the helpers.
    laid_out: Condvar,
    /// No helper is at work any more, or one has panicked: wakes the writer.
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The batch of this round; none between rounds.
    batch: Option<Arc<Batch>>,
    /// The parts that nobody has taken yet, and the parts that are done, each in its place.
    waiting: Vec<Option<Part>>,
    done: Vec<Option<Part>>,
    /// How many helpers are at work.
    at_work: usize,
    /// A helper panicked, and its part is lost.
    has_failed: bool,
    /// There are no more rounds.
    has_ended: bool,
}

impl FanOut {
    /// Starts the helpers in `scope`. There are no recipients yet. The calling thread counts as one of the
    /// `threads`. If the system has no more threads, there are fewer helpers. They end when this is dropped.
    pub fn new<'scope>(
        threads: NonZeroUsize,
        share: NonZeroUsize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Self {
        let table = Arc::new(Table::default());
        let start = |&number: &usize| {
            let table = Arc::clone(&table);
            let helper = move || {
                // This tells the writer of the panic, and the writer ends the server.
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

    /// How many recipients there are.
    pub fn count(&self) -> usize {
        self.parts.iter().map(Part::len).sum()
    }

    /// How much all recipients have taken so far.
    pub fn delivered(&self) -> Total {
        let mut delivered = Total::default();
        self.parts.iter().for_each(|part| delivered += part.delivered());
        delivered
    }

    /// Adds a recipient.
    pub fn add(&mut self, client: Arc<Client>) {
        self.part_of(client.id).add(client);
    }

    /// Removes a recipient. Returns `None` if it is not here.
    pub fn remove(&mut self, id: ClientId) -> Option<Arc<Client>> {
        self.part_of(id).remove(id)
    }

    /// All parts, one after the other.
    pub fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.parts.iter_mut()
    }

    fn part_of(&mut self, id: ClientId) -> &mut Part {
        let parts = self.parts.len();
        &mut self.parts[id.part(parts)]
    }

    /// Sends a sealed batch to all recipients. `is_busy` says that the writer hardly rests between batches.
    /// Blocks until all threads are done, but never on a socket. Afterwards no helper holds the batch.
    ///
    /// # Panics
    ///
    /// When a helper has panicked: the recipients that it was sending to are lost.
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

/// A round, in the writer.
impl Table {
    fn lay_out(&self, parts: &mut Vec<Part>, batch: &Arc<Batch>) {
        let mut state = self.lock();
        state.batch = Some(Arc::clone(batch));
        state.waiting.extend(parts.drain(..).map(Some));
        let places = state.waiting.len();
        state.done.resize_with(places, || None);
    }

    /// Takes all parts back, in their places. Blocks until no helper is at work.
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

/// The work of all threads, and the helpers' own.
impl Table {
    /// Takes a part, sends it the batch, and puts it back, until none is left to take. A thread first takes
    /// the parts that it had before, whose sockets its processor may still have in its cache.
    fn work(&self, batch: &Batch, number: usize) {
        let mut state = self.lock();
        while let Some((place, mut part)) = state.take_part(number * PARTS_PER_THREAD) {
            drop(state);
            part.send(batch);
            state = self.lock();
            state.done[place] = Some(part);
        }
    }

    /// Waits for a round, and works in it if a part is left when the helper wakes. Ends when there are no more
    /// rounds.
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
            // This comes first: the writer must not be woken while a helper still holds the batch.
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

    /// Each method leaves the state whole at every step: a poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_waiting(&self) -> bool {
        self.waiting.iter().any(Option::is_some)
    }

    /// Takes a part that is still waiting, and returns it with its place. The search begins at place `first`
    /// and goes around.
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
