//! Typing: arriving messages do not disturb the typed line, and each key has its usual effect.

use std::thread;
use std::time::Duration;

use crate::harness::{Server, Tmux, poll_until};

/// Starts the client as alice in a terminal with this many columns.
fn alice(columns: u16, port: u16) -> Option<Tmux> {
    let terminal = Tmux::client(columns, port, "--nick alice")?;
    terminal.wait_for_row("[SERVER] Connected to the server!");
    Some(terminal)
}

#[test]
fn the_typed_line_is_whole_after_fifty_arriving_messages() {
    let server = Server::start();
    let Some(terminal) = alice(40, server.port()) else { return };
    let mut bob = server.join("bob");
    terminal.text("typed wide 漢字 and narrow");
    terminal.keys(&["Left", "Left", "Left", "Left", "Left", "Left"]);
    for number in 1..=50 {
        bob.send(&format!("message {number} is long enough to take two rows of the terminal"));
    }
    terminal.wait_for_row("bob: message 50 is long enough to take");
    terminal.wait_for_last_row("alice> typed wide 漢字 and narrow");
    assert_eq!(terminal.at_cursor(), ("alice> typed wide 漢字 and ".into(), "narrow".into()));
    let rows = terminal.rows();
    let messages = rows.iter().position(|row| row.starts_with("bob: ")).expect("bob's messages");
    for (number, two) in (1..=50).zip(rows[messages..].chunks(2)) {
        assert_eq!(two[0], format!("bob: message {number} is long enough to take"));
        assert_eq!(two[1], "  two rows of the terminal");
    }
    assert_eq!(rows.iter().filter(|row| row.contains("typed")).count(), 1, "{rows:?}");
    terminal.line("quite ");
    terminal.wait_for_row("alice: typed wide 漢字 and quite narrow");
    bob.lines_until("alice: typed wide 漢字 and quite narrow");
}

#[test]
fn keys_that_come_one_byte_at_a_time_are_keys() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    let mut bob = server.join("bob");
    terminal.wait_for_row("[SERVER] bob joined the chat!");
    // Each byte is sent with a separate write: first the bytes of an arrow key, then the three bytes of a character,
    // and then Escape. If a byte of the arrow key arrives too late, the client does not recognize the key. So on a busy
    // machine, several tries may be necessary.
    poll_until(format_args!("o漢n, the screen is\n{terminal}"), || {
        terminal.keys(&["C-e", "C-u"]);
        terminal.text("on");
        for byte in ["1b", "5b", "44", "e6", "bc", "a2", "1b"] {
            terminal.keys(&["-H", byte]);
        }
        terminal.keys(&["End"]);
        terminal.text(".");
        let shown = poll_until(format_args!("a full stop, the screen is\n{terminal}"), || {
            terminal.rows().last().filter(|row| row.ends_with('.')).cloned()
        });
        (shown == "alice> o漢n.").then_some(())
    });
    terminal.keys(&["Enter"]);
    bob.lines_until("alice: o漢n.");
}

#[test]
fn the_escape_key_swallows_nothing_that_is_typed_after_it() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    // If b follows Escape immediately, the client reads the two as Alt-B. So the pause before b grows until the client
    // reads two keys.
    let mut pause = Duration::from_millis(50);
    poll_until(format_args!("a b, the screen is\n{terminal}"), || {
        terminal.keys(&["C-u", "Escape"]);
        thread::sleep(pause);
        pause *= 2;
        terminal.text("bx");
        let shown = poll_until(format_args!("an x, the screen is\n{terminal}"), || {
            terminal.rows().last().filter(|row| row.ends_with('x')).cloned()
        });
        (shown == "alice> bx").then_some(())
    });
}

#[test]
fn what_is_pasted_in_several_lines_is_several_messages() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    let mut bob = server.join("bob");
    terminal.text("a draft");
    terminal.paste("one\n\tbo\nthe third");
    bob.lines_until("alice: one");
    bob.expect_all(["alice:  bo", "alice: the third"]);
    terminal.wait_for_last_row("alice> a draft");
    terminal.keys(&["Enter"]);
    bob.expect("alice: a draft");
}

#[test]
fn tab_completes_who_spoke_last_and_up_recalls() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    let mut bob = server.join("bob");
    let mut bea = server.join("bea");
    bea.send("hi from bea");
    bob.send("hi from bob");
    terminal.wait_for_row("bob: hi from bob");
    terminal.wait_for_row("bea: hi from bea");
    terminal.keys(&["b", "Tab"]);
    terminal.wait_for_rows("a nickname", |rows| {
        rows.last().is_some_and(|last| ["alice> bob:", "alice> bea:"].contains(&last.as_str()))
    });
    terminal.line("hello");
    terminal.wait_for_last_row("alice>");
    terminal.keys(&["Up"]);
    terminal.wait_for_rows("the line before", |rows| {
        rows.last().is_some_and(|last| last.starts_with("alice> ") && last.ends_with(": hello"))
    });
}

#[test]
fn a_long_line_scrolls_sideways_and_a_new_width_leaves_nothing_behind() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    terminal.text("the quick brown fox jumps over the lazy dog");
    terminal.wait_for_last_row("alice> the quick brown fox jumps over the lazy dog");
    terminal.resize(30);
    terminal.wait_for_rows("the end of the line", |rows| {
        rows.last().is_some_and(|last| last.ends_with("…er the lazy dog") && last.len() < 30)
    });
    let rows = terminal.rows();
    assert_eq!(rows.iter().filter(|row| row.contains("the quick")).count(), 0, "{rows:?}");
    terminal.resize(70);
    terminal.wait_for_last_row("alice> the quick brown fox jumps over the lazy dog");
    assert_eq!(terminal.rows().iter().filter(|row| row.contains("fox")).count(), 1);
}

#[test]
fn ctrl_l_empties_the_screen_except_for_the_line() {
    let server = Server::start();
    let Some(terminal) = alice(60, server.port()) else { return };
    terminal.text("typed");
    terminal.keys(&["C-l"]);
    terminal.wait_for_rows("an empty screen", |_| terminal.value("cursor_y") == "0");
    assert_eq!(terminal.at_cursor(), ("alice> typed".into(), String::new()));
}
