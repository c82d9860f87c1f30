//! The time that the client waits for an answer from the server: half a minute.
//!
//! Tests are started in the alphabetical order of their names. This test takes half a minute. If it were in the
//! module `terminal`, it would start late and be the last to end. So it has a module of its own, with an early name.

use crate::harness::{FakeServer, Tmux, taken};

#[test]
fn a_server_that_is_silent_after_another_nickname_is_given_up() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice") else { return };
    let mut connection = server.ask("alice");
    connection.send(&taken("alice"));
    terminal.wait_for_last_row("Enter your nickname:");
    terminal.line("al");
    assert_eq!(connection.said(), "al");
    terminal.wait_for_row("[ERROR] The server did not answer for 30 s.");
    terminal.wait_for_row("code 1");
}
