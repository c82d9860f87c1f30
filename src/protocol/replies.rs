//! Replies: the exact text of every line that the server itself sends.
//!
//! Notices begin with `[SERVER] `, which no nickname can imitate. The lines in this module have no line end. The
//! caller adds the line end when it sends a line.

use std::fmt;

use super::MAX_MESSAGE_BYTES;
use super::cleaning::clean_line;
use super::command::COMMANDS;
use super::nickname::Nickname;

/// The start of every notice from the server.
pub const NOTICE_PREFIX: &str = "[SERVER] ";

/// Asks for a nickname. This is the first line to every connection that the server does not refuse.
pub const ENTER_NICKNAME: &str = "[SERVER] Enter your nickname:";

/// The end of every line that asks for a nickname: the first question, and each question after a refusal.
pub const NICKNAME_QUESTION: &str = " nickname:";

/// The nickname was accepted, and the client has joined.
pub const CONNECTED: &str = "[SERVER] Connected to the server!";

/// The last line after `/quit`.
pub const GOODBYE: &str = "[SERVER] Goodbye!";

/// The last line to everyone when the server shuts down.
pub const SHUTTING_DOWN: &str = "[SERVER] The server is shutting down.";

/// The last line to a client that was kicked from the server's console.
pub const KICKED: &str = "[SERVER] You were kicked.";

/// The last line to all clients of a server that shares its room, when this server may have missed something that
/// the other servers have received.
pub const SERVER_LOST: &str = "[SERVER] This server has lost the others. Connect again.";

/// The notice to all clients of a server that shares its room, when nothing has reached the other servers for
/// some seconds.
pub const LINK_DOWN: &str =
    "[SERVER] The link to the other servers is down. What is said waits until it is back.";

/// The notice to the clients that received [`LINK_DOWN`], when the link works again.
pub const LINK_UP: &str = "[SERVER] The link to the other servers is back.";

/// The last line to a connection if the servers could not decide in time whether its nickname is free: see
/// [`LINK_DOWN`].
pub const NO_LINK: &str = "[SERVER] The link to the other servers is down. Try again later.";

/// The last line to a connection that did not give a nickname in time.
pub const LOGIN_TIMEOUT: &str = "[SERVER] You took too long to enter a nickname.";

/// The last line to a connection after too many refused nicknames.
pub const TOO_MANY_TRIES: &str = "[SERVER] Too many tries. Goodbye!";

/// The only line to a new connection when the server is full.
pub const SERVER_FULL: &str = "[SERVER] The server is full. Try again later.";

/// The only line to a new connection from an address that already has too many connections.
pub const TOO_MANY_FROM_ADDRESS: &str = "[SERVER] Too many connections from your address.";

/// The only line to a new connection from an address that the operator has banned.
pub const BANNED: &str = "[SERVER] You are banned.";

/// The last line to a client that sends an HTTP request: see [`is_http`](super::http::is_http).
pub const NOT_A_WEB_SERVER: &str = "[SERVER] This is a chat server, not a web server.";

/// The maximum number of names that [`Online`] lists.
pub const MAX_LISTED_NAMES: usize = 50;

/// The start of the line before the history, such as `[SERVER] Last messages: 2` before two lines.
pub const LAST_MESSAGES_PREFIX: &str = "[SERVER] Last messages: ";

/// Why a client left. Its `Display` is the end of the leave notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveReason {
    /// The client sent `/quit`, or its stream ended cleanly.
    Quit,
    /// The connection broke.
    ConnectionLost,
    /// The client did not read what the server sent.
    TooSlow,
    /// The operator kicked the client from the server's console.
    Kicked,
    /// The client's server and the other servers have lost contact: see [`relay`](crate::relay).
    ServerLost,
    /// The client's server, which shares its room with others, has closed.
    ServerClosed,
}

impl LeaveReason {
    /// The last line to the client that leaves. `None` if nothing can be sent to this client any more.
    pub fn final_line(self) -> Option<&'static str> {
        match self {
            Self::Quit => Some(GOODBYE),
            Self::Kicked => Some(KICKED),
            Self::ServerLost => Some(SERVER_LOST),
            Self::ConnectionLost | Self::TooSlow | Self::ServerClosed => None,
        }
    }
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quit => "",
            Self::ConnectionLost => " (connection lost)",
            Self::TooSlow => " (too slow)",
            Self::Kicked => " (kicked)",
            Self::ServerLost => " (server lost)",
            Self::ServerClosed => " (server closed)",
        })
    }
}

/// A plain message, to everyone except its sender. It is returned in parts, so that the caller can append them to
/// a buffer without an allocation for each message.
pub fn message_parts<'a>(from: &'a Nickname, text: &'a str) -> [&'a str; 3] {
    [from.as_str(), ": ", text]
}

/// An action, to everyone.
pub fn action(from: &Nickname, text: &str) -> String {
    format!("* {from} {text}")
}

/// A private message, as its recipient sees it.
pub fn told_you(from: &Nickname, text: &str) -> String {
    format!("[{from} -> you] {text}")
}

/// A private message, as its sender sees it.
pub fn you_told(to: &Nickname, text: &str) -> String {
    format!("[you -> {to}] {text}")
}

/// The text after the nickname in a join notice.
pub const HAS_JOINED: &str = " joined the chat!";
/// The text after the nickname in a leave notice.
pub const HAS_LEFT: &str = " left the chat!";
/// The text between the two nicknames in the notice of a new nickname.
pub const IS_NOW: &str = " is now known as ";

/// The join notice, to all others.
pub fn joined(nickname: &Nickname) -> String {
    format!("{NOTICE_PREFIX}{nickname}{HAS_JOINED}")
}

/// The leave notice, to all others.
pub fn left(nickname: &Nickname, reason: LeaveReason) -> String {
    format!("{NOTICE_PREFIX}{nickname}{HAS_LEFT}{reason}")
}

/// The notice of a new nickname, to everyone.
pub fn renamed(before: &Nickname, after: &Nickname) -> String {
    format!("{NOTICE_PREFIX}{before}{IS_NOW}{after}")
}

/// The line that lists who is online: the number of people, and the first [`MAX_LISTED_NAMES`] nicknames. This is
/// a type with a `Display`, not a `String`, so that each line is written directly into the buffer from which it
/// is sent. This matters when ten thousand people join.
#[derive(Debug, Clone)]
pub struct Online<'a, I> {
    /// The number of people who are online. If `part` is not empty, only people with this text in the nickname
    /// are counted.
    pub count: usize,
    /// The text that all listed nicknames contain, already cleaned. Empty if everybody is listed.
    pub part: &'a str,
    /// The nicknames of these people.
    pub nicknames: I,
}

impl<'n, I: Iterator<Item = &'n Nickname> + Clone> fmt::Display for Online<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, part, nicknames } = self;
        match (count, *part) {
            (0, part) => return write!(f, "[SERVER] Nobody online has {part} in the name."),
            (_, "") => write!(f, "[SERVER] {count} online: ")?,
            (_, part) => write!(f, "[SERVER] {count} online with {part}: ")?,
        }
        for (place, nickname) in nicknames.clone().take(MAX_LISTED_NAMES).enumerate() {
            write!(f, "{}{nickname}", if place == 0 { "" } else { ", " })?;
        }
        match count.saturating_sub(MAX_LISTED_NAMES) {
            0 => Ok(()),
            others => write!(f, " {}", more(others)),
        }
    }
}

/// The end of a list that leaves some names out. It tells the user how to see these names.
pub fn more(others: usize) -> String {
    format!("and {others} more; /who PART lists those with PART in the name")
}

/// Tells everyone why somebody is kicked. Both arguments must already be cleaned.
pub fn kicked_for(name: &str, reason: &str) -> String {
    format!("{NOTICE_PREFIX}{name} is kicked: {reason}")
}

/// The operator's message, which follows the welcome: one notice for each line of `text`, with line ends.
///
/// # Errors
///
/// If a line is too long after cleaning, returns its length in bytes.
pub fn motd(text: &str) -> Result<String, usize> {
    text.lines().map(|line| Ok(format!("{NOTICE_PREFIX}{}\n", clean_line(line)?))).collect()
}

/// The line before the history. The history has `lines` lines.
pub fn last_messages(lines: usize) -> String {
    format!("{LAST_MESSAGES_PREFIX}{lines}")
}

/// Refuses a nickname, and asks for another nickname. `why` is a sentence.
pub fn nickname_refused(why: impl fmt::Display) -> String {
    format!("[SERVER] {why} Enter another nickname:")
}

/// The text after the nickname in the refusal of a nickname that somebody already has. No other refusal contains
/// this text.
pub const IS_TAKEN: &str = " is already taken.";

/// Refuses a nickname that somebody else has.
pub fn nickname_taken(nickname: &Nickname) -> String {
    format!("The nickname {nickname}{IS_TAKEN}")
}

/// Refuses a line that is not UTF-8.
pub const NOT_UTF8: &str = "That line is not valid UTF-8.";

/// Refuses a line that is longer than the limit.
pub fn too_long(bytes: usize) -> String {
    format!("That line has {bytes} bytes, the limit is {MAX_MESSAGE_BYTES}.")
}

/// Refuses a line that cleaning has made longer than the limit.
pub fn too_long_cleaned(bytes: usize) -> String {
    format!(
        "That line has {bytes} bytes once what cannot be printed is replaced, \
         the limit is {MAX_MESSAGE_BYTES}."
    )
}

/// Refuses a line from a client in the room. `why` is a sentence.
pub fn not_sent(why: impl fmt::Display) -> String {
    format!("[SERVER] Not sent: {why}")
}

/// Refuses a private message to a recipient who has not read earlier private messages.
pub const TOLD_TOO_MUCH: &str = "They have not read what they were told before.";

/// Refuses a new nickname for a client in the room. `why` is a sentence.
pub fn rename_refused(why: impl fmt::Display) -> String {
    format!("[SERVER] {why} You keep your nickname.")
}

/// Answers `/nick` with the name that the client already has.
pub fn renamed_to_itself(nickname: &Nickname) -> String {
    format!("[SERVER] You are {nickname} already.")
}

/// Answers `/msg` to a name that nobody has. `name` must already be cleaned.
pub fn no_such_nickname(name: &str) -> String {
    format!("[SERVER] No such nickname: {name}.")
}

/// The start of the answer to a `/ping` with a word.
pub const PONG_PREFIX: &str = "[SERVER] pong ";

/// Answers `/ping`. `word` must already be cleaned, and may be empty.
pub fn pong(word: &str) -> String {
    format!("{PONG_PREFIX}{word}").trim_end().to_owned()
}

/// Answers a command that does not exist. `word` must already be cleaned.
pub fn unknown_command(word: &str) -> String {
    format!("[SERVER] Unknown command: {word}. Type /help for the commands.")
}

/// Answers an incomplete command. `usage` is the command's syntax.
pub fn usage(usage: &str) -> String {
    format!("[SERVER] Usage: {usage}")
}

/// Returns whether a line from the server is the refusal of a line that the client has sent.
pub fn is_refusal(line: &str) -> bool {
    ["Not sent: ", "No such nickname: ", "Unknown command: ", "Usage: "]
        .iter()
        .any(|why| line.strip_prefix(NOTICE_PREFIX).is_some_and(|notice| notice.starts_with(why)))
}

/// Answers `/help`, in several lines.
pub fn help() -> String {
    let mut text = String::from("[SERVER] Commands:");
    for (usage, purpose) in COMMANDS {
        text += &format!("\n[SERVER]   {usage:<14}  {purpose}");
    }
    text += "\n[SERVER] Anything else is sent to everyone; //text says /text.";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_can_be_told_by_its_start() {
        let refusals =
            [not_sent(NOT_UTF8), no_such_nickname("x"), unknown_command("/x"), usage("/x")];
        assert!(refusals.iter().all(|line| is_refusal(line)), "{refusals:?}");
        assert!(!is_refusal(GOODBYE) && !is_refusal("al: Not sent: x"));
    }

    #[test]
    fn every_question_for_a_nickname_can_be_told_by_its_end() {
        let alice = Nickname::parse("alice").unwrap();
        let refused = nickname_refused(nickname_taken(&alice));
        for question in [ENTER_NICKNAME, &refused] {
            assert!(question.ends_with(NICKNAME_QUESTION), "{question:?}");
        }
    }

    #[test]
    fn a_long_list_of_names_ends_with_the_number_of_the_others() {
        let names: Vec<_> = (1..=62).map(|n| Nickname::parse(&format!("u{n}")).unwrap()).collect();
        let online =
            |count: usize| Online { count, part: "", nicknames: names[..count].iter() }.to_string();
        assert_eq!(online(2), "[SERVER] 2 online: u1, u2");
        assert!(online(50).ends_with(", u49, u50"));
        let end = ", u49, u50 and 12 more; /who PART lists those with PART in the name";
        assert!(online(62).ends_with(end));
    }
}
