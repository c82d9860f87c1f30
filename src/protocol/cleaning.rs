//! Cleaning: removing characters that a stranger must not send to a terminal.
//!
//! A terminal obeys some of the characters that a program prints. Escape sequences can move the cursor, change
//! the title, and make the terminal send input as if it had been typed. Other characters deceive people who read
//! the text: these characters reorder text or hide it. Cleaning replaces all these characters with the visible
//! U+FFFD.
//!
//! Text is cleaned when the server receives it, when the server logs it, when the client prints it, and when a
//! program prints its own arguments. The client cleans text because it does not trust its server.
//!
//! This module grew from step 6 of the [course](crate::lessons).

use std::borrow::Cow;

use super::MAX_MESSAGE_BYTES;
use super::unicode::is_default_ignorable;

/// The black flag emoji. Invisible tag characters after it name a region, such as Scotland.
const BLACK_FLAG: char = '\u{1F3F4}';

/// The character that ends the tags of a flag.
const CANCEL_TAG: char = '\u{E007F}';

/// The number of tags in a flag: two letters or three digits for a country or area, and one to four characters
/// for a part of this area (UTS #51, annex C; UTS #35, `unicode_subdivision_id`).
const FLAG_TAGS: std::ops::RangeInclusive<usize> = 3..=7;

/// Replaces the characters that are not safe to print. A tab becomes a space. Each other unsafe character becomes
/// U+FFFD:
///
/// - control characters: C0, DEL and C1, including line ends;
/// - invisible characters, and characters that reorder text (`Default_Ignorable_Code_Point`, which includes
///   `Bidi_Control`);
/// - line separators, paragraph separators, and characters for interlinear annotation;
/// - format controls and blanks for hieroglyphs, format controls for music, and noncharacters.
///
/// Some invisible characters stay, because text needs them: the joiners U+200C and U+200D (for Persian and for
/// emoji), the variation selectors 15 and 16, and the tags of an emoji flag. A text that is already clean is
/// borrowed, not copied.
///
/// ```
/// use chat::protocol::cleaning::clean;
/// assert_eq!(clean("a\tb \x1b[31mred"), "a b \u{FFFD}[31mred");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    // Nearly every text is plain ASCII. This loop over the bytes has no early exit, so the compiler can vectorize
    // it and check sixteen bytes at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if is_plain { Cow::Borrowed(text) } else { replace_unsafe(text) }
}

/// Cleans a text that is not only printable ASCII. This is a separate function, so that for plain text, [`clean`]
/// does not set up the variables of this function.
#[inline(never)]
fn replace_unsafe(text: &str) -> Cow<'_, str> {
    let mut cleaned = String::new();
    // The end of the part of `text` that is in `cleaned` so far, and the end of the last flag with its tags.
    let (mut done, mut flag_end) = (0, 0);
    for (at, c) in text.char_indices() {
        if !is_unsafe(c) {
            if c == BLACK_FLAG {
                flag_end = text.len() - after_flag_tags(&text[at + c.len_utf8()..]).len();
            }
        } else if at >= flag_end {
            if cleaned.is_empty() {
                cleaned.reserve(text.len());
            }
            if done < at {
                cleaned.push_str(&text[done..at]);
            }
            cleaned.push(if c == '\t' { ' ' } else { char::REPLACEMENT_CHARACTER });
            done = at + c.len_utf8();
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    cleaned.push_str(&text[done..]);
    Cow::Owned(cleaned)
}

/// Cleans a line that a client sent.
///
/// # Errors
///
/// Cleaning can make a line three times as long, and the limit on the length of a line also applies after
/// cleaning. If the cleaned line is longer than [`MAX_MESSAGE_BYTES`], returns its length in bytes. The caller
/// tells this length to the sender: see [`too_long_cleaned`](super::replies::too_long_cleaned).
pub fn clean_line(line: &str) -> Result<Cow<'_, str>, usize> {
    let cleaned = clean(line);
    if cleaned.len() > MAX_MESSAGE_BYTES { Err(cleaned.len()) } else { Ok(cleaned) }
}

/// Returns whether [`clean`] replaces a character when the text consists of this character alone.
pub fn is_unsafe(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\0'..='\u{9F}' => true,
        // These ranges contain most characters that people write: Latin, Greek, Cyrillic, Hebrew, kana, Chinese,
        // Korean, emoji. They come first for speed.
        '\u{AE}'..='\u{34E}' | '\u{370}'..='\u{61B}' | '\u{3000}'..='\u{3163}' => false,
        '\u{3165}'..='\u{D7FF}' | '\u{1F000}'..='\u{1FFFD}' => false,
        '\u{200C}'..='\u{200D}' | '\u{FE0E}'..='\u{FE0F}' => false,
        '\u{2028}'..='\u{2029}' | '\u{FFF9}'..='\u{FFFB}' => true,
        // Characters for hieroglyphs: joiners, mirroring, and two blanks. The later characters of this block are
        // visible.
        '\u{13430}'..='\u{13442}' => true,
        c => is_default_ignorable(c) || is_noncharacter(c),
    }
}

/// Returns whether a character is a noncharacter, which Unicode will never assign: the last two code points of
/// each plane, and 32 other code points.
fn is_noncharacter(c: char) -> bool {
    u32::from(c) & 0xFFFE == 0xFFFE || matches!(c, '\u{FDD0}'..='\u{FDEF}')
}

/// Skips the tags of a flag at the start of `text`. Returns the rest, or all of `text` if it does not start with
/// complete tags.
fn after_flag_tags(text: &str) -> &str {
    // A tag character is an invisible copy of an ASCII letter or digit.
    let is_tag = |c: char| matches!(c, '\u{E0030}'..='\u{E0039}' | '\u{E0061}'..='\u{E007A}');
    let after = text.trim_start_matches(is_tag);
    let tags = (text.len() - after.len()) / CANCEL_TAG.len_utf8();
    match after.strip_prefix(CANCEL_TAG) {
        Some(after) if FLAG_TAGS.contains(&tags) => after,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flag of Scotland: a black flag, the tags for `gbsct`, and the tag that ends them.
    const FLAG: &str = "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";

    #[test]
    fn clean_text_is_lent_and_not_copied() {
        for text in [
            "",
            "plain",
            "ñandú 漢字",
            "a\u{200D}b\u{200C}c",
            "👩\u{200D}👧",
            "❤\u{FE0F}❤\u{FE0E}",
            "e\u{301}",
            FLAG,
            "🏴",
        ] {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn what_is_replaced_leaves_all_around_it() {
        for (text, cleaned) in [
            ("\t", " "),
            ("é\x07", "é\u{FFFD}"),
            ("\u{202E}é", "\u{FFFD}é"),
            ("é\0\u{7F}漢\u{85}🦀", "é\u{FFFD}\u{FFFD}漢\u{FFFD}🦀"),
            ("one\ttwo\tthree", "one two three"),
            ("a\u{AD}b\u{E0001}c", "a\u{FFFD}b\u{FFFD}c"),
        ] {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn tags_stay_in_a_whole_flag_only() {
        let kept = format!("a {FLAG}{FLAG}b");
        assert_eq!(clean(&kept), kept);
        let tags = |text: &str| -> String {
            let tag = |c| char::from_u32(0xE0000 + u32::from(c)).unwrap();
            text.chars().map(tag).collect()
        };
        for (before, hidden) in [
            ("", "gbsct\x7F"),
            ("a", "gbsct\x7F"),
            ("🏴", "gbsct"),
            ("🏴", "gb\x7F"),
            ("🏴", "\x7F"),
            ("🏴", "gbsctgbs\x7F"),
            ("🏴", "GBSCT\x7F"),
            ("🏴", "gb sct\x7F"),
        ] {
            let text = format!("{before}{}.", tags(hidden));
            let cleaned = format!("{before}{}.", "\u{FFFD}".repeat(hidden.len()));
            assert_eq!(clean(&text), cleaned, "{before}{hidden:?}");
        }
        // Further tags after a flag are replaced.
        let text = format!("{FLAG}{}", tags("hi\x7F"));
        assert_eq!(clean(&text), format!("{FLAG}\u{FFFD}\u{FFFD}\u{FFFD}"));
    }

    #[test]
    fn every_listed_character_is_replaced_and_no_other_is() {
        let listed = [
            0..=0x8,
            0xA..=0x1F,
            0x7F..=0x9F,
            0xAD..=0xAD,
            0x34F..=0x34F,
            0x61C..=0x61C,
            0x115F..=0x1160,
            0x17B4..=0x17B5,
            0x180B..=0x180F,
            0x200B..=0x200B,
            0x200E..=0x200F,
            0x2028..=0x202E,
            0x2060..=0x206F,
            0x3164..=0x3164,
            0xFDD0..=0xFDEF,
            0xFE00..=0xFE0D,
            0xFEFF..=0xFEFF,
            0xFFA0..=0xFFA0,
            0xFFF0..=0xFFFB,
            0xFFFE..=0xFFFF,
            0x13430..=0x13442,
            0x1BCA0..=0x1BCA3,
            0x1D173..=0x1D17A,
            0xE0000..=0xE0FFF,
        ];
        for c in '\0'..=char::MAX {
            let number = u32::from(c);
            let is_listed = listed.iter().any(|range| range.contains(&number));
            let expected = match c {
                '\t' => ' ',
                _ if is_listed || number % 0x10000 >= 0xFFFE => '\u{FFFD}',
                _ => c,
            };
            let cleaned = clean(c.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(cleaned, expected.to_string(), "U+{number:04X}");
        }
    }

    #[test]
    fn the_limit_of_a_line_holds_after_cleaning() {
        let longest = "\0".repeat(MAX_MESSAGE_BYTES / 3);
        assert_eq!(clean_line(&longest).map(|line| line.len()), Ok(1023));
        assert_eq!(clean_line(&format!("{longest}x")).map(|line| line.len()), Ok(1024));
        assert_eq!(clean_line(&format!("{longest}xx")), Err(1025));
        assert_eq!(clean_line(&"\t".repeat(1024)).map(|line| line.len()), Ok(1024));
    }
}
