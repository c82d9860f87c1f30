//! Commands: the meaning of a line from a client.
//!
//! This module only checks the syntax of a line. The server checks whether a nickname exists.
//!
//! This module grew from step 5 of the [course](crate::lessons).

/// The meaning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// A line of white space only. The server ignores such a line.
    Blank,
    /// A message to everyone: a line that does not begin with a slash. The line `//text` is the message `/text`.
    Say(&'a str),
    /// `/me ACTION`.
    Act(&'a str),
    /// `/msg NICK TEXT`. The nickname may also be written as `@NICK` or `NICK:`.
    Tell {
        /// The recipient's nickname as typed, without the `@` or the `:`.
        to: &'a str,
        /// The message.
        text: &'a str,
    },
    /// `/nick NAME`, with the name as typed.
    Rename(&'a str),
    /// `/who [PART]` or `/users [PART]`: lists the nicknames that contain this part. If the part is empty, lists
    /// all nicknames.
    Who(&'a str),
    /// `/ping [WORD]`: the server sends this word back. The word may be empty.
    Ping(&'a str),
    /// `/help`.
    Help,
    /// `/quit` or `/exit`.
    Quit,
    /// A known command without its argument. The text is the command's syntax.
    Incomplete(&'static str),
    /// A slash, followed by a word that is not a command.
    Unknown(&'a str),
}

/// The syntax of `/msg`.
const TELL_USAGE: &str = "/msg NICK TEXT";
/// The syntax of `/nick`.
const RENAME_USAGE: &str = "/nick NAME";
/// The syntax of `/me`.
const ACT_USAGE: &str = "/me ACTION";

/// The maximum length of the word that `/ping` sends back, in bytes. A longer word is cut off at this length.
pub const MAX_PING_BYTES: usize = 32;

/// The commands, each with its purpose, in the order in which `/help` lists them.
pub const COMMANDS: [(&str, &str); 7] = [
    ("/help", "show this list"),
    ("/who [PART]", "list who is online (also /users)"),
    (RENAME_USAGE, "change your nickname"),
    (TELL_USAGE, "say something to one person only"),
    (ACT_USAGE, "tell everyone what you do"),
    ("/ping [WORD]", "have the server answer pong WORD"),
    ("/quit", "leave the chat (also /exit)"),
];

impl<'a> Command<'a> {
    /// Parses a line. Commands are not case-sensitive.
    ///
    /// ```
    /// use chat::protocol::command::Command;
    /// assert_eq!(Command::parse("/ME waves"), Command::Act("waves"));
    /// assert_eq!(Command::parse("//me waves"), Command::Say("/me waves"));
    /// ```
    pub fn parse(line: &'a str) -> Self {
        let Some(after_slash) = line.strip_prefix('/') else {
            return if line.trim().is_empty() { Self::Blank } else { Self::Say(line) };
        };
        if after_slash.starts_with('/') {
            return Self::Say(after_slash);
        }
        let (word, rest) = split_word(line);
        match word.to_ascii_lowercase().as_str() {
            "/help" => Self::Help,
            "/quit" | "/exit" => Self::Quit,
            "/who" | "/users" => Self::Who(addressed(split_word(rest).0)),
            "/ping" => Self::Ping(cut(split_word(rest).0, MAX_PING_BYTES)),
            "/nick" if rest.is_empty() => Self::Incomplete(RENAME_USAGE),
            "/nick" => Self::Rename(rest),
            "/me" if rest.is_empty() => Self::Incomplete(ACT_USAGE),
            "/me" => Self::Act(rest),
            "/msg" => match split_word(rest) {
                (_, "") => Self::Incomplete(TELL_USAGE),
                (to, text) => Self::Tell { to: addressed(to), text },
            },
            _ => Self::Unknown(word),
        }
    }
}

/// Returns the nickname in a word that addresses somebody, such as `@alice` or `alice:`. No nickname contains `@`
/// or `:`. A word that consists only of these characters is returned whole, so that an error message can show it.
fn addressed(word: &str) -> &str {
    let name = word.strip_prefix('@').unwrap_or(word);
    let name = name.strip_suffix(':').unwrap_or(name);
    if name.is_empty() { word } else { name }
}

/// Splits a text into its first word and the rest. Drops the white space around the word and around the rest.
pub fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Returns the start of a text: as many whole characters as fit into `bytes` bytes.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_means_what_the_help_says() {
        use Command::{Act, Blank, Help, Incomplete, Ping, Quit, Rename, Say, Tell, Unknown, Who};
        for (line, command) in [
            ("", Blank),
            (" \t ", Blank),
            ("hello ", Say("hello ")),
            (" /help", Say(" /help")),
            ("//help", Say("/help")),
            ("///", Say("//")),
            ("/help", Help),
            ("/HELP me", Help),
            ("/quit", Quit),
            ("/Exit ", Quit),
            ("/who", Who("")),
            ("/users ", Who("")),
            ("/who al", Who("al")),
            ("/USERS  @al ice", Who("al")),
            ("/nick", Incomplete("/nick NAME")),
            ("/nick  al ", Rename("al")),
            ("/me", Incomplete("/me ACTION")),
            ("/me  waves  twice", Act("waves  twice")),
            ("/msg", Incomplete("/msg NICK TEXT")),
            ("/msg bob ", Incomplete("/msg NICK TEXT")),
            ("/msg bob hi  there", Tell { to: "bob", text: "hi  there" }),
            ("/msg ALICE: hi", Tell { to: "ALICE", text: "hi" }),
            ("/msg @ALICE hi", Tell { to: "ALICE", text: "hi" }),
            ("/msg @alice: @bob: hi", Tell { to: "alice", text: "@bob: hi" }),
            ("/msg @@alice:: hi", Tell { to: "@alice:", text: "hi" }),
            ("/msg @: hi", Tell { to: "@:", text: "hi" }),
            ("/msg @ hi", Tell { to: "@", text: "hi" }),
            ("/ping", Ping("")),
            ("/ping 17", Ping("17")),
            ("/PING one two", Ping("one")),
            ("/", Unknown("/")),
            ("/helpme", Unknown("/helpme")),
            ("/ quit", Unknown("/")),
        ] {
            assert_eq!(Command::parse(line), command, "{line:?}");
        }
    }

    #[test]
    fn a_long_ping_is_cut_between_characters() {
        let ping = |word: &str| match Command::parse(&format!("/ping {word}")) {
            Command::Ping(word) => word.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!(ping(&"x".repeat(33)), 32);
        assert_eq!(ping(&"x".repeat(32)), 32);
        assert_eq!(ping(&("x".to_owned() + &"é".repeat(16))), 31);
    }
}
