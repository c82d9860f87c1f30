//! Pasting: the client asks before it sends many pasted lines. If several lines are pasted, none of them is a command.

use crate::harness::{FakeServer, Peer, Tmux, poll_until};

/// Starts a client that joins a fake server as alice. Returns its terminal and its connection.
fn alice(columns: u16, server: &FakeServer) -> Option<(Tmux, Peer)> {
    let terminal = Tmux::client(columns, server.port(), "--nick alice")?;
    let connection = server.let_in("alice");
    terminal.wait_for_row("[SERVER] Connected to the server!");
    Some((terminal, connection))
}

fn wait_for(terminal: &Tmux, text: &str) {
    poll_until(format_args!("{text}, the screen is\n{terminal}"), || {
        terminal.rows().iter().any(|row| row.contains(text)).then_some(())
    });
}

/// Types a line, and checks that it is the next line that the client sends.
#[track_caller]
fn is_next(terminal: &Tmux, connection: &mut Peer, line: &str) {
    terminal.text(line);
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), line);
}

#[test]
fn many_lines_are_asked_about_first() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(80, &server) else { return };
    let lines: Vec<_> = (1..=7).map(|number| format!("line {number}")).collect();
    terminal.text("draft");
    let question = "[CLIENT] Enter sends 7 lines, Ctrl-C or Esc does not: line 1…";
    for no in ["C-c", "Escape", "x"] {
        terminal.paste(&lines.join("\n"));
        terminal.wait_for_row(question);
        terminal.keys(&[no]);
        let draft = if no == "x" { "alice> draftx" } else { "alice> draft" };
        terminal.wait_for_last_row(draft);
        poll_until(format_args!("the end of the question, the screen is\n{terminal}"), || {
            (!terminal.rows().contains(&question.to_owned())).then_some(())
        });
    }
    terminal.keys(&["BSpace"]);
    terminal.paste(&lines.join("\n"));
    terminal.wait_for_row(question);
    terminal.keys(&["Enter"]);
    for line in &lines {
        assert_eq!(&connection.said(), line);
    }
    terminal.wait_for_last_row("alice> draft");
    terminal.wait_for_row("alice: line 7");
    terminal.keys(&["Enter"]);
    assert_eq!(connection.said(), "draft");
}

#[test]
fn no_line_of_a_pasted_text_is_a_command() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(80, &server) else { return };
    terminal.paste("/quit\nquit\n\n/msg bob hi\nexit\n");
    for line in ["//quit", "quit", "//msg bob hi", "exit"] {
        assert_eq!(connection.said(), line);
    }
    terminal.wait_for_row("alice: /quit");
    terminal.wait_for_row("alice: exit");
    // A paste of a single line works as if the line were typed.
    terminal.paste("/who\n");
    assert_eq!(connection.said(), "/who");
    is_next(&terminal, &mut connection, "the client is still there");
}

#[test]
fn a_paste_that_makes_the_line_too_long_is_kept_and_refused() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(80, &server) else { return };
    terminal.text("draft ");
    terminal.paste(&"x".repeat(1025));
    terminal.keys(&["Enter"]);
    wait_for(&terminal, "[CLIENT] Not sent: That line has 1031 bytes, the limit is 1024.");
    terminal.keys(&["Home"]);
    wait_for(&terminal, "alice> draft xxx");
    terminal.keys(&["C-u", "C-k"]);
    is_next(&terminal, &mut connection, "short");
}

#[test]
fn a_paste_whose_end_never_comes_is_ended_by_ctrl_c() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(80, &server) else { return };
    terminal.text("draft");
    terminal.wait_for_last_row("alice> draft");
    terminal.keys(&["-H", "1b", "5b", "32", "30", "30", "7e"]);
    terminal.text("lost");
    // Within a paste, Ctrl-C is text until nothing has arrived for a while. On a busy machine, the client may read the
    // bytes before and after a pause without noticing the pause. So Ctrl-C is pressed repeatedly.
    poll_until(format_args!("the end, the screen is\n{terminal}"), || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        terminal.keys(&["C-c"]);
        std::thread::sleep(std::time::Duration::from_millis(300));
        let rows = terminal.rows();
        rows.iter().any(|row| row.contains("a paste that was broken off")).then_some(())
    });
    terminal.keys(&["C-u"]);
    is_next(&terminal, &mut connection, "typed");
}
