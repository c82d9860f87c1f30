//! A multi-user TCP chat with blocking sockets and one thread a client, and nothing but `std`.
//!
//! This page is the map. The code is meant to be read; the modules below stand in reading order.
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
//! Arrows run down and never back up, and the programs do not know each other. What measures and
//! besieges the server is no part of the house: it is `tests/load`. Apart stands the course for those
//! who learn from this: four steps from an echo server to a naive chat in `src/steps`, each a file to
//! run, and [`mistakes`], what is still wrong with the last of them and how to see it.
//!
//! # The way of a message
//!
//! ```text
//!  accept loop ─ spawns ─> client thread 1 ─┐                        ┌─> socket 1
//!                          client thread 2 ─┼─> outbox ─> broadcaster ─> socket 2
//!                          client thread n ─┘  (in order)            └─> socket n
//!                                                   │
//!                                                   └─> backlog ─> catch-up thread of whoever is slow
//! ```
//!
//! alice types `hello`. Her thread at the server ([`server::session`]) blocks until something comes; it
//! wakes, reads, cuts the line from what came ([`protocol::framing`]), cleans it
//! ([`protocol::cleaning`]), puts her name in front, and appends it to the [`server::outbox`]. Then it
//! waits again. The one broadcaster thread ([`server::broadcaster`]) takes all that has gathered by
//! then, hers and everybody else's, and gives each recipient in one write what is new less the
//! recipient's own words ([`server::batch`]). A recipient that does not take it all is from then on
//! served by a thread of its own from a shared log ([`server::backlog`], [`server::catch_up`]), and the
//! broadcaster goes on.
//!
//! # What always holds
//!
//! 1. **One order, one writer.** Everything that others can notice is an entry of the outbox, and the
//!    broadcaster applies entries in order. Once a client is in, only the broadcaster, or the client's
//!    catch-up thread in its stead, writes to its socket. So no line is torn, doubled or overtaken.
//! 2. **No lock is held over a socket**, nor over anything else that can wait for a stranger.
//! 3. **A slow reader delays nobody.** The broadcaster never waits for a socket.
//! 4. **A fast sender is slowed.** What gathers is bounded; over the bound the sender's thread waits and
//!    stops reading, and TCP passes that on.
//! 5. **Whatever ends a session ends that session only**, once, and announces it.
//!
//! | lock | guards | is never held while |
//! | --- | --- | --- |
//! | [`server::registry`] | who is connected, under which name | anything waits |
//! | [`server::outbox`] | what has gathered | more than a copy is made |
//! | [`server::backlog`] | where slow clients are in the log | anything is written |
//! | [`server::shutdown::Gate`] | that what was read is handed on | a peer is waited for; sessions wait for their rate and for the outbox inside, until the end lifts both |
//!
//! Where several are held they are taken in this order: the gate, the registry, the outbox.

pub mod protocol;

pub mod server;

pub mod client;

pub mod arguments;

pub mod system;

pub mod mistakes;
