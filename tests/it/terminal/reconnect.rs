//! `--reconnect`: what a person sees while the connection is lost and restored.

use crate::harness::{FakeServer, Peer, Tmux, taken};

/// Lets alice in, and waits until the client knows that it is in the room. Before that, the client would not send an
/// entered line, but would put the line back into the input row.
fn let_in(server: &FakeServer, terminal: &Tmux) -> Peer {
    let mut connection = server.let_in("alice");
    is_in(terminal, &mut connection);
    connection
}

/// Waits until the client has read everything that was sent to it.
fn is_in(terminal: &Tmux, connection: &mut Peer) {
    let marker = format!("bob: marker {}", connection.address().port());
    connection.send(&marker);
    terminal.wait_for_row(&marker);
}

#[test]
fn a_nickname_that_ones_own_ghost_holds_is_tried_again() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice --reconnect") else {
        return;
    };
    drop(server.let_in("alice"));
    terminal.text("half a li");
    let mut connection = server.ask("alice");
    connection.send(&taken("alice"));
    terminal.wait_for_text("[CLIENT] The nickname alice is still taken. Trying again in ");
    terminal.wait_for_last_row("alice> half a li");
    let mut connection = let_in(&server, &terminal);
    terminal.text("ne");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "half a line");
    // The client has removed the row with the status.
    terminal.wait_for_row("alice: half a line");
    let rows = terminal.rows();
    assert!(!rows.iter().any(|row| row.contains("Trying again")), "{rows:?}");
}

#[test]
fn a_person_is_asked_for_another_nickname_and_gets_the_draft_back() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice") else { return };
    let mut connection = server.ask("alice");
    terminal.text("half a li");
    terminal.wait_for_last_row("alice> half a li");
    connection.send(&taken("alice"));
    terminal.wait_for_last_row("Enter your nickname:");
    terminal.text("al");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "al");
    connection.send("[SERVER] Connected to the server!");
    is_in(&terminal, &mut connection);
    terminal.wait_for_last_row("al> half a li");
    terminal.text("ne");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "half a line");
}

#[test]
fn a_person_who_is_asked_for_a_nickname_still_is_after_a_loss() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice --reconnect") else {
        return;
    };
    let mut connection = server.ask("alice");
    connection.send(&taken("alice"));
    terminal.wait_for_last_row("Enter your nickname:");
    drop(connection);
    terminal.wait_for_text("Trying again in");
    terminal.line("al");
    let mut connection = server.ask("al");
    connection.send("[SERVER] Connected to the server!");
    is_in(&terminal, &mut connection);
    terminal.wait_for_last_row("al>");
}

#[test]
fn lines_that_were_not_confirmed_are_given_back() {
    for options in ["--nick alice", "--nick alice --reconnect"] {
        let server = FakeServer::start();
        let Some(terminal) = Tmux::client(100, server.port(), options) else { return };
        let mut connection = let_in(&server, &terminal);
        for line in ["one", "two", "three"] {
            terminal.text(line);
            terminal.keys(&["Enter"]);
            assert_eq!(connection.said(), line);
        }
        connection.send("[SERVER] pong client-1");
        connection.send("bob: end");
        terminal.wait_for_row("bob: end");
        drop(connection);
        terminal.wait_for_row("[CLIENT] Not confirmed: three");
        let rows = terminal.rows();
        let given: Vec<_> = rows.iter().filter(|row| row.contains("Not confirmed")).collect();
        assert_eq!(given, ["[CLIENT] Not confirmed: two", "[CLIENT] Not confirmed: three"]);
    }
}

#[test]
fn a_line_is_confirmed_by_a_ping_a_few_seconds_later() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice") else { return };
    let mut connection = let_in(&server, &terminal);
    terminal.text("one");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "one");
    assert_eq!(connection.line(), "/ping client-1");
    connection.send("[SERVER] pong client-1");
    drop(connection);
    terminal.wait_for_row("code 1");
    let rows = terminal.rows();
    assert!(
        !rows.iter().any(|row| row.contains("Not confirmed") || row.contains("pong")),
        "{rows:?}"
    );
}

#[test]
fn whatever_may_be_better_another_time_is_tried_again() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice --reconnect") else {
        return;
    };
    // The first connection closes at once, as through a tunnel whose server is down.
    drop(server.connection());
    let mut full = server.connection();
    full.send("[SERVER] The server is full. Try again later.");
    drop(full);
    let mut connection = let_in(&server, &terminal);
    terminal.text("hi");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "hi");
    let port = server.port();
    drop((server, connection));
    terminal
        .wait_for_text(&format!("Could not connect to server at 127.0.0.1:{port}. Trying again"));
    terminal.keys(&["C-c"]);
    terminal.wait_for_row("code 0");
}

#[test]
fn a_silent_server_keeps_nobody_who_wants_to_leave() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(100, server.port(), "--nick alice") else { return };
    let _connection = server.connection();
    terminal.wait_for_text("Connected successfully!");
    terminal.keys(&["C-c"]);
    terminal.wait_for_row("code 0");
}
