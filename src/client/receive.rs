//! The receive thread: it connects, logs in, and shows what the server sends.
//!
//! This thread blocks in `read` on the socket. It wakes when bytes arrive, when the stream ends, and when the
//! send thread shuts a broken connection down. The thread takes the lock once for all bytes from one `read`, and
//! these bytes are shown together. While too much text waits to be shown, this thread does not read. So TCP slows
//! the server down to the speed of the output.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use super::link::{LOGIN_TIMEOUT, Phase};
use super::options::Options;
use super::{Client, Outcome, READ_BYTES, Shared};
use crate::arguments::Endpoint;
use crate::protocol::MAX_SERVER_LINE_BYTES;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::socket::{DeadPeer, connect, detect_dead_peer, read};

/// The time limit for an attempt to connect to one address. After this time, the client tries the next address of
/// the host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The client gives up a vanished server after a minute of silence and three unanswered probes. But it never
/// gives up a server that answers the probes and does not read: a rate limit may be the reason.
/// `TCP_USER_TIMEOUT` would also end the connection to such a server, so that option is not set.
const DEAD_SERVER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::ZERO,
};

/// The maximum time for which a nickname stays taken after its connection is lost. The server may need this time
/// to notice that the connection is dead.
const GHOST_TIMEOUT: Duration = Duration::from_secs(150);

/// The first and the longest pause before the client connects again. Each pause is twice as long as the previous
/// pause, up to the longest pause. So the client soon finds a server that restarts, and does not disturb a server
/// that is down for a long time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The body of the receive thread.
pub(super) fn receive_loop(client: &Client) -> Outcome {
    let Options { endpoint, reconnect, .. } = &client.options;
    let is_named = |shared: &Shared| shared.link.phase != Phase::Unnamed;
    client.wait_until(is_named);
    client.change(|shared| shared.terminal.note(&format!("Connecting to {endpoint}...")));
    let mut pause = FIRST_PAUSE;
    loop {
        let stream = connect((endpoint.host.as_str(), endpoint.port), CONNECT_TIMEOUT);
        let stream = stream.map_err(|error| not_connected(endpoint, &error));
        let outcome = stream.map_or_else(Outcome::Lost, |stream| chat(client, &Arc::new(stream)));
        let why = match outcome {
            Outcome::Lost(why) if *reconnect => why,
            outcome => return outcome,
        };
        // When a server goes down, its clients should not all connect again at the same moment. So each pause is
        // varied at random. The nanoseconds of the clock are random enough for this.
        let nanoseconds = UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
        let wait = pause.mul_f64(0.75 + f64::from(nanoseconds) / 2e9);
        let why = why.lines().next().unwrap_or_default().trim_end_matches('.');
        client.change(|shared| {
            if shared.link.phase == Phase::Chatting {
                pause = FIRST_PAUSE;
            }
            shared.disconnected();
            shared.terminal.status(&format!("{why}. Trying again in {:.1} s.", wait.as_secs_f64()));
        });
        thread::sleep(wait);
        client.wait_until(is_named);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Returns an error message that says why there is no connection. For some errors, a second line advises the
/// user.
fn not_connected(endpoint: &Endpoint, error: &io::Error) -> String {
    let why = format!("Could not connect to server at {endpoint}");
    let advice = "Make sure the server is running!";
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{why}\n{advice}"),
        io::ErrorKind::AddrInUse => format!("{why}: nobody listens there\n{advice}"),
        _ => format!("{why}: {error}"),
    }
}

/// Handles one connection until it ends.
fn chat(client: &Client, stream: &Arc<TcpStream>) -> Outcome {
    // If the system refuses these options, the client notices a dead server only when it sends something.
    let _ = detect_dead_peer(stream, DEAD_SERVER);
    client.change(|Shared { link, terminal, .. }| {
        terminal.status("");
        terminal.note("Connected successfully!");
        if link.last_seen.is_none() {
            terminal.note("Type a line to talk. /help lists the commands, /quit leaves.");
        }
        link.connected(Arc::clone(stream));
    });
    let mut decoder = LineDecoder::new(MAX_SERVER_LINE_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = read(stream, &mut buffer);
        let taken = client.change(|shared| {
            let mut input = &buffer[..*read.as_ref().unwrap_or(&0)];
            while let Some(frame) = decoder.next(&mut input) {
                shared.take(&frame, &client.options)?;
            }
            if read.as_ref().is_ok_and(|&bytes| bytes > 0) {
                return Ok(());
            }
            // The last line is handled even if it has no line end.
            if let Some(frame) = decoder.finish() {
                shared.take(&frame, &client.options)?;
            }
            Err(shared.end(read.err()))
        });
        if let Err(outcome) = taken {
            return outcome;
        }
        // If the terminal is slower than the server, this thread reads less, and TCP slows the server down.
        client.wait_until(|shared| !shared.terminal.is_full());
    }
}

impl Shared {
    /// Handles a line from the server. Some lines change the state of the connection. Most lines are only shown.
    ///
    /// # Errors
    ///
    /// If the line ends the connection, returns how the connection ends.
    fn take(&mut self, frame: &Frame<'_>, options: &Options) -> Result<(), Outcome> {
        let Self { link, terminal, .. } = self;
        // Servers do not send timing marks, which are only for telnet. So this frame is a line that cannot be
        // shown.
        let Frame::Line(line) = *frame else {
            terminal.note("Skipped a line that was too long or not UTF-8.");
            return Ok(());
        };
        let farewells = [replies::GOODBYE, replies::KICKED];
        link.farewell = farewells.into_iter().find(|words| *words == line);
        let hides_notices = &mut terminal.transcript.hides_notices;
        if link.confirm(line) {
            *hides_notices = false;
            return Ok(());
        }
        // With `--silent`, the notices about this user's own join and leave are hidden. The notices about the
        // join begin with the welcome, and end with the answer to the first ping. The notices about the leave
        // begin with the goodbye.
        *hides_notices |= options.silent && [replies::CONNECTED, replies::GOODBYE].contains(&line);
        if link.phase == Phase::Login {
            if line == replies::ENTER_NICKNAME {
                link.send(&terminal.transcript.nickname);
                return Ok(());
            }
            if line.ends_with(replies::NICKNAME_QUESTION) {
                return self.refused(line, options);
            }
            if line == replies::CONNECTED {
                link.enter(Phase::Chatting);
                if options.silent {
                    link.ping();
                }
            }
        }
        link.refused += usize::from(!terminal.person_types && replies::is_refusal(line));
        terminal.show(line);
        Ok(())
    }

    /// Handles a refused nickname. If a person types the lines, the client asks this person for another nickname.
    ///
    /// # Errors
    ///
    /// Returns how the connection ends if there is no person to ask, or if the user's own lost connection may
    /// still have the nickname. In the second case, a later connection may get the nickname.
    fn refused(&mut self, line: &str, options: &Options) -> Result<(), Outcome> {
        let Self { link, terminal, .. } = self;
        let person = terminal.person_types;
        let is_ghost = !person || link.last_seen.is_some_and(|at| at.elapsed() < GHOST_TIMEOUT);
        if options.reconnect && is_ghost && line.contains(replies::IS_TAKEN) {
            let nickname = &terminal.transcript.nickname;
            return Err(Outcome::Lost(format!("The nickname {nickname} is still taken.")));
        }
        terminal.show(line);
        if !person {
            let why = "The server did not take the nickname.";
            return Err(Outcome::Failed(why.to_owned()));
        }
        link.enter(Phase::Unnamed);
        terminal.ask_nickname();
        Ok(())
    }

    /// Returns how the client or the connection ends, after the stream has ended. If the last `read` failed,
    /// `error` is its error.
    fn end(&mut self, error: Option<io::Error>) -> Outcome {
        let link = &mut self.link;
        Outcome::Lost(match (link.farewell, error) {
            (Some(replies::GOODBYE), _) => {
                link.take_until(link.sent());
                return Outcome::Done;
            }
            (Some(_kicked), _) => return Outcome::Failed("You were kicked.".to_owned()),
            _ if link.leaving && self.terminal.person_types => return Outcome::Done,
            _ if link.phase != Phase::Chatting && link.is_due() => {
                format!("The server did not answer for {} s.", LOGIN_TIMEOUT.as_secs())
            }
            (_, Some(error)) => format!("The connection is lost: {error}."),
            _ if link.leaving => {
                "The server did not say goodbye: not everything may have arrived.".to_owned()
            }
            _ => "The server closed the connection.".to_owned(),
        })
    }
}
