//! Step 11: one order, one writer, one write for each round. The text of this step is in `step11_outbox.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step11_outbox.md")]

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use chat::lessons::built::session::{drain, lock};
use chat::lessons::built::{input::Input, login::login, shutdown};

/// One event that clients will see. The client `who` gets `to_self`, and all other clients get `to_others`.
struct Entry {
    who: Arc<str>,
    to_others: String,
    to_self: String,
    change: Change,
}

/// The change that an entry makes to the set of clients that the writer writes to.
enum Change {
    Nothing,
    Joined(Arc<TcpStream>),
    Left,
    End,
}

/// The outbox: a queue of everything that clients will see, in one order.
#[derive(Default)]
struct Outbox {
    entries: Mutex<Vec<Entry>>,
    /// Notified when an entry is added. This wakes the writer.
    filled: Condvar,
}

impl Outbox {
    /// Adds an entry. Never waits for a peer: a thread holds the lock only to push entries or to take them.
    fn put(&self, who: &Arc<str>, to_others: String, to_self: String, change: Change) {
        lock(&self.entries).push(Entry { who: Arc::clone(who), to_others, to_self, change });
        self.filled.notify_one();
    }

    /// Blocks while the outbox is empty. Then takes all entries.
    fn take(&self) -> Vec<Entry> {
        let mut entries = lock(&self.entries);
        while entries.is_empty() {
            // `wait` unlocks the mutex, sleeps until `filled` is notified, and locks the mutex again.
            entries = self.filled.wait(entries).unwrap_or_else(PoisonError::into_inner);
        }
        mem::take(&mut *entries)
    }
}

/// The data that all sessions share: the names that are taken, and the outbox. The names are locked while a join or a
/// leave is put into the outbox. So the outbox has joins and leaves in the order in which the names were taken and
/// freed.
#[derive(Default)]
struct Registry {
    names: Mutex<BTreeSet<Arc<str>>>,
    outbox: Outbox,
}

/// A client's membership in the room. Dropping this value makes the client leave.
struct Member<'a> {
    name: Arc<str>,
    registry: &'a Registry,
}

impl<'a> Member<'a> {
    /// Takes the name if it is free, and announces the new member. Returns `None` if the name is taken.
    fn join(name: &str, stream: &Arc<TcpStream>, registry: &'a Registry) -> Option<Self> {
        let (name, mut names) = (Arc::<str>::from(name), lock(&registry.names));
        if !names.insert(Arc::clone(&name)) {
            return None;
        }
        let online: Vec<&str> = names.iter().map(|name| &**name).collect();
        let online = format!("{} online: {}", online.len(), online.join(", "));
        let welcome = format!("[SERVER] Connected to the server!\n[SERVER] {online}\n");
        let joined = format!("[SERVER] {name} joined the chat!\n");
        registry.outbox.put(&name, joined, welcome, Change::Joined(Arc::clone(stream)));
        Some(Self { name, registry })
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let (left, mut names) =
            (format!("[SERVER] {} left the chat!\n", self.name), lock(&self.registry.names));
        names.remove(&self.name);
        self.registry.outbox.put(&self.name, left, "[SERVER] Goodbye!\n".into(), Change::Left);
    }
}

fn main() -> io::Result<()> {
    let registry = &Registry::default();
    let farewell = || {
        let words = "[SERVER] The server is shutting down.\n".into();
        registry.outbox.put(&"".into(), words, String::new(), Change::End);
    };
    thread::scope(|scope| {
        let writer = thread::Builder::new().name("writer".into());
        writer.spawn_scoped(scope, || write_loop(&registry.outbox))?;
        let serve = |stream: &Arc<_>| {
            // An error ends only this session, so the error is ignored here.
            let _ = serve(stream, registry);
            drain(stream);
        };
        // If the server cannot listen, `run` returns an error and does not call `farewell`. Then `farewell` is called
        // here, so that the writer ends. Otherwise the scope would wait for the writer forever.
        shutdown::run(serve, farewell).inspect_err(|_| farewell())
    })
}

/// Serves one client until it leaves. Once the client has joined, only the writer writes to its socket.
fn serve(stream: &Arc<TcpStream>, registry: &Registry) -> io::Result<()> {
    let mut input = Input::new(stream);
    let member = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some(Member { ref name, .. }) = member else { return stream.shutdown(Shutdown::Write) };
    while let Some(line) = input.next_line()?.filter(|line| line != "/quit") {
        let (to_others, to_self) = match line.strip_prefix("/me ") {
            Some(action) => (format!("* {name} {action}\n"), format!("* {name} {action}\n")),
            None => (format!("{name}: {line}\n"), String::new()),
        };
        registry.outbox.put(name, to_others, to_self, Change::Nothing);
    }
    Ok(())
}

/// The writer's data about one client.
struct Recipient {
    name: Arc<str>,
    stream: Arc<TcpStream>,
    /// The index of the first entry of the current batch that the client gets, and, if the client has left, the index
    /// of the last entry.
    first: usize,
    last: Option<usize>,
}

/// Writes every batch to every client, until the server shuts down. Blocks while the outbox is empty, and while the
/// socket of a client is full.
fn write_loop(outbox: &Outbox) {
    let (mut recipients, mut is_over) = (Vec::<Recipient>::new(), false);
    while !is_over {
        let batch = outbox.take();
        for (index, Entry { who, change, .. }) in batch.iter().enumerate() {
            match change {
                Change::Nothing => {}
                Change::Joined(stream) => recipients.push(Recipient {
                    name: Arc::clone(who),
                    stream: Arc::clone(stream),
                    first: index,
                    last: None,
                }),
                Change::Left | Change::End => {
                    is_over |= matches!(change, Change::End);
                    for one in recipients.iter_mut().filter(|one| is_over || one.name == *who) {
                        one.last.get_or_insert(index);
                    }
                }
            }
        }
        for one in &mut recipients {
            let end = one.last.map_or(batch.len(), |last| last + 1);
            let entries = batch[mem::take(&mut one.first)..end].iter();
            let is_own = |entry: &Entry| entry.who == one.name;
            let text = |entry| if is_own(entry) { &entry.to_self } else { &entry.to_others };
            let view: String = entries.map(|entry| text(entry).as_str()).collect();
            // If this write fails, the recipient's own thread notices the error, and ends the recipient's session.
            let _ = (&*one.stream).write_all(view.as_bytes());
            if one.last.is_some() {
                let _ = one.stream.shutdown(Shutdown::Write);
            }
        }
        recipients.retain(|one| one.last.is_none());
    }
}
