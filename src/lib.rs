//! A multi-user TCP chat: blocking sockets, one thread per client, and nothing but `std`.
//!
//! This page is the map. The code is meant to be read, in this order:
//!
//! 1. [`protocol`]: what both programs speak. Pure: no sockets, no threads, no clock.
//! 2. [`server`]: a room that people join.
//! 3. [`client`]: what a person or a script joins with.
//! 4. [`arguments`]: the command lines.
//! 5. [`system`]: the few calls that `std` does not have.
//!
//! # The house
//!
//! ```text
//!  bin/server.rs        bin/client.rs     arguments in, exit code out
//!       │                    │
//!    server               client           the two programs
//!       └─────────┬──────────┘
//!       protocol  │  arguments             what both speak: pure, no I/O of their own
//!               system                     the calls that std does not have; the only unsafe
//! ```
//!
//! Arrows run down and never back up, and the programs do not know each other. The tool that measures
//! and besieges the server is not part of the house: it is `tests/load`. The course for learners stands
//! apart: [`lessons`], thirteen steps from an echo server to what the real server is, each a file to run.
//! If sockets and threads are new to you, begin there.
//!
//! # The way of a message
//!
//! ```text
//!  accept loop ─ spawns ─> session 1 ─┐                              ┌─> part 1 ─> sockets
//!                          session 2 ─┼─> outbox ─> writer: a round ─┼─> part 2 ─> sockets
//!                          session n ─┘  (one order)                 └─> part m ─> sockets
//! ```
//!
//! Alice types `hello`. Her client sends the line.
//!
//! 1. Her [`session`](server::session) at the server, a thread of its own, blocks in `read`. It wakes,
//!    cuts the line from what came ([`protocol::framing`]), takes a token for it ([`server::rate`]),
//!    cleans it ([`protocol::cleaning`]), and puts her name in front ([`member`](server::member)).
//! 2. It appends the line to the [`room`](server::room) in the [`outbox`](server::outbox), and so to the
//!    [`batch`](server::batch) that gathers there. Then it reads again.
//! 3. The [`writer`](server::writer) takes the whole batch, hers and everybody else's lines. It sends each
//!    recipient, in one write that never waits, everything that is new to it, without its own words.
//!    In a large room [helpers](server::fan_out) on the other processors take a share of the recipients.
//! 4. A recipient that does not take it all is [`behind`](server::behind). The batch stays in the
//!    [`log`](server::log), and the recipient has a place there until it has caught up.
//!
//! # What always holds
//!
//! 1. **One order.** Everything that others can notice is appended to the outbox. So all see the same
//!    order, and the room knows who is in at each point of it.
//! 2. **One writer for each socket.** Once a client is in, only the writer, or the helper that has the
//!    client's part in this round, sends to it. So no line is torn, doubled or overtaken.
//! 3. **No lock is held over a socket**, nor over anything else that can wait for a stranger.
//! 4. **A slow reader delays nobody**, and a client that does not read is not read.
//! 5. **A fast sender is slowed.** What gathers is bounded. Over the bound its session waits and stops
//!    reading, and TCP passes that on. The first line of a quiet client never waits.
//! 6. **Whatever ends a session ends that session only**, once, and is announced.
//!
//! # Locks
//!
//! | lock | guards | held for | taken by |
//! | --- | --- | --- | --- |
//! | [`Outbox`](server::outbox::Outbox) | the room: who is in, history, the batch | one change, or a swap | sessions, writer, console |
//! | [`Registry`](server::registry::Registry) | all connections by number | a look, or a copy of the list | accept loop, sessions, shutdown |
//! | [`Shutdown`](server::shutdown::Shutdown) | how many sessions have something in flight | counting | sessions, shutdown |
//! | [`AddressQuota`](server::rate::AddressQuota) | what an address may still send | counting | sessions from that address |
//! | [`Bans`](server::operator::bans::Bans) | who may not come in | a look, or a copy of the table | accept loop, console |
//! | the table of [`FanOut`](server::fan_out::FanOut) | parts that wait, and parts that are done | taking or putting back one | writer, helpers |
//!
//! No two of them are ever held at once, so there is no order in which to take them. Atomic flags are
//! `Relaxed` everywhere: what must be seen in order is ordered by one of these locks, or by waking a thread.
//!
//! # What is deliberately absent
//!
//! An async runtime, an event loop, non-blocking sockets, a queue or a writer for each client, timers,
//! accounts, encryption, channels, and any crate.

pub mod protocol;

pub mod server;

pub mod relay;

pub mod client;

pub mod arguments;

pub mod system;

pub mod lessons;
