//! Batch: the text that is sent in one round, and the differences between this text and each client's view.
//!
//! A batch contains the *common text* once, for everyone. A client's *view* is the common text, changed by the
//! client's *edits*. An edit hides a part of the common text from one client, or shows this client other text, or
//! both. So each line is formatted only once, even when a thousand people talk. The view of a client without
//! edits is a single slice.
//!
//! ```text
//! common   alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n
//! alice    ---------- bob: ho\n [SERVER] carol joined the chat!\n   hides her own line
//! carol    ------------------------------------------------- + welcome  replaces her join
//! dave     alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n   no edits
//! ```
//!
//! A batch is filled in the outbox. Then the writer takes it and seals it. A sealed batch does not change. After
//! the round, its memory is reused for a later batch.
//!
//! This module grew from step 11 of the [course](crate::lessons), which has entries and views.

use std::fmt::Display;
use std::io::Write;
use std::ops::{AddAssign, Range, SubAssign};
use std::sync::Arc;

use super::client::{Client, ClientId};
use crate::protocol::replies::LeaveReason;

/// The maximum size of a buffer that is kept for later batches, in bytes. A rare burst of notices can need a
/// larger buffer. After the round, the excess memory is returned to the allocator.
const KEPT_BYTES: usize = 4 << 20;

/// One difference between a client's view and the common text.
#[derive(Debug, Clone)]
struct Edit {
    client: ClientId,
    /// The number of this edit: the edits of a batch are numbered in the order in which they are made.
    place: u32,
    /// The part of the common text that the client does not see.
    hidden: Range<usize>,
    /// The text that the client sees instead.
    shown: Shown,
}

/// The text that an edit shows to its client.
#[derive(Debug, Clone)]
enum Shown {
    Nothing,
    /// A range of [`Edits::private`].
    Private(Range<usize>),
    /// Text that several clients see, each at a different place in the batch.
    Shared(Arc<[u8]>),
}

/// A client starts or stops receiving text.
#[derive(Debug)]
pub enum Change {
    /// The client receives all text that follows.
    Joined(Arc<Client>),
    /// The client receives no text that follows, and its connection must be closed.
    Left(ClientId, LeaveReason),
}

/// An amount of text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// The number of lines.
    pub lines: u64,
    /// The number of bytes.
    pub bytes: u64,
}

impl Total {
    /// Returns the amount of text in `text`.
    pub fn of(text: &[u8]) -> Self {
        let lines = text.iter().map(|&byte| u64::from(byte == b'\n')).sum();
        Self { lines, bytes: text.len() as u64 }
    }
}

impl AddAssign for Total {
    fn add_assign(&mut self, more: Self) {
        self.lines += more.lines;
        self.bytes += more.bytes;
    }
}

impl SubAssign for Total {
    fn sub_assign(&mut self, less: Self) {
        self.lines -= less.lines;
        self.bytes -= less.bytes;
    }
}

/// The common text of a batch.
#[derive(Debug, Default, Clone)]
pub struct Common {
    text: Vec<u8>,
    /// The amount of this text, which is set when the batch is sealed.
    total: Total,
}

/// The edits of one client, or of all clients.
#[derive(Debug, Default)]
pub struct Edits {
    list: Vec<Edit>,
    /// The text that the edits with [`Shown::Private`] show, one after another.
    private: Vec<u8>,
    /// The total number of bytes that the edits with [`Shown::Shared`] show.
    shared: usize,
}

/// The common text of one round, and the edits of all clients.
#[derive(Debug, Default)]
pub struct Batch {
    common: Common,
    edits: Edits,
    changes: Vec<Change>,
}

/// Filling a batch.
impl Batch {
    /// Appends whole lines that everyone except `client` sees.
    pub fn say(&mut self, client: ClientId, lines: &[u8]) {
        let start = self.common.text.len();
        self.common.text.extend_from_slice(lines);
        self.edit(client, start..self.common.text.len(), Shown::Nothing);
    }

    /// Appends a line that everyone sees. `line` has no line end. Returns the range of the line in the common
    /// text.
    pub fn announce(&mut self, line: &str) -> Range<usize> {
        let start = self.common.text.len();
        self.common.text.extend_from_slice(line.as_bytes());
        self.common.text.push(b'\n');
        start..self.common.text.len()
    }

    /// Appends text that only one client sees. Returns the number of bytes of this text.
    ///
    /// The text is formatted directly into the batch. If each session made a `String` for its welcome, the
    /// allocator would keep four kibibytes of freed memory for each thread.
    pub fn show(&mut self, client: ClientId, text: impl Display) -> usize {
        let start = self.edits.private.len();
        // Writing to a `Vec` cannot fail.
        let _ = write!(self.edits.private, "{text}");
        let shown = start..self.edits.private.len();
        self.edit(client, self.end(), Shown::Private(shown.clone()));
        shown.len()
    }

    /// Appends bytes that only one client receives. These bytes need not be valid UTF-8.
    pub fn show_bytes(&mut self, client: ClientId, bytes: &[u8]) {
        let start = self.edits.private.len();
        self.edits.private.extend_from_slice(bytes);
        self.edit(client, self.end(), Shown::Private(start..self.edits.private.len()));
    }

    /// Appends text that only one client sees, without copying it. Several clients can share the same text.
    pub fn show_shared(&mut self, client: ClientId, text: &Arc<[u8]>) {
        self.edits.shared += text.len();
        self.edit(client, self.end(), Shown::Shared(Arc::clone(text)));
    }

    /// Makes a client receive the text that is appended from now on.
    pub fn add(&mut self, client: &Arc<Client>) {
        self.edit(client.id, 0..self.common.text.len(), Shown::Nothing);
        self.changes.push(Change::Joined(Arc::clone(client)));
    }

    /// Makes a client stop receiving: text that is appended from now on is not sent to it.
    pub fn remove(&mut self, client: ClientId, reason: LeaveReason) {
        self.edit(client, self.common.text.len()..usize::MAX, Shown::Nothing);
        self.changes.push(Change::Left(client, reason));
    }

    fn end(&self) -> Range<usize> {
        self.common.text.len()..self.common.text.len()
    }

    fn edit(&mut self, client: ClientId, hidden: Range<usize>, shown: Shown) {
        if let Some(last) = self.edits.list.last_mut()
            && last.client == client
            && matches!((&last.shown, &shown), (Shown::Nothing, Shown::Nothing))
            && last.hidden.end == hidden.start
        {
            // Consecutive lines of one client become one edit.
            last.hidden.end = hidden.end;
            return;
        }
        let place = u32::try_from(self.edits.list.len()).unwrap_or(u32::MAX);
        self.edits.list.push(Edit { client, place, hidden, shown });
    }

    /// Returns whether the batch has neither text nor edits.
    pub fn is_empty(&self) -> bool {
        self.common.text.is_empty() && self.edits.is_empty()
    }

    /// Returns the size of the text and the edits that have gathered, in bytes.
    pub fn bytes(&self) -> usize {
        self.common.text.len() + self.edits.bytes()
    }
}

/// Reading a batch after it has been filled.
impl Batch {
    /// Prepares the filled batch for sending. Returns the list of the clients that start or stop receiving, in
    /// the order of these changes.
    pub fn seal(&mut self) -> Vec<Change> {
        self.common.total = Total::of(&self.common.text);
        self.edits.list.sort_unstable_by_key(|edit| (edit.client, edit.place));
        std::mem::take(&mut self.changes)
    }

    /// Returns the common text.
    pub fn common(&self) -> &[u8] {
        &self.common.text
    }

    /// Copies the common text. The copy uses no more memory than the text needs.
    ///
    /// The log keeps this copy, so that the batch itself can be reused. If the log kept the batch, a new batch
    /// would have to grow in each round. The memory of this new batch would come from the arena of the thread
    /// that appends first: the allocator of glibc has several arenas, and each thread uses one of them. In the
    /// end each arena would be as large as the largest batch that ever grew in it.
    pub fn copy_common(&self) -> Common {
        self.common.clone()
    }

    /// Returns the clients that have edits, in ascending order.
    pub fn edited(&self) -> impl Iterator<Item = ClientId> {
        let same = |one: &Edit, next: &Edit| one.client == next.client;
        self.edits.list.chunk_by(same).map(|edits| edits[0].client)
    }

    /// Copies the edits of one client.
    pub fn copy_edits(&self, client: ClientId) -> Edits {
        let list = &self.edits.list;
        let before = list.partition_point(|edit| edit.client < client);
        let mut copy = Edits::default();
        for edit in list[before..].iter().take_while(|edit| edit.client == client) {
            let shown = match &edit.shown {
                Shown::Private(range) => {
                    let start = copy.private.len();
                    copy.private.extend_from_slice(&self.edits.private[range.clone()]);
                    Shown::Private(start..copy.private.len())
                }
                Shown::Shared(text) => {
                    copy.shared += text.len();
                    Shown::Shared(Arc::clone(text))
                }
                Shown::Nothing => Shown::Nothing,
            };
            copy.list.push(Edit { shown, ..edit.clone() });
        }
        copy
    }

    /// Returns a cursor at the first edit.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { batch: self, rest: &self.edits.list }
    }

    /// Empties the batch, so that it can be filled again.
    pub fn clear(&mut self) {
        for buffer in [&mut self.common.text, &mut self.edits.private] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
        }
        self.edits.list.clear();
        self.edits.list.shrink_to(KEPT_BYTES / size_of::<Edit>());
        self.edits.shared = 0;
        self.changes.clear();
    }
}

impl Common {
    /// Returns the text itself.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns the view of a client that has these edits.
    pub fn view<'a>(&'a self, edits: &'a Edits) -> View<'a> {
        let Edits { list, private, .. } = edits;
        View { common: self, edits: list, private, shown: &[], at: 0 }
    }
}

impl Edits {
    /// Returns whether there are no edits.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the size of the edits and of the text that they show, in bytes. Shared text counts once for each
    /// client that sees it.
    pub fn bytes(&self) -> usize {
        self.private.len() + self.shared + size_of_val(&*self.list)
    }
}

/// A cursor that walks through the edits of a sealed batch, in ascending order of their clients.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    batch: &'a Batch,
    rest: &'a [Edit],
}

impl<'a> Cursor<'a> {
    /// Advances to a client's edits, and returns the client's view. Each call must name a client with a higher
    /// number than the previous call.
    pub fn view(&mut self, client: ClientId) -> View<'a> {
        let Batch { common, edits: Edits { private, .. }, .. } = self.batch;
        View { common, edits: self.edits_of(client), private, shown: &[], at: 0 }
    }

    fn edits_of(&mut self, client: ClientId) -> &'a [Edit] {
        let before = self.rest.iter().take_while(|edit| edit.client < client).count();
        let rest = &self.rest[before..];
        let own = rest.iter().take_while(|edit| edit.client == client).count();
        let edits;
        (edits, self.rest) = rest.split_at(own);
        edits
    }
}

/// The view of one client: an iterator over the slices to send, in order. No slice is empty.
#[derive(Debug, Clone)]
pub struct View<'a> {
    common: &'a Common,
    edits: &'a [Edit],
    /// See [`Edits::private`].
    private: &'a [u8],
    /// The text of an edit. It is returned next, and then the common text that begins at `at`.
    shown: &'a [u8],
    at: usize,
}

impl<'a> View<'a> {
    /// Returns the common text if the client has no edits. Most clients have none.
    pub fn as_common(&self) -> Option<&'a [u8]> {
        self.edits.is_empty().then_some(&self.common.text)
    }

    /// Returns the amount of text in the view. This function counts only the text that the edits hide or show,
    /// because the amount of common text is already known.
    pub fn total(&self) -> Total {
        let mut total = self.common.total;
        for edit in self.edits {
            let end = edit.hidden.end.min(self.common.text.len());
            total -= Total::of(&self.common.text[edit.hidden.start..end]);
            total += Total::of(self.text_of(edit));
        }
        total
    }

    fn text_of(&self, edit: &'a Edit) -> &'a [u8] {
        match &edit.shown {
            Shown::Nothing => &[],
            Shown::Private(range) => &self.private[range.clone()],
            Shown::Shared(text) => text,
        }
    }

    /// Returns whether the view shows text that is not common text.
    pub fn has_private(&self) -> bool {
        self.edits.iter().any(|edit| !matches!(edit.shown, Shown::Nothing))
    }
}

impl<'a> Iterator for View<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let shown = std::mem::take(&mut self.shown);
            if !shown.is_empty() {
                return Some(shown);
            }
            let common = &self.common.text[self.at..];
            let Some((edit, rest)) = self.edits.split_first() else {
                self.at = self.common.text.len();
                return (!common.is_empty()).then_some(common);
            };
            self.edits = rest;
            self.shown = self.text_of(edit);
            let before = edit.hidden.start.saturating_sub(self.at);
            self.at = edit.hidden.end.min(self.common.text.len()).max(self.at);
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
        let seen = batch.cursor().view(client).collect::<Vec<_>>().concat();
        assert_eq!(batch.cursor().view(client).total(), Total::of(&seen));
        String::from_utf8(seen).unwrap()
    }

    fn talk() -> Batch {
        let mut batch = Batch::default();
        for (client, lines) in [(BOB, &b"b1\n"[..]), (ALICE, b"a1\na2\n"), (ALICE, b"a3\n")] {
            batch.say(client, lines);
        }
        batch.show(ALICE, "psst\n");
        batch.show(ALICE, "psst!\n");
        batch.say(BOB, b"b2\n");
        batch.show_shared(BOB, &Arc::from(&b"2 online\n"[..]));
        batch.seal();
        batch
    }

    #[test]
    fn a_view_is_the_common_text_less_what_one_said_and_with_what_one_is_shown() {
        let batch = talk();
        assert_eq!(seen(&batch, ALICE), "b1\npsst\npsst!\nb2\n");
        assert_eq!(seen(&batch, BOB), "a1\na2\na3\n2 online\n");
        assert_eq!(seen(&batch, CAROL), "b1\na1\na2\na3\nb2\n");
        assert_eq!(batch.cursor().view(CAROL).as_common(), Some(batch.common()));
        assert!(batch.cursor().view(ALICE).as_common().is_none());
        assert_eq!(
            [ALICE, BOB, CAROL].map(|id| batch.cursor().view(id).has_private()),
            [true, true, false]
        );
    }

    #[test]
    fn a_cursor_finds_what_a_search_finds() {
        let batch = talk();
        let mut cursor = batch.cursor();
        for client in (0..5).map(ClientId::new) {
            let walked: Vec<&[u8]> = cursor.view(client).collect();
            assert_eq!(walked, batch.cursor().view(client).collect::<Vec<_>>());
        }
    }

    #[test]
    fn several_lines_of_one_person_in_a_row_are_one_edit() {
        let mut batch = Batch::default();
        for _ in 0..100 {
            batch.say(ALICE, b"a\n");
        }
        batch.seal();
        assert_eq!(batch.edits.list.len(), 1);
        assert_eq!(seen(&batch, ALICE), "");
        assert_eq!(seen(&batch, BOB).len(), 200);
    }

    #[test]
    fn a_view_can_begin_and_end_in_the_middle() {
        let mut batch = Batch::default();
        batch.announce("one");
        batch.edit(CAROL, 0..4, Shown::Nothing);
        batch.show(CAROL, "welcome\n");
        batch.announce("two");
        batch.remove(CAROL, LeaveReason::Quit);
        batch.announce("three");
        assert!(matches!(batch.seal()[..], [Change::Left(CAROL, LeaveReason::Quit)]));
        assert_eq!(seen(&batch, CAROL), "welcome\ntwo\n");
        assert_eq!(seen(&batch, ALICE), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_copy_shows_a_client_the_same_and_takes_no_more_memory_than_that() {
        let mut batch = talk();
        assert!(batch.edited().eq([ALICE, BOB]));
        let common = batch.copy_common();
        for client in [ALICE, BOB, CAROL] {
            let edits = batch.copy_edits(client);
            assert_eq!(
                common.view(&edits).collect::<Vec<_>>().concat(),
                seen(&batch, client).as_bytes()
            );
            assert_eq!(edits.is_empty(), client == CAROL);
            assert!(edits.bytes() < batch.edits.bytes());
        }
        batch.clear();
        batch.say(ALICE, &vec![b'x'; 1 << 20]);
        batch.clear();
        batch.say(ALICE, b"a line\n");
        batch.seal();
        assert!(batch.common.text.capacity() >= 1 << 20);
        assert!(batch.copy_common().text.capacity() < 1000);
    }

    #[test]
    fn shared_text_counts_for_each_who_is_shown_it() {
        let (mut batch, answer) = (Batch::default(), Arc::from(&[b'x'; 1000][..]));
        for client in [ALICE, BOB] {
            batch.show_shared(client, &answer);
        }
        assert!(batch.bytes() >= 2000);
        batch.clear();
        assert_eq!(batch.bytes(), 0);
    }
}
