//! The broadcaster: one thread that delivers everything to everyone, in one order.
//!
//! In each round it takes what has gathered in the outbox, applies the entries in order, and gives
//! each recipient its view of the batch in one write. It keeps its own list of recipients by those
//! entries, so who gets a line follows from its place in the order and from nothing else.
//!
//! It never waits for a socket. Once a client is in, no other thread writes to it, but for its
//! catch-up thread from when it takes less than it is offered until it has taken everything.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;

use super::batch::{Batch, Entry, Event};
use super::catch_up::{self, CatchUp};
use super::client_id::ClientId;
use super::history::History;
use super::room::Room;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::{self, LeaveReason};
use crate::system::socket::send_now;

/// How many slices are offered in one system call: `IOV_MAX` of Linux, more of which it refuses.
const MAX_SLICES: usize = 1024;

/// The state of the broadcaster's thread.
#[derive(Debug)]
pub struct Broadcaster<'scope, 'env> {
    room: &'scope Room,
    /// Where catch-up threads are started.
    scope: &'scope Scope<'scope, 'env>,
    recipients: BTreeMap<ClientId, Recipient>,
    /// How many of the recipients have not left.
    online: usize,
    history: History,
    /// Where the batch has the history of this point of the order, for all who join before anybody
    /// says something more: in a storm of joins a copy for each of them would be megabytes a round.
    written: Option<Range<usize>>,
    /// Where it has the answer to who is online, likewise for all who ask before anybody comes, goes
    /// or changes names: six kilobytes for five bytes of question.
    answered: Option<Range<usize>>,
    /// What was said in this batch and is not in the history yet.
    said: Vec<Range<usize>>,
    /// Who left in this batch, and why.
    left: Vec<(ClientId, LeaveReason)>,
    /// Who has caught up since the last round, and who fell off the backlog's end: empty in between.
    caught_up: Vec<ClientId>,
    too_slow: Vec<(ClientId, Arc<TcpStream>)>,
}

#[derive(Debug)]
struct Recipient {
    /// `None` for one that only listens.
    nickname: Option<Nickname>,
    stream: Arc<TcpStream>,
    /// It left in this batch, and gets what came before that.
    has_left: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is sent each batch as it comes.
    Current,
    /// Its catch-up thread sends it the batches from the backlog.
    Behind,
    /// It cannot be sent anything any more; its session is about to leave.
    Lost,
}

impl Recipient {
    fn new(stream: Arc<TcpStream>) -> Self {
        Self { nickname: None, stream, has_left: false, state: State::Current }
    }
}

impl<'scope, 'env> Broadcaster<'scope, 'env> {
    /// Makes the broadcaster of a room.
    pub fn new(room: &'scope Room, scope: &'scope Scope<'scope, 'env>) -> Self {
        Self {
            room,
            scope,
            recipients: BTreeMap::new(),
            online: 0,
            history: History::new(room.options.history),
            written: None,
            answered: None,
            said: Vec::new(),
            left: Vec::new(),
            caught_up: Vec::new(),
            too_slow: Vec::new(),
        }
    }

    /// Delivers until the farewell is delivered. Blocks on the outbox, and, when the room is faster
    /// than most who listen, for a moment each round; never on a socket.
    pub fn run(mut self) {
        // This one and the outbox's change places in each round: nothing is allocated.
        let mut batch = Batch::default();
        while self.room.outbox.take(&mut batch) {
            self.apply(&mut batch);
            let kept = self.publish(&batch);
            self.deliver(&batch, kept);
            self.dismiss();
            batch.clear();
            // When more than half are behind and reading, it is the flood that is too fast, and it waits
            // until all of them have caught up. Those who do not read count for a moment only, or some
            // stalled clients would slow down everyone.
            let half = self.recipients.len() / 2;
            self.room.backlog.wait_for_readers(half);
        }
    }

    /// Goes through what happened, in order, and notes how each client's view differs.
    fn apply(&mut self, batch: &mut Batch) {
        let mut entries = batch.take_entries();
        (self.written, self.answered) = (None, None);
        for Entry { client, at, event } in entries.drain(..) {
            if matches!(event, Event::Joined(..) | Event::Renamed(_) | Event::Left(_)) {
                self.answered = None;
            }
            match event {
                Event::Said(lines) => {
                    batch.edit(client, lines.clone(), 0..0);
                    self.said.push(lines);
                }
                Event::Acted(line) => self.said.push(line),
                Event::Told(lines) => batch.edit(client, at..at, lines),
                Event::Asked => {
                    let answer = self.answer_who(batch);
                    batch.edit(client, at..at, answer);
                }
                Event::Listens(stream) => {
                    self.recipients.insert(client, Recipient::new(stream));
                    batch.edit(client, 0..at, 0..0);
                }
                Event::Joined(notice, nickname, stream) => {
                    self.remember(batch);
                    let mut unseen = notice;
                    let recipient = self.recipients.entry(client).or_insert_with(|| {
                        unseen.start = 0;
                        Recipient::new(stream)
                    });
                    recipient.nickname = Some(nickname);
                    self.online += 1;
                    let welcome = format!("{}\n{}\n", replies::CONNECTED, self.who_is_online());
                    let welcome = batch
                        .append_private(|private| private.extend_from_slice(welcome.as_bytes()));
                    batch.edit(client, unseen, welcome);
                    let history = self.written_history(batch);
                    batch.edit(client, at..at, history);
                }
                Event::Renamed(nickname) => {
                    if let Some(recipient) = self.recipients.get_mut(&client) {
                        recipient.nickname = Some(nickname);
                    }
                }
                Event::Left(reason) => {
                    batch.edit(client, at..usize::MAX, 0..0);
                    if let Some(recipient) = self.recipients.get_mut(&client) {
                        recipient.has_left = true;
                        self.online -= usize::from(recipient.nickname.is_some());
                        self.left.push((client, reason));
                    }
                }
            }
        }
        self.remember(batch);
        batch.seal(entries);
    }

    /// Adds what was said up to here to the history, and to the log if that is wanted.
    fn remember(&mut self, batch: &Batch) {
        if self.room.options.log_messages {
            for lines in &self.said {
                for line in String::from_utf8_lossy(&batch.common()[lines.clone()]).lines() {
                    self.room.log.notice(line);
                }
            }
        }
        if !self.said.is_empty() {
            self.history.add(batch.common(), self.said.iter());
            self.said.clear();
            self.written = None;
        }
    }

    /// Returns where the private text of the batch has the history as it is now.
    fn written_history(&mut self, batch: &mut Batch) -> Range<usize> {
        let history = &self.history;
        let write = || batch.append_private(|private| history.write_to(private));
        self.written.get_or_insert_with(write).clone()
    }

    /// Returns where the private text of the batch says who is online now.
    fn answer_who(&mut self, batch: &mut Batch) -> Range<usize> {
        let line = || format!("{}\n", self.who_is_online());
        let write = || batch.append_private(|private| private.extend_from_slice(line().as_bytes()));
        let answer = self.answered.clone().unwrap_or_else(write);
        self.answered = Some(answer.clone());
        answer
    }

    fn who_is_online(&self) -> String {
        let present = self.recipients.values().filter(|recipient| !recipient.has_left);
        replies::online(self.online, present.filter_map(|recipient| recipient.nickname.as_ref()))
    }

    /// Puts the batch into the backlog for those who are behind, and learns who is not any more.
    /// Returns the copy that the backlog keeps, if anybody is behind.
    fn publish(&mut self, batch: &Batch) -> Option<Arc<Batch>> {
        let backlog = &self.room.backlog;
        let kept = backlog.is_in_use().then(|| Arc::new(batch.snapshot()));
        backlog.publish(kept.as_ref(), &mut self.caught_up, &mut self.too_slow);
        for id in self.caught_up.drain(..) {
            if let Some(recipient) = self.recipients.get_mut(&id) {
                recipient.state = State::Current;
            }
        }
        for (id, stream) in self.too_slow.drain(..) {
            self.room.registry.turn_out(id, LeaveReason::TooSlow);
            // For one that has left already. It fails when the peer is gone.
            let _ = stream.shutdown(Shutdown::Both);
        }
        kept
    }

    /// Sends each recipient that is current its view. `kept` is the backlog's copy of the batch, made
    /// here for the first who falls behind.
    fn deliver(&mut self, batch: &Batch, mut kept: Option<Arc<Batch>>) {
        let framing = self.room.options.framing;
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let slices = &mut slices[..framing.slices_at_once(MAX_SLICES)];
        for (&id, recipient) in &mut self.recipients {
            if recipient.state != State::Current {
                continue;
            }
            match send(&recipient.stream, framing.cut(batch.view(id)), slices) {
                Ok(Sent::All) => {}
                Ok(Sent::Part { bytes }) => {
                    recipient.state = State::Behind;
                    let kept = kept.get_or_insert_with(|| Arc::new(batch.snapshot()));
                    self.room.backlog.fall_behind(id, Arc::clone(&recipient.stream), kept);
                    let (stream, batch) = (Arc::clone(&recipient.stream), Arc::clone(kept));
                    let catch_up = CatchUp { id, stream, batch, taken: bytes };
                    if catch_up::start(catch_up, self.room, self.scope).is_err() {
                        self.room.registry.turn_out(id, LeaveReason::TooSlow);
                        self.room.backlog.give_up(id);
                    }
                }
                Err(error) => {
                    recipient.state = State::Lost;
                    self.room.give_up(id, &error);
                }
            }
        }
    }

    /// Lets go of those who left.
    fn dismiss(&mut self) {
        for (id, reason) in self.left.drain(..) {
            let Some(recipient) = self.recipients.remove(&id) else { continue };
            let behind = recipient.state == State::Behind;
            if reason.final_line().is_none() {
                self.room.backlog.give_up(id);
            } else if !behind || !self.room.backlog.finish(id, reason == LeaveReason::Kicked) {
                self.room.closing.close(recipient.stream, reason == LeaveReason::Kicked);
            }
        }
    }
}

/// How much of a view a socket took.
enum Sent {
    All,
    Part { bytes: usize },
}

/// Offers a view to a socket, as many slices at once as `slices` holds, and does not wait.
fn send<'b>(
    stream: &TcpStream,
    mut view: impl Iterator<Item = &'b [u8]>,
    slices: &mut [IoSlice<'b>],
) -> io::Result<Sent> {
    use io::ErrorKind::{Interrupted, WouldBlock};
    let mut bytes = 0;
    loop {
        let mut offered = 0;
        let mut count = 0;
        for (slice, text) in slices.iter_mut().zip(&mut view) {
            *slice = IoSlice::new(text);
            offered += text.len();
            count += 1;
        }
        if count == 0 {
            return Ok(Sent::All);
        }
        match send_now(stream, &slices[..count]) {
            Ok(sent) if sent == offered => bytes += sent,
            Ok(sent) => return Ok(Sent::Part { bytes: bytes + sent }),
            Err(error) if matches!(error.kind(), WouldBlock | Interrupted) => {
                return Ok(Sent::Part { bytes });
            }
            Err(error) => return Err(error),
        }
    }
}
