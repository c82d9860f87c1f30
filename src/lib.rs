//! A multi-user TCP chat with blocking sockets and one thread a client.

pub mod server;

pub mod client;

pub mod protocol;

pub mod arguments;

pub mod system;
