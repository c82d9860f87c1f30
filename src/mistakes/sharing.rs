//! What threads share: the mistakes about a map, a mutex and a terminal. Only text, no code.
//!
//! Threads are easy as long as each has its own things. What they share needs a rule, and the rule
//! must also hold when a thread ends in the middle of something, or when another one comes in
//! between.
//!
//! # 13. A panic that poisons the mutex
//!
//! A thread that panics while it holds a mutex *poisons* it: from then on `lock` returns an error
//! to everybody, because what the mutex guards may be half changed. Step 4 has `lock().unwrap()`.
//! Carol leaves as in mistake 11, and her dead connection stays in the registry; the next write to
//! it fails, under the lock:
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
//! 3$ read -r -n 5 start <&3; echo "$start"; exec 3>&-
//! 3  alice
//! 1  ...
//! 1  called `Result::unwrap()` on an `Err` value: ... "Connection reset by peer" }
//! 2> anybody there?
//! 1  ...
//! 1  called `Result::unwrap()` on an `Err` value: ... "Broken pipe" }
//! 4$ echo bob | nc 127.0.0.1 7007
//! 1  ...
//! 1  called `Result::unwrap()` on an `Err` value: PoisonError { .. }
//! 1  ...
//! ```
//!
//! One peer has left in disorder, and the room is closed for good. So three things. What a peer can
//! cause is not unwrapped. What a mutex guards is whole at every moment at which a panic is
//! possible, so that a poisoned lock can be used as it is. And a panic, if there is one after all,
//! ends the session of its own thread and nothing else.
//!
//! Fix: `Registry::lock` in `src/server/registry.rs` and `Outbox::lock` in `src/server/outbox.rs`;
//! `Door::start_session` in `src/server/accept.rs`.
//!
//! Test: `a_panic_leaves_as_every_other_end_of_a_session_does` in `src/server/session.rs`.
//!
//! # 14. Check and insert under two locks
//!
//! Step 4 looks whether a name is taken, looks its owner up somewhere, and puts the name into the
//! registry. It locks the registry for the first and again for the last. In between somebody else
//! may look, too:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; exec 4<>/dev/tcp/127.0.0.1/7007
//! 2$ echo bob >&3; echo bob >&4; read -r line <&3; echo "$line"; read -r line <&4; echo "$line"
//! 2  Welcome, bob!
//! 2  Welcome, bob!
//! ```
//!
//! Two are called bob, and one of them hears nothing, since the map has only one place for the
//! name. Step 4 takes its time between the two locks so that you can see this. With a microsecond
//! in between it happens as well, once in a long while, and in no test. So a name is checked, taken
//! and announced under one hold of the lock, and freed and announced likewise.
//!
//! Fix: [`Room::join`](crate::server::room::Room::join) in `src/server/room.rs`.
//!
//! Test: `of_many_who_want_one_nickname_at_once_exactly_one_gets_it` in `tests/it/nicknames.rs`.
//!
//! # 15. Two threads on one terminal
//!
//! The client of step 3 has a thread that prints what comes and a thread that prompts for what is
//! typed. Each works as if the terminal were its own:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ cargo run -q --example step3_two_threads alice
//! 2  alice> Welcome, alice!
//! 3$ cargo run -q --example step3_two_threads bob
//! 3  bob> Welcome, bob!
//! 2  bob joined
//! 3> hello
//! 2  bob: hello
//! 1  bob: hello
//! ```
//!
//! The welcome landed behind alice's prompt, and she has had no prompt since. Let bob speak while
//! she is in the middle of a word, and the word is torn apart on her screen, though not in what she
//! sends. So one place in the program knows the terminal, behind one lock: it erases the line being
//! typed, prints the message, and draws the line again, all in one write.
//!
//! Fix: `Screen::draw` in `src/client/screen.rs`.
//!
//! Test: `a_message_appears_above_the_line_and_the_line_stays_whole` in `src/client/screen.rs`.
