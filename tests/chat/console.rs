//! The console: what whoever runs the server can do in its terminal.

use crate::harness::{Peer, Tmux, Transcript, free_port, wait};

/// A server that was started by hand, and its terminal.
struct Console {
    terminal: Tmux,
    port: u16,
    transcript: Transcript,
}

impl Console {
    /// Starts a server in a terminal, which shows its exit code in the end; `None` without `tmux`.
    fn start() -> Option<Self> {
        Self::start_by("$server; echo code $?")
    }

    /// Starts a server by this script, in which it is `$server`.
    fn start_by(script: &str) -> Option<Self> {
        let port = free_port();
        let server = format!("{} --port {port}", env!("CARGO_BIN_EXE_server"));
        let terminal = Tmux::run(120, &format!("server='{server}'; {script}"))?;
        terminal.wait_for_row("[SERVER] Waiting for connections...");
        Some(Self { terminal, port, transcript: Transcript::default() })
    }

    #[track_caller]
    fn join(&self, nickname: &str) -> Peer {
        let mut peer = Peer::connect(nickname, self.port, &self.transcript);
        peer.send(nickname);
        peer.expect_all(["[SERVER] Enter your nickname:", "[SERVER] Connected to the server!"]);
        assert!(peer.line().contains(" online: "));
        peer
    }

    fn type_line(&self, line: &str) {
        self.terminal.text(line);
        self.terminal.keys(&["Enter"]);
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.transcript.print_if_failing();
    }
}

#[test]
fn who_is_kicked_reads_it_and_all_others_are_told_why_it_left() {
    let Some(console) = Console::start() else { return };
    let mut alice = console.join("alice");
    let mut bob = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    console.type_line("/kick BOB");
    bob.expect("[SERVER] You were kicked.");
    bob.expect_end();
    alice.expect("[SERVER] bob left the chat! (kicked)");
    console.terminal.wait_for_row("[SERVER] bob left the chat! (kicked)");
    console.type_line("/kick bob");
    console.terminal.wait_for_row("[SERVER] Nobody here is called bob.");
    let _again = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
}

#[test]
fn who_sends_without_an_end_or_waits_for_the_rate_can_be_kicked() {
    let Some(console) = Console::start() else { return };
    let mut alice = console.join("alice");
    let mut bob = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(&b"x\n".repeat(5000));
    alice.expect("bob: x");
    console.type_line("/kick bob");
    let lines = alice.lines_until("[SERVER] bob left the chat! (kicked)");
    assert!(lines.len() < 5000 && lines.iter().all(|line| line == "bob: x"), "{lines:?}");
    bob.expect("[SERVER] You were kicked.");
    bob.expect_end();
}

#[test]
fn what_is_said_on_the_console_is_said_to_everyone_by_the_server() {
    let Some(console) = Console::start() else { return };
    let mut alice = console.join("alice");
    let mut bob = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    console.type_line("/say back in five minutes");
    alice.expect("[SERVER] back in five minutes");
    bob.expect("[SERVER] back in five minutes");
    console.type_line("/who");
    console.terminal.wait_for_row("[SERVER] 2 online: alice, bob");
    console.type_line("/help");
    for command in ["/who", "/say TEXT", "/kick NICK", "/quit", "/help"] {
        wait(
            command,
            || console.terminal.rows().join("\n"),
            || {
                let help = format!("[SERVER] {command} ");
                console.terminal.rows().iter().any(|row| row.starts_with(&help)).then_some(())
            },
        );
    }
    console.type_line("/nope");
    console.terminal.wait_for_row("[SERVER] Unknown command: /nope. Type /help for the commands.");
}

#[test]
fn quit_ends_the_server_in_order_and_so_does_ctrl_c() {
    for ends_it in ["/quit", "/QUIT", "Ctrl-C"] {
        // The shell would take Ctrl-C for itself too.
        let Some(console) = Console::start_by("trap : INT; $server; echo code $?") else { return };
        let mut alice = console.join("alice");
        if ends_it == "Ctrl-C" {
            console.terminal.keys(&["C-c"]);
        } else {
            console.type_line(ends_it);
        }
        alice.expect("[SERVER] The server is shutting down.");
        alice.expect_end();
        drop(alice);
        console.terminal.wait_for_row("code 0");
    }
}

#[test]
fn the_end_of_the_console_is_not_the_end_of_the_server() {
    let Some(console) = Console::start() else { return };
    let mut alice = console.join("alice");
    console.terminal.keys(&["C-d"]);
    let mut bob = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send("still here");
    alice.expect("bob: still here");
}

#[test]
fn a_server_in_the_background_is_not_stopped_for_reading_the_terminal() {
    // With `-m` a job in the background keeps the terminal as its input, as from a prompt.
    let script = "set -m; $server & read line; kill %1; wait %1; echo code $?";
    let Some(console) = Console::start_by(script) else { return };
    let mut alice = console.join("alice");
    let mut bob = console.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    console.type_line("to the shell");
    alice.expect("[SERVER] The server is shutting down.");
    drop(alice);
    console.terminal.wait_for_row("code 0");
}
