//! The client without line editing: with --plain, in a dumb terminal, and with a pipe as its input or its output.

use crate::harness::{Server, Tmux};

#[test]
fn plain_and_a_dumb_terminal_get_no_escape_sequence() {
    for (variables, options) in [("TERM=dumb", ""), ("", "--plain")] {
        let server = Server::start();
        let script = format!("{variables} \"$CLIENT\" --port {} {options}", server.port());
        let Some(terminal) = Tmux::run(80, &script) else { return };
        terminal.wait_for_last_row("Enter your nickname:");
        terminal.line("alice");
        terminal.wait_for_row("Enter your nickname: alice");
        terminal.wait_for_row("[SERVER] 1 online: alice");
        let mut bob = server.join("bob");
        bob.send("hi alice");
        terminal.wait_for_row("bob: hi alice");
        terminal.line("hi bob");
        bob.lines_until("alice: hi bob");
        let recorded = terminal.recorded_up_to("hi bob");
        assert!(!recorded.contains(['\x1b', '\x07']), "{recorded:?}");
    }
}

#[test]
fn ctrl_c_and_ctrl_d_leave_plain_line_input_without_failure() {
    let server = Server::start();
    let mut bob = server.join("bob");
    for key in ["C-c", "C-d"] {
        // Ctrl-C also sends SIGINT to the shell, which must not exit.
        let script = format!(
            "trap : INT; \"$CLIENT\" --port {} --nick al --plain; echo code $?",
            server.port()
        );
        let Some(terminal) = Tmux::run(80, &script) else { return };
        bob.lines_until("[SERVER] al joined the chat!");
        terminal.wait_for_row("[SERVER] 2 online: bob, al");
        terminal.keys(&[key]);
        terminal.wait_for_row("code 0");
        bob.lines_until("[SERVER] al left the chat!");
    }
}

#[test]
fn a_terminal_on_one_side_alone_is_a_pipe_on_the_other() {
    let server = Server::start();
    let mut bob = server.join("bob");
    let script =
        format!("\"$CLIENT\" --port {} --nick out > \"$dir/out\"; echo code $?", server.port());
    let Some(terminal) = Tmux::run(80, &script) else { return };
    terminal.wait_for_row("[CLIENT] Connected successfully!");
    bob.lines_until("[SERVER] out joined the chat!");
    terminal.line("typed");
    bob.lines_until("out: typed");
    terminal.line("/quit");
    terminal.wait_for_row("code 0");
    let out = terminal.wait_for_file("out");
    assert!(out.ends_with("[SERVER] Goodbye!\n") && !out.contains("[CLIENT]"), "{out:?}");
    let recorded = terminal.recorded_up_to("code 0");
    assert!(!recorded.contains('\x1b'), "{recorded:?}");

    let script = format!(
        "echo piped | \"$CLIENT\" --port {} --nick in 2> \"$dir/err\"; echo code $?",
        server.port()
    );
    let Some(terminal) = Tmux::run(80, &script) else { return };
    terminal.wait_for_row("code 0");
    bob.lines_until("in: piped");
    terminal.wait_for_row("[SERVER] Goodbye!");
    let err = terminal.wait_for_file("err");
    assert!(err.starts_with("[CLIENT] Connecting"), "{err:?}");
}
