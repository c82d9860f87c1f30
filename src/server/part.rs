//! Part: a share of the recipients that are current, which means that they are not [`behind`](super::behind).
//!
//! The recipients of a part are in one array, sorted by their numbers. The edits of a batch are sorted in the
//! same way. So a thread sends a batch by walking through the recipients and the edits in parallel, without any
//! search. Each of the many recipients without edits costs one `send` of one slice.
//!
//! The [course](crate::lessons) has no parts. Its steps keep all recipients in one list.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;

use super::batch::{Batch, Total};
use super::client::{Client, ClientId};
use crate::system::socket::{send_now, send_slices_now};

/// The maximum number of slices that are passed to one system call. Linux would accept 1,024 (`IOV_MAX`), but
/// preparing that many slices for each recipient would cost more than it saves. The few recipients with more
/// slices need additional calls.
const MAX_SLICES: usize = 64;

/// One recipient.
#[derive(Debug)]
struct Recipient {
    /// A copy of the client's number, so that a walk through the recipients does not have to follow the pointer.
    id: ClientId,
    client: Arc<Client>,
}

/// The recipients of one part, and the recipients that were removed because their sockets did not accept all of
/// the last batch.
#[derive(Debug, Default)]
pub struct Part {
    recipients: Vec<Recipient>,
    unfinished: Vec<Unfinished>,
    delivered: Total,
}

/// A recipient whose socket did not accept all of a batch.
#[derive(Debug)]
pub struct Unfinished {
    /// The recipient.
    pub client: Arc<Client>,
    /// The number of bytes of the view that the socket accepted, or an error if the connection is broken.
    pub taken: io::Result<usize>,
    /// Whether the recipient's view has private text.
    pub has_private: bool,
}

impl Part {
    /// Returns the number of recipients.
    pub fn len(&self) -> usize {
        self.recipients.len()
    }

    /// Returns the amount of text that the sockets of this part have accepted. A view counts only if the socket
    /// accepted all of it at once.
    pub fn delivered(&self) -> Total {
        self.delivered
    }

    /// Returns whether the part has no recipient.
    pub fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }

    /// Adds a recipient.
    pub fn add(&mut self, client: Arc<Client>) {
        if let Err(place) = self.find(client.id) {
            self.recipients.insert(place, Recipient { id: client.id, client });
        }
    }

    /// Removes a recipient. Returns `None` if it is not in this part.
    pub fn remove(&mut self, id: ClientId) -> Option<Arc<Client>> {
        let place = self.find(id).ok()?;
        Some(self.recipients.remove(place).client)
    }

    /// Removes and returns all recipients.
    pub fn drain(&mut self) -> impl Iterator<Item = Arc<Client>> {
        self.recipients.drain(..).map(|recipient| recipient.client)
    }

    /// Sends each recipient its view of a sealed batch. Never waits for a socket.
    ///
    /// A recipient whose socket does not accept everything is removed: see [`Part::take_unfinished`].
    pub fn send(&mut self, batch: &Batch) {
        let mut cursor = batch.cursor();
        let Self { unfinished, delivered, .. } = self;
        self.recipients.retain(|Recipient { id, client }| {
            let view = cursor.view(*id);
            let sent = match view.as_common() {
                Some(common) => send_whole(&client.stream, common),
                None => send_view(&client.stream, view.clone(), 0),
            };
            let taken = match sent {
                Ok(None) => {
                    *delivered += view.total();
                    return true;
                }
                Ok(Some(taken)) => Ok(taken),
                Err(error) => Err(error),
            };
            let has_private = view.has_private();
            unfinished.push(Unfinished { client: Arc::clone(client), taken, has_private });
            false
        });
    }

    /// Removes and returns the recipients whose sockets did not accept all of the last batch.
    pub fn take_unfinished(&mut self) -> impl Iterator<Item = Unfinished> {
        self.unfinished.drain(..)
    }

    fn find(&self, id: ClientId) -> Result<usize, usize> {
        self.recipients.binary_search_by_key(&id, |recipient| recipient.id)
    }
}

/// Sends one slice without waiting. Returns the number of bytes that the socket accepted, or `None` if it
/// accepted all of them.
fn send_whole(stream: &TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match send_now(stream, bytes) {
        Ok(sent) if sent == bytes.len() => Ok(None),
        Ok(sent) => Ok(Some(sent)),
        Err(error) if took_nothing(&error) => Ok(Some(0)),
        Err(error) => Err(error),
    }
}

/// Sends the rest of a view after its first `taken` bytes, and does not wait. Returns the total number of bytes
/// of the view that the socket has accepted, including the first `taken` bytes. Returns `None` if the socket has
/// accepted the whole view.
///
/// # Errors
///
/// Returns an error if the connection is broken.
pub fn send_view<'a>(
    stream: &TcpStream,
    view: impl Iterator<Item = &'a [u8]>,
    taken: usize,
) -> io::Result<Option<usize>> {
    let (mut skip, mut total) = (taken, taken);
    let mut rest = view.filter_map(|text| {
        let skipped = skip.min(text.len());
        skip -= skipped;
        (skipped < text.len()).then(|| IoSlice::new(&text[skipped..]))
    });
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    loop {
        let (mut count, mut offered) = (0, 0);
        for (slice, text) in slices.iter_mut().zip(&mut rest) {
            offered += text.len();
            *slice = text;
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        match send_slices_now(stream, &slices[..count]) {
            Ok(sent) if sent == offered => total += sent,
            Ok(sent) => return Ok(Some(total + sent)),
            Err(error) if took_nothing(&error) => return Ok(Some(total)),
            Err(error) => return Err(error),
        }
    }
}

/// Returns whether an error only means that a socket accepts nothing at this moment.
fn took_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::client::tests::connected;
    use std::io::Read;

    fn said(client: ClientId, lines: &str) -> Batch {
        let mut batch = Batch::default();
        batch.say(client, lines.as_bytes());
        batch.show(ClientId::new(2), "psst\n");
        batch.seal();
        batch
    }

    #[test]
    fn each_recipient_is_sent_its_own_view() {
        let mut part = Part::default();
        let mut peers = Vec::new();
        for (number, expected) in [(3, "hi\n"), (1, ""), (2, "hi\npsst\n")] {
            let (client, peer) = connected(number);
            part.add(client);
            peers.push((expected, peer));
        }
        part.send(&said(ClientId::new(1), "hi\n"));
        assert_eq!(part.take_unfinished().count(), 0);
        assert_eq!(part.len(), 3);
        drop(part);
        for (expected, mut peer) in peers {
            let mut seen = String::new();
            peer.read_to_string(&mut seen).unwrap();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn one_that_does_not_take_it_all_is_handed_out_with_its_place() {
        let ((slow, mut peer), (quick, _q)) = (connected(2), connected(7));
        let mut part = Part::default();
        part.add(slow);
        part.add(quick);
        part.remove(ClientId::new(7)).unwrap();
        let much = "x".repeat(64 << 20) + "\n";
        let batch = said(ClientId::new(1), &much);
        part.send(&batch);
        let unfinished: Vec<_> = part.take_unfinished().collect();
        let [Unfinished { client, taken: Ok(taken), has_private: true }] = &unfinished[..] else {
            panic!("{unfinished:?}")
        };
        assert!(part.is_empty() && *taken < much.len());
        // The next send continues after these bytes.
        let mut got = vec![0; *taken];
        peer.read_exact(&mut got).unwrap();
        let mut more = *taken;
        while let Some(now) =
            send_view(&client.stream, batch.cursor().view(client.id), more).unwrap()
        {
            got.resize(now, 0);
            peer.read_exact(&mut got[more..]).unwrap();
            more = now;
        }
        got.resize(much.len() + 5, 0);
        peer.read_exact(&mut got[more..]).unwrap();
        assert!(got.ends_with(b"x\npsst\n"));
    }
}
