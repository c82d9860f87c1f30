//! The broadcaster: one thread that delivers everything to everyone, in one order.
//!
//! In each round it takes what has gathered in the outbox, applies the entries in order, and gives
//! each recipient its view of the batch in one write. It keeps its own list of recipients by those
//! entries, so who gets a line follows from its place in the order and from nothing else. Once a
//! client is in, no other thread writes to its socket.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use super::Room;
use super::batch::{Batch, Entry, Event, View};
use super::history::History;
use super::registry::ClientId;
use crate::protocol::nickname::Nickname;
use crate::protocol::text::{self, LeaveReason};

/// How many slices are offered in one system call: `IOV_MAX` of Linux, more of which it refuses.
const MAX_SLICES: usize = 1024;

/// The state of the broadcaster's thread.
#[derive(Debug)]
pub struct Broadcaster<'a> {
    room: &'a Room,
    recipients: BTreeMap<ClientId, Recipient>,
    /// How many of the recipients have not left.
    online: usize,
    history: History,
    /// What was said in this batch and is not in the history yet.
    said: Vec<Range<usize>>,
    /// Who left in this batch, and why.
    left: Vec<(ClientId, LeaveReason)>,
}

#[derive(Debug)]
struct Recipient {
    nickname: Nickname,
    stream: Arc<TcpStream>,
    /// It left in this batch, and gets what came before that.
    has_left: bool,
    /// It cannot be sent anything any more; its session is about to leave.
    is_lost: bool,
}

impl<'a> Broadcaster<'a> {
    /// Makes the broadcaster of a room.
    pub fn new(room: &'a Room) -> Self {
        Self {
            room,
            recipients: BTreeMap::new(),
            online: 0,
            history: History::new(room.options.history),
            said: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Delivers until the farewell is delivered. Blocks on the outbox, and on a recipient that does
    /// not read until its write timeout.
    pub fn run(mut self) {
        let mut batch = Batch::default();
        while self.room.outbox.take(&mut batch) {
            self.apply(&mut batch);
            self.deliver(&batch);
            self.dismiss();
            batch.clear();
        }
    }

    /// Goes through what happened, in order, and notes how each client's view differs.
    fn apply(&mut self, batch: &mut Batch) {
        let mut entries = batch.take_entries();
        for Entry { client, at, event } in entries.drain(..) {
            match event {
                Event::Said(lines) => {
                    batch.edit(client, lines.clone(), 0..0);
                    self.said.push(lines);
                }
                Event::Acted(line) => self.said.push(line),
                Event::Told(lines) => batch.edit(client, at..at, lines),
                Event::Asked => {
                    let answer = batch.append_private(|private| {
                        private.extend_from_slice(self.who_is_online().as_bytes());
                        private.push(b'\n');
                    });
                    batch.edit(client, at..at, answer);
                }
                Event::Joined(nickname, stream) => {
                    self.remember(batch);
                    let newcomer = Recipient { nickname, stream, has_left: false, is_lost: false };
                    self.recipients.insert(client, newcomer);
                    self.online += 1;
                    let welcome = format!("{}\n{}\n", text::CONNECTED, self.who_is_online());
                    let welcome = batch.append_private(|private| {
                        private.extend_from_slice(welcome.as_bytes());
                        self.history.write_to(private);
                    });
                    batch.edit(client, 0..at, welcome);
                }
                Event::Renamed(nickname) => {
                    if let Some(recipient) = self.recipients.get_mut(&client) {
                        recipient.nickname = nickname;
                    }
                }
                Event::Left(reason) => {
                    batch.edit(client, at..usize::MAX, 0..0);
                    if let Some(recipient) = self.recipients.get_mut(&client) {
                        recipient.has_left = true;
                        self.online -= 1;
                        self.left.push((client, reason));
                    }
                }
            }
        }
        self.remember(batch);
        batch.seal(entries);
    }

    /// Adds what was said up to here to the history.
    fn remember(&mut self, batch: &Batch) {
        self.history.add(batch.common(), self.said.iter());
        self.said.clear();
    }

    fn who_is_online(&self) -> String {
        let present = self.recipients.values().filter(|recipient| !recipient.has_left);
        text::online(self.online, present.map(|recipient| &recipient.nickname))
    }

    /// Sends each recipient its view.
    fn deliver(&mut self, batch: &Batch) {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        for (&id, recipient) in &mut self.recipients {
            if recipient.is_lost {
                continue;
            }
            let reason = match send(&recipient.stream, batch.view(id), &mut slices) {
                Ok(()) => continue,
                // The peer has closed: whether in order, its session finds out by reading.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Some(LeaveReason::TooSlow)
                }
                Err(_) => Some(LeaveReason::ConnectionLost),
            };
            recipient.is_lost = true;
            if let Some(reason) = reason {
                self.room.registry.turn_out(id, reason);
            }
        }
    }

    /// Lets go of those who left.
    fn dismiss(&mut self) {
        for (id, reason) in self.left.drain(..) {
            if let Some(recipient) = self.recipients.remove(&id)
                && reason.last_words().is_some()
            {
                self.room.closing.close(recipient.stream, reason == LeaveReason::Kicked);
            }
        }
    }
}

/// Sends a whole view. Blocks while the peer takes nothing, until the socket's write timeout.
fn send<'b>(
    mut stream: &TcpStream,
    mut view: View<'b>,
    slices: &mut [IoSlice<'b>; MAX_SLICES],
) -> io::Result<()> {
    loop {
        let mut count = 0;
        for (slice, text) in slices.iter_mut().zip(&mut view) {
            *slice = IoSlice::new(text);
            count += 1;
        }
        if count == 0 {
            return Ok(());
        }
        let mut unsent = &mut slices[..count];
        while !unsent.is_empty() {
            match stream.write_vectored(unsent) {
                Ok(sent) => IoSlice::advance_slices(&mut unsent, sent),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
