//! The line editor: it applies keys to the line being typed. It draws nothing, and does not use the terminal.
//!
//! Two invariants hold: the cursor is at a boundary between two characters, and the text is clean. Typed text
//! cannot be longer than a message. Pasted text may be longer, up to [`MAX_PASTED_BYTES`], so that no part of a
//! paste is lost.

use std::collections::HashMap;

use super::completion::Completion;
use super::keys::Key;
use super::width::{next_boundary, previous_boundary};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;

/// The maximum number of lines that can be recalled. Older lines are forgotten.
const MAX_HISTORY_LINES: usize = 200;

/// The maximum number of changes of a line that can be undone.
const MAX_UNDOS: usize = 100;

/// The maximum length of a line after a paste, in bytes.
const MAX_PASTED_BYTES: usize = 16 * 1024;

/// A line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    pub(super) text: String,
    /// The index at which the next character is inserted, in bytes.
    pub(super) cursor: usize,
    history: Vec<String>,
    /// The index of the history line that is shown. If this index equals the length of the history, the new line
    /// is shown.
    recalled: usize,
    /// The edited texts of history lines, and the text of the new line while a history line is shown.
    edited: HashMap<usize, String>,
    /// The text and the cursor before each change.
    undos: Vec<(String, usize)>,
    /// The text that Ctrl-Y inserts: the last text that Ctrl-U, Ctrl-K, Ctrl-W or Alt-D has deleted.
    killed: String,
    /// The text that is searched for in the history. `None` if no search is active.
    pub(super) search: Option<String>,
    /// Whether the text of the last key did not fit into the line.
    pub(super) is_full: bool,
    completion: Option<Completion>,
    last_key: Option<Key>,
}

impl Editor {
    /// Replaces the text with another line.
    pub(super) fn set(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
        // The completion belonged to the previous text.
        self.completion = None;
    }

    /// Resets the editor, and returns the text of the line. Only the history and the text for Ctrl-Y are kept.
    pub(super) fn finish(&mut self) -> String {
        let Self { text, history, killed, .. } = std::mem::take(self);
        *self = Self { recalled: history.len(), history, killed, ..Self::default() };
        text
    }

    /// Adds a line to the history, so that Up can recall it.
    pub(super) fn remember(&mut self, line: &str) {
        if !line.is_empty() && self.history.last().is_none_or(|last| last != line) {
            self.history.push(line.to_owned());
        }
        self.history.drain(..self.history.len().saturating_sub(MAX_HISTORY_LINES));
        self.recalled = self.history.len();
    }

    /// Applies a key. `names` returns the nicknames that Tab can complete, with the most likely nickname first.
    pub(super) fn press(&mut self, key: &Key, names: impl Fn() -> Vec<String>) {
        if self.goes_on_searching(key) {
            return;
        }
        let before = (self.text.clone(), self.cursor);
        let last = self.last_key.replace(key.clone());
        if *key != Key::Tab {
            self.completion = None;
        }
        self.is_full = false;
        // The position to which the key moves the cursor. A key that deletes removes the text up to this
        // position.
        let target = match key {
            Key::Ctrl('b' | 'h') => previous_boundary(&self.text, self.cursor),
            Key::Ctrl('f' | 'd') | Key::Delete => next_boundary(&self.text, self.cursor),
            Key::Alt('b') | Key::Ctrl('w') => self.word_edge(previous_boundary),
            Key::Alt('f' | 'd') => self.word_edge(next_boundary),
            Key::Ctrl('a' | 'u') => 0,
            _ => self.text.len(),
        };
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4]), MAX_MESSAGE_BYTES),
            Key::Paste(text) => self.insert(text, MAX_PASTED_BYTES),
            Key::Ctrl('y') => self.insert(&self.killed.clone(), MAX_MESSAGE_BYTES),
            Key::Tab => self.complete(&names()),
            Key::Ctrl('a' | 'b' | 'e' | 'f') | Key::Alt('b' | 'f') => self.cursor = target,
            Key::Ctrl('h' | 'd') | Key::Delete => drop(self.delete(target)),
            Key::Ctrl('u' | 'k' | 'w') | Key::Alt('d') => self.kill(target, last.as_ref()),
            Key::Ctrl('p') => self.recall(self.recalled.checked_sub(1)),
            Key::Ctrl('n') => self.recall(Some(self.recalled + 1)),
            Key::Ctrl('t') => self.transpose(),
            Key::Ctrl('r') => self.search = Some(String::new()),
            Key::Ctrl('c') => drop(self.finish()),
            Key::Ctrl('_') => (self.text, self.cursor) = self.undos.pop().unwrap_or(before.clone()),
            _ => {}
        }
        // Several typed characters in a row count as one change, so Ctrl-_ undoes them together.
        let goes_on = matches!((&last, key), (Some(Key::Char(_)), Key::Char(_)));
        let is_change = !goes_on && !matches!(key, Key::Ctrl('_' | 'c'));
        if is_change && self.text != before.0 {
            self.undos.push(before);
            self.undos.drain(..self.undos.len().saturating_sub(MAX_UNDOS));
        }
    }

    /// Cleans a text, and inserts it unless the line would become longer than `limit` bytes.
    fn insert(&mut self, text: &str, limit: usize) {
        let text = clean(text);
        self.is_full = self.text.len() + text.len() > limit;
        if self.is_full {
            return;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // The inserted text and the text after it may form one grapheme cluster. If they do, the cursor moves
        // past this cluster.
        let start = previous_boundary(&self.text, self.cursor);
        self.cursor = self.cursor.max(next_boundary(&self.text, start).min(self.text.len()));
    }

    /// Deletes the text between the cursor and `to`, and returns this text.
    fn delete(&mut self, to: usize) -> String {
        let range = to.min(self.cursor)..to.max(self.cursor);
        self.cursor = range.start;
        self.text.drain(range).collect()
    }

    /// Deletes the text between the cursor and `to`, and keeps it for Ctrl-Y. If several keys in a row delete
    /// text in this way, Ctrl-Y inserts all of these texts.
    fn kill(&mut self, to: usize, last: Option<&Key>) {
        if !matches!(last, Some(Key::Ctrl('u' | 'k' | 'w') | Key::Alt('d'))) {
            self.killed.clear();
        }
        let at = if to < self.cursor { 0 } else { self.killed.len() };
        let text = self.delete(to);
        self.killed.insert_str(at, &text);
    }

    /// Swaps the characters before and after the cursor. At the end of the line, swaps the last two characters.
    fn transpose(&mut self) {
        let end = next_boundary(&self.text, self.cursor);
        let middle = previous_boundary(&self.text, end);
        let start = previous_boundary(&self.text, middle);
        let swapped = [&self.text[middle..end], &self.text[start..middle]].concat();
        self.text.replace_range(start..end, &swapped);
        self.cursor = end;
    }

    /// Returns the far end of the next word in the direction of `step`.
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

    /// Shows the line of the history with this index, or the new line. Does nothing if there is no such line.
    fn recall(&mut self, line: Option<usize>) {
        let Some(line) = line.filter(|&line| line <= self.history.len()) else { return };
        self.edited.insert(self.recalled, std::mem::take(&mut self.text));
        self.recalled = line;
        let text = self.edited.get(&line).or(self.history.get(line));
        self.set(text.cloned().unwrap_or_default());
    }

    /// Applies a key to the search in the history, if a search is active. The search goes from the shown line to
    /// older lines. Returns whether the key was part of the search. Any other key ends the search, and the caller
    /// applies this key to the line that was found.
    fn goes_on_searching(&mut self, key: &Key) -> bool {
        let Some(query) = &mut self.search else { return false };
        let newest = match key {
            Key::Char(c) => {
                query.push(*c);
                self.recalled + 1
            }
            Key::Ctrl('h') => {
                query.pop();
                self.history.len()
            }
            Key::Ctrl('r') => self.recalled,
            _ => {
                self.search = None;
                return *key == Key::Escape;
            }
        };
        let lines = &self.history[..newest.min(self.history.len())];
        let found = lines.iter().rposition(|line| line.contains(query.as_str()));
        self.recall(found);
        true
    }

    fn complete(&mut self, names: &[String]) {
        let completion = self.completion.take();
        let completion = completion.or_else(|| Completion::new(&self.text, self.cursor, names));
        let Some(mut completion) = completion else { return };
        let (start, end) = (completion.start, self.cursor);
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

    /// Types these keys into an editor, and returns its text with `|` at the cursor.
    fn typed(keys: &str) -> String {
        let mut editor = Editor::default();
        type_into(&mut editor, keys);
        shown(&editor)
    }

    /// Types these keys, including Enter, and returns whether all of the text fit into the line.
    fn type_into(editor: &mut Editor, keys: &str) -> bool {
        let names = || ["bob", "alice", "bobby"].map(str::to_owned).to_vec();
        let mut fits = true;
        for key in KeyParser::default().feed(keys.as_bytes()) {
            if key == Key::Enter {
                let line = editor.finish();
                editor.remember(&line);
            } else {
                editor.press(&key, names);
                fits &= !editor.is_full;
            }
        }
        fits
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
            ("one two\x17\x19\x19", "one twotwo|"),
            ("one two\x17\x17\x19", "one two|"),
            ("one two\x01\x0b\x19", "one two|"),
            ("one two\x15x\x19", "xone two|"),
            ("one two\x01\x1bd\x1bd\x05\x19", "one two|"),
            ("one two\x01\x1bd", "| two"),
            ("ab\x14", "ba|"),
            ("abc\x02\x02\x14", "ba|c"),
            ("a\x14", "a|"),
            ("\x14", "|"),
            ("one\x17two\x1f", "|"),
            ("one\x17\x1f", "one|"),
            ("one\x17\x1f\x1f\x1f", "|"),
            ("one two\x17x\x1f\x1f", "one two|"),
        ] {
            assert_eq!(typed(keys), expected, "{keys:?}");
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
            ("a🇩🇪🇫🇷\x7f", "a🇩🇪|"),
            ("🇩🇪🇫🇷\x14", "🇫🇷🇩🇪|"),
        ] {
            assert_eq!(typed(keys), expected, "{keys:?}");
        }
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
            (&format!("one\rtwo\r{UP}{UP}!{DOWN}?{UP}"), "one!|"),
            (&format!("one\rtwo\r{UP}!{UP}{DOWN}{DOWN}{UP}"), "two!|"),
        ] {
            assert_eq!(typed(keys), expected, "{keys:?}");
        }
        let lines: Vec<_> = (0..=MAX_HISTORY_LINES).map(|n| n.to_string()).collect();
        let lines = lines.join("\r") + "\r";
        let ups = UP.repeat(MAX_HISTORY_LINES + 5);
        assert_eq!(typed(&format!("{lines}{ups}")), "1|", "the oldest is forgotten");
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
            (&format!("al and{LEFT}{LEFT}{LEFT}{LEFT}\t"), "alice| and"),
            ("hi @bo\t", "hi @bob |"),
            ("@al\t", "@alice |"),
            ("hi bo\t\r\t", "bob: |"),
        ] {
            assert_eq!(typed(keys), expected, "{keys:?}");
        }
        let mut editor = Editor::default();
        type_into(&mut editor, "hi bo\t");
        editor.set("漢".to_owned());
        type_into(&mut editor, "\t");
        assert_eq!(shown(&editor), "漢|", "another line is not completed where the last one was");
    }

    #[test]
    fn ctrl_r_searches_the_history() {
        let lines = "make all\rls\rmake test\rls -l\r";
        for (keys, expected) in [
            ("\x12make", "make test|"),
            ("\x12make\x12", "make all|"),
            ("\x12make\x12\x12", "make all|"),
            ("\x12ls", "ls -l|"),
            ("\x12l", "ls -l|"),
            ("\x12la\x7fs", "ls -l|"),
            ("\x12nothing", "|"),
            ("\x12make\x05!", "make test!|"),
            ("\x12all\rx", "x|"),
            ("begun\x12make\x03", "|"),
        ] {
            assert_eq!(typed(&format!("{lines}{keys}")), expected, "{keys:?}");
        }
    }

    #[test]
    fn no_more_is_typed_than_a_message_may_have() {
        let full = "é".repeat(MAX_MESSAGE_BYTES / 2);
        let mut editor = Editor::default();
        assert!(!type_into(&mut editor, &format!("{full}x")));
        assert!(type_into(&mut editor, "\x7fy"));
        assert_eq!(editor.text.len(), MAX_MESSAGE_BYTES - 1);
        assert!(editor.text.ends_with("éy"));
        let almost = "x".repeat(MAX_MESSAGE_BYTES - 3);
        assert_eq!(typed(&format!("{almost} b\t")).len() - 1, MAX_MESSAGE_BYTES - 1);
    }

    #[test]
    fn a_paste_is_text_and_may_make_the_line_too_long() {
        assert_eq!(typed("<\x1b[200~a\tb\x03\x1b[A\x1b[201~>"), "<a b\u{FFFD}\u{FFFD}[A>|");
        let long = "x".repeat(MAX_MESSAGE_BYTES + 9);
        assert_eq!(typed(&format!("<\x1b[200~{long}\x1b[201~")), format!("<{long}|"));
        let longest = "x".repeat(MAX_PASTED_BYTES);
        let mut editor = Editor::default();
        assert!(!type_into(&mut editor, &format!("<\x1b[200~{longest}\x1b[201~")));
        assert_eq!(shown(&editor), "<|", "the draft is kept");
    }

    #[test]
    fn nothing_unsafe_gets_into_the_line() {
        assert_eq!(typed("a\u{202E}b\u{9B}c"), "a\u{FFFD}b\u{FFFD}c|");
    }
}
