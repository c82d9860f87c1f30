//! The measuring tool: many clients of one server, and what each of them received.

pub mod options;

pub mod integrity;

pub mod histogram;

pub mod process;

/// Returns the nickname of a client.
fn nickname(client: u32) -> String {
    format!("u{client:05}")
}
