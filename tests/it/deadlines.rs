//! A deadline of half a minute, which the client gives a server.
//!
//! Tests are started in the order of their names. If this one started among the other tests of the terminal, it
//! would be the last to end, since it takes so long. So it has a topic of its own, with an early name.

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
