//! The transcript: which lines are shown, and how they look; text in, text out.
//!
//! Text from the server is cleaned here, the last place before it is printed, as the server is not
//! trusted either. So the only escape sequences in what comes out are the colors of [`paint`], and
//! the only bell is the one that is rung here.

use super::paint::{DIM, paint, styled};
use super::room::{Kind, Room};
use crate::protocol::cleaning::clean;
use crate::system::terminal::time_of_day;

const BELL: char = '\x07';

/// What is shown of the room.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub(super) struct Transcript {
    pub(super) room: Room,
    pub(super) color: bool,
    pub(super) timestamps: bool,
    /// What was said before one came is marked. A pipe gets every line as it is.
    pub(super) marks: bool,
    pub(super) bell: bool,
    /// Who comes and goes is not shown.
    pub(super) quiet: bool,
}

impl Transcript {
    /// Returns what is printed for lines from the server, each with its line feed.
    pub(super) fn received(&mut self, lines: &[String]) -> String {
        let (mut shown, mut rings) = (String::new(), false);
        for line in lines {
            let line = clean(line);
            let reading = self.room.read(&line);
            if self.quiet && reading.kind == Kind::Coming {
                continue;
            }
            rings |= reading.names_me && !reading.history;
            self.stamp(&mut shown);
            if self.marks && reading.history {
                shown += "| ";
            }
            shown += &if self.color { paint(&line, &reading) } else { line.into_owned() };
            shown.push('\n');
        }
        if rings && self.bell {
            shown.push(BELL);
        }
        shown
    }

    /// Returns what is printed for one's own message.
    pub(super) fn own(&mut self, text: &str) -> String {
        let line = format!("{}: {text}", self.room.nickname());
        let reading = self.room.read(&line);
        let mut shown = String::new();
        self.stamp(&mut shown);
        shown + &if self.color { paint(&line, &reading) } else { line } + "\n"
    }

    /// Switches the bell, or whether comings and goings are hidden, and returns what to say about it;
    /// `None` if it is no such command.
    pub(super) fn switch(&mut self, command: &str) -> Option<&'static str> {
        let (switch, on, off) = match command.to_ascii_lowercase().as_str() {
            "/bell" => (&mut self.bell, "The bell is on.", "The bell is off."),
            "/quiet" => (
                &mut self.quiet,
                "Join and leave notices are hidden.",
                "Join and leave notices are shown.",
            ),
            _ => return None,
        };
        *switch = !*switch;
        Some(if *switch { on } else { off })
    }

    /// Puts the time before a line, if that is wanted.
    fn stamp(&self, shown: &mut String) {
        if self.timestamps {
            let time = time_of_day();
            *shown += &if self.color { styled(&time, DIM) } else { time };
            shown.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript() -> Transcript {
        let mut transcript = Transcript { bell: true, marks: true, ..Transcript::default() };
        transcript.room.set_nickname("me");
        transcript
    }

    fn received(transcript: &mut Transcript, lines: &[&str]) -> String {
        transcript.received(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_that_a_server_sends_reaches_the_terminal_as_a_command() {
        let hostile = "\x1b[2J\x1b]0;title\x07\u{9b}31m\r\x08\x0e\x7f\u{202e}\u{200b}\0";
        for frame in
            ["al: {}", "[SERVER] {}", "[al -> you] {}", "* al {}", "{}: hi", "{}", "[{} -> you] x"]
        {
            for color in [false, true] {
                let mut transcript = transcript();
                transcript.color = color;
                let shown = received(&mut transcript, &[&frame.replace("{}", hostile)]);
                // What is left once the styles and the bell that are ours are taken out.
                let mut rest = shown.trim_end_matches(BELL).replace("\x1b[m", "");
                for style in ["2", "1", "1;38;5;63"] {
                    rest = rest.replace(&format!("\x1b[{style}m"), "");
                }
                let line = rest.strip_suffix('\n').expect("the line ends");
                assert_eq!(clean(line), line, "{shown:?}");
            }
        }
    }

    #[test]
    fn being_named_rings_once_a_batch_and_history_never_does() {
        let mut transcript = transcript();
        assert_eq!(received(&mut transcript, &["al: me", "al: me!"]), "al: me\nal: me!\n\x07");
        assert_eq!(received(&mut transcript, &["[al -> you] hi"]), "[al -> you] hi\n\x07");
        assert_eq!(received(&mut transcript, &["al: hi"]), "al: hi\n");
        let history = ["[SERVER] Last messages: 2", "al: me", "* al me"];
        assert_eq!(
            received(&mut transcript, &history),
            "[SERVER] Last messages: 2\n| al: me\n| * al me\n"
        );
        assert_eq!(transcript.switch("/BELL"), Some("The bell is off."));
        assert_eq!(received(&mut transcript, &["al: me"]), "al: me\n");
    }

    #[test]
    fn quiet_hides_who_comes_and_goes_and_nothing_else() {
        let mut transcript = transcript();
        let lines = ["[SERVER] al joined the chat!", "[SERVER] al is now known as bob", "x: hi"];
        let all = lines.join("\n") + "\n";
        assert_eq!(received(&mut transcript, &lines), all);
        assert_eq!(transcript.switch("/quiet"), Some("Join and leave notices are hidden."));
        assert_eq!(received(&mut transcript, &lines), lines[1..].join("\n") + "\n");
        assert_eq!(transcript.switch("/quiet"), Some("Join and leave notices are shown."));
        assert_eq!(received(&mut transcript, &lines), all);
        assert_eq!(transcript.switch("/other"), None);
    }

    #[test]
    fn a_timestamp_is_hours_and_minutes_and_a_space() {
        let mut transcript = transcript();
        transcript.timestamps = true;
        for shown in [received(&mut transcript, &["al: hi"]), transcript.own("hi")] {
            let shape: String =
                shown.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert!(["00:00 al: hi\n", "00:00 me: hi\n"].contains(&shape.as_str()), "{shown:?}");
        }
    }
}
