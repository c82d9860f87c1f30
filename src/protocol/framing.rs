//! Framing: cutting the stream of bytes that TCP delivers into lines.
//!
//! TCP keeps the order of bytes and nothing else: what one side wrote at once may arrive in pieces,
//! and what it wrote in pieces may arrive at once. So a message needs a delimiter of its own, here
//! the line feed. [`LineDecoder`] is fed whatever each `read` returned and yields whole lines. It
//! never holds more than one line's limit, however much comes without a line end.
//!
//! `telnet` mixes commands of its own (RFC 854) into the text. None of them contains a line feed, so
//! lines are cut first and the commands are taken out on the way.

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';

/// Interpret As Command: the byte that opens every telnet sequence. Never part of UTF-8.
const IAC: u8 = 255;
const TELNET_DO: u8 = 253;
const TELNET_SUBNEGOTIATION: u8 = 250;
const TELNET_SUBNEGOTIATION_END: u8 = 240;
const TELNET_TIMING_MARK: u8 = 6;

/// The answer to [`Frame::TimingMark`]: `IAC WONT TIMING-MARK` (RFC 860).
pub const TIMING_MARK_REFUSED: [u8; 3] = [IAC, 252, TELNET_TIMING_MARK];

/// One thing that a peer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line, without its line end and without telnet sequences; not cleaned yet.
    Line(&'a str),
    /// A line that is not UTF-8, or that ended in the middle of a telnet sequence.
    NotUtf8,
    /// A line over the limit, of this many bytes. Its text was not kept.
    TooLong {
        /// The line's length, less its line end and telnet sequences.
        bytes: usize,
    },
    /// `IAC DO TIMING-MARK`, which telnet sends on Ctrl-C: it prints nothing more until it gets an
    /// answer, for which [`TIMING_MARK_REFUSED`] is enough.
    TimingMark,
}

/// Cuts a stream of bytes into lines of at most a limit.
///
/// ```
/// use chat::protocol::framing::{LineDecoder, Frame};
///
/// let mut framing = LineDecoder::new(1024);
/// let mut first_read = &b"hel"[..];
/// assert_eq!(framing.next(&mut first_read), None);
/// let mut second_read = &b"lo\r\nwor"[..];
/// assert_eq!(framing.next(&mut second_read), Some(Frame::Line("hello")));
/// assert_eq!(framing.next(&mut second_read), None);
/// assert_eq!(framing.finish(), Some(Frame::Line("wor")));
/// ```
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    /// The start of a line whose end has not come yet: at most `limit` bytes and a carriage return.
    held: Vec<u8>,
    /// The length of that line so far; more than `held` has once it is over the limit.
    bytes: usize,
    ends_in_carriage_return: bool,
    /// `held` was handed out as a line, and is emptied when the next one is asked for.
    yielded: bool,
    telnet: Telnet,
}

/// How far into a telnet sequence the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telnet {
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT.
    Option {
        is_do: bool,
    },
    Subnegotiation,
    /// After IAC within a subnegotiation.
    SubnegotiationCommand,
}

impl LineDecoder {
    /// Makes the framing of a new connection; lines over `limit` bytes are refused.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            bytes: 0,
            ends_in_carriage_return: false,
            yielded: false,
            telnet: Telnet::Text,
        }
    }

    /// Takes the next thing from the front of `input`, or all of `input` and `None` when it holds
    /// no further line end.
    ///
    /// A line that lies whole in `input` is lent from there, without a copy.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Frame<'a>> {
        self.forget_yielded();
        loop {
            if self.telnet != Telnet::Text {
                let (&byte, rest) = input.split_first()?;
                if byte == LINE_FEED {
                    // Cut within a sequence. The IAC stays, so the line is not UTF-8.
                    self.telnet = Telnet::Text;
                    self.hold(&[IAC]);
                    continue;
                }
                *input = rest;
                if self.telnet_byte(byte) {
                    return Some(Frame::TimingMark);
                }
                continue;
            }
            let found = find_line_feed_or_iac(input);
            let (text, rest) = input.split_at(found.unwrap_or(input.len()));
            let Some((&found, rest)) = rest.split_first() else {
                self.hold(text);
                *input = rest;
                return None;
            };
            *input = rest;
            if found == LINE_FEED && self.bytes == 0 {
                let line = text.strip_suffix(&[CARRIAGE_RETURN]).unwrap_or(text);
                return Some(validate(line, line.len(), self.limit));
            }
            self.hold(text);
            if found == LINE_FEED {
                return Some(self.yield_line());
            }
            self.telnet = Telnet::Command;
        }
    }

    /// Returns what was left without a line end when the stream ended: the last line, if any.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.forget_yielded();
        if self.telnet != Telnet::Text {
            self.telnet = Telnet::Text;
            self.hold(&[IAC]);
        }
        (self.bytes > 0).then(|| self.yield_line())
    }

    /// Steps over one byte of a telnet sequence. Returns whether it completed `IAC DO TIMING-MARK`.
    fn telnet_byte(&mut self, byte: u8) -> bool {
        let mut timing_mark = false;
        self.telnet = match (self.telnet, byte) {
            (Telnet::Command, IAC) => {
                // An escaped 255: a byte of the text, and one that UTF-8 never has.
                self.hold(&[IAC]);
                Telnet::Text
            }
            (Telnet::Command, 251..=254) => Telnet::Option { is_do: byte == TELNET_DO },
            (Telnet::Command, TELNET_SUBNEGOTIATION) => Telnet::Subnegotiation,
            (Telnet::Command, 240..=249) => Telnet::Text,
            (Telnet::Command, _) => {
                // No telnet command at all: left in the text, which is then not UTF-8.
                self.hold(&[IAC, byte]);
                Telnet::Text
            }
            (Telnet::Option { is_do }, option) => {
                timing_mark = is_do && option == TELNET_TIMING_MARK;
                Telnet::Text
            }
            (Telnet::Subnegotiation, IAC) => Telnet::SubnegotiationCommand,
            (Telnet::SubnegotiationCommand, TELNET_SUBNEGOTIATION_END) => Telnet::Text,
            (Telnet::Subnegotiation | Telnet::SubnegotiationCommand, _) => Telnet::Subnegotiation,
            (Telnet::Text, _) => Telnet::Text,
        };
        timing_mark
    }

    /// Adds text to the line that has not ended yet: counted in full, kept up to the limit.
    fn hold(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        self.ends_in_carriage_return = last == CARRIAGE_RETURN;
        self.bytes += text.len();
        // One more than the limit: a carriage return there belongs to the line end.
        let room = (self.limit + 1).saturating_sub(self.held.len());
        self.held.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn yield_line(&mut self) -> Frame<'_> {
        self.yielded = true;
        let bytes = self.bytes - usize::from(self.ends_in_carriage_return);
        validate(&self.held[..bytes.min(self.held.len())], bytes, self.limit)
    }

    fn forget_yielded(&mut self) {
        if self.yielded {
            self.yielded = false;
            self.held.clear();
            self.bytes = 0;
            self.ends_in_carriage_return = false;
        }
    }
}

/// Returns where the first line feed or IAC is.
///
/// A flood spends most of its time at the server here. Whether sixteen bytes hold one of them is a
/// question without an early exit, which the compiler answers with a few instructions.
fn find_line_feed_or_iac(bytes: &[u8]) -> Option<usize> {
    const BLOCK_BYTES: usize = 16;
    let is_found = |&byte: &u8| byte == LINE_FEED || byte == IAC;
    let has_one = |block: &[u8]| block.iter().fold(false, |found, byte| found | is_found(byte));
    let clear = bytes.chunks_exact(BLOCK_BYTES).take_while(|block| !has_one(block)).count();
    let start = clear * BLOCK_BYTES;
    bytes[start..].iter().position(is_found).map(|at| start + at)
}

/// Decides what a line of `bytes` bytes is; `line` has all of it unless it is over the limit.
fn validate(line: &[u8], bytes: usize, limit: usize) -> Frame<'_> {
    if bytes > limit {
        return Frame::TooLong { bytes };
    }
    match str::from_utf8(line) {
        Ok(line) => Frame::Line(line),
        Err(_) => Frame::NotUtf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 8;

    /// All that comes of a stream which arrives in the given chunks, in a form easy to compare.
    fn received<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut framing = LineDecoder::new(LIMIT);
        let mut all = Vec::new();
        for mut chunk in chunks {
            while let Some(item) = framing.next(&mut chunk) {
                all.push(format!("{item:?}"));
            }
            assert!(chunk.is_empty(), "a chunk is taken whole");
            assert!(framing.held.len() <= LIMIT + 1, "no more is held than a line may have");
        }
        all.extend(framing.finish().map(|item| format!("{item:?}")));
        assert_eq!(framing.finish(), None, "an ended stream has nothing more");
        all
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(received([&b"12345678\n"[..]]), [r#"Line("12345678")"#]);
        assert_eq!(received([&b"12345678\r\n"[..]]), [r#"Line("12345678")"#]);
        assert_eq!(received([&b"123456789\n"[..]]), ["TooLong { bytes: 9 }"]);
        assert_eq!(received([&b"123456789\r\n"[..]]), ["TooLong { bytes: 9 }"]);
        assert_eq!(
            received([&b"123456789012\r"[..], b"\n1"]),
            ["TooLong { bytes: 12 }", r#"Line("1")"#]
        );
    }

    #[test]
    fn telnet_sequences_are_taken_out_and_do_not_count() {
        assert_eq!(
            received([&b"\xff\xfb\x1f12\xff\xfa\x1f\x00\x50\xff\xf0345678\r\n"[..]]),
            [r#"Line("12345678")"#]
        );
        assert_eq!(received([&b"\xff\xf4\xff\xfd\x06hi\n"[..]]), ["TimingMark", r#"Line("hi")"#]);
    }

    #[test]
    fn an_incomplete_telnet_sequence_is_not_utf8_and_ends_with_its_line() {
        for cut in [&b"\xff"[..], b"\xff\xfd", b"\xff\xfa\x1f", b"\xff\xfa\x1f\xff", b"\xff\xff"] {
            let stream = [b"a", cut, b"\nok\n"].concat();
            assert_eq!(received([&stream[..]]), ["NotUtf8", r#"Line("ok")"#], "{cut:?}");
            assert_eq!(received([cut]), ["NotUtf8"], "{cut:?} at the end of the stream");
        }
        assert_eq!(received([&b"\xff\xfe\n"[..]]), ["NotUtf8"]);
    }

    #[test]
    fn a_transcript_means_the_same_wherever_it_is_split() {
        let transcript = "hi\n\r\n\nñandú\r\nüberlang, zu lang\n\rx\r\r\n".bytes();
        let transcript: Vec<u8> = transcript
            .chain(*b"\xff\xfd\x06a\xff\xfb\x01b\n\xc3\n\xff\xfe\n\xff\xfa\n12345678\r\nend")
            .collect();
        let whole = received([&transcript[..]]);
        assert_eq!(whole.len(), 13);
        for first in 0..=transcript.len() {
            for second in first..=transcript.len() {
                let pieces =
                    [&transcript[..first], &transcript[first..second], &transcript[second..]];
                assert_eq!(received(pieces), whole, "split at {first} and {second}");
            }
        }
        assert_eq!(received(transcript.chunks(1)), whole);
    }

    #[test]
    fn every_sequence_of_three_awkward_chunks_means_what_the_whole_means() {
        let awkward: [&[u8]; 18] = [
            b"",
            b"\n",
            b"\r",
            b"\r\n",
            b"a",
            b"12345678",
            b"123456789",
            b"a\nb",
            b"\xc3",
            b"\xb1",
            b"\xff",
            b"\xff\xfd",
            b"\x06",
            b"\xff\xfa",
            b"\xff\xf0",
            b"\0",
            b"\xe2\x80\n",
            b"\n\n",
        ];
        for first in awkward {
            for second in awkward {
                for third in awkward {
                    let pieces = [first, second, third];
                    let whole = pieces.concat();
                    assert_eq!(received(pieces), received([&whole[..]]), "{pieces:?}");
                }
            }
        }
    }
}
