//! What a line from the server is: the reading side of [`super::replies`].
//!
//! A client needs no more than to print the lines. One that completes names or colors them takes them
//! apart. Names are valid nicknames, whatever a server sends.

use super::nickname::Nickname;
use super::replies::{
    CONNECTED, HAS_JOINED, HAS_LEFT, IS_NOW, LAST_MESSAGES_PREFIX, NOTICE_PREFIX,
};

/// A line, with its parts lent from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerLine<'a> {
    /// The client is in.
    Connected,
    /// Somebody has joined.
    Joined(&'a str),
    /// Somebody has left.
    Left(&'a str),
    /// Somebody has another nickname.
    Renamed {
        /// The nickname until now.
        before: &'a str,
        /// The new one.
        after: &'a str,
    },
    /// The nicknames of those who are online, some of them, separated by a comma and a space.
    Online(&'a str),
    /// So many lines follow that were said before the client joined.
    History(usize),
    /// Anything else that the server says by itself.
    Notice,
    /// `alice: hi` or `* alice waves`.
    Message {
        /// Who said it.
        speaker: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// `[alice -> you] hi` or `[you -> bob] hi`.
    Private {
        /// Who said it: a nickname, or `you`.
        speaker: &'a str,
    },
    /// None of these.
    Other,
}

impl<'a> ServerLine<'a> {
    /// Takes a line apart.
    ///
    /// ```
    /// use chat::protocol::server_line::ServerLine;
    /// assert_eq!(ServerLine::parse("[SERVER] al joined the chat!"), ServerLine::Joined("al"));
    /// ```
    pub fn parse(line: &'a str) -> Self {
        if let Some(notice) = line.strip_prefix(NOTICE_PREFIX) {
            return Self::parse_notice(line, notice).unwrap_or(Self::Notice);
        }
        if let Some(private) = line.strip_prefix('[') {
            let names = private.split_once("] ").and_then(|(names, _)| names.split_once(" -> "));
            return match names {
                // `you` is no nickname, so that it can stand for the reader's own.
                Some(("you", _)) => Self::Private { speaker: "you" },
                Some((speaker, "you")) if is_nickname(speaker) => Self::Private { speaker },
                _ => Self::Other,
            };
        }
        let said = match line.strip_prefix("* ") {
            Some(action) => action.split_once(' '),
            None => line.split_once(": "),
        };
        match said {
            Some((speaker, text)) if is_nickname(speaker) => Self::Message { speaker, text },
            _ => Self::Other,
        }
    }

    fn parse_notice(line: &'a str, notice: &'a str) -> Option<Self> {
        if line == CONNECTED {
            return Some(Self::Connected);
        }
        if let Some(lines) = line.strip_prefix(LAST_MESSAGES_PREFIX) {
            return lines.parse().ok().map(Self::History);
        }
        if let Some((_, list)) = notice.split_once(" online: ") {
            return Some(Self::Online(
                list.split_once(" and ").map_or(list, |(names, _more)| names),
            ));
        }
        if let Some(name) = notice.strip_suffix(HAS_JOINED) {
            return is_nickname(name).then_some(Self::Joined(name));
        }
        if let Some((name, _reason)) = notice.split_once(HAS_LEFT) {
            return is_nickname(name).then_some(Self::Left(name));
        }
        let (before, after) = notice.split_once(IS_NOW)?;
        (is_nickname(before) && is_nickname(after)).then_some(Self::Renamed { before, after })
    }
}

fn is_nickname(name: &str) -> bool {
    Nickname::parse(name).is_ok_and(|nickname| nickname.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::super::replies::{self, LeaveReason};
    use super::*;

    #[test]
    fn every_kind_of_line_is_told_from_the_others() {
        let [al, me] = ["al", "me"].map(|name| Nickname::parse(name).unwrap());
        let said = |text| ServerLine::Message { speaker: "al", text };
        let nicknames = [&al, &me].into_iter();
        let online = |count| replies::Online { count, part: "", nicknames: nicknames.clone() };
        for (line, expected) in [
            (replies::CONNECTED.to_owned(), ServerLine::Connected),
            (replies::message(&al, "a: b"), said("a: b")),
            (replies::action(&al, "is at home"), said("is at home")),
            (replies::told_you(&al, "psst"), ServerLine::Private { speaker: "al" }),
            (replies::you_told(&al, "psst me"), ServerLine::Private { speaker: "you" }),
            (replies::joined(&al), ServerLine::Joined("al")),
            (replies::left(&al, LeaveReason::ConnectionLost), ServerLine::Left("al")),
            (replies::renamed(&al, &me), ServerLine::Renamed { before: "al", after: "me" }),
            (online(2).to_string(), ServerLine::Online("al, me")),
            (online(60).to_string(), ServerLine::Online("al, me")),
            (replies::last_messages(7), ServerLine::History(7)),
            (replies::GOODBYE.to_owned(), ServerLine::Notice),
            ("[SERVER] a b joined the chat!".to_owned(), ServerLine::Notice),
            ("[SERVER] me is now known as a b".to_owned(), ServerLine::Notice),
            ("[SERVER] Last messages: many".to_owned(), ServerLine::Notice),
            ("no speaker".to_owned(), ServerLine::Other),
            ("a b: no nickname".to_owned(), ServerLine::Other),
            (" al: no nickname".to_owned(), ServerLine::Other),
            ("[al -> bob] me: not mine".to_owned(), ServerLine::Other),
            (String::new(), ServerLine::Other),
        ] {
            assert_eq!(ServerLine::parse(&line), expected, "{line:?}");
        }
    }
}
