//! Step 13: backpressure, or how a fast sender is slowed down. The text of this step is in `step13_fast_senders.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step13_fast_senders.md")]

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chat::lessons::built::batch::Change;
use chat::lessons::built::registry::{Member, Registry};
use chat::lessons::built::session::{drain, lock};
use chat::lessons::built::writer::Writer;
use chat::lessons::built::{input::Input, login::login, shutdown};
use chat::system::poll::Poll;

/// The number of bytes of text in the outbox at which senders must wait.
const MAX_GATHERED_BYTES: usize = 128 << 10;

/// The time between two attempts to send more to the clients that are behind.
const OFFER_INTERVAL: Duration = Duration::from_millis(5);

/// The maximum time by which the writer delays a round while most clients are behind.
const HOLD_TIME: Duration = Duration::from_millis(50);

/// Counts the bytes of the messages in the outbox. If there are too many bytes, sessions must wait until the writer
/// takes a batch.
#[derive(Default)]
struct Bound {
    gathered: Mutex<Gathered>,
    /// Notified when the writer has taken a batch. This wakes the sessions that wait.
    taken: Condvar,
}

#[derive(Default)]
struct Gathered {
    bytes: usize,
    /// Whether the writer has ended. If it has, no session has to wait.
    is_over: bool,
}

impl Bound {
    /// Blocks while the outbox contains too much text. While a session waits here, it does not read from its client's
    /// socket. So TCP makes the client stop sending.
    fn enter(&self, bytes: usize) {
        let mut gathered = lock(&self.gathered);
        while gathered.bytes >= MAX_GATHERED_BYTES && !gathered.is_over {
            gathered = self.taken.wait(gathered).unwrap_or_else(PoisonError::into_inner);
        }
        gathered.bytes += bytes;
    }

    fn leave(&self, bytes: usize, is_over: bool) {
        let mut gathered = lock(&self.gathered);
        gathered.bytes -= bytes;
        gathered.is_over = is_over;
        self.taken.notify_all();
    }
}

fn main() -> io::Result<()> {
    let (registry, bound) = (&Registry::default(), &Bound::default());
    let outbox = &registry.outbox;
    let (mut last_round, mut poll) = (Instant::now(), Poll::default());
    let mut take = move |behind: &[&TcpStream], all: usize| {
        if 2 * behind.len() > all && last_round.elapsed() < HOLD_TIME {
            // Most clients are behind. So the writer does not take a new batch yet, and the clients can catch up.
            let _ = poll.writable(behind.iter().copied(), OFFER_INTERVAL);
            return Vec::new();
        }
        let batch = outbox.take((!behind.is_empty()).then_some(OFFER_INTERVAL));
        let said = batch.iter().filter(|entry| matches!(entry.change, Change::Nothing));
        bound.leave(said.map(|entry| entry.to_others.len() + entry.to_self.len()).sum(), false);
        last_round = Instant::now();
        batch
    };
    thread::scope(|scope| {
        thread::Builder::new().name("writer".into()).spawn_scoped(scope, move || {
            Writer::default().run(&mut take);
            bound.leave(0, true);
        })?;
        let serve = |stream: &Arc<_>| {
            // An error ends only this session, so the error is ignored here.
            let _ = serve(stream, registry, bound);
            drain(stream);
        };
        shutdown::run(serve, || outbox.end()).inspect_err(|_| outbox.end())
    })
}

/// Serves one client until it leaves. Once the client has joined, only the writer writes to its socket.
fn serve(stream: &Arc<TcpStream>, registry: &Registry, bound: &Bound) -> io::Result<()> {
    let mut input = Input::new(stream);
    let member = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some(Member { ref name, .. }) = member else { return stream.shutdown(Shutdown::Write) };
    while let Some(line) = input.next_line()?.filter(|line| line != "/quit") {
        let (to_others, to_self) = match line.strip_prefix("/me ") {
            Some(action) => (format!("* {name} {action}\n"), format!("* {name} {action}\n")),
            None => (format!("{name}: {line}\n"), String::new()),
        };
        bound.enter(to_others.len() + to_self.len());
        registry.outbox.put(name, to_others, to_self, Change::Nothing);
    }
    Ok(())
}
