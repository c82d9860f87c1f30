//! A multi-user TCP chat with blocking sockets and one thread a client.

pub mod protocol;

pub mod arguments;
