//! The writer: the thread that has everybody in the room sent the same, in one order.
//!
//! It works in rounds. In each round it takes the batch that has gathered in the outbox, and sends each
//! recipient its view of that batch with one write that never waits. In a large room helpers share the work
//! ([`fan_out`](super::fan_out)). A recipient that does not take everything is [`behind`](super::behind) from
//! then on, and the round goes on without it. So nobody waits for anybody.
//!
//! Once a client is in the room, only the writer writes to its socket, or the helper that has the client's part
//! in this round. The writer knows bytes, who comes and who goes. It does not know what the bytes mean.
//!
//! Its thread is named `writer`. It ends after the farewell, and the shutdown waits for it.
//!
//! Grew from steps 11 and 12 of the [course](crate::lessons), its hold from step 13.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown::{Both, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::batch::{Batch, Change};
use super::behind::{Behind, Outcome};
use super::client::Client;
use super::fan_out::FanOut;
use super::part::Unfinished;
use super::shared::Shared;
use super::shutdown::{CLOSING_TIME, DELIVERED_AFTER, END_STALL};
use crate::protocol::replies::LeaveReason;
use crate::system::socket::limit_unacknowledged;

/// When more than half of the room is behind and still reads, the room is too fast. Then each round waits for
/// these readers, but at most for this time.
const HOLD_TIME: Duration = Duration::from_millis(50);

/// The writer is busy when it works for more than a quarter of the time: when it has waited for a batch less
/// than this many times as long as it worked on the batch before.
const REST: u32 = 3;

/// At the end, how long the writer waits for space in a socket before it looks at the time again.
const LAST_OFFER_TIME: Duration = Duration::from_millis(50);

/// How long the system keeps what a client that has left does not take. The client's place is free before
/// that, so without a limit those who leave and read nothing could fill the system's memory.
const UNTAKEN_TIME: Duration = Duration::from_secs(5);

/// The state of the writer's thread.
#[derive(Debug)]
pub struct Writer<'a> {
    shared: &'a Shared,
    current: FanOut,
    behind: Behind,
    /// Connections whose writing side is shut down, and when they are closed at the latest. The reference is
    /// weak, so a session that ends earlier closes its connection earlier.
    closing: VecDeque<(Instant, Weak<Client>)>,
    /// The outcomes of an offer. It is empty between rounds. It is a field so that its memory
    /// is used again.
    outcomes: Vec<(Arc<Client>, Outcome)>,
}

impl<'a> Writer<'a> {
    /// Makes the writer, and starts its helpers in `scope`.
    pub fn new(shared: &'a Shared, scope: &'a Scope<'a, '_>) -> Self {
        let options = &shared.options;
        Self {
            shared,
            current: FanOut::new(options.writers, options.writer_share, scope),
            behind: Behind::new(options.backlog),
            closing: VecDeque::new(),
            outcomes: Vec::new(),
        }
    }

    /// Delivers everything up to the farewell. Blocks on the outbox. When the room is too fast for most
    /// readers, also blocks for a moment in each round. Never blocks on one socket.
    ///
    /// # Panics
    ///
    /// When a helper has panicked.
    pub fn run(mut self) {
        // It changes places with the outbox's batch in each round, so a steady room allocates nothing.
        let mut batch = Arc::new(Batch::default());
        let mut is_too_fast = false;
        // How long the last round took, and how long the writer has waited since.
        let (mut worked, mut waited) = (Duration::ZERO, Duration::ZERO);
        loop {
            let filling =
                Arc::get_mut(&mut batch).expect("after a round nobody else has the batch");
            filling.clear();
            let asked = Instant::now();
            let is_last = self.shared.outbox.take(filling, self.timeout(), is_too_fast);
            let taken = Instant::now();
            waited += taken - asked;
            if !filling.is_empty() {
                let changes = filling.seal();
                self.round(&batch, changes, waited < REST * worked);
                (worked, waited) = (taken.elapsed(), Duration::ZERO);
            }
            if self.behind.until_offer() == Some(Duration::ZERO) {
                self.offer(Duration::ZERO);
            }
            self.close_the_late();
            let mut delivered = self.current.delivered();
            delivered += self.behind.delivered();
            self.shared.stats.set_delivered(delivered, self.behind.bytes());
            if is_last {
                return self.finish();
            }
            is_too_fast = self.hold();
        }
    }

    /// How long the writer may wait for the next batch before something else is due.
    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let closing = self.closing.front().map(|(until, _)| until.saturating_duration_since(now));
        closing.into_iter().chain(self.behind.until_offer()).min()
    }

    /// Sends a batch to all who are current, and keeps it for those who are behind.
    fn round(&mut self, batch: &Arc<Batch>, changes: Vec<Change>, is_busy: bool) {
        let mut left = Vec::new();
        for change in changes {
            match change {
                Change::Joined(client) => self.current.add(client),
                // The client still gets what was said before it left.
                Change::Left(id, reason) => left.push((id, reason)),
            }
        }
        self.current.send(batch, is_busy);
        for part in self.current.parts_mut() {
            for Unfinished { client, taken, has_private } in part.take_unfinished() {
                match taken {
                    Ok(taken) => self.behind.add(client, taken, has_private),
                    Err(error) => lose(&client, &error),
                }
            }
        }
        self.behind.keep(batch);
        for (id, reason) in left {
            if let Some(client) = self.current.remove(id) {
                self.end_writing(&client, reason);
            } else if reason.final_line().is_some() {
                self.behind.leave(id, reason);
            } else if let Some(client) = self.behind.remove(id) {
                self.end_writing(&client, reason);
            }
        }
    }

    /// Offers those who are behind what they have not taken yet. Blocks until one of their sockets has space,
    /// but at most for `wait`.
    fn offer(&mut self, wait: Duration) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.behind.offer(wait, &mut outcomes);
        for (client, outcome) in outcomes.drain(..) {
            match outcome {
                Outcome::Current => {
                    catch_up(&client);
                    self.current.add(client);
                }
                Outcome::Left(reason) => self.end_writing(&client, reason),
                Outcome::Lost(error) => lose(&client, &error),
                Outcome::TooSlow => {
                    self.shared.leave(&client, LeaveReason::TooSlow);
                    self.end_writing(&client, LeaveReason::TooSlow);
                }
            }
        }
        self.outcomes = outcomes;
    }

    /// When the room is too fast for most of its readers, waits for a moment until they have caught up.
    /// Returns whether some have not.
    fn hold(&mut self) -> bool {
        let half = self.current.count().midpoint(self.behind.len());
        if self.behind.len() <= half || self.behind.readers() <= half {
            return false;
        }
        let until = Instant::now() + HOLD_TIME;
        while self.behind.readers() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            self.offer(left);
        }
        false
    }

    /// Ends the writing to a client that has left. If it was sent a final line, it has a moment to read that
    /// and to close. Otherwise the connection ends at once.
    fn end_writing(&mut self, client: &Arc<Client>, reason: LeaveReason) {
        let is_told = reason.final_line().is_some();
        // This fails where the system does not have it.
        let _ = limit_unacknowledged(&client.stream, UNTAKEN_TIME);
        client.shut_down(if is_told { Write } else { Both });
        catch_up(client);
        if is_told {
            self.closing.push_back((Instant::now() + CLOSING_TIME, Arc::downgrade(client)));
        }
    }

    /// Closes the connections whose time to read the final line is over. Their sessions wake.
    fn close_the_late(&mut self) {
        let now = Instant::now();
        while self.closing.front().is_some_and(|(until, _)| *until <= now) {
            let late = self.closing.pop_front().and_then(|(_, client)| client.upgrade());
            if let Some(client) = late {
                client.shut_down(Both);
            }
        }
    }

    /// Ends the writing to all, after the farewell. Those who are behind and still read have time until the
    /// shutdown's deadline.
    fn finish(&mut self) {
        for part in self.current.parts_mut() {
            for client in part.drain() {
                client.shut_down(Write);
            }
        }
        self.behind.leave_all();
        let deadline = self.shared.shutdown.deadline(DELIVERED_AFTER);
        let began = Instant::now();
        while let Some(stall) = self.behind.stalled_for() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stall.min(began.elapsed()) > END_STALL {
                return;
            }
            self.offer(left.min(LAST_OFFER_TIME));
        }
    }
}

/// Lets the session of a client that has taken everything go on reading.
fn catch_up(client: &Client) {
    client.is_behind.store(false, Relaxed);
    client.wake();
}

/// Ends the connection of a client to which sending has failed. Its session reads what the peer had sent
/// before, to the end. Then the client leaves.
fn lose(client: &Client, error: &io::Error) {
    // A broken pipe means that the peer had closed cleanly, and that is no loss.
    client.is_lost.store(error.kind() != io::ErrorKind::BrokenPipe, Relaxed);
    client.shut_down(Both);
    catch_up(client);
}
