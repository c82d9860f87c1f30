//! The server: a room that people join over TCP.
//!
#![doc = include_str!("../lessons/links/2.md")]
#![doc = include_str!("../lessons/links/items.md")]
#![doc = include_str!("../lessons/crossing.md")]
//!
//! # The modules and the threads
//!
//! The [first page](crate) tells the way of a message. This page says which module does what, which threads
//! there are, and how they all end.
//!
//! 1. [`accept`] gives each connection a [`client`] number and a thread.
//! 2. The [`session`] runs in that thread. It reads, first for the nickname ([`login`]), then line by line
//!    ([`input`], [`rate`]). What a client says once it is in goes to its [`member`].
//! 3. Everything that others can notice gets its place in the [`order`]: it goes into the [`outbox`]. The
//!    [`room`] in it knows who is in and what was said last ([`history`]). What is to be sent gathers there as a
//!    [`batch`].
//! 4. The [`writer`] takes the batch and sends it to all, with its helpers ([`fan_out`], [`part`]).
//! 5. A recipient that does not take everything is [`behind`], until it has taken the rest from the [`log`].
//!
//! The [`registry`] lists all connections. The [`shutdown`] ends them. The [`operator`] module is for the
//! person who runs the server. All threads share what is in [`shared`].
//!
//! | thread | does | started by | ended by | joined by |
//! | --- | --- | --- | --- | --- |
//! | the one that calls [`Server::run`] | accepts, then shuts down | `main` | the end of the program | |
//! | `client-N`, one for each client | a session | the accept loop | its client, or the shutdown | [`Server::run`] |
//! | `writer` | sends | [`Server::run`] | the farewell | [`Server::run`] |
//! | `helper-N`, one for each further processor | sends parts | the writer | the writer | [`Server::run`] |
//! | `history` | saves the history | [`Server::bind`] | the farewell | [`Server::run`], for a moment |
//! | `log` | prints the event log | [`Server::bind`] | the end of [`Server::run`] | [`Server::run`], for a moment |
//! | `relay-writer`, `relay-reader`, if the room is shared | see [`relay`] | [`Server::run`] | [`Shared::close`] | [`Server::run`], for a moment |
//! | `console` | obeys the operator | [`Server::run`] | the end of the program | nobody |
//! | `terminal`, `fifo` | read for the console | [`Server::run`] | the end of its input | nobody: nothing can wake it |
//!
//! (The thread `log` prints what the operator is told. The module [`log`] keeps what slow readers still need.)
//!
//! # The end
//!
//! 1. A signal handler, the console's `/quit`, or the end of the writer or of a relay thread writes one byte into
//!    a pipe ([`ShutdownHandle`]). The accept loop waits in `poll` for newcomers and for this pipe. It wakes and
//!    returns, and the listeners are closed.
//! 2. [`shut_down`] runs in the same thread. From now on no session cuts a further line. [`shut_down`] wakes the
//!    sessions that wait for their rate, or because they are behind. It waits until each line that was cut is in
//!    the outbox: the last session that has one in flight wakes it. Then it appends the farewell and closes the
//!    outbox, which wakes the sessions that wait for space there. (If the room is shared, [`Shared::close`] tells
//!    the other servers first.)
//! 3. Clients that never came in are told the farewell by [`shut_down`]. All others are told by the writer: it
//!    sends this last batch. Slow readers that still read get the rest, until a deadline. Then the writer ends,
//!    and its helpers with it. It drops the sender of a channel, and that wakes [`shut_down`]. If the writer is
//!    late, [`shut_down`] closes all connections, and each further send fails at once.
//! 4. [`shut_down`] ends the sending on each connection, and the peers have half a second to close theirs. The
//!    sessions have waited for this. [`shut_down`] wakes them, and each reads and discards until its peer has
//!    closed. Then [`shut_down`] closes what is left. This wakes every session that still blocks in `read`.
//! 5. [`Server::run`] joins the writer, its helpers and all sessions. It waits until the other threads have
//!    written their last lines: `history`, `log` and the relay's threads. It gives each half a second at most.
//! 6. `main` returns 0. It returns 1 if the writer or the accept loop has panicked, or if the relay has failed.
//!    (A panic of a helper makes the writer panic, too.) The process ends, and with it the threads that nobody
//!    joins.
//!
//! Every step has a deadline, so the end takes three seconds at most: see [`shutdown`]. A second signal that
//! comes more than a second later ends the process at once.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, PipeReader};
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use crate::protocol::replies;
use crate::relay::{self, Relay};
use crate::system::fifo;

use self::accept::{Capacity, listen};
use self::operator::bans::Bans;
use self::operator::event_log::{EventLog, OutputThread};
use self::operator::history_file::HistoryFile;
use self::operator::options::Options;
use self::shared::Shared;
use self::shutdown::{LOGGED_AFTER, ShutdownHandle, shut_down};
use self::writer::Writer;

pub mod shared;

pub mod accept;

pub mod client;

pub mod session;

pub mod login;

pub mod member;

pub mod input;

pub mod rate;

pub mod order;

pub mod outbox;

pub mod room;

pub mod batch;

pub mod history;

pub mod writer;

pub mod fan_out;

pub mod part;

pub mod behind;

pub mod log;

pub mod registry;

pub mod shutdown;

pub mod operator;

/// A server that is listening.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    capacity: Capacity,
    listeners: Vec<TcpListener>,
    fifo: Option<File>,
    handle: ShutdownHandle,
    wake: PipeReader,
    history_thread: Option<OutputThread>,
    log_thread: OutputThread,
}

impl Server {
    /// Listens where the options say, and says so in the event log. A byte that arrives in the pipe `wake`
    /// stops the server. The `handle` is the other end of that pipe.
    ///
    /// # Errors
    ///
    /// When the address is in use, unknown, or not an address of this machine. When a file that the options
    /// name cannot be used, or the `--motd` is too long. When the system's limits leave fewer than four clients,
    /// or no thread. The error's text is a whole sentence.
    pub fn bind(
        options: Options,
        (handle, wake): (ShutdownHandle, PipeReader),
    ) -> io::Result<Self> {
        let motd = match options.motd.strip_prefix('@') {
            Some(path) => fs::read_to_string(path).map_err(about("read", path))?,
            None => options.motd.clone(),
        };
        let too_long = |bytes| io::Error::other(replies::too_long_cleaned(bytes));
        let motd = replies::motd(&motd).map_err(too_long).map_err(about("use", "--motd"))?;
        let bans = Bans::load(options.bans.clone())
            .map_err(about("read", shown(options.bans.as_ref())))?;
        let history = options.history_file.clone().map(HistoryFile::read).transpose();
        let history = history.map_err(about("read", shown(options.history_file.as_ref())))?;
        let capacity = Capacity::of_system(&options).map_err(about("serve", "four clients"))?;
        let listeners = listen(&options.endpoint).map_err(about("listen on", &options.endpoint))?;
        let fifo = options.console.as_deref().map(fifo::open).transpose();
        let fifo = fifo.map_err(about("use", shown(options.console.as_ref())))?;
        let port = listeners[0].local_addr()?.port();
        let relay = Relay::open(&options.relay, &options.endpoint.host, port).transpose();
        let relay = relay.map_err(about("read", shown(options.relay.auth.as_ref())))?;
        let (log, log_thread) = EventLog::start(options.quiet, options.log_times)?;
        for listener in &listeners {
            log.notice(&format!("Server is listening on {}", listener.local_addr()?));
        }
        log.notice("Waiting for connections...");
        capacity.lowered(&options).into_iter().for_each(|why| log.notice(&why));
        let mut shared = Shared::new(options, bans, log);
        shared.relay = relay;
        let shared = Arc::new(shared);
        shared.outbox.append(|room| room.set_motd(motd));
        let history_thread = history.map(|file| file.keep(&shared)).transpose()?;
        Ok(Self { shared, capacity, listeners, fifo, handle, wake, history_thread, log_thread })
    }

    /// Serves until it is asked to stop, then tells everyone, and returns when all sessions, the writer and its
    /// helpers are done. The other threads end with the process.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started. When the server stopped because of a fault of its own: the writer, a
    /// helper or the accept loop has panicked. When the relay has failed.
    pub fn run(self) -> io::Result<()> {
        let Self {
            shared: owned,
            capacity,
            listeners,
            fifo,
            handle,
            wake,
            history_thread,
            log_thread,
        } = self;
        let shared = &*owned;
        operator::console::start(&owned, handle.clone(), fifo)?;
        let relay_threads = relay::start(&owned, &handle)?;
        // The scope joins the sessions, the writer and its helpers.
        let result = thread::scope(|scope| {
            let (delivering, delivered) = mpsc::channel();
            // The guard is dropped when the writer panics, too. The server then ends: without a writer the
            // room is mute.
            let guard = StopOnDrop(handle.clone(), delivering);
            let writer = thread::Builder::new().name("writer".into());
            let writer = writer.spawn_scoped(scope, move || {
                let _guard = guard;
                Writer::new(shared, scope).run();
            })?;
            let accept = || accept::accept_loop(shared, capacity, &listeners, &wake, scope);
            // A panic in the accept loop ends the server cleanly as well. It is caught, because the scope
            // waits for all threads, and they must first be told to end.
            let accepted = catch_unwind(AssertUnwindSafe(accept));
            drop(listeners);
            shared.log.notice("Shutting down...");
            shut_down(shared, &delivered);
            writer.join().map_err(|_| io::Error::other("a fault in the writer"))?;
            accepted.map_err(|_| io::Error::other("a fault in the accept loop"))
        });
        let deadline = shared.shutdown.deadline(LOGGED_AFTER);
        if let Some(thread) = history_thread {
            thread.finish(deadline);
        }
        for thread in relay_threads {
            thread.finish(deadline);
        }
        let result = result.and(shared.relay.as_ref().map_or(Ok(()), Relay::result));
        // Unless a thread is stuck, this drops the event log. Its thread ends once everything is written.
        drop(owned);
        log_thread.finish(deadline);
        result
    }
}

/// The name of a file that an option names.
fn shown(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// Puts in front of an error what could not be done, and with which object.
fn about(what: &str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("Could not {what} {object}: {error}"))
}

/// Belongs to the writer's thread. Its drop asks the server to stop, and tells the shutdown that the writer
/// has ended.
struct StopOnDrop(
    ShutdownHandle,
    #[expect(dead_code, reason = "its drop is the message")] mpsc::Sender<()>,
);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
