//! How things end: the mistakes about errors, and about peers that leave. Only text, no code.
//!
//! A connection ends in one of three ways. The peer says that it has nothing more to send: `read`
//! returns 0. The connection is *reset*: `read` returns an error. Or nothing is ever heard again.
//! All three are everyday events, and none is a fault of the server.
//!
//! # 9. An accept error that ends the loop
//!
//! `accept` can fail, too. Each connection takes a *descriptor* of the process, and there is a
//! limit; `ulimit -n` lowers it here. Step 4 has an `unwrap` behind `accept`:
//!
//! ```console
//! 1$ (ulimit -n 20; cargo run -q --example step4_many_users); echo "exit code $?"
//! 1  Listening on 127.0.0.1:7007
//! 2$ for n in {1..20}; do exec {client}<>/dev/tcp/127.0.0.1/7007; echo "user $n" >&$client; done
//! 2  ...
//! 1  ...
//! 1  thread 'main' ...
//! 1  called `Result::unwrap()` on an `Err` value: Os { code: 24, ... }
//! 1  ...
//! 1  exit code 101
//! ```
//!
//! Everybody is out because somebody was one too many. So no error of `accept` ends the loop. It
//! pauses before it tries again, since it would fail again at once and take a whole processor. And
//! the server counts its clients itself, and has a word for the one too many, before the system
//! runs out.
//!
//! Fix: [`accept_loop`](crate::server::accept::accept_loop) in `src/server/accept.rs`.
//!
//! Test: `out_of_descriptors_newcomers_are_told_and_one_who_leaves_makes_room` in
//! `tests/it/exhaustion.rs`.
//!
//! # 10. A peer that vanishes
//!
//! Pull the cable, or close the lid: no message says that the peer is gone, and a thread in `read`
//! waits for ever. The name stays taken. The system can ask a silent peer whether it is still
//! there, but only if it is told to. On Linux this shows the timers of the connections to port 7007
//! (1B5F in hexadecimal):
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007 && echo connected
//! 2  connected
//! 3$ awk '$2 ~ /:1B5F$/ && $4 == "01" { print "timer " $6 }' /proc/net/tcp
//! 3  timer 00:00000000
//! ```
//!
//! No timer runs: nobody will ever ask. In the real server the timer of *keep-alive* runs, which has
//! the number 02 (behind it stands the time that is left):
//!
//! ```console
//! 1$ cargo run -q --bin server -- --port 7007
//! 1  [SERVER] Server is listening on 127.0.0.1:7007
//! 1  [SERVER] Waiting for connections...
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; read -r line <&3; echo "$line"
//! 2  [SERVER] Enter your nickname:
//! 1  [SERVER] Connected with 127.0.0.1:...
//! 3$ timers() { awk '$2 ~ /:1B5F$/ && $4 == "01" { print "timer " $6 }' /proc/net/tcp; }
//! 3$ until timers | grep 02:; do sleep 0.1; done
//! 3  timer 02:...
//! ```
//!
//! Keep-alive finds a peer that vanished in silence; a second limit finds one to which something was
//! sent that it never acknowledged.
//!
//! Fix: [`detect_dead_peer`](crate::system::socket::detect_dead_peer) in `src/system/socket.rs`,
//! called in `src/server/accept.rs`.
//!
//! Test: `every_connection_is_asked_whether_its_peer_is_there` in `tests/it/dead_peers.rs`.
//!
//! # 11. A leave announced twice or never
//!
//! Step 4 announces a leave when `read` returns 0. Carol's connection is reset instead, because it
//! is closed while there is something in it that she has not read (she takes five characters of the
//! line):
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007
//! 2> alice
//! 2  Welcome, alice!
//! 3$ exec 3<>/dev/tcp/127.0.0.1/7007; echo carol >&3; read -r line <&3; echo "$line"
//! 3  Welcome, carol!
//! 2  carol joined
//! 2> hello carol
//! 1  alice: hello carol
//! 3$ read -r -n 5 start <&3; echo "$start"; exec 3>&-
//! 3  alice
//! 1  ...
//! 1  called `Result::unwrap()` on an `Err` value: ... "Connection reset by peer" }
//! 1  ...
//! 4$ echo carol | nc 127.0.0.1 7007
//! 4  That name is taken.
//! ```
//!
//! Her thread is dead, nobody was told, and her name is taken until the server ends. Announcing the
//! leave in one more place, where a write fails, say, makes it "twice". So leaving happens in one
//! place, and cannot be missed: when a value goes out of scope, which Rust does on every way out of
//! a function, a panic included. Whoever finds out elsewhere that a peer is gone only wakes its
//! thread.
//!
//! Fix: `LeaveGuard::drop` in `src/server/session.rs`, which comes to
//! [`Room::leave`](crate::server::room::Room::leave) in `src/server/room.rs`.
//!
//! Test: `a_connection_that_breaks_leaves_with_the_reason` and
//! `everybody_leaving_at_once_is_told_of_once_each` in `tests/it/leaving.rs`.
//!
//! # 12. Closing before the last line is out
//!
//! Step 4 says why it turns somebody away, and closes. But a socket that is closed while something
//! in it was not read is reset, and the reset can destroy what the peer has not read yet. Here the
//! first 1024 bytes are the name, and the rest has come too when the server closes:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007
//! 2> alice
//! 2  Welcome, alice!
//! 3$ exec 3<>/dev/tcp/127.0.0.1/7007; printf '%-2000s' alice >&3; cat <&3
//! 3  That name is taken.
//! 3  cat: ...: Connection reset by peer
//! ```
//!
//! This time the words came before the reset. On a slower line, on other systems, or with a peer
//! that is still writing, the reset is all that comes. So the *writing side* is shut down first:
//! the peer reads the last words and then the end. What it still sends is read and thrown away for
//! a moment, and only then is the socket closed. One thread does this for all, so that nobody waits
//! for it.
//!
//! Fix: `Session::drain` in `src/server/session.rs`, and `Door::drain_refused` in
//! `src/server/accept.rs`.
//!
//! Test: `the_last_words_arrive_although_more_is_sent_than_the_server_reads` in
//! `tests/it/leaving.rs`.
