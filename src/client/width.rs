//! Width: how many columns of a terminal a text takes, and where in it a cursor may stand.
//!
//! A reader's character is a grapheme cluster. It may be several code points: a letter with its
//! marks, a syllable of Hangul, a flag, a family of four. The cursor and Backspace treat it as one. The rules
//! are those of UAX #29 (Unicode 18.0, section 3.1.1), without the two that would need one more table:
//! prepended marks (rule 9b) and conjuncts (9c). There another table says what a joiner may join. Here a joiner
//! joins everything that is neither a letter nor ASCII.
//!
//! Terminals do not agree on every width, above all for joined emoji. Where they differ, this module takes the
//! larger width. A line that is drawn too short is still whole. A line that wraps is not.
//!
//! An escape sequence that sets a style counts as a character without a width, so that text can be
//! painted before it is broken into rows.

use crate::protocol::unicode::{is_combining_mark, is_invisible_mark, is_mark, is_wide};

const ESCAPE: char = '\x1b';

/// The joiner of emoji: what follows it is part of the same picture.
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Asks for the colorful form of a symbol, which some terminals draw a column wider.
const EMOJI_STYLE: char = '\u{FE0F}';

/// Returns how many columns a text takes.
pub(super) fn text_width(text: &str) -> usize {
    clusters(text).map(cluster_width).sum()
}

/// Returns how many columns one of [`clusters`] takes.
pub(super) fn cluster_width(cluster: &str) -> usize {
    if cluster.starts_with(ESCAPE) { 0 } else { cluster.chars().map(char_width).sum() }
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

/// Returns the grapheme clusters of a text, and the escape sequences between them.
pub(super) fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at = next_boundary(text, start);
        (start < at).then(|| &text[start..at])
    })
}

/// Returns the end of the grapheme cluster that starts at `from`.
pub(super) fn next_boundary(text: &str, from: usize) -> usize {
    let text = &text[from..];
    if text.starts_with(ESCAPE) {
        return from + text.find('m').map_or(text.len(), |end| end + 1);
    }
    let mut before = None;
    let mut flags = 0;
    for (offset, c) in text.char_indices() {
        if before.is_some_and(|before| !joins(before, c, flags)) {
            return from + offset;
        }
        flags += usize::from(is_regional(c));
        before = Some(c);
    }
    from + text.len()
}

/// Returns the start of the grapheme cluster that ends at `to`.
///
/// Whether two letters of a flag belong together depends on all that stand before them, so this goes
/// forward from the last character that surely starts a cluster.
pub(super) fn previous_boundary(text: &str, to: usize) -> usize {
    let mut start = text[..to].rfind(|c: char| c.is_ascii()).unwrap_or(0);
    while let next = next_boundary(text, start)
        && next < to
    {
        start = next;
    }
    start
}

/// Returns whether `c` is one cluster with the character before it; `flags` counts the regional
/// indicators before it.
fn joins(before: char, c: char, flags: usize) -> bool {
    joins_syllable(before, c)
        || is_mark(c)
        // Joiners, skin tones, and the tags of which flags of regions are made.
        || matches!(c, '\u{200C}'..=ZERO_WIDTH_JOINER | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}')
        || before == ZERO_WIDTH_JOINER && !c.is_alphanumeric() && !c.is_ascii()
        || is_regional(c) && is_regional(before) && flags % 2 == 1
}

/// The letters from A to Z of which flags are made, in pairs.
fn is_regional(c: char) -> bool {
    matches!(c, '\u{1F1E6}'..='\u{1F1FF}')
}

/// Returns whether `c` goes on with the syllable of Hangul that `before` is part of.
fn joins_syllable(before: char, c: char) -> bool {
    let lead = |c| matches!(c, '\u{1100}'..='\u{115F}' | '\u{A960}'..='\u{A97C}');
    let vowel = |c| matches!(c, '\u{1160}'..='\u{11A7}' | '\u{D7B0}'..='\u{D7C6}');
    let tail = |c| matches!(c, '\u{11A8}'..='\u{11FF}' | '\u{D7CB}'..='\u{D7FB}');
    let syllable = |c| matches!(c, '\u{AC00}'..='\u{D7A3}');
    // Each lead is followed by 28 syllables for each vowel, the first one without a tail.
    let is_open = syllable(before) && (u32::from(before) - 0xAC00).is_multiple_of(28);
    lead(before) && (lead(c) || vowel(c) || syllable(c))
        || (vowel(before) || is_open) && vowel(c)
        || (vowel(before) || tail(before) || syllable(before)) && tail(c)
}

/// Marks, joiners, tags, and the vowels and finals that complete a syllable of Hangul.
fn takes_no_column(c: char) -> bool {
    is_combining_mark(c)
        || is_invisible_mark(c)
        || matches!(c, '\u{200C}'..=ZERO_WIDTH_JOINER | '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}' | '\u{E0020}'..='\u{E007F}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("🇩🇪", 2),
            ("\x1b[1;38;5;63mal\x1b[m", 2),
        ] {
            assert_eq!(text_width(text), columns, "{text:?}");
        }
    }

    const ENGLAND: &str = "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}";

    #[test]
    fn a_cluster_is_what_a_reader_takes_for_one_character() {
        for expected in [
            &["a", "b", "c"][..],
            &["e\u{301}", "a\u{308}\u{323}", "x"],
            &["मो", "हि", "त"],
            &["漢", "字"],
            &["👩\u{200D}👧", "x"],
            &["👩🏽\u{200D}🚀", "👍🏽", "."],
            &["🧑\u{200D}🤝\u{200D}🧑", "!"],
            &["❤\u{FE0F}", "❤\u{FE0F}\u{200D}🔥"],
            &["1\u{FE0F}\u{20E3}", "#\u{20E3}", "1"],
            &["🇩🇪", "🇫🇷", "🇬"],
            &["a", "🇩🇪", "🇫🇷"],
            &[ENGLAND, ENGLAND, "🏴"],
            &["\u{1112}\u{1161}\u{11AB}", "\u{1112}\u{1161}", "\u{1112}"],
            &["한", "국", "가\u{11A8}", "각\u{11A8}", "가"],
            &["a\u{200D}", "b"],
            &["\x1b[1m", "a", "\x1b[m"],
        ] {
            let text = expected.concat();
            assert_eq!(clusters(&text).collect::<Vec<_>>(), expected, "{text:?}");
            let mut backward = Vec::new();
            let mut to = text.len();
            while to > 0 && !text.contains(ESCAPE) {
                let from = previous_boundary(&text, to);
                backward.insert(0, &text[from..to]);
                to = from;
            }
            assert!(text.contains(ESCAPE) || backward == expected, "{backward:?}");
        }
    }
}
