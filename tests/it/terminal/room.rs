//! The room: notices of joins and leaves, ignored people, and the times of messages.

use crate::harness::{FakeServer, Peer, Tmux, poll_until};

fn alice(server: &FakeServer, options: &str) -> Option<(Tmux, Peer)> {
    let terminal = Tmux::client(80, server.port(), &format!("--nick alice {options}"))?;
    let connection = server.let_in("alice");
    Some((terminal, connection))
}

#[test]
fn joins_and_leaves_in_a_row_are_one_line_that_grows_in_place() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server, "") else { return };
    connection.send("[SERVER] bob joined the chat!");
    terminal.wait_for_row("[SERVER] bob joined the chat!");
    connection.send("[SERVER] carol joined the chat!");
    terminal.wait_for_row("[SERVER] bob and carol joined.");
    for number in 1..=12 {
        connection.send(&format!("[SERVER] u{number} joined the chat!"));
    }
    connection.send("[SERVER] dave left the chat!");
    let line = "[SERVER] bob, carol and 12 others joined; dave left.";
    terminal.wait_for_row(line);
    terminal.text("typed");
    connection.send("bob: hi\n[SERVER] eve joined the chat!");
    terminal.wait_for_row("[SERVER] eve joined the chat!");
    terminal.wait_for_last_row("alice> typed");
    let rows = terminal.rows();
    let from = rows.iter().position(|row| row.contains("joined")).unwrap();
    let expected = [line, "bob: hi", "[SERVER] eve joined the chat!", "alice> typed"];
    assert_eq!(rows[from..], expected, "each row is shown once");
    terminal.keys(&["C-u"]);
    terminal.text("/quiet");
    terminal.keys(&["Enter"]);
    terminal.wait_for_row("[CLIENT] Join and leave notices are hidden.");
    connection.send("[SERVER] fay joined the chat!\nbob: end");
    terminal.wait_for_row("bob: end");
    assert!(!terminal.rows().iter().any(|row| row.contains("fay")));
}

#[test]
fn plain_output_has_a_line_for_each_and_quiet_has_none() {
    for (options, shown) in [("--plain", true), ("--quiet", false), ("--plain --quiet", false)] {
        let server = FakeServer::start();
        let Some((terminal, mut connection)) = alice(&server, options) else { return };
        connection.send("[SERVER] bob joined the chat!\n[SERVER] carol joined the chat!\nbob: end");
        terminal.wait_for_row("bob: end");
        for name in ["bob", "carol"] {
            let row = format!("[SERVER] {name} joined the chat!");
            assert_eq!(terminal.rows().contains(&row), shown, "{options}: {:?}", terminal.rows());
        }
    }
}

#[test]
fn messages_of_an_ignored_person_are_hidden() {
    for options in ["", "--plain"] {
        let server = FakeServer::start();
        let Some((terminal, mut connection)) = alice(&server, options) else { return };
        terminal.wait_for_row("[SERVER] Connected to the server!");
        terminal.line("/ignore Eve");
        terminal.wait_for_row("[CLIENT] Eve is ignored. /unignore Eve ends that.");
        connection
            .send("eve: one\n* eve two\n[eve -> you] three\n[SERVER] eve left the chat!\nbob: end");
        terminal.wait_for_row("bob: end");
        assert!(!terminal.rows().iter().any(|row| row.contains("eve")), "{:?}", terminal.rows());
        terminal.line("/unignore eve");
        terminal.wait_for_row("[CLIENT] eve is no longer ignored.");
        connection.send("eve: four");
        terminal.wait_for_row("eve: four");
    }
}

#[test]
fn history_has_no_time() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server, "--timestamps") else { return };
    connection.send("[SERVER] Last messages: 2\nbob: before\n* bob left\nbob: now");
    terminal.wait_for_row("--:-- | bob: before");
    terminal.wait_for_row("--:-- | * bob left");
    poll_until(format_args!("the time, the screen is\n{terminal}"), || {
        let row = terminal.rows().into_iter().find(|row| row.ends_with(" bob: now"))?;
        row.starts_with(|c: char| c.is_ascii_digit()).then_some(())
    });
}

#[test]
fn each_of_two_people_has_a_color_of_their_own() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server, "") else { return };
    // The ten names need more than half of the palette's colors. If the color depended only on a hash of the name, some
    // names would have the same color.
    let names: Vec<_> = (1..=10).map(|number| format!("u{number}")).collect();
    for name in &names {
        connection.send(&format!("{name}: hi"));
    }
    terminal.wait_for_row("u10: hi");
    let recorded = terminal.recorded_up_to("u10");
    let colors: std::collections::BTreeSet<_> = names
        .iter()
        .map(|name| {
            let (before, _) = recorded.split_once(&format!("m{name}\x1b[m")).expect(name);
            before.rsplit_once("38;5;").unwrap().1.to_owned()
        })
        .collect();
    assert_eq!(colors.len(), names.len(), "{recorded:?}");
}
