//! Reading: colors, the bell, and a hostile server that tries to control the terminal.

use crate::harness::{FakeServer, Server, Tmux};

#[test]
fn nothing_that_a_hostile_server_sends_reaches_the_terminal() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(60, server.port(), "--nick alice") else { return };
    let mut connection = server.let_in("alice");
    terminal.text("typed");
    terminal.wait_for_last_row("alice> typed");
    let title = terminal.value("pane_title");
    for hostile in [
        "\x1b[5;5H",
        "\x1b]0;stolen\x07",
        "\x1b[2J",
        "\x1b[31m",
        "\x1bc",
        "\u{9b}31m",
        "\r",
        "\x08",
    ] {
        connection.send(&format!("eve: {hostile}x"));
        connection.send(&format!("[SERVER] {hostile}x"));
    }
    connection.send("eve: the end");
    terminal.wait_for_row("eve: the end");
    terminal.wait_for_last_row("alice> typed");
    assert_eq!(terminal.at_cursor(), ("alice> typed".into(), String::new()));
    assert_eq!(terminal.value("pane_title"), title);
    let rows = terminal.rows();
    assert!(rows.contains(&"eve: \u{FFFD}[5;5Hx".to_owned()), "{rows:?}");
    let recorded = terminal.recorded_up_to("the end");
    let from = recorded.find("eve").expect("the line was shown");
    for c in ['\x07', '\x08', '\u{9b}'] {
        assert!(!recorded[from..].contains(c), "{c:?} in {recorded:?}");
    }
    assert!(!recorded.contains("\x1b]") && !recorded.contains("\x1b[2J"), "{recorded:?}");
}

#[test]
fn a_mention_rings_and_shows_in_color_and_history_does_neither() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(60, server.port(), "--nick alice") else { return };
    let mut connection = server.let_in("alice");
    connection.send("[SERVER] Last messages: 1\nbob: alice, are you there?");
    terminal.wait_for_row("| bob: alice, are you there?");
    assert!(!terminal.recorded_up_to("are you there?").contains('\x07'));
    connection.send("bob: there you are, Alice!");
    terminal.wait_for_row("bob: there you are, Alice!");
    let recorded = terminal.recorded_up_to("\x07");
    assert!(recorded.contains("\x1b[1m: there you are, Alice!\x1b[m\r\n"), "{recorded:?}");
    terminal.line("/bell");
    terminal.wait_for_row("[CLIENT] The bell is off.");
    connection.send("bob: alice?");
    terminal.wait_for_row("bob: alice?");
    assert_eq!(terminal.recorded_up_to("alice?").matches('\x07').count(), 1);
}

#[test]
fn no_color_takes_the_colors_and_leaves_the_line_editor() {
    let server = Server::start();
    let script = format!("NO_COLOR=1 \"$CLIENT\" --port {} --nick alice", server.port());
    let Some(terminal) = Tmux::run(60, &script) else { return };
    terminal.wait_for_row("[SERVER] Connected to the server!");
    let mut bob = server.join("bob");
    bob.send("hi alice");
    terminal.wait_for_row("bob: hi alice");
    let recorded = terminal.recorded_up_to("hi alice");
    assert!(recorded.contains("\x1b[?2004h"), "the line editor still works: {recorded:?}");
    for style in ["\x1b[1m", "\x1b[1;", "\x1b[2m", "\x1b[m"] {
        assert!(!recorded.contains(style), "{recorded:?}");
    }
}
