//! The screen: the rows into which a long line is broken, and the row in which the user types.

use crate::harness::{FakeServer, Tmux, poll_until};

#[test]
fn a_long_line_is_broken_between_words_and_cannot_pose_as_another() {
    let server = FakeServer::start();
    for columns in [20, 33] {
        let Some(terminal) = Tmux::client(columns, server.port(), "--nick alice") else { return };
        let mut connection = server.let_in("alice");
        let pad = "x ".repeat(usize::from(columns));
        connection.send(&format!("eve: {pad}bob: I give up"));
        connection.send("eve: a\u{3000}b\u{2003}word-longer-than-any-row-of-this-terminal");
        connection.send("eve: end");
        terminal.wait_for_row("eve: end");
        let rows = terminal.rows();
        let first = rows.iter().position(|row| row.starts_with("eve: ")).unwrap();
        let end = rows.iter().position(|row| row == "eve: end").unwrap();
        let begin = rows[first..end].iter().filter(|row| !row.starts_with("  ")).count();
        assert_eq!(begin, 2, "{rows:?}");
        assert!(rows[first..end].iter().all(|row| !row.starts_with("bob")), "{rows:?}");
    }
}

#[test]
fn an_edge_of_the_typed_row_says_that_there_is_more() {
    let server = FakeServer::start();
    let Some(terminal) = Tmux::client(30, server.port(), "--nick alice") else { return };
    let _connection = server.let_in("alice");
    terminal.text("the quick brown fox jumps over the lazy dog");
    let ends_with = |end: &str| {
        poll_until(format_args!("{end}, the screen is\n{terminal}"), || {
            terminal.rows().last().filter(|row| row.ends_with(end)).cloned()
        })
    };
    assert!(ends_with("lazy dog").starts_with("alice> …"));
    terminal.keys(&["Home"]);
    assert!(ends_with("…").starts_with("alice> the quick"));
    terminal.keys(&["C-l"]);
    assert!(ends_with("…").starts_with("alice> the quick"), "the prompt is still there");
}
