//! Editing: the keys that work as in a shell, and the bytes that the terminal sends although nobody pressed a key.

use crate::harness::{FakeServer, Peer, Tmux};

fn alice(server: &FakeServer) -> Option<(Tmux, Peer)> {
    let terminal = Tmux::client(80, server.port(), "--nick alice")?;
    let connection = server.let_in("alice");
    terminal.wait_for_row("[SERVER] Connected to the server!");
    Some((terminal, connection))
}

#[test]
fn keys_do_what_they_do_in_a_shell() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    for (text, keys, shown) in [
        ("one two", &["C-w", "C-y", "C-y"][..], "one twotwo"),
        ("one two", &["C-a", "M-d"], " two"),
        ("ab", &["C-t"], "ba"),
        ("one two", &["C-w", "C-_"], "one two"),
        ("a🇩🇪🇫🇷", &["BSpace"], "a🇩🇪"),
        ("👩🏽\u{200D}🚀x", &["Left", "BSpace"], "x"),
        ("1\u{FE0F}\u{20E3}x", &["Left", "BSpace"], "x"),
    ] {
        terminal.text(text);
        terminal.keys(keys);
        terminal.wait_for_last_row(format!("alice> {shown}").trim_end());
        terminal.keys(&["C-e", "C-u"]);
        terminal.wait_for_last_row("alice>");
    }
    for line in ["make all", "ls", "make test"] {
        terminal.text(line);
        terminal.keys(&["Enter"]);
        assert_eq!(connection.said(), line);
    }
    terminal.keys(&["C-r"]);
    terminal.text("mak");
    terminal.wait_for_last_row("search mak: make test");
    terminal.keys(&["C-r"]);
    terminal.wait_for_last_row("search mak: make all");
    terminal.keys(&["Right"]);
    terminal.wait_for_last_row("alice> make all");
    // A change to a line of the history is kept while other lines are shown.
    terminal.keys(&["!", "Down", "Up"]);
    terminal.wait_for_last_row("alice> make all!");
}

#[test]
fn what_the_terminal_says_is_not_typed() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    let answers = [
        "\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\",
        "\x1b]52;c;QUJD\x07",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b_Gi=1;OK\x1b\\",
        "\x1b^private\x1b\\",
        "\x1bXstart\x1b\\",
        "\x1b[M !!",
        "\x1b(B",
        "\x1b[?62;22c",
    ];
    for answer in answers {
        let bytes: Vec<_> = answer.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut keys = vec!["-H"];
        keys.extend(bytes.iter().map(String::as_str));
        terminal.keys(&keys);
        // The same bytes are sent again, in two pieces with separate writes.
        let (first, second) = bytes.split_at(bytes.len() / 2);
        if first.len() > 1 {
            for piece in [first, second] {
                let mut keys = vec!["-H"];
                keys.extend(piece.iter().map(String::as_str));
                terminal.keys(&keys);
            }
        }
    }
    terminal.text("typed");
    terminal.wait_for_last_row("alice> typed");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "typed");
}

#[test]
fn a_command_behind_a_blank_is_asked_about() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    terminal.text(" /who");
    terminal.keys(&["Enter"]);
    terminal.wait_for_row(
        "[CLIENT] Press Enter again to say this to everyone; without the blank it is a",
    );
    terminal.keys(&["Home", "Delete", "Enter"]);
    assert_eq!(connection.said(), "/who");
    terminal.text("  /who");
    terminal.keys(&["Enter", "Enter"]);
    assert_eq!(connection.said(), "  /who");
}

#[test]
fn quit_alone_is_asked_about() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    let question = "[CLIENT] Press Enter again to leave, or type on to say something else.";
    terminal.text("quit");
    terminal.keys(&["Enter"]);
    terminal.wait_for_row(question);
    terminal.wait_for_last_row("alice> quit");
    terminal.text(" smoking");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "quit smoking");
    terminal.wait_for_row("alice: quit smoking");
    assert!(!terminal.rows().contains(&question.to_owned()));
    terminal.text("exit");
    terminal.keys(&["Enter", "Enter"]);
    assert_eq!(connection.said(), "/quit");
    drop(connection);
    terminal.wait_for_row("code 0");
}

#[test]
fn a_private_message_is_answered_with_r() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    terminal.text("/r too early");
    terminal.keys(&["Enter"]);
    terminal.wait_for_row("[CLIENT] Nobody has sent you a private message.");
    terminal.keys(&["C-u"]);
    connection.send("[bob -> you] are you there?");
    terminal.wait_for_row("[bob -> you] are you there?");
    // The recipient is new, so the first Enter only shows the line with the name.
    terminal.text("/r yes");
    terminal.keys(&["Enter"]);
    terminal.wait_for_last_row("alice> /msg bob yes");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "/msg bob yes");
    // Two seconds later, a reply to the same person is sent at the first Enter.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    terminal.text("/r again");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "/msg bob again");
}
