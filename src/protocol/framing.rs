//! Framing: cutting the stream of bytes that TCP delivers into lines.
//!
//! TCP keeps the order of bytes and nothing else. What one side wrote at once may arrive in pieces,
//! and what it wrote in pieces may arrive at once. So a message needs a delimiter of its own, here
//! the line feed. [`LineDecoder`] is fed whatever each `read` returned and yields whole lines. It
//! never holds more than one line's limit, however much comes without a line end.
//!
//! A line ends with LF or CR LF. Two other ends exist in the wild:
//!
//! - CR NUL. That is how the network virtual terminal of RFC 854 spells a carriage return alone, and
//!   some telnet clients send it for the Enter key.
//! - LF CR, also as LF CR NUL.
//!
//! A byte order mark (U+FEFF) at the start of a stream is dropped: editors put it at the start of
//! files, and files are piped into `nc`.
//!
//! `telnet` mixes commands of its own (RFC 854) into the text. None of them contains a line feed. So
//! lines are cut first, and the commands are taken out on the way. Cleaning is not done here: see
//! [`cleaning`](super::cleaning).

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';
const NUL: u8 = 0;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Interpret As Command: the byte that opens every telnet sequence. Never part of UTF-8.
const IAC: u8 = 255;
const TELNET_DO: u8 = 253;
const TELNET_SUBNEGOTIATION: u8 = 250;
const TELNET_SUBNEGOTIATION_END: u8 = 240;
const TELNET_TIMING_MARK: u8 = 6;

/// The answer to [`Frame::TimingMark`]: `IAC WONT TIMING-MARK` (RFC 860).
pub const TIMING_MARK_REFUSED: [u8; 3] = [IAC, 252, TELNET_TIMING_MARK];

/// One thing that a peer sent: a line, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line without its line end and without telnet sequences. It is not cleaned yet.
    Line(&'a str),
    /// A line that is not UTF-8, or that ended in the middle of a telnet sequence.
    NotUtf8,
    /// A line over the limit, of this many bytes. Its text was not kept.
    TooLong {
        /// The line's length, less its line end and telnet sequences.
        bytes: usize,
    },
    /// `IAC DO TIMING-MARK`, which telnet sends on Ctrl-C. It prints nothing more until it gets an
    /// answer. [`TIMING_MARK_REFUSED`] is enough.
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
    /// The length of that line so far. It exceeds the length of `held` once it is over the limit.
    bytes: usize,
    ends_in_carriage_return: bool,
    /// `held` was yielded as a line. It is emptied when the next one is asked for.
    yielded: bool,
    /// What is dropped if it comes next.
    skip: Skip,
    telnet: Telnet,
}

/// What is no part of a line if it comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// At the start of the stream: a byte order mark, of which this many bytes have come.
    ByteOrderMark(usize),
    /// After LF: the CR of LF CR.
    CarriageReturn,
    /// After LF CR: the NUL of LF CR NUL.
    Nul,
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
    /// Makes the decoder of a new connection. Lines over `limit` bytes are refused.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Vec::new(),
            bytes: 0,
            ends_in_carriage_return: false,
            yielded: false,
            skip: Skip::ByteOrderMark(0),
            telnet: Telnet::Text,
        }
    }

    /// Takes the next frame from the front of `input`. If `input` holds no further line end, takes
    /// all of it and returns `None`.
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
            // Printable ASCII is never dropped. This spares most lines the call.
            let begins_with_text = matches!(input.first(), Some(b' '..=b'~'));
            if !begins_with_text || matches!(self.skip, Skip::ByteOrderMark(1..)) {
                self.skip_over(input);
            }
            let found = find_end_or_iac(input, self.ends_in_carriage_return);
            let (text, rest) = input.split_at(found.unwrap_or(input.len()));
            let Some((&found, rest)) = rest.split_first() else {
                self.hold(text);
                *input = rest;
                return None;
            };
            *input = rest;
            if found == IAC {
                self.hold(text);
                self.telnet = Telnet::Command;
                continue;
            }
            let skip = if found == LINE_FEED { Skip::CarriageReturn } else { Skip::Nothing };
            if self.bytes == 0 {
                self.skip = skip;
                let line = text.strip_suffix(&[CARRIAGE_RETURN]).unwrap_or(text);
                return Some(validate(line, line.len(), self.limit));
            }
            self.hold(text);
            self.skip = skip;
            return Some(self.yield_line());
        }
    }

    /// Returns what was left without a line end when the stream ended: the last line, if any.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.forget_yielded();
        self.hold_partial_mark();
        if self.telnet != Telnet::Text {
            self.telnet = Telnet::Text;
            self.hold(&[IAC]);
        }
        (self.bytes > 0).then(|| self.yield_line())
    }

    /// Drops from the front of `input` what is no part of the line that begins there.
    #[inline(never)]
    fn skip_over(&mut self, input: &mut &[u8]) {
        while let Some((&byte, rest)) = input.split_first() {
            self.skip = match self.skip {
                Skip::ByteOrderMark(come) if byte == BYTE_ORDER_MARK[come] => {
                    let is_whole = come + 1 == BYTE_ORDER_MARK.len();
                    if is_whole { Skip::Nothing } else { Skip::ByteOrderMark(come + 1) }
                }
                Skip::CarriageReturn if byte == CARRIAGE_RETURN => Skip::Nul,
                Skip::Nul if byte == NUL => Skip::Nothing,
                // A telnet sequence is no text: what is waited for may come after it.
                Skip::ByteOrderMark(0) | Skip::CarriageReturn | Skip::Nul if byte == IAC => return,
                _ => {
                    self.hold_partial_mark();
                    self.skip = Skip::Nothing;
                    return;
                }
            };
            *input = rest;
        }
    }

    /// Makes text of the bytes that could have been the start of a byte order mark and were not.
    fn hold_partial_mark(&mut self) {
        if let Skip::ByteOrderMark(come) = self.skip {
            self.hold(&BYTE_ORDER_MARK[..come]);
            self.skip = Skip::Nothing;
        }
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

    /// Adds text to the line that has not ended yet. All of it is counted; what is over the limit is
    /// not kept.
    fn hold(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        self.skip = Skip::Nothing;
        self.ends_in_carriage_return = last == CARRIAGE_RETURN;
        self.bytes += text.len();
        // One more than the limit: a carriage return there belongs to the line end.
        let free = (self.limit + 1).saturating_sub(self.held.len());
        self.held.extend_from_slice(&text[..text.len().min(free)]);
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

/// Returns where the first line end or IAC is: the LF, the NUL of a CR NUL, or the IAC.
///
/// A server under a flood spends much of its time here, so whole blocks are looked at first. Whether
/// a block of sixteen bytes may hold one of the three is a question without an early exit, which
/// the compiler answers with a few vector instructions. It becomes one comparison if it takes in the
/// controls between NUL and LF: one more than a byte, modulo 256, is at most 11. Of those only the
/// tab is found in text, and then the block is looked at byte by byte.
fn find_end_or_iac(bytes: &[u8], after_carriage_return: bool) -> Option<usize> {
    const BLOCK_BYTES: usize = 16;
    let may_be_one = |byte: u8| byte.wrapping_add(1) <= LINE_FEED + 1;
    let may_have_one = |block: &[u8]| block.iter().fold(false, |found, &it| found | may_be_one(it));
    let is_one = |at: usize, byte: u8| match byte {
        LINE_FEED | IAC => true,
        NUL if at == 0 => after_carriage_return,
        NUL => bytes[at - 1] == CARRIAGE_RETURN,
        _ => false,
    };
    let mut start = 0;
    loop {
        let blocks = bytes[start..].chunks_exact(BLOCK_BYTES);
        start += BLOCK_BYTES * blocks.take_while(|block| !may_have_one(block)).count();
        let end = bytes.len().min(start + BLOCK_BYTES);
        for (at, &byte) in (start..).zip(&bytes[start..end]) {
            if may_be_one(byte) && is_one(at, byte) {
                return Some(at);
            }
        }
        if end == bytes.len() {
            return None;
        }
        start = end;
    }
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
        assert_same_wherever_split(&transcript, &whole);
    }

    /// Checks every split into three pieces, and the stream byte by byte.
    fn assert_same_wherever_split(transcript: &[u8], whole: &[String]) {
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
    fn carriage_return_and_nul_end_a_line() {
        assert_eq!(
            received([&b"hi\r\0\r\0ho\r\0"[..]]),
            ["Line(\"hi\")", "Line(\"\")", "Line(\"ho\")"]
        );
        assert_eq!(
            received([&b"12345678\r\x00123456789\r\0"[..]]),
            ["Line(\"12345678\")", "TooLong { bytes: 9 }"]
        );
        // Only together: a NUL alone and a carriage return alone are text, which cleaning replaces.
        assert_eq!(received([&b"a\0\rb\n"[..]]), [r#"Line("a\0\rb")"#]);
        assert_eq!(received([&b"\0\n"[..]]), [r#"Line("\0")"#]);
    }

    #[test]
    fn carriage_return_after_a_line_feed_belongs_to_the_line_end() {
        assert_eq!(
            received([&b"a\n\rb\n\r\0c\n\r"[..]]),
            ["Line(\"a\")", "Line(\"b\")", "Line(\"c\")"]
        );
        assert_eq!(
            received([&b"a\n\r12345678\n\r123456789\r\n"[..]]),
            ["Line(\"a\")", "Line(\"12345678\")", "TooLong { bytes: 9 }"]
        );
        // Text between, also such that is not UTF-8, keeps it.
        assert_eq!(
            received([&b"a\n\xff\xff\r1234567\n"[..]]),
            ["Line(\"a\")", "TooLong { bytes: 9 }"]
        );
        // One of them, and not where no line feed was.
        assert_eq!(received([&b"\ra\n\r\rb\n"[..]]), [r#"Line("\ra")"#, r#"Line("\rb")"#]);
        assert_eq!(received([&b"a\n\r\n"[..]]), ["Line(\"a\")", "Line(\"\")"]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_start_of_the_stream_only() {
        assert_eq!(
            received([&b"\xef\xbb\xbf12345678\n\xef\xbb\xbfb\n"[..]]),
            [r#"Line("12345678")"#, r#"Line("\u{feff}b")"#]
        );
        assert_eq!(received([&b"\xff\xfb\x1f\xef\xbb\xbfa\n"[..]]), [r#"Line("a")"#]);
        assert_eq!(received([&b"\xef\xbb\xbf"[..]]), [""; 0]);
        assert_eq!(received([&b"\xef\xbb\xbf\n"[..]]), [r#"Line("")"#]);
        // The start of one that does not go on is text.
        assert_eq!(received([&b"\xef\xbb\xbe\n"[..]]), [r#"Line("\u{fefe}")"#]);
        assert_eq!(received([&b"\xef\xbb\n"[..]]), ["NotUtf8"]);
        assert_eq!(received([&b"\xef\xbb"[..]]), ["NotUtf8"]);
    }

    #[test]
    fn every_line_end_and_mark_means_the_same_wherever_it_is_split() {
        for transcript in [
            &b"\xef\xbb\xbfa\r\0b\n\rc\n\r\0d\r\n\r\0\0\r\xff\xf1\0e\n\xff\xf1\r\xff\xf1\0f"[..],
            b"\xff\xfb\x1f\xef\xbb\xbf12345678\r\x00123456789\r\0\n\r12345678\n\r123456789\n\r",
            b"\xef\xbb\r\0\n\r\xef\xbb\xbf\n\r\r\0\r",
            b"\xef\xff\xf1\xbb\xbf\n\n\r\0\0\n",
        ] {
            assert_same_wherever_split(transcript, &received([transcript]));
        }
    }

    #[test]
    fn a_line_end_is_found_at_every_place_and_nothing_else_is() {
        for length in 0..70 {
            for filler in [b'x', b'\t', b'\r', b'\0', 0xFE] {
                let mut text = vec![filler; length];
                assert_eq!(find_end_or_iac(&text, false), None, "{length} of {filler}");
                for at in 0..length {
                    for end in [LINE_FEED, IAC] {
                        text[at] = end;
                        assert_eq!(find_end_or_iac(&text, false), Some(at), "{length} of {filler}");
                    }
                    text[at] = NUL;
                    let previous = if at == 0 { None } else { Some(text[at - 1]) };
                    let found = (previous == Some(b'\r')).then_some(at);
                    assert_eq!(find_end_or_iac(&text, false), found, "{length} of {filler}");
                    text[at] = filler;
                }
            }
        }
        assert_eq!(find_end_or_iac(b"\0", true), Some(0));
    }

    #[test]
    fn every_sequence_of_three_awkward_chunks_means_what_the_whole_means() {
        let awkward: [&[u8]; 24] = [
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
            b"\r\0",
            b"\n\r",
            b"\xef",
            b"\xbb",
            b"\xbf",
            b"\xef\xbb\xbf",
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
