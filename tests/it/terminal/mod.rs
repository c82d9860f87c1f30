//! The client in a real terminal: what a person sees, and the state of the terminal after the client has exited.
//!
//! All of these tests need `tmux`.

mod connection;

mod typing;

mod reading;

mod plain;

mod endings;

mod screen;

mod reconnect;

mod pasting;

mod editing;

mod room;

mod stuck;
