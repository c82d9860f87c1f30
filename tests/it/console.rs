//! The console: the commands that are typed into the server's own terminal, and the input that the console ignores.

use std::process::{Command, Stdio};

use chat::protocol::replies;

use crate::harness::{Program, Server, Tmux, free_port, server_command, shell};

const COMMANDS: [&str; 10] =
    ["/who", "/say", "/kick", "/ban", "/unban", "/bans", "/motd", "/stats", "/quit", "/help"];

#[test]
fn the_help_of_the_program_names_the_console() {
    let help = Program::run(server_command(["--help"]), "").output;
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.starts_with(&format!("  {command} "))), "{help}");
    }
}

#[test]
fn the_console_lists_says_kicks_helps_and_quits() {
    let script = "stty -echo; \"$SERVER\" --port 0 --quiet; echo code $?";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    terminal.line("/who");
    terminal.wait_for_row("[SERVER] 2 online");
    for peer in [&alice, &bob] {
        let start = format!("[SERVER]   {}, {}, for ", peer.name(), peer.address());
        terminal.wait_for_rows(&start, |rows| rows.iter().any(|row| row.starts_with(&start)));
    }
    terminal.line("/who ALI");
    terminal.wait_for_row("[SERVER] 1 online");
    // After Ctrl-V, the terminal passes the next key on as a character.
    terminal.text("/say the lesson");
    terminal.keys(&["C-v", "C-a"]);
    terminal.line("begins");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] the lesson\u{FFFD}begins");
    }
    terminal.line("/kick nobody");
    terminal.wait_for_row("[SERVER] No such nickname: nobody.");
    terminal.line("/KICK BOB for the \u{85} lesson");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] BOB is kicked: for the \u{FFFD} lesson");
    }
    bob.expect_last(replies::KICKED);
    alice.expect("[SERVER] bob left the chat! (kicked)");
    let carol = server.join("carol");
    alice.expect("[SERVER] carol joined the chat!");
    terminal.line("/kick carol");
    alice.expect("[SERVER] carol left the chat! (kicked)");
    drop(carol);
    terminal.line("/stats");
    let start = "[SERVER] stats uptime=";
    terminal.wait_for_rows(start, |rows| rows.iter().any(|row| row.starts_with(start)));
    terminal.line("/help");
    for command in COMMANDS {
        let start = format!("[SERVER] {command}");
        terminal.wait_for_rows(&start, |rows| rows.iter().any(|row| row.starts_with(&start)));
    }
    terminal.line("hello?");
    terminal.wait_for_row("[SERVER] Unknown command: hello?. Type /help for the commands.");
    terminal.line("/quit");
    alice.expect_last(replies::SHUTTING_DOWN);
    terminal.wait_for_row("code 0");
}

#[test]
fn the_end_of_what_is_typed_changes_nothing() {
    let script = "exec \"$SERVER\" --port 0";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let mut alice = server.join("alice");
    // Ctrl-D ends the input, so the server ignores the line that is typed after it.
    terminal.keys(&["C-d"]);
    terminal.wait_for_row("[SERVER] The console is closed.");
    terminal.line("/say too late");
    terminal.wait_for_row("/say too late");
    alice.send("/me stays");
    alice.expect("* alice stays");
}

/// Returns whether the terminal has stopped the output.
fn is_stopped(terminal: &Tmux) -> bool {
    terminal.rows().iter().all(|row| !row.contains("hello"))
}

#[test]
fn a_terminal_in_ctrl_s_delays_nobody() {
    let script = "stty ixon -echo; exec \"$SERVER\" --port 0 --rate 0 --log-messages";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    // The terminal handles Ctrl-S before the line that is typed after it. When bob receives that line, the terminal has
    // already stopped the output.
    terminal.keys(&["C-s"]);
    terminal.line("/say stopped");
    bob.expect("[SERVER] stopped");
    for _ in 0..20 {
        alice.send_bytes(&b"hello\n".repeat(1000));
        (0..1000).for_each(|_| bob.expect("alice: hello"));
    }
    assert!(is_stopped(&terminal), "the output is not stopped, the screen is\n{terminal}");
    terminal.keys(&["C-q"]);
    terminal.recorded_up_to(" lines could not be logged");
}

#[test]
fn in_the_background_of_a_terminal_the_server_goes_on() {
    // With job control, the server is in a process group of its own. While that group is in the background, the server
    // must not read from the terminal.
    let script = "set -m; \"$SERVER\" --port 0 & read said; read end; kill %1; wait";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let mut alice = server.join("alice");
    terminal.line("/say to the shell");
    alice.send("/me is undisturbed");
    alice.expect("* alice is undisturbed");
    // The shell now kills the server, which would otherwise keep running after its terminal is closed.
    terminal.line("end");
    alice.expect_last(replies::SHUTTING_DOWN);
}

#[test]
fn a_console_that_was_in_the_background_works_in_the_foreground() {
    let script = "set -m; \"$SERVER\" --port 0 & read said; fg %1";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let mut alice = server.join("alice");
    terminal.line("for the shell");
    terminal.wait_for_text("--port 0");
    terminal.line("/say here again");
    alice.expect("[SERVER] here again");
    terminal.line("/quit");
    alice.expect_last(replies::SHUTTING_DOWN);
}

#[test]
fn in_the_background_without_input_the_server_goes_on() {
    let port = free_port();
    // A script runs the server in the background, and writes the server's process id into a pipe.
    let script = format!("\"$SERVER\" --port {port} </dev/null >/dev/null & echo $!; wait");
    let mut server = Server::unseen(shell(&script), Stdio::piped(), port);
    let mut alice = server.join("alice");
    alice.send("/me is here");
    alice.expect("* alice is here");
    let pid = server.program().line();
    assert!(Command::new("kill").arg(pid).status().unwrap().success());
    alice.expect_last(replies::SHUTTING_DOWN);
}
