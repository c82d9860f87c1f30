//! The senders: their messages, and the one thread that writes the messages of all senders.
//!
//! The senders take turns. With a rate, each turn is one message, which is sent at its due time. Without a rate,
//! each turn is many messages, as when a script sends them or somebody pastes a text. The thread sleeps until the
//! next message is due. If a connection is full, the thread sleeps for a moment.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::integrity::{MARK, Text};
use crate::options::Measure;
use crate::run::Run;

/// The number of bytes that a sender without a rate sends in a turn.
const TURN_BYTES: u32 = 16 * 1024;

/// The pause before another attempt to write to a full connection. The server needs much longer than this to
/// empty a full connection.
const FULL_SLEEP: Duration = Duration::from_micros(200);

/// Sends all messages of all senders. Returns the moment when the sending began, and the greatest delay of a turn.
pub(crate) fn send(run: &Run) -> (Instant, Duration) {
    let (messages, interval) = (run.options.messages, run.options.interval());
    let turn = interval.map_or(TURN_BYTES / run.options.bytes, |_| 1);
    let start = Instant::now();
    let (mut late, mut due) = (Duration::ZERO, Duration::ZERO);
    let mut lines = Vec::new();
    for first in (0..messages).step_by(turn as usize) {
        if run.quiet.load(Relaxed) {
            run.messages.store(first, Relaxed);
            break;
        }
        let streams = run.streams.iter().filter_map(|stream| stream.get());
        for (sender, stream) in (0..run.options.senders).zip(streams) {
            if run.closed.load(Relaxed) {
                run.messages.store(first, Relaxed);
                return (start, late);
            }
            if let Some(interval) = interval {
                thread::sleep(due.saturating_sub(start.elapsed()));
                late = late.max(start.elapsed().saturating_sub(due));
                due += interval;
            }
            lines.clear();
            for number in first..messages.min(first + turn) {
                append_message(run, sender, number, &mut lines);
            }
            write_all(run, stream, &lines);
        }
    }
    (start, late)
}

/// Writes all bytes to a non-blocking stream. Stops at an error without reporting it, because the thread that reads
/// from the stream notices the error too.
pub(crate) fn write_all(run: &Run, mut stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() && !run.closed.load(Relaxed) {
        match stream.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_SLEEP),
            Err(_) => return,
        }
    }
}

/// Appends a message with its line end. In an integrity check, the message contains its sender and its number, so that
/// the receiver can check it. Otherwise the message consists of a mark, a stamp (only if deliveries are timed) and
/// filler.
fn append_message(run: &Run, sender: u32, number: u32, to: &mut Vec<u8>) {
    if run.options.measure == Measure::Check {
        run.texts.append(Text { sender, number, stamp: run.stamp() }, to);
    } else {
        let end = to.len() + run.options.bytes as usize;
        to.push(MARK);
        if run.options.measure == Measure::Time {
            to.extend(format!("{:012}", run.epoch.elapsed().as_micros()).bytes());
        }
        to.resize(end, b'x');
    }
    to.push(b'\n');
}

/// Parses the stamp of a message: microseconds since the run's epoch. Returns `None` if the message is damaged.
pub(crate) fn sent_at(text: &[u8], run: &Run) -> Option<Duration> {
    let stamp = text.get(1..13).filter(|_| text.len() == run.options.bytes as usize)?;
    str::from_utf8(stamp).ok()?.parse().map(Duration::from_micros).ok()
}
