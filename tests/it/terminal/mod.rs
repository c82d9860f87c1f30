//! The client in a real terminal: what a person sees, and the state in which it leaves the terminal.
//!
//! Everything here needs `tmux`.

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
