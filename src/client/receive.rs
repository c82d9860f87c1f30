//! The receive thread: it connects, logs in, and shows what the server sends.
//!
//! It blocks in `read` on the socket, and is woken by whatever comes, by the end of the stream, or by
//! the send thread, which shuts a broken connection down. All that one `read` returned is shown
//! together, in one write to the terminal.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::Phase;
use super::{Client, LEAVE_TIMEOUT};
use crate::arguments::Endpoint;
use crate::protocol::MAX_SERVER_LINE_BYTES;
use crate::protocol::framing::{LineFraming, Received};
use crate::protocol::text;

/// How long one address may take to answer. The system by itself waits for minutes, and a name may
/// have several addresses; when it is over, the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that one `read` takes, in bytes: what a flood leaves in the socket's buffer is shown in
/// a few large writes, not in many small ones.
const READ_BYTES: usize = 64 * 1024;

/// How a connection ended, or that there was none.
#[derive(Debug)]
pub(super) enum Ending {
    /// After `[SERVER] Goodbye!`.
    Goodbye,
    /// By the server, in order, without that.
    Closed,
    /// By an error.
    Lost(io::Error),
    /// The nickname was not taken, and there is nobody to ask for another.
    Refused,
    /// No address took the connection; this is the last one's error.
    NotConnected(io::Error),
    /// Nobody reads what is printed any more (`client | head`).
    OutputClosed,
}

/// What the receive thread runs.
pub(super) fn receive_loop(client: &Client) -> Ending {
    client.link.wait_while(&[Phase::Unnamed]);
    client.terminal.status(&format!("Connecting to {}...", client.options.endpoint));
    let ending = match connect(&client.options.endpoint) {
        Ok(stream) => {
            client.terminal.status("Connected successfully!");
            client
                .terminal
                .status("Type and press Enter to talk. /help lists all commands, /quit leaves.");
            let stream = Arc::new(stream);
            client.link.connected(Arc::clone(&stream));
            Session { client, stream: &stream, offered: false, goodbye: false }.read_loop()
        }
        Err(error) => Ending::NotConnected(error),
    };
    client.link.enter(Phase::Over);
    ending
}

/// Connects to the first of the host's addresses that answers.
fn connect(endpoint: &Endpoint) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (endpoint.host.as_str(), endpoint.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
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
    stream: &'a TcpStream,
    /// The nickname was sent on this connection.
    offered: bool,
    /// The last line was the server's goodbye.
    goodbye: bool,
}

impl Session<'_> {
    fn read_loop(&mut self) -> Ending {
        let mut framing = LineFraming::new(MAX_SERVER_LINE_BYTES);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let bytes = match self.stream.read(&mut buffer) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Once the goodbye is there, how the connection ends is all the same.
                Err(_) if self.goodbye => 0,
                Err(error) => return Ending::Lost(error),
            };
            if let ControlFlow::Break(ending) = self.take_all(&mut framing, &buffer[..bytes]) {
                return ending;
            }
        }
    }

    /// Takes what one `read` returned: nothing is the end of the stream.
    fn take_all(&mut self, framing: &mut LineFraming, read: &[u8]) -> ControlFlow<Ending> {
        let mut input = read;
        let mut shown = Vec::new();
        let mut flow = ControlFlow::Continue(());
        while let Some(received) = framing.next(&mut input) {
            if flow.is_continue() {
                flow = self.take(&received, &mut shown);
            }
        }
        if read.is_empty() {
            // A last line counts even without its end.
            if let Some(received) = framing.finish() {
                flow = self.take(&received, &mut shown);
            }
            let end = if self.goodbye { Ending::Goodbye } else { Ending::Closed };
            flow = ControlFlow::Break(flow.break_value().unwrap_or(end));
        }
        if self.client.terminal.show(&shown).is_err() && !self.client.link.leaving() {
            return ControlFlow::Break(self.hang_up());
        }
        if flow.is_continue() && self.client.link.phase() == Phase::Refused {
            self.client.terminal.ask_nickname();
        }
        flow
    }

    /// Follows what a line means for the connection; most are only to be shown.
    fn take(&mut self, received: &Received<'_>, shown: &mut Vec<String>) -> ControlFlow<Ending> {
        let client = self.client;
        let line = match *received {
            Received::Line(line) => line,
            Received::NotUtf8 => {
                client.terminal.status("Left out: a line that is not UTF-8.");
                return ControlFlow::Continue(());
            }
            Received::TooLong { bytes } => {
                client.terminal.status(&format!("Left out: a line of {bytes} bytes."));
                return ControlFlow::Continue(());
            }
            // Of use to telnet alone.
            Received::TimingMark => return ControlFlow::Continue(()),
        };
        self.goodbye = line == text::GOODBYE;
        let phase = client.link.phase();
        if phase == Phase::Login && line == text::ENTER_NICKNAME && !self.offered {
            // Asked and answered: nothing that anybody needs to see.
            self.offered = true;
            return match client.link.send(&client.terminal.nickname()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(Ending::Lost(error)),
            };
        }
        shown.push(line.to_owned());
        if phase == Phase::Chatting {
            return ControlFlow::Continue(());
        }
        if line == text::CONNECTED {
            client.link.enter(Phase::Chatting);
        } else if line.ends_with(text::NICKNAME_QUESTION) {
            if !client.terminal.input_is_terminal() {
                return ControlFlow::Break(Ending::Refused);
            }
            client.link.enter(Phase::Refused);
        }
        ControlFlow::Continue(())
    }

    /// Leaves because the output is closed: in order, so that the room sees no broken connection.
    fn hang_up(&mut self) -> Ending {
        // Whatever fails here, the process is about to end.
        drop(self.stream.shutdown(Shutdown::Write));
        drop(self.stream.set_read_timeout(Some(LEAVE_TIMEOUT)));
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        let mut unread = [0; 4096];
        while Instant::now() < deadline && matches!(self.stream.read(&mut unread), Ok(1..)) {}
        Ending::OutputClosed
    }
}
