//! The server: a room that people join over TCP.
//!
#![doc = include_str!("../lessons/links/2.md")]
#![doc = include_str!("../lessons/links/items.md")]
#![doc = include_str!("../lessons/crossing.md")]
//!
//! # The modules and the threads
//!
//! The [crate's page](crate) describes the path of a message. This page lists the modules and the threads, and
//! describes the shutdown.
//!
//! 1. [`accept`] gives each connection a number (see [`client`]) and a thread.
//! 2. The [`session`] runs in that thread. The session first reads the nickname ([`login`]), and then one line
//!    after another ([`input`], [`rate`]). Once the client has a nickname, its [`member`] acts on each line.
//! 3. Every action that other clients can notice gets its place in the [`order`]: it is appended to the
//!    [`outbox`]. The [`room`] in the outbox knows the members and the last messages ([`history`]). It also
//!    gathers the text to be sent, as a [`batch`].
//! 4. The [`writer`] takes the batch and sends it to all recipients. Helper threads share this work
//!    ([`fan_out`], [`part`]).
//! 5. A recipient whose socket does not accept the whole batch is [`behind`]. The writer then sends the rest to
//!    this recipient from the [`log`].
//!
//! The [`registry`] lists all connections. The [`shutdown`] ends them. The [`operator`] module is for the
//! person who runs the server. Most threads use the data in [`shared`].
//!
//! | thread | does | started by | ended by | joined by |
//! | --- | --- | --- | --- | --- |
//! | the thread that calls [`Server::run`] | accepts connections, then shuts the server down | `main` | the end of the program | |
//! | `client-N`, one for each client | runs a session | the accept loop | its client, the login deadline, the writer, the console, or the shutdown | [`Server::run`] |
//! | `writer` | sends the batches | [`Server::run`] | the farewell | [`Server::run`] |
//! | `helper-N`, one for each additional processor | helps the writer to send | the writer | the writer | [`Server::run`] |
//! | `history` | saves the history | [`Server::bind`] | the farewell | nobody: [`Server::run`] waits for at most half a second |
//! | `log` | prints the event log | [`Server::bind`] | the end of [`Server::run`] | nobody: see `history` |
//! | `relay-writer`, `relay-reader`, if the room is shared | see [`relay`] | [`Server::run`] | [`Shared::close`] | nobody: see `history` |
//! | `console` | executes the operator's commands | [`Server::run`] | the end of the program | nobody |
//! | `terminal`, `fifo` | read lines for the console | [`Server::run`] | the end of their input | nobody: nothing can wake them |
//!
//! (The thread `log` prints the messages for the operator. The module [`log`] keeps the text that slow readers
//! still need.)
//!
//! # The shutdown
//!
//! 1. A byte in a pipe starts the shutdown ([`ShutdownHandle`]). A signal handler or the console's `/quit` writes
//!    this byte. The writer and the relay's threads write it when they end. The accept loop waits in `poll` for
//!    new connections and for this pipe. The byte wakes the loop, which returns. (SIGHUP writes a byte, too. Without
//!    a terminal, the loop then only logs the statistics, and continues.) Then [`Server::run`] closes the listeners.
//! 2. [`shut_down`] runs in the same thread. From now on no session begins to cut lines. A session that is already
//!    cutting lines has lines *in flight*: it still appends these lines to the outbox. [`shut_down`] wakes the
//!    sessions that wait for a rate token, and the sessions whose clients are behind. These sessions read nothing
//!    until step 4, so they leave the processor to the writer. [`shut_down`] waits until no session has lines in
//!    flight. The last session that appends its lines wakes [`shut_down`]. Then [`shut_down`] appends the farewell
//!    and closes the outbox, which wakes the writer. (After 0.8 seconds, [`shut_down`] stops waiting. If a session
//!    is still waiting for space in the outbox at that time, closing the outbox wakes it, and its lines are lost.
//!    If the room is shared, [`Shared::close`] first informs the other servers.)
//! 3. [`shut_down`] sends the farewell to the clients that have not joined. The writer sends it to the members,
//!    in the last batch. After the farewell, the thread that sent it shuts down the sending half of the
//!    connection. The writer then sends the rest of the log to the slow readers, until a deadline, or until none
//!    of them has accepted anything for 1.5 seconds. Then the writer and its helpers end. The writer drops the
//!    sender of a channel, and this wakes [`shut_down`]. If the writer misses its deadline, [`shut_down`] shuts
//!    down all connections, so that every later send of the writer fails at once.
//! 4. [`shut_down`] shuts down the sending half of the remaining connections, and wakes the sessions that have
//!    been waiting since step 2. Each session reads and discards input until its peer has closed the connection,
//!    but for at most half a second. [`shut_down`] waits just as long, unless the registry is empty earlier: the
//!    last session that ends wakes it. Then [`shut_down`] shuts down the connections that still exist. This wakes
//!    every session that still blocks in `read`.
//! 5. [`Server::run`] joins the writer, its helpers and all sessions. Then it waits until the threads `history`
//!    and `log` and the relay's threads have written their last lines, but for at most half a second per thread.
//! 6. `main` returns 0. It returns 1 if the writer or the accept loop has panicked, or if the relay has failed.
//!    (A panic of a helper makes the writer panic, too.) The end of the process ends the threads that nobody
//!    joins.
//!
//! Every step has a deadline, so the shutdown takes at most three seconds: see [`shutdown`]. If SIGINT or SIGTERM
//! arrives again more than a second later, the process ends at once.

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
    /// Listens on the address that the options name, and logs that address. A byte in the pipe `wake` stops the
    /// server. The `handle` is the writing end of that pipe.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is in use, unknown, or not an address of this machine; if a file that the
    /// options name cannot be used; if the `--motd` is too long; or if the system's limits allow fewer than four
    /// clients, or not enough threads. The error's text is a whole sentence.
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

    /// Serves until it is asked to stop. Then it sends everyone the farewell. It returns when all sessions, the
    /// writer and its helpers have ended. The other threads end with the process at the latest.
    ///
    /// # Errors
    ///
    /// Returns an error if a thread could not be started, if the writer, a helper or the accept loop has panicked,
    /// or if the relay has failed.
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
            // A panic of the writer also drops the guard, and this stops the server. Without a writer nobody would
            // receive anything.
            let guard = StopOnDrop(handle.clone(), delivering);
            let writer = thread::Builder::new().name("writer".into());
            let writer = writer.spawn_scoped(scope, move || {
                let _guard = guard;
                Writer::new(shared, scope).run();
            })?;
            let accept = || accept::accept_loop(shared, capacity, &listeners, &wake, scope);
            // A panic in the accept loop ends the server cleanly as well. The panic is caught because the scope
            // waits for all threads, and `shut_down` must first tell them to end.
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
        // This is the last reference to the event log, unless another thread is stuck. Once the event log is
        // dropped, its thread writes the remaining lines and ends.
        drop(owned);
        log_thread.finish(deadline);
        result
    }
}

/// Returns the path that an option gives, as text, or an empty text if the option is absent.
fn shown(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// Puts the failed action in front of an error's text: `Could not {what} {object}: {error}`.
fn about(what: &str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("Could not {what} {object}: {error}"))
}

/// A guard in the writer's thread. Dropping it asks the server to stop, and tells the shutdown that the writer
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
