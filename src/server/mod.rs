//! The server: a room that people join over TCP.
//!
//! ```text
//!  accept loop ─ spawns ─> client thread 1 ─┐                        ┌─> socket 1
//!                          client thread 2 ─┼─> outbox ─> broadcaster ─> socket 2
//!                          client thread n ─┘  (in order)            └─> socket n
//!                                                   │
//!                                                   └─> backlog ─> catch-up thread of whoever is slow
//! ```
//!
//! Follow a line through it: [`accept`] gives a connection its [`client_id`] and one of the
//! [`threads`]; [`session`] reads it, first for the nickname ([`login`]), then line by line ([`input`],
//! [`rate`]); what others can notice goes into the [`outbox`] as entries of a [`batch`], joins and
//! leaves under the lock of the [`registry`]; the [`broadcaster`] delivers it, keeps the [`history`],
//! and hands sockets that are done with to [`closing`]. For a socket that does not take it all, the
//! [`backlog`] keeps the rest and a thread of its own writes it ([`catch_up`]); a room that is too fast
//! for most of its readers is given a [`pause`]. Beside the way: the [`event_log`], the [`console`],
//! [`shutdown`] and the [`options`]; and, for clients that know no framing, [`recv_framing`].
//!
//! All threads share the [`room`]. This file starts them and ends them. All of them are named; all but
//! the console's are joined before [`Server::run`] returns.

use std::io::{self, PipeReader};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::protocol::replies;
use crate::system::{descriptor, signal, socket};

use self::backlog::Backlog;
use self::broadcaster::Broadcaster;
use self::closing::{Closing, Draining, drain_loop};
use self::event_log::{EventLog, LogThread};
use self::options::{Framing, Options};
use self::outbox::Outbox;
use self::registry::Registry;
use self::room::{DELIVERY_TIME, Room};
use self::shutdown::{Gate, StopSwitch};
use self::threads::Threads;

pub mod room;

pub mod accept;

pub mod client_id;

pub mod threads;

pub mod session;

pub mod login;

pub mod input;

pub mod recv_framing;

pub mod rate;

pub mod outbox;

pub mod batch;

pub mod registry;

pub mod broadcaster;

pub mod backlog;

pub mod pause;

pub mod catch_up;

pub mod history;

pub mod closing;

pub mod event_log;

pub mod console;

pub mod shutdown;

pub mod options;

/// How many connections may wait to be accepted. A storm of joins comes faster than threads start.
const LISTEN_BACKLOG: u16 = 4096;

/// Descriptors that are not for clients: standard streams, the listener, the pipe, sockets being
/// closed.
const RESERVED_DESCRIPTORS: usize = 32;

/// How long the log may take for its last lines at the most, from when the server began to end.
const LOG_TIME: Duration = Duration::from_millis(2900);

/// A server that is listening.
#[derive(Debug)]
pub struct Server {
    room: Arc<Room>,
    listener: TcpListener,
    stop: StopSwitch,
    wake: PipeReader,
    sockets_to_drain: Receiver<Draining>,
    log_thread: LogThread,
}

impl Server {
    /// Listens where the options say, and says so in the log.
    ///
    /// From here on SIGINT, SIGTERM and SIGHUP stop the server in order.
    ///
    /// # Errors
    ///
    /// When the address cannot be had: it is in use, not of this machine, or not known.
    pub fn bind(mut options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((options.endpoint.host.as_str(), options.endpoint.port))?;
        listener.set_nonblocking(true)?;
        socket::set_listen_backlog(&listener, LISTEN_BACKLOG)?;
        if let Some(descriptors) = descriptor::raise_limit() {
            let free = descriptors.saturating_sub(RESERVED_DESCRIPTORS);
            options.max_clients = options.max_clients.min(free);
        }
        if options.framing == Framing::Recv {
            // Its clients take one message at a time.
            options.history = 0;
        }
        let threads = Threads::default();
        options.max_clients = options.max_clients.min(threads.most());
        let (stop, wake) = StopSwitch::new()?;
        let (closing, sockets_to_drain) = Closing::new();
        let (log, log_thread) = EventLog::start(options.quiet)?;
        log.notice(&format!("Server is listening on {}", listener.local_addr()?));
        log.notice("Waiting for connections...");
        let room = Room {
            backlog: Backlog::new(options.backlog),
            options,
            registry: Registry::default(),
            outbox: Outbox::default(),
            gate: Gate::default(),
            threads,
            closing,
            log,
        };
        Ok(Self { room: Arc::new(room), listener, stop, wake, sockets_to_drain, log_thread })
    }

    /// Returns the address that it listens on, with the port that it got.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until it is asked to stop, then tells everyone, and returns when all threads are done.
    ///
    /// # Errors
    ///
    /// When it stopped because of a fault of its own, not because it was asked to.
    pub fn run(self) -> io::Result<()> {
        let Self { room, listener, stop, wake, sockets_to_drain, log_thread } = self;
        let drain =
            thread::Builder::new().name("drain".into()).spawn(|| drain_loop(sockets_to_drain))?;
        console::start(Arc::downgrade(&room), stop.clone())?;
        // The scope joins the client threads and those that catch up.
        let (room_ref, stop_ref) = (&*room, &stop);
        let mut began = Instant::now();
        let result = thread::scope(|scope| {
            let broadcaster = thread::Builder::new().name("broadcaster".into());
            let (delivering, delivered) = mpsc::channel::<()>();
            let broadcaster = broadcaster.spawn_scoped(scope, move || {
                // Without it the room is mute: also a panic ends the server.
                let _stop = StopOnDrop(stop_ref);
                let _delivering = delivering;
                Broadcaster::new(room_ref, scope).run();
            })?;
            accept::accept_loop(room_ref, &listener, &wake, stop_ref, scope);
            drop(listener);
            signal::stop_at_once();
            room.log.notice("Shutting down...");
            began = Instant::now();
            room.come_to_rest();
            room.outbox.close(replies::SHUTTING_DOWN);
            let left = DELIVERY_TIME.saturating_sub(began.elapsed());
            if delivered.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                room.cut_off();
            }
            let result = broadcaster.join();
            room.hang_up(began);
            result.map_err(|_| io::Error::other("a fault in the broadcaster"))
        });
        // The last owner of the room: what the threads wait for is closed.
        drop(room);
        // It cannot panic: it neither indexes nor unwraps.
        let _ = drain.join();
        log_thread.finish(began + LOG_TIME);
        result
    }
}

/// Asks the server to stop when it is dropped.
struct StopOnDrop<'a>(&'a StopSwitch);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
