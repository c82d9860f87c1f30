//! Behind: the recipients that have not received everything yet, and the place of each of them in the log.
//!
//! In this module, text counts as received once the recipient's socket has accepted the text. If the socket does
//! not accept all of a batch, the recipient is *behind*. From then on the writer appends each batch to one
//! [log](super::log). The recipient has a place in the log: the number of the batch that it is receiving, and the
//! number of bytes of this batch that it has received. When `poll` reports that the recipient's socket has space
//! again, the writer sends it more from the log. So a thousand stalled clients cost one log, no additional threads,
//! and very little time.
//!
//! ```text
//! log      | batch 7 | batch 8 | batch 9 | batch 10 |   <─ the writer appends each batch
//! carol         ^ 1,200 bytes received
//! dave                              ^ 0 bytes received: current again after batch 10
//! ```
//!
//! The log contains the common text of the batches. The edits of a recipient, with its private text, are kept with
//! that recipient. Each edit is dropped once the recipient has received it.
//!
//! A recipient is too slow if the log has dropped a batch that the recipient still needs, or if the recipient has
//! received nothing for ten seconds. A recipient that has left has a total of ten seconds to receive the rest.
//!
//! Private text has a memory limit of its own. The private text of one recipient may use at most half as much
//! memory as is still free. A recipient with more private text than this is [overloaded](Client::is_overloaded):
//! the server refuses further private messages to it, but does not disconnect it. (Other servers do not know who is
//! overloaded here. If a member of another server sends a private message to an overloaded recipient, that
//! recipient is disconnected as too slow.) So one recipient can use a third of this memory, and two recipients can
//! use a quarter each. Some memory is always left for the next recipient. (Network switches limit the queues in
//! their shared memory in the same way, with a *dynamic threshold*.)
//!
//! Only the writer uses this module, so there is no lock.
//!
//! `poll` reports a socket as writable only when a third of its buffer is free. A client that reads only a few
//! kilobytes a second can need more than ten seconds to free this much. So from time to time the writer also tries
//! a recipient whose socket `poll` does not report. The longer a recipient goes without receiving anything, the
//! less often the writer tries it.
//!
//! This module grew from step 12 of the [course](crate::lessons).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::batch::{Batch, Edits, Total, View};
use super::client::{Client, ClientId};
use super::log::Log;
use super::part::send_view;
use crate::protocol::replies::LeaveReason;
use crate::system::poll::Poll;

/// The time after which a recipient that receives nothing is too slow.
const MAX_STALL: Duration = Duration::from_secs(10);

/// The time within which a client that has left must receive the rest of its text.
const LEAVING_TIME: Duration = Duration::from_secs(10);

/// The pause between two offers while recipients receive text.
const OFFER_INTERVAL: Duration = Duration::from_millis(5);

/// The maximum pause between two offers while no recipient receives anything. The pause doubles from offer to
/// offer, up to this time. It is longer only if the offers themselves take long.
const MAX_OFFER_INTERVAL: Duration = Duration::from_millis(40);

/// The maximum duration of one offer. After this time, the writer sends to the current recipients again.
const OFFER_TIME: Duration = Duration::from_millis(5);

/// The maximum number of batches that one call of [`send_view`] sends.
const BATCHES_AT_ONCE: usize = 64;

/// A recipient that receives nothing is offered text from time to time, even if `poll` does not report its socket.
/// The pause between these offers is half of the time since the recipient last received something. These two
/// constants are the shortest and the longest pause.
const MIN_TRY_INTERVAL: Duration = Duration::from_millis(20);
const MAX_TRY_INTERVAL: Duration = Duration::from_secs(1);

/// The time within which a recipient must have received something to count as still reading.
const RECENTLY: Duration = Duration::from_secs(1);

/// The largest step by which the [`Clock`] can advance.
const MAX_STEP: Duration = Duration::from_millis(250);

/// All recipients that are behind, and the log of the batches that they have not received.
#[derive(Debug)]
pub struct Behind {
    laggards: BTreeMap<ClientId, Laggard>,
    log: Log,
    /// The maximum number of bytes of private text that are kept for all recipients together.
    private_limit: usize,
    delivered: Total,
    clock: Clock,
    poll: Poll,
    /// The time at which the next offer is due.
    next_offer: Instant,
    /// The last pause between two offers.
    interval: Duration,
    /// The recipient that had the last turn in an offer.
    last_offered: ClientId,
}

/// A recipient that is behind.
#[derive(Debug)]
struct Laggard {
    client: Arc<Client>,
    /// The number of the batch that the recipient is receiving.
    batch: u64,
    /// The number of bytes that the recipient has received of its view of that batch.
    taken: usize,
    /// The time at which the recipient last received something, measured with the [`Clock`].
    took_at: Duration,
    /// The time of the last offer to the recipient, measured with the [`Clock`].
    tried_at: Duration,
    /// Whether the recipient fell behind while its view had private text. The writer does not wait for such a
    /// recipient.
    on_private: bool,
    /// The edits for the recipient, each with the number of its batch.
    own: VecDeque<(u64, Edits)>,
    /// The amount of memory that these edits use, as counted against `private_limit`: see [`cost`].
    private: usize,
    leaving: Option<Leaving>,
}

/// A client that has left while it was behind.
#[derive(Debug)]
struct Leaving {
    reason: LeaveReason,
    /// The number of the last batch that the client receives.
    last: u64,
    /// The time by which the client must have received the rest, measured with the [`Clock`].
    until: Duration,
}

/// The reason why a recipient is no longer behind.
#[derive(Debug)]
pub enum Outcome {
    /// The recipient has received everything. The next round sends to it again.
    Current,
    /// The recipient has left the room, and has received everything up to its final line.
    Left(LeaveReason),
    /// The recipient is too slow.
    TooSlow,
    /// The recipient's connection is broken.
    Lost(io::Error),
}

impl Behind {
    /// Makes a `Behind` without recipients. Its log can use up to `limit` bytes. In addition, up to `limit` bytes
    /// of private text can be kept.
    pub fn new(limit: usize) -> Self {
        let now = Instant::now();
        Self {
            laggards: BTreeMap::new(),
            log: Log::new(limit),
            private_limit: limit,
            delivered: Total::default(),
            clock: Clock { running: Duration::ZERO, read: now },
            poll: Poll::default(),
            next_offer: now,
            interval: OFFER_INTERVAL,
            last_offered: ClientId::new(0),
        }
    }

    /// Returns whether nobody is behind.
    pub fn is_empty(&self) -> bool {
        self.laggards.is_empty()
    }

    /// Returns the number of recipients that are behind.
    pub fn len(&self) -> usize {
        self.laggards.len()
    }

    /// Returns the amount of text that recipients have received while they were behind. A view counts only after
    /// all of it has been received.
    pub fn delivered(&self) -> Total {
        self.delivered
    }

    /// Returns the number of bytes that the log uses of its limit.
    pub fn bytes(&self) -> usize {
        self.log.bytes()
    }

    /// Returns the time until the next offer is due, or `None` if nobody is behind.
    pub fn until_offer(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| self.next_offer.saturating_duration_since(Instant::now()))
    }

    /// Adds a recipient that has fallen behind: its socket accepted only `taken` bytes of its view of a batch.
    /// `has_private` tells whether this view has private text. The batch must be passed to [`Behind::keep`] next.
    pub fn add(&mut self, client: Arc<Client>, taken: usize, has_private: bool) {
        client.is_behind.store(true, Relaxed);
        let now = self.clock.now();
        let batch = self.log.end();
        let laggard = Laggard {
            client,
            batch,
            taken,
            took_at: now,
            tried_at: now,
            on_private: has_private,
            own: VecDeque::new(),
            private: 0,
            leaving: None,
        };
        let soon = Instant::now() + OFFER_INTERVAL;
        self.next_offer = if self.is_empty() { soon } else { self.next_offer.min(soon) };
        self.interval = OFFER_INTERVAL;
        self.laggards.insert(laggard.client.id, laggard);
    }

    /// Appends the batch to the log, and keeps the edits of the recipients that are behind. Does nothing if nobody
    /// is behind.
    pub fn keep(&mut self, batch: &Batch) {
        if self.is_empty() {
            return;
        }
        let number = self.log.end();
        let mut has_own = false;
        for id in batch.edited() {
            let Some(laggard) = self.laggards.get_mut(&id) else { continue };
            let edits = batch.copy_edits(id);
            laggard.private += cost(&edits);
            laggard.own.push_back((number, edits));
            has_own = true;
        }
        // If neither is the case, the batch contains only private text for other clients.
        if has_own || !batch.common().is_empty() {
            self.log.append(batch.copy_common());
        }
        if has_own {
            self.note_loads();
        }
    }

    /// Makes the newest batch in the log the last batch that this recipient receives. Does nothing if the recipient
    /// is not behind.
    pub fn leave(&mut self, id: ClientId, reason: LeaveReason) {
        let last = self.log.end().saturating_sub(1);
        let until = self.clock.now() + LEAVING_TIME;
        if let Some(laggard) = self.laggards.get_mut(&id) {
            laggard.leaving.get_or_insert(Leaving { reason, last, until });
        }
    }

    /// Does the same as [`Behind::leave`] for all recipients that are behind.
    pub fn leave_all(&mut self) {
        for id in self.laggards.keys().copied().collect::<Vec<_>>() {
            self.leave(id, LeaveReason::Quit);
        }
    }

    /// Removes a recipient. Returns `None` if it is not behind.
    pub fn remove(&mut self, id: ClientId) -> Option<Arc<Client>> {
        let laggard = self.laggards.remove(&id)?;
        laggard.client.is_overloaded.store(false, Relaxed);
        self.forget_taken();
        Some(laggard.client)
    }

    /// Returns the number of recipients that are behind and still read. Recipients that have left, or that fell
    /// behind on private text, do not count. Returns 0 until the log [is filling](Log::is_filling).
    pub fn readers(&mut self) -> usize {
        if !self.log.is_filling() {
            return 0;
        }
        let now = self.clock.now();
        let reads = |laggard: &&Laggard| {
            laggard.leaving.is_none()
                && !laggard.on_private
                && now.saturating_sub(laggard.took_at) < RECENTLY
        };
        self.laggards.values().filter(reads).count()
    }

    /// Returns how long ago the last text was received by any recipient that is behind, or `None` if nobody is
    /// behind.
    pub fn stalled_for(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        Some(now.saturating_sub(self.laggards.values().map(|laggard| laggard.took_at).max()?))
    }

    /// Blocks until the socket of a recipient has space, but at most for `wait`. Then sends the recipients, one
    /// after another, as much of the missing text as their sockets accept. Adds the recipients that are no longer
    /// behind to `outcomes`.
    pub fn offer(&mut self, wait: Duration, outcomes: &mut Vec<(Arc<Client>, Outcome)>) {
        let turns = self.turns(wait);
        let (start, now) = (Instant::now(), self.clock.now());
        let (mut progress, mut is_done) = (false, true);
        for id in turns {
            if start.elapsed() > OFFER_TIME {
                is_done = false;
                break;
            }
            self.last_offered = id;
            let Some(laggard) = self.laggards.get_mut(&id) else { continue };
            let outcome = if laggard.has_missed(&self.log) {
                Some(Outcome::TooSlow)
            } else {
                let before = (laggard.batch, laggard.taken);
                let outcome = laggard.take(&self.log, start + OFFER_TIME, &mut self.delivered);
                laggard.tried_at = now;
                if (laggard.batch, laggard.taken) != before {
                    laggard.took_at = now;
                    progress = true;
                }
                // The recipient could have waited long for its turn. So the offer comes first: only the offer shows
                // whether the socket still accepts nothing.
                outcome.or_else(|| laggard.is_too_late(now).then_some(Outcome::TooSlow))
            };
            outcomes.extend(outcome.map(|outcome| (Arc::clone(&laggard.client), outcome)));
        }
        for (client, _) in &*outcomes {
            self.laggards.remove(&client.id);
            client.is_overloaded.store(false, Relaxed);
        }
        self.forget_taken();
        let mut pause = OFFER_INTERVAL;
        if !progress {
            // With this pause the offers use less than a tenth of the time, even when many recipients are behind. A
            // pause longer than the largest step of the clock would make the clock lose time.
            pause = (self.interval * 2).min(MAX_OFFER_INTERVAL);
            pause = pause.max(start.elapsed() * 10).min(MAX_STEP);
        }
        self.interval = pause.min(MAX_OFFER_INTERVAL);
        self.next_offer = if is_done { Instant::now() + pause } else { start };
    }

    /// Returns the recipients to which text must be offered now, in the order of their turns. The first turn goes
    /// to the next recipient after [`Behind::last_offered`]. Blocks first, as described for [`Behind::offer`].
    fn turns(&mut self, wait: Duration) -> Vec<ClientId> {
        let sockets = self.laggards.values().map(|laggard| &laggard.client.stream);
        let writable = self.poll.writable(sockets, wait);
        let now = self.clock.now();
        let wanted = |(laggard, writable): (&Laggard, bool)| {
            let pause = now.saturating_sub(laggard.took_at) / 2;
            let is_due = now.saturating_sub(laggard.tried_at)
                >= pause.clamp(MIN_TRY_INTERVAL, MAX_TRY_INTERVAL);
            let is_over = laggard.has_missed(&self.log) || laggard.is_too_late(now);
            (writable || is_due || is_over).then_some(laggard.client.id)
        };
        let mut turns: Vec<ClientId> =
            self.laggards.values().zip(writable).filter_map(wanted).collect();
        let after_last = turns.partition_point(|&id| id <= self.last_offered);
        turns.rotate_left(after_last);
        turns
    }

    /// Drops the batches that no recipient still needs.
    fn forget_taken(&mut self) {
        self.log.drop_before(self.laggards.values().map(|laggard| laggard.batch).min());
        self.note_loads();
    }

    /// Marks each recipient as overloaded if too much private text is kept for it, and as not overloaded otherwise.
    fn note_loads(&self) {
        let kept: usize = self.laggards.values().map(|laggard| laggard.private).sum();
        let share = self.private_limit.saturating_sub(kept) / 2;
        for laggard in self.laggards.values() {
            laggard.client.is_overloaded.store(laggard.private > share, Relaxed);
        }
    }
}

impl Laggard {
    /// Returns whether the log has dropped a batch that this recipient still needs.
    fn has_missed(&self, log: &Log) -> bool {
        self.batch < log.first()
    }

    /// Returns whether this recipient has received nothing for too long, or has left and has used up its time.
    fn is_too_late(&self, now: Duration) -> bool {
        let is_over = self.leaving.as_ref().is_some_and(|leaving| now > leaving.until);
        now.saturating_sub(self.took_at) > MAX_STALL || is_over
    }

    /// Sends the log to this recipient, beginning at the recipient's place, and moves this place forward. Stops
    /// when the socket accepts no more, or when `deadline` has passed. Returns an outcome if the recipient is no
    /// longer behind.
    ///
    /// In a quiet room, the log consists of a great many small batches. So one system call sends several of them.
    /// Sending all of them could take seconds, so there is a deadline.
    fn take(&mut self, log: &Log, deadline: Instant, delivered: &mut Total) -> Option<Outcome> {
        let none = Edits::default();
        loop {
            if let Some(leaving) = self.leaving.as_ref().filter(|left| self.batch > left.last) {
                return Some(Outcome::Left(leaving.reason));
            }
            if self.batch == log.end() {
                return Some(Outcome::Current);
            }
            if Instant::now() > deadline {
                return None;
            }
            let offered = self.views(log, &none).flatten();
            let taken = match send_view(&self.client.stream, offered, self.taken) {
                Ok(taken) => taken,
                Err(error) => return Some(Outcome::Lost(error)),
            };
            // Count how many whole batches the socket has accepted, and how many bytes of the next batch.
            let (mut whole, mut rest) = (0, taken.map_or(u64::MAX, |taken| taken as u64));
            for total in self.views(log, &none).map(|view| view.total()) {
                if total.bytes > rest {
                    break;
                }
                rest -= total.bytes;
                whole += 1;
                *delivered += total;
            }
            self.batch += whole;
            while self.own.front().is_some_and(|(number, _)| *number < self.batch)
                && let Some((_, edits)) = self.own.pop_front()
            {
                self.private -= cost(&edits);
            }
            self.taken = 0;
            if taken.is_some() {
                self.taken = usize::try_from(rest).unwrap_or(usize::MAX);
                return None;
            }
        }
    }

    /// Returns this recipient's views of the next batches. `none` stands for the edits of a batch that has no edits
    /// for this recipient.
    fn views<'a>(&'a self, log: &'a Log, none: &'a Edits) -> impl Iterator<Item = View<'a>> {
        let last = self.leaving.as_ref().map_or(u64::MAX, |leaving| leaving.last);
        let batches = (self.batch..=last).zip(log.from(self.batch)).take(BATCHES_AT_ONCE);
        batches.map(move |(number, batch)| {
            let own = self.own.binary_search_by_key(&number, |(number, _)| *number);
            batch.view(own.map_or(none, |place| &self.own[place].1))
        })
    }
}

/// Returns the amount of memory that these edits use, in bytes. Even edits without text use an entry in a queue.
/// The entry counts double, because the memory of the queue can be twice as large as its entries.
fn cost(edits: &Edits) -> usize {
    2 * size_of::<(u64, Edits)>() + edits.bytes()
}

/// Measures how long this process has been running. While the process is stopped or the computer sleeps, the
/// server sends nothing. So the clock leaves out that time, and no recipient becomes too slow because of it.
#[derive(Debug)]
struct Clock {
    running: Duration,
    /// The time at which the clock was last read.
    read: Instant,
}

impl Clock {
    fn now(&mut self) -> Duration {
        let now = Instant::now();
        self.running += now.saturating_duration_since(self.read).min(MAX_STEP);
        self.read = now;
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Common;
    use super::*;
    use crate::server::client::tests::connected;
    use std::io::Read;
    use std::net::TcpStream;

    /// Fills a client's socket. Adds the client as a recipient whose socket accepted nothing of the next batch.
    fn fall_behind(behind: &mut Behind, number: u64) -> (ClientId, TcpStream) {
        let (client, peer) = connected(number);
        let much = vec![b'x'; 64 << 20];
        while send_view(&client.stream, std::iter::once(&much[..]), 0).unwrap() != Some(0) {}
        let id = client.id;
        behind.add(client, 0, false);
        (id, peer)
    }

    fn batch(line: &str) -> Batch {
        let mut batch = Batch::default();
        batch.announce(line);
        batch.seal();
        batch
    }

    /// Returns the number of batches in the log.
    fn kept(behind: &Behind) -> u64 {
        behind.log.end() - behind.log.first()
    }

    /// Repeats the offer until a recipient has an outcome, and reads from its peer between the offers. Returns the
    /// outcome and the bytes that were read.
    fn offer_while_reading(behind: &mut Behind, peer: &mut TcpStream) -> (Outcome, Vec<u8>) {
        peer.set_nonblocking(true).unwrap();
        let (mut outcomes, mut read, mut buffer) = (Vec::new(), Vec::new(), vec![0; 1 << 20]);
        while outcomes.is_empty() {
            if let Ok(bytes) = peer.read(&mut buffer) {
                read.extend_from_slice(&buffer[..bytes]);
            }
            behind.offer(Duration::from_millis(1), &mut outcomes);
        }
        peer.set_nonblocking(false).unwrap();
        (outcomes.remove(0).1, read)
    }

    #[test]
    fn nothing_is_kept_while_nobody_is_behind() {
        let mut behind = Behind::new(1000);
        behind.keep(&batch("one"));
        assert_eq!((kept(&behind), behind.bytes()), (0, 0));
        assert_eq!(behind.until_offer(), None);
    }

    #[test]
    fn one_that_has_many_small_batches_to_take_does_not_take_them_all_in_one_offer() {
        // The total size of the batches is two megabytes. The socket has space for them.
        const BATCHES: u64 = 1_000_000;
        let mut behind = Behind::new(64 << 20);
        let (_, mut peer) = fall_behind(&mut behind, 1);
        peer.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 16];
        while peer.read(&mut buffer).is_ok() {}
        let small = batch("x");
        (0..BATCHES).for_each(|_| behind.keep(&small));
        let mut outcomes = Vec::new();
        behind.offer(Duration::ZERO, &mut outcomes);
        assert!(outcomes.is_empty(), "{outcomes:?}");
        let left = kept(&behind);
        assert!((1..BATCHES).contains(&left), "{left} batches are left");
        // The rest is offered later.
        while outcomes.is_empty() {
            while peer.read(&mut buffer).is_ok() {}
            behind.offer(Duration::from_millis(1), &mut outcomes);
        }
        assert!(matches!(outcomes[..], [(_, Outcome::Current)]), "{outcomes:?}");
    }

    #[test]
    fn one_that_reads_again_has_missed_nothing_and_is_current() {
        let mut behind = Behind::new(1000);
        let (_, mut peer) = fall_behind(&mut behind, 1);
        for line in ["two", "three"] {
            behind.keep(&batch(line));
        }
        let (outcome, _) = offer_while_reading(&mut behind, &mut peer);
        assert!(matches!(outcome, Outcome::Current), "{outcome:?}");
        assert_eq!((kept(&behind), behind.bytes()), (0, 0));
        drop(behind);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"two\nthree\n"));
    }

    #[test]
    fn one_whose_batch_was_dropped_is_too_slow_and_the_others_are_not() {
        let mut behind = Behind::new(10 + 2 * size_of::<Common>());
        let (slow, _slow) = fall_behind(&mut behind, 1);
        behind.keep(&batch("one"));
        behind.keep(&batch("two"));
        let (_, mut peer) = fall_behind(&mut behind, 2);
        behind.keep(&batch("three"));
        assert_eq!(behind.log.first(), 1);
        let mut outcomes = Vec::new();
        behind.offer(Duration::ZERO, &mut outcomes);
        let (client, outcome) = outcomes.remove(0);
        assert!(client.id == slow && matches!(outcome, Outcome::TooSlow), "{outcome:?}");
        // The batch is so small that the other recipient's socket could already have accepted it.
        let other = outcomes.pop().map(|(_, outcome)| outcome);
        let outcome = other.unwrap_or_else(|| offer_while_reading(&mut behind, &mut peer).0);
        assert!(matches!(outcome, Outcome::Current), "{outcome:?}");
    }

    #[test]
    fn one_that_has_left_gets_what_came_before_its_leave_and_no_more() {
        let mut behind = Behind::new(1000);
        let (id, mut peer) = fall_behind(&mut behind, 1);
        behind.keep(&batch("before"));
        behind.leave(id, LeaveReason::Quit);
        behind.keep(&batch("after"));
        let (outcome, _) = offer_while_reading(&mut behind, &mut peer);
        assert!(matches!(outcome, Outcome::Left(LeaveReason::Quit)), "{outcome:?}");
        drop(behind);
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"before\n"));
    }

    fn told(id: ClientId, bytes: usize) -> Batch {
        let mut batch = Batch::default();
        batch.show(id, "x".repeat(bytes));
        batch.seal();
        batch
    }

    #[test]
    fn private_text_is_kept_up_to_half_of_the_space_that_is_left_and_dropped_when_taken() {
        let mut behind = Behind::new(40_000_000);
        let is_overloaded =
            |behind: &Behind, id| behind.laggards[&id].client.is_overloaded.load(Relaxed);
        let (one, mut peer) = fall_behind(&mut behind, 1);
        behind.keep(&told(one, 13_000_000));
        assert!(!is_overloaded(&behind, one));
        behind.keep(&told(one, 1_000_000));
        assert!(is_overloaded(&behind, one));
        let (two, _two) = fall_behind(&mut behind, 2);
        behind.keep(&told(two, 8_000_000));
        assert!(!is_overloaded(&behind, two), "there is space left for others");
        behind.keep(&told(two, 2_000_000));
        assert!(is_overloaded(&behind, two));
        let client = Arc::clone(&behind.laggards[&one].client);
        let (outcome, _) = offer_while_reading(&mut behind, &mut peer);
        assert!(matches!(outcome, Outcome::Current), "{outcome:?}");
        assert!(!client.is_overloaded.load(Relaxed));
        assert!(!is_overloaded(&behind, two), "what the other has taken is space for this one");
        assert!(behind.log.bytes() < 1000, "only the batches that the other still needs");
    }

    #[test]
    fn what_is_for_others_alone_costs_nothing_and_what_says_little_costs_its_memory() {
        let mut behind = Behind::new(1 << 20);
        let (_, _peer) = fall_behind(&mut behind, 1);
        let mut others = Batch::default();
        others.show(ClientId::new(2), "pong");
        others.seal();
        behind.keep(&others);
        assert_eq!(kept(&behind), 0);
        (0..100_000).for_each(|_| behind.keep(&batch("")));
        assert!(kept(&behind) * (size_of::<Common>() as u64) < 1 << 20);
    }

    #[test]
    fn a_stall_is_measured_in_time_for_which_the_program_ran() {
        let mut behind = Behind::new(1000);
        let (_, _peer) = fall_behind(&mut behind, 1);
        // This is more than the socket accepts during the test.
        behind.keep(&batch(&"x".repeat(64 << 20)));
        // This has the same effect as stopping the process for an hour.
        behind.clock.read -= Duration::from_secs(3600);
        let mut outcomes = Vec::new();
        behind.offer(Duration::ZERO, &mut outcomes);
        assert!(outcomes.is_empty(), "{outcomes:?}");
        // The socket could still accept a little more text.
        while outcomes.is_empty() {
            behind.clock.running += 2 * MAX_STALL;
            behind.offer(Duration::ZERO, &mut outcomes);
        }
        assert!(matches!(outcomes[..], [(_, Outcome::TooSlow)]), "{outcomes:?}");
    }

    #[test]
    fn one_that_has_waited_long_for_its_turn_is_offered_the_rest_before_it_is_too_slow() {
        let mut behind = Behind::new(1000);
        let (_, mut peer) = fall_behind(&mut behind, 1);
        behind.keep(&batch("one"));
        peer.set_nonblocking(true).unwrap();
        let mut buffer = vec![0; 1 << 16];
        while peer.read(&mut buffer).is_ok() {}
        behind.clock.running += 2 * MAX_STALL;
        let mut outcomes = Vec::new();
        behind.offer(Duration::from_secs(60), &mut outcomes);
        assert!(matches!(outcomes[..], [(_, Outcome::Current)]), "{outcomes:?}");
    }
}
