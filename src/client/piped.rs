//! The part of the send thread that handles whole lines. The lines come from a pipe, or from a terminal whose
//! lines the system edits. This code runs under the client's lock, and never blocks.

use super::link::Phase;
use super::{Outcome, Shared, terminal};
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;

impl Shared {
    /// Handles the input. If `bytes` is empty, the input has ended.
    pub(super) fn read_lines(&mut self, decoder: &mut LineDecoder, mut bytes: &[u8]) {
        let has_ended = bytes.is_empty();
        while !self.link.leaving
            && let Some(frame) = decoder.next(&mut bytes)
        {
            self.read_line(&frame);
        }
        if has_ended {
            // The last line is handled even if it has no line end.
            if let Some(last) = decoder.finish() {
                self.read_line(&last);
            }
            if self.link.phase == Phase::Unnamed && !self.terminal.person_types {
                self.outcome = Some(Outcome::Failed("There is no nickname.".to_owned()));
            }
            self.leave();
        }
    }

    fn read_line(&mut self, frame: &Frame<'_>) {
        let says = self.terminal.transcript.options.say;
        let why = match *frame {
            Frame::Line(line) if self.terminal.person_types => {
                return match self.terminal.question.take() {
                    Some((_, answer)) if line.is_empty() => self.submit(&answer),
                    _ => self.enter(line.to_owned()),
                };
            }
            Frame::Line(line) if self.link.phase == Phase::Unnamed => return self.name(line),
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
