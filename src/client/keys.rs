//! Keys: the bytes that a terminal sends for what is pressed, made into keys.
//!
//! A key is one byte, a character of several bytes, or an escape sequence, and a `read` may end in
//! the middle of any of them. So this is a state machine that is fed byte by byte and keeps what is
//! not complete. Sources: ECMA-48 for the shape of the sequences, xterm's `ctlseqs` for the keys.
//!
//! The byte of the Escape key also opens every sequence. Only time can tell them apart, and there is
//! no clock here: whoever reads says when nothing has followed for a while.

/// A key, named after what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Up,
    Down,
    /// Deletes everything before the cursor.
    KillToStart,
    /// Deletes everything after the cursor.
    KillToEnd,
    /// Deletes the word before the cursor.
    KillWord,
    ClearScreen,
    Interrupt,
    EndOfInput,
    Suspend,
    /// What follows is pasted, not typed, up to [`Key::PasteEnd`].
    PasteStart,
    PasteEnd,
}

const ESCAPE: u8 = 0x1B;

/// The most that is kept of a sequence, in bytes. No key needs more; the rest is read, up to its end,
/// and means nothing.
const MAX_SEQUENCE_BYTES: usize = 16;

/// Makes keys of bytes.
#[derive(Debug, Default)]
pub(super) struct KeyParser {
    /// The bytes of a key that is not complete.
    pending: Vec<u8>,
    /// What is pending is an ESC that nothing followed for a while.
    lone_escape: bool,
}

impl KeyParser {
    /// Takes what one `read` returned, and returns the keys that it completed.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for &byte in bytes {
            self.byte(byte, &mut keys);
        }
        keys
    }

    /// Returns whether the last byte was an ESC, so that it matters whether more follows soon.
    pub(super) fn is_after_escape(&self) -> bool {
        self.pending == [ESCAPE] && !self.lone_escape
    }

    /// Learns that nothing followed: it was the Escape key, which does nothing here.
    ///
    /// A slow line may still bring the rest of a sequence, so a `[` is waited for as before.
    pub(super) fn nothing_followed(&mut self) {
        self.lone_escape = self.pending == [ESCAPE];
    }

    fn byte(&mut self, byte: u8, keys: &mut Vec<Key>) {
        if breaks_off(&self.pending, byte) || (self.lone_escape && byte != b'[') {
            if self.pending[0] != ESCAPE {
                // The keyboard does not speak UTF-8.
                keys.push(Key::Char(char::REPLACEMENT_CHARACTER));
            }
            self.pending.clear();
        }
        self.lone_escape = false;
        if self.pending.len() == MAX_SEQUENCE_BYTES {
            self.pending.pop();
        }
        self.pending.push(byte);
        if is_complete(&self.pending) {
            keys.extend(key(&self.pending));
            self.pending.clear();
        }
    }
}

/// Returns whether a byte cannot go on with what is pending.
fn breaks_off(pending: &[u8], byte: u8) -> bool {
    match pending {
        [] => false,
        [ESCAPE] => byte == ESCAPE || byte >= 0x80,
        [ESCAPE, ..] => !(b' '..=b'~').contains(&byte),
        // Within a character of several bytes all but the first are 10xxxxxx.
        _ => byte & 0b1100_0000 != 0b1000_0000,
    }
}

/// Returns whether these bytes are all of a key, or all of something that is none.
fn is_complete(bytes: &[u8]) -> bool {
    match bytes {
        [ESCAPE] | [ESCAPE, b'[' | b'O'] => false,
        // A function key of the Linux console, where the second bracket ends nothing.
        [ESCAPE, b'[', b'['] => false,
        [ESCAPE, b'[', .., last] => (b'@'..=b'~').contains(last),
        [0x80..=0xFF, ..] => !str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none()),
        _ => true,
    }
}

/// Returns the key that these bytes are, if they are one that does something here.
fn key(bytes: &[u8]) -> Option<Key> {
    Some(match bytes {
        b"\r" | b"\n" => Key::Enter,
        b"\t" => Key::Tab,
        b"\x08" | b"\x7F" => Key::Backspace,
        b"\x1B[3~" => Key::Delete,
        b"\x02" | b"\x1B[D" | b"\x1BOD" => Key::Left,
        b"\x06" | b"\x1B[C" | b"\x1BOC" => Key::Right,
        // Alt or Ctrl with an arrow: a modifier is the second parameter.
        b"\x1Bb" | b"\x1B[1;3D" | b"\x1B[1;5D" => Key::WordLeft,
        b"\x1Bf" | b"\x1B[1;3C" | b"\x1B[1;5C" => Key::WordRight,
        b"\x01" | b"\x1B[H" | b"\x1BOH" | b"\x1B[1~" | b"\x1B[7~" => Key::Home,
        b"\x05" | b"\x1B[F" | b"\x1BOF" | b"\x1B[4~" | b"\x1B[8~" => Key::End,
        b"\x10" | b"\x1B[A" | b"\x1BOA" => Key::Up,
        b"\x0E" | b"\x1B[B" | b"\x1BOB" => Key::Down,
        b"\x15" => Key::KillToStart,
        b"\x0B" => Key::KillToEnd,
        b"\x17" | b"\x1B\x08" | b"\x1B\x7F" => Key::KillWord,
        b"\x0C" => Key::ClearScreen,
        b"\x03" => Key::Interrupt,
        b"\x04" => Key::EndOfInput,
        b"\x1A" => Key::Suspend,
        b"\x1B[200~" => Key::PasteStart,
        b"\x1B[201~" => Key::PasteEnd,
        [0..=0x1F, ..] => return None,
        _ => match str::from_utf8(bytes) {
            Ok(text) => Key::Char(text.chars().next()?),
            Err(_) => Key::Char(char::REPLACEMENT_CHARACTER),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        KeyParser::default().feed(bytes)
    }

    #[test]
    fn every_key_has_its_bytes() {
        for (bytes, key) in [
            (&b"a"[..], Key::Char('a')),
            ("é".as_bytes(), Key::Char('é')),
            ("漢".as_bytes(), Key::Char('漢')),
            ("🦀".as_bytes(), Key::Char('🦀')),
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\t", Key::Tab),
            (b"\x7f", Key::Backspace),
            (b"\x08", Key::Backspace),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[D", Key::Left),
            (b"\x1bOD", Key::Left),
            (b"\x02", Key::Left),
            (b"\x1b[C", Key::Right),
            (b"\x06", Key::Right),
            (b"\x1b[1;5D", Key::WordLeft),
            (b"\x1b[1;3D", Key::WordLeft),
            (b"\x1bb", Key::WordLeft),
            (b"\x1b[1;5C", Key::WordRight),
            (b"\x1bf", Key::WordRight),
            (b"\x1b[H", Key::Home),
            (b"\x1bOH", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x01", Key::Home),
            (b"\x1b[F", Key::End),
            (b"\x1b[4~", Key::End),
            (b"\x05", Key::End),
            (b"\x1b[A", Key::Up),
            (b"\x10", Key::Up),
            (b"\x1b[B", Key::Down),
            (b"\x0e", Key::Down),
            (b"\x15", Key::KillToStart),
            (b"\x0b", Key::KillToEnd),
            (b"\x17", Key::KillWord),
            (b"\x1b\x7f", Key::KillWord),
            (b"\x0c", Key::ClearScreen),
            (b"\x03", Key::Interrupt),
            (b"\x04", Key::EndOfInput),
            (b"\x1a", Key::Suspend),
            (b"\x1b[200~", Key::PasteStart),
            (b"\x1b[201~", Key::PasteEnd),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn a_key_split_across_reads_is_one_key() {
        let stream = "aé漢🦀\x1b[D\x1bOC\x1b[1;5C\x1bb\x1b[200~x\x1b[201~\r".as_bytes();
        let whole = keys(stream);
        for split in 0..=stream.len() {
            let mut parser = KeyParser::default();
            let mut parts = parser.feed(&stream[..split]);
            parts.extend(parser.feed(&stream[split..]));
            assert_eq!(parts, whole, "split at {split}");
        }
        let mut parser = KeyParser::default();
        let parts: Vec<_> = stream.iter().flat_map(|&byte| parser.feed(&[byte])).collect();
        assert_eq!(parts, whole, "byte by byte");
    }

    #[test]
    fn a_lone_escape_is_no_key_and_swallows_none() {
        for following in ["b", "Ok", "x", "\r"] {
            let mut parser = KeyParser::default();
            assert_eq!(parser.feed(b"\x1b"), []);
            assert!(parser.is_after_escape());
            parser.nothing_followed();
            assert!(!parser.is_after_escape());
            assert_eq!(parser.feed(following.as_bytes()), keys(following.as_bytes()));
        }
        let mut parser = KeyParser::default();
        parser.feed(b"\x1b");
        parser.nothing_followed();
        assert_eq!(parser.feed(b"[A"), [Key::Up], "a slow line's arrow key is still one");
    }

    #[test]
    fn what_is_no_key_is_stepped_over() {
        for nonsense in ["\x1b[99;99;99;99;99;99;99;99~", "\x1b[[A", "\x1b[15~", "\x1bOP", "\0\x1f"]
        {
            let mut bytes = nonsense.as_bytes().to_vec();
            bytes.push(b'x');
            assert_eq!(keys(&bytes), [Key::Char('x')], "{nonsense:?}");
        }
        assert_eq!(keys(b"\x1b[1\x1b[A"), [Key::Up], "a new sequence ends one that broke off");
        assert_eq!(keys(b"\x1b[1\r"), [Key::Enter], "and so does a control character");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_such() {
        let bad = Key::Char('\u{FFFD}');
        assert_eq!(keys(b"\xFFa"), [bad, Key::Char('a')]);
        assert_eq!(keys(b"\xE9t\xE9\r"), [bad, Key::Char('t'), bad, Key::Enter]);
        assert_eq!(keys(b"\xE9\x1b[A"), [bad, Key::Up]);
    }
}
