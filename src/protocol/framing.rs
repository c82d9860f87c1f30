//! Framing: cutting the stream of bytes that TCP delivers into lines.
//!
//! TCP keeps the order of bytes and nothing else. What one side wrote at once may arrive in pieces, and what it
//! wrote in pieces may arrive at once. So a message needs a delimiter of its own, here the line feed.
//! [`LineDecoder`] is given what each `read` returned, and yields whole lines. It never holds more than the
//! limit of one line, even if no line end comes.
//!
//! A line ends with LF or CR LF. Two other ends exist in the wild:
//!
//! - CR NUL. That is how the network virtual terminal of RFC 854 spells a carriage return alone, and
//!   some telnet clients send it for the Enter key.
//! - LF CR, also as LF CR NUL.
//!
//! A byte order mark (U+FEFF) at the start of a stream is dropped. Editors put it at the start of files, and
//! people pipe files into `nc`.
//!
//! `telnet` mixes commands of its own (RFC 854) into the text. None of them contains a line feed. So
//! lines are cut first, and the commands are taken out on the way. Cleaning is not done here: see
//! [`cleaning`](super::cleaning).
//!
//! Grew from `Input` of step 6 of the [course](crate::lessons).

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

/// One result of a decoder: a line, or the reason why there is no line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line without its line end and without telnet sequences. It is not cleaned yet.
    Line(&'a str),
    /// A line that is not UTF-8, or that ended in the middle of a telnet sequence.
    NotUtf8,
    /// A line over the limit, of this many bytes. Its text was not kept.
    TooLong {
        /// The line's length without its line end and telnet sequences.
        bytes: usize,
    },
    /// `IAC DO TIMING-MARK`, which telnet sends on Ctrl-C. Then telnet prints nothing more until it gets an
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
    /// The length of that line so far. Once the line is over the limit, this is more than the length of `held`.
    bytes: usize,
    ends_in_carriage_return: bool,
    /// `held` was yielded as a line. It is emptied when the caller asks for the next one.
    yielded: bool,
    /// A byte that is dropped if it comes next.
    skip: Skip,
    telnet: Telnet,
}

/// A byte that is dropped if it comes next, because it is not part of a line.
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
                    // The line ends within a sequence. The IAC stays in it, so the line is not UTF-8.
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

    /// Returns the last line, if the stream has ended without a line end.
    pub fn finish(&mut self) -> Option<Frame<'_>> {
        self.forget_yielded();
        self.hold_partial_mark();
        if self.telnet != Telnet::Text {
            self.telnet = Telnet::Text;
            self.hold(&[IAC]);
        }
        (self.bytes > 0).then(|| self.yield_line())
    }

    /// Drops bytes from the front of `input` that are no part of the line.
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
                // A telnet sequence is not text. The bytes to be dropped may still come after it.
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

    /// Adds the bytes to the line that only looked like the start of a byte order mark.
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
                // An escaped 255 is a byte of the text. UTF-8 never has this byte.
                self.hold(&[IAC]);
                Telnet::Text
            }
            (Telnet::Command, 251..=254) => Telnet::Option { is_do: byte == TELNET_DO },
            (Telnet::Command, TELNET_SUBNEGOTIATION) => Telnet::Subnegotiation,
            (Telnet::Command, 240..=249) => Telnet::Text,
            (Telnet::Command, _) => {
                // Not a telnet command: it stays in the text, which is then not UTF-8.
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

    /// Adds text to the line that has not ended yet. All of it is counted, but nothing over the limit is kept.
    fn hold(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        self.skip = Skip::Nothing;
        self.ends_in_carriage_return = last == CARRIAGE_RETURN;
        self.bytes += text.len();
        // This is one byte more than the limit. A carriage return in that place belongs to the line end.
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
/// A server under a flood spends much of its time here, so whole blocks are looked at first. The test of a
/// block of sixteen bytes has no early exit. So the compiler turns it into a few vector instructions. The test
/// becomes a single comparison if it also finds the controls between NUL and LF: such a byte plus one, modulo
/// 256, is at most 11. Of these only the tab occurs in text. A block with a tab is then looked at byte by byte.
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

/// Decides what a line of `bytes` bytes is. `line` holds all of it, unless it is over the limit.
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
mod tests;
