//! The send thread: it reads what is typed or piped in, and sends it.
//!
//! It blocks in `read` on the standard input and in `write` on the socket; with input from a pipe it
//! also waits for the link to be up. Nothing wakes it out of the first but input or its end.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::Client;
use super::link::Phase;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::command::Command;
use crate::protocol::framing::{LineFraming, Received};

/// How much one `read` of a pipe takes, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Why the send thread ended.
pub(super) enum Left {
    /// `/quit` was sent, for a person or because the input ended.
    Quit,
    /// Somebody wants to leave before there is a connection.
    Unconnected,
    /// The input ended before it gave a nickname.
    Unnamed,
    /// The receive thread says that the connection is over.
    ServerGone,
}

/// What the send thread runs.
pub(super) fn send_loop(client: &Client) -> Left {
    if client.link.phase() == Phase::Unnamed {
        client.terminal.ask_nickname();
    }
    let mut framing = LineFraming::new(MAX_MESSAGE_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut input = match io::stdin().read(&mut buffer) {
            Ok(bytes) => &buffer[..bytes],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A terminal that is gone reads as an error; either way there is no more input.
            Err(_) => &[],
        };
        if input.is_empty() {
            if let ControlFlow::Break(left) = framing
                .finish()
                .map_or(ControlFlow::Continue(()), |received| take(client, &received))
            {
                return left;
            }
            return end_of_input(client);
        }
        while let Some(received) = framing.next(&mut input) {
            if let ControlFlow::Break(left) = take(client, &received) {
                return left;
            }
        }
    }
}

/// Leaves because there is no more input.
fn end_of_input(client: &Client) -> Left {
    if client.terminal.input_is_terminal() {
        return leave(client);
    }
    match client.link.phase() {
        Phase::Unnamed => Left::Unnamed,
        _ => match until_chatting(client) {
            ControlFlow::Break(left) => left,
            ControlFlow::Continue(()) if client.link.leave() => Left::Quit,
            ControlFlow::Continue(()) => Left::ServerGone,
        },
    }
}

fn leave(client: &Client) -> Left {
    if client.link.leave() { Left::Quit } else { Left::Unconnected }
}

/// Acts on what was read.
fn take(client: &Client, received: &Received<'_>) -> ControlFlow<Left> {
    match received {
        Received::Line(line) => submit(client, line)?,
        Received::NotUtf8 => client.terminal.error("Not sent: that line is not valid UTF-8."),
        Received::TooLong { bytes } => client.terminal.error(&format!(
            "Not sent: that line has {bytes} bytes, the limit is {MAX_MESSAGE_BYTES}."
        )),
        Received::TimingMark => {}
    }
    ControlFlow::Continue(())
}

/// Blocks until lines can be sent, or the connection is over.
fn until_chatting(client: &Client) -> ControlFlow<Left> {
    let not_yet = [Phase::Unnamed, Phase::Connecting, Phase::Login, Phase::Refused];
    match client.link.wait_while(&not_yet) {
        Phase::Over => ControlFlow::Break(Left::ServerGone),
        _ => ControlFlow::Continue(()),
    }
}

/// Does what a line asks for: most are sent.
fn submit(client: &Client, line: &str) -> ControlFlow<Left> {
    let by_hand = client.terminal.input_is_terminal();
    let phase = client.link.phase();
    match Command::parse(line) {
        Command::Quit if by_hand => return ControlFlow::Break(leave(client)),
        Command::Say("quit" | "exit") if by_hand => return ControlFlow::Break(leave(client)),
        Command::Blank if by_hand => {
            if matches!(phase, Phase::Unnamed | Phase::Refused) {
                client.terminal.ask_nickname();
            }
            return ControlFlow::Continue(());
        }
        _ => {}
    }
    match phase {
        Phase::Unnamed => {
            client.terminal.set_nickname(line.trim());
            client.link.enter(Phase::Connecting);
        }
        Phase::Refused => {
            client.terminal.set_nickname(line.trim());
            client.link.enter(Phase::Login);
            not_sent(client, line, &client.link.send(line));
        }
        _ if by_hand => not_sent(client, line, &client.link.send(line)),
        _ => loop {
            until_chatting(client)?;
            if Command::parse(line) == Command::Quit {
                return ControlFlow::Break(leave(client));
            }
            // What could not be sent goes to the next connection, if there is one.
            if client.link.send(line).is_ok() {
                break;
            }
        },
    }
    ControlFlow::Continue(())
}

/// Gives a line back to whoever typed it, if it could not be sent.
fn not_sent(client: &Client, line: &str, sent: &io::Result<()>) {
    if sent.is_err() {
        client.terminal.status(&format!("There is no connection. Not sent: {line}"));
    }
}
