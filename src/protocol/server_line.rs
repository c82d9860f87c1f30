//! Server lines: parsing the lines that [`super::replies`] writes.
//!
//! A simple client only prints these lines. A client that completes or colors nicknames must also parse them.
//! Whatever the server sends, every name in `by` or in [`Kind::Renamed`] is a valid nickname or the word `you`.
//! The names in [`Kind::Online`] are not checked.

use super::nickname::Nickname;
use super::replies::{
    CONNECTED, HAS_JOINED, HAS_LEFT, IS_NOW, LAST_MESSAGES_PREFIX, NOTICE_PREFIX,
};

/// A parsed line. Its parts are borrowed from the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLine<'a> {
    /// The meaning of the line.
    pub kind: Kind<'a>,
    /// The nickname of the person who caused the line. This is `you` for a private message that this client
    /// itself has sent. It is empty if the line is not about one person.
    pub by: &'a str,
}

/// The meaning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// The client has joined.
    Connected,
    /// Somebody has joined.
    Joined,
    /// Somebody has left.
    Left,
    /// Somebody has changed to this nickname.
    Renamed(&'a str),
    /// The nicknames of people who are online, separated by a comma and a space. These nicknames are not checked.
    /// If many people are online, some nicknames are left out.
    Online(&'a str),
    /// The number of history lines that follow. These lines were said before the client joined.
    History(usize),
    /// Any other notice from the server.
    Notice,
    /// `alice: hi` or `* alice waves`, with the text after the nickname.
    Message(&'a str),
    /// `[alice -> you] hi` or `[you -> bob] hi`.
    Private,
    /// None of these.
    Other,
}

impl<'a> ServerLine<'a> {
    /// Parses a line.
    ///
    /// ```
    /// use chat::protocol::server_line::{Kind, ServerLine};
    /// let line = ServerLine::parse("[SERVER] al joined the chat!");
    /// assert_eq!((line.kind, line.by), (Kind::Joined, "al"));
    /// ```
    pub fn parse(line: &'a str) -> Self {
        let other = Self { kind: Kind::Other, by: "" };
        if let Some(notice) = line.strip_prefix(NOTICE_PREFIX) {
            let (kind, by) = parse_notice(line, notice).unwrap_or((Kind::Notice, ""));
            return Self { kind, by };
        }
        if let Some(private) = line.strip_prefix('[') {
            let names = private.split_once("] ").and_then(|(names, _)| names.split_once(" -> "));
            return match names {
                // Nobody can have the nickname `you`, so this word always means the client that receives the
                // line.
                Some((by @ "you", _)) => Self { kind: Kind::Private, by },
                Some((by, "you")) if is_nickname(by) => Self { kind: Kind::Private, by },
                _ => other,
            };
        }
        let said = match line.strip_prefix("* ") {
            Some(action) => action.split_once(' '),
            None => line.split_once(": "),
        };
        match said {
            Some((by, text)) if is_nickname(by) => Self { kind: Kind::Message(text), by },
            _ => other,
        }
    }
}

fn parse_notice<'a>(line: &str, notice: &'a str) -> Option<(Kind<'a>, &'a str)> {
    if line == CONNECTED {
        return Some((Kind::Connected, ""));
    }
    if let Some(lines) = line.strip_prefix(LAST_MESSAGES_PREFIX) {
        return Some((Kind::History(lines.parse().ok()?), ""));
    }
    if let Some((_, list)) = notice.split_once(" online: ") {
        let names = list.split_once(" and ").map_or(list, |(names, _more)| names);
        return Some((Kind::Online(names), ""));
    }
    if let Some(by) = notice.strip_suffix(HAS_JOINED) {
        return is_nickname(by).then_some((Kind::Joined, by));
    }
    if let Some((by, _reason)) = notice.split_once(HAS_LEFT) {
        return is_nickname(by).then_some((Kind::Left, by));
    }
    let (by, after) = notice.split_once(IS_NOW)?;
    (is_nickname(by) && is_nickname(after)).then_some((Kind::Renamed(after), by))
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
        let nicknames = [&al, &me].into_iter();
        let online = |count| replies::Online { count, part: "", nicknames: nicknames.clone() };
        for (line, kind, by) in [
            (replies::CONNECTED.to_owned(), Kind::Connected, ""),
            (replies::message_parts(&al, "a: b").concat(), Kind::Message("a: b"), "al"),
            (replies::action(&al, "is at home"), Kind::Message("is at home"), "al"),
            (replies::told_you(&al, "psst"), Kind::Private, "al"),
            (replies::you_told(&al, "psst me"), Kind::Private, "you"),
            (replies::joined(&al), Kind::Joined, "al"),
            (replies::left(&al, LeaveReason::ConnectionLost), Kind::Left, "al"),
            (replies::renamed(&al, &me), Kind::Renamed("me"), "al"),
            (online(2).to_string(), Kind::Online("al, me"), ""),
            (online(60).to_string(), Kind::Online("al, me"), ""),
            (replies::last_messages(7), Kind::History(7), ""),
            (replies::GOODBYE.to_owned(), Kind::Notice, ""),
            ("[SERVER] a b joined the chat!".to_owned(), Kind::Notice, ""),
            ("[SERVER] me is now known as a b".to_owned(), Kind::Notice, ""),
            ("[SERVER] Last messages: many".to_owned(), Kind::Notice, ""),
            ("no speaker".to_owned(), Kind::Other, ""),
            ("a b: no nickname".to_owned(), Kind::Other, ""),
            (" al: no nickname".to_owned(), Kind::Other, ""),
            ("[al -> bob] me: not mine".to_owned(), Kind::Other, ""),
            (String::new(), Kind::Other, ""),
        ] {
            assert_eq!(ServerLine::parse(&line), ServerLine { kind, by }, "{line:?}");
        }
    }
}
