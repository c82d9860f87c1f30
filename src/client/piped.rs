//! The send thread of a program: lines in, as a pipe or the system's own line editing delivers them.
//!
//! It blocks in [`Client::turn`] alone. While many lines wait to be sent it reads no more, so that
//! whatever writes into the pipe is slowed to what the server takes.

use super::link::Phase;
use super::typed::Question;
use super::{Client, Outcome, READ_BYTES, Shared, terminal};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;
use crate::system::terminal::Input;

/// How many lines wait at most before the input is left alone.
const MAX_WAITING_LINES: usize = 1000;

/// What the send thread runs where no lines are edited.
pub(super) fn line_loop(client: &Client, mut input: Input) -> Outcome {
    let mut decoder = LineDecoder::new(MAX_MESSAGE_BYTES);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let wants = {
            let link = &client.lock().link;
            !client.options.listen && !link.leaving() && link.waiting() < MAX_WAITING_LINES
        };
        let ready = match client.turn(&mut input, wants, None) {
            Ok(ready) => ready,
            Err(outcome) => return outcome,
        };
        let Some(bytes) = ready.input.then(|| input.read(&mut buffer)).flatten() else { continue };
        let mut shared = client.lock();
        let mut input = &buffer[..bytes];
        while !shared.link.leaving()
            && let Some(frame) = decoder.next(&mut input)
        {
            shared.take(&frame, client.options.say);
        }
        if bytes == 0 {
            // A last line counts even without its end.
            if let Some(last) = decoder.finish() {
                shared.take(&last, client.options.say);
            }
            if shared.link.phase == Phase::Unnamed && !shared.terminal.person_types {
                return Outcome::Failed("There is no nickname.".to_owned());
            }
            shared.leave();
        }
    }
}

impl Shared {
    /// Acts on what was read; `says` is whether no line is a command.
    fn take(&mut self, frame: &Frame<'_>, says: bool) {
        let why = match *frame {
            Frame::Line(line) if self.terminal.person_types => {
                return match self.terminal.answer() {
                    Some(Question::Line(asked)) if line.is_empty() => self.submit(&asked),
                    _ if self.asks_about(line) => {}
                    _ => self.submit(line),
                };
            }
            Frame::Line(line) if self.link.phase == Phase::Unnamed => {
                return self.name(line, Phase::Connecting);
            }
            Frame::Line(line) if says => return self.say_pasted(line),
            Frame::Line(line) if Command::parse(line) == Command::Quit => return self.leave(),
            Frame::Line(line) => return self.link.say(line),
            Frame::TimingMark => return,
            Frame::NotUtf8 => replies::NOT_UTF8.to_owned(),
            Frame::TooLong { bytes } => replies::too_long(bytes),
        };
        self.link.refused += 1;
        terminal::fail(&format!("Not sent: {why}"));
    }
}
