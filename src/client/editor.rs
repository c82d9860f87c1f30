//! The line editor: keys in, a line out. It draws nothing and knows no terminal.
//!
//! The send thread feeds it; the receive thread needs its text and its cursor to draw the line again
//! under a new message. So it lives behind the terminal's lock. Its invariants: the cursor stands on
//! a boundary of the text, and the text is clean and never longer than a message may be.

use super::completion::Completion;
use super::keys::Key;
use super::width::{next_boundary, previous_boundary};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;

/// How many lines can be recalled, enough to find the one from a while ago. The oldest are forgotten.
const MAX_HISTORY_LINES: usize = 200;

/// What a key asks of whoever owns the editor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A line is finished.
    Line(String),
    /// No more fits on the line, so the last character was refused.
    Full,
    /// A pasted line does not fit, so it was not taken; it has this many bytes.
    TooLong(usize),
    /// Empty the screen.
    ClearScreen,
    Suspend,
    Leave,
}

/// A line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    text: String,
    /// Where the next character goes, in bytes.
    cursor: usize,
    history: Vec<String>,
    /// Which line of the history is shown; its length stands for the line begun.
    recalled: usize,
    /// The line begun, while another is shown.
    begun: String,
    completion: Option<Completion>,
    pasting: bool,
    /// How many pasted bytes of this line did not fit.
    excess: usize,
}

impl Editor {
    /// Returns what is typed so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns where in the text the cursor stands, in bytes.
    pub(super) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Puts a line in place of the text.
    pub(super) fn set(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    /// Keeps a line for Up to recall.
    pub(super) fn remember(&mut self, line: &str) {
        if self.history.last().is_none_or(|last| last != line) {
            self.history.push(line.to_owned());
        }
        if self.history.len() > MAX_HISTORY_LINES {
            self.history.remove(0);
        }
        self.recalled = self.history.len();
    }

    /// Takes a key; `names` returns those that Tab completes, the likeliest first.
    pub(super) fn press(&mut self, key: Key, names: impl Fn() -> Vec<String>) -> Option<Action> {
        if self.pasting {
            return self.paste(key);
        }
        if key != Key::Tab {
            self.completion = None;
        }
        match key {
            Key::Char(c) => return (!self.insert(c)).then_some(Action::Full),
            Key::Enter => return Some(Action::Line(self.finish())),
            Key::Tab => self.complete(&names()),
            Key::Backspace => self.delete(previous_boundary(&self.text, self.cursor), self.cursor),
            Key::Delete => self.delete(self.cursor, next_boundary(&self.text, self.cursor)),
            Key::Left => self.cursor = previous_boundary(&self.text, self.cursor),
            Key::Right => self.cursor = next_boundary(&self.text, self.cursor),
            Key::WordLeft => self.cursor = self.word_edge(previous_boundary),
            Key::WordRight => self.cursor = self.word_edge(next_boundary),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.text.len(),
            Key::Up => self.recall(self.recalled.checked_sub(1)),
            Key::Down => self.recall(Some(self.recalled + 1)),
            Key::KillToStart => self.delete(0, self.cursor),
            Key::KillToEnd => self.delete(self.cursor, self.text.len()),
            Key::KillWord => self.delete(self.word_edge(previous_boundary), self.cursor),
            Key::ClearScreen => return Some(Action::ClearScreen),
            Key::Suspend => return Some(Action::Suspend),
            Key::Interrupt | Key::EndOfInput if self.text.is_empty() => return Some(Action::Leave),
            Key::Interrupt => drop(self.finish()),
            Key::EndOfInput => self.delete(self.cursor, next_boundary(&self.text, self.cursor)),
            Key::PasteStart => self.pasting = true,
            Key::PasteEnd => {}
        }
        None
    }

    /// Takes a key that was pasted: text and line ends, nothing that edits.
    fn paste(&mut self, key: Key) -> Option<Action> {
        let c = match key {
            Key::Char(c) => c,
            Key::Tab => ' ',
            Key::Enter | Key::PasteEnd => {
                self.pasting = key == Key::Enter;
                let bytes = self.text.len() + self.excess;
                if std::mem::take(&mut self.excess) > 0 {
                    // Half of what was pasted is not what anybody wants to say.
                    self.finish();
                    return Some(Action::TooLong(bytes));
                }
                return self.pasting.then(|| Action::Line(self.finish()));
            }
            _ => return None,
        };
        if !self.insert(c) {
            self.excess += c.len_utf8();
        }
        None
    }

    /// Empties the line and returns what was in it.
    pub(super) fn finish(&mut self) -> String {
        self.cursor = 0;
        self.recalled = self.history.len();
        self.begun.clear();
        std::mem::take(&mut self.text)
    }

    /// Inserts a character, made harmless, and returns whether there was room for it.
    fn insert(&mut self, c: char) -> bool {
        let mut bytes = [0; 4];
        let typed = clean(c.encode_utf8(&mut bytes));
        // One that did not fit is not followed by one that does: the gap would go unseen.
        if self.excess > 0 || self.text.len() + typed.len() > MAX_MESSAGE_BYTES {
            return false;
        }
        self.text.insert_str(self.cursor, &typed);
        self.cursor += typed.len();
        // A mark may have joined what stands after it.
        while self.cursor < self.text.len() && !self.is_boundary() {
            self.cursor = next_boundary(&self.text, self.cursor);
        }
        true
    }

    fn is_boundary(&self) -> bool {
        let start = previous_boundary(&self.text, self.cursor);
        next_boundary(&self.text, start) == self.cursor
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.drain(from..to);
        self.cursor = from;
    }

    /// Returns where a word ends in the direction of `step`, past what is no word.
    fn word_edge(&self, step: fn(&str, usize) -> usize) -> usize {
        let (mut at, mut in_word) = (self.cursor, false);
        loop {
            let next = step(&self.text, at);
            let word = self.text[at.min(next)..].starts_with(char::is_alphanumeric);
            if next == at || in_word && !word {
                return at;
            }
            (at, in_word) = (next, word);
        }
    }

    /// Shows a line of the history, or the line begun; beyond either end nothing happens.
    fn recall(&mut self, line: Option<usize>) {
        let Some(line) = line.filter(|&line| line <= self.history.len()) else { return };
        if self.recalled == self.history.len() {
            self.begun = std::mem::take(&mut self.text);
        }
        self.recalled = line;
        self.set(self.history.get(line).unwrap_or(&self.begun).clone());
    }

    fn complete(&mut self, names: &[String]) {
        let completion = self.completion.take();
        let completion = completion.or_else(|| Completion::new(&self.text[..self.cursor], names));
        let Some(mut completion) = completion else { return };
        let (start, end) = (completion.start(), self.cursor);
        let word = completion.next();
        if self.text.len() - (end - start) + word.len() > MAX_MESSAGE_BYTES {
            return;
        }
        self.text.replace_range(start..end, word);
        self.cursor = start + word.len();
        self.completion = Some(completion);
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::KeyParser;
    use super::*;

    /// Types into an editor and returns it, the cursor as `|` in its text, and the actions.
    fn typed(keys: &str) -> (String, Vec<Action>) {
        let mut editor = Editor::default();
        let actions = type_into(&mut editor, keys);
        (shown(&editor), actions)
    }

    fn type_into(editor: &mut Editor, keys: &str) -> Vec<Action> {
        let names = || ["bob", "alice", "bobby"].map(str::to_owned).to_vec();
        let mut actions = Vec::new();
        for key in KeyParser::default().feed(keys.as_bytes()) {
            let action = editor.press(key, names);
            if let Some(Action::Line(line)) = &action {
                editor.remember(line);
            }
            actions.extend(action);
        }
        actions
    }

    fn shown(editor: &Editor) -> String {
        let (before, after) = editor.text.split_at(editor.cursor);
        format!("{before}|{after}")
    }

    const LEFT: &str = "\x1b[D";
    const RIGHT: &str = "\x1b[C";
    const UP: &str = "\x1b[A";
    const DOWN: &str = "\x1b[B";
    const DELETE: &str = "\x1b[3~";

    #[test]
    fn every_key_edits_as_it_says() {
        for (keys, expected) in [
            ("hello", "hello|"),
            (&format!("helo{LEFT}l"), "hell|o"),
            (&format!("ab{LEFT}{LEFT}{LEFT}{RIGHT}x"), "ax|b"),
            (&format!("ab{RIGHT}x"), "abx|"),
            ("ab\x01x", "x|ab"),
            ("ab\x01\x05x", "abx|"),
            ("ab\x02x\x06y", "axby|"),
            ("ab\x7f", "a|"),
            ("ab\x01\x7f", "|ab"),
            (&format!("ab\x01{DELETE}"), "|b"),
            (&format!("ab{DELETE}"), "ab|"),
            ("ab\x01\x04", "|b"),
            ("one two\x02\x02\x15", "|wo"),
            ("one two\x02\x02\x0b", "one t|"),
            ("one two.\x17", "one |"),
            ("one two\x17\x17\x17", "|"),
            ("one two\x1bb\x1bbx", "x|one two"),
            ("one two\x01\x1bf", "one| two"),
            ("one  two\x01\x1b[1;5C\x1b[1;5C!", "one  two!|"),
            ("one\x03two", "two|"),
        ] {
            let (text, actions) = typed(keys);
            assert_eq!((text.as_str(), actions.as_slice()), (expected, &[][..]), "{keys:?}");
        }
    }

    #[test]
    fn a_character_with_its_marks_is_one_to_the_cursor() {
        for (keys, expected) in [
            (&*format!("xe\u{301}{LEFT}"), "x|e\u{301}"),
            ("xe\u{301}\x7f", "x|"),
            (&format!("漢字{LEFT}"), "漢|字"),
            ("👩\u{200D}👧\x7f", "|"),
            (&format!("eb{LEFT}\u{301}"), "e\u{301}|b"),
            (&format!("x\u{301}{LEFT}e"), "e|x\u{301}"),
            ("cafe\u{301}s\x1bb", "|cafe\u{301}s"),
            ("😀\u{301}\x17", "|"),
        ] {
            assert_eq!(typed(keys).0, expected, "{keys:?}");
        }
    }

    #[test]
    fn enter_gives_the_line_and_starts_a_new_one() {
        let (text, actions) = typed("hi\rthere\nyou");
        assert_eq!(text, "you|");
        assert_eq!(actions, [Action::Line("hi".into()), Action::Line("there".into())]);
    }

    #[test]
    fn keys_that_leave_do_so_on_an_empty_line_only() {
        assert_eq!(typed("\x03").1, [Action::Leave]);
        assert_eq!(typed("\x04").1, [Action::Leave]);
        assert_eq!(typed("x\x03\x03").1, [Action::Leave]);
        assert_eq!(typed("x\x03").1, []);
        assert_eq!(typed("x\x04").1, []);
        assert_eq!(typed("x\x1a\x0c").1, [Action::Suspend, Action::ClearScreen]);
    }

    #[test]
    fn the_history_is_walked_without_losing_the_line_begun() {
        for (keys, expected) in [
            (UP, "|"),
            (&*format!("one\rtwo\rbegun{UP}"), "two|"),
            (&format!("one\rtwo\rbegun{UP}{UP}{UP}"), "one|"),
            (&format!("one\rtwo\rbegun{UP}{UP}{DOWN}"), "two|"),
            (&format!("one\rtwo\rbegun{UP}{UP}{DOWN}{DOWN}{DOWN}"), "begun|"),
            (&format!("one\rone\r{UP}{UP}"), "one|"),
            (&format!("one\rtwo\r{UP}{UP}!\r{UP}{UP}"), "two|"),
        ] {
            assert_eq!(typed(keys).0, expected, "{keys:?}");
        }
        let lines: Vec<_> = (0..=MAX_HISTORY_LINES).map(|n| n.to_string()).collect();
        let lines = lines.join("\r") + "\r";
        let ups = UP.repeat(MAX_HISTORY_LINES + 5);
        assert_eq!(typed(&format!("{lines}{ups}")).0, "1|", "the oldest is forgotten");
    }

    #[test]
    fn tab_walks_through_what_fits_and_back_to_what_was_typed() {
        for (keys, expected) in [
            ("bo\t", "bob: |"),
            ("bo\t\t", "bobby: |"),
            ("bo\t\t\t", "bo|"),
            ("bo\t\t\t\t", "bob: |"),
            ("hi bo\tx", "hi bob x|"),
            ("/w\t", "/who |"),
            ("zz\t", "zz|"),
            (&format!("al and{LEFT}{LEFT}{LEFT}{LEFT}\t"), "alice: | and"),
        ] {
            assert_eq!(typed(keys).0, expected, "{keys:?}");
        }
    }

    #[test]
    fn no_more_is_taken_than_a_message_may_have() {
        let full = "é".repeat(MAX_MESSAGE_BYTES / 2);
        let (text, actions) = typed(&format!("{full}x\x7fy"));
        assert_eq!(actions, [Action::Full]);
        assert_eq!(text.len() - 1, MAX_MESSAGE_BYTES - 1);
        assert!(text.ends_with("éy|"));
        let almost = "x".repeat(MAX_MESSAGE_BYTES - 3);
        assert_eq!(typed(&format!("{almost} b\t")).0.len() - 1, MAX_MESSAGE_BYTES - 1);
    }

    #[test]
    fn what_is_pasted_is_text_and_several_lines_are_several_messages() {
        let (text, actions) = typed("<\x1b[200~one\rt\two\x03\x1b[A\nthree\x1b[201~>");
        assert_eq!(text, "three>|");
        assert_eq!(actions, [Action::Line("<one".into()), Action::Line("t wo".into())]);
    }

    #[test]
    fn a_pasted_line_that_does_not_fit_is_refused_whole() {
        let long = "x".repeat(MAX_MESSAGE_BYTES + 9);
        let too_long = || Action::TooLong(MAX_MESSAGE_BYTES + 9);
        let (text, actions) = typed(&format!("\x1b[200~{long}\rnext\r\x1b[201~"));
        assert_eq!((text.as_str(), actions), ("|", vec![too_long(), Action::Line("next".into())]));
        let (text, actions) = typed(&format!("\x1b[200~{long}\x1b[201~x"));
        assert_eq!((text.as_str(), actions), ("x|", vec![too_long()]));
    }

    #[test]
    fn nothing_unsafe_gets_into_the_line() {
        assert_eq!(typed("a\u{202E}b\u{9B}c").0, "a\u{FFFD}b\u{FFFD}c|");
    }
}
