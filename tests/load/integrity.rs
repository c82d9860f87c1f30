//! The integrity check: judges whether the received lines are right. This module is pure: it uses no socket, no
//! thread and no clock.
//!
//! Every text of a run starts with a header from which the rest of the text can be computed. So a line alone
//! shows whether it is complete and unchanged. [`Inspector`] judges the lines of one receiver.
//! [`common_order`] finds out whether several receivers saw their lines in one common order.
//!
//! Notices and actions are not checked here.

use std::collections::BTreeSet;

use chat::protocol::MAX_MESSAGE_BYTES;
use chat::protocol::nickname::Nickname;
use chat::protocol::replies::{NOTICE_PREFIX, SHUTTING_DOWN};

use crate::nickname;
use crate::random::Random;

/// Every message contains this mark once. In the texts of this module, the mark is the last byte. No notice
/// contains the mark. So the number of marks is the number of messages.
pub(crate) const MARK: u8 = b'~';

/// The minimum length of a text, in bytes: a header of 25 bytes, six letters and the mark.
pub(crate) const MIN_TEXT_BYTES: usize = 32;

/// The start of the attackers' nicknames.
pub(crate) const ATTACKER_PREFIX: &str = "x-";

/// The maximum number of texts from one sender: the header has six hexadecimal digits for the number of a
/// text.
pub(crate) const MAX_TEXTS: u32 = 1 << 24;

/// The letters from which texts are cut. They are random, so different pieces are unlikely to be equal.
const LETTERS: [u8; 2 * MAX_MESSAGE_BYTES] = {
    let mut letters = [0; 2 * MAX_MESSAGE_BYTES];
    let (mut random, mut letter) = (Random::new(1), 0);
    while letter < letters.len() {
        letters[letter] = b"abcdefghijklmnopqrstuvwxyz"[random.below(26)];
        letter += 1;
    }
    letters
};

/// The parameters of the texts of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts {
    /// The run's number. It distinguishes the texts of this run from the texts of an earlier run, which may
    /// still be in the server's history.
    pub(crate) run: u32,
    /// The number of clients that send. The senders are the clients whose numbers are below this.
    pub(crate) senders: u32,
    /// The maximum length of a text, in bytes. The minimum is [`MIN_TEXT_BYTES`].
    pub(crate) max_bytes: usize,
}

impl Texts {
    /// Appends a text without a line end: its header, letters that are computed from the header, and the mark.
    pub(crate) fn append(&self, text: Text, to: &mut Vec<u8>) {
        let Text { sender, number, stamp } = text;
        to.extend(format!("{:06x}{sender:04x}{number:06x}{stamp:08x} ", self.run).bytes());
        let number = u64::from(sender) << 24 | u64::from(number);
        let mut random = Random::new(number << 24 ^ u64::from(stamp));
        let letters = 6 + random.below(self.max_bytes - MIN_TEXT_BYTES + 1);
        let start = random.below(MAX_MESSAGE_BYTES);
        to.extend_from_slice(&LETTERS[start..start + letters]);
        to.push(MARK);
    }

    /// Parses a text's header. Returns `None` if this is not a text of this run.
    fn parse(&self, text: &[u8]) -> Option<Text> {
        let header = str::from_utf8(text.get(..24)?).ok()?;
        let field = |range| u32::from_str_radix(header.get(range)?, 16).ok();
        let (run, sender, number) = (field(0..6)?, field(6..10)?, field(10..16)?);
        let known = run == self.run && sender < self.senders;
        known.then_some(Text { sender, number, stamp: field(16..24)? })
    }
}

/// Identifies a text of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) sender: u32,
    /// The number of the text among the texts of its sender, counted from 0.
    pub(crate) number: u32,
    /// The time when the text was sent, in microseconds. The clock starts again at 0 after 2^32 microseconds.
    pub(crate) stamp: u32,
}

/// Identifies a received line: its sender and its number.
pub(crate) type Line = (u32, u32);

/// A fault of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The line never arrived.
    Lost,
    /// The line arrived again.
    Doubled,
    /// The line arrived after a later line of the same sender.
    Reordered,
    /// The line is not a text of this run: it was torn, glued to another text, or changed.
    Corrupt,
    /// The text is right, but the line has the nickname of somebody else.
    Misattributed,
    /// The line was sent back to its own sender.
    Own,
}

/// The number of times that each [`Fault`] was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults([u64; 6]);

impl Faults {
    /// Counts a fault `count` times.
    pub(crate) fn add(&mut self, fault: Fault, count: u64) {
        self.0[fault as usize] += count;
    }

    /// Adds the faults that another inspector found.
    pub(crate) fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns the counts with the names of the faults.
    pub(crate) fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        ["lost", "doubled", "reordered", "corrupt", "misattributed", "own"].into_iter().zip(self.0)
    }
}

/// Judges the lines that one receiver has received.
#[derive(Debug)]
pub(crate) struct Inspector {
    texts: Texts,
    /// The receiver. `None` means a visitor, which stays only for a part of the run.
    client: Option<u32>,
    /// For each sender, one more than the highest number that has arrived.
    next: Vec<u32>,
    /// The lines that were skipped. A skipped line that arrives later is reordered. A skipped line that never
    /// arrives is lost.
    missing: BTreeSet<Line>,
    order: Vec<Line>,
    faults: Faults,
    expected_text: Vec<u8>,
    /// Whether clients that are not part of the run may talk too.
    strangers: bool,
    /// Whether the server's farewell has arrived. No line may arrive after the farewell.
    pub(crate) farewell: bool,
}

/// The findings of an [`Inspector`].
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) faults: Faults,
    /// The lines in the order in which they arrived.
    pub(crate) order: Vec<Line>,
}

impl Inspector {
    /// Makes the inspector of a client, or of a visitor.
    pub(crate) fn new(texts: Texts, client: Option<u32>) -> Self {
        Self {
            texts,
            client,
            next: vec![0; texts.senders as usize],
            missing: BTreeSet::new(),
            order: Vec::new(),
            faults: Faults::default(),
            expected_text: Vec::new(),
            strangers: false,
            farewell: false,
        }
    }

    /// Accepts messages from clients that are not part of the run.
    pub(crate) fn among_strangers(self) -> Self {
        Self { strangers: true, ..self }
    }

    /// Judges a line, without its line end. If the line is an expected message, returns its stamp.
    pub(crate) fn take(&mut self, line: &[u8]) -> Option<u32> {
        if line.is_empty() {
            return None;
        }
        self.faults.add(Fault::Corrupt, self.farewell.into());
        self.farewell |= line == SHUTTING_DOWN.as_bytes();
        if line.starts_with(NOTICE_PREFIX.as_bytes()) || line.starts_with(b"* ") {
            return None;
        }
        let colon = line.windows(2).position(|pair| pair == b": ");
        let (from, text) = line.split_at(colon.map_or(0, |colon| colon + 2));
        let from = from.strip_suffix(b": ").unwrap_or_default();
        if self.strangers && is_stranger(from) {
            return None;
        }
        let header = self.texts.parse(text);
        let Some(Text { sender, number, stamp }) =
            header.filter(|&header| self.is_whole(header, text))
        else {
            // A visitor first receives the history, which may contain lines of an earlier run.
            let may_be_older = self.client.is_none() && self.order.is_empty() && header.is_none();
            self.faults.add(Fault::Corrupt, u64::from(!may_be_older));
            return None;
        };
        let misattributed = from != nickname(sender).as_bytes();
        self.faults.add(Fault::Misattributed, misattributed.into());
        if self.client == Some(sender) {
            self.faults.add(Fault::Own, 1);
            return None;
        }
        let next = &mut self.next[sender as usize];
        if number >= *next {
            let skipped = if self.client.is_some() { *next..number } else { 0..0 };
            self.missing.extend(skipped.map(|number| (sender, number)));
            *next = number + 1;
        } else if self.missing.remove(&(sender, number)) {
            self.faults.add(Fault::Reordered, 1);
        } else {
            self.faults.add(Fault::Doubled, 1);
            return None;
        }
        self.order.push((sender, number));
        Some(stamp)
    }

    fn is_whole(&mut self, header: Text, text: &[u8]) -> bool {
        self.expected_text.clear();
        self.texts.append(header, &mut self.expected_text);
        self.expected_text == text
    }

    /// Ends the inspection. `messages` is the expected number of lines from each sender. `None` means that
    /// this number is unknown, so only gaps between lines count as lost.
    pub(crate) fn finish(mut self, messages: Option<u32>) -> Findings {
        if let Some(client) = self.client {
            let others = (0..).zip(&self.next).filter(|&(sender, _)| sender != client);
            let unseen = |(_, &next)| u64::from(messages.unwrap_or(next).saturating_sub(next));
            let unseen: u64 = others.map(unseen).sum();
            self.faults.add(Fault::Lost, unseen + self.missing.len() as u64);
        }
        Findings { faults: self.faults, order: self.order }
    }
}

/// Returns whether this nickname belongs to a client that is not part of the run.
fn is_stranger(from: &[u8]) -> bool {
    // Most attackers have nicknames with this prefix. But an attacker that sends random bytes may get any other
    // nickname by chance.
    if from.starts_with(ATTACKER_PREFIX.as_bytes()) {
        return true;
    }
    let is_ours = from.split_first().is_some_and(|(&first, rest)| {
        first == b'u' && !rest.is_empty() && rest.iter().all(u8::is_ascii_digit)
    });
    !is_ours && str::from_utf8(from).is_ok_and(|from| Nickname::parse(from).is_ok())
}

/// Finds the common order of all lines. Each receiver saw this order without its own lines. Returns `None` if
/// there is no common order.
///
/// `receivers` contains the number of each receiver, and the order that [`Inspector::finish`] returned for
/// this receiver. A line is next in the common order if it is next for all receivers except its sender. At
/// least one of the first two receivers is not the sender. So if neither of the two has such a line, the
/// receivers contradict each other.
pub(crate) fn common_order(receivers: &[(u32, Vec<Line>)]) -> Option<Vec<Line>> {
    let sent_by = |client: u32, line: Line| client == line.0;
    let mut order = Vec::new();
    let mut rest: Vec<_> = receivers.iter().map(|(client, lines)| (*client, &lines[..])).collect();
    let is_next = |rest: &[(u32, &[Line])], line: Line| {
        rest.iter().all(|&(client, lines)| sent_by(client, line) || lines.first() == Some(&line))
    };
    while let Some(line) = rest
        .iter()
        .take(2)
        .filter_map(|(_, lines)| lines.first().copied())
        .find(|&line| is_next(&rest, line))
    {
        order.push(line);
        for (_, lines) in rest.iter_mut().filter(|(client, _)| !sent_by(*client, line)) {
            *lines = &lines[1..];
        }
    }
    rest.iter().all(|(_, lines)| lines.is_empty()).then_some(order)
}

/// Returns whether the lines that a visitor saw are a piece of the common order, without a gap.
pub(crate) fn is_piece(order: &[Line], seen: &[Line]) -> bool {
    let start = order.iter().position(|line| Some(line) == seen.first());
    seen.is_empty() || start.is_some_and(|start| order[start..].starts_with(seen))
}

#[cfg(test)]
mod tests {
    use super::Fault::{Corrupt, Doubled, Lost, Misattributed, Own, Reordered};
    use super::*;

    const TEXTS: Texts = Texts { run: 7, senders: 3, max_bytes: 64 };
    const MESSAGES: u32 = 4;
    /// A client that does not send.
    const LISTENER: u32 = 9;

    fn some(found: &[(Fault, u64)]) -> Faults {
        let mut faults = Faults::default();
        for &(fault, count) in found {
            faults.add(fault, count);
        }
        faults
    }

    fn text(sender: u32, number: u32) -> Vec<u8> {
        let mut text = Vec::new();
        TEXTS.append(Text { sender, number, stamp: 1000 + number }, &mut text);
        text
    }

    fn line(sender: u32, number: u32) -> Vec<u8> {
        [nickname(sender).as_bytes(), b": ", &text(sender, number)].concat()
    }

    /// All lines of a run as `client` should receive them. The senders take turns.
    fn whole_run(client: u32) -> Vec<Vec<u8>> {
        let numbers = (0..MESSAGES).flat_map(|number| (0..3).map(move |from| (from, number)));
        numbers
            .filter(|&(from, _)| from != client)
            .map(|(from, number)| line(from, number))
            .collect()
    }

    fn inspect(client: Option<u32>, lines: &[Vec<u8>]) -> (Faults, Vec<u32>) {
        let mut inspector = Inspector::new(TEXTS, client);
        for line in lines {
            inspector.take(line);
        }
        let Findings { faults, order } = inspector.finish(Some(MESSAGES));
        (faults, order.into_iter().map(|(sender, number)| sender * MESSAGES + number).collect())
    }

    /// Converts the order that `inspect` returns from numbers to lines.
    fn lines(order: &[u32]) -> Vec<Line> {
        order.iter().map(|line| (line / MESSAGES, line % MESSAGES)).collect()
    }

    fn faults(lines: &[Vec<u8>]) -> Faults {
        inspect(Some(LISTENER), lines).0
    }

    #[test]
    fn a_whole_run_has_no_faults_whatever_the_server_says_between() {
        let mut lines = whole_run(LISTENER);
        lines.insert(3, b"[SERVER] bob joined the chat!".to_vec());
        lines.insert(7, b"* bob waves".to_vec());
        let (faults, order) = inspect(Some(LISTENER), &lines);
        assert_eq!(faults, Faults::default());
        assert_eq!(order, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(inspect(Some(1), &whole_run(1)).0, Faults::default());
    }

    #[test]
    fn a_lost_line_is_lost_wherever_it_was() {
        for missing in 0..12 {
            let mut lines = whole_run(LISTENER);
            lines.remove(missing);
            assert_eq!(faults(&lines), some(&[(Lost, 1)]), "{missing}");
        }
        assert_eq!(faults(&[]), some(&[(Lost, 12)]));
        assert_eq!(inspect(Some(1), &[]).0, some(&[(Lost, 8)]));
    }

    #[test]
    fn a_doubled_line_is_doubled_wherever_it_comes_again() {
        for again in 1..=12 {
            let mut lines = whole_run(LISTENER);
            lines.insert(again, lines[0].clone());
            assert_eq!(faults(&lines), some(&[(Doubled, 1)]), "{again}");
        }
    }

    #[test]
    fn a_line_after_a_later_one_of_its_sender_is_reordered_and_neither_lost_nor_doubled() {
        let mut lines = whole_run(LISTENER);
        lines.swap(0, 3);
        assert_eq!(faults(&lines), some(&[(Reordered, 1)]));
    }

    #[test]
    fn a_line_torn_anywhere_is_a_fault() {
        for cut in 1..line(0, 0).len() {
            let mut lines = whole_run(LISTENER);
            let rest = lines[0].split_off(cut);
            lines.insert(1, rest);
            assert_ne!(faults(&lines), Faults::default(), "cut at {cut}");
            lines.remove(1);
            assert_ne!(faults(&lines), Faults::default(), "cut off at {cut}");
        }
        let mut lines = whole_run(LISTENER);
        lines[0].truncate(20);
        assert_eq!(faults(&lines), some(&[(Lost, 1), (Corrupt, 1)]));
    }

    #[test]
    fn lines_glued_together_or_changed_in_a_byte_are_faults() {
        let mut glued = whole_run(LISTENER);
        let second = glued.remove(1);
        glued[0].extend(second);
        assert_eq!(faults(&glued), some(&[(Lost, 2), (Corrupt, 1)]));
        for byte in 0..line(0, 0).len() {
            let mut lines = whole_run(LISTENER);
            lines[0][byte] ^= 1;
            assert_ne!(faults(&lines), Faults::default(), "changed at {byte}");
        }
    }

    #[test]
    fn a_line_under_the_wrong_nickname_is_misattributed_but_not_lost() {
        let mut lines = whole_run(LISTENER);
        lines[0] = [b"u00001: ", text(0, 0).as_slice()].concat();
        assert_eq!(faults(&lines), some(&[(Misattributed, 1)]));
    }

    #[test]
    fn a_senders_own_line_is_a_fault() {
        let mut lines = whole_run(1);
        lines.push(line(1, 0));
        assert_eq!(inspect(Some(1), &lines).0, some(&[(Own, 1)]));
    }

    #[test]
    fn receivers_that_saw_one_order_without_their_own_lines_agree_on_it() {
        let receivers = [0, 1, 2, LISTENER].map(|client| {
            let (faults, order) = inspect(Some(client), &whole_run(client));
            assert_eq!(faults, Faults::default());
            (client, lines(&order))
        });
        let common = Some(lines(&[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]));
        assert_eq!(common_order(&receivers), common);
        assert_eq!(common_order(&receivers[..3]), common);
    }

    #[test]
    fn two_receivers_with_different_orders_have_no_common_one() {
        let (_, one) = inspect(Some(LISTENER), &whole_run(LISTENER));
        let mut swapped = whole_run(LISTENER);
        swapped.swap(6, 7);
        let (faults, other) = inspect(Some(LISTENER), &swapped);
        assert_eq!(faults, Faults::default(), "each sender's own order is kept");
        assert_eq!(common_order(&[(8, lines(&one)), (9, lines(&other))]), None);
    }

    #[test]
    fn three_receivers_can_contradict_each_other_though_no_two_do() {
        let [a, b, c] = [(0, 0), (1, 0), (2, 0)];
        let agree = [(0, vec![b, c]), (1, vec![a, c]), (2, vec![a, b])];
        assert_eq!(common_order(&agree), Some(vec![a, b, c]));
        let circle = [(0, vec![b, c]), (1, vec![c, a]), (2, vec![a, b])];
        assert_eq!(common_order(&circle), None);
    }

    #[test]
    fn a_visitor_saw_a_piece_of_the_common_order_or_a_gap() {
        let old = b"u00001: 000006000100000000000000 abcdef~".to_vec();
        let came = [&[old], &whole_run(LISTENER)[4..8]].concat();
        let (faults, seen) = inspect(None, &came);
        assert_eq!((faults, seen.as_slice()), (Faults::default(), &[5, 9, 2, 6][..]));
        let common = lines(&[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert!(is_piece(&common, &lines(&seen)) && is_piece(&common, &[]));
        assert!(!is_piece(&common, &lines(&[5, 2, 6])));
        assert!(!is_piece(&common, &lines(&[5, 9, 6, 2])));
    }

    #[test]
    fn strangers_may_talk_where_they_are_expected_and_nobody_after_the_farewell() {
        let stranger = b"x-flood-7: flood flood".to_vec();
        assert_eq!(inspect(Some(LISTENER), std::slice::from_ref(&stranger)).0.0[3], 1);
        let mut inspector = Inspector::new(TEXTS, Some(LISTENER)).among_strangers();
        inspector.take(&stranger);
        for line in whole_run(LISTENER) {
            assert!(inspector.take(&line).is_some());
        }
        // A part of a line of the run does not count as a stranger's line.
        inspector.take(&line(0, 0)[..3]);
        inspector.take(b"u00001: abc");
        inspector.take(SHUTTING_DOWN.as_bytes());
        assert!(inspector.farewell);
        inspector.take(b"* u00001 goes on");
        assert_eq!(inspector.finish(None).faults, some(&[(Corrupt, 3)]));
    }
}
