//! The screen: lines in, bytes out. It draws new lines above the line being typed.
//!
//! A line takes as many rows as it needs. It is broken between words, and every row except the first is
//! indented. So no text can look like another line, at any width. The terminal itself never breaks a line. If
//! it counts other widths than this program, it cuts the row off.
//!
//! Between the lines and the line being typed there may be a note. It is drawn again each time. The line being
//! typed has one row, at the bottom. A longer line scrolls sideways in this row. It does not wrap, since
//! wrapped text cannot be found again once the size of the terminal changes. To draw, the program erases the
//! note and the row, prints the new lines in their place, and draws both again below. The terminal scrolls by
//! itself. No absolute position is used. So the text from before the program's start stays on the screen.

use std::ops::Range;

use super::width::{cluster_width, clusters, text_width};

/// Empties the screen and starts at its top.
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

/// Switch off and on the automatic wrapping of the terminal (DECAWM).
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

const SAVE_CURSOR: &str = "\x1b7";
const RESTORE_CURSOR: &str = "\x1b8";

/// Marks an edge of the row where text is hidden.
const MORE: &str = "…";

/// The indentation of every row of a line except the first.
const INDENT: &str = "  ";

/// Ends a row. In raw mode a line feed alone would only go down.
const ROW_END: &str = "\r\n";

/// The least room for text, in columns. If a prompt would leave less, there is no prompt.
const MIN_TEXT_COLUMNS: usize = 10;

/// The rows that stay at the bottom: a note, which may be empty, and the row being typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bottom<'a> {
    pub(super) note: &'a str,
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// Where in the text the cursor stands, in bytes.
    pub(super) cursor: usize,
}

/// The facts about this drawing that the next one needs.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// How many columns of the text are hidden on the left.
    hidden: usize,
    /// How many columns were drawn of each row of the note, and of the row being typed up to the cursor.
    drawn: Vec<usize>,
    /// The next drawing starts with an empty screen.
    pub(super) clears: bool,
}

impl Screen {
    /// Draws lines (each with its line feed), and below them what stays at the bottom, in a terminal of that many
    /// columns.
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
        // The last column stays empty, for the cursor behind the text.
        let room = columns.saturating_sub(text_width(prompt) + 1);
        // If there is enough room, a column at each edge says that there is more.
        let more = if room < MIN_TEXT_COLUMNS { "" } else { MORE };
        let Range { start: from, end: to } = self.window(text, cursor, room, 2 * text_width(more));
        let before = if from > 0 { more } else { "" };
        let after = if to < text.len() { more } else { "" };
        let before = format!("{prompt}{before}{}", &text[from..cursor]);
        let after = format!("{}{after}", &text[cursor..to]);
        self.drawn.push(text_width(&before));
        // The terminal itself remembers where the cursor goes: it may count other widths for some characters.
        bytes + &before + SAVE_CURSOR + &after + RESTORE_CURSOR + WRAP_ON
    }

    /// Erases the note and the row being typed, and leaves the cursor where they began.
    pub(super) fn erase(&mut self, columns: usize) -> String {
        // Most terminals wrap the rows when they are made narrower. Then the cursor is further below the start
        // of the rows. xterm cuts rows off instead. There this erases too many rows, and with them a message.
        let columns = columns.max(1);
        let cursor = self.drawn.pop().unwrap_or(0) / columns;
        let note: usize = self.drawn.drain(..).map(|row| row.div_ceil(columns).max(1)).sum();
        // The rows are erased one by one. In tmux, erasing the whole screen from its top would move it to the
        // scrollback.
        "\x1b[J\r\x1b[K".to_owned() + &"\x1b[1A\x1b[K".repeat(note + cursor)
    }

    /// Returns the part of the text that is visible in `columns`, minus the margins. Scrolls as little as
    /// needed.
    fn window(&mut self, text: &str, cursor: usize, room: usize, margins: usize) -> Range<usize> {
        let (before, width) = (text_width(&text[..cursor]), text_width(text));
        if width <= room {
            self.hidden = 0;
            return 0..text.len();
        }
        let room = room - margins;
        if before < self.hidden || before > self.hidden + room {
            // Scrolls to the middle, so that not every key scrolls.
            self.hidden = before.saturating_sub(room.div_ceil(2));
        }
        // When the end of the text was deleted, its start comes back into view.
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

/// Appends a line in rows of `columns` columns. Runs of white space are kept, except at the end of a row.
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

    /// A model of a terminal, as far as the client needs it. Any other sequence is an error.
    struct Model {
        columns: usize,
        /// Each cell with its character and the marks on it; the second half of a wide character is empty.
        rows: Vec<Vec<String>>,
        row: usize,
        column: usize,
        /// The last column was filled, and the next character goes to the next row.
        wraps: bool,
        /// Or is lost.
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

        /// The last row as it stands left and right of the cursor.
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

    /// The visible part of a line in a terminal of that many columns.
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
        // A terminal of 16 columns has 13 for the text.
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

    /// A small generator (xorshift), so that a failure can be had again.
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
                    // Wide characters may be cut off at both ends.
                    let used = text_width(&before) + text_width(&after) + 4;
                    assert!(used >= room * 3 / 4, "{context}");
                }
            }
        }
    }
}
