//! Cleaning: what a stranger may not send to a terminal.
//!
//! A terminal obeys some of the characters that it is asked to print: escape sequences move its
//! cursor, change its title and answer on its keyboard, and direction overrides make text read as
//! something else. So such characters are replaced, visibly, by U+FFFD. The one function here is
//! used where text enters the server, where the server logs, and where the client prints, since the
//! client has no reason to trust its server.

use std::borrow::Cow;

/// Replaces what is not safe to print: a tab by a space, everything else by U+FFFD.
///
/// Replaced are the other C0 and C1 controls, DEL, and the invisible characters that reorder or hide
/// text. The joiners U+200C and U+200D stay, since Persian and emoji need them. Text that is clean
/// already is lent back without a copy.
///
/// ```
/// use chat::protocol::cleaning::clean;
/// assert_eq!(clean("a\tb \x1b[31mred"), "a b \u{FFFD}[31mred");
/// ```
pub fn clean(text: &str) -> Cow<'_, str> {
    // Plain ASCII, nearly everything: one pass over the bytes, without an early exit, which the
    // compiler turns into one over sixteen bytes at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & (b' '..=b'~').contains(&byte));
    if is_plain || !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let replaced = |c| match c {
        '\t' => ' ',
        c if is_unsafe(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(replaced).collect())
}

/// Whether a character may do something to a terminal, or to a reader, other than being seen.
fn is_unsafe(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}'  // C0 (line ends and tab too), DEL, C1
        | '\u{061C}' | '\u{200E}'..='\u{200F}'  // direction marks
        | '\u{202A}'..='\u{202E}'               // direction embeddings and overrides
        | '\u{2028}'..='\u{2029}'               // line and paragraph separator
        | '\u{2060}'..='\u{2069}'               // word joiner, invisible operators, isolates
        | '\u{180E}' | '\u{200B}' | '\u{FEFF}'  // invisible spaces
        | '\u{E0000}'..='\u{E007F}'             // tags: ASCII that nobody sees
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_text_is_lent_and_not_copied() {
        for text in ["", "plain", "ñandú 漢字", "a\u{200D}b\u{200C}c", "👩\u{200D}👧", "e\u{301}"]
        {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn every_listed_character_is_replaced_and_its_neighbours_are_not() {
        let listed = [
            0..=0x8,
            0xA..=0x1F,
            0x7F..=0x9F,
            0x61C..=0x61C,
            0x180E..=0x180E,
            0x200B..=0x200B,
            0x200E..=0x200F,
            0x2028..=0x202E,
            0x2060..=0x2069,
            0xFEFF..=0xFEFF,
            0xE0000..=0xE007F,
        ];
        for c in '\0'..=char::MAX {
            let expected = match c {
                '\t' => ' ',
                c if listed.iter().any(|range| range.contains(&u32::from(c))) => '\u{FFFD}',
                c => c,
            };
            let cleaned = clean(c.encode_utf8(&mut [0; 4])).into_owned();
            assert_eq!(cleaned, expected.to_string(), "U+{:04X}", u32::from(c));
        }
    }
}
