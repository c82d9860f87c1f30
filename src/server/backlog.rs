//! The backlog: what slow clients have not taken yet.
//!
//! One log of recent batches serves all of them; each has a cursor into it, and a catch-up thread
//! that writes from there. So a thousand stalled clients cost one log, not a thousand queues. The log
//! is kept only while somebody is behind, and it is bounded: whoever falls off its end is too slow.
//!
//! A client is either *current*, and the broadcaster writes to it, or *behind*, and its catch-up
//! thread does. It changes hands under the lock here: it falls behind at a batch, which is then in the
//! log, and it is current again when it has taken the last batch there is. So no batch is lost to it
//! and none comes twice.

use std::collections::{HashMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::client_id::ClientId;
use super::pause::Pause;

/// What the system may keep for a client that does not read, in bytes; left alone it takes up to four
/// megabytes. The rest stays in the backlog, once for all. Twice the most that may gather in the
/// outbox: less, and a client that is a batch behind counts as slow in every burst. `SO_SNDBUF` instead
/// also bounds what is under way, and is cut to `net.core.wmem_max`.
pub const MAX_UNSENT_BYTES: u32 = 1 << 20;

/// The part of the log beyond which it is filling up: one in so many.
const FILLING_PART: usize = 4;

/// How long whoever is behind may take for the rest once the server ends.
const CATCH_UP_TIME: Duration = Duration::from_secs(2);

/// How long it may take nothing then before nobody waits for it any more.
const STALLED_TIME: Duration = Duration::from_millis(1500);

/// How long a client that left while it was behind may take for the rest. It counts among the clients
/// no more, so this must end.
const LEAVING_TIME: Duration = Duration::from_secs(10);

/// The log, and where everyone who is behind is in it.
#[derive(Debug)]
pub struct Backlog {
    /// Held to move a cursor or to append a batch, never for a socket.
    state: Mutex<State>,
    /// A cursor moved or is gone.
    moved: Condvar,
    /// How much memory the log may take, in bytes.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    log: VecDeque<Arc<Batch>>,
    /// The number of the first batch in the log. Batches are numbered as they enter it.
    first: u64,
    bytes: usize,
    cursors: HashMap<ClientId, Cursor>,
    /// Who has become current and was not reported to the broadcaster yet.
    caught_up: Vec<ClientId>,
    /// The room is not held up any more, and nobody falls off the end: the server is shutting down.
    bounds_lifted: bool,
}

#[derive(Debug)]
struct Cursor {
    /// The connection, to wake the catch-up thread when the client is given up: it may have left the
    /// registry before.
    stream: Arc<TcpStream>,
    /// The number of the batch that it is taking.
    taking: u64,
    leaving: Option<Leaving>,
    /// When it last took something, or fell behind: until it shows that it does not read it counts as
    /// one that does. A reader takes nothing for a while when the system's buffer has just filled up.
    took: Instant,
}

/// A client that left in order while it was behind.
#[derive(Debug)]
struct Leaving {
    /// The number of the last batch that it gets.
    last: u64,
    until: Instant,
    deaf: bool,
}

/// What a catch-up thread is to do next.
#[derive(Debug)]
pub enum Next {
    /// Write this batch.
    Take(Arc<Batch>),
    /// Nothing: the client is current, and the broadcaster writes to it from now on.
    CaughtUp,
    /// Close the connection: the client has left and has got everything.
    Finished {
        /// Its reading side was shut down before.
        deaf: bool,
    },
    /// Nothing: the client was given up.
    GivenUp,
}

impl Backlog {
    /// Makes a log that holds at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), moved: Condvar::new(), limit }
    }

    /// Appends a batch if anybody is behind; to be called before it is written to those who are
    /// current, and without one when [`Backlog::is_in_use`] said no. Puts into `caught_up` who has
    /// become current before this batch, and into `too_slow` who fell off the end, with the connection
    /// that is to be ended.
    pub fn publish(
        &self,
        batch: Option<&Arc<Batch>>,
        caught_up: &mut Vec<ClientId>,
        too_slow: &mut Vec<(ClientId, Arc<TcpStream>)>,
    ) {
        let mut state = self.lock();
        caught_up.append(&mut state.caught_up);
        // They may all have caught up meanwhile.
        let Some(batch) = batch.filter(|_| !state.cursors.is_empty()) else { return };
        state.append(batch);
        state.forget_taken();
        while state.bytes > self.limit && state.log.len() > 1 && !state.bounds_lifted {
            state.forget_first();
        }
        let first = state.first;
        let fallen = state.cursors.extract_if(|_, cursor| cursor.taking < first);
        too_slow.extend(fallen.map(|(id, cursor)| (id, cursor.stream)));
        if state.cursors.is_empty() {
            state.forget_taken();
        }
    }

    /// Whether anybody is behind, so that the next batch has to be kept. For the broadcaster, which
    /// alone makes it true.
    pub fn is_in_use(&self) -> bool {
        !self.lock().cursors.is_empty()
    }

    /// Notes that a client took only a part of `batch`, the newest there is.
    pub fn fall_behind(&self, id: ClientId, stream: Arc<TcpStream>, batch: &Arc<Batch>) {
        let mut state = self.lock();
        if !state.log.back().is_some_and(|newest| Arc::ptr_eq(newest, batch)) {
            state.append(batch);
        }
        let taking = state.newest();
        let cursor = Cursor { stream, taking, leaving: None, took: Instant::now() };
        state.cursors.insert(id, cursor);
    }

    /// Notes that a client has taken all of its batch, and returns what comes next for it.
    pub fn next(&self, id: ClientId) -> Next {
        let mut state = self.lock();
        let newest = state.newest();
        let Some(cursor) = state.cursors.get_mut(&id) else { return Next::GivenUp };
        let taken = cursor.taking;
        if taken < newest && cursor.leaving.as_ref().is_none_or(|leaving| taken < leaving.last) {
            cursor.taking += 1;
            cursor.took = Instant::now();
            let batch = state.batch(taken + 1);
            self.moved.notify_all();
            return batch.map_or(Next::GivenUp, Next::Take);
        }
        let finished = cursor.leaving.take().map(|leaving| Next::Finished { deaf: leaving.deaf });
        state.cursors.remove(&id);
        if state.cursors.is_empty() {
            state.forget_taken();
        }
        if finished.is_none() {
            state.caught_up.push(id);
        }
        drop(state);
        self.moved.notify_all();
        finished.unwrap_or(Next::CaughtUp)
    }

    /// Whether a client has been given the newest batch there is, and will stay: [`Backlog::next`]
    /// would hand it back.
    pub fn is_at_end(&self, id: ClientId) -> bool {
        let state = self.lock();
        let is_at_end =
            |cursor: &Cursor| cursor.leaving.is_none() && cursor.taking == state.newest();
        !state.bounds_lifted && state.cursors.get(&id).is_some_and(is_at_end)
    }

    /// Notes whether a client took something of its batch just now. Returns whether it may go on
    /// taking: not once it was given up, or has left and its time is over.
    pub fn progress(&self, id: ClientId, took: bool) -> bool {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(cursor) = state.cursors.get_mut(&id) else { return false };
        if took {
            cursor.took = now;
        }
        cursor.leaving.as_ref().is_none_or(|leaving| now < leaving.until)
    }

    /// Ends a client's catching up with the newest batch, after which its thread closes the
    /// connection. Returns `false`, and nothing happens, when the client is not behind any more.
    pub fn finish(&self, id: ClientId, deaf: bool) -> bool {
        let mut state = self.lock();
        let last = state.newest();
        let Some(cursor) = state.cursors.get_mut(&id) else { return false };
        cursor.leaving = Some(Leaving { last, until: Instant::now() + LEAVING_TIME, deaf });
        true
    }

    /// Gives a client up: its connection is over in both directions, and its catch-up thread ends. The
    /// reason is to be noted before, since its session wakes too.
    pub fn give_up(&self, id: ClientId) {
        let mut state = self.lock();
        if let Some(cursor) = state.cursors.remove(&id) {
            // It fails when the peer is gone already.
            let _ = cursor.stream.shutdown(Shutdown::Both);
        }
        state.forget_taken();
        drop(state);
        self.moved.notify_all();
    }

    /// Blocks while more than `tolerated` clients are behind and still read, and if there were so many,
    /// until none is: 50 milliseconds at most, for the many a second when the log is filling up. A
    /// client that catches up wakes it.
    pub fn wait_for_readers(&self, tolerated: usize) {
        let mut pause = Pause::new(Instant::now(), tolerated);
        drop(self.wait_while(|state, now| {
            let is_filling = state.bytes > self.limit / FILLING_PART;
            let until = pause.until(is_filling, |recently| state.readers(recently, now));
            until.filter(|_| !state.bounds_lifted)
        }));
    }

    /// Ends all present and future [`Backlog::wait_for_readers`] at once, and drops nobody any more for
    /// the size of the log: the little that still comes is bounded by what has been read.
    pub fn lift_bounds(&self) {
        self.lock().bounds_lifted = true;
        self.moved.notify_all();
    }

    /// Who is behind.
    pub fn behind(&self) -> Vec<ClientId> {
        self.lock().cursors.keys().copied().collect()
    }

    /// Blocks while anybody is behind and still reads, no longer than two seconds after the server
    /// `began` to end. Returns who is behind then.
    pub fn wait_until_taken(&self, began: Instant) -> Vec<ClientId> {
        drop(self.wait_while(|state, _| {
            let took = state.cursors.values().map(|cursor| cursor.took.max(began)).max();
            took.map(|took| (took + STALLED_TIME).min(began + CATCH_UP_TIME))
        }));
        self.behind()
    }

    /// Blocks for as long as `until_when` returns a time that has not come.
    fn wait_while(
        &self,
        mut until_when: impl FnMut(&State, Instant) -> Option<Instant>,
    ) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let Some(deadline) = until_when(&state, now).filter(|&deadline| now < deadline) else {
                return state;
            };
            let waited = self.moved.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Each method leaves the state whole at every step: a poisoned lock is used as it is.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many are behind and took something that recently.
    fn readers(&self, recently: Duration, now: Instant) -> usize {
        let reads = |cursor: &&Cursor| {
            cursor.leaving.is_none() && now.duration_since(cursor.took) < recently
        };
        self.cursors.values().filter(reads).count()
    }

    fn append(&mut self, batch: &Arc<Batch>) {
        self.bytes += batch.memory_bytes();
        self.log.push_back(Arc::clone(batch));
    }

    /// The number of the newest batch; of the one before the first, when there is none.
    fn newest(&self) -> u64 {
        (self.first + self.log.len() as u64).wrapping_sub(1)
    }

    fn batch(&self, number: u64) -> Option<Arc<Batch>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.log.get(index).cloned()
    }

    fn forget_first(&mut self) {
        if let Some(batch) = self.log.pop_front() {
            self.first += 1;
            self.bytes -= batch.memory_bytes();
        }
    }

    /// Forgets the batches that everyone has taken; all of them when nobody is behind.
    fn forget_taken(&mut self) {
        let slowest = self.cursors.values().map(|cursor| cursor.taking).min();
        while !self.log.is_empty() && slowest.is_none_or(|slowest| self.first < slowest) {
            self.forget_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    const ALICE: ClientId = ClientId::new(1);
    const BOB: ClientId = ClientId::new(2);

    fn batch(line: &str) -> Arc<Batch> {
        let mut batch = Batch::default();
        batch.announce(line);
        Arc::new(batch)
    }

    fn text(next: Next) -> String {
        match next {
            Next::Take(batch) => String::from_utf8(batch.common().to_vec()).unwrap(),
            end => format!("{end:?}"),
        }
    }

    /// A connection, and its peer.
    fn connection() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Arc::new(stream), listener.accept().unwrap().0)
    }

    /// A connection where the peer does not matter.
    fn stream() -> Arc<TcpStream> {
        connection().0
    }

    /// Publishes a line; returns who became current, and who fell off.
    fn publish(backlog: &Backlog, line: &str) -> (Vec<ClientId>, Vec<ClientId>) {
        let (mut caught_up, mut too_slow) = (Vec::new(), Vec::new());
        backlog.publish(Some(&batch(line)), &mut caught_up, &mut too_slow);
        (caught_up, too_slow.into_iter().map(|(id, _)| id).collect())
    }

    #[test]
    fn nothing_is_kept_while_nobody_is_behind() {
        let backlog = Backlog::new(100);
        publish(&backlog, "one");
        assert_eq!(backlog.lock().log.len(), 0);
        backlog.fall_behind(ALICE, stream(), &batch("two"));
        publish(&backlog, "three");
        assert_eq!(backlog.lock().log.len(), 2);
        assert_eq!(text(backlog.next(ALICE)), "three\n");
        assert_eq!(text(backlog.next(ALICE)), "CaughtUp");
        assert_eq!(backlog.lock().log.len(), 0);
        assert_eq!(backlog.lock().bytes, 0);
        assert_eq!(publish(&backlog, "four"), (vec![ALICE], vec![]));
    }

    #[test]
    fn each_takes_every_batch_after_the_one_it_fell_behind_at() {
        let backlog = Backlog::new(100);
        let one = batch("one");
        backlog.fall_behind(ALICE, stream(), &one);
        backlog.fall_behind(BOB, stream(), &one);
        publish(&backlog, "two");
        publish(&backlog, "three");
        assert_eq!(text(backlog.next(ALICE)), "two\n");
        assert_eq!(text(backlog.next(ALICE)), "three\n");
        assert_eq!(text(backlog.next(ALICE)), "CaughtUp");
        assert_eq!(text(backlog.next(BOB)), "two\n");
        assert_eq!(publish(&backlog, "four"), (vec![ALICE], vec![]));
        let five = batch("five");
        let (mut caught_up, mut too_slow) = (Vec::new(), Vec::new());
        backlog.publish(Some(&five), &mut caught_up, &mut too_slow);
        backlog.fall_behind(ALICE, stream(), &five);
        for line in ["three\n", "four\n", "five\n", "CaughtUp"] {
            assert_eq!(text(backlog.next(BOB)), line);
        }
        assert_eq!(text(backlog.next(ALICE)), "CaughtUp");
    }

    #[test]
    fn whoever_falls_off_the_end_is_too_slow() {
        let backlog = Backlog::new(2 * batch("12345").memory_bytes());
        backlog.fall_behind(ALICE, stream(), &batch("12345"));
        assert_eq!(publish(&backlog, "67890"), (vec![], vec![]));
        backlog.fall_behind(BOB, stream(), &batch(""));
        assert_eq!(publish(&backlog, "abcde"), (vec![], vec![ALICE]));
        assert_eq!(text(backlog.next(ALICE)), "GivenUp");
        assert_eq!(text(backlog.next(BOB)), "abcde\n");
    }

    #[test]
    fn who_takes_nothing_does_not_count_as_a_reader_for_long() {
        let backlog = Backlog::new(1 << 20);
        let recently = Duration::from_millis(100);
        backlog.fall_behind(ALICE, stream(), &batch("one"));
        let now = Instant::now();
        assert_eq!(backlog.lock().readers(Duration::MAX, now), 1);
        assert_eq!(backlog.lock().readers(recently, now + recently), 0);
    }

    #[test]
    fn nobody_falls_off_the_end_once_the_server_ends() {
        let backlog = Backlog::new(1);
        backlog.fall_behind(ALICE, stream(), &batch("one"));
        backlog.lift_bounds();
        assert_eq!(publish(&backlog, "two"), (vec![], vec![]));
        assert_eq!(text(backlog.next(ALICE)), "two\n");
    }

    #[test]
    fn nothing_is_kept_for_those_who_fell_off() {
        let backlog = Backlog::new(1);
        backlog.fall_behind(ALICE, stream(), &batch("one"));
        assert_eq!(publish(&backlog, "two"), (vec![], vec![ALICE]));
        let state = backlog.lock();
        assert_eq!((state.log.len(), state.bytes), (0, 0));
    }

    #[test]
    fn who_left_gets_what_came_before_and_nothing_after() {
        let backlog = Backlog::new(100);
        backlog.fall_behind(ALICE, stream(), &batch("one"));
        publish(&backlog, "goodbye");
        assert!(backlog.finish(ALICE, false));
        publish(&backlog, "for others");
        assert_eq!(text(backlog.next(ALICE)), "goodbye\n");
        assert_eq!(text(backlog.next(ALICE)), "Finished { deaf: false }");
        assert!(!backlog.finish(ALICE, false), "it is not behind any more");
        assert_eq!(publish(&backlog, "more"), (vec![], vec![]), "it does not come back");
    }

    #[test]
    fn who_is_given_up_after_leaving_is_cut_off_all_the_same() {
        let backlog = Backlog::new(100);
        let (stream, _peer) = connection();
        backlog.fall_behind(ALICE, Arc::clone(&stream), &batch("one"));
        assert!(backlog.progress(ALICE, true));
        assert!(backlog.finish(ALICE, false));
        assert!(backlog.progress(ALICE, true), "for a while");
        backlog.give_up(ALICE);
        assert!(!backlog.progress(ALICE, true));
        assert_eq!((&*stream).read(&mut [0; 1]).unwrap(), 0, "shut down here");
    }
}
