//! The connection as a person sees it: the client asks for a nickname, loses the server, and connects again.

use crate::harness::{FakeServer, Server, Tmux};

#[test]
fn the_nickname_is_asked_first_and_again_if_it_is_refused() {
    let server = Server::start();
    let script = format!("\"$CLIENT\" 127.0.0.1 {}", server.port());
    let Some(terminal) = Tmux::run(120, &script) else { return };
    terminal.wait_for_last_row("Enter your nickname:");
    terminal.line("a b");
    terminal.wait_for_rows("the refusal", |rows| {
        rows.iter().any(|row| row.ends_with("Enter another nickname:"))
    });
    terminal.wait_for_last_row("Enter your nickname:");
    let rows = terminal.rows();
    assert_eq!(rows[0], "Enter your nickname: a b", "{rows:?}");
    assert_eq!(rows[1], format!("[CLIENT] Connecting to 127.0.0.1:{}...", server.port()));
    assert_eq!(rows[2], "[CLIENT] Connected successfully!");
    assert!(rows[3].contains("/help") && rows[3].contains("/quit"), "{rows:?}");
    assert!(rows[4].contains("without spaces. Enter another nickname:"), "{rows:?}");
    terminal.line("alice");
    terminal.wait_for_row("[SERVER] 1 online: alice");
    terminal.wait_for_last_row("alice>");
}

#[test]
fn a_lost_server_is_found_again_and_the_typed_line_is_kept() {
    let server = FakeServer::start();
    let options = "--nick alice --reconnect";
    let Some(terminal) = Tmux::client(80, server.port(), options) else { return };
    let connection = server.let_in("alice");
    terminal.text("half a li");
    terminal.wait_for_last_row("alice> half a li");
    drop(connection);
    terminal.wait_for_text("Trying again in");
    let mut connection = server.let_in("alice");
    // When this message is shown, the client knows that it is in the room. Before that, the client would not send an
    // entered line, but would put the line back into the input row.
    connection.send("bob: welcome back");
    terminal.wait_for_row("bob: welcome back");
    terminal.wait_for_last_row("alice> half a li");
    terminal.line("ne");
    assert_eq!(connection.said(), "half a line");
    connection.send("[SERVER] You were kicked.");
    drop(connection);
    terminal.wait_for_row("code 1");
}

#[test]
fn what_is_typed_without_a_connection_is_given_back() {
    let server = FakeServer::start();
    let options = "--nick alice --reconnect";
    let Some(terminal) = Tmux::client(80, server.port(), options) else { return };
    drop(server.let_in("alice"));
    terminal.wait_for_text("Trying again in");
    drop(server);
    terminal.line("important");
    terminal.wait_for_row("[CLIENT] Not sent, as you are not in the room: important");
    terminal.wait_for_last_row("alice> important");
    terminal.keys(&["C-c", "C-c"]);
    terminal.wait_for_row("code 0");
}
