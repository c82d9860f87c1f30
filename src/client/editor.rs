//! The line editor: keys in, a line being typed. It draws nothing and knows no terminal.
//!
//! Its invariants: the cursor stands on a boundary of the text, and the text is clean. Typing stops at the
//! length of a message. A paste may be longer, up to [`MAX_PASTED_BYTES`], so that none of it is lost.

use std::collections::HashMap;

use super::completion::Completion;
use super::keys::Key;
use super::width::{next_boundary, previous_boundary};
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean;

/// How many lines can be recalled. This is enough to find a line from a while ago. The oldest are forgotten.
const MAX_HISTORY_LINES: usize = 200;

/// How many changes of a line can be undone.
const MAX_UNDOS: usize = 100;

/// The longest line that a paste may make, in bytes.
const MAX_PASTED_BYTES: usize = 16 * 1024;

/// A line being typed.
#[derive(Debug, Default)]
pub(super) struct Editor {
    pub(super) text: String,
    /// Where the next character goes, in bytes.
    pub(super) cursor: usize,
    history: Vec<String>,
    /// The index of the history line that is shown. If it is the length of the history, the new line is shown.
    recalled: usize,
    /// The lines of the history with the changes made to them, and the new line.
    edited: HashMap<usize, String>,
    /// The line as it was before each change.
    undos: Vec<(String, usize)>,
    /// The text of the last deletion, for Ctrl-Y.
    killed: String,
    /// The text that is searched for in the history.
    pub(super) search: Option<String>,
    /// There was no room for the text of the last key.
    pub(super) is_full: bool,
    completion: Option<Completion>,
    last_key: Option<Key>,
}

impl Editor {
    /// Puts a line in place of the text.
    pub(super) fn set(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
        // A completion belongs to the text from before.
        self.completion = None;
    }

    /// Empties the line and returns what was in it. Only the history and what was killed outlive a line.
    pub(super) fn finish(&mut self) -> String {
        let Self { text, history, killed, .. } = std::mem::take(self);
        *self = Self { recalled: history.len(), history, killed, ..Self::default() };
        text
    }

    /// Keeps a line for Up to recall.
    pub(super) fn remember(&mut self, line: &str) {
        if !line.is_empty() && self.history.last().is_none_or(|last| last != line) {
            self.history.push(line.to_owned());
        }
        self.history.drain(..self.history.len().saturating_sub(MAX_HISTORY_LINES));
        self.recalled = self.history.len();
    }

    /// Takes a key. `names` returns the nicknames for Tab, with the most likely one first.
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
        // Where a key moves the cursor to. A key that deletes takes everything between.
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
        // Several typed characters in a row are one change, which is undone as a whole.
        let goes_on = matches!((&last, key), (Some(Key::Char(_)), Key::Char(_)));
        let is_change = !goes_on && !matches!(key, Key::Ctrl('_' | 'c'));
        if is_change && self.text != before.0 {
            self.undos.push(before);
            self.undos.drain(..self.undos.len().saturating_sub(MAX_UNDOS));
        }
    }

    /// Inserts text, made harmless, if there is room for it.
    fn insert(&mut self, text: &str, limit: usize) {
        let text = clean(text);
        self.is_full = self.text.len() + text.len() > limit;
        if self.is_full {
            return;
        }
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        // The text after the cursor may have joined the new character to one cluster.
        let start = previous_boundary(&self.text, self.cursor);
        self.cursor = self.cursor.max(next_boundary(&self.text, start).min(self.text.len()));
    }

    /// Deletes what is between the cursor and another place, and returns it.
    fn delete(&mut self, to: usize) -> String {
        let range = to.min(self.cursor)..to.max(self.cursor);
        self.cursor = range.start;
        self.text.drain(range).collect()
    }

    /// Deletes what Ctrl-Y brings back. What several of these keys in a row delete comes back together.
    fn kill(&mut self, to: usize, last: Option<&Key>) {
        if !matches!(last, Some(Key::Ctrl('u' | 'k' | 'w') | Key::Alt('d'))) {
            self.killed.clear();
        }
        let at = if to < self.cursor { 0 } else { self.killed.len() };
        let text = self.delete(to);
        self.killed.insert_str(at, &text);
    }

    /// Swaps the characters before and after the cursor. At the end of the line, swaps the last two.
    fn transpose(&mut self) {
        let end = next_boundary(&self.text, self.cursor);
        let middle = previous_boundary(&self.text, end);
        let start = previous_boundary(&self.text, middle);
        let swapped = [&self.text[middle..end], &self.text[start..middle]].concat();
        self.text.replace_range(start..end, &swapped);
        self.cursor = end;
    }

    /// Returns where the next word ends in the direction of `step`.
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

    /// Shows a line of the history, or the new line. Beyond either end nothing happens.
    fn recall(&mut self, line: Option<usize>) {
        let Some(line) = line.filter(|&line| line <= self.history.len()) else { return };
        self.edited.insert(self.recalled, std::mem::take(&mut self.text));
        self.recalled = line;
        let text = self.edited.get(&line).or(self.history.get(line));
        self.set(text.cloned().unwrap_or_default());
    }

    /// Searches for the typed text, from the line shown to older lines. Returns whether the key was part of the
    /// search. Any other key ends the search and is used on the line that was found.
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

    /// Types into an editor and returns it, the cursor as `|` in its text.
    fn typed(keys: &str) -> String {
        let mut editor = Editor::default();
        type_into(&mut editor, keys);
        shown(&editor)
    }

    /// Types, Enter included, and returns whether there was room for all of it.
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
