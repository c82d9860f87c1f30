//! One client: its connection, and the lines that it receives, from its login to the end of its connection.
//!
//! A client never waits for input: a reader thread calls [`Client::read`] again and again. `protocol::framing` is
//! not used here, because it would examine every byte. To count messages, it is enough to find the last line end
//! in the bytes of each read, and to count the marks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::histogram::Histogram;
use crate::integrity::{Inspector, MARK};
use crate::options::Measure;
use crate::random::Random;
use crate::run::{Role, Run};
use crate::senders::sent_at;
use chat::protocol::replies::{CONNECTED, ENTER_NICKNAME, NOTICE_PREFIX};
use chat::system::socket::connect;

/// The maximum time for connecting. When many clients connect at once, the listen backlog of a server can
/// overflow. Then the system tries again after 1, 3, 7 and 15 seconds.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The average number of reads between two pauses, for a client that pauses.
const READS_A_PAUSE: usize = 64;
/// The upper limit for a pause, in milliseconds. During a pause, more bytes arrive than fit into the socket
/// buffers, so the server has to keep the rest. A server waits much longer before it disconnects a client
/// that does not read.
const MAX_PAUSE_MILLIS: usize = 400;

/// The number of messages after which a visitor leaves.
const VISIT_MESSAGES: u64 = 500;
/// The time without input after which a visitor leaves.
const VISIT_SILENCE: Duration = Duration::from_millis(200);

/// Every join notice contains this character once. No message of a run contains it.
const NOTICE_MARK: u8 = b'!';

/// The current phase of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    /// The client has sent its nickname, and waits for the list of members.
    Joining,
    /// The client has joined, and waits for the roll call.
    Joined,
    /// The client receives messages, and waits for the closing line.
    Talking,
    /// The client has received the closing line.
    Closed,
    /// The client has received nothing for too long.
    Silent,
    /// The client's connection has ended.
    Gone,
}

/// What is recorded about messages, in addition to their number.
pub(crate) enum Tally {
    /// Nothing else is recorded.
    Count,
    /// The time that each message took, and the number of damaged stamps.
    Latencies(Histogram, u64),
    /// All lines, and the time that each message took.
    Lines(Inspector, Histogram),
}

/// One client.
pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) role: Role,
    nickname: String,
    stream: Arc<TcpStream>,
    /// The start of a line whose end has not arrived yet.
    rest: Vec<u8>,
    pub(crate) phase: Phase,
    /// The phase that followed [`Phase::Talking`].
    pub(crate) end: Phase,
    /// The number of members when the client joined, including itself, plus the number of join notices since
    /// then.
    pub(crate) notices: u64,
    pub(crate) received: u64,
    pub(crate) tally: Tally,
    began: Instant,
    /// The time that the login took.
    pub(crate) login: Duration,
    /// The moment when the client had received all messages.
    pub(crate) arrived: Option<Instant>,
    /// The moment when the talking ended for this client.
    pub(crate) ended: Instant,
    last_heard: Instant,
    paused_until: Instant,
    random: Random,
}

impl Client {
    /// Connects. Blocks for a long time only if the server's listen backlog is full.
    pub(crate) fn connect(run: &Run, number: u32, nickname: String) -> Option<Self> {
        let began = Instant::now();
        let log_in = || {
            let mut stream = connect(run.address, CONNECT_TIMEOUT)?;
            stream.set_nonblocking(true)?;
            // The server first sends a prompt, but the client need not wait for the prompt.
            stream.write_all(format!("{nickname}\n").as_bytes())?;
            Ok(Arc::new(stream))
        };
        let failed = |error: io::Error| run.fail(format!("{nickname}: {error}"));
        let stream = log_in().map_err(failed).ok()?;
        if let Some(place) = run.streams.get(number as usize) {
            place.get_or_init(|| Arc::clone(&stream));
        }
        let role = run.role(number);
        Some(Self {
            number,
            role,
            nickname,
            stream,
            rest: Vec::new(),
            phase: Phase::Joining,
            end: Phase::Joining,
            notices: 0,
            received: 0,
            tally: match (run.options.measure, role) {
                (Measure::Time, Role::Member) => Tally::Latencies(Histogram::default(), 0),
                (Measure::Check, Role::Member) => {
                    let inspector = Inspector::new(run.texts, Some(number));
                    let strangers = run.options.siege.is_some();
                    let inspector = if strangers { inspector.among_strangers() } else { inspector };
                    Tally::Lines(inspector, Histogram::default())
                }
                (_, Role::Visitor) => {
                    Tally::Lines(Inspector::new(run.texts, None), Histogram::default())
                }
                // A stalled client is late on purpose, and the server may disconnect it. So its messages are only
                // counted.
                (_, Role::Stalled) | (Measure::Count, _) => Tally::Count,
            },
            began,
            login: Duration::ZERO,
            arrived: None,
            ended: began,
            last_heard: began,
            paused_until: began,
            random: Random::new(number.into()),
        })
    }

    /// Reads once, without waiting. Returns the number of bytes that were read.
    pub(crate) fn read(&mut self, run: &Run, buffer: &mut [u8]) -> usize {
        let now = Instant::now();
        let talking = self.phase == Phase::Talking;
        let stalls = talking && self.role == Role::Stalled && !run.over.load(Relaxed);
        if stalls || self.phase == Phase::Gone || now < self.paused_until {
            self.last_heard = now;
            return 0;
        }
        let held = self.rest.len();
        let read = match (&*self.stream).read(&mut buffer[held..]) {
            Ok(read) if read > 0 => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let visits = talking && self.role == Role::Visitor;
                let patience = if visits { VISIT_SILENCE } else { run.silence() };
                if self.phase <= Phase::Talking && now - self.last_heard > patience {
                    self.end(Phase::Silent, run);
                }
                return 0;
            }
            // The stream has ended, the read has failed, or a line without an end fills the buffer.
            _ => {
                self.end(Phase::Gone, run);
                return 0;
            }
        };
        self.last_heard = now;
        buffer[..held].copy_from_slice(&self.rest);
        let came = &buffer[..held + read];
        let whole = came.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        self.rest.clear();
        self.rest.extend_from_slice(&came[whole..]);
        self.take(&came[..whole], run);
        read
    }

    /// Processes whole lines, including their line ends.
    fn take(&mut self, mut lines: &[u8], run: &Run) {
        while self.phase < Phase::Joined
            && let Some(end) = lines.iter().position(|&byte| byte == b'\n')
        {
            self.log_in(&String::from_utf8_lossy(&lines[..end]), run);
            lines = &lines[end + 1..];
        }
        match self.phase {
            Phase::Joined => {
                self.notices += count(lines, NOTICE_MARK);
                // No line follows the roll call yet, because nobody talks before everyone has received the
                // roll call.
                if lines.trim_ascii_end().ends_with(run.roll_call.as_bytes()) {
                    self.phase = Phase::Talking;
                    run.ready.fetch_add(1, Relaxed);
                    self.note_arrival(run);
                }
            }
            Phase::Talking => self.receive(lines, run),
            _ => (),
        }
    }

    /// Processes one line of the login.
    fn log_in(&mut self, line: &str, run: &Run) {
        if line == ENTER_NICKNAME || line == CONNECTED {
            return;
        }
        let online = line.strip_prefix(NOTICE_PREFIX).and_then(|line| line.split(' ').next());
        match online.and_then(|online| online.parse().ok()) {
            None => run.fail(format!("{}: the server said '{line}'", self.nickname)),
            Some(online) if self.number == 0 && online != 1 => {
                run.fail(format!("the room is not empty: '{line}'"));
            }
            Some(online) => {
                self.notices = online;
                self.login = self.began.elapsed();
                self.phase = Phase::Joined;
                if self.role == Role::Visitor {
                    self.phase = Phase::Talking;
                } else {
                    run.joined.fetch_add(1, Relaxed);
                }
            }
        }
    }

    /// Processes messages, and the closing line.
    fn receive(&mut self, lines: &[u8], run: &Run) {
        let new = match &mut self.tally {
            Tally::Count => count(lines, MARK),
            Tally::Latencies(latencies, corrupt) => time(lines, run, latencies, corrupt),
            Tally::Lines(inspector, latencies) => check(lines, run, inspector, latencies),
        };
        self.received += new;
        run.received.fetch_add(new, Relaxed);
        self.note_arrival(run);
        // Notices may follow the closing line, so the closing line need not be the last line. But examining
        // every line is slower than counting marks. So every line is examined only if all messages have arrived,
        // or if each line is checked anyway.
        let looks = self.arrived.is_some() || matches!(self.tally, Tally::Lines(..));
        let is_closing = |line: &[u8]| line.ends_with(run.closing.as_bytes());
        if is_closing(lines.trim_ascii_end())
            || looks && lines.split(|&byte| byte == b'\n').any(is_closing)
        {
            self.end(Phase::Closed, run);
        } else if self.role == Role::Visitor && self.received > VISIT_MESSAGES {
            self.end(Phase::Gone, run);
        } else if run.options.pauses
            && self.number % 2 == 1
            && self.random.below(READS_A_PAUSE) == 0
        {
            let millis = self.random.below(MAX_PAUSE_MILLIS) as u64;
            self.paused_until = self.last_heard + Duration::from_millis(millis);
        }
    }

    /// Notes when all messages have arrived. The main thread waits for this before the first client says the
    /// closing line.
    fn note_arrival(&mut self, run: &Run) {
        if self.arrived.is_none() && self.received >= run.expected(self.number) {
            self.arrived = Some(Instant::now());
        }
        if self.number == 0 {
            run.first_received.store(self.received, Relaxed);
        }
    }

    /// Ends the client's current phase, and enters `phase`.
    fn end(&mut self, phase: Phase, run: &Run) {
        if self.phase < Phase::Talking {
            run.fail(format!("{}: the server ended the login or was silent", self.nickname));
        }
        let talked = self.phase == Phase::Talking;
        self.phase = phase;
        if talked {
            self.end = phase;
            self.ended = Instant::now();
        }
        if self.role != Role::Visitor {
            run.done.fetch_add(talked.into(), Relaxed);
            run.gone.fetch_add((phase == Phase::Gone).into(), Relaxed);
        }
    }
}

/// Records the time that each message took. Returns the number of messages.
fn time(lines: &[u8], run: &Run, latencies: &mut Histogram, corrupt: &mut u64) -> u64 {
    let now = run.epoch.elapsed();
    let mut messages = 0;
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(mark) = line.iter().position(|&byte| byte == MARK) else { continue };
        messages += 1;
        match sent_at(&line[mark..], run).and_then(|sent| now.checked_sub(sent)) {
            Some(took) => latencies.record(took),
            None => *corrupt += 1,
        }
    }
    messages
}

/// Inspects each line, and records the time that each message took. Returns the number of expected messages.
fn check(lines: &[u8], run: &Run, inspector: &mut Inspector, latencies: &mut Histogram) -> u64 {
    let now = run.stamp();
    let mut messages = 0;
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(stamp) = inspector.take(line) else { continue };
        messages += 1;
        latencies.record(Duration::from_micros(now.wrapping_sub(stamp).into()));
    }
    messages
}

/// Counts the occurrences of a byte. The count of each piece of 255 bytes fits into a byte, so the compiler can use
/// vector instructions.
fn count(bytes: &[u8], mark: u8) -> u64 {
    let in_piece = |piece: &[u8]| piece.iter().map(|&byte| u8::from(byte == mark)).sum::<u8>();
    bytes.chunks(255).map(|piece| u64::from(in_piece(piece))).sum()
}
