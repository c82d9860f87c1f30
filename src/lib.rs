//! A multi-user TCP chat: blocking sockets, one thread per client, and nothing but `std`.
//!
//! This page is a map of the code. The modules are meant to be read in this order:
//!
//! 1. [`protocol`]: the protocol that both programs speak. It uses no sockets, no threads and no clock.
//! 2. [`server`]: the server, which runs the room.
//! 3. [`client`]: the client, with which a person or a script joins the room.
//! 4. [`arguments`]: the parser for command lines.
//! 5. [`system`]: the few system calls that `std` does not have.
//! 6. [`relay`]: the code with which several servers share one room. The relay is optional. Most calls to the relay
//!    are in [`server::order`].
//!
//! # The modules
//!
//! ```text
//!  bin/server.rs        bin/client.rs    arguments in, exit code out
//!       │                    │
//!    server ── relay      client         the two programs
//!       └─────────┬──────────┘
//!       protocol  │  arguments           what both programs use; no sockets
//!               system                   the calls that std does not have; the only unsafe
//! ```
//!
//! A module uses only modules that are in its row or in a lower row of this picture. The server and the client do
//! not use each other. The server and the relay do use each other, because the relay is a part of the server. The
//! tool that measures and attacks the server is in `tests/load`.
//!
//! If sockets and threads are new to you, begin with the course in [`lessons`]. The course leads from an echo
//! server to this server in thirteen steps. Each step is a program that you can run.
//!
//! # The path of a message
//!
//! ```text
//!  accept loop ─ spawns ─> session 1 ─┐                              ┌─> part 1 ─> sockets
//!                          session 2 ─┼─> outbox ─> writer: a round ─┼─> part 2 ─> sockets
//!                          session n ─┘  (one order)                 └─> part m ─> sockets
//! ```
//!
//! Alice types `hello`. The send thread of her client waits in `poll` for keys. The thread sends the line, and then
//! shows it on her screen. The server does not send the line back to her.
//!
//! 1. On the server, Alice has a [`session`](server::session), which runs in its own thread and blocks in `read`. The
//!    session wakes. If her [`rate`](server::rate) limit does not allow another line yet, the session parks its
//!    thread until the limit allows a line. Then the session cuts the line from the received bytes
//!    ([`protocol::framing`]), cleans the line ([`protocol::cleaning`]), and puts her nickname in front of it
//!    ([`member`](server::member)). Then the session treats the other lines from this `read` in the same way, as far
//!    as the rate limit allows.
//! 2. The session locks the [`outbox`](server::outbox), which contains the [`room`](server::room). The room adds the
//!    lines to its history, and to the [`batch`](server::batch) that the writer sends next. Then the session reads
//!    again. (If several servers share the room, the lines take a longer path to the outbox: see [`server::order`].)
//! 3. The [`writer`](server::writer) is one thread. It waits on a condition variable of the outbox until a session
//!    appends something. Then it takes the whole batch and sends it. This is one *round*. Lines that arrive during a
//!    round are sent in the next round. So no line ever waits for a batch to fill up.
//! 4. A batch contains each line once. Each recipient has its own *view* of the batch. A view leaves out the
//!    recipient's own messages, and includes the answers that are for this recipient alone. The writer sends each
//!    recipient its view, nearly always with one call. This call never blocks, although the socket itself is a
//!    blocking socket: on Linux, the flag `MSG_DONTWAIT` makes only this call non-blocking.
//! 5. The recipients are divided into [`parts`](server::part). In a small room, the writer sends to all parts. In a
//!    large room, the writer lays the parts on a table and wakes [helper threads](server::fan_out). The writer and
//!    the helpers take parts until no part is left. Then the writer waits for the last helper. (During a flood, at
//!    most half of the processors send, because the sessions need the others.) A batch also lists the clients that
//!    join and the clients that leave. Before the round, the writer adds each joining client to its part. After the
//!    round, the writer removes the leaving clients from their parts.
//! 6. The receive thread of Bob's client blocks in `read`. The line wakes this thread, which stores the line and
//!    wakes the send thread through a pipe. The send thread shows the line, so only one thread writes to the
//!    terminal.
//!
//! # What happens to a slow reader
//!
//! Bob's client stops reading. The server limits the amount of unsent text that the kernel keeps for him. So his
//! socket soon accepts only the beginning of his view, or nothing.
//!
//! 1. Bob is now [`behind`](server::behind). The thread that sent to Bob removes him from his part. After the round,
//!    the writer sets the flag `is_behind` of Bob's [`client`](server::client). It copies the common text of the
//!    batch into the [`log`](server::log), and notes Bob's place in the log: the number of the batch, and the number
//!    of bytes of his view that were sent.
//! 2. Bob's session checks the flag before it acts on a line. While the flag is set, the session parks its thread. So
//!    the server stops reading from a client that has stopped reading. (It completes a `read` that has already begun.)
//! 3. The rounds continue without Bob. While any client is behind, the writer appends the common text of each further
//!    batch to the log. All clients that are behind share this one copy. The writer drops each batch once no client
//!    needs it. Private text for Bob is not in the log. The writer keeps this text with Bob's place. Private text has
//!    a limit of its own: above that limit, the server refuses `/msg` to Bob.
//! 4. The writer makes an *offer* to the slow readers, usually every 5 to 40 milliseconds. It asks `poll` which of
//!    their sockets have space again, and sends to each of these sockets the text that follows the reader's place in
//!    the log. Between two offers, the writer waits for the outbox, as described above. `poll` reports a socket only
//!    when a third of its buffer is free. So from time to time the writer also tries a socket that `poll` does not
//!    report.
//! 5. Once Bob's socket has accepted the rest of the log, he is *current* again. The writer puts him back into his
//!    part, clears the flag, and wakes his session. The next round sends to him as before.
//! 6. If Bob's socket accepts nothing for ten seconds, or if the log is full and drops a batch that he still needs,
//!    he is too slow. The writer appends his leave to the outbox, so all others receive
//!    `bob left the chat! (too slow)`. The writer also shuts his connection down. This wakes his session, which
//!    ends.
//! 7. If Bob's connection breaks, the next send to him fails. The writer shuts the connection down and wakes his
//!    session. The session acts on everything that arrived before the break, and then appends his leave. If Bob
//!    leaves or is kicked while he is behind, he has at most ten seconds to receive everything up to his final line.
//!
//! [`server`] explains how the server shuts down.
//!
//! # Invariants
//!
//! 1. **One order.** Everything that other clients can notice is appended to the outbox. So all clients see the same
//!    order, and at each point of this order it is certain who is in the room.
//! 2. **One writer for each socket.** Once a client is in the room, only one thread at a time sends to it: the
//!    writer, or the helper that has taken the client's part in this round. So no line is split, sent twice or
//!    overtaken.
//! 3. **No thread of the server holds a lock while it sends or receives.** So no client can delay a thread that holds
//!    a lock.
//! 4. **A slow reader delays nobody.** There is one exception. If the log begins to fill, and more than half of the
//!    clients are behind but still accept text, then the room is too fast for most clients. After each round, the
//!    writer then waits until these clients have caught up, but for at most 50 milliseconds. If some of them have
//!    not caught up then, the writer halves the limit of the outbox.
//! 5. **A fast sender is slowed down.** The amount of text in the outbox is limited. At the limit, a session that
//!    already has text in the outbox waits until the writer takes the batch. While the session waits, it does not
//!    read, so TCP slows its client down. A session that has no text in the outbox can always add one line.
//! 6. **When one session ends, the others continue.** Each member leaves exactly once, and everybody else is
//!    informed, unless the server itself shuts down or loses the shared room.
//!
//! # Locks
//!
//! | lock | guards | held for | taken by |
//! | --- | --- | --- | --- |
//! | [`Outbox`](server::outbox::Outbox) | the room: its members, its history, and the batch | one change, one query, or the swap of the batch | sessions, writer, accept loop, console, history, the relay's reader |
//! | [`Registry`](server::registry::Registry) | all connections by number | one change, one query, or a copy of the list | sessions, accept loop, console |
//! | [`Shutdown`](server::shutdown::Shutdown) | the number of sessions that have lines in flight | one change of the number | sessions, accept loop |
//! | [`AddressQuota`](server::rate::AddressQuota) | the number of lines that an address may still send | one change of the number | sessions from that address, accept loop |
//! | [`Bans`](server::operator::bans::Bans) | the banned addresses | one change, one query, or a copy of the table | accept loop, console |
//! | the outbox of the [`Relay`](relay::Relay) | the records for the other servers, and the position up to which this server has read the common log | one change | sessions, writer, accept loop, console, the relay's threads |
//! | the table of [`FanOut`](server::fan_out::FanOut) | the parts that wait in this round, and the parts that are done | laying out the parts, taking one part, or putting one part back | writer, helpers |
//!
//! These are the locks of the server. (The accept loop's entries include the shutdown, which runs in the same
//! thread.) No thread ever holds two of these locks at once, so no lock order is needed. Atomic flags use `Relaxed`
//! ordering, since no other data depends on them: data that belongs together is behind one of these locks. The client
//! has one lock, for everything that its two threads share: see [`client`]. (The
//! [terminal](system::terminal) uses `SeqCst`, since its threads set one flag and then read another.)
//!
//! # Where to see a pattern
//!
//! | pattern | where to see it |
//! | --- | --- |
//! | cutting a byte stream into messages of limited length | [`protocol::framing`] |
//! | one thread per client, and the end of this thread | [`server::session`] |
//! | checking, taking and announcing a nickname under one lock | [`server::room`] |
//! | many producers, one consumer, and batches that never wait to fill up | [`server::outbox`] |
//! | backpressure: a full queue slows a fast sender down, but not a quiet sender | [`server::outbox`] |
//! | never waiting for a slow reader, and still losing no text | [`server::behind`] |
//! | sharing the work of one loop among all processors, in one order and without unsafe code | [`server::fan_out`] |
//! | waking a thread that waits for connections, for input, or for another thread | [`system::socket`], [`server::client`] |
//! | a signal handler that does little more than write a byte | [`system::signal`] |
//! | closing a socket so that the final line still arrives | [`server::session`], [`server::writer`] |
//! | ending ten thousand threads within three seconds | [`server::shutdown`] |
//! | logging that cannot stop the program | [`server::operator::event_log`] |
//!
//! # What is deliberately absent
//!
//! This project deliberately has no async runtime, no event loop, no queue or writer thread per client, and no timer
//! thread. A client's connection is never made non-blocking for more than one call. The chat has no accounts, no
//! encryption, and only one room. The project depends on no crates.

pub mod protocol;

pub mod server;

pub mod relay;

pub mod client;

pub mod arguments;

pub mod system;

pub mod lessons;
