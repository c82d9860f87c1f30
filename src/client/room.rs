//! The room as a client knows it: one's own nickname, who else is there, and what a line means.
//!
//! All of it is learned from the server's lines, one after the other; nothing here asks or prints.
//! A server may say what it likes: what is kept is bounded, and a line that fits nothing is shown as
//! it is.

use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::{CONNECTED, LAST_MESSAGES_PREFIX, NOTICE_PREFIX};
use crate::protocol::unicode::is_combining_mark;

/// How many nicknames are kept to complete: more than any room has, as a server has no limit.
const MAX_NAMES: usize = 20_000;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody came or left.
    Coming,
    /// Anything else that the server says by itself.
    Notice,
    /// `[alice -> you] hi` or `[you -> bob] hi`.
    Private,
    /// `alice: hi` or `* alice waves`.
    Message,
    /// None of these.
    Other,
}

/// What a line means to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) kind: Kind,
    /// Who speaks: a part of the line.
    pub(super) speaker: Option<&'a str>,
    /// Somebody else said one's own nickname, or said something to nobody else.
    pub(super) names_me: bool,
    /// It was said before one came.
    pub(super) history: bool,
}

/// Who is there.
#[derive(Debug, Default)]
pub(super) struct Room {
    nickname: String,
    /// The others, who spoke last first.
    names: Vec<String>,
    /// How many lines are still to come that were said before one came.
    history_lines: usize,
}

impl Room {
    /// Returns one's own nickname.
    pub(super) fn nickname(&self) -> &str {
        &self.nickname
    }

    /// Sets it.
    pub(super) fn set_nickname(&mut self, nickname: &str) {
        nickname.clone_into(&mut self.nickname);
    }

    /// Returns the others' nicknames, who spoke last first.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Reads a line and learns from it.
    pub(super) fn read<'a>(&mut self, line: &'a str) -> Reading<'a> {
        let history = self.history_lines > 0;
        self.history_lines -= usize::from(history);
        let mut reading = Reading { kind: Kind::Other, speaker: None, names_me: false, history };
        if let Some(notice) = line.strip_prefix(NOTICE_PREFIX) {
            if line == CONNECTED {
                // A connection that was lost may have had more to tell, and of others.
                (self.history_lines, reading.history) = (0, false);
                self.names.clear();
            }
            if let Some(lines) = line.strip_prefix(LAST_MESSAGES_PREFIX) {
                self.history_lines = lines.parse().unwrap_or(0);
            }
            reading.kind = self.read_notice(notice);
            return reading;
        }
        let said = speech(line);
        let Some((kind, speaker, text)) = said else { return reading };
        (reading.kind, reading.speaker) = (kind, Some(speaker));
        if !self.is_me(speaker) && speaker != "you" {
            reading.names_me = kind == Kind::Private || names(text, &self.nickname);
            if !history {
                self.forget(speaker);
                self.names.insert(0, speaker.to_owned());
                self.names.truncate(MAX_NAMES);
            }
        }
        reading
    }

    /// Learns from a notice who is there.
    fn read_notice(&mut self, notice: &str) -> Kind {
        if let Some(name) = notice.strip_suffix(" joined the chat!") {
            self.meet(name);
            return Kind::Coming;
        }
        if let Some((name, _reason)) = notice.split_once(" left the chat!") {
            self.forget(name);
            return Kind::Coming;
        }
        if let Some((before, after)) = notice.split_once(" is now known as ") {
            if self.is_me(before) {
                self.set_nickname(after);
            } else if let Some(name) = self.names.iter_mut().find(|name| *name == before) {
                after.clone_into(name);
            }
        } else if let Some((_, list)) = notice.split_once(" online: ") {
            let names = list.split_once(" and ").map_or(list, |(names, _more)| names);
            names.split(", ").for_each(|name| self.meet(name));
        }
        Kind::Notice
    }

    fn meet(&mut self, name: &str) {
        if !self.is_me(name)
            && Nickname::parse(name).is_ok()
            && self.names.len() < MAX_NAMES
            && !self.names.iter().any(|known| known == name)
        {
            self.names.push(name.to_owned());
        }
    }

    fn forget(&mut self, name: &str) {
        self.names.retain(|known| known != name);
    }

    fn is_me(&self, name: &str) -> bool {
        fold(name) == fold(&self.nickname)
    }
}

/// Takes a line apart that somebody said: its kind, who, and what.
fn speech(line: &str) -> Option<(Kind, &str, &str)> {
    let (kind, speaker, text) = if let Some(private) = line.strip_prefix('[') {
        let (names, text) = private.split_once("] ")?;
        let (from, to) = names.split_once(" -> ")?;
        if from != "you" && to != "you" {
            return None;
        }
        (Kind::Private, from, text)
    } else if let Some(action) = line.strip_prefix("* ") {
        let (speaker, text) = action.split_once(' ')?;
        (Kind::Message, speaker, text)
    } else {
        let (speaker, text) = line.split_once(": ")?;
        (Kind::Message, speaker, text)
    };
    // `you` is no nickname, so that it can stand for one's own.
    (speaker == "you" && kind == Kind::Private || Nickname::parse(speaker).is_ok())
        .then_some((kind, speaker, text))
}

/// Returns whether a text has a nickname in it as a word, in any case.
fn names(text: &str, nickname: &str) -> bool {
    let nickname = fold(nickname);
    let punctuation = ['-', '_', '.'];
    let of_a_name =
        |c: char| c.is_alphanumeric() || is_combining_mark(c) || punctuation.contains(&c);
    let words = text.split(|c| !of_a_name(c));
    !nickname.is_empty()
        && words.map(fold).any(|word| {
            // `ask alice.` names alice, and so does `ask alice.` where alice. is a nickname.
            word == nickname || word.trim_matches(punctuation) == nickname
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::replies::{self, LeaveReason};

    fn nick(name: &str) -> Nickname {
        Nickname::parse(name).unwrap()
    }

    fn room(names: &[&str]) -> Room {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Room { nickname: "me".to_owned(), names, history_lines: 0 }
    }

    #[test]
    fn every_kind_of_line_is_told_from_the_others() {
        let (al, me) = (nick("al"), nick("me"));
        for (line, kind, speaker, names_me) in [
            (replies::message(&al, "hi: all"), Kind::Message, Some("al"), false),
            (replies::message(&al, "Me, come here"), Kind::Message, Some("al"), true),
            (replies::message(&me, "only me"), Kind::Message, Some("me"), false),
            (replies::action(&al, "pokes me."), Kind::Message, Some("al"), true),
            (replies::action(&al, "is at home"), Kind::Message, Some("al"), false),
            (replies::told_you(&al, "psst"), Kind::Private, Some("al"), true),
            (replies::you_told(&al, "psst me"), Kind::Private, Some("you"), false),
            (replies::joined(&al), Kind::Coming, None, false),
            (replies::left(&al, LeaveReason::ConnectionLost), Kind::Coming, None, false),
            (replies::renamed(&al, &nick("me2")), Kind::Notice, None, false),
            (replies::GOODBYE.to_owned(), Kind::Notice, None, false),
            ("no speaker".to_owned(), Kind::Other, None, false),
            ("a b: no nickname".to_owned(), Kind::Other, None, false),
            ("[al -> bob] me: not mine".to_owned(), Kind::Other, None, false),
            (String::new(), Kind::Other, None, false),
        ] {
            let expected = Reading { kind, speaker, names_me, history: false };
            assert_eq!(room(&[]).read(&line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_nickname_is_named_as_a_word_and_not_within_one() {
        for (text, nickname, expected) in [
            ("alice", "alice", true),
            ("hey ALICE!", "alice", true),
            ("@alice: look", "alice", true),
            ("(alice)", "alice", true),
            ("alice...", "alice", true),
            ("malice and alice2", "alice", false),
            ("anne-alice", "alice", false),
            ("so, dr. who", "dr.", true),
            ("e\u{301}va?", "E\u{301}VA", true),
            ("anything", "", false),
        ] {
            assert_eq!(names(text, nickname), expected, "{text:?} {nickname:?}");
        }
    }

    #[test]
    fn who_spoke_last_comes_first() {
        let mut room = room(&["al", "bob"]);
        for line in ["bob: hi", "[cy -> you] hi", "[you -> al] hi", "me: hi", "* bob waves"] {
            room.read(line);
        }
        assert_eq!(room.names(), ["bob", "cy", "al"]);
    }

    #[test]
    fn who_comes_goes_and_changes_names_is_followed() {
        let mut room = room(&[]);
        let names = ["me", "al", "bob"].map(nick);
        room.read(&replies::online(62, names.iter()));
        assert_eq!(room.names(), ["al", "bob"]);
        room.read(&replies::joined(&nick("cy")));
        room.read(&replies::renamed(&nick("al"), &nick("alf")));
        room.read(&replies::left(&nick("bob"), LeaveReason::Kicked));
        assert_eq!(room.names(), ["alf", "cy"]);
        room.read(&replies::renamed(&nick("me"), &nick("myself")));
        assert_eq!(room.nickname(), "myself");
        room.read("[SERVER] 9 online: [x], a b, ");
        assert_eq!(room.names(), ["alf", "cy"]);
    }

    #[test]
    fn the_history_is_as_many_lines_as_the_server_says() {
        let mut room = room(&["bob"]);
        assert!(!room.read(&replies::last_messages(2)).history);
        assert!(room.read("al: me").history);
        assert!(room.read("* al waves").history);
        assert!(!room.read("bob: hi").history);
        assert_eq!(room.names(), ["bob"], "who only spoke before is not there");
        room.read("[SERVER] Last messages: many");
        assert!(!room.read("bob: hi").history);
        room.read(&replies::last_messages(2));
        assert!(!room.read(replies::CONNECTED).history, "a new connection starts anew");
        assert!(!room.read("al: hi").history);
        assert_eq!(room.names(), ["al"]);
    }
}
