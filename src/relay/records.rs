//! Records: the actions of a server's clients, written as text for the other servers, one line for each action.
//!
//! ```text
//! H 1 NAME                   hello: the version of the format, and the server's name
//! J C NICK FOLDED            client C of this server wants to join as NICK
//! R C NICK FOLDED            client C wants another nickname
//! S C TEXT      A C TEXT     client C says TEXT, or performs an action
//! T C FOLDED ASKED TEXT      a private message; ASKED is the recipient as typed
//! L C q|l|s|k                client C leaves: quit, lost, too slow or kicked
//! N TEXT                     the operator sends a notice to everyone
//! B                          a beat: the server is alive
//! X                          the server closes
//! ```
//!
//! A record of a message does not contain the sender's nickname, because all servers know it. So no record can
//! contain a wrong nickname. No text contains a line end, so nothing has to be escaped.
//!
//! The records `J` and `R` are only wishes. The server learns whether the name is free when it reads the record back.
//! Effects that only one client of this server can see, such as the answer to `/who`, are not recorded. Each such
//! effect is stored between the records, and is carried out when the records before it have been read back. So a client
//! sees all effects of its actions in the order of its actions.

use std::fmt::{self, Write};
use std::mem;
use std::sync::{Arc, OnceLock};

use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::LeaveReason;
use crate::server::client::{Client, ClientId};
use crate::server::room::{Room, Taken};

/// The verdict on a wish: the size of the welcome in bytes, or [`Taken`] if somebody else has the name. `None` if the
/// wish was dropped without a decision.
pub type Verdict = Option<Result<usize, Taken>>;

/// A wish of a client that waits for the verdict. Dropping the wish wakes the client, even if nothing was decided. So
/// no session waits forever, even if the relay ends.
#[derive(Debug)]
pub struct Asked {
    /// The client that made the wish.
    pub client: Arc<Client>,
    /// The cell in which the client finds the verdict.
    pub verdict: Arc<OnceLock<Verdict>>,
}

impl Asked {
    /// Decides the wish, and wakes the client.
    pub fn decide(self, verdict: Result<usize, Taken>) {
        // This cannot fail: a wish is decided once, because deciding consumes it.
        let _ = self.verdict.set(Some(verdict));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // This has no effect if the wish is already decided.
        let _ = self.verdict.set(None);
        self.client.wake();
    }
}

/// Work that this server does before the next record.
pub enum Local {
    /// The wish that the next record contains.
    Asked(Asked),
    /// An effect that other servers do not notice.
    Do(Box<dyn FnOnce(&mut Room) + Send>),
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::Asked(_)) { "Asked" } else { "Do" })
    }
}

/// The gathered records, and the local work to do between them.
#[derive(Debug, Default)]
pub struct Records {
    text: String,
    count: usize,
    /// Each piece of local work, with the number of records before it.
    locals: Vec<(usize, Local)>,
    local_bytes: usize,
}

impl Records {
    /// Records the lines that a client says. In `lines`, each line has the nickname before its text, and a line end.
    pub fn say(&mut self, client: ClientId, lines: &str) {
        for line in lines.lines() {
            if let Some((_, text)) = line.split_once(": ") {
                self.push('S', client, format_args!("{text}"));
            }
        }
    }

    /// Records an action of a client. `line` is the line that everyone will see.
    pub fn act(&mut self, client: ClientId, line: &str) {
        if let Some((_, text)) = line.strip_prefix("* ").and_then(|line| line.split_once(' ')) {
            self.push('A', client, format_args!("{text}"));
        }
    }

    /// Records a private message from a client to the member called `to`.
    pub fn tell(&mut self, client: ClientId, to: &str, text: &str) {
        self.push('T', client, format_args!("{} {to} {text}", fold(to)));
    }

    /// Records the wish of a client to join (`kind` is `J`), or to have another nickname (`kind` is `R`).
    pub fn ask(&mut self, kind: char, asked: Asked, nickname: &Nickname) {
        let client = asked.client.id;
        self.locals.push((self.count, Local::Asked(asked)));
        self.push(kind, client, format_args!("{nickname} {}", nickname.folded()));
    }

    /// Records that a client leaves.
    pub fn leave(&mut self, client: ClientId, reason: LeaveReason) {
        self.push('L', client, format_args!("{}", letter(reason)));
    }

    /// Records a notice from the operator to everyone.
    pub fn announce(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "N {text}");
        self.count += 1;
    }

    fn push(&mut self, kind: char, client: ClientId, rest: fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{kind} {} {rest}", client.number());
        self.count += 1;
    }

    /// Adds an effect that only this server's clients notice. `bytes` is the size of the memory that `act` uses.
    pub fn locally(&mut self, bytes: usize, act: Box<dyn FnOnce(&mut Room) + Send>) {
        self.locals.push((self.count, Local::Do(act)));
        self.local_bytes += bytes;
    }

    /// Whether nothing has gathered.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.locals.is_empty()
    }

    /// The size of everything that has gathered, in bytes.
    pub fn bytes(&self) -> usize {
        self.text.len() + self.local_bytes + size_of_val(&*self.locals)
    }

    /// Takes everything that has gathered.
    pub fn take(&mut self) -> (String, Vec<(usize, Local)>) {
        let Self { text, locals, .. } = mem::take(self);
        (text, locals)
    }
}

/// Returns the letter for the reason why a client leaves.
pub fn letter(reason: LeaveReason) -> char {
    match reason {
        LeaveReason::Quit => 'q',
        LeaveReason::TooSlow => 's',
        LeaveReason::Kicked => 'k',
        // No record states the last two reasons. The other servers conclude these reasons when this server closes or is
        // silent.
        LeaveReason::ConnectionLost | LeaveReason::ServerLost | LeaveReason::ServerClosed => 'l',
    }
}
