//! Nicknames: what a name may look like, and when two names are the same.
//!
//! Names are shown in front of messages and inside notices, so the rules here are what keeps
//! anybody from speaking as the server or as somebody else: no spaces, brackets or colons, nothing
//! invisible, and no two names that differ in case alone.

use std::fmt;

use super::unicode::is_combining_mark;

/// The longest nickname, in characters.
pub const MAX_NICKNAME_CHARS: usize = 32;

/// Words that the programs use for themselves in brackets and texts.
const RESERVED: [&str; 4] = ["server", "client", "error", "you"];

/// Letters by their Unicode category that leave no mark on the screen: the Hangul fillers.
const INVISIBLE_LETTERS: [char; 4] = ['\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}'];

/// A name that is fit to be shown. That it is free is for the server's registry to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nickname(String);

/// Why a text is no nickname. Its `Display` is a sentence for whoever typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicknameError {
    /// Nothing but white space.
    Empty,
    /// More than [`MAX_NICKNAME_CHARS`].
    TooLong {
        /// How many characters it has.
        chars: usize,
    },
    /// A character other than a letter, a digit, `-`, `_` or `.`, or a mark without a letter.
    NotAllowed(char),
    /// One of the words that notices use.
    Reserved,
}

impl Nickname {
    /// Takes a name as typed; white space around it is not part of it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it; the person should be asked for another.
    pub fn parse(typed: &str) -> Result<Self, NicknameError> {
        let name = typed.trim();
        if name.is_empty() {
            return Err(NicknameError::Empty);
        }
        let chars = name.chars().count();
        if chars > MAX_NICKNAME_CHARS {
            return Err(NicknameError::TooLong { chars });
        }
        let mut after_letter = false;
        for c in name.chars() {
            let letter = c.is_alphanumeric() && !INVISIBLE_LETTERS.contains(&c);
            // A mark sits on the letter before it; alone it would sit on a bracket or a space.
            if !(letter || matches!(c, '-' | '_' | '.') || after_letter && is_combining_mark(c)) {
                return Err(NicknameError::NotAllowed(c));
            }
            after_letter = letter || is_combining_mark(c);
        }
        let name = Self(name.to_owned());
        if RESERVED.contains(&name.folded().as_str()) {
            return Err(NicknameError::Reserved);
        }
        Ok(name)
    }

    /// Returns the name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the form under which two names are the same: see [`fold`].
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// Maps names that differ in case alone to one text: each character to upper, then to lower case.
///
/// Upper case first, since it joins what lower case keeps apart: `ß` with `ss`, `ς` with `σ`.
pub fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NicknameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("A nickname cannot be empty."),
            Self::TooLong { chars } => {
                write!(f, "A nickname has at most {MAX_NICKNAME_CHARS} characters, not {chars}.")
            }
            Self::NotAllowed(c) => {
                f.write_str("A nickname is made of letters, digits, '-', '_' and '.', without ")?;
                if *c == ' ' {
                    f.write_str("spaces.")
                } else if c.is_ascii_graphic() {
                    write!(f, "'{c}'.")
                } else {
                    // By number: the character itself may be invisible, or worse.
                    write!(f, "U+{:04X}.", u32::from(*c))
                }
            }
            Self::Reserved => f.write_str("That nickname is reserved."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_are_nicknames() {
        let longest = "x".repeat(32);
        let names = [
            "alice",
            "Bob-2",
            "a.b_c",
            "7",
            "José",
            "Jose\u{301}",
            "Ελένη",
            "मोहित",
            "สมชาย",
            "漢字",
            "محمد",
            "१२",
            longest.as_str(),
        ];
        for name in names {
            assert_eq!(Nickname::parse(name).as_ref().map(Nickname::as_str), Ok(name));
        }
        assert_eq!(Nickname::parse(" alice \t").unwrap().as_str(), "alice");
    }

    #[test]
    fn what_could_imitate_or_hide_is_no_nickname() {
        use NicknameError::{Empty, NotAllowed, Reserved, TooLong};
        for (name, error) in [
            ("", Empty),
            (" \t", Empty),
            ("a b", NotAllowed(' ')),
            ("[SERVER]", NotAllowed('[')),
            ("bob:", NotAllowed(':')),
            ("*", NotAllowed('*')),
            ("/help", NotAllowed('/')),
            ("a\u{200D}b", NotAllowed('\u{200D}')),
            ("a\u{FE0F}", NotAllowed('\u{FE0F}')),
            ("a\u{34F}", NotAllowed('\u{34F}')),
            ("\u{3164}", NotAllowed('\u{3164}')),
            ("\u{301}a", NotAllowed('\u{301}')),
            ("a-\u{301}", NotAllowed('\u{301}')),
            ("a\x1bb", NotAllowed('\x1b')),
            ("👍", NotAllowed('👍')),
            ("Server", Reserved),
            ("YOU", Reserved),
            ("\u{17F}erver", Reserved),
            (&"x".repeat(33), TooLong { chars: 33 }),
        ] {
            assert_eq!(Nickname::parse(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_the_same() {
        for (one, other) in [("Alice", "aLICE"), ("straße", "STRASSE"), ("Σίσυφος", "ΣΊΣΥΦΟΣ")]
        {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("alice"), fold("alicia"));
    }
}
