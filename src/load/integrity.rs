//! The integrity check: lines in, verdict out. Pure: no socket, no thread, no clock.
//!
//! Every text of a run can be computed from its sender and its number, so a receiver needs nothing
//! but the line to know whether it is whole. [`Inspector`] judges the lines of one receiver;
//! [`common_order`] says whether what several receivers saw fits one order for all.
//!
//! Notices and actions are passed over: whether those are right is not the question here.

use std::collections::BTreeSet;

use super::nickname;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::replies::NOTICE_PREFIX;

/// Every message holds this once, at its end here, and no notice does: to count messages it is
/// enough to count it.
pub const MARK: u8 = b'~';

/// The shortest text: a header of 23 bytes, eight letters and the mark.
pub const MIN_TEXT_BYTES: usize = 32;

/// What texts are cut from: letters without a pattern, so that no piece can pass for another.
const LETTERS: [u8; 2 * MAX_MESSAGE_BYTES] = {
    let mut letters = [0; 2 * MAX_MESSAGE_BYTES];
    let (mut state, mut letter) = (1, 0);
    while letter < letters.len() {
        letters[letter] = b"abcdefghijklmnopqrstuvwxyz"[random(&mut state) % 26];
        letter += 1;
    }
    letters
};

/// How the texts of one run are made.
#[derive(Debug, Clone, Copy)]
pub struct Texts {
    /// Tells this run from others, whose lines may still be in the server's history.
    pub run: u32,
    /// How many clients send: those with the numbers below this.
    pub senders: u32,
    /// How many texts each of them sends.
    pub messages: u32,
    /// The longest text, in bytes; the lengths go from [`MIN_TEXT_BYTES`] up to this.
    pub max_bytes: usize,
}

impl Texts {
    /// Appends the text of a sender with a number, without a line end.
    pub fn append(&self, sender: u32, number: u32, to: &mut Vec<u8>) {
        to.extend(format!("{:08x} {sender:04x} {number:08x} ", self.run).bytes());
        let mut state = u64::from(sender) << 32 | u64::from(number);
        let letters = 8 + random(&mut state) % (self.max_bytes - MIN_TEXT_BYTES + 1);
        let start = random(&mut state) % MAX_MESSAGE_BYTES;
        to.extend_from_slice(&LETTERS[start..start + letters]);
        to.push(MARK);
    }

    /// Reads sender and number from a text's header.
    fn parse(&self, text: &[u8]) -> Option<(u32, u32)> {
        let mut fields = str::from_utf8(text).ok()?.split(' ');
        let mut field = || u32::from_str_radix(fields.next()?, 16).ok();
        let (run, sender, number) = (field()?, field()?, field()?);
        let known = run == self.run && sender < self.senders && number < self.messages;
        known.then_some((sender, number))
    }
}

/// Steps a small generator of numbers of 31 bits that look random (Knuth's constants).
pub(super) const fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// What can be wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It never came.
    Lost,
    /// It came again.
    Doubled,
    /// It came after a later one of the same sender.
    Reordered,
    /// It is no text of this run: torn, glued to another, or changed.
    Corrupt,
    /// It is whole, but under the nickname of somebody who did not send it.
    Misattributed,
    /// It came back to whoever sent it.
    Own,
}

/// How often each [`Fault`] was found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults([u64; 6]);

impl Faults {
    /// Adds more of a fault.
    pub fn add(&mut self, fault: Fault, count: u64) {
        self.0[fault as usize] += count;
    }

    /// Adds all that was found elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns all with their names.
    pub fn named(self) -> impl Iterator<Item = (&'static str, u64)> {
        ["lost", "doubled", "reordered", "corrupt", "misattributed", "own"].into_iter().zip(self.0)
    }
}

/// Judges the lines that one receiver got.
#[derive(Debug)]
pub struct Inspector {
    texts: Texts,
    /// Whose lines they are; `None` is a visitor, who stays for a part of the run only.
    client: Option<u32>,
    /// By sender, the number after the highest that came.
    next: Vec<u32>,
    /// Skipped so far: reordered if they still come, lost if not.
    missing: BTreeSet<(u32, u32)>,
    order: Vec<u32>,
    faults: Faults,
    expected_text: Vec<u8>,
}

impl Inspector {
    /// Makes the inspector of a client, or of a visitor.
    pub fn new(texts: Texts, client: Option<u32>) -> Self {
        Self {
            texts,
            client,
            next: vec![0; texts.senders as usize],
            missing: BTreeSet::new(),
            order: Vec::new(),
            faults: Faults::default(),
            expected_text: Vec::new(),
        }
    }

    /// Takes a line, without its line end. Returns whether it was one that had to come.
    pub fn take(&mut self, line: &[u8]) -> bool {
        if line.is_empty() || line.starts_with(NOTICE_PREFIX.as_bytes()) || line.starts_with(b"* ")
        {
            return false;
        }
        let colon = line.windows(2).position(|pair| pair == b": ");
        let (from, text) = line.split_at(colon.map_or(0, |colon| colon + 2));
        let header = self.texts.parse(text);
        let Some((sender, number)) =
            header.filter(|&(from, number)| self.is_whole(from, number, text))
        else {
            // A visitor is shown history, and that may hold lines of an earlier run.
            let may_be_older = self.client.is_none() && self.order.is_empty() && header.is_none();
            self.faults.add(Fault::Corrupt, u64::from(!may_be_older));
            return false;
        };
        let misattributed = from.strip_suffix(b": ") != Some(nickname(sender).as_bytes());
        self.faults.add(Fault::Misattributed, misattributed.into());
        if self.client == Some(sender) {
            self.faults.add(Fault::Own, 1);
            return false;
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
            return false;
        }
        self.order.push(sender * self.texts.messages + number);
        true
    }

    fn is_whole(&mut self, sender: u32, number: u32, text: &[u8]) -> bool {
        self.expected_text.clear();
        self.texts.append(sender, number, &mut self.expected_text);
        self.expected_text == text
    }

    /// Ends the inspection: what was wrong, and the lines in the order in which they came, each as
    /// sender times messages plus number.
    pub fn finish(mut self) -> (Faults, Vec<u32>) {
        if let Some(client) = self.client {
            let others = (0..).zip(&self.next).filter(|&(sender, _)| sender != client);
            let unseen: u64 = others.map(|(_, next)| u64::from(self.texts.messages - next)).sum();
            self.faults.add(Fault::Lost, unseen + self.missing.len() as u64);
        }
        (self.faults, self.order)
    }
}

/// Finds the one order that all receivers saw, each without its own lines; `None` if there is none.
///
/// `receivers` are client numbers, and what [`Inspector::finish`] returned for each. A line is next
/// in the common order when it is next at everyone but its sender. So it is next at one of the
/// first two receivers; when neither has such a line, somebody contradicts somebody.
pub fn common_order(texts: Texts, receivers: &[(u32, Vec<u32>)]) -> Option<Vec<u32>> {
    let sent_by = |client: u32, line: u32| client == line / texts.messages;
    let mut order = Vec::new();
    let mut rest: Vec<_> = receivers.iter().map(|(client, lines)| (*client, &lines[..])).collect();
    let is_next = |rest: &[(u32, &[u32])], line: u32| {
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

/// Returns whether a visitor saw a piece of the common order, without a gap.
pub fn is_piece(order: &[u32], seen: &[u32]) -> bool {
    let start = order.iter().position(|line| Some(line) == seen.first());
    seen.is_empty() || start.is_some_and(|start| order[start..].starts_with(seen))
}

#[cfg(test)]
mod tests {
    use super::Fault::{Corrupt, Doubled, Lost, Misattributed, Own, Reordered};
    use super::*;

    const TEXTS: Texts = Texts { run: 7, senders: 3, messages: 4, max_bytes: 64 };
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
        TEXTS.append(sender, number, &mut text);
        text
    }

    fn line(sender: u32, number: u32) -> Vec<u8> {
        [nickname(sender).as_bytes(), b": ", &text(sender, number)].concat()
    }

    /// All lines of a run as `client` should see them, the senders taking turns.
    fn whole_run(client: u32) -> Vec<Vec<u8>> {
        let numbers = (0..TEXTS.messages).flat_map(|number| (0..3).map(move |from| (from, number)));
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
        inspector.finish()
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
            (client, order)
        });
        let common = Some(vec![0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
        assert_eq!(common_order(TEXTS, &receivers), common);
        assert_eq!(common_order(TEXTS, &receivers[..3]), common);
    }

    #[test]
    fn two_receivers_with_different_orders_have_no_common_one() {
        let (_, one) = inspect(Some(LISTENER), &whole_run(LISTENER));
        let mut lines = whole_run(LISTENER);
        lines.swap(6, 7);
        let (faults, other) = inspect(Some(LISTENER), &lines);
        assert_eq!(faults, Faults::default(), "each sender's own order is kept");
        assert_eq!(common_order(TEXTS, &[(8, one), (9, other)]), None);
    }

    #[test]
    fn three_receivers_can_contradict_each_other_though_no_two_do() {
        let texts = Texts { messages: 1, ..TEXTS };
        let agree = [(0, vec![1, 2]), (1, vec![0, 2]), (2, vec![0, 1])];
        assert_eq!(common_order(texts, &agree), Some(vec![0, 1, 2]));
        let circle = [(0, vec![1, 2]), (1, vec![2, 0]), (2, vec![0, 1])];
        assert_eq!(common_order(texts, &circle), None);
    }

    #[test]
    fn a_visitor_saw_a_piece_of_the_common_order_or_a_gap() {
        let old = b"u00001: 00000006 0001 00000000 abcdefgh~".to_vec();
        let lines = [&[old], &whole_run(LISTENER)[4..8]].concat();
        let (faults, seen) = inspect(None, &lines);
        assert_eq!((faults, seen.as_slice()), (Faults::default(), &[5, 9, 2, 6][..]));
        let common = [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11];
        assert!(is_piece(&common, &seen) && is_piece(&common, &[]));
        assert!(!is_piece(&common, &[5, 2, 6]));
        assert!(!is_piece(&common, &[5, 9, 6, 2]));
    }
}
