//! The send thread of a program: lines in, as a pipe or the system's own line editing delivers them.
//!
//! It blocks in [`Client::turn`] alone. While many lines wait to be sent, it reads no more. So a program that
//! writes into the pipe is slowed to the pace of the server.

use std::convert::Infallible;

use super::link::Phase;
use super::{Client, Outcome, READ_BYTES, Shared, terminal};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::terminal::Input;

/// When so many lines wait, no more input is read.
const MAX_WAITING_LINES: usize = 1000;

/// What the send thread runs where no lines are edited. Returns how the client ended.
pub(super) fn line_loop(client: &Client, mut input: Input) -> Result<Infallible, Outcome> {
    let mut decoder = LineDecoder::new(MAX_MESSAGE_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let wants = {
            let link = &client.lock().link;
            !client.options.listen && !link.leaving && link.waiting_lines < MAX_WAITING_LINES
        };
        let Some(bytes) = client.turn(&mut input, &mut buffer, wants, None)? else { continue };
        let mut shared = client.lock();
        let mut input = &buffer[..bytes];
        while !shared.link.leaving
            && let Some(frame) = decoder.next(&mut input)
        {
            shared.read_line(&frame, client.options.say);
        }
        if bytes == 0 {
            // A last line counts even without its end.
            if let Some(last) = decoder.finish() {
                shared.read_line(&last, client.options.say);
            }
            if shared.link.phase == Phase::Unnamed && !shared.terminal.person_types {
                return Err(Outcome::Failed("There is no nickname.".to_owned()));
            }
            shared.leave();
        }
    }
}

impl Shared {
    /// Acts on a line of the input. `says` means that no line is a command.
    fn read_line(&mut self, frame: &Frame<'_>, says: bool) {
        let why = match *frame {
            Frame::Line(line) if self.terminal.person_types => {
                return match self.terminal.question.take() {
                    Some(question) if line.is_empty() => self.submit(&question.answer),
                    _ => self.enter(line.to_owned()),
                };
            }
            Frame::Line(line) if self.link.phase == Phase::Unnamed => {
                return self.name(line);
            }
            Frame::Line(line) if says => return self.link.say_text(line),
            Frame::Line(line) if Command::parse(line) == Command::Quit => return self.leave(),
            Frame::Line(line) => return self.link.say(line),
            Frame::TimingMark => return,
            Frame::NotUtf8 => replies::NOT_UTF8.to_owned(),
            Frame::TooLong { bytes } => replies::too_long(bytes),
        };
        self.link.refused += usize::from(!self.terminal.person_types);
        terminal::fail(&format!("Not sent: {why}"));
    }
}
