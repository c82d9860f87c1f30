//! Width: how many columns of a terminal a text takes, and where in it a cursor may stand.
//!
//! Terminals do not agree in every corner (emoji joined into one, above all). Where they differ the
//! width here is the larger one: a line drawn too short is whole, one that wraps is not.

use crate::protocol::unicode::{is_combining_mark, is_invisible_mark};

/// The joiner of emoji; what follows it is part of the same picture.
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Asks for the colorful form of a symbol, which some terminals draw a column wider.
const EMOJI_STYLE: char = '\u{FE0F}';

/// Returns how many columns a text takes.
pub(super) fn text_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Returns how many columns one character takes: 0, 1 or 2.
fn char_width(c: char) -> usize {
    match c {
        ' '..='~' | EMOJI_STYLE => 1,
        c if takes_no_column(c) => 0,
        c if is_wide(c) => 2,
        _ => 1,
    }
}

/// Returns the end of the character at `from` as a reader sees it, with its marks.
pub(super) fn next_boundary(text: &str, from: usize) -> usize {
    let mut previous = None;
    for (offset, c) in text[from..].char_indices() {
        if previous.is_some_and(|previous| !joins(previous, c)) {
            return from + offset;
        }
        previous = Some(c);
    }
    text.len()
}

/// Returns the start of the character that ends at `to`, as a reader sees it.
pub(super) fn previous_boundary(text: &str, to: usize) -> usize {
    let mut characters = text[..to].char_indices().rev().peekable();
    while let Some((offset, c)) = characters.next() {
        if characters.peek().is_none_or(|&(_, previous)| !joins(previous, c)) {
            return offset;
        }
    }
    0
}

/// Returns whether `c` is one character with the one before it, to a reader.
fn joins(previous: char, c: char) -> bool {
    // The last range is the skin tones of emoji.
    previous == ZERO_WIDTH_JOINER
        || takes_no_column(c)
        || matches!(c, EMOJI_STYLE | '\u{1F3FB}'..='\u{1F3FF}')
}

/// Marks, joiners, and the vowels and finals that complete a syllable of Hangul.
fn takes_no_column(c: char) -> bool {
    is_combining_mark(c)
        || is_invisible_mark(c)
        || matches!(c, '\u{200C}'..='\u{200D}' | '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}')
}

fn is_wide(c: char) -> bool {
    let c = u32::from(c);
    let after = WIDE.partition_point(|&(first, _)| first <= c);
    after > 0 && c <= WIDE[after - 1].1
}

/// The characters that are two columns wide (property `East_Asian_Width`, values W and F) as ranges,
/// in order; code points that are not assigned are bridged. Source: `EastAsianWidth.txt`, Unicode
/// 18.0.
#[rustfmt::skip]
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115F), (0x231A, 0x231B), (0x2329, 0x232A), (0x23E9, 0x23EC), (0x23F0, 0x23F0),
    (0x23F3, 0x23F3), (0x25FD, 0x25FE), (0x2614, 0x2615), (0x2630, 0x2637), (0x2648, 0x2653),
    (0x267F, 0x267F), (0x268A, 0x268F), (0x2693, 0x2693), (0x26A1, 0x26A1), (0x26AA, 0x26AB),
    (0x26BD, 0x26BE), (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4), (0x26EA, 0x26EA),
    (0x26F2, 0x26F3), (0x26F5, 0x26F5), (0x26FA, 0x26FA), (0x26FD, 0x26FD), (0x2705, 0x2705),
    (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C), (0x274E, 0x274E), (0x2753, 0x2755),
    (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF), (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x2E80, 0x303E), (0x3041, 0x3247), (0x3250, 0xA4C6),
    (0xA960, 0xA97C), (0xAC00, 0xD7A3), (0xF900, 0xFAD9), (0xFE10, 0xFE19), (0xFE30, 0xFE6B),
    (0xFF01, 0xFF60), (0xFFE0, 0xFFE6), (0x16FE0, 0x1B2FB), (0x1D300, 0x1D376), (0x1F004, 0x1F004),
    (0x1F0CF, 0x1F0CF), (0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1AE, 0x1F1AE),
    (0x1F200, 0x1F320), (0x1F32D, 0x1F335), (0x1F337, 0x1F37C), (0x1F37E, 0x1F393),
    (0x1F3A0, 0x1F3CA), (0x1F3CF, 0x1F3D3), (0x1F3E0, 0x1F3F0), (0x1F3F4, 0x1F3F4),
    (0x1F3F8, 0x1F43E), (0x1F440, 0x1F440), (0x1F442, 0x1F4FC), (0x1F4FF, 0x1F53D),
    (0x1F54B, 0x1F54E), (0x1F550, 0x1F567), (0x1F57A, 0x1F57A), (0x1F595, 0x1F596),
    (0x1F5A4, 0x1F5A4), (0x1F5FB, 0x1F64F), (0x1F680, 0x1F6C5), (0x1F6CC, 0x1F6CC),
    (0x1F6D0, 0x1F6D2), (0x1F6D5, 0x1F6DF), (0x1F6EB, 0x1F6EC), (0x1F6F4, 0x1F6FC),
    (0x1F7DA, 0x1F7DA), (0x1F7E0, 0x1F7F0), (0x1F90C, 0x1F93A), (0x1F93C, 0x1F945),
    (0x1F947, 0x1F9FF), (0x1FA70, 0x1FAFA), (0x20000, 0x3FC3F),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(WIDE.iter().all(|(first, last)| first <= last));
        assert!(WIDE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn a_text_is_as_wide_as_a_terminal_draws_it() {
        for (text, columns) in [
            ("", 0),
            ("hello", 5),
            ("é", 1),
            ("e\u{301}", 1),
            ("漢字", 4),
            ("ｆｕｌｌ", 8),
            ("한국", 4),
            ("\u{1112}\u{1161}\u{11AB}", 2),
            ("🦀", 2),
            ("नमस्ते", 4),
            ("a\u{200D}b\u{200C}c", 3),
            ("\u{FFFD}", 1),
        ] {
            assert_eq!(text_width(text), columns, "{text:?}");
        }
    }

    #[test]
    fn a_cursor_stands_between_characters_as_a_reader_sees_them() {
        for text in
            ["", "abc", "e\u{301}a\u{308}\u{323}", "漢字", "👩\u{200D}👧x", "👍🏽.", "❤\u{FE0F}"]
        {
            let mut forward = vec![0];
            while *forward.last().unwrap() < text.len() {
                forward.push(next_boundary(text, *forward.last().unwrap()));
            }
            let mut backward = vec![text.len()];
            while *backward.last().unwrap() > 0 {
                backward.push(previous_boundary(text, *backward.last().unwrap()));
            }
            backward.reverse();
            assert_eq!(forward, backward, "{text:?}");
        }
        assert_eq!(next_boundary("e\u{301}a", 0), "e\u{301}".len());
        assert_eq!(next_boundary("👩\u{200D}👧x", 0), "👩\u{200D}👧".len());
        assert_eq!(previous_boundary("x👍🏽", "x👍🏽".len()), 1);
    }
}
