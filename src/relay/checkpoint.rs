//! The checkpoint: the state as text. A server that starts later reads the newest checkpoint instead of the stream's
//! older entries, so these entries can be deleted.
//!
//! ```text
//! 1 LAST SID SEQ POSITION SINCE MARK DIGEST      the version, and the place in the stream
//! s SID SEQ AT CAME NAME                         a server
//! b SID OTHER N                                  server SID has missed N beats of OTHER
//! m SID C NICK FOLDED                            a member
//! h LINE                                         a line of the history
//! ```
//!
//! Reading a checkpoint and applying the entries after it gives the same state as applying all entries. This module
//! is pure. The [`engine`](super::engine) stores the text.

use std::fmt::Write;

use super::entry::Sid;
use super::state::{HISTORY_LINES, Member, Server, State, Who};

impl State {
    /// Returns the state as the text of a checkpoint.
    pub fn write(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, text: &mut String) -> std::fmt::Result {
        let Self { last, last_key: (sid, seq), position, since, mark, digest, .. } = self;
        writeln!(text, "1 {last} {sid} {seq} {position} {since} {mark} {digest:016x}")?;
        for (sid, server) in &self.servers {
            let Server { name, seq, at, came, .. } = server;
            writeln!(text, "s {sid} {seq} {at} {came} {name}")?;
            for (other, missed) in &server.missed {
                writeln!(text, "b {sid} {other} {missed}")?;
            }
            for (client, Member { nick, folded }) in &server.members {
                writeln!(text, "m {sid} {client} {nick} {folded}")?;
            }
        }
        self.history.iter().try_for_each(|line| writeln!(text, "h {line}"))
    }

    /// Parses the text that [`State::write`] returns. Returns `None` if the text is not a checkpoint.
    pub fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut words = lines.next()?.strip_prefix("1 ")?.split(' ');
        let mut word = || words.next();
        let mut state = Self { last: word()?.parse().ok()?, ..Self::default() };
        state.last_key = (word()?.parse().ok()?, word()?.parse().ok()?);
        state.position = word()?.parse().ok()?;
        state.since = word()?.parse().ok()?;
        state.mark = word()?.parse().ok()?;
        state.digest = u64::from_str_radix(word()?, 16).ok()?;
        for line in lines {
            state.read_line(line)?;
        }
        state.remember_point();
        Some(state)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (kind, rest) = line.split_once(' ')?;
        if kind == "h" {
            self.history.push_back(rest.to_owned());
            return (self.history.len() <= HISTORY_LINES).then_some(());
        }
        let mut words = rest.split(' ');
        let mut word = || words.next();
        let sid: Sid = word()?.parse().ok()?;
        match kind {
            "s" => {
                let (seq, at) = (word()?.parse().ok()?, word()?.parse().ok()?);
                let (came, name) = (word()?.parse().ok()?, word()?.to_owned());
                self.servers.insert(sid, Server { name, seq, at, came, ..Server::default() });
            }
            "b" => {
                let (other, missed) = (word()?.parse().ok()?, word()?.parse().ok()?);
                self.servers.get_mut(&sid)?.missed.insert(other, missed);
            }
            "m" => {
                let client = word()?.parse().ok()?;
                let (nick, folded) = (word()?.to_owned(), word()?.to_owned());
                self.names.insert(folded.clone(), Who { sid, client });
                self.servers.get_mut(&sid)?.members.insert(client, Member { nick, folded });
            }
            _ => return None,
        }
        Some(())
    }
}
