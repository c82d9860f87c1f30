//! Nicknames: which names are allowed, and which two names count as the same name.
//!
//! Names are shown in front of messages and inside notices. The following rules prevent a person from posing as
//! the server or as somebody else:
//!
//! - A name consists of letters and digits of any script, `-`, `_` and `.`. It has no space, no bracket, no colon
//!   and no invisible character.
//! - A letter has at most two combining marks. A tall stack of marks would cover the lines above and below.
//! - A name is written with composed letters: `é`, and not `e` followed by U+0301. So two texts that Unicode
//!   calls canonically equivalent (UAX #15) are never two different names here.
//! - Names that differ only in case are the same name.
//!
//! Letters of different scripts are different letters even if they look alike, such as Latin `a` and Cyrillic
//! `а`.
//!
//! This module grew from step 7 of the [course](crate::lessons).

use std::fmt;

use super::cleaning::is_unsafe;
use super::unicode::{is_invisible_mark, is_mark, is_replaced_by_composition, may_compose};

/// The maximum length of a nickname, in characters.
pub const MAX_NICKNAME_CHARS: usize = 32;

/// The maximum number of combining marks on one letter. Thai and pointed Hebrew need two.
const MAX_MARKS_PER_LETTER: usize = 2;

/// Words that the programs print in brackets to refer to themselves or to their user.
const RESERVED: [&str; 4] = ["server", "client", "error", "you"];

/// A name that obeys the rules above. Only the server's room knows whether somebody already has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nickname(String);

/// Why a text is not a nickname. The `Display` of this error is a sentence for the person who typed the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicknameError {
    /// The text has only white space.
    Empty,
    /// The text has more than [`MAX_NICKNAME_CHARS`] characters.
    TooLong {
        /// The number of characters in the text.
        chars: usize,
    },
    /// The text contains this character. Only letters, digits, `-`, `_` and `.` are allowed, and marks after a
    /// letter.
    NotAllowed(char),
    /// The text contains a letter with more than two marks.
    TooManyMarks,
    /// The text contains a character that does not occur at this place in composed text, because it is part of
    /// another spelling of a composed letter.
    NotComposed(char),
    /// The text is a reserved word, such as `server`.
    Reserved,
}

impl Nickname {
    /// Makes a nickname from a typed text. White space around the text is removed.
    ///
    /// # Errors
    ///
    /// If the text breaks a rule, the error says which rule. The caller should ask the person for another
    /// nickname.
    pub fn parse(typed: &str) -> Result<Self, NicknameError> {
        let name = typed.trim();
        if name.is_empty() {
            return Err(NicknameError::Empty);
        }
        let chars = name.chars().count();
        if chars > MAX_NICKNAME_CHARS {
            return Err(NicknameError::TooLong { chars });
        }
        check_characters(name)?;
        let name = Self(name.to_owned());
        if RESERVED.contains(&name.folded().as_str()) {
            return Err(NicknameError::Reserved);
        }
        Ok(name)
    }

    /// Makes a nickname from a name that another server has already checked. The name is not checked again,
    /// because that server may have newer Unicode tables.
    pub fn checked_elsewhere(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Returns the name as people see it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the folded form. It is equal for two names that count as the same name: see [`fold`].
    pub fn folded(&self) -> String {
        fold(&self.0)
    }
}

/// Checks each character, both alone and together with the characters before it.
fn check_characters(name: &str) -> Result<(), NicknameError> {
    // The letter to which a mark would belong, the number of marks on this letter so far, and the previous
    // character.
    let (mut letter, mut marks, mut previous) = (None, 0, None);
    for c in name.chars() {
        if is_unsafe(c) || is_invisible_mark(c) {
            return Err(NicknameError::NotAllowed(c));
        }
        let composes = |before: Option<char>| before.is_some_and(|before| may_compose(before, c));
        if is_mark(c) {
            // A terminal draws a mark over the character before it. So a mark without a letter could be drawn
            // over a bracket.
            if letter.is_none() {
                return Err(NicknameError::NotAllowed(c));
            }
            marks += 1;
        } else {
            if !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')) {
                return Err(NicknameError::NotAllowed(c));
            }
            (letter, marks) = (c.is_alphabetic().then_some(c), 0);
        }
        // A mark may compose with its letter even if another mark is between them.
        if is_replaced_by_composition(c) || composes(previous) || is_mark(c) && composes(letter) {
            return Err(NicknameError::NotComposed(c));
        }
        if marks > MAX_MARKS_PER_LETTER {
            return Err(NicknameError::TooManyMarks);
        }
        previous = Some(c);
    }
    Ok(())
}

/// Returns the same text for all names that count as one name: names that differ only in case, or in the order of
/// a letter's marks.
///
/// Each character is mapped to lower case, then to upper case, then to lower case again. Upper case alone is not
/// enough: `ẞ` and `ß` have different upper-case forms. So the first step maps both to lower case. Lower case
/// alone is not enough either: `ß` and `ss` have different lower-case forms, and so do `ς` and `σ`. The marks of
/// a letter are sorted, since Unicode treats some orders of marks as the same text.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let lower = name.chars().flat_map(char::to_lowercase);
    let folded = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    let mut folded: Vec<char> = folded.collect();
    for marks in folded.chunk_by_mut(|&one, &next| is_mark(one) && is_mark(next)) {
        marks.sort_unstable();
    }
    folded.into_iter().collect()
}

/// Returns whether a text contains a nickname as a whole word. Case does not matter.
pub fn mentions(text: &str, nickname: &str) -> bool {
    const PUNCTUATION: [char; 3] = ['-', '_', '.'];
    let nickname = fold(nickname);
    let of_a_name = |c: char| c.is_alphanumeric() || is_mark(c) || PUNCTUATION.contains(&c);
    let words = text.split(|c| !of_a_name(c));
    !nickname.is_empty()
        && words.map(fold).any(|word| {
            // `ask alice.` mentions `alice`. It also mentions `alice.`, if that is a nickname.
            word == nickname || word.trim_matches(PUNCTUATION) == nickname
        })
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
                    // The number is shown, since the character itself may be invisible or disturb the terminal.
                    write!(f, "U+{:04X}.", u32::from(*c))
                }
            }
            Self::TooManyMarks => write!(
                f,
                "A letter of a nickname has at most {MAX_MARKS_PER_LETTER} combining marks."
            ),
            Self::NotComposed(c) => write!(
                f,
                "A nickname is spelled with composed letters, such as \u{E9}, without U+{:04X}.",
                u32::from(*c)
            ),
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
            "Nguyễn",
            "straße",
            "山\u{FA11}",
            "がく",
            "한글",
            "שׁ\u{5B8}לוֹם",
            "முத்து",
            "ਪ\u{A4D}ਰੀਤ",
            "ب\u{651}\u{64E}",
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
            ("a\u{AD}", NotAllowed('\u{AD}')),
            ("\u{3164}", NotAllowed('\u{3164}')),
            ("\u{FFA0}", NotAllowed('\u{FFA0}')),
            ("a\u{13441}", NotAllowed('\u{13441}')),
            ("a\u{13442}b", NotAllowed('\u{13442}')),
            ("a\u{13440}", NotAllowed('\u{13440}')),
            ("\u{18B00}\u{16FE4}", NotAllowed('\u{16FE4}')),
            ("\u{301}a", NotAllowed('\u{301}')),
            ("\u{93E}", NotAllowed('\u{93E}')),
            ("a-\u{301}", NotAllowed('\u{301}')),
            ("7\u{20E3}", NotAllowed('\u{20E3}')),
            ("1\u{93E}", NotAllowed('\u{93E}')),
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
    fn no_mark_of_any_kind_is_a_name() {
        for c in ('\0'..=char::MAX).filter(|&c| is_mark(c)) {
            let expected = Err(NicknameError::NotAllowed(c));
            assert_eq!(
                Nickname::parse(c.encode_utf8(&mut [0; 4])),
                expected,
                "U+{:04X}",
                u32::from(c)
            );
        }
    }

    #[test]
    fn a_letter_has_at_most_two_marks() {
        let marked = |marks: usize| format!("{}x", "ก".to_owned() + &"\u{E48}".repeat(marks));
        assert!(Nickname::parse(&marked(2)).is_ok());
        assert_eq!(Nickname::parse(&marked(3)), Err(NicknameError::TooManyMarks));
        assert!(Nickname::parse(&marked(2).repeat(2)).is_ok(), "the next letter has its own");
        // Vowel signs count as marks, too, although `std` treats them as letters.
        let vowels = "क\u{93E}\u{93E}\u{93E}";
        assert_eq!(Nickname::parse(vowels), Err(NicknameError::TooManyMarks));
    }

    #[test]
    fn a_name_has_one_spelling() {
        for (name, c) in [
            ("Jose\u{301}", '\u{301}'),
            ("x\u{336}", '\u{336}'),
            ("и\u{306}", '\u{306}'),
            ("ά\u{345}", '\u{345}'),
            ("1e\u{20DD}\u{301}", '\u{301}'),
            ("か\u{3099}", '\u{3099}'),
            ("ا\u{651}\u{653}", '\u{653}'),
            ("க\u{BC6}\u{BBE}", '\u{BBE}'),
            ("\u{1112}\u{1161}", '\u{1161}'),
            ("하\u{11AB}", '\u{11AB}'),
            ("\u{1F71}", '\u{1F71}'),
            ("\u{212B}", '\u{212B}'),
            ("\u{F900}", '\u{F900}'),
            ("\u{958}", '\u{958}'),
        ] {
            assert_eq!(Nickname::parse(name), Err(NicknameError::NotComposed(c)), "{name:?}");
        }
        let why = NicknameError::NotComposed('\u{301}').to_string();
        assert_eq!(why, "A nickname is spelled with composed letters, such as é, without U+0301.");
        // Marks without a composed form may be in any order. The names still count as the same name.
        for (one, other) in
            [("ب\u{651}\u{64E}", "ب\u{64E}\u{651}"), ("ש\u{5C1}\u{5B8}", "ש\u{5B8}\u{5C1}")]
        {
            assert!(Nickname::parse(one).is_ok() && Nickname::parse(other).is_ok());
            assert_eq!(fold(one), fold(other));
        }
    }

    #[test]
    fn names_that_differ_in_case_alone_are_the_same() {
        for (one, other) in [
            ("Alice", "aLICE"),
            ("straße", "STRASSE"),
            ("straße", "STRAẞE"),
            ("STRAẞE", "strasse"),
            ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
            ("ǅ", "ǆ"),
            ("ﬁ", "FI"),
        ] {
            assert_eq!(fold(one), fold(other));
        }
        assert_ne!(fold("alice"), fold("alicia"));
        assert_ne!(fold("jose"), fold("josé"));
    }

    #[test]
    fn case_has_no_more_to_say_about_a_folded_character() {
        let has_case = |c: char| !c.to_lowercase().eq([c]) || !c.to_uppercase().eq([c]);
        for c in ('\0'..=char::MAX).filter(|&c| has_case(c) || is_mark(c)) {
            let folded = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&folded), folded, "U+{:04X}", u32::from(c));
            for variant in [c.to_lowercase().to_string(), c.to_uppercase().to_string()] {
                assert_eq!(fold(&variant), folded, "U+{:04X}", u32::from(c));
            }
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
            assert_eq!(mentions(text, nickname), expected, "{text:?} {nickname:?}");
        }
    }
}
