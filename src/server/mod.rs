//! The server: a room that people join over TCP.
//!
//! ```text
//!  accept loop ─ spawns ─> session 1 ─┐                              ┌─> part 1 ─> sockets
//!                          session 2 ─┼─> outbox ─> writer: a round ─┼─> part 2 ─> sockets
//!                          session n ─┘  (one order)                 └─> part m ─> sockets
//! ```
//!
//! N threads read, and the writer, with one helper for each further processor, writes. There is no other
//! kind of thread on a message's way. Follow a line through it:
//!
//! 1. [`accept`] gives a connection a [`client`] number and a thread.
//! 2. Its [`session`] reads, first for the nickname ([`login`]), then line by line ([`input`], [`rate`]).
//!    What somebody says who is in is for the [`member`].
//! 3. What others can notice goes into the [`outbox`], into the [`room`] there, and so into a [`batch`].
//!    The room also knows who is in and what was said last ([`history`]).
//! 4. The [`writer`] takes the batch and sends it to all ([`fan_out`], [`part`]).
//! 5. Those who do not take it all are [`behind`] until they have taken it from the [`log`].
//!
//! Beside the way: the [`registry`] of all connections, the [`shutdown`], and what the person has who runs
//! the server ([`operator`]). All threads share what is in [`shared`].
//!
//! | thread | started by | ended by | joined by |
//! | --- | --- | --- | --- |
//! | `client-N`, one for each client | the accept loop | its client, or the shutdown | [`Server::run`] |
//! | `writer` | [`Server::run`] | the farewell | [`Server::run`] |
//! | `helper-N`, one for each further processor | the writer | the writer | [`Server::run`] |
//! | `history` | [`Server::bind`] | the farewell | [`Server::run`], for a moment |
//! | `log` | [`Server::bind`] | the end of [`Server::run`] | [`Server::run`], for a moment |
//! | `console` | [`Server::run`] | the end of the program | nobody |
//! | `terminal`, `fifo` | [`Server::run`] | the end of its input | nobody: nothing can wake it |
//!
//! The accept loop runs in the thread that calls [`Server::run`].

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
    /// Listens where the options say, and says so in the log. What is read from `wake` stops the server:
    /// the other end of it is the `handle`.
    ///
    /// # Errors
    ///
    /// When the address cannot be had: it is in use, not of this machine, or not known; or a file that the
    /// options name cannot be used. The error is the whole sentence.
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
        let (log, log_thread) = EventLog::start(options.quiet, options.log_times)?;
        for listener in &listeners {
            log.notice(&format!("Server is listening on {}", listener.local_addr()?));
        }
        log.notice("Waiting for connections...");
        capacity.lowered(&options).into_iter().for_each(|why| log.notice(&why));
        let shared = Arc::new(Shared::new(options, bans, log));
        shared.outbox.append(|room| room.set_motd(motd));
        let history_thread = history.map(|file| file.keep(&shared)).transpose()?;
        Ok(Self { shared, capacity, listeners, fifo, handle, wake, history_thread, log_thread })
    }

    /// Serves until it is asked to stop, then tells everyone, and returns when all threads are done.
    ///
    /// # Errors
    ///
    /// When it stopped because of a fault of its own, not because it was asked to.
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
        // The scope joins the sessions, the writer and its helpers.
        let result = thread::scope(|scope| {
            let (delivering, delivered) = mpsc::channel();
            // Also a panic of the writer ends the server: without it the room is mute.
            let guard = StopOnDrop(handle.clone(), delivering);
            let writer = thread::Builder::new().name("writer".into());
            let writer = writer.spawn_scoped(scope, move || {
                let _guard = guard;
                Writer::new(shared, scope).run();
            })?;
            let accept = || accept::accept_loop(shared, capacity, &listeners, &wake, scope);
            // A panic there ends the server as well, and in order: the scope waits for all threads.
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
        // The last owner of the log: its thread ends once all is written.
        drop(owned);
        log_thread.finish(deadline);
        result
    }
}

/// The name of a file that an option names.
fn shown(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| path.display().to_string())
}

/// Makes an error say what could not be done, and to what.
fn about(what: &str, object: impl fmt::Display) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("Could not {what} {object}: {error}"))
}

/// Asks the server to stop when it is dropped, and says that the writer has ended.
struct StopOnDrop(
    ShutdownHandle,
    #[expect(dead_code, reason = "its drop is the message")] mpsc::Sender<()>,
);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
