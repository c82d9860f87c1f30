//! The receive thread: it connects, logs in, and shows what the server sends.
//!
//! It blocks in `read` on the socket, and is woken by whatever comes, by the end of the stream, or by
//! the send thread, which shuts a broken connection down. All that one `read` returned is shown
//! together, in one write to the terminal.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::Client;
use super::link::Phase;
use crate::arguments::Endpoint;
use crate::protocol::MAX_SERVER_LINE_BYTES;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::socket::{DeadPeer, detect_dead_peer};

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

/// The most that one `read` takes, in bytes: what a flood leaves in the socket's buffer is shown in
/// a few large writes, not in many small ones.
const READ_BYTES: usize = 64 * 1024;

/// The first and the longest pause before connecting again. Each is twice the one before: a server
/// that starts again is found at once, and one that is away for long is not pestered.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a connection ended, or that there was none. The texts are sentences for a person.
pub(super) enum Ending {
    /// After `[SERVER] Goodbye!`, or because nobody reads what is printed any more (`client | head`).
    Left,
    /// The server does not want this client.
    Refused(String),
    /// The server is gone.
    Lost(String),
    /// No address took the connection; this is the last one's error.
    NotConnected(io::Error),
}

/// What the receive thread runs.
pub(super) fn receive_loop(client: &Client) -> Ending {
    let Client { options, link, terminal } = client;
    link.wait_while(&[Phase::Unnamed]);
    terminal.status(&format!("Connecting to {}...", options.endpoint));
    // Whether the room was ever seen: an address that is wrong is not tried again.
    let mut was_in = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let ending = match connect(&options.endpoint) {
            Ok(stream) => {
                terminal.status("Connected successfully!");
                if !was_in {
                    terminal.status("Type a line to talk. /help lists the commands, /quit leaves.");
                }
                let stream = Arc::new(stream);
                link.connected(Arc::clone(&stream));
                let mut session =
                    Session { client, offered: false, joined: false, final_line: None };
                let ending = session.read_loop(&stream);
                if session.joined {
                    (was_in, pause) = (true, FIRST_PAUSE);
                }
                ending
            }
            Err(error) => Ending::NotConnected(error),
        };
        let why = match &ending {
            Ending::Lost(why) if options.reconnect && was_in && !link.leaving() => why.clone(),
            Ending::NotConnected(error) if options.reconnect && was_in => format!("{error}."),
            _ => {
                link.enter(Phase::Over);
                return ending;
            }
        };
        link.enter(Phase::Connecting);
        let jittered = pause.mul_f64(0.75 + random() / 2.0);
        terminal.status(&format!("{why} Trying again in {:.1} s.", jittered.as_secs_f64()));
        thread::sleep(jittered);
        pause = LONGEST_PAUSE.min(pause * 2);
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
            Ok(stream) => {
                stream.set_nodelay(true)?;
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
    /// The nickname was sent on this connection.
    offered: bool,
    /// It was accepted.
    joined: bool,
    /// The last line, if it is one after which the server closes the connection.
    final_line: Option<&'static str>,
}

impl Session<'_> {
    fn read_loop(&mut self, mut stream: &TcpStream) -> Ending {
        let mut framing = LineDecoder::new(MAX_SERVER_LINE_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = match stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let bytes = read.as_ref().map_or(0, |&bytes| bytes);
            let (mut input, mut shown) = (&buffer[..bytes], Vec::new());
            let mut flow = ControlFlow::Continue(());
            while flow.is_continue()
                && let Some(received) = framing.next(&mut input)
            {
                flow = self.take(&received, &mut shown);
            }
            if bytes == 0
                && let Some(received) = framing.finish()
            {
                // A last line counts even without its end.
                flow = self.take(&received, &mut shown);
            }
            if self.client.terminal.show(&shown).is_err() && !self.client.link.leaving() {
                return Ending::Left;
            }
            match flow {
                ControlFlow::Break(ending) => return ending,
                ControlFlow::Continue(()) if bytes == 0 => return self.end(read.err()),
                ControlFlow::Continue(()) => {}
            }
            if self.client.link.phase() == Phase::Refused {
                self.client.terminal.ask_nickname();
            }
        }
    }

    /// Follows what a line means for the connection; most are only to be shown.
    fn take(&mut self, received: &Frame<'_>, shown: &mut Vec<String>) -> ControlFlow<Ending> {
        let client = self.client;
        let line = match *received {
            Frame::Line(line) => line,
            // Of use to telnet alone.
            Frame::TimingMark => return ControlFlow::Continue(()),
            Frame::NotUtf8 | Frame::TooLong { .. } => {
                client.terminal.status("Skipped a line that was too long or not UTF-8.");
                return ControlFlow::Continue(());
            }
        };
        self.final_line =
            [replies::GOODBYE, replies::KICKED].into_iter().find(|words| *words == line);
        let phase = client.link.phase();
        if phase == Phase::Login && line == replies::ENTER_NICKNAME && !self.offered {
            // Asked and answered: nothing that anybody needs to see. A failure ends the next read.
            self.offered = true;
            let _ = client.link.send(&client.terminal.nickname());
            return ControlFlow::Continue(());
        }
        shown.push(line.to_owned());
        if phase == Phase::Chatting {
            return ControlFlow::Continue(());
        }
        if line == replies::CONNECTED {
            self.joined = true;
            client.link.enter(Phase::Chatting);
        } else if line.ends_with(replies::NICKNAME_QUESTION) {
            if !client.terminal.input_is_terminal() {
                let why = "The server did not take the nickname.";
                return ControlFlow::Break(Ending::Refused(why.to_owned()));
            }
            client.link.enter(Phase::Refused);
        }
        ControlFlow::Continue(())
    }

    /// Says how a stream ended.
    fn end(&self, error: Option<io::Error>) -> Ending {
        match (self.final_line, error) {
            (Some(replies::GOODBYE), _) => Ending::Left,
            (Some(_kicked), _) => Ending::Refused("You were kicked.".to_owned()),
            _ if self.client.link.leaving() => Ending::Lost(
                "The server did not say goodbye: not everything may have arrived.".to_owned(),
            ),
            (_, Some(error)) => Ending::Lost(format!("The connection is lost: {error}.")),
            (_, None) if self.joined => {
                Ending::Lost("The server closed the connection.".to_owned())
            }
            (_, None) => Ending::Refused("The server closed the connection.".to_owned()),
        }
    }
}
