//! What comes is bytes: the mistakes about what a `read` returns. Only text, no code.
//!
//! A peer sends messages, or so it seems. What TCP delivers is a stream of bytes: in order, none
//! lost, none twice, and with no mark where one `write` of the peer ended and the next began. And a
//! peer may be anybody, so the bytes may be anything.
//!
//! # 1. One read is not one message
//!
//! Step 4 takes what one `read` returns for one message. Bob sends his name and a message in one
//! go, and both become his name:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007
//! 2> alice
//! 2  Welcome, alice!
//! 3$ printf 'bob\nhello\n' | nc 127.0.0.1 7007
//! 3  Welcome, bob
//! 3  hello!
//! 2  bob
//! 2  hello joined
//! ```
//!
//! The other way round, a message that is sent in two pieces arrives as two messages:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; echo bob >&3; read -r line <&3; echo "$line"
//! 2  Welcome, bob!
//! 2$ printf 'good ' >&3
//! 1  bob: good
//! 2$ printf 'morning\n' >&3
//! 1  bob: morning
//! ```
//!
//! On one machine this is rare, which is why it survives every try at home. Across a real network,
//! pieces are cut wherever a packet ends. So a message needs a mark of its own: here, the line end.
//! What comes is collected until a line end is there, and everything behind it waits for the next
//! one.
//!
//! Fix: [`LineDecoder::next`](crate::protocol::framing::LineDecoder::next) in
//! `src/protocol/framing.rs`.
//!
//! Test: `a_line_split_anywhere_is_one_message` and `many_lines_in_one_write_are_as_many_messages`
//! in `tests/it/messages.rs`.
//!
//! # 2. A character cut at the edge of a buffer
//!
//! In UTF-8 a character has one to four bytes: `é` has two. Step 4 makes text of each `read`, and a
//! read may end between the two. The buffer has 1024 bytes; here 1023 zeros come before the `é`:
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ exec 3<>/dev/tcp/127.0.0.1/7007; echo bob >&3; read -r line <&3; echo "$line"
//! 2  Welcome, bob!
//! 2$ printf '%01023dé\n' 0 >&3
//! 1  bob: 0...0000�
//! 1  bob: �
//! ```
//!
//! Neither half is a character, and both are lost for good. A larger buffer only hides it better.
//! So bytes stay bytes until a line is whole, and only then become text. (A line end is one byte,
//! which is never part of another character: cutting there is safe.)
//!
//! Fix: [`LineDecoder::next`](crate::protocol::framing::LineDecoder::next) in
//! `src/protocol/framing.rs` makes text of whole lines only.
//!
//! Test: `a_line_split_anywhere_is_one_message` in `tests/it/messages.rs`, whose message has
//! characters of two and three bytes and is split at each byte.
//!
//! # 3. A line without an end
//!
//! Who collects bytes until a line end comes has made the next mistake possible: it may never come.
//! The client of step 2 takes lines from its server with `read_line`. This server sends zeros
//! without end; `ulimit` is there so that the client fails before your machine does:
//!
//! ```console
//! 1$ nc -lv 127.0.0.1 7007 < /dev/zero
//! 1  Listening on ...
//! 2$ (ulimit -v 500000; cargo run -q --example step2_client)
//! 1  Connection received on ...
//! 2  Connected to 127.0.0.1:7007
//! 2> hello
//! 1  hello
//! 2  memory allocation of ... bytes failed
//! 2  ...
//! ```
//!
//! A server does the same to itself with `read_line` on its clients. So a line has a limit. Beyond
//! it bytes are counted, not kept, until the line end comes; then the line is refused, and the next
//! one is read from its start.
//!
//! Fix: [`LineDecoder::new`](crate::protocol::framing::LineDecoder::new) is given the limit, and
//! [`LineDecoder::next`](crate::protocol::framing::LineDecoder::next) in `src/protocol/framing.rs`
//! never holds more.
//!
//! Test: `a_line_over_the_limit_costs_no_memory` in `tests/it/bad_input.rs`.
//!
//! # 4. Escape sequences from a stranger
//!
//! A terminal obeys what it is told to print: some bytes move the cursor, clear the screen, or
//! change the window's title. Step 4 passes on whatever comes. Here `cat -v` stands before alice's
//! terminal and makes such bytes visible (`^[` is the escape character):
//!
//! ```console
//! 1$ cargo run -q --example step4_many_users
//! 1  Listening on 127.0.0.1:7007
//! 2$ nc 127.0.0.1 7007 | cat -v
//! 2> alice
//! 2  Welcome, alice!
//! 3$ exec 3<>/dev/tcp/127.0.0.1/7007; echo mallory >&3; read -r line <&3; echo "$line"
//! 3  Welcome, mallory!
//! 2  mallory joined
//! 3$ printf '\033[2Jyou have been logged out\n' >&3
//! 2  mallory: ^[[2Jyou have been logged out
//! 1  mallory: ...you have been logged out
//! ```
//!
//! Without `cat -v` alice's screen is empty now, but for the words of mallory, and so is the
//! terminal of whoever runs the server. So each such character is replaced by `�` where text comes
//! in, and again where it goes to a terminal: in the server's log and in the client, which does not
//! trust its server.
//!
//! Fix: [`clean`](crate::protocol::cleaning::clean) in `src/protocol/cleaning.rs`.
//!
//! Test: `what_a_terminal_would_obey_is_replaced` in `tests/it/messages.rs` and
//! `the_client_cleans_what_the_server_sends` in `tests/it/piped_client.rs`.
