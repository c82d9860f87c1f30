//! What has gathered for delivery: the unit that travels from the outbox to the sockets.
//!
//! A batch begins as *entries*, in the order in which things happened: client threads append them
//! while it lies in the outbox. The broadcaster then turns each entry into *edits*: how one client's
//! view of the batch differs from the text that is common to all. So a round with a thousand talkers
//! formats every line once, and a recipient's view is found without looking at other people's edits.
//!
//! ```text
//! common   alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n
//! alice    ---------- bob: ho\n [SERVER] carol joined the chat!\n        her own line cut out
//! carol    ----------------------------------------------------- + welcome   her join replaced
//! dave     alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n        all of it, in one slice
//! ```
//!
//! Memory is kept from round to round: a batch is emptied and filled again, not freed. What has to
//! outlast its round, since somebody is behind, is a copy.

use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use super::client_id::ClientId;
use crate::protocol::nickname::Nickname;
use crate::protocol::replies::LeaveReason;

/// What may be kept of one buffer between rounds, in bytes. A larger one was needed for a rare burst
/// of notices, and goes back to the allocator.
const KEPT_BYTES: usize = 4 << 20;

/// Something that happened, as its client's thread appended it.
#[derive(Debug)]
pub struct Entry {
    /// Whom it concerns.
    pub client: ClientId,
    /// Its place: an offset in the common text.
    pub at: usize,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Debug)]
pub enum Event {
    /// The client said this range of the common text, in whole lines; it does not see them itself.
    Said(Range<usize>),
    /// The client did this line of the common text, which it sees too.
    Acted(Range<usize>),
    /// This range of the private text is for the client alone.
    Told(Range<usize>),
    /// The client asks who is online. The broadcaster answers, since it alone knows who has joined
    /// and left by this point of the order.
    Asked,
    /// The client is in, and has a nickname. It does not see this notice of the common text, nor,
    /// unless it listened before, anything that comes earlier.
    Joined(Range<usize>, Nickname, Arc<TcpStream>),
    /// The client sees what comes after this, and nobody is told.
    Listens(Arc<TcpStream>),
    /// The client has a new nickname.
    Renamed(Nickname),
    /// The client sees nothing more, and its connection is closed.
    Left(LeaveReason),
}

/// One difference between a client's view and the common text: from `at` to `until` it sees `told`,
/// a range of the private text, in place of the common text.
#[derive(Debug, Clone)]
struct Edit {
    client: ClientId,
    /// Its place among all edits of the batch.
    place: usize,
    at: usize,
    until: usize,
    told: Range<usize>,
}

/// Text for many clients, and what each of them sees of it.
#[derive(Debug, Default)]
pub struct Batch {
    common: Vec<u8>,
    private: Vec<u8>,
    entries: Vec<Entry>,
    edits: Vec<Edit>,
}

/// Filling a batch, in the outbox. Notices and other lines are given without their line end.
impl Batch {
    /// Appends what a client said: whole lines, each with its nickname and its line end.
    pub fn say(&mut self, client: ClientId, lines: &[u8]) {
        let start = self.common.len();
        self.common.extend_from_slice(lines);
        self.push(client, start, Event::Said(start..self.common.len()));
    }

    /// Appends what a client did.
    pub fn act(&mut self, client: ClientId, line: &str) {
        let line = self.append_line(line);
        self.push(client, line.start, Event::Acted(line));
    }

    /// Appends a line that everyone sees and that nobody said.
    pub fn announce(&mut self, line: &str) {
        self.append_line(line);
    }

    /// Appends one or more lines for one client alone.
    pub fn tell(&mut self, client: ClientId, lines: &str) {
        let lines = self.append_private(|private| {
            private.extend_from_slice(lines.as_bytes());
            private.push(b'\n');
        });
        self.push(client, self.common.len(), Event::Told(lines));
    }

    /// Appends bytes for one client alone that are no line.
    pub fn tell_bytes(&mut self, client: ClientId, bytes: &[u8]) {
        let bytes = self.append_private(|private| private.extend_from_slice(bytes));
        self.push(client, self.common.len(), Event::Told(bytes));
    }

    /// Appends that a client asks who is online.
    pub fn ask(&mut self, client: ClientId) {
        self.push(client, self.common.len(), Event::Asked);
    }

    /// Appends a join: all that comes after it is for the newcomer too.
    pub fn join(
        &mut self,
        client: ClientId,
        nickname: Nickname,
        stream: Arc<TcpStream>,
        notice: &str,
    ) {
        let notice = self.append_line(notice);
        self.push(client, notice.end, Event::Joined(notice, nickname, stream));
    }

    /// Appends that all that comes after it is for this client too, without a notice.
    pub fn listen(&mut self, client: ClientId, stream: Arc<TcpStream>) {
        self.push(client, self.common.len(), Event::Listens(stream));
    }

    /// Appends a new nickname.
    pub fn rename(&mut self, client: ClientId, nickname: Nickname, notice: &str) {
        self.append_line(notice);
        self.push(client, self.common.len(), Event::Renamed(nickname));
    }

    /// Appends a leave: nothing that comes after it is for that client.
    /// There is no notice for a client without a nickname.
    pub fn leave(&mut self, client: ClientId, reason: LeaveReason, notice: Option<&str>) {
        self.push(client, self.common.len(), Event::Left(reason));
        if let Some(notice) = notice {
            self.append_line(notice);
        }
    }

    fn push(&mut self, client: ClientId, at: usize, event: Event) {
        self.entries.push(Entry { client, at, event });
    }

    fn append_line(&mut self, line: &str) -> Range<usize> {
        let start = self.common.len();
        self.common.extend_from_slice(line.as_bytes());
        self.common.push(b'\n');
        start..self.common.len()
    }

    /// Appends to the private text, and returns where.
    pub fn append_private(&mut self, append: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
        let start = self.private.len();
        append(&mut self.private);
        start..self.private.len()
    }
}

/// Turning entries into edits, in the broadcaster.
impl Batch {
    /// The text that is common to all.
    pub fn common(&self) -> &[u8] {
        &self.common
    }

    /// How much has gathered, in bytes: the text, and what is noted about it.
    pub fn gathered_bytes(&self) -> usize {
        self.common.len() + self.private.len() + size_of_val(&*self.entries)
    }

    /// How much memory it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.common.capacity()
            + self.private.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.edits.capacity() * size_of::<Edit>()
    }

    /// Copies the sealed batch into no more memory than that takes.
    ///
    /// The batch itself stays where it is used again. If it went instead, each round would need a new
    /// one, grown by whichever thread appends first: `glibc` gives threads arenas of their own, and
    /// every arena would come to hold, freed and unused, the most that was ever grown there.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self {
            common: self.common.clone(),
            private: self.private.clone(),
            entries: Vec::new(),
            edits: self.edits.clone(),
        }
    }

    /// Whether nothing has happened at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.common.is_empty()
    }

    /// Takes the entries out. Hand the emptied vector back to [`Batch::seal`], which keeps its memory.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Has `client` see `told` of the private text in place of `replaced` of the common text.
    ///
    /// Edits of one client must come in the order of their places in the text.
    pub fn edit(&mut self, client: ClientId, replaced: Range<usize>, told: Range<usize>) {
        let place = self.edits.len();
        self.edits.push(Edit { client, place, at: replaced.start, until: replaced.end, told });
    }

    /// Ends the editing: from here on the batch is only read.
    pub fn seal(&mut self, mut entries: Vec<Entry>) {
        entries.clear();
        self.entries = entries;
        self.edits.sort_unstable_by_key(|edit| (edit.client, edit.place));
    }

    /// Empties the batch for the next round.
    pub fn clear(&mut self) {
        for buffer in [&mut self.common, &mut self.private] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        self.entries.clear();
        self.edits.clear();
    }

    /// What `client` sees of the sealed batch.
    pub fn view(&self, client: ClientId) -> View<'_> {
        let start = self.edits.partition_point(|edit| edit.client < client);
        let edits = &self.edits[start..];
        let own = edits.iter().position(|edit| edit.client != client).unwrap_or(edits.len());
        View { batch: self, edits: edits[..own].iter(), told: 0..0, at: 0 }
    }
}

/// What one client sees of a batch: the slices to send, in order, none of them empty.
#[derive(Debug, Clone)]
pub struct View<'a> {
    batch: &'a Batch,
    edits: std::slice::Iter<'a, Edit>,
    /// The private text that comes before the common text at `at`.
    told: Range<usize>,
    at: usize,
}

impl<'a> Iterator for View<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let told = std::mem::take(&mut self.told);
            if !told.is_empty() {
                return Some(&self.batch.private[told]);
            }
            let common = &self.batch.common[self.at..];
            let Some(edit) = self.edits.next() else {
                self.at = self.batch.common.len();
                return (!common.is_empty()).then_some(common);
            };
            let before = edit.at.saturating_sub(self.at);
            self.told = edit.told.clone();
            self.at = edit.until.min(self.batch.common.len());
            if before > 0 {
                return Some(&common[..before]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: ClientId = ClientId::new(1);
    const BOB: ClientId = ClientId::new(2);
    const CAROL: ClientId = ClientId::new(3);

    fn seen(batch: &Batch, client: ClientId) -> String {
        let slices: Vec<&[u8]> = batch.view(client).collect();
        assert!(slices.iter().all(|slice| !slice.is_empty()));
        String::from_utf8(slices.concat()).unwrap()
    }

    #[test]
    fn a_view_is_the_common_text_less_what_one_said_and_with_what_one_was_told() {
        let mut batch = Batch::default();
        for (client, lines) in [(BOB, &b"b1\n"[..]), (ALICE, b"a1\na2\n"), (ALICE, b"a3\n")] {
            batch.say(client, lines);
        }
        batch.tell(ALICE, "psst");
        batch.tell(ALICE, "psst!");
        batch.say(BOB, b"b2\n");
        let entries = batch.take_entries();
        for Entry { client, at, event } in &entries {
            match event {
                Event::Said(lines) => batch.edit(*client, lines.clone(), 0..0),
                Event::Told(lines) => batch.edit(*client, *at..*at, lines.clone()),
                _ => unreachable!("nothing else was appended"),
            }
        }
        batch.seal(entries);
        assert_eq!(seen(&batch, ALICE), "b1\npsst\npsst!\nb2\n");
        assert_eq!(seen(&batch, BOB), "a1\na2\na3\n");
        assert_eq!(seen(&batch, CAROL), "b1\na1\na2\na3\nb2\n");
        assert_eq!(batch.view(CAROL).count(), 1, "who has no edits is sent one slice");
    }

    #[test]
    fn a_view_can_begin_and_end_in_the_middle() {
        let mut batch = Batch::default();
        batch.announce("one");
        batch.announce("two");
        batch.announce("three");
        let welcome = batch.append_private(|private| private.extend_from_slice(b"welcome\n"));
        batch.edit(CAROL, 0..4, welcome);
        batch.edit(CAROL, 8..usize::MAX, 0..0);
        batch.seal(Vec::new());
        assert_eq!(seen(&batch, CAROL), "welcome\ntwo\n");
        assert_eq!(seen(&batch, ALICE), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_copy_takes_no_more_memory_than_what_is_in_it() {
        let mut batch = Batch::default();
        batch.say(ALICE, &vec![b'x'; 1 << 20]);
        batch.clear();
        batch.say(ALICE, b"a line\n");
        assert!(batch.memory_bytes() > 1 << 20);
        let copy = batch.snapshot();
        assert!(copy.memory_bytes() < 1000, "{}", copy.memory_bytes());
        assert_eq!(seen(&copy, BOB), "a line\n");
    }
}
