//! The screen: lines in, bytes out. It draws new lines above the line being typed.
//!
//! The line being typed has one row, at the bottom: a longer one scrolls sideways in it, since text
//! that wraps cannot be found again once the size of the terminal changes. A new message erases the
//! row, takes its place, and the row is drawn anew below it; the terminal scrolls by itself. No
//! absolute position is ever used, so what was on the screen before the program started stays.
//!
//! Each drawing starts with the cursor in that row, and leaves it there. Its bytes are to go out in
//! one write, or a message could be seen half drawn.

use super::width::{next_boundary, text_width};

/// Empties the screen and starts at its top.
pub(super) const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";

const SAVE_CURSOR: &str = "\x1b7";
const RESTORE_CURSOR: &str = "\x1b8";

/// The least room for text, in columns; where a prompt would leave less there is none.
const MIN_TEXT_COLUMNS: usize = 10;

/// The row at the bottom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) prompt: &'a str,
    pub(super) text: &'a str,
    /// Where in the text the cursor stands, in bytes.
    pub(super) cursor: usize,
}

/// What has to be remembered from one drawing to the next.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// How many columns of the text are hidden on the left.
    hidden: usize,
    /// How many columns of the row were drawn, and how many of them up to the cursor.
    drawn: usize,
    column: usize,
}

impl Screen {
    /// Draws lines (each with its line feed) and below them the row being typed, in a terminal of so
    /// many columns.
    pub(super) fn draw(&mut self, above: &str, input: Input<'_>, columns: usize) -> String {
        // In raw mode a line feed alone would only go down.
        let mut bytes = self.erase(columns) + &above.replace('\n', "\r\n");
        let prompt_columns = text_width(input.prompt);
        let fits = prompt_columns + MIN_TEXT_COLUMNS < columns;
        let (prompt, prompt_columns) = if fits { (input.prompt, prompt_columns) } else { ("", 0) };
        // The last column stays empty, for the cursor behind the text.
        let (from, to) = self.window(input, columns.saturating_sub(prompt_columns + 1));
        self.column = prompt_columns + text_width(&input.text[from..input.cursor]);
        self.drawn = prompt_columns + text_width(&input.text[from..to]);
        bytes += prompt;
        bytes += &input.text[from..input.cursor];
        if to > input.cursor {
            // The terminal itself remembers where the cursor goes: with some characters it may have
            // other ideas of their width.
            bytes += SAVE_CURSOR;
            bytes += &input.text[input.cursor..to];
            bytes += RESTORE_CURSOR;
        }
        bytes
    }

    /// Erases the row being typed, and leaves the cursor where it began.
    pub(super) fn erase(&mut self, columns: usize) -> String {
        let (drawn, column) = (std::mem::take(&mut self.drawn), std::mem::take(&mut self.column));
        if drawn <= columns {
            return "\r\x1b[K".to_owned();
        }
        // The terminal was made narrower and has wrapped the row, so that the cursor may be rows below
        // its start. Most do; on one that cuts rows off instead (xterm), a message goes with it.
        match column / columns.max(1) {
            0 => "\r\x1b[J".to_owned(),
            rows => format!("\r\x1b[{rows}A\x1b[J"),
        }
    }

    /// Returns the part of the text that is seen in so many columns, scrolled as little as needed.
    fn window(&mut self, input: Input<'_>, columns: usize) -> (usize, usize) {
        let cursor = text_width(&input.text[..input.cursor]);
        let text = text_width(input.text);
        if text <= columns {
            self.hidden = 0;
        } else if cursor < self.hidden {
            // A quarter further than needed, so that not each key scrolls.
            self.hidden = cursor.saturating_sub(columns / 4);
        } else if cursor > self.hidden + columns {
            self.hidden = cursor - columns * 3 / 4;
        }
        // When the end of the text was deleted, its start comes back into view.
        self.hidden = self.hidden.min(text.saturating_sub(columns * 3 / 4));
        let (mut from, mut to, mut column) = (input.cursor, input.cursor, 0);
        let mut at = 0;
        while at < input.text.len() {
            let next = next_boundary(input.text, at);
            let end = column + text_width(&input.text[at..next]);
            if column >= self.hidden && end <= self.hidden + columns {
                (from, to) = (from.min(at), to.max(next));
            }
            (at, column) = (next, end);
        }
        (from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::super::editor::{Action, Editor};
    use super::super::keys::{Key, KeyParser};
    use super::*;

    /// As much of a terminal as the client needs: anything else it is sent is an error.
    struct Model {
        columns: usize,
        /// Each cell with its character and the marks on it; the second half of a wide one is empty.
        rows: Vec<Vec<String>>,
        row: usize,
        column: usize,
        /// The last column was filled, and the next character goes to the next row.
        wraps: bool,
        saved: (usize, usize),
    }

    impl Model {
        fn new(columns: usize) -> Self {
            let rows = vec![Vec::new()];
            Self { columns, rows, row: 0, column: 0, wraps: false, saved: (0, 0) }
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
                c => usize::from(!c.is_control()),
            };
            let cells = &mut self.rows[self.row];
            if width == 0 {
                let on = cells.iter_mut().rev().find(|cell| !cell.is_empty());
                on.expect("a mark has a character to sit on").push(c);
                return;
            }
            if self.wraps || self.column + width > self.columns {
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

    fn input(text: &str, cursor: usize) -> Input<'_> {
        Input { prompt: PROMPT, text, cursor }
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

    #[test]
    fn a_message_of_any_length_takes_as_many_rows_as_it_needs() {
        for length in [19, 20, 21, 40, 41] {
            let message = "x".repeat(length);
            let mut model = Model::new(20);
            model.feed(&Screen::default().draw(&format!("{message}\n"), input("y", 1), 20));
            let rows = length.div_ceil(20);
            assert_eq!(model.text().len(), rows + 1, "{length}");
            assert_eq!(model.text()[..rows].concat(), message);
            assert_eq!(model.text()[rows], "> y");
        }
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
        assert_eq!(shown(0), "> |abcdefghijklm");
        assert_eq!(shown(13), "> abcdefghijklm|");
        assert_eq!(shown(14), "> fghijklmn|opqr");
        assert_eq!(shown(26), "> rstuvwxyz|");
        assert_eq!(shown(17), "> |rstuvwxyz");
        assert_eq!(shown(16), "> nop|qrstuvwxyz");
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
        let mut starts = |cursor, columns, erased: &str| {
            let bytes = screen.draw("", input("hello, world", cursor), columns);
            assert!(bytes.starts_with(&format!("{erased}> ")), "{columns}: {bytes:?}");
        };
        starts(12, 40, "\r\x1b[K");
        starts(3, 13, "\r\x1b[1A\x1b[J");
        starts(3, 40, "\r\x1b[K");
        starts(3, 13, "\r\x1b[J");
        assert_eq!(screen.erase(3), "\r\x1b[1A\x1b[J");
        assert_eq!(screen.erase(3), "\r\x1b[K", "what is erased is not erased again");
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

    const TYPED: [&str; 24] = [
        "a", "b", " ", "é", "e\u{301}", "漢", "字", "🦀", "hello ", "\r", "\x1b[D", "\x1b[D",
        "\x1b[C", "\x1b[H", "\x1b[F", "\x7f", "\x1b[3~", "\x17", "\x1bb", "\x1bf", "\x1b[A",
        "\x1b[B", "\t", "\x0b",
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
                        if let Some(Action::Line(line)) = editor.press(key, names) {
                            above += &format!("me: {line}\n");
                            editor.remember(&line);
                        }
                    }
                }
                expected.feed(&above.replace('\n', "\r\n"));
                let (text, cursor) = (editor.text(), editor.cursor());
                model.feed(&screen.draw(&above, input(text, cursor), columns));

                let context = format!("seed {seed}, step {step}, {columns} columns, {text:?}");
                let above = expected.rows.len() - 1;
                assert_eq!(model.rows.len(), above + 1, "{context}");
                assert!(model.rows[..above] == expected.rows[..above], "{context}");
                let prompt = if columns > PROMPT.len() + MIN_TEXT_COLUMNS { PROMPT } else { "" };
                let (before, after) = model.input();
                let before = before.strip_prefix(prompt).expect(&context);
                assert!(text[..cursor].ends_with(before), "{before:?}|{after:?}, {context}");
                assert!(text[cursor..].starts_with(&after), "{before:?}|{after:?}, {context}");
                let room = columns - prompt.len() - 1;
                if text_width(text) <= room {
                    assert_eq!(format!("{before}{after}"), text, "{context}");
                } else {
                    // Wide characters may be cut off at both ends.
                    let used = text_width(before) + text_width(&after) + 2;
                    assert!(used >= room * 3 / 4, "{context}");
                }
            }
            assert_eq!(editor.press(Key::PasteEnd, names), None);
        }
    }
}
