//! Login: the lines that a client may send before it has a nickname, and the server's answers.
//!
//! The client's own session asks for the nickname. So a client that sends nothing does not delay any other
//! login. The whole login has one deadline and a limited number of tries.
//!
//! This module only decides: it neither waits nor writes. The [`session`](super::session) carries out the
//! decisions.
//!
//! This module grew from step 7 of the [course](crate::lessons), in which asking for a name gets a deadline.

use std::time::{Duration, Instant};

use crate::protocol::command::Command;
use crate::protocol::framing::{Frame, TIMING_MARK_REFUSED};
use crate::protocol::http::is_http;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies;

/// The maximum number of nicknames that a client may try.
const MAX_TRIES: u32 = 10;

/// A login in progress.
#[derive(Debug)]
pub struct Login {
    deadline: Instant,
    tries: u32,
}

/// The next step of a login.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes, and wait for the next line.
    Answer(Vec<u8>),
    /// Send this line. If this was the last try, end the connection.
    Refuse {
        /// The line that says why the nickname is refused, and asks for another nickname.
        line: String,
        /// Whether this was the last try.
        is_last: bool,
    },
    /// Join with this nickname if nobody has it. Otherwise call [`Login::refuse`].
    Join(Nickname),
    /// End the connection with this final line.
    TurnAway(&'static str),
}

impl Login {
    /// Begins a login that must be done within `time`.
    pub fn new(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, tries: 0 }
    }

    /// Returns the time by which the login must be done.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Decides what to do about a frame that the client sent at the prompt.
    pub fn take(&mut self, frame: Frame<'_>) -> Step {
        let line = match frame {
            Frame::Line(line) => line,
            Frame::NotUtf8 => return self.refuse(replies::NOT_UTF8),
            Frame::TooLong { bytes } => return self.refuse(&replies::too_long(bytes)),
            Frame::TimingMark => return Step::Answer(TIMING_MARK_REFUSED.to_vec()),
        };
        if is_http(line) {
            // A web page can make a browser send any text after the first line of a request. So no further line
            // is read.
            return Step::TurnAway(replies::NOT_A_WEB_SERVER);
        }
        match Command::parse(line) {
            Command::Quit => Step::TurnAway(replies::GOODBYE),
            Command::Help => {
                let (help, question) = (replies::help(), replies::ENTER_NICKNAME);
                Step::Answer(format!("{help}\n{question}\n").into_bytes())
            }
            _ => match Nickname::parse(line) {
                Ok(nickname) => Step::Join(nickname),
                Err(error) => self.refuse(&error.to_string()),
            },
        }
    }

    /// Refuses the line that was sent as a nickname. `why` is a sentence.
    pub fn refuse(&mut self, why: &str) -> Step {
        self.tries += 1;
        Step::Refuse { line: replies::nickname_refused(why), is_last: self.tries == MAX_TRIES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_tries_and_no_more() {
        let mut login = Login::new(Duration::from_secs(1));
        for _ in 1..MAX_TRIES {
            let step = login.take(Frame::Line("two words"));
            assert!(matches!(step, Step::Refuse { is_last: false, .. }));
        }
        assert!(matches!(login.take(Frame::NotUtf8), Step::Refuse { is_last: true, .. }));
    }

    #[test]
    fn help_and_telnet_cost_no_try() {
        let mut login = Login::new(Duration::from_secs(1));
        for _ in 0..3 * MAX_TRIES {
            assert!(matches!(login.take(Frame::Line("/help")), Step::Answer(_)));
            assert!(matches!(login.take(Frame::TimingMark), Step::Answer(_)));
        }
        let alice = Nickname::parse("alice").unwrap();
        assert_eq!(login.take(Frame::Line("alice")), Step::Join(alice));
        let goodbye = Step::TurnAway(replies::GOODBYE);
        assert_eq!(login.take(Frame::Line("/quit")), goodbye);
    }
}
