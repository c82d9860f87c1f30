//! The screen: it makes the bytes that draw new lines above the line being typed.
//!
//! A long line is broken between words into several rows, and every row except the first is indented. So no part
//! of a line can look like the start of another line, at any width. The terminal itself never breaks a row,
//! because its wrapping is off. If a character is wider on the terminal than this program expects, the terminal
//! cuts the row off.
//!
//! The line being typed has one row, at the bottom. If the line is longer than this row, it scrolls sideways. It
//! does not wrap: after a change of the terminal's size, the program would not know which rows the wrapped text
//! occupies. There may be a note directly above the line being typed.
//!
//! To draw, the program erases the note and the bottom row, prints the new lines in their place, and draws the
//! note and the bottom row again below these lines. The terminal scrolls by itself. The program uses no absolute
//! positions, so text that was there before the program started stays on the screen.

use std::ops::Range;

use super::width::{cluster_width, clusters, text_width};

/// Clears the screen, and moves the cursor to its top.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

/// These two sequences switch the automatic wrapping of the terminal off and on (DECAWM).
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

const SAVE_CURSOR: &str = "\x1b7";
const RESTORE_CURSOR: &str = "\x1b8";

/// The mark at an edge of the row where text is hidden.
const MORE: &str = "…";

/// The indentation of every row of a line except the first.
const INDENT: &str = "  ";

/// Ends a row. In raw mode, a line feed alone would not move the cursor to the start of the next row.
const ROW_END: &str = "\r\n";

/// The minimum number of columns for the text being typed. If the prompt would leave fewer columns for the text,
/// the prompt is not drawn.
const MIN_TEXT_COLUMNS: usize = 10;

/// The rows that stay at the bottom: a note, which may be empty, and the row of the line being typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bottom<'a> {
    pub(super) note: &'a str,
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// The position of the cursor in the text, in bytes.
    pub(super) cursor: usize,
}

/// The state that one call of `draw` keeps for the next call.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The number of columns of the text that are hidden on the left.
    hidden: usize,
    /// The width of each row of the drawn note, in columns. The last item is the width of the bottom row up to
    /// the cursor.
    drawn: Vec<usize>,
    /// Whether the next call of `draw` first clears the screen.
    pub(super) clears: bool,
}

impl Screen {
    /// Returns the bytes that draw the lines of `above` (each with its line feed) and then `bottom`, in a
    /// terminal that is `columns` columns wide.
    pub(super) fn draw(&mut self, above: &str, bottom: Bottom<'_>, columns: usize) -> String {
        let Bottom { note, prompt, text, cursor } = bottom;
        let mut bytes = self.erase(columns) + WRAP_OFF;
        bytes += if std::mem::take(&mut self.clears) { CLEAR_SCREEN } else { "" };
        for line in above.lines() {
            wrap(line, columns, &mut bytes);
        }
        if !note.is_empty() {
            let start = bytes.len();
            wrap(note, columns, &mut bytes);
            self.drawn.extend(bytes[start..].lines().map(text_width));
        }
        let fits = text_width(prompt) + MIN_TEXT_COLUMNS < columns;
        let prompt = if fits { prompt } else { "" };
        // The last column stays empty, so that there is a column for the cursor after the text.
        let room = columns.saturating_sub(text_width(prompt) + 1);
        // If there is enough room, a mark at an edge shows that text is hidden there.
        let more = if room < MIN_TEXT_COLUMNS { "" } else { MORE };
        let Range { start: from, end: to } = self.window(text, cursor, room, 2 * text_width(more));
        let before = if from > 0 { more } else { "" };
        let after = if to < text.len() { more } else { "" };
        let before = format!("{prompt}{before}{}", &text[from..cursor]);
        let after = format!("{}{after}", &text[cursor..to]);
        self.drawn.push(text_width(&before));
        // The terminal itself saves and restores the position of the cursor. This works even if a character is
        // wider on the terminal than this program expects.
        bytes + &before + SAVE_CURSOR + &after + RESTORE_CURSOR + WRAP_ON
    }

    /// Returns the bytes that erase the note and the bottom row, and move the cursor to the start of the erased
    /// rows.
    pub(super) fn erase(&mut self, columns: usize) -> String {
        // When a terminal becomes narrower, most terminals wrap the drawn rows, so the cursor is further below
        // the start of the note. xterm cuts the rows off instead. So in xterm, too many rows are erased here, and
        // a message may be lost.
        let columns = columns.max(1);
        let cursor = self.drawn.pop().unwrap_or(0) / columns;
        let note: usize = self.drawn.drain(..).map(|row| row.div_ceil(columns).max(1)).sum();
        // The rows are erased one by one. If the screen were erased from its top in one step, tmux would move the
        // erased rows to the scrollback.
        "\x1b[J\r\x1b[K".to_owned() + &"\x1b[1A\x1b[K".repeat(note + cursor)
    }

    /// Returns the part of the text that is visible in `room` columns. If the text does not fit, `margins` of these
    /// columns are for the marks at the edges. Scrolls only when the cursor would be hidden.
    fn window(&mut self, text: &str, cursor: usize, room: usize, margins: usize) -> Range<usize> {
        let (before, width) = (text_width(&text[..cursor]), text_width(text));
        if width <= room {
            self.hidden = 0;
            return 0..text.len();
        }
        let room = room - margins;
        if before < self.hidden || before > self.hidden + room {
            // This puts the cursor in the middle, so that the next keys do not scroll again.
            self.hidden = before.saturating_sub(room.div_ceil(2));
        }
        // If the end of the text was deleted, this scrolls back, so that the row is not mostly empty.
        self.hidden = self.hidden.min(width.saturating_sub(room * 3 / 4));
        let (mut window, mut at, mut column) = (cursor..cursor, 0, 0);
        for cluster in clusters(text) {
            let (next, end) = (at + cluster.len(), column + cluster_width(cluster));
            if column >= self.hidden && end <= self.hidden + room {
                window = window.start.min(at)..window.end.max(next);
            }
            (at, column) = (next, end);
        }
        window
    }
}

/// Breaks a line into rows of `columns` columns, and appends them to `rows`. Runs of white space are kept, except
/// at the end of a row.
fn wrap(line: &str, columns: usize, rows: &mut String) {
    let indent = if columns > 2 * INDENT.len() { INDENT } else { "" };
    let mut column = 0;
    for word in line.split_inclusive(char::is_whitespace) {
        let width = text_width(word.trim_end());
        // A word that is wider than a row is cut.
        let mut breaks = column > 0 && column + width > columns && width <= columns - indent.len();
        for cluster in clusters(word) {
            let width = cluster_width(cluster);
            let is_over = column + width > columns;
            if is_over && cluster.trim().is_empty() {
                continue;
            }
            if std::mem::take(&mut breaks) || is_over {
                rows.extend([ROW_END, indent]);
                column = indent.len();
            }
            *rows += cluster;
            column += width;
        }
    }
    *rows += ROW_END;
}

#[cfg(test)]
mod tests {
    use super::super::editor::Editor;
    use super::super::keys::{Key, KeyParser};
    use super::*;

    /// A model of a terminal. It knows only the sequences that the client uses, and panics on any other sequence.
    struct Model {
        columns: usize,
        /// The cells of each row. A cell contains a character and its marks. The second cell of a wide character
        /// is empty.
        rows: Vec<Vec<String>>,
        row: usize,
        column: usize,
        /// Whether the last column was filled, so that the next character goes to the next row.
        wraps: bool,
        /// Whether wrapping is off, so that a character after the last column would be lost.
        cuts: bool,
        saved: (usize, usize),
    }

    impl Model {
        fn new(columns: usize) -> Self {
            let rows = vec![Vec::new()];
            Self { columns, rows, row: 0, column: 0, wraps: false, cuts: false, saved: (0, 0) }
        }

        fn feed(&mut self, bytes: &str) {
            let mut rest = bytes.chars();
            while let Some(c) = rest.next() {
                match c {
                    '\r' => (self.column, self.wraps) = (0, false),
                    '\n' => self.down(),
                    '\x1b' => match rest.next() {
                        Some('7') => self.saved = (self.row, self.column),
                        Some('8') => ((self.row, self.column), self.wraps) = (self.saved, false),
                        Some('[') => match rest.next() {
                            Some('?') => {
                                assert_eq!(rest.next(), Some('7'));
                                self.cuts = rest.next() == Some('l');
                            }
                            Some(up @ '1'..='9') => {
                                assert_eq!(rest.next(), Some('A'));
                                self.row -= up.to_digit(10).unwrap() as usize;
                            }
                            Some('K') => self.rows[self.row].truncate(self.column),
                            Some('J') => {
                                self.rows[self.row].truncate(self.column);
                                self.rows.truncate(self.row + 1);
                            }
                            other => panic!("ESC [ {other:?}"),
                        },
                        other => panic!("ESC {other:?}"),
                    },
                    c => self.print(c),
                }
            }
        }

        fn down(&mut self) {
            self.row += 1;
            self.wraps = false;
            if self.row == self.rows.len() {
                self.rows.push(Vec::new());
            }
        }

        fn print(&mut self, c: char) {
            let width = match c {
                '\u{301}' => 0,
                '漢' | '字' | '🦀' => 2,
                '🇩' | '🇪' => 1,
                c => usize::from(!c.is_control()),
            };
            let cells = &mut self.rows[self.row];
            if width == 0 {
                let on = cells.iter_mut().rev().find(|cell| !cell.is_empty());
                on.expect("a mark has a character to sit on").push(c);
                return;
            }
            if self.wraps || self.column + width > self.columns {
                assert!(!self.cuts, "nothing is drawn past the edge");
                self.column = 0;
                self.down();
            }
            let cells = &mut self.rows[self.row];
            cells.resize(cells.len().max(self.column + width), " ".to_owned());
            cells[self.column] = c.to_string();
            if width == 2 {
                cells[self.column + 1].clear();
            }
            self.column += width;
            if self.column == self.columns {
                self.column -= 1;
                self.wraps = true;
            }
        }

        fn text(&self) -> Vec<String> {
            self.rows.iter().map(|cells| cells.concat()).collect()
        }

        /// The text of the last row, left and right of the cursor.
        fn input(&self) -> (String, String) {
            assert_eq!(self.row + 1, self.rows.len(), "the cursor is in the last row");
            assert!(!self.wraps, "the cursor is not past the edge");
            let cells = &self.rows[self.row];
            let (before, after) = cells.split_at(self.column.min(cells.len()));
            (before.concat(), after.concat())
        }
    }

    const PROMPT: &str = "> ";

    fn input(text: &str, cursor: usize) -> Bottom<'_> {
        Bottom { note: "", prompt: PROMPT, text, cursor }
    }

    #[test]
    fn a_message_appears_above_the_line_and_the_line_stays_whole() {
        let mut screen = Screen::default();
        let mut model = Model::new(20);
        model.feed(&screen.draw("", input("hello", 2), 20));
        assert_eq!(model.input(), ("> he".into(), "llo".into()));
        model.feed(&screen.draw("bob: one\nbob: two\n", input("hello", 2), 20));
        assert_eq!(model.text(), ["bob: one", "bob: two", "> hello"]);
        assert_eq!(model.input(), ("> he".into(), "llo".into()));
    }

    /// The rows in which a line is drawn, in a terminal that is `columns` columns wide.
    fn rows(line: &str, columns: usize) -> Vec<String> {
        let mut model = Model::new(columns);
        model.feed(&Screen::default().draw(&format!("{line}\n"), input("", 0), columns));
        model.rows.pop();
        model.text()
    }

    #[test]
    fn a_line_is_broken_between_words_and_goes_on_indented() {
        for (line, expected) in [
            ("bob: one two", &["bob: one two"][..]),
            ("bob: one two three four", &["bob: one two", "  three four"]),
            ("bob: one two thre four", &["bob: one two", "  thre four"]),
            ("bob: one tw three", &["bob: one tw ", "  three"]),
            ("bob: a    b  c   d", &["bob: a    b ", "  c   d"]),
            ("bob: one two\u{3000}three", &["bob: one two", "  three"]),
            ("bob: 漢字漢字漢字", &["bob: 漢字漢", "  字漢字"]),
            ("0123456789abcdefghijklmnop", &["0123456789ab", "  cdefghijkl", "  mnop"]),
            ("a            b", &["a           ", "  b"]),
            ("", &[""]),
        ] {
            let shown: Vec<_> =
                rows(line, 12).iter().map(|row| row.trim_end().to_owned()).collect();
            let expected: Vec<_> = expected.iter().map(|row| row.trim_end()).collect();
            assert_eq!(shown, expected, "{line:?}");
        }
    }

    #[test]
    fn no_width_lets_text_stand_where_a_line_begins() {
        let line = format!("eve: {}bob: I give up", "x ".repeat(40));
        for columns in 5..100 {
            let shown = rows(&line, columns);
            assert!(shown[1..].iter().all(|row| row.starts_with("  ")), "{columns}: {shown:?}");
        }
    }

    #[test]
    fn a_note_is_drawn_in_place() {
        let mut screen = Screen::default();
        let mut model = Model::new(20);
        model.feed(&screen.draw("", Bottom { note: "one two", ..input("hi", 2) }, 20));
        assert_eq!(model.text(), ["one two", "> hi"]);
        let long = "a note that is broken into rows";
        model.feed(&screen.draw("bob: yes\n", Bottom { note: long, ..input("hi", 2) }, 20));
        assert_eq!(model.text(), ["bob: yes", "a note that is ", "  broken into rows", "> hi"]);
        model.feed(&screen.draw("", input("hi", 2), 20));
        assert_eq!(model.text(), ["bob: yes", "> hi", "", ""], "nothing is left below");
        screen.draw("", Bottom { note: long, ..input("hi", 2) }, 20);
        let rows = "\x1b[1A\x1b[K".repeat(4);
        assert_eq!(
            screen.erase(10),
            format!("\x1b[J\r\x1b[K{rows}"),
            "the terminal has wrapped them"
        );
    }

    #[test]
    fn a_long_line_scrolls_sideways_so_that_the_cursor_is_seen() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let mut screen = Screen::default();
        // In a terminal of 16 columns, the text has 13 columns.
        let mut shown = |cursor| {
            let mut model = Model::new(16);
            model.feed(&screen.draw("", input(text, cursor), 16));
            let (before, after) = model.input();
            format!("{before}|{after}")
        };
        assert_eq!(shown(0), "> |abcdefghijk…");
        assert_eq!(shown(11), "> abcdefghijk|…");
        assert_eq!(shown(12), "> …ghijkl|mnopq…");
        assert_eq!(shown(26), "> …stuvwxyz|");
        assert_eq!(shown(18), "> …|stuvwxyz");
        assert_eq!(shown(17), "> …lmnopq|rstuv…");
    }

    #[test]
    fn a_terminal_too_narrow_for_the_prompt_still_shows_what_is_typed() {
        for columns in 0..=12 {
            let mut model = Model::new(columns.max(1));
            model.feed(&Screen::default().draw("", input("漢字abc", 6), columns));
            assert_eq!(model.rows.len(), 1, "{columns}");
            assert!(columns < 4 || model.input().0.ends_with('字'), "{columns}");
        }
    }

    #[test]
    fn a_row_that_a_narrower_terminal_has_wrapped_is_erased_from_its_start() {
        let mut screen = Screen::default();
        let erased = |rows| format!("\x1b[J\r\x1b[K{}", "\x1b[1A\x1b[K".repeat(rows));
        let mut starts = |cursor, columns, rows| {
            let bytes = screen.draw("", input("hello, world", cursor), columns);
            assert!(bytes.starts_with(&(erased(rows) + "\x1b[?7l> ")), "{columns}: {bytes:?}");
        };
        starts(12, 40, 0);
        starts(3, 13, 1);
        starts(3, 40, 0);
        starts(3, 13, 0);
        assert_eq!(screen.erase(3), erased(1));
        assert_eq!(screen.erase(3), erased(0), "what is erased is not erased again");
    }

    /// A small random number generator (xorshift) with a seed, so that a failure can be repeated.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }

        fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
            choices[self.below(choices.len())]
        }
    }

    const TYPED: [&str; 28] = [
        "a", "b", " ", "é", "e\u{301}", "漢", "字", "🦀", "hello ", "\r", "\x1b[D", "\x1b[D",
        "\x1b[C", "\x1b[H", "\x1b[F", "\x7f", "\x1b[3~", "\x17", "\x1bb", "\x1bf", "\x1b[A",
        "\x1b[B", "\t", "\x0b", "\x14", "\x19", "\x1f", "🇩🇪",
    ];

    #[test]
    fn random_keys_and_messages_leave_the_line_and_all_messages_whole() {
        for seed in 1..=100 {
            let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
            let columns = 8 + random.below(40);
            let (mut screen, mut editor) = (Screen::default(), Editor::default());
            let mut model = Model::new(columns);
            let mut expected = Model::new(columns);
            let names = || vec!["bob".to_owned(), "漢字".to_owned()];
            for step in 0..200 {
                let mut above = String::new();
                if random.below(3) == 0 {
                    for _ in 0..=random.below(3) {
                        above += "bob: ";
                        for _ in 0..random.below(30) {
                            above += random.pick(&["x", "é", "漢", "🦀", "e\u{301}", " "]);
                        }
                        above.push('\n');
                    }
                } else {
                    for key in KeyParser::default().feed(random.pick(&TYPED).as_bytes()) {
                        if key == Key::Enter {
                            let line = editor.finish();
                            above += &format!("me: {line}\n");
                            editor.remember(&line);
                        } else {
                            editor.press(&key, names);
                        }
                    }
                }
                for line in above.lines() {
                    let mut rows = String::new();
                    wrap(line, columns, &mut rows);
                    expected.feed(&rows);
                }
                let (text, cursor) = (&editor.text[..], editor.cursor);
                model.feed(&screen.draw(&above, input(text, cursor), columns));

                let context = format!("seed {seed}, step {step}, {columns} columns, {text:?}");
                let above = expected.rows.len() - 1;
                assert_eq!(model.rows.len(), above + 1, "{context}");
                assert!(model.rows[..above] == expected.rows[..above], "{context}");
                let prompt = if columns > PROMPT.len() + MIN_TEXT_COLUMNS { PROMPT } else { "" };
                let (before, after) = model.input();
                let before = before.strip_prefix(prompt).expect(&context);
                let (before, after) = (before.replace('…', ""), after.replace('…', ""));
                assert!(text[..cursor].ends_with(&before), "{before:?}|{after:?}, {context}");
                assert!(text[cursor..].starts_with(&after), "{before:?}|{after:?}, {context}");
                let room = columns - prompt.len() - 1;
                if text_width(text) <= room {
                    assert_eq!(format!("{before}{after}"), text, "{context}");
                } else {
                    // The two marks take two columns. At each end, a column is empty if a wide character does not
                    // fit.
                    let used = text_width(&before) + text_width(&after) + 4;
                    assert!(used >= room * 3 / 4, "{context}");
                }
            }
        }
    }
}
