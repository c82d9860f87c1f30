//! The writer: the thread that sends everything to everybody in the room, in one order.
//!
//! The writer works in rounds. In each round it takes the batch that has gathered in the outbox, and sends each
//! recipient its view of that batch with one write that never waits. In a large room helpers share the work
//! ([`fan_out`](super::fan_out)). A recipient whose socket does not accept everything is [`behind`](super::behind)
//! from then on, and the round continues without it. So no recipient waits for another.
//!
//! Once a client is in the room, only the writer, or the helper that has the client's part in this round, writes
//! to the client's socket. The writer sees only bytes, and the lists of the clients that join and leave. It does
//! not know what the bytes mean.
//!
//! The thread is named `writer`. It ends after the farewell, and the shutdown waits until it has ended.
//!
//! This module grew from steps 11 and 12 of the [course](crate::lessons), and the function `hold` grew from step
//! 13.

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

/// The maximum time for which the writer waits for slow readers after a round. The writer waits only if the room
/// is too fast, which means that more than half of the recipients are behind and still read.
const HOLD_TIME: Duration = Duration::from_millis(50);

/// The writer counts as busy if its wait for a batch was shorter than this factor times its work on the previous
/// batch. It then works for more than a quarter of the time.
const REST: u32 = 3;

/// The maximum time for which, during the shutdown, the writer waits for space in a socket before it checks the
/// deadline again.
const LAST_OFFER_TIME: Duration = Duration::from_millis(50);

/// The time for which the system keeps text that a client has not acknowledged when it leaves. The place of this
/// client can be used by another client before this time is over. So without a limit, clients that leave and read
/// nothing could fill the system's memory.
const UNTAKEN_TIME: Duration = Duration::from_secs(5);

/// The state of the writer's thread.
#[derive(Debug)]
pub struct Writer<'a> {
    shared: &'a Shared,
    current: FanOut,
    behind: Behind,
    /// Connections whose sending half is shut down, each with the time when the writer closes it. The
    /// references are weak. So a session that ends earlier closes its connection earlier.
    closing: VecDeque<(Instant, Weak<Client>)>,
    /// The outcomes of an offer. The vector is empty between offers. It is a field so that its memory is
    /// reused.
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

    /// Delivers everything up to the farewell. Blocks while the outbox is empty. If the room is too fast for most
    /// readers, the writer also waits for these readers after each round, for at most 50 milliseconds. Never
    /// blocks in a send.
    ///
    /// # Panics
    ///
    /// Panics if a helper has panicked.
    pub fn run(mut self) {
        // Each round swaps this batch with the batch in the outbox. So the memory of both is reused, and a
        // steady room allocates nothing.
        let mut batch = Arc::new(Batch::default());
        let mut is_too_fast = false;
        // The duration of the last round, and the time that the writer has spent waiting since then.
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

    /// Returns the time for which the writer can wait for the next batch before something else is due.
    fn timeout(&self) -> Option<Duration> {
        let now = Instant::now();
        let closing = self.closing.front().map(|(until, _)| until.saturating_duration_since(now));
        closing.into_iter().chain(self.behind.until_offer()).min()
    }

    /// Sends a batch to all recipients that are current, and keeps it for the recipients that are behind.
    fn round(&mut self, batch: &Arc<Batch>, changes: Vec<Change>, is_busy: bool) {
        let mut left = Vec::new();
        for change in changes {
            match change {
                Change::Joined(client) => self.current.add(client),
                // The client is removed after the round, because it still receives the text from before its leave.
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

    /// Sends more text to the recipients that are behind. Blocks until one of their sockets has space, but at
    /// most for `wait`.
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

    /// If the room is too fast for more than half of the recipients, this function waits until the slow readers
    /// have caught up, but at most for [`HOLD_TIME`]. Returns whether some readers are still behind after that
    /// time.
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

    /// Stops sending to a client that has left. If the reason for the leave has a final line, the client has
    /// [`CLOSING_TIME`] to read that line and to close the connection. Otherwise the connection is shut down at
    /// once.
    fn end_writing(&mut self, client: &Arc<Client>, reason: LeaveReason) {
        let is_told = reason.final_line().is_some();
        // This fails on systems that do not have the option.
        let _ = limit_unacknowledged(&client.stream, UNTAKEN_TIME);
        client.shut_down(if is_told { Write } else { Both });
        catch_up(client);
        if is_told {
            self.closing.push_back((Instant::now() + CLOSING_TIME, Arc::downgrade(client)));
        }
    }

    /// Shuts down the connections whose time to read the final line is over. This wakes their sessions.
    fn close_the_late(&mut self) {
        let now = Instant::now();
        while self.closing.front().is_some_and(|(until, _)| *until <= now) {
            let late = self.closing.pop_front().and_then(|(_, client)| client.upgrade());
            if let Some(client) = late {
                client.shut_down(Both);
            }
        }
    }

    /// Stops sending to all clients, after the farewell. Clients that are behind and still read have time until
    /// the shutdown's deadline.
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

/// Marks a client as no longer behind, and wakes its session.
fn catch_up(client: &Client) {
    client.is_behind.store(false, Relaxed);
    client.wake();
}

/// Shuts down the connection of a client to which a send has failed. The client's session reads what the peer
/// had sent before. Then the client leaves.
fn lose(client: &Client, error: &io::Error) {
    // A broken pipe means that the peer had closed cleanly. Such a connection does not count as lost.
    client.is_lost.store(error.kind() != io::ErrorKind::BrokenPipe, Relaxed);
    client.shut_down(Both);
    catch_up(client);
}
