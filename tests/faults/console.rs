//! The console: what is typed into the server's own terminal, and what is not heard.

use std::process::Stdio;

use chat::protocol::replies;

use crate::harness::{Server, free_port, on_a_terminal, shell};

#[test]
fn the_console_lists_says_kicks_helps_and_quits() {
    let Some(command) = on_a_terminal("stty -echo; exec \"$SERVER\" --port 0 --quiet") else {
        return;
    };
    let mut server = Server::of(command);
    let [mut alice, mut bob] = ["alice", "bob"].map(|nickname| server.join(nickname));
    alice.expect("[SERVER] bob joined the chat!");
    server.enter("/who\n");
    server.expect_log("[SERVER] 2 online: alice, bob");
    server.enter("/say the lesson\x01begins\n");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] the lesson\u{FFFD}begins");
    }
    server.enter("/kick nobody\n");
    server.expect_log("[SERVER] No such nickname: nobody.");
    server.enter("/KICK BOB\n");
    bob.expect_last(replies::KICKED);
    alice.expect("[SERVER] bob left the chat! (kicked)");
    server.enter("/help\n");
    for command in ["/who", "/say", "/kick", "/quit"] {
        assert!(server.log_line().starts_with(&format!("[SERVER] {command} ")));
    }
    server.log_line();
    server.enter("hello?\n");
    server.expect_log("[SERVER] Unknown command: hello?. Type /help for the commands.");
    server.enter("/quit\n");
    alice.expect_last(replies::SHUTTING_DOWN);
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn the_end_of_what_is_typed_changes_nothing() {
    let Some(command) = on_a_terminal("exec \"$SERVER\" --port 0") else { return };
    let mut server = Server::of(command);
    let mut alice = server.join("alice");
    // Ctrl-D, and a line that comes too late.
    server.enter("\x04");
    server.enter("/say too late\n");
    alice.send("/me stays");
    alice.expect("* alice stays");
}

#[test]
fn a_terminal_in_ctrl_s_delays_nobody() {
    let script = "stty ixon; exec \"$SERVER\" --port 0 --rate 0 --log-messages";
    let Some(command) = on_a_terminal(script) else { return };
    let mut server = Server::of(command);
    let [mut alice, mut bob] = ["alice", "bob"].map(|nickname| server.join(nickname));
    // What is typed after it is heard, so the terminal has taken it too.
    server.enter("\x13/say stopped\n");
    bob.expect("[SERVER] stopped");
    for _ in 0..20 {
        alice.send_bytes(&b"hello\n".repeat(1000));
        (0..1000).for_each(|_| bob.expect("alice: hello"));
    }
    server.enter("\x11");
    server.log_until(" lines could not be logged");
}

#[test]
fn in_the_background_of_a_terminal_the_server_goes_on() {
    // With job control it is in a process group of its own, which may not read the terminal.
    let script = "set -m; \"$SERVER\" --port 0 & read said; read end; kill %1; wait";
    let Some(command) = on_a_terminal(script) else { return };
    let mut server = Server::of(command);
    let mut alice = server.join("alice");
    server.enter("/say to the shell\n");
    alice.send("/me is undisturbed");
    alice.expect("* alice is undisturbed");
    // Nothing else ends it: it would outlive its terminal.
    server.enter("end\n");
    alice.expect_last(replies::SHUTTING_DOWN);
}

#[test]
fn in_the_background_without_input_the_server_goes_on() {
    let port = free_port();
    // As in a script that ends: nobody waits for it but its pipe, from which comes its id.
    let script = format!("\"$SERVER\" --port {port} </dev/null >/dev/null & echo $!; wait");
    let server = Server::unseen(shell(&script), Stdio::piped(), port);
    let mut alice = server.join("alice");
    alice.send("/me is here");
    alice.expect("* alice is here");
    let pid = server.log_line();
    assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
    alice.expect_last(replies::SHUTTING_DOWN);
}
