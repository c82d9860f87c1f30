//! Width: the number of columns that a text takes on a terminal, and the positions in the text at which the
//! cursor may be.
//!
//! A *grapheme cluster* is what people see as one character. A cluster may consist of several code points: a
//! letter with its marks, a Hangul syllable, a flag, a family of emoji. The cursor and Backspace treat a cluster
//! as one character. The rules are those of UAX #29 (Unicode 18.0, section 3.1.1), with two differences that save
//! tables. First, there are no rules for prepended marks (rule 9b) and for conjuncts (rule 9c). Second, a joiner
//! joins all characters that are not ASCII, except letters and digits.
//!
//! Terminals disagree on the width of some characters, mostly of joined emoji. For these characters, this module
//! assumes the largest width. So a row may be shorter than necessary, but it never exceeds the width of the
//! terminal.
//!
//! An escape sequence that sets a style counts as a character of width 0. So text can be styled before it is
//! broken into rows.

use crate::protocol::unicode::{is_combining_mark, is_invisible_mark, is_mark, is_wide};

const ESCAPE: char = '\x1b';

/// Joins two emoji: the emoji after the joiner is part of the same picture.
const ZERO_WIDTH_JOINER: char = '\u{200D}';

/// Selects the color form of a symbol. Some terminals draw this form one column wider.
const EMOJI_STYLE: char = '\u{FE0F}';

/// Returns the number of columns that a text takes.
pub(super) fn text_width(text: &str) -> usize {
    clusters(text).map(cluster_width).sum()
}

/// Returns the number of columns that a cluster takes. The cluster must come from [`clusters`].
pub(super) fn cluster_width(cluster: &str) -> usize {
    if cluster.starts_with(ESCAPE) { 0 } else { cluster.chars().map(char_width).sum() }
}

/// Returns the number of columns that one character takes: 0, 1 or 2.
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
/// Two regional indicators form a flag only if an even number of indicators comes directly before them. So this
/// function searches forward, from the last ASCII character before `to`. An ASCII character always starts a
/// cluster.
pub(super) fn previous_boundary(text: &str, to: usize) -> usize {
    let mut start = text[..to].rfind(|c: char| c.is_ascii()).unwrap_or(0);
    while let next = next_boundary(text, start)
        && next < to
    {
        start = next;
    }
    start
}

/// Returns whether `c` belongs to the same cluster as the character before it. `flags` is the number of regional
/// indicators in the cluster so far.
fn joins(before: char, c: char, flags: usize) -> bool {
    joins_syllable(before, c)
        || is_mark(c)
        // Joiners, skin tones, and the tags in the flag of a region.
        || matches!(c, '\u{200C}'..=ZERO_WIDTH_JOINER | '\u{1F3FB}'..='\u{1F3FF}' | '\u{E0020}'..='\u{E007F}')
        || before == ZERO_WIDTH_JOINER && !c.is_alphanumeric() && !c.is_ascii()
        || is_regional(c) && is_regional(before) && flags % 2 == 1
}

/// Returns whether a character is a regional indicator: a special letter from A to Z. Two of these letters form a
/// flag.
fn is_regional(c: char) -> bool {
    matches!(c, '\u{1F1E6}'..='\u{1F1FF}')
}

/// Returns whether `c` continues the Hangul syllable that `before` is part of.
fn joins_syllable(before: char, c: char) -> bool {
    let lead = |c| matches!(c, '\u{1100}'..='\u{115F}' | '\u{A960}'..='\u{A97C}');
    let vowel = |c| matches!(c, '\u{1160}'..='\u{11A7}' | '\u{D7B0}'..='\u{D7C6}');
    let tail = |c| matches!(c, '\u{11A8}'..='\u{11FF}' | '\u{D7CB}'..='\u{D7FB}');
    let syllable = |c| matches!(c, '\u{AC00}'..='\u{D7A3}');
    // Unicode has 28 syllables for each pair of a lead and a vowel. The first of the 28 has no tail.
    let is_open = syllable(before) && (u32::from(before) - 0xAC00).is_multiple_of(28);
    lead(before) && (lead(c) || vowel(c) || syllable(c))
        || (vowel(before) || is_open) && vowel(c)
        || (vowel(before) || tail(before) || syllable(before)) && tail(c)
}

/// Returns whether a character takes no column: a mark, a joiner, a tag, or the vowel or tail of a Hangul
/// syllable.
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
