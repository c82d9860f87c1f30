//! From step 12: the one thread that writes to all members, and its log for the clients that are behind.
//!
//! This thread never waits for a socket. The real server's counterpart is [`server::writer`](crate::server::writer),
//! which uses more threads in a large room.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Change, Entry, view};
use crate::system::{poll::Poll, socket::send_now};

/// The maximum size of the log, in bytes. If the log grows larger, the clients that are furthest behind are
/// disconnected.
const MAX_LOG_BYTES: usize = 8 << 20;

/// The data of the one thread that writes to all members. This thread never waits for a member's socket.
#[derive(Debug, Default)]
pub struct Writer {
    recipients: Vec<Recipient>,
    /// `log` contains the batches that at least one client has not received completely. `first` is the number of the
    /// first of these batches.
    log: VecDeque<Vec<Entry>>,
    first: usize,
    bytes: usize,
    is_over: bool,
}

/// The writer's data about one client.
#[derive(Debug)]
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
    pub fn run(mut self, mut take: impl FnMut(&[&TcpStream], usize) -> Vec<Entry>) {
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
