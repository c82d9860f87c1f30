//! The protocol without framing: how reads are cut into messages, and how lines are written so that each piece
//! fits into one `recv`.
//!
//! All functions here are pure: they do no I/O. The integration tests include this file to run its tests, because
//! cargo builds an example as a program or as a test, but not as both.

use chat::protocol::command::Command;
use chat::protocol::nickname::{MAX_NICKNAME_CHARS, Nickname, NicknameError};
use chat::protocol::replies::{self, NOTICE_PREFIX};

/// The size that the simple clients pass to `recv`, in bytes.
const RECV_BYTES: usize = 1024;

/// The maximum length of the part of a line that names the speaker, in bytes. The longest nickname with the text
/// around it is shorter than this.
const MAX_SPEAKER_BYTES: usize = 256;

/// The name of a client that did not give a name.
pub(crate) const GUEST: &str = "guest";

/// The first message of a client, which gives the client's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// The name, exactly as the client will put it in front of its messages.
    pub(crate) given: String,
    /// Whether the line also contains a message.
    pub(crate) is_message: bool,
}

/// Cuts the bytes of one read into messages: one message, or one message for each line. Omits blank messages.
pub(crate) fn messages(received: &[u8]) -> impl Iterator<Item = &[u8]> {
    let without_return = |line: &'_ [u8]| line.len() - usize::from(line.ends_with(b"\r"));
    let lines = received.split(|&byte| byte == b'\n');
    lines
        .map(move |line| &line[..without_return(line)])
        .filter(|line| !line.trim_ascii().is_empty())
}

/// Returns the position at which the last message of a read ends. Normally this is the end of the read. But if the
/// buffer is full and contains a line end, the last message ends at the last line end, because the text after it may
/// continue in the next read.
pub(crate) fn end_of_messages(received: &[u8], is_full: bool) -> usize {
    let line_feed = received.iter().rposition(|&byte| byte == b'\n');
    line_feed.filter(|_| is_full).map_or(received.len(), |at| at + 1)
}

/// Parses the first line of a client that has no name yet: `NAME`, `NAME: TEXT` or `/nick NAME`. Returns `None`
/// for other commands, which give no name.
pub(crate) fn introduction(line: &[u8]) -> Option<Introduction> {
    let line = String::from_utf8_lossy(line);
    let named = line.split_once(": ").map(|(name, _)| name);
    let (given, is_message) = match (Command::parse(&line), named) {
        (Command::Rename(name), _) => (name, false),
        // A slash that does not begin a known command is treated as a part of the name.
        (Command::Say(_) | Command::Unknown(_), Some(name)) => (name, true),
        (Command::Say(_), None) => (&*line, false),
        _ => return None,
    };
    Some(Introduction { given: given.to_owned(), is_message })
}

/// Whether a first line comes from a web browser. A web page can make the browser send a request to any port of
/// the same machine. The headers of such a request must not become messages.
pub(crate) fn is_http(line: &[u8]) -> bool {
    line.trim_ascii().rsplit(|&byte| byte == b' ').next().is_some_and(|w| w.starts_with(b"HTTP/"))
}

/// Makes a nickname from any text. Omits characters that are not allowed, and shortens a long text. If `number` is
/// above one, appends the number.
///
/// # Errors
///
/// The name with this number is a reserved word. Then the caller should try another number.
pub(crate) fn fit(given: &str, number: usize) -> Result<Nickname, NicknameError> {
    let suffix = if number > 1 { format!("-{number}") } else { String::new() };
    let mut name = String::new();
    let mut left = MAX_NICKNAME_CHARS - suffix.len();
    for c in given.chars().filter(|c| !c.is_whitespace()) {
        name.push(c);
        // Each character is checked after the characters before it, because a combining mark is allowed only
        // after a letter.
        match Nickname::parse(&name) {
            Ok(_) | Err(NicknameError::Reserved) => left -= 1,
            Err(_) => drop(name.pop()),
        }
        if left == 0 {
            break;
        }
    }
    if name.is_empty() {
        name.push_str(GUEST);
    }
    Nickname::parse(&(name + &suffix))
}

/// Removes the name that these clients put in front of each message. The server adds the real name, so no client
/// can speak in the name of another client.
pub(crate) fn without_name<'a>(message: &'a [u8], names: [&str; 2]) -> &'a [u8] {
    let without = |name: &str| message.strip_prefix(name.as_bytes())?.strip_prefix(b": ");
    names.into_iter().find_map(without).unwrap_or(message)
}

/// If the line says that the client with this nickname has been renamed, returns the new nickname.
pub(crate) fn new_nickname(line: &str, nickname: &Nickname) -> Option<Nickname> {
    let new = Nickname::parse(line.rsplit(' ').next()?).ok()?;
    (line == replies::renamed(nickname, &new)).then_some(new)
}

/// Whether the line refuses the name requested with `/nick`.
pub(crate) fn is_rename_refusal(line: &str) -> bool {
    let refusal = replies::rename_refused("");
    let end = refusal.strip_prefix(NOTICE_PREFIX).unwrap_or(&refusal);
    line.starts_with(NOTICE_PREFIX) && line.ends_with(end)
}

/// Cuts a line into pieces. Each piece ends with a line end, and fits into one `recv`.
///
/// A line that fits is one piece. A longer line is cut between characters, and each piece begins with the name of
/// the speaker. Without this name, the line `alice: ...bob: I resign` could be cut in such a way that a `recv`
/// returns `bob: I resign`.
pub(crate) fn pieces(line: &str) -> Vec<String> {
    if line.len() < RECV_BYTES {
        return vec![format!("{line}\n")];
    }
    let speaker = speaker(line);
    let most = RECV_BYTES - speaker.len() - "\n".len();
    let mut rest = line.strip_prefix(speaker).unwrap_or(line);
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let mut end = rest.len().min(most);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        pieces.push(format!("{speaker}{}\n", &rest[..end]));
        rest = &rest[end..];
    }
    pieces
}

/// Returns the start of a line, which names the speaker: `alice: `, `* alice `, `[alice -> you] `, or
/// `[SERVER] `. Also returns `[SERVER] ` if the line names no speaker. No nickname contains a space, a colon or a
/// bracket.
fn speaker(line: &str) -> &str {
    let (before, end) = match line.chars().next() {
        Some('[') => ("[", "] "),
        Some('*') => ("* ", " "),
        _ => ("", ": "),
    };
    let after = line.strip_prefix(before).and_then(|rest| rest.find(end));
    let bytes = after.map_or(usize::MAX, |at| before.len() + at + end.len());
    if bytes > MAX_SPEAKER_BYTES { NOTICE_PREFIX } else { &line[..bytes] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_one_message_or_as_many_as_it_has_lines() {
        for (received, expected) in [
            ("", &[][..]),
            ("\n \r\n\n", &[]),
            ("hi", &["hi"]),
            (" hi ", &[" hi "]),
            ("alice: onealice: two", &["alice: onealice: two"]),
            ("one\r\ntwo\n\nthree", &["one", "two", "three"]),
            ("a\rb\r\r\n", &["a\rb\r"]),
        ] {
            let cut: Vec<&[u8]> = messages(received.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(cut, expected, "{received:?}");
        }
    }

    #[test]
    fn only_the_last_line_of_a_full_read_goes_on_in_the_next() {
        for (received, is_full, end) in [
            ("one\ntwo\nthr", false, 11),
            ("one\ntwo\nthr", true, 8),
            ("one\ntwo\n", true, 8),
            ("one", true, 3),
            ("", false, 0),
        ] {
            assert_eq!(end_of_messages(received.as_bytes(), is_full), end, "{received:?}");
        }
    }

    #[test]
    fn a_first_line_gives_a_name_and_perhaps_a_message() {
        for (line, expected) in [
            ("alice", Some(("alice", false))),
            (" the cat ", Some((" the cat ", false))),
            ("alice: hi: all", Some(("alice", true))),
            ("alice:hi", Some(("alice:hi", false))),
            ("/nick alice", Some(("alice", false))),
            ("//cat", Some(("//cat", false))),
            ("/cat: meow", Some(("/cat", true))),
            ("/cat", None),
            ("/who", None),
            ("/me waits: long", None),
            ("/quit", None),
            ("", None),
        ] {
            let expected = expected
                .map(|(given, is_message)| Introduction { given: given.to_owned(), is_message });
            assert_eq!(introduction(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(introduction(b"caf\xc3").unwrap().given, "caf\u{FFFD}");
    }

    #[test]
    fn a_browsers_first_line_is_told_from_a_name() {
        for line in ["GET / HTTP/1.1", "POST /x HTTP/1.0\r", "PRI * HTTP/2.0"] {
            assert!(is_http(line.as_bytes()), "{line:?}");
        }
        for line in ["", "alice", "alice: HTTP is fun", "alice: HTTP/ is fun"] {
            assert!(!is_http(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn every_name_is_made_fit_and_can_be_made_unique() {
        for (given, number, fitted) in [
            ("Alice", 1, "Alice"),
            ("Alice", 2, "Alice-2"),
            (" the cat! ", 1, "thecat"),
            ("\u{1b}[2J", 3, "2J-3"),
            ("", 1, "guest"),
            ("server", 2, "server-2"),
            ("Young", 1, "Young"),
            ("मोहित !", 1, "मोहित"),
            ("\u{301}x", 1, "x"),
            (&"x".repeat(40), 10, &("x".repeat(29) + "-10")),
        ] {
            assert_eq!(fit(given, number).unwrap().as_str(), fitted);
        }
        assert_eq!(fit("server", 1), Err(NicknameError::Reserved));
    }

    #[test]
    fn only_ones_own_name_is_taken_off() {
        let names = ["Alice-2", "Alice"];
        for (line, message) in [
            ("Alice: hi", "hi"),
            ("Alice-2: hi", "hi"),
            ("Bob: hi", "Bob: hi"),
            ("Alice:hi", "Alice:hi"),
            ("Alice: Bob: hi", "Bob: hi"),
        ] {
            assert_eq!(without_name(line.as_bytes(), names), message.as_bytes());
        }
    }

    #[test]
    fn the_answer_to_a_rename_is_told_from_what_people_say() {
        let [alice, al] = ["alice", "al"].map(|name| Nickname::parse(name).unwrap());
        let renamed = replies::renamed(&alice, &al);
        assert_eq!(new_nickname(&renamed, &alice), Some(al.clone()));
        assert_eq!(new_nickname(&renamed, &al), None);
        assert_eq!(new_nickname(&format!("alice: {renamed}"), &alice), None);
        assert_eq!(new_nickname("", &alice), None);
        let refused = replies::rename_refused(replies::nickname_taken(&al));
        assert!(is_rename_refusal(&refused));
        assert!(!is_rename_refusal(&format!("alice: {refused}")));
        assert!(!is_rename_refusal(&renamed));
    }

    #[test]
    fn a_line_that_fits_into_one_recv_is_one_piece() {
        for line in [String::new(), "alice: hi".to_owned(), "x".repeat(1023)] {
            assert_eq!(pieces(&line), [format!("{line}\n")]);
        }
    }

    #[test]
    fn every_piece_of_a_longer_line_says_who_spoke_and_none_is_lost() {
        let [x, e] = ["x".repeat(1024), "é".repeat(1500)];
        for (speaker, text) in [
            ("alice: ", &x),
            ("alice: ", &e),
            ("alice: ", &(" : ] * ".repeat(400) + "bob: hi")),
            ("* alice ", &e),
            ("[alice -> you] ", &x),
            ("[you -> alice] ", &x),
            ("[SERVER] ", &e),
            (&("名".repeat(32) + ": "), &e),
        ] {
            let pieces = pieces(&format!("{speaker}{text}"));
            assert!(pieces.iter().all(|piece| piece.len() <= 1024), "{speaker}");
            // There are as few pieces as possible: no piece except the last has space for another character of
            // two bytes.
            assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() >= 1023), "{speaker}");
            let said = pieces.iter().map(|piece| piece.strip_prefix(speaker));
            let said: Option<Vec<&str>> =
                said.map(|text| text.and_then(|text| text.strip_suffix('\n'))).collect();
            assert_eq!(said.unwrap().concat(), **text, "{speaker}");
        }
    }

    #[test]
    fn a_line_of_nobody_is_the_servers() {
        let long = "x".repeat(2000);
        for line in [long.clone(), format!("{long}: x"), format!("[{long}"), format!("*{long}")] {
            let pieces = pieces(&line);
            assert_eq!(pieces.len(), 2);
            assert!(pieces.iter().all(|piece| piece.starts_with("[SERVER] ")));
        }
    }
}
