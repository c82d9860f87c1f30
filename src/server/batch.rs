//! A batch: text for many clients, and how the view of each client differs from it.
//!
//! Common text is what everybody gets. It is written once. Where a client sees something else, or nothing, its
//! view has an *edit*. So every line is formatted once, even when a thousand people talk. A client without
//! edits is sent one slice.
//!
//! ```text
//! common   alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n
//! alice    ---------- bob: ho\n [SERVER] carol joined the chat!\n   her own line cut out
//! carol    ------------------------------------------------- + welcome  her join replaced
//! dave     alice: hi\n bob: ho\n [SERVER] carol joined the chat!\n   all of it
//! ```
//!
//! A batch is filled in the outbox. The writer seals it, and from then on it is only read. Its memory is used
//! again for a later batch.
//!
//! Grew from the entries and views of step 11 of the [course](crate::lessons).

use std::fmt::Display;
use std::io::Write;
use std::ops::{AddAssign, Range, SubAssign};
use std::sync::Arc;

use super::client::{Client, ClientId};
use crate::protocol::replies::LeaveReason;

/// How much of one buffer is kept from batch to batch, in bytes. A rare burst of notices may need more. What is
/// over this goes back to the allocator.
const KEPT_BYTES: usize = 4 << 20;

/// One difference between a client's view and the common text.
#[derive(Debug, Clone)]
struct Edit {
    client: ClientId,
    /// Its place among all edits of the batch.
    place: u32,
    /// The part of the common text that the client does not see.
    hidden: Range<usize>,
    /// The text that it sees instead.
    shown: Shown,
}

/// Text that one client sees.
#[derive(Debug, Clone)]
enum Shown {
    Nothing,
    /// A part of the batch's private text.
    Private(Range<usize>),
    /// Text that several clients see, each at another place of the batch.
    Shared(Arc<[u8]>),
}

/// Who starts to receive and who stops, in order.
#[derive(Debug)]
pub enum Change {
    /// The client receives what follows.
    Joined(Arc<Client>),
    /// The client receives nothing that follows, and its connection is to be closed.
    Left(ClientId, LeaveReason),
}

/// How much text there is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Total {
    /// How much `text` is.
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

/// The text that everybody gets.
#[derive(Debug, Default, Clone)]
pub struct Common {
    text: Vec<u8>,
    /// How much it is. Set when the batch is sealed.
    total: Total,
}

/// The differences of one client's view, or of many, from the common text.
#[derive(Debug, Default)]
pub struct Edits {
    list: Vec<Edit>,
    private: Vec<u8>,
    /// How many bytes of shared text there are to deliver.
    shared: usize,
}

/// Text for many clients, and what each of them sees of it.
#[derive(Debug, Default)]
pub struct Batch {
    common: Common,
    edits: Edits,
    changes: Vec<Change>,
}

/// Filling.
impl Batch {
    /// Appends whole lines that everyone except `client` sees.
    pub fn say(&mut self, client: ClientId, lines: &[u8]) {
        let start = self.common.text.len();
        self.common.text.extend_from_slice(lines);
        self.edit(client, start..self.common.text.len(), Shown::Nothing);
    }

    /// Appends a line that everyone sees. `line` has no line end. Returns where the line stands in the common
    /// text.
    pub fn announce(&mut self, line: &str) -> Range<usize> {
        let start = self.common.text.len();
        self.common.text.extend_from_slice(line.as_bytes());
        self.common.text.push(b'\n');
        start..self.common.text.len()
    }

    /// Shows text to one client, here. Returns how many bytes that is.
    ///
    /// The text is formatted directly into the batch. If each session made a `String` for its welcome, the
    /// allocator would keep four kibibytes of freed memory for each thread.
    pub fn show(&mut self, client: ClientId, text: impl Display) -> usize {
        let start = self.edits.private.len();
        // Writing into memory cannot fail.
        let _ = write!(self.edits.private, "{text}");
        let shown = start..self.edits.private.len();
        self.edit(client, self.end(), Shown::Private(shown.clone()));
        shown.len()
    }

    /// Shows bytes that are not text to one client, here.
    pub fn show_bytes(&mut self, client: ClientId, bytes: &[u8]) {
        let start = self.edits.private.len();
        self.edits.private.extend_from_slice(bytes);
        self.edit(client, self.end(), Shown::Private(start..self.edits.private.len()));
    }

    /// Shows text to one client, here, without a copy: others are shown the same text at other places.
    pub fn show_shared(&mut self, client: ClientId, text: &Arc<[u8]>) {
        self.edits.shared += text.len();
        self.edit(client, self.end(), Shown::Shared(Arc::clone(text)));
    }

    /// Makes a client receive what follows.
    pub fn add(&mut self, client: &Arc<Client>) {
        self.edit(client.id, 0..self.common.text.len(), Shown::Nothing);
        self.changes.push(Change::Joined(Arc::clone(client)));
    }

    /// Makes a client receive nothing of what follows.
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
            // One person says several lines in a row. They become one edit.
            last.hidden.end = hidden.end;
            return;
        }
        let place = u32::try_from(self.edits.list.len()).unwrap_or(u32::MAX);
        self.edits.list.push(Edit { client, place, hidden, shown });
    }

    /// Whether nothing has happened at all.
    pub fn is_empty(&self) -> bool {
        self.common.text.is_empty() && self.edits.is_empty()
    }

    /// How much has gathered, in bytes.
    pub fn bytes(&self) -> usize {
        self.common.text.len() + self.edits.bytes()
    }
}

/// Using it.
impl Batch {
    /// Ends the filling. Returns who starts to receive and who stops.
    pub fn seal(&mut self) -> Vec<Change> {
        self.common.total = Total::of(&self.common.text);
        self.edits.list.sort_unstable_by_key(|edit| (edit.client, edit.place));
        std::mem::take(&mut self.changes)
    }

    /// The text that is common to all.
    pub fn common(&self) -> &[u8] {
        &self.common.text
    }

    /// Copies the text that is common to all. The copy takes no more memory than the text.
    ///
    /// The log keeps a copy, so that the batch itself can be filled again. If the batch were kept, each round
    /// would grow a new one, in the memory of the thread that appends first. Each of glibc's arenas would come to
    /// hold the largest batch that was ever grown there.
    pub fn copy_common(&self) -> Common {
        self.common.clone()
    }

    /// The clients that have edits, in ascending order.
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

    /// Finds the edits of clients in ascending order.
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor { batch: self, rest: &self.edits.list }
    }

    /// Empties it for the next round.
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
    /// The text itself.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The view of a client with these edits.
    pub fn view<'a>(&'a self, edits: &'a Edits) -> View<'a> {
        let Edits { list, private, .. } = edits;
        View { common: self, edits: list, private, shown: &[], at: 0 }
    }
}

impl Edits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many bytes they hold, and how many are to be delivered because of them. Shared text counts for each
    /// client that sees it.
    pub fn bytes(&self) -> usize {
        self.private.len() + self.shared + size_of_val(&*self.list)
    }
}

/// A place among the edits of a sealed batch, for walking through clients in ascending order.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    batch: &'a Batch,
    rest: &'a [Edit],
}

impl<'a> Cursor<'a> {
    /// Moves on to a client, and returns what it sees. Clients must be asked for in ascending order.
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

/// The view of one client: the slices to send, in order, none of them empty.
#[derive(Debug, Clone)]
pub struct View<'a> {
    common: &'a Common,
    edits: &'a [Edit],
    /// The text that private edits refer to.
    private: &'a [u8],
    /// Text to be returned before the common text at `at`.
    shown: &'a [u8],
    at: usize,
}

impl<'a> View<'a> {
    /// The whole view, if it is exactly the common text. For most clients it is.
    pub fn as_common(&self) -> Option<&'a [u8]> {
        self.edits.is_empty().then_some(&self.common.text)
    }

    /// How much text it is. This looks only at what differs from the common text.
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

    /// Whether the view has private text.
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
