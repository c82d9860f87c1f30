//! The event log: what the server tells whoever runs it, a line an event, on standard output.
//!
//! Standard output may be a terminal in Ctrl-S or a pipe that nobody reads, and writing to it then
//! blocks for as long as that lasts. So lines go through a bounded queue to a thread of their own,
//! and no other thread ever waits for it: when the queue is full, lines are dropped and counted.
//! When standard output is closed, logging ends and the server goes on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::protocol::cleaning::clean;
use crate::protocol::text::NOTICE_PREFIX;

/// How many lines may wait to be written: some seconds of a storm of joins, below a megabyte.
const MAX_WAITING_LINES: usize = 8192;

/// How many bytes are written at once when lines have gathered.
const MAX_WRITE_BYTES: usize = 64 << 10;

/// How long the end of the program waits for the last lines to be written.
const FINISH_TIME: Duration = Duration::from_millis(500);

/// The way to the log's thread.
#[derive(Debug)]
pub struct EventLog {
    lines: SyncSender<String>,
    /// Lines that found the queue full and were not reported yet.
    dropped: Arc<AtomicUsize>,
    /// Events are not logged, only faults.
    quiet: bool,
}

/// The log's thread, named `log`. It ends when the [`EventLog`] is dropped and all is written.
#[derive(Debug)]
pub struct LogThread {
    /// Ends without a message when the thread does.
    finished: Receiver<()>,
}

impl EventLog {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn start(quiet: bool) -> io::Result<(Self, LogThread)> {
        let (lines, waiting) = sync_channel(MAX_WAITING_LINES);
        let (running, finished) = sync_channel::<()>(0);
        let dropped = Arc::new(AtomicUsize::new(0));
        let dropped_lines = Arc::clone(&dropped);
        thread::Builder::new().name("log".into()).spawn(move || {
            write_loop(&waiting, &dropped_lines, &mut io::stdout());
            drop(running);
        })?;
        Ok((Self { lines, dropped, quiet }, LogThread { finished }))
    }

    /// Logs who comes and goes. Never blocks. Not logged with `--quiet`.
    pub fn event(&self, line: &str) {
        if !self.quiet {
            self.notice(line);
        }
    }

    /// Logs what whoever runs the server must know. Never blocks.
    pub fn notice(&self, line: &str) {
        if self.lines.try_send(format!("{NOTICE_PREFIX}{}\n", clean(line))).is_err() {
            count_dropped(&self.dropped, 1);
        }
    }
}

impl LogThread {
    /// Blocks until all lines are written, half a second at most: a thread that is stuck on its
    /// terminal ends with the process.
    pub fn finish(self) {
        // An error either way: the thread has ended, or the time is over.
        let _ = self.finished.recv_timeout(FINISH_TIME);
    }
}

/// Writes lines as they come, all that have gathered at once. Blocks on the queue and on `output`.
fn write_loop(waiting: &Receiver<String>, dropped: &AtomicUsize, output: &mut impl Write) {
    let mut lines = String::new();
    while let Ok(line) = waiting.recv() {
        lines.push_str(&line);
        while lines.len() < MAX_WRITE_BYTES
            && let Ok(line) = waiting.try_recv()
        {
            lines.push_str(&line);
        }
        let missing = dropped.swap(0, Ordering::Relaxed);
        if missing > 0 {
            lines += &format!("{NOTICE_PREFIX}{missing} lines could not be logged\n");
        }
        match output.write_all(lines.as_bytes()).and_then(|()| output.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return,
            // A full disk may have room again later.
            Err(_) => count_dropped(dropped, lines.lines().count()),
        }
        lines.clear();
    }
}

fn count_dropped(dropped: &AtomicUsize, lines: usize) {
    dropped.fetch_add(lines, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_in_order_and_the_dropped_ones_counted() {
        let (lines, waiting) = sync_channel(4);
        for line in ["one\n", "two\n"] {
            lines.send(line.to_owned()).unwrap();
        }
        drop(lines);
        let mut output = Vec::new();
        write_loop(&waiting, &AtomicUsize::new(3), &mut output);
        let expected = "one\ntwo\n[SERVER] 3 lines could not be logged\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
