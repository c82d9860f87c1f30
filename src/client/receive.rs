//! The receive thread: it connects, logs in, and shows what the server sends.
//!
//! It blocks in `read` on the socket, and is woken by whatever comes, by the end of the stream, or by
//! the send thread, which shuts a broken connection down. All that one `read` returned is handled under
//! one lock and shown together. While the terminal takes no more output it waits for the send thread
//! to have drawn, and so for the terminal.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::link::Phase;
use super::{Client, Outcome, READ_BYTES, Shared};
use crate::arguments::Endpoint;
use crate::protocol::MAX_SERVER_LINE_BYTES;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::socket::{DeadPeer, detect_dead_peer, read};

/// How long one address may take to answer. The system by itself waits for minutes, and a name may
/// have several addresses; when it is over, the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// When a server that vanished without a word is given up: after a minute of silence and three
/// questions. How long it takes nothing is left open: it may be slowing this client down for its
/// rate, and `TCP_USER_TIMEOUT` counts that too.
const DEAD_SERVER: DeadPeer = DeadPeer {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    probes: 3,
    unacknowledged: Duration::ZERO,
};

/// How long a server may take for the login; one that accepts and is silent would keep a user forever.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long after a loss the nickname may still be held by the lost connection: as long as a server
/// needs to notice that nobody is there any more.
const GHOST_TIMEOUT: Duration = Duration::from_secs(150);

/// The first and the longest pause before connecting again. Each is twice the one before: a server
/// that starts again is found at once, and one that is away for long is not pestered.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the receive thread runs.
pub(super) fn receive_loop(client: &Client) -> Outcome {
    let Client { options, .. } = client;
    client.wait_until(|shared| shared.link.phase != Phase::Unnamed);
    client.change(|shared| shared.terminal.note(&format!("Connecting to {}...", options.endpoint)));
    let mut pause = FIRST_PAUSE;
    // When the room was last seen, if it ever was.
    let mut last_seen = None::<Instant>;
    loop {
        let mut session = Session {
            client,
            asked: false,
            joined: false,
            is_welcomed: false,
            final_line: None,
            last_seen,
        };
        let outcome = match connect(&options.endpoint) {
            Ok(stream) => session.run(&Arc::new(stream)),
            Err(error) => Outcome::Lost(not_connected(&options.endpoint, &error)),
        };
        if session.joined {
            (last_seen, pause) = (Some(Instant::now()), FIRST_PAUSE);
        }
        let why = match outcome {
            Outcome::Lost(why) if options.reconnect => why,
            outcome => return outcome,
        };
        let jittered = pause.mul_f64(0.75 + random() / 2.0);
        client.change(|shared| {
            shared.disconnected();
            let why = why.lines().next().unwrap_or_default().trim_end_matches('.');
            let text = format!("{why}. Trying again in {:.1} s.", jittered.as_secs_f64());
            shared.terminal.status(&text);
        });
        thread::sleep(jittered);
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Says why there is no connection, and what to do about it where that is known.
fn not_connected(endpoint: &Endpoint, error: &io::Error) -> String {
    let why = format!("Could not connect to server at {endpoint}");
    match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("{why}\nMake sure the server is running!"),
        io::ErrorKind::AddrInUse => {
            format!("{why}: nobody listens there\nMake sure the server is running!")
        }
        _ => format!("{why}: {error}"),
    }
}

/// Returns a random number from 0 to 1, so that a room of clients that lost their server together
/// does not come back in one storm. `std` has no generator, but the keys of its hash maps are random.
fn random() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// Connects to the first of the host's addresses that answers.
fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            // Where nobody listens, a port that the system gives to connections may become the client's
            // own: then it reaches itself (RFC 9293, 3.5: a simultaneous open).
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => {
                last_error = io::ErrorKind::AddrInUse.into();
            }
            Ok(stream) => {
                // macOS refuses it when the server has reset the connection already, which reading then says.
                let _ = stream.set_nodelay(true);
                // Where the system refuses, a dead server is noticed when something is sent to it.
                let _ = detect_dead_peer(&stream, DEAD_SERVER);
                return Ok(stream);
            }
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// One connection, from the server's question for the nickname to the end of the stream.
struct Session<'a> {
    client: &'a Client,
    /// The server has asked for a nickname.
    asked: bool,
    /// It has accepted one.
    joined: bool,
    /// The last line was the welcome.
    is_welcomed: bool,
    /// The last line, if it is one after which the server closes the connection.
    final_line: Option<&'static str>,
    /// When an earlier connection was lost, if there was one.
    last_seen: Option<Instant>,
}

impl Session<'_> {
    fn run(&mut self, stream: &Arc<TcpStream>) -> Outcome {
        self.client.change(|Shared { link, terminal, .. }| {
            terminal.status("");
            terminal.note("Connected successfully!");
            if self.last_seen.is_none() {
                terminal.note("Type a line to talk. /help lists the commands, /quit leaves.");
            }
            link.connected(Arc::clone(stream));
        });
        self.read_loop(stream)
    }

    fn read_loop(&mut self, stream: &TcpStream) -> Outcome {
        let client = self.client;
        let mut decoder = LineDecoder::new(MAX_SERVER_LINE_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        let mut asked = Instant::now();
        let mut is_limited = true;
        loop {
            if is_limited {
                // While a person is asked for a nickname, it is the server that waits.
                let in_login = client.lock().link.phase == Phase::Login;
                if !in_login {
                    asked = Instant::now();
                }
                let left =
                    LOGIN_TIMEOUT.saturating_sub(asked.elapsed()).max(Duration::from_millis(1));
                // A system that cannot set a timeout has none.
                let _ = stream.set_read_timeout(in_login.then_some(left));
                is_limited = !self.joined;
            }
            let read = match read(stream, &mut buffer) {
                // The timeout may be a moment early.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && asked.elapsed() < LOGIN_TIMEOUT =>
                {
                    continue;
                }
                read => read,
            };
            let bytes = read.as_ref().map_or(0, |&bytes| bytes);
            let (flow, shown) = client.change(|shared| {
                let mut input = &buffer[..bytes];
                let mut flow = ControlFlow::Continue(());
                while flow.is_continue()
                    && let Some(frame) = decoder.next(&mut input)
                {
                    flow = self.take(shared, &frame);
                }
                if bytes == 0
                    && let Some(frame) = decoder.finish()
                {
                    // A last line counts even without its end.
                    flow = self.take(shared, &frame);
                }
                if bytes == 0 && flow.is_continue() {
                    flow = ControlFlow::Break(self.end(shared, read.err()));
                }
                (flow, shared.terminal.take_output())
            });
            // Where no line is edited, this thread is the only one that writes.
            if let Err(error) = client.output.write_all(shown.as_bytes()) {
                let mut shared = client.lock();
                let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
                if is_closed && client.options.listen {
                    return Outcome::Done;
                }
                if is_closed && !shared.link.leaving() {
                    return Outcome::Failed("Nobody reads the output any more.".to_owned());
                }
                // What waits to be sent still is.
                shared.output_error = Some(error).filter(|_| !is_closed);
                shared.terminal.is_muted = true;
            }
            if let ControlFlow::Break(outcome) = flow {
                return outcome;
            }
            // A terminal that is slower than the server slows it down, by TCP.
            client.wait_until(|shared| !shared.terminal.is_full());
        }
    }

    /// Follows what a line means for the connection; most are only to be shown.
    fn take(&mut self, shared: &mut Shared, frame: &Frame<'_>) -> ControlFlow<Outcome> {
        let Shared { link, terminal, .. } = shared;
        let line = match *frame {
            Frame::Line(line) => line,
            // Of use to telnet alone.
            Frame::TimingMark => return ControlFlow::Continue(()),
            Frame::NotUtf8 | Frame::TooLong { .. } => {
                terminal.note("Skipped a line that was too long or not UTF-8.");
                return ControlFlow::Continue(());
            }
        };
        let program = !terminal.person_types;
        self.final_line =
            [replies::GOODBYE, replies::KICKED].into_iter().find(|words| *words == line);
        let phase = link.phase;
        if line == replies::ENTER_NICKNAME && phase == Phase::Login {
            // Asked and answered: nothing that anybody needs to see.
            self.asked = true;
            link.send(&terminal.transcript.nickname);
            return ControlFlow::Continue(());
        }
        if link.confirm(line) {
            return ControlFlow::Continue(());
        }
        link.refused += usize::from(program && replies::is_refusal(line));
        if phase == Phase::Login && line == replies::CONNECTED {
            self.joined = true;
            link.phase = Phase::Chatting;
        } else if phase == Phase::Login && line.ends_with(replies::NICKNAME_QUESTION) {
            let is_held = line.contains(replies::IS_TAKEN) && self.client.options.reconnect;
            if is_held && (program || self.last_seen.is_some_and(|at| at.elapsed() < GHOST_TIMEOUT))
            {
                let why = format!("The nickname {} is still taken.", terminal.transcript.nickname);
                return ControlFlow::Break(Outcome::Lost(why));
            }
            terminal.show(line);
            if program {
                let why = "The server did not take the nickname.";
                return ControlFlow::Break(Outcome::Failed(why.to_owned()));
            }
            link.phase = Phase::Refused;
            terminal.ask_nickname();
            return ControlFlow::Continue(());
        }
        // After the welcome comes the list of who is online.
        let is_login = line == replies::CONNECTED || std::mem::take(&mut self.is_welcomed);
        self.is_welcomed = line == replies::CONNECTED;
        if !self.client.options.silent || !is_login && line != replies::GOODBYE {
            terminal.show(line);
        }
        ControlFlow::Continue(())
    }

    /// Says how a stream ended.
    fn end(&self, shared: &mut Shared, error: Option<io::Error>) -> Outcome {
        let leaving = shared.link.leaving();
        match (self.final_line, error) {
            (Some(replies::GOODBYE), _) => {
                shared.link.unconfirmed.clear();
                Outcome::Done
            }
            (Some(_kicked), _) => Outcome::Failed("You were kicked.".to_owned()),
            _ if leaving && shared.terminal.person_types => Outcome::Done,
            (_, Some(error)) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Lost(
                format!("The server did not answer for {} s.", LOGIN_TIMEOUT.as_secs()),
            ),
            (_, Some(error)) => Outcome::Lost(format!("The connection is lost: {error}.")),
            // A tunnel to a server that is away takes a connection and closes it, a full server says so
            // and closes it: another time it may be there. Once it has asked for a nickname, and closes
            // without one, it does not want this one.
            (_, None) if self.asked && !self.joined => {
                Outcome::Failed("The server closed the connection.".to_owned())
            }
            _ if leaving => Outcome::Lost(
                "The server did not say goodbye: not everything may have arrived.".to_owned(),
            ),
            (_, None) => Outcome::Lost("The server closed the connection.".to_owned()),
        }
    }
}
