//! Session: the server's side of one client's connection, from the first line to the last.
//!
//! Each session has a thread of its own. It repeats the same steps: read input, wait for a rate token, cut a
//! line, act on the line. Before the client has a nickname, a line is an answer at the prompt
//! ([`login`](super::login)). Afterwards a line is a message or a command of a [`member`](super::member).
//!
//! The session blocks:
//!
//! - in `read`, until input arrives, the read times out, or the connection is shut down;
//! - in [`Client::wait_while`], until there is a rate token, and while its client is behind, because the server
//!   stops reading from a client that has stopped reading. The writer, a leave, or the shutdown wakes the
//!   session;
//! - in the outbox, until the writer has made space there.
//!
//! The session writes to the socket only until the client has joined. The client leaves exactly once, even if
//! the session panics.
//!
//! This module grew from the function `serve` in step 5 of the [course](crate::lessons), and from `Member` and
//! `drain` in step 8.

use std::io::ErrorKind::WouldBlock;
use std::net::Shutdown::Write;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::client::Client;
use super::input::Input;
use super::login::{Login, Step};
use super::member::{Cost, Member};
use super::rate::{JOIN_COST, TokenBucket, search_cost};
use super::shared::Shared;
use super::shutdown::CLOSING_TIME;
use crate::protocol::framing::Frame;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{self, LeaveReason};
use crate::system::socket::{is_gone, send_now};

/// The time for which a session still acts on received lines after the connection has broken. It is long enough to
/// deliver the messages of a bot that hangs up right after sending, and short enough that a dead connection soon loses
/// its nickname.
const GONE_TIME: Duration = Duration::from_secs(20);

/// When a client has used up its rate tokens, its session waits for at least this time. Then the session acts on as
/// many lines as there are tokens. Waking up for each line would cost far more than acting on the lines.
const MIN_RATE_WAIT: Duration = Duration::from_millis(100);

/// The way in which a session ends.
enum End {
    /// The client leaves, unless another thread has already made it leave.
    Left(LeaveReason),
    /// The client never joined. This line tells the client why the connection ends.
    TurnedAway(&'static str),
    /// The server is shutting down. Other threads send the farewell.
    Shutdown,
}

/// The result of one step of a session: either the session continues, or it ends as [`End`] says.
type Flow = ControlFlow<End>;

/// Whether the client is still at the nickname prompt or already in the room.
enum Phase<'a> {
    AtPrompt(Login),
    In(Member<'a>),
}

/// Serves one client until its connection has ended. The client's thread runs this function.
pub fn serve(shared: &Shared, client: &Arc<Client>) {
    client.adopt_thread();
    let _guard = LeaveGuard { shared, client };
    let mut session = Session {
        shared,
        client,
        bucket: TokenBucket::new(shared.options.rate, Instant::now()),
        phase: Phase::AtPrompt(Login::new(shared.options.login_timeout)),
        reserved: None,
        gone_since: None,
    };
    let mut input = Input::new(&shared.options);
    match session.read_loop(&mut input) {
        End::Left(reason) => shared.leave(client, reason),
        End::TurnedAway(line) => session.turn_away(line),
        End::Shutdown => client.wait_while(None, |_| !shared.shutdown.is_told()),
    }
    session.drain(&mut input);
    // If the shutdown ended the session, the client leaves here. The outbox is closed by then, so the leave is
    // only logged. In all other cases the client is not in the room, and this does nothing.
    shared.leave(client, LeaveReason::Quit);
}

/// Dropping this guard makes the client leave, if it has not left yet, and removes the client from the
/// registry. A panic also drops the guard.
struct LeaveGuard<'a> {
    shared: &'a Shared,
    client: &'a Client,
}

impl Drop for LeaveGuard<'_> {
    fn drop(&mut self) {
        self.shared.leave(self.client, LeaveReason::ConnectionLost);
        self.shared.registry.remove(self.client.id);
    }
}

struct Session<'a> {
    shared: &'a Shared,
    client: &'a Arc<Client>,
    bucket: TokenBucket,
    phase: Phase<'a>,
    /// The time at which the token that the session has reserved from its address is available. `None` if no
    /// token is reserved.
    reserved: Option<Instant>,
    /// The time at which the session, while it waited for a token, first noticed that the connection was
    /// broken.
    gone_since: Option<Instant>,
}

/// Reading input.
impl Session<'_> {
    fn read_loop(&mut self, input: &mut Input) -> End {
        if let Break(end) = self.write(format!("{}\n", replies::ENTER_NICKNAME).as_bytes()) {
            return end;
        }
        loop {
            if let Break(end) = self.read(input) {
                return end;
            }
        }
    }

    /// Reads once, and acts on every line that was read.
    fn read(&mut self, input: &mut Input) -> Flow {
        self.wait_until_caught_up();
        if let Some(left) = self.login_time()? {
            // This fails when the connection has ended. The read below then reports that.
            let _ = self.client.stream.set_read_timeout(Some(left));
        }
        let read = input.read(&self.client.stream);
        while !self.act_on_lines(input)? {
            self.wait_until_caught_up();
            self.wait_for_token()?;
        }
        let is_at_prompt = matches!(self.phase, Phase::AtPrompt(_));
        match read {
            Ok(0) if !self.client.is_lost.load(Relaxed) => Break(End::Left(LeaveReason::Quit)),
            Ok(1..) => Continue(()),
            // The time for the login is over. The next call of this function notices that.
            Err(error) if is_at_prompt && error.kind() == WouldBlock => Continue(()),
            Ok(0) | Err(_) => Break(End::Left(LeaveReason::ConnectionLost)),
        }
    }

    /// Acts on one line after another, and passes the messages on. Returns `true` if no line is left. Returns
    /// `false` if a line is left because the client is behind or has no token.
    fn act_on_lines(&mut self, input: &mut Input) -> ControlFlow<End, bool> {
        let Some(_in_flight) = self.shared.shutdown.enter() else { return Break(End::Shutdown) };
        let (mut flow, mut lines) = (Continue(()), 0);
        while flow.is_continue() && !input.is_exhausted() && self.may_act() {
            let Some(frame) = input.next_frame() else { break };
            flow = self.act(frame);
            lines += 1;
        }
        // A kibibyte without a line end costs as much as a line.
        self.charge(u32::try_from(input.take_endless()).unwrap_or(u32::MAX).into());
        self.shared.stats.lines_in.fetch_add(lines, Relaxed);
        if let Phase::In(member) = &mut self.phase {
            member.pass_on();
        }
        flow?;
        if self.client.has_left.load(Relaxed) {
            // Another thread made the client leave, with its own reason. That reason counts, and the reason
            // below is ignored.
            return Break(End::Left(LeaveReason::Quit));
        }
        Continue(input.is_exhausted())
    }

    /// Returns whether the session may now cut one more line from the input.
    fn may_act(&mut self) -> bool {
        let Client { has_left, is_behind, .. } = &**self.client;
        !has_left.load(Relaxed) && !is_behind.load(Relaxed) && self.time_to_token().is_zero()
    }

    /// Blocks while the client is behind. The writer, a leave, or the shutdown wakes the session.
    fn wait_until_caught_up(&self) {
        let is_ending = || self.shared.shutdown.has_begun();
        self.client.wait_while(None, |client| {
            client.is_behind.load(Relaxed) && !client.has_left.load(Relaxed) && !is_ending()
        });
    }

    /// Blocks until there is a token for the next line. A leave or the shutdown wakes the session.
    fn wait_for_token(&mut self) -> Flow {
        let (now, wait) = (Instant::now(), self.time_to_token());
        if wait.is_zero() {
            return Continue(());
        }
        // The wait for a token of the address can be longer than the time for the login. So the login's
        // deadline also ends this wait.
        let wait = self.login_time()?.map_or(wait, |left| left.min(wait));
        let is_ending = || self.shared.shutdown.has_begun();
        self.client
            .wait_while(Some(now + wait), |client| !client.has_left.load(Relaxed) && !is_ending());
        // A read would report a broken connection. The next read could be far in the future, so the socket is
        // checked here.
        if is_gone(&self.client.stream) && self.gone_since.get_or_insert(now).elapsed() > GONE_TIME
        {
            return Break(End::Left(LeaveReason::ConnectionLost));
        }
        Continue(())
    }

    /// Returns the time that is left for the login, or `None` once the client has joined. If no time is left,
    /// the session ends.
    fn login_time(&self) -> ControlFlow<End, Option<Duration>> {
        let Phase::AtPrompt(login) = &self.phase else { return Continue(None) };
        let left = login.deadline().saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Break(End::TurnedAway(replies::LOGIN_TIMEOUT));
        }
        Continue(Some(left))
    }

    /// Returns the time until both the client and its address have a token.
    fn time_to_token(&mut self) -> Duration {
        if self.shared.options.rate == 0 {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let own = self.bucket.wait(now);
        if !own.is_zero() {
            return own.max(MIN_RATE_WAIT);
        }
        let Some(quota) = &self.client.quota else { return own };
        let reserved = self.reserved.get_or_insert_with(|| now + quota.reserve(now));
        reserved.saturating_duration_since(now)
    }
}

/// Acting on lines.
impl Session<'_> {
    /// Acts on one frame that the client sent, and charges the client for it.
    fn act(&mut self, frame: Frame<'_>) -> Flow {
        let cost = match &mut self.phase {
            Phase::AtPrompt(login) => {
                let step = login.take(frame);
                self.step(step)?
            }
            Phase::In(member) => match member.take(frame) {
                Some(cost) => cost,
                None => return Break(End::Left(LeaveReason::Quit)),
            },
        };
        self.charge(search_cost(cost.searched));
        self.bucket.take(1.0);
        // The address has already paid the token that was reserved. A line that nobody sees costs the address
        // nothing else.
        if let Some(quota) = &self.client.quota {
            quota.charge_bytes(cost.delivered);
        }
        self.reserved = None;
        Continue(())
    }

    /// Takes tokens from both the client and its address.
    fn charge(&mut self, tokens: f64) {
        if tokens > 0.0 {
            self.bucket.take(tokens);
            if let Some(quota) = &self.client.quota {
                quota.charge(tokens);
            }
        }
    }

    /// Carries out the decision of the login.
    fn step(&mut self, step: Step) -> ControlFlow<End, Cost> {
        match step {
            Step::Answer(bytes) => self.write(&bytes)?,
            Step::Join(nickname) => return self.join(nickname),
            Step::Refuse { line, is_last } => {
                self.write(format!("{line}\n").as_bytes())?;
                if is_last {
                    return Break(End::TurnedAway(replies::TOO_MANY_TRIES));
                }
            }
            Step::TurnAway(line) => return Break(End::TurnedAway(line)),
        }
        Continue(Cost::default())
    }

    fn join(&mut self, nickname: Nickname) -> ControlFlow<End, Cost> {
        let client = self.client;
        // After the login, reads have no timeout. Removing the timeout fails if the connection has ended. The next
        // read reports the end.
        let _ = client.stream.set_read_timeout(None);
        let Phase::AtPrompt(login) = &mut self.phase else { return Continue(Cost::default()) };
        match self.shared.join(client, &nickname, login.deadline()) {
            Some(Err(_taken)) => {
                let step = login.refuse(&replies::nickname_taken(&nickname));
                self.step(step)
            }
            Some(Ok(delivered)) => {
                let address = client.address;
                self.shared.log.event(&format!("Nickname of client is {nickname} ({address})"));
                if let Some(quota) = &client.quota {
                    quota.charge(JOIN_COST);
                }
                self.phase = Phase::In(Member::new(self.shared, client, nickname));
                Continue(Cost { delivered, searched: 0 })
            }
            None if self.shared.shutdown.has_begun() => Break(End::Shutdown),
            None => Break(End::TurnedAway(replies::NO_LINK)),
        }
    }
}

/// Writing to a client that has not joined, and ending the connection.
impl Session<'_> {
    /// Sends bytes to a client that has not joined. Never blocks. As long as the peer reads, the bytes fit into
    /// the socket's buffer.
    fn write(&self, bytes: &[u8]) -> Flow {
        match send_now(&self.client.stream, bytes) {
            Ok(sent) if sent == bytes.len() => Continue(()),
            _ => Break(End::Left(LeaveReason::ConnectionLost)),
        }
    }

    /// Ends the connection of a client that never joined, with one last line.
    fn turn_away(&self, line: &str) {
        let Client { stream, address, .. } = &**self.client;
        self.shared.stats.turn_away(line);
        if line != replies::GOODBYE {
            let why = line.trim_start_matches(replies::NOTICE_PREFIX);
            self.shared.log.event(&format!("Turned {address} away: {why}"));
        }
        // These calls fail when the peer is gone. Then there is nothing left to do.
        let _ = self.write(format!("{line}\n").as_bytes());
        let _ = stream.shutdown(Write);
        let _ = stream.set_read_timeout(Some(CLOSING_TIME));
    }

    /// Discards further input until the peer, the writer or the shutdown closes the connection. If the peer
    /// keeps sending, this function returns after [`CLOSING_TIME`]. Closing a socket that has unread input
    /// would reset the connection, and a reset could destroy the last lines on their way to the peer.
    ///
    /// A flood is not read to its last byte, so closing the socket resets the connection. The reset tells the
    /// peer that nobody reads any more. Without a reset the peer would wait for a minute.
    fn drain(&self, input: &mut Input) {
        // The shutdown ends this wait, too.
        let is_told = || self.shared.shutdown.is_told();
        self.client.wait_while(None, |client| client.is_behind.load(Relaxed) && !is_told());
        let start = Instant::now();
        while start.elapsed() < CLOSING_TIME {
            if !matches!(input.read(&self.client.stream), Ok(1..)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::batch::Batch;
    use crate::server::client::tests::connected;
    use crate::server::operator::bans::Bans;
    use crate::server::operator::event_log::EventLog;
    use crate::server::operator::options::Options;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_leaves_as_every_other_end_of_a_session_does() {
        let shared = Shared::new(
            Options::default(),
            Bans::default(),
            EventLog::start(true, false).unwrap().0,
        );
        let (client, _peer) = connected(1);
        let alice = Nickname::parse("alice").unwrap();
        shared.registry.insert(&client);
        shared.outbox.append_for(&client, |room| room.join(&client, &alice)).unwrap().unwrap();

        let session = || {
            let _guard = LeaveGuard { shared: &shared, client: &client };
            panic!("the test's own");
        };
        catch_unwind(AssertUnwindSafe(session)).unwrap_err();

        let mut batch = Batch::default();
        shared.outbox.take(&mut batch, None, false);
        let notices = String::from_utf8_lossy(batch.common());
        assert_eq!(
            notices,
            "[SERVER] alice joined the chat!\n[SERVER] alice left the chat! (connection lost)\n"
        );
        assert_eq!(shared.outbox.look(|room| room.find("alice")), None, "the name is free");
        assert!(shared.registry.all().is_empty());
    }
}
