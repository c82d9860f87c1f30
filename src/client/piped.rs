//! What the send thread does for a program: lines in, as a pipe or the system's own line editing delivers them.
//! It runs under the client's lock, and blocks nowhere.

use super::link::Phase;
use super::{Outcome, Shared, terminal};
use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, LineDecoder};
use crate::protocol::replies;

impl Shared {
    /// Acts on the input. If `bytes` is empty, the input has ended. `says` means that no line is a command.
    ///
    /// # Errors
    ///
    /// The input has ended without a nickname.
    pub(super) fn read_lines(
        &mut self,
        decoder: &mut LineDecoder,
        mut bytes: &[u8],
        says: bool,
    ) -> Result<(), Outcome> {
        let has_ended = bytes.is_empty();
        while !self.link.leaving
            && let Some(frame) = decoder.next(&mut bytes)
        {
            self.read_line(&frame, says);
        }
        if has_ended {
            // A last line counts even without its end.
            if let Some(last) = decoder.finish() {
                self.read_line(&last, says);
            }
            if self.link.phase == Phase::Unnamed && !self.terminal.person_types {
                return Err(Outcome::Failed("There is no nickname.".to_owned()));
            }
            self.leave();
        }
        Ok(())
    }

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
