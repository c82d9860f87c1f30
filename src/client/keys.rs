//! Keys: turns the bytes that a terminal sends into keys and pastes.
//!
//! A key is one byte, a character of several bytes, or an escape sequence. A `read` may end in the middle of a
//! key. So the parser keeps an incomplete key until more bytes arrive. Sources: ECMA-48 for the shape of the
//! sequences, and xterm's `ctlseqs` for the keys.
//!
//! A terminal also sends bytes that are not from a key: answers to queries, and mouse reports. These bytes are
//! escape sequences, too, and the parser skips them.
//!
//! The Escape key sends the byte that also starts every escape sequence. Alt with a bracket sends the start of a
//! sequence whose rest never arrives. Only a pause shows that no more bytes follow, and this module has no clock.
//! So the caller waits for [`KeyParser::patience`], and then calls [`KeyParser::nothing_followed`].

use std::time::Duration;

/// A key. Some keys have the same effect as a combination with Ctrl or Alt. For such a key, the parser returns
/// the combination: Ctrl-B for Left, Ctrl-A for Home, Ctrl-P for Up, Ctrl-H for Backspace, and Alt-B for
/// Alt-Left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// Ctrl with a lower-case letter or with `_`.
    Ctrl(char),
    Alt(char),
    Enter,
    Tab,
    Delete,
    Escape,
    /// Pasted text, unchanged.
    Paste(String),
    /// A paste that was larger than [`MAX_PASTE_BYTES`], or was broken off.
    LostPaste,
}

const ESCAPE: u8 = 0x1B;
pub(super) const BELL: u8 = 0x07;
const CTRL_C: u8 = 0x03;

const PASTE_START: &[u8] = b"\x1B[200~";
const PASTE_END: &[u8] = b"\x1B[201~";

/// The maximum size of a paste, in bytes. A larger paste is probably a mistake, and is not kept.
const MAX_PASTE_BYTES: usize = 16 * 1024 * 1024;

/// The maximum length of an escape sequence, in bytes. A longer sequence is treated as if it ended at this
/// length.
const MAX_SEQUENCE_BYTES: usize = 64 * 1024;

/// The time to wait for the rest of a key when only its ESC has arrived. A terminal sends the rest at once. A
/// person needs more than this time to press the next key.
const ESCAPE_PATIENCE: Duration = Duration::from_millis(50);

/// The time to wait for the rest of a sequence when more than its ESC has arrived. The connection to the terminal
/// may be slow.
const SEQUENCE_PATIENCE: Duration = Duration::from_secs(1);

/// If a paste pauses for this long, Ctrl-C ends the paste. Without such a pause, Ctrl-C is part of the pasted
/// text.
const PASTE_PATIENCE: Duration = Duration::from_millis(100);

/// Turns bytes into keys.
#[derive(Debug, Default)]
pub(super) struct KeyParser {
    /// The bytes of an incomplete key or paste.
    pending: Vec<u8>,
    /// Whether no bytes of the paste have arrived for [`PASTE_PATIENCE`].
    pauses: bool,
    /// Whether the paste was over the limit, so that not all of it was kept.
    overflows: bool,
}

impl KeyParser {
    /// Parses the bytes from one `read`, and returns the keys that these bytes complete.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        if std::mem::take(&mut self.pauses)
            && let Some(rest) = bytes.strip_prefix(&[CTRL_C])
        {
            *self = Self::default();
            keys.push(Key::LostPaste);
            bytes = rest;
        }
        // The mark at the end of a paste may be split between two reads. So the search for this mark starts a few
        // bytes before the new bytes.
        let searched = self.pending.len().saturating_sub(PASTE_END.len() - 1);
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((length, key)) = next_key(&self.pending[at..], searched.saturating_sub(at)) {
            let is_lost = matches!(key, Some(Key::Paste(_))) && std::mem::take(&mut self.overflows);
            keys.extend(if is_lost { Some(Key::LostPaste) } else { key });
            at += length;
        }
        self.pending.drain(..at);
        if self.pending.len() > MAX_PASTE_BYTES {
            self.overflows = true;
            self.pending.drain(PASTE_START.len()..self.pending.len() - PASTE_END.len());
        }
        keys
    }

    /// Returns whether the incomplete key is a paste.
    fn pastes(&self) -> bool {
        self.pending.starts_with(PASTE_START)
    }

    /// Returns the time to wait for the rest of an incomplete key. `None` means that there is no limit.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.pending[..] {
            _ if self.pastes() => (!self.pauses).then_some(PASTE_PATIENCE),
            [ESCAPE] | [ESCAPE, b' '..=b'/', ..] => Some(ESCAPE_PATIENCE),
            [ESCAPE, ..] => Some(SEQUENCE_PATIENCE),
            _ => None,
        }
    }

    /// Tells the parser that no bytes arrived during [`KeyParser::patience`]. If the bytes so far are a key,
    /// returns this key.
    pub(super) fn nothing_followed(&mut self) -> Vec<Key> {
        self.pauses = self.pastes() && !self.overflows;
        if self.pauses {
            return Vec::new();
        }
        match std::mem::take(self) {
            Self { overflows: true, .. } => vec![Key::LostPaste],
            Self { pending, .. } if pending == [ESCAPE] => vec![Key::Escape],
            _ => Vec::new(),
        }
    }
}

/// Returns the length of the first key in bytes, and the key itself if the client knows it. Returns `None` if the
/// key is incomplete. The bytes before `searched` do not contain the end of a paste.
fn next_key(bytes: &[u8], searched: usize) -> Option<(usize, Option<Key>)> {
    let length = match bytes {
        [] | [ESCAPE] => return None,
        _ if bytes.starts_with(PASTE_START) => {
            let from = searched.max(PASTE_START.len());
            let end = bytes[from..].windows(PASTE_END.len()).position(|part| part == PASTE_END)?;
            from + end + PASTE_END.len()
        }
        [ESCAPE, ESCAPE | 0x80..=0xFF, ..] => 1,
        // The three bytes of a mouse report can have any value.
        [ESCAPE, b'[', b'M', ..] => 6,
        // A function key of the Linux console. Its second bracket does not end the sequence.
        [ESCAPE, b'[', b'[', ..] => sequence_length(bytes, 3, b'@')?,
        [ESCAPE, b'[', ..] => sequence_length(bytes, 2, b'@')?,
        [ESCAPE, b'O', ..] => sequence_length(bytes, 2, b' ')?,
        // A short sequence, such as a sequence that selects a character set.
        [ESCAPE, b' '..=b'/', ..] => sequence_length(bytes, 2, b'0')?,
        // A string from the terminal: DCS, SOS, OSC, PM or APC.
        [ESCAPE, b'P' | b'X' | b']' | b'^' | b'_', ..] => string_length(bytes)?,
        [0x80..=0xFF, ..] => match str::from_utf8(&bytes[..bytes.len().min(4)]) {
            Err(error) if error.valid_up_to() == 0 => error.error_len()?,
            _ => bytes[0].leading_ones() as usize,
        },
        [ESCAPE, ..] => 2,
        _ => 1,
    };
    (length <= bytes.len()).then(|| (length, key(&bytes[..length])))
}

/// Returns the length of an escape sequence. The sequence ends with the first byte that is at least `last`, at
/// index `from` or later. It also ends before a byte that cannot be part of a sequence.
fn sequence_length(bytes: &[u8], from: usize, last: u8) -> Option<usize> {
    let breaks_off = |byte| !(b' '..=b'~').contains(&byte);
    match (from..bytes.len()).find(|&at| bytes[at] >= last || breaks_off(bytes[at])) {
        Some(at) => Some(at + usize::from(!breaks_off(bytes[at]))),
        None => (bytes.len() > MAX_SEQUENCE_BYTES).then_some(bytes.len()),
    }
}

/// Returns the length of a control string. It ends with the bell character, or with ESC and a backslash. It also
/// ends before any other control character.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let limit = bytes.len().min(MAX_SEQUENCE_BYTES + 1);
    let Some(at) = (2..limit).find(|&at| bytes[at] < b' ') else {
        return (limit > MAX_SEQUENCE_BYTES).then_some(limit);
    };
    match bytes[at..] {
        [BELL, ..] => Some(at + 1),
        [ESCAPE] => None,
        [ESCAPE, b'\\', ..] => Some(at + 2),
        _ => Some(at),
    }
}

/// Returns the key that these bytes mean, if this client knows the key.
fn key(bytes: &[u8]) -> Option<Key> {
    if let Some(text) = bytes.strip_prefix(PASTE_START) {
        let text = String::from_utf8_lossy(&text[..text.len() - PASTE_END.len()]);
        return Some(Key::Paste(text.into_owned()));
    }
    Some(match bytes {
        b"\r" | b"\n" => Key::Enter,
        b"\t" => Key::Tab,
        b"\x7F" => Key::Ctrl('h'),
        b"\x1F" => Key::Ctrl('_'),
        [control @ 1..=26] => Key::Ctrl(char::from(control + b'a' - 1)),
        b"\x1B[D" | b"\x1BOD" => Key::Ctrl('b'),
        b"\x1B[C" | b"\x1BOC" => Key::Ctrl('f'),
        b"\x1B[A" | b"\x1BOA" => Key::Ctrl('p'),
        b"\x1B[B" | b"\x1BOB" => Key::Ctrl('n'),
        b"\x1B[H" | b"\x1BOH" | b"\x1B[1~" | b"\x1B[7~" => Key::Ctrl('a'),
        b"\x1B[F" | b"\x1BOF" | b"\x1B[4~" | b"\x1B[8~" => Key::Ctrl('e'),
        b"\x1B[3~" => Key::Delete,
        // Alt or Ctrl with an arrow. The second parameter is the modifier.
        b"\x1B[1;3D" | b"\x1B[1;5D" => Key::Alt('b'),
        b"\x1B[1;3C" | b"\x1B[1;5C" => Key::Alt('f'),
        b"\x1B\x08" | b"\x1B\x7F" => Key::Ctrl('w'),
        [ESCAPE, letter @ b'a'..=b'z'] => Key::Alt(char::from(*letter)),
        [0..=0x1F, ..] => return None,
        _ => Key::Char(String::from_utf8_lossy(bytes).chars().next().unwrap_or_default()),
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
        let ctrl = Key::Ctrl;
        for (bytes, key) in [
            (&b"a"[..], Key::Char('a')),
            ("é".as_bytes(), Key::Char('é')),
            ("漢".as_bytes(), Key::Char('漢')),
            ("🦀".as_bytes(), Key::Char('🦀')),
            (b"\r", Key::Enter),
            (b"\n", Key::Enter),
            (b"\t", Key::Tab),
            (b"\x7f", ctrl('h')),
            (b"\x08", ctrl('h')),
            (b"\x1b[3~", Key::Delete),
            (b"\x1b[D", ctrl('b')),
            (b"\x1bOD", ctrl('b')),
            (b"\x02", ctrl('b')),
            (b"\x1b[C", ctrl('f')),
            (b"\x1b[1;5D", Key::Alt('b')),
            (b"\x1b[1;3D", Key::Alt('b')),
            (b"\x1bb", Key::Alt('b')),
            (b"\x1b[1;5C", Key::Alt('f')),
            (b"\x1bd", Key::Alt('d')),
            (b"\x1b[H", ctrl('a')),
            (b"\x1bOH", ctrl('a')),
            (b"\x1b[1~", ctrl('a')),
            (b"\x1b[F", ctrl('e')),
            (b"\x1b[4~", ctrl('e')),
            (b"\x1b[A", ctrl('p')),
            (b"\x1bOB", ctrl('n')),
            (b"\x1b\x7f", ctrl('w')),
            (b"\x1f", ctrl('_')),
            (b"\x1a", ctrl('z')),
            (b"\x1b[200~one\r\x03\x1b[A\x1b[201~", Key::Paste("one\r\x03\x1b[A".into())),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn a_key_split_across_reads_is_one_key() {
        let stream = "aé漢🦀\x1b[D\x1bOC\x1b[1;5C\x1bb\x1b[200~x\x1b[201~\r\x1b]11;rgb:0\x1b\\\
                      \x1bP1$r\x07\x1b[M ¡¡b\x1b(Bc"
            .as_bytes();
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
    fn a_lone_escape_is_a_key_and_swallows_none() {
        for following in ["b", "Ok", "x", "\r", "[A", "]0;x"] {
            let mut parser = KeyParser::default();
            assert_eq!(parser.feed(b"\x1b"), []);
            assert_eq!(parser.patience(), Some(ESCAPE_PATIENCE));
            assert_eq!(parser.nothing_followed(), [Key::Escape]);
            assert_eq!(parser.patience(), None);
            assert_eq!(parser.feed(following.as_bytes()), keys(following.as_bytes()));
        }
    }

    #[test]
    fn what_is_no_key_is_stepped_over() {
        for nonsense in [
            "\x1b[99;99;99;99;99;99;99;99~",
            "\x1b[[A",
            "\x1b[15~",
            "\x1bOP",
            "\0\x1d",
            "\x1b]11;rgb:0000/0000/0000\x1b\\",
            "\x1b]52;c;QUJD\x07",
            "\x1bP1+r544e=787465726d\x1b\\",
            "\x1b_Gi=1;OK\x1b\\",
            "\x1b^pm\x1b\\",
            "\x1bXsos é\x1b\\",
            "\x1b[M !!",
            "\x1b[<0;1;1M",
            "\x1b(B",
            "\x1b[?62;c",
        ] {
            let mut bytes = nonsense.as_bytes().to_vec();
            bytes.push(b'x');
            assert_eq!(keys(&bytes), [Key::Char('x')], "{nonsense:?}");
        }
        assert_eq!(keys(b"\x1b[M\x80\xff\xf0x"), [Key::Char('x')]);
        assert_eq!(
            keys(b"\x1b[1\x1b[A"),
            [Key::Ctrl('p')],
            "a new sequence ends one that broke off"
        );
        assert_eq!(keys(b"\x1b[1\r"), [Key::Enter], "and so does a control character");
        assert_eq!(keys(b"\x1b]0;x\r"), [Key::Enter], "which ends a string as well");
        assert_eq!(keys(b"\x1b]0;x\x1b[A"), [Key::Ctrl('p')]);
    }

    #[test]
    fn a_sequence_that_never_ends_is_over_after_a_while_or_a_limit() {
        for start in ["\x1b]0;", "\x1b[12", "\x1b(", "\x1bP"] {
            let mut parser = KeyParser::default();
            parser.feed(start.as_bytes());
            assert!(parser.patience().is_some(), "{start:?}");
            assert_eq!(parser.nothing_followed(), []);
            assert_eq!(parser.feed(b"x"), [Key::Char('x')]);
        }
        let long = [&b"\x1b]"[..], &vec![b'x'; MAX_SEQUENCE_BYTES - 1], b"abc"].concat();
        assert_eq!(keys(&long), ['a', 'b', 'c'].map(Key::Char));
    }

    #[test]
    fn a_paste_that_never_ends_is_ended_by_ctrl_c_after_a_pause() {
        let mut parser = KeyParser::default();
        assert_eq!(parser.feed(b"\x1b[200~one\x03"), []);
        assert_eq!(parser.feed(b"\x03"), [], "part of what is pasted");
        assert_eq!(parser.patience(), Some(PASTE_PATIENCE));
        assert_eq!(parser.nothing_followed(), []);
        assert_eq!(parser.patience(), None);
        assert_eq!(parser.feed(b"two"), []);
        parser.nothing_followed();
        assert_eq!(parser.feed(b"\x03x"), [Key::LostPaste, Key::Char('x')]);
    }

    #[test]
    fn a_paste_over_the_limit_is_lost_and_what_follows_is_not() {
        let chunk = vec![b'x'; 1024 * 1024];
        let mut parser = KeyParser::default();
        parser.feed(PASTE_START);
        for _ in 0..20 {
            assert_eq!(parser.feed(&chunk), []);
        }
        assert_eq!(parser.feed(b"\x1b[201~y"), [Key::LostPaste, Key::Char('y')]);
        parser.feed(PASTE_START);
        for _ in 0..20 {
            assert_eq!(parser.feed(&chunk), []);
        }
        assert_eq!(parser.nothing_followed(), [Key::LostPaste], "a limit ends it too");
        assert_eq!(parser.feed(b"y"), [Key::Char('y')]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_as_such() {
        let bad = || Key::Char('\u{FFFD}');
        assert_eq!(keys(b"\xFFa"), [bad(), Key::Char('a')]);
        assert_eq!(keys(b"\xE9t\xE9\r"), [bad(), Key::Char('t'), bad(), Key::Enter]);
        assert_eq!(keys(b"\xE9\x1b[A"), [bad(), Key::Ctrl('p')]);
    }
}
