//! A multi-user TCP chat: blocking sockets, one thread per client, and nothing but `std`.
//!
//! This page is the map. The code is meant to be read, in this order:
//!
//! 1. [`protocol`]: what both programs speak. Pure: no sockets, no threads, no clock.
//! 2. [`server`]: a room that people join.
//! 3. [`client`]: what a person or a script joins with.
//! 4. [`arguments`]: the command lines.
//! 5. [`system`]: the few calls that `std` does not have.
//! 6. [`relay`]: how several servers make one room. Optional, and last: it meets the server at [`server::order`].
//!
//! # The house
//!
//! ```text
//!  bin/server.rs        bin/client.rs    arguments in, exit code out
//!       │                    │
//!    server ── relay      client         the two programs
//!       └─────────┬──────────┘
//!       protocol  │  arguments           what both speak: pure, no I/O of their own
//!               system                   the calls that std does not have; the only unsafe
//! ```
//!
//! A module uses only what stands below it, and the two programs do not know each other. The relay is a part of
//! the server that stands apart: these two know each other. The tool that measures and attacks the server is in
//! `tests/load`.
//!
//! If sockets and threads are new to you, begin with the course: [`lessons`]. It leads in thirteen steps from
//! an echo server to this server. Each step is a program to run.
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
//! 1. At the server Alice has a [`session`](server::session), a thread of its own that blocks in `read`. It
//!    wakes, and waits until her [`rate`](server::rate) allows a line. It cuts the line from what came
//!    ([`protocol::framing`]), cleans it ([`protocol::cleaning`]), and puts her name in front
//!    ([`member`](server::member)). It does the same with the other lines of this read.
//! 2. The session locks the [`outbox`](server::outbox) and appends the lines to the [`room`](server::room) in
//!    it. The room adds them to its history, and to the [`batch`](server::batch) that the next round will
//!    send. The session reads again. (Only a server that shares its room does this in two steps: see
//!    [`server::order`].)
//! 3. The [`writer`](server::writer) is one thread. An append wakes it from its wait on the outbox. It takes
//!    the whole batch and sends it: that is a round. What comes meanwhile is the batch of the next round. So
//!    nothing waits for a batch to fill.
//! 4. A batch holds each line once. Each recipient has a *view* of it. The view leaves out the recipient's own
//!    words, and has the answers that are for this recipient alone. The writer sends each recipient its view,
//!    nearly always with one call, and that call never waits. The socket itself stays blocking: on Linux a flag
//!    of the call does this (`MSG_DONTWAIT`).
//! 5. The recipients lie in [`parts`](server::part). In a small room the writer sends to all of them. In a
//!    large room [helpers](server::fan_out) on the other processors take parts too, until none is left. A batch
//!    also says who joins and who leaves. The writer adds those who join to their parts before the round. It
//!    removes those who leave after the round.
//!
//! # The way of a slow reader
//!
//! Bob's client stops reading. The kernel's buffer for him fills, and takes only the beginning of his view.
//!
//! 1. Bob is [`behind`](server::behind) now. The thread that sent to him takes him out of his part. After the
//!    round the writer copies the batch into the [`log`](server::log), and notes Bob's place there: which batch,
//!    and how many bytes of his view are sent.
//! 2. The rounds go on without Bob. While anybody is behind, the writer appends each further batch to the log.
//!    One copy serves all who are behind.
//! 3. The writer sets the flag `is_behind` of Bob's [`client`](server::client). His session looks at this flag
//!    before each line. While it is set, the session cuts no line and waits. The server reads nothing from a
//!    client that does not read.
//! 4. The writer's wait for the next batch ends when the next offer is due, after 5 to 40 milliseconds as a
//!    rule. The writer asks `poll` which sockets have space again, and offers each of them the text that follows
//!    the reader's place. Now and then it also tries a socket without asking.
//! 5. Once Bob has taken the whole log, he is current. The writer puts him back into his part, and wakes his
//!    session. The next round sends to him as before.
//! 6. Bob is evicted when he takes nothing for ten seconds. He is also evicted when the log is full and drops
//!    a batch that he still needs. The writer closes his connection without a last line, and all others are
//!    told `bob left the chat! (too slow)`.
//! 7. If his connection breaks, the next send to him fails, and the writer closes it. If he is kicked, he has
//!    ten seconds to take what came before that.
//!
//! How the server ends is told in [`server`].
//!
//! # What always holds
//!
//! 1. **One order.** Everything that others can notice is appended to the outbox. So all see the same
//!    order, and the room knows who is in at each point of it.
//! 2. **One writer for each socket.** Once a client is in, only one thread at a time sends to it: the writer,
//!    or the helper that has the client's part in this round. So no line is torn, doubled or overtaken.
//! 3. **No lock is held over a socket.** A thread that holds a lock waits for nothing that a stranger can delay.
//! 4. **A slow reader delays nobody.** There is one exception. When more than half of the room is behind and
//!    still reads, the room is too fast, and each round waits for them, but at most for 50 milliseconds.
//! 5. **A fast sender is slowed.** The text that gathers in the outbox is bounded. Over the bound, a session
//!    that already has text there waits. It does not read meanwhile, and so TCP slows its client down. The
//!    first line of a quiet client never waits.
//! 6. **The end of one session ends no other.** A member leaves once, and everybody is told.
//!
//! # Locks
//!
//! | lock | guards | held for | taken by |
//! | --- | --- | --- | --- |
//! | [`Outbox`](server::outbox::Outbox) | the room: who is in, history, the batch | one change, a look, or a swap | sessions, writer, accept loop, console, history, the relay's reader |
//! | [`Registry`](server::registry::Registry) | all connections by number | a look, or a copy of the list | sessions, accept loop, console |
//! | [`Shutdown`](server::shutdown::Shutdown) | how many sessions have something in flight | counting | sessions, accept loop |
//! | [`AddressQuota`](server::rate::AddressQuota) | what an address may still send | counting | sessions from that address, accept loop |
//! | [`Bans`](server::operator::bans::Bans) | who may not come in | a look, or a copy of the table | accept loop, console |
//! | the outbox of the [`Relay`](relay::Relay) | what goes to other servers, and how far this server has read | one change | sessions, writer, accept loop, console, the relay's threads |
//! | the table of [`FanOut`](server::fan_out::FanOut) | parts that wait, and parts that are done | taking or putting back one | writer, helpers |
//!
//! These are the locks of the server. Its shutdown runs in the accept loop's thread. No two of these locks are
//! ever held at once, so there is no order in which to take them. Atomic flags are `Relaxed`: where the order
//! matters, one of these locks makes it, or the waking of a thread. The client has one lock, for everything that
//! its two threads share: see [`client`]. (The flags of the [terminal](system::terminal), which signal handlers
//! set, are `SeqCst`.)
//!
//! # Where to see a pattern
//!
//! | pattern | where to see it |
//! | --- | --- |
//! | cutting a byte stream into messages of limited length | [`protocol::framing`] |
//! | one thread per client, and what ends it | [`server::session`] |
//! | check, take and announce a name under one lock | [`server::room`] |
//! | many producers, one consumer, batches without waiting | [`server::outbox`] |
//! | backpressure: a full queue slows a fast sender down, and a quiet sender overtakes it | [`server::outbox`] |
//! | never waiting for a slow reader, and losing nothing | [`server::behind`] |
//! | one job on all processors, one order, no unsafe code | [`server::fan_out`] |
//! | waking a thread that blocks in `accept`, in `read`, or in a wait | [`system::socket`], [`server::client`] |
//! | a signal handler that does nothing but write a byte | [`system::signal`] |
//! | closing a socket so that the last words arrive | [`server::session`], [`server::writer`] |
//! | ending ten thousand threads within three seconds | [`server::shutdown`] |
//! | logging that cannot stop the program | [`server::operator::event_log`] |
//!
//! # What is deliberately absent
//!
//! An async runtime, an event loop, connections that stay non-blocking, a queue or a writer for each
//! client, a timer thread, accounts, encryption, channels, and any crate.

pub mod protocol;

pub mod server;

pub mod relay;

pub mod client;

pub mod arguments;

pub mod system;

pub mod lessons;
