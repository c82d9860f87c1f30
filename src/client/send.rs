//! The send thread: it reads what is typed or piped in, and sends it.
//!
//! It blocks in `read` on the keyboard or the pipe, and in `write` on the socket; with input from a
//! pipe it also waits for the link to be up. Nothing wakes it out of the first but input, its end,
//! or (while lines are edited) a terminal that changes its size.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Duration;

use super::Client;
use super::editor::Action;
use super::keys::KeyParser;
use super::link::Phase;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::terminal::{Event, Keyboard};

/// How much one `read` takes, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How long after an ESC the rest of a key's bytes may come. They come at once, but for a slow line;
/// a person needs longer for the next key.
const ESCAPE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long after asking to be suspended this thread leaves the terminal alone. The signal goes to
/// the process, and another thread may be the one that it stops first.
const SUSPEND_TIMEOUT: Duration = Duration::from_millis(200);

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

/// What the send thread runs: with a keyboard if lines are edited here.
pub(super) fn send_loop(client: &Client, keyboard: Option<Keyboard>) -> Left {
    if client.link.phase() == Phase::Unnamed {
        client.terminal.ask_nickname();
    }
    let end = match keyboard {
        Some(keyboard) => key_loop(client, keyboard),
        None => line_loop(client),
    };
    end.break_value().unwrap_or_else(|| end_of_input(client))
}

/// Takes lines as the system or a pipe delivers them, until there are no more.
fn line_loop(client: &Client) -> ControlFlow<Left> {
    let mut framing = LineDecoder::new(MAX_MESSAGE_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut input = match io::stdin().read(&mut buffer) {
            Ok(bytes) => &buffer[..bytes],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A terminal that is gone reads as an error; either way there is no more input.
            Err(_) => &[],
        };
        if input.is_empty() {
            // A last line counts even without its end.
            return framing.finish().map_or(ControlFlow::Continue(()), |last| take(client, &last));
        }
        while let Some(received) = framing.next(&mut input) {
            take(client, &received)?;
        }
    }
}

/// Acts on what was read.
fn take(client: &Client, received: &Frame<'_>) -> ControlFlow<Left> {
    let why = match *received {
        Frame::Line(line) if client.terminal.input_is_terminal() => return submit(client, line),
        Frame::Line(line) => return forward(client, line),
        Frame::TimingMark => return ControlFlow::Continue(()),
        Frame::NotUtf8 => replies::NOT_UTF8.to_owned(),
        Frame::TooLong { bytes } => replies::too_long(bytes),
    };
    client.terminal.error(&format!("Not sent: {why}"));
    ControlFlow::Continue(())
}

/// Takes keys as they are pressed, until the terminal is gone.
fn key_loop(client: &Client, mut keyboard: Keyboard) -> ControlFlow<Left> {
    let mut keys = KeyParser::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut suspended = false;
    loop {
        let escape_timeout = keys.is_after_escape().then_some(ESCAPE_TIMEOUT);
        let timeout = if suspended { Some(SUSPEND_TIMEOUT) } else { escape_timeout };
        let event = keyboard.read(&mut buffer, timeout);
        if std::mem::take(&mut suspended) || matches!(event, Ok(Event::Redraw)) {
            client.terminal.redraw();
        }
        let bytes = match event {
            Ok(Event::Typed(0)) | Err(_) => return ControlFlow::Continue(()),
            Ok(Event::Typed(bytes)) => bytes,
            Ok(Event::TimedOut) => {
                keys.nothing_followed();
                0
            }
            Ok(Event::Redraw) => 0,
        };
        for action in client.terminal.press(&keys.feed(&buffer[..bytes])) {
            match action {
                Action::Line(line) => submit(client, &line)?,
                Action::TooLong(bytes) => {
                    client.terminal.status(&format!("Not sent: {}", replies::too_long(bytes)));
                }
                Action::Suspend => {
                    client.terminal.suspend();
                    suspended = true;
                }
                Action::Leave => return ControlFlow::Break(leave(client)),
                // The terminal's own.
                Action::ClearScreen | Action::Full => {}
            }
        }
    }
}

/// Leaves because there is no more input.
fn end_of_input(client: &Client) -> Left {
    if client.terminal.input_is_terminal() {
        return leave(client);
    }
    if client.link.phase() == Phase::Unnamed {
        return Left::Unnamed;
    }
    match until_chatting(client) {
        ControlFlow::Continue(()) if client.link.leave() => Left::Quit,
        _ => Left::ServerGone,
    }
}

fn leave(client: &Client) -> Left {
    if client.link.leave() { Left::Quit } else { Left::Unconnected }
}

/// Does what a line from a pipe asks for: all are sent, once they can be.
fn forward(client: &Client, line: &str) -> ControlFlow<Left> {
    if client.link.phase() == Phase::Unnamed {
        name(client, line, Phase::Connecting);
        return ControlFlow::Continue(());
    }
    loop {
        until_chatting(client)?;
        if Command::parse(line) == Command::Quit {
            return ControlFlow::Break(leave(client));
        }
        // What could not be sent goes to the next connection, if there is one.
        if client.link.send(line).is_ok() {
            return ControlFlow::Continue(());
        }
    }
}

/// Blocks until lines can be sent, or the connection is over.
fn until_chatting(client: &Client) -> ControlFlow<Left> {
    let not_yet = [Phase::Unnamed, Phase::Connecting, Phase::Login, Phase::Refused];
    match client.link.wait_while(&not_yet) {
        Phase::Over => ControlFlow::Break(Left::ServerGone),
        _ => ControlFlow::Continue(()),
    }
}

/// Does what a line asks for that a person typed.
fn submit(client: &Client, line: &str) -> ControlFlow<Left> {
    let Client { link, terminal, .. } = client;
    let phase = link.phase();
    match Command::parse(line) {
        Command::Quit => return ControlFlow::Break(leave(client)),
        Command::Say(word) if matches!(word.trim(), "quit" | "exit") => {
            return ControlFlow::Break(leave(client));
        }
        Command::Unknown(word) if terminal.switch(word) => return ControlFlow::Continue(()),
        Command::Blank => {
            if matches!(phase, Phase::Unnamed | Phase::Refused) {
                terminal.ask_nickname();
            }
            return ControlFlow::Continue(());
        }
        Command::Help => {
            terminal.help();
            if phase == Phase::Unnamed {
                terminal.ask_nickname();
                return ControlFlow::Continue(());
            }
        }
        _ if phase == Phase::Unnamed => {
            name(client, line, Phase::Connecting);
            return ControlFlow::Continue(());
        }
        _ if phase == Phase::Refused => name(client, line, Phase::Login),
        // Before it is sent, or an answer could be seen above it.
        Command::Say(text) if phase == Phase::Chatting => terminal.show_own(text),
        _ => {}
    }
    let sent = matches!(phase, Phase::Refused | Phase::Chatting) && link.send(line).is_ok();
    if !sent {
        terminal.give_back(line);
    }
    ControlFlow::Continue(())
}

/// Takes a line for a nickname.
fn name(client: &Client, line: &str, next: Phase) {
    client.terminal.set_nickname(line.trim());
    client.link.enter(next);
}
