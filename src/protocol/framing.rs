//! Framing: cutting the stream of bytes that TCP delivers into lines.
//!
//! TCP keeps the order of the bytes, but not the boundaries between writes. Bytes from one `write` may arrive in
//! several reads, and bytes from several writes may arrive in one `read`. So each message needs a delimiter,
//! which is the line feed here. [`LineDecoder`] is given the bytes that each `read` returned, and yields whole
//! lines. It never stores more than the limit for one line, even if no line end arrives.
//!
//! A line ends with LF or CR LF. Two other line ends, which some programs send, are also accepted:
//!
//! - CR NUL. In the telnet protocol (RFC 854), this is a carriage return alone. Some telnet clients send it for
//!   the Enter key.
//! - LF CR, or LF CR NUL.
//!
//! A byte order mark (U+FEFF) at the start of a stream is dropped. Some editors put it at the start of a file,
//! and people pipe files into `nc`.
//!
//! `telnet` mixes its own commands (RFC 854) into the text. The decoder removes these commands. None of these
//! commands contains a line feed, so a line feed always ends the line, even in the middle of a command. This
//! module does not clean lines: see [`cleaning`](super::cleaning).
//!
//! This module grew from step 6 of the [course](crate::lessons).

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';
const NUL: u8 = 0;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// "Interpret As Command": the byte that starts every telnet sequence. UTF-8 text never contains it.
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
    /// A line over the limit. Its text was not kept.
    TooLong {
        /// The line's length without its line end and telnet sequences.
        bytes: usize,
    },
    /// `IAC DO TIMING-MARK`, which telnet sends on Ctrl-C. After this, telnet prints nothing until it receives an
    /// answer. The answer [`TIMING_MARK_REFUSED`] is enough.
    TimingMark,
}

/// Cuts a stream of bytes into lines. A line has at most a given number of bytes.
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
    /// The start of a line whose end has not arrived yet: at most `limit` bytes and a carriage return.
    held: Vec<u8>,
    /// The length of the unfinished line so far. For a line over the limit, it is more than the length of `held`.
    bytes: usize,
    ends_in_carriage_return: bool,
    /// Whether `held` was yielded as a line. If so, the next call empties `held`.
    yielded: bool,
    /// The byte that is dropped if it arrives next.
    skip: Skip,
    telnet: Telnet,
}

/// The byte that is dropped if it arrives next, because it is not part of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    Nothing,
    /// The next byte of a byte order mark at the start of the stream. The field is the number of bytes of the
    /// mark that have already arrived.
    ByteOrderMark(usize),
    /// After LF: the CR of LF CR.
    CarriageReturn,
    /// After LF CR: the NUL of LF CR NUL.
    Nul,
}

/// The position in a telnet sequence.
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

    /// Removes the next frame from the front of `input`, and returns the frame. If `input` contains no complete
    /// frame, keeps all its bytes for the next call, empties `input`, and returns `None`.
    ///
    /// If `input` contains the whole line, the frame borrows from `input` without a copy.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Frame<'a>> {
        self.forget_yielded();
        loop {
            if self.telnet != Telnet::Text {
                let (&byte, rest) = input.split_first()?;
                if byte == LINE_FEED {
                    // The line ends within a telnet sequence. An IAC is added to the line, so that the line is
                    // not UTF-8.
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
            // Printable ASCII is never dropped, so most lines do not need this call.
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

    /// Drops bytes from the front of `input` that are not part of the line.
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
                // A telnet sequence is not text. The byte to be dropped may still follow the sequence.
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

    /// If the stream began like a byte order mark but did not continue like one, adds the skipped bytes to the
    /// line.
    fn hold_partial_mark(&mut self) {
        if let Skip::ByteOrderMark(come) = self.skip {
            self.hold(&BYTE_ORDER_MARK[..come]);
            self.skip = Skip::Nothing;
        }
    }

    /// Processes one byte of a telnet sequence. Returns whether the byte completed `IAC DO TIMING-MARK`.
    fn telnet_byte(&mut self, byte: u8) -> bool {
        let mut timing_mark = false;
        self.telnet = match (self.telnet, byte) {
            (Telnet::Command, IAC) => {
                // A doubled IAC stands for the byte 255 in the text. UTF-8 never contains this byte, so the line
                // is refused later.
                self.hold(&[IAC]);
                Telnet::Text
            }
            (Telnet::Command, 251..=254) => Telnet::Option { is_do: byte == TELNET_DO },
            (Telnet::Command, TELNET_SUBNEGOTIATION) => Telnet::Subnegotiation,
            (Telnet::Command, 240..=249) => Telnet::Text,
            (Telnet::Command, _) => {
                // This is not a telnet command. The two bytes stay in the text, which is then not UTF-8.
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

    /// Adds text to the line that has not ended yet. All of the text is counted, but only text up to the limit is
    /// kept.
    fn hold(&mut self, text: &[u8]) {
        let Some(&last) = text.last() else { return };
        self.skip = Skip::Nothing;
        self.ends_in_carriage_return = last == CARRIAGE_RETURN;
        self.bytes += text.len();
        // One byte more than the limit is kept, since it may be the carriage return of the line end.
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

/// Returns the position of the first line end or IAC: of the LF, of the NUL after a CR, or of the IAC.
///
/// During a flood, the server spends much of its time here. So this function first tests whole blocks of sixteen
/// bytes. The test of a block has no early exit, so the compiler turns it into a few vector instructions. Each
/// byte needs only one comparison: after 1 is added to it (modulo 256), the result is at most 11 only for IAC and
/// for the bytes from NUL to LF. So the test also finds the control characters between NUL and LF. Of these, only
/// the tab is usual in text. If the test finds something in a block, the block is searched byte by byte.
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

/// Makes the frame for a line of `bytes` bytes. `line` contains all bytes of the line, unless the line is over
/// the limit.
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
