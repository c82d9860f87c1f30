//! Records: what people do, written down for the other servers, one line for each action.
//!
//! ```text
//! H 1 NAME                   hello: the version, and what the server is called
//! J C NICK FOLDED            client C of this server wants to join under that name
//! R C NICK FOLDED            it wants another name
//! S C TEXT      A C TEXT     it says, it does
//! T C FOLDED ASKED TEXT      it tells that member; ASKED is the name as it was typed
//! L C q|l|s|k                it leaves: it quits, is lost, is too slow, is kicked
//! N TEXT                     the operator says to everyone
//! B                          a beat: the server lives
//! X                          the server closes
//! ```
//!
//! The name of somebody who talks is not sent: all servers know it, so no line can carry a wrong one. No text
//! holds a line end, so nothing has to be escaped.
//!
//! A wish is not yet a fact. Only when the record comes back is it known whether the name is free. What only
//! this server's clients can see, such as the answer to `/who`, is no record. It is kept in its place between
//! the records, and is done when the records around it come back. So a client sees everything in the order in
//! which it asked.

use std::fmt::{self, Write};
use std::mem;
use std::sync::{Arc, OnceLock};

use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::LeaveReason;
use crate::server::client::{Client, ClientId};
use crate::server::room::{Room, Taken};

/// The verdict on a wish: the size of the welcome in bytes, or that somebody else has the name. `None` if
/// nobody will decide it.
pub type Verdict = Option<Result<usize, Taken>>;

/// A wish of a client that waits for the verdict. Dropping it decides it and wakes the client. So no session
/// waits for ever, even if the relay ends.
#[derive(Debug)]
pub struct Asked {
    /// Whose it is.
    pub client: Arc<Client>,
    /// Where the client looks.
    pub verdict: Arc<OnceLock<Verdict>>,
}

impl Asked {
    /// Decides it.
    pub fn decide(self, verdict: Result<usize, Taken>) {
        // It is the first to do so.
        let _ = self.verdict.set(Some(verdict));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // This fails if the wish is already decided.
        let _ = self.verdict.set(None);
        self.client.wake();
    }
}

/// Something to be done on this server before the record that follows it.
pub enum Local {
    /// The record is a wish of this client.
    Asked(Asked),
    /// Something that others do not notice.
    Do(Box<dyn FnOnce(&mut Room) + Send>),
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Asked(_)) { "Asked" } else { "Do" })
    }
}

/// Records that gather, and what stands between them.
#[derive(Debug, Default)]
pub struct Records {
    text: String,
    count: usize,
    /// Each with the number of records before it.
    locals: Vec<(usize, Local)>,
    local_bytes: usize,
}

impl Records {
    /// A client says lines, each with its nickname and its line end.
    pub fn say(&mut self, client: ClientId, lines: &str) {
        for line in lines.lines() {
            if let Some((_, text)) = line.split_once(": ") {
                self.push('S', client, format_args!("{text}"));
            }
        }
    }

    /// A client acts. `line` is the line that everyone sees.
    pub fn act(&mut self, client: ClientId, line: &str) {
        if let Some((_, text)) = line.strip_prefix("* ").and_then(|line| line.split_once(' ')) {
            self.push('A', client, format_args!("{text}"));
        }
    }

    /// A client tells the member called `to` something.
    pub fn tell(&mut self, client: ClientId, to: &str, text: &str) {
        self.push('T', client, format_args!("{} {to} {text}", fold(to)));
    }

    /// A client wants to join, `J`, or another name, `R`.
    pub fn ask(&mut self, kind: char, asked: Asked, nickname: &Nickname) {
        let client = asked.client.id;
        self.locals.push((self.count, Local::Asked(asked)));
        self.push(kind, client, format_args!("{nickname} {}", nickname.folded()));
    }

    /// A client leaves.
    pub fn leave(&mut self, client: ClientId, reason: LeaveReason) {
        self.push('L', client, format_args!("{}", letter(reason)));
    }

    /// The operator says a line; it is a notice.
    pub fn announce(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "N {text}");
        self.count += 1;
    }

    fn push(&mut self, kind: char, client: ClientId, rest: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{kind} {} {rest}", client.number());
        self.count += 1;
    }

    /// Something that only this server's clients notice. It holds `bytes` bytes.
    pub fn locally(&mut self, bytes: usize, act: Box<dyn FnOnce(&mut Room) + Send>) {
        self.locals.push((self.count, Local::Do(act)));
        self.local_bytes += bytes;
    }

    /// Whether nothing has gathered.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.locals.is_empty()
    }

    /// How much has gathered, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.local_bytes + size_of_val(&*self.locals)
    }

    /// Takes all of it.
    pub fn take(&mut self) -> (String, Vec<(usize, Local)>) {
        let Self { text, locals, .. } = mem::take(self);
        (text, locals)
    }
}

/// Why a client leaves, in a letter.
pub fn letter(reason: LeaveReason) -> char {
    match reason {
        LeaveReason::Quit => 'q',
        LeaveReason::TooSlow => 's',
        LeaveReason::Kicked => 'k',
        // The last two are for the others to say.
        LeaveReason::ConnectionLost | LeaveReason::ServerLost | LeaveReason::ServerClosed => 'l',
    }
}
