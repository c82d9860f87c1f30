//! A real `telnet` in a real terminal: when Ctrl-C is pressed, `telnet` sends bytes that are not text.

use std::process::Command;

use crate::harness::{Peer, Server, Tmux, leave_out};

/// Lets bob join, and starts `telnet` in a terminal as alice. Returns `None` if `telnet` or `tmux` is not installed.
fn alice_and_bob(server: &Server) -> Option<(Tmux, Peer)> {
    let has_telnet = Command::new("sh").args(["-c", "command -v telnet"]).output();
    if !has_telnet.is_ok_and(|output| output.status.success()) {
        leave_out("there is no telnet");
        return None;
    }
    let mut bob = server.join("bob");
    // Ctrl-C also sends SIGINT to the shell, which must not exit.
    let script = format!("trap : INT; telnet 127.0.0.1 {}", server.port());
    let terminal = Tmux::run(80, &script)?;
    terminal.wait_for_row("[SERVER] Enter your nickname:");
    terminal.line("alice");
    terminal.wait_for_row("[SERVER] 2 online: bob, alice");
    bob.expect("[SERVER] alice joined the chat!");
    Some((terminal, bob))
}

/// Presses Ctrl-C, and checks that alice and bob still receive each other's messages. After Ctrl-C, telnet prints
/// nothing until the server has answered the timing mark.
fn press_ctrl_c_and_go_on(terminal: &Tmux, bob: &mut Peer, text: &str) {
    terminal.keys(&["C-c"]);
    terminal.line(text);
    bob.expect(&format!("alice: {text}"));
    bob.send(&format!("I heard {text}"));
    terminal.wait_for_row(&format!("bob: I heard {text}"));
}

#[test]
fn ctrl_c_in_telnet_is_no_text_and_ends_nothing() {
    let server = Server::start();
    let Some((terminal, mut bob)) = alice_and_bob(&server) else { return };
    terminal.line("hello");
    bob.expect("alice: hello");
    // For Ctrl-C, telnet sends IAC IP and IAC DO TIMING-MARK.
    press_ctrl_c_and_go_on(&terminal, &mut bob, "one");
    // With `autosynch`, telnet also sends a data mark, as urgent data.
    terminal.keys(&["C-]"]);
    terminal.wait_for_last_row("telnet>");
    terminal.line("toggle autosynch");
    terminal.wait_for_row("Will send interrupt characters in urgent mode.");
    press_ctrl_c_and_go_on(&terminal, &mut bob, "two");
    press_ctrl_c_and_go_on(&terminal, &mut bob, "three");
    terminal.line("/quit");
    terminal.wait_for_row("Connection closed by foreign host.");
    bob.expect("[SERVER] alice left the chat!");
}
