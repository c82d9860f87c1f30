//! Step 12: a write that does not wait, and a place in a log for each client that is behind. The text of this step is
//! in `step12_slow_readers.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step12_slow_readers.md")]

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chat::lessons::built::batch::{Change, Entry, view};
use chat::lessons::built::registry::{Member, Registry};
use chat::lessons::built::session::drain;
use chat::lessons::built::{input::Input, login::login, shutdown};
use chat::system::{poll::Poll, socket::send_now};

/// The maximum size of the log, in bytes. If the log grows larger, the clients that are furthest behind are
/// disconnected.
const MAX_LOG_BYTES: usize = 8 << 20;

/// The time between two attempts to send more to the clients that are behind.
const OFFER_INTERVAL: Duration = Duration::from_millis(5);

fn main() -> io::Result<()> {
    let registry = &Registry::default();
    let outbox = &registry.outbox;
    thread::scope(|scope| {
        // A condition variable cannot also wait for sockets. So while a client is behind, `take` waits only for a
        // short time.
        let take = |behind: &[&TcpStream], _all: usize| {
            outbox.take((!behind.is_empty()).then_some(OFFER_INTERVAL))
        };
        let writer = thread::Builder::new().name("writer".into());
        writer.spawn_scoped(scope, move || Writer::default().run(take))?;
        let serve = |stream: &Arc<_>| {
            // An error ends only this session, so the error is ignored here.
            let _ = serve(stream, registry);
            drain(stream);
        };
        shutdown::run(serve, || outbox.end()).inspect_err(|_| outbox.end())
    })
}

/// Serves one client until it leaves. Once the client has joined, only the writer writes to its socket.
fn serve(stream: &Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    let mut input = Input::new(stream);
    let member = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some(Member { ref name, .. }) = member else { return stream.shutdown(Shutdown::Write) };
    while let Some(line) = input.next_line()?.filter(|line| line != "/quit") {
        let (to_others, to_self) = match line.strip_prefix("/me ") {
            Some(action) => (format!("* {name} {action}\n"), format!("* {name} {action}\n")),
            None => (format!("{name}: {line}\n"), String::new()),
        };
        registry.outbox.put(name, to_others, to_self, Change::Nothing);
    }
    Ok(())
}

/// The data of the one thread that writes to all members. This thread never waits for a member's socket.
#[derive(Default)]
struct Writer {
    recipients: Vec<Recipient>,
    /// `log` contains the batches that at least one client has not received completely. `first` is the number of the
    /// first of these batches.
    log: VecDeque<Vec<Entry>>,
    first: usize,
    bytes: usize,
    is_over: bool,
}

/// The writer's data about one client.
struct Recipient {
    name: Arc<str>,
    stream: Arc<TcpStream>,
    /// The client's place in the log. `batch` is the number of the first batch that the client has not received
    /// completely. `offset` is the number of bytes of its view of this batch that the client has received.
    batch: usize,
    offset: usize,
    /// The position of the first entry that the client gets, and, if the client has left, the position of the last
    /// entry. A position is the number of a batch and an index in this batch.
    joined: (usize, usize),
    left: Option<(usize, usize)>,
    is_gone: bool,
}

impl Writer {
    /// Writes until the farewell was sent to every client. Blocks only in `take`. The arguments of `take` are the
    /// connections of the clients that are behind, and the total number of clients.
    fn run(mut self, mut take: impl FnMut(&[&TcpStream], usize) -> Vec<Entry>) {
        let mut poll = Poll::default();
        while !(self.is_over && self.recipients.is_empty()) {
            let end = self.first + self.log.len();
            let behind = self.recipients.iter().filter(|one| one.batch < end);
            let behind: Vec<_> = behind.map(|one| Arc::clone(&one.stream)).collect();
            let streams: Vec<&TcpStream> = behind.iter().map(|stream| &**stream).collect();
            let batch = take(&streams, self.recipients.len());
            if !batch.is_empty() {
                self.append(batch);
            }
            // The writer first sends to the clients that are not behind. Then it sends to the clients that are behind
            // and whose sockets have space again.
            let (late, current): (Vec<_>, Vec<_>) =
                self.recipients.iter_mut().partition(|one| one.batch < end);
            for one in current {
                one.offer(&self.log, self.first);
            }
            if !late.is_empty() {
                let can_take = poll.writable(streams.iter().copied(), Duration::ZERO);
                for (one, _) in late.into_iter().zip(can_take).filter(|(_, can_take)| *can_take) {
                    one.offer(&self.log, self.first);
                }
            }
            self.tidy();
        }
    }

    /// Adds a batch to the log, and notes which clients join and leave in this batch.
    fn append(&mut self, batch: Vec<Entry>) {
        let number = self.first + self.log.len();
        for (index, Entry { who, change, .. }) in batch.iter().enumerate() {
            match change {
                Change::Nothing => {}
                Change::Joined(stream) => self.recipients.push(Recipient {
                    name: Arc::clone(who),
                    stream: Arc::clone(stream),
                    batch: number,
                    offset: 0,
                    joined: (number, index),
                    left: None,
                    is_gone: false,
                }),
                Change::Left | Change::End => {
                    self.is_over |= matches!(change, Change::End);
                    let leaves = |one: &&mut Recipient| self.is_over || one.name == *who;
                    for one in self.recipients.iter_mut().filter(leaves) {
                        one.left.get_or_insert((number, index));
                    }
                }
            }
        }
        self.bytes += size(&batch);
        self.log.push_back(batch);
    }

    /// Removes clients that are gone. Drops batches that no client needs. While the log is too large, also drops its
    /// oldest batch.
    fn tidy(&mut self) {
        self.recipients.retain(|one| !one.is_gone);
        let needed = |batch| self.recipients.iter().any(|one| one.batch <= batch);
        while !self.log.is_empty() && (self.bytes > MAX_LOG_BYTES || !needed(self.first)) {
            self.bytes -= self.log.pop_front().map_or(0, |batch| size(&batch));
            self.first += 1;
        }
        for one in self.recipients.extract_if(.., |one| one.batch < self.first) {
            // The client is too slow. The shutdown wakes the client's session. The client then leaves.
            let _ = one.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Recipient {
    /// Sends as much of the client's unsent text as the socket accepts. Never waits.
    fn offer(&mut self, log: &VecDeque<Vec<Entry>>, first: usize) {
        while let Some(batch) = log.get(self.batch - first) {
            let end = self.left.filter(|left| left.0 == self.batch).map(|left| left.1 + 1);
            let start = if self.joined.0 == self.batch { self.joined.1 } else { 0 };
            let view = view(&batch[start..end.unwrap_or(batch.len())], &self.name);
            let rest = &view.as_bytes()[self.offset..];
            match send_now(&self.stream, rest) {
                Ok(sent) if sent == rest.len() => (self.batch, self.offset) = (self.batch + 1, 0),
                Ok(sent) => return self.offset += sent,
                Err(error) => return self.is_gone = error.kind() != io::ErrorKind::WouldBlock,
            }
            if end.is_some() {
                // This fails if the peer is gone.
                let _ = self.stream.shutdown(Shutdown::Write);
                return self.is_gone = true;
            }
        }
    }
}

/// Returns the number of bytes of memory that the texts of a batch use. This is the capacity of the strings, which
/// can be larger than their length.
fn size(batch: &[Entry]) -> usize {
    batch.iter().map(|entry| entry.to_others.capacity() + entry.to_self.capacity()).sum()
}
