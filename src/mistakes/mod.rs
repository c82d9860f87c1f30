//! What goes wrong, and how to see it: the course's last chapter. Only text, no code.
//!
//! The four steps in `src/steps` lead from an echo server to a chat for many users, and step 4 is
//! naive: it does what everybody writes first. Here are fifteen mistakes, nearly all of them in it.
//! For each there are some commands that show what happens, the place where the real server does
//! better, and the test that fails when the mistake is put into the real server.
//!
//! Read the steps first. The four parts can then be read in any order; each says what it refers to.
//!
//! | part | its mistakes |
//! | --- | --- |
//! | [`bytes`]: what comes is bytes | one read is not one message · a character cut at the edge of a buffer · a line without an end · escape sequences from a stranger |
//! | [`waiting`]: who waits for whom | the handshake in the accept loop · a write under the registry's lock · a queue without a bound · no way to stop `accept` and `read` |
//! | [`endings`]: how things end | an accept error that ends the loop · a peer that vanishes · a leave announced twice or never · closing before the last line is out |
//! | [`sharing`]: what threads share | a panic that poisons the mutex · check and insert under two locks · two threads on one terminal |
//!
//! # How to read the sessions
//!
//! A session needs two to four terminals with `bash` in them; their numbers stand in front of each
//! line. Start every session with fresh ones, and type a line when those above it have appeared.
//!
//! ```text
//! 1$ command          type this at the shell's prompt of terminal 1
//! 2> text             type this into the program that runs in terminal 2
//! 1^C                 press Ctrl-C in terminal 1
//! 2  text             this appears in terminal 2; three dots stand for anything
//! ```
//!
//! Three tools are used. `nc HOST PORT` connects, sends what is typed and prints what comes; `nc -l
//! HOST PORT` waits for a connection instead. `timeout 2 COMMAND` ends a command that takes longer
//! than two seconds, with exit code 124: that is how a session shows that something *hangs*. And
//! `bash` can open a connection by itself, which then is a reader that reads only when told:
//!
//! ```text
//! exec 3<>/dev/tcp/127.0.0.1/7007          connect, and call the connection 3
//! echo hello >&3                           send a line
//! read -r line <&3; echo "$line"           receive a line, and show it
//! exec 3>&-                                close
//! ```
//!
//! The sessions were written for Linux and OpenBSD's `nc`. There a test acts out each of them, so
//! they do what they say.

pub mod bytes;

pub mod waiting;

pub mod endings;

pub mod sharing;
