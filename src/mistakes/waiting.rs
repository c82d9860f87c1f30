//! Who waits for whom: the mistakes about calls that block. Only text, no code.
//!
//! `accept`, `read` and `write` block: the thread that calls them stands still until there is a
//! connection, until something comes, until there is room for what is sent. How long that takes is
//! up to the peer. So the question at each such call is who else stands still meanwhile.
//!
//! # 5. The handshake in the accept loop
//!
//! Step 4 reads a newcomer's name before it accepts the next connection. This one connects and says
//! nothing, and bob has to wait:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007 && echo connected
//! 2  connected
//! 3$ echo bob | timeout 1 nc 127.0.0.1 7007; echo "exit code $?"
//! 3  exit code 124
//! ```
//!
//! One idle connection has locked everybody out, and port scanners make such connections all day.
//! So the accept loop does nothing that can wait for a peer: it gives the connection a thread, and
//! that thread asks for the name, with a deadline.
//!
//! Fix: [`accept_loop`](crate::server::accept::accept_loop) in `src/server/accept.rs` and
//! [`serve`](crate::server::session::serve) in `src/server/session.rs`.
//!
//! Test: `a_connection_that_says_nothing_keeps_nobody_from_joining` in `tests/it/login.rs`.
//!
//! # 6. A write under the registry's lock
//!
//! What is sent to a peer that does not read gathers in the system's buffers, some megabytes of it.
//! Once they are full, `write` blocks until the peer reads. Step 4 writes while it holds the lock
//! of the registry. Carol has stalled: she reads one line and then nothing more. Bob talks without
//! end (`yes` prints `y` forever), and dave wants to join:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; echo carol >&3; read -r line <&3; echo "$line"
//! 2  Welcome, carol!
//! 3$ exec 3<>/dev/tcp/127.0.0.1/7007; echo bob >&3; read -r line <&3; echo "$line"
//! 3  Welcome, bob!
//! 1  ...
//! 3$ timeout 2 yes >&3; echo "exit code $?"
//! 3  exit code 124
//! 4$ echo dave | timeout 1 nc 127.0.0.1 7007; echo "exit code $?"
//! 4  exit code 124
//! ```
//!
//! Bob's thread blocks in writing to carol, with the lock in its hand, and all others wait for the
//! lock. One laptop that was closed has stopped the room. So two rules: no lock is held over a
//! socket, and the one thread that writes to everybody never waits for a socket either. Who takes
//! less than was offered is served by a thread of its own from then on.
//!
//! Fix: [`send_now`](crate::system::socket::send_now) in `src/system/socket.rs`, which never waits;
//! [`Writer::run`](crate::server::writer::Writer::run) in `src/server/writer.rs`; and
//! [`Behind::offer`](crate::server::behind::Behind::offer) in `src/server/behind.rs` for a reader that
//! stalls.
//!
//! Test: `who_reads_late_has_delayed_nobody_missed_nothing_and_is_live_again` in
//! `tests/it/slow_readers.rs`.
//!
//! # 7. A queue without a bound
//!
//! Step 4 knows that printing can block too, when somebody has pressed Ctrl-S in the server's
//! terminal or the pipe behind it is full. So messages go through a queue to a thread that prints.
//! But nothing bounds the queue. Here `sleep` stands for a reader of the log that has stopped
//! reading, and alice talks without end:
//!
//! ```console
//! 1$ (ulimit -v 150000; cargo run -q --example step4_many_users) | (head -n 1; sleep 60)
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; echo alice >&3; read -r line <&3; echo "$line"
//! 2  Welcome, alice!
//! 2$ yes >&3
//! 2  yes: ...
//! 1  memory allocation of ... bytes failed
//! 1  ...
//! ```
//!
//! (The limit of `ulimit` is there for your machine's sake; without it the server grows until there
//! is no memory left at all.) Every queue needs a bound, and an answer to what happens when it is
//! reached: wait, drop, or give somebody up. The real server has each of them. What people say
//! waits, and so TCP slows the sender down; the log drops lines and says how many; who has stalled
//! for too long is disconnected.
//!
//! Fix: [`Outbox::say`](crate::server::outbox::Outbox::say) in `src/server/outbox.rs` waits,
//! [`EventLog::notice`](crate::server::event_log::EventLog::notice) in `src/server/event_log.rs`
//! drops, and [`Behind::keep`](crate::server::behind::Behind::keep) in
//! `src/server/behind.rs` gives up.
//!
//! Test: `what_a_stalled_reader_costs_is_bounded` in `tests/it/slow_readers.rs`;
//! `one_whose_batch_was_dropped_is_too_slow_and_the_others_are_not` in `src/server/behind.rs`.
//!
//! # 8. No way to stop accept and read
//!
//! The main thread of step 4 blocks in `accept` and the others in `read`; none of them can be told
//! to end. All that is left is to kill the process, and nobody hears a word:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; echo alice >&3; read -r line <&3; echo "$line"
//! 2  Welcome, alice!
//! 2$ cat <&3; echo "(end)"
//! 1^C
//! 2  (end)
//! ```
//!
//! What had been read and not passed on is lost, too. So each blocking call needs somebody who can
//! wake it. The accept loop waits for its listener and for a pipe at once; the handler of the
//! signal writes a byte into the pipe. A thread in `read` wakes when another thread shuts the
//! socket down. And a thread that waits for anything else waits on a condition variable.
//!
//! Fix: [`wait_for_connection`](crate::system::socket::wait_for_connection) in
//! `src/system/socket.rs`, [`ShutdownHandle::stop`](crate::server::shutdown::ShutdownHandle::stop) and
//! [`shut_down`](crate::server::shutdown::shut_down) in `src/server/shutdown.rs`.
//!
//! Test: `each_signal_that_asks_for_it_ends_the_server_in_order` in `tests/it/shutdown.rs`.
