//! The measuring tool: many clients of one server, and what each of them received.
//!
//! ```text
//!  main thread ── directs ──> the room ──> reader threads, few    connect, log in, read for all
//!   (`run`)       what all threads share    sender thread, one     writes for all
//! ```
//!
//! A run has five steps. All clients join. The first says a line that everyone sees, the *roll
//! call*: joins and history are before it. The senders send. When the first client has everything
//! it says the *closing line*: since the server keeps one order, nothing that had to come is behind
//! it. All leave.
//!
//! Reading order: [`options`], [`run`], `room`, `readers`, `client`, `senders`, then the pure parts
//! [`integrity`] and [`histogram`], and [`process`] and [`report`].

pub mod options;

pub mod run;

mod room;

mod readers;

mod client;

mod senders;

pub mod integrity;

pub mod histogram;

pub mod process;

pub mod report;

/// Returns the nickname of a client.
fn nickname(client: u32) -> String {
    format!("u{client:05}")
}
