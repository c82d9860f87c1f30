//! The client with pipes as its standard streams, as in a script.

use std::fs;
use std::process::Command;

use crate::harness::{
    Directory, FakeServer, Finished, Program, Server, Transcript, client_command, poll_until, shell,
};

/// Returns a command that runs the client with this port and these other arguments.
fn command(port: u16, arguments: &[&str]) -> Command {
    let port = port.to_string();
    client_command(["--port", &port].iter().chain(arguments))
}

/// Starts a client with this port and these other arguments.
pub(crate) fn start(port: u16, arguments: &[&str], transcript: &Transcript) -> Program {
    Program::start("client", command(port, arguments), transcript)
}

/// Runs a client until it exits; `input` is its whole standard input.
#[track_caller]
pub(crate) fn run(port: u16, arguments: &[&str], input: &str) -> Finished {
    Program::run(command(port, arguments), input)
}

#[test]
#[cfg(unix)]
fn a_line_from_a_pipe_is_seen_by_a_stranger_and_the_client_ends_with_0() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let port = server.port();
    let script = format!("printf 'hello\\n' | \"$CLIENT\" --nick bot --port {port}");
    let finished = Program::run(shell(&script), "");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: hello",
        "[SERVER] bot left the chat!",
    ]);
}

#[test]
fn what_others_say_is_on_standard_output_and_what_the_client_says_on_standard_error() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut client = start(server.port(), &["--nick", "bot"], server.transcript());
    alice.expect("[SERVER] bot joined the chat!");
    client.expect_error(&format!("[CLIENT] Connecting to 127.0.0.1:{}...", server.port()));
    client.expect_error("[CLIENT] Connected successfully!");
    client.expect("[SERVER] Connected to the server!");
    client.expect("[SERVER] 2 online: alice, bot");
    alice.send("hello");
    client.expect("alice: hello");
    client.send_text("hi\n/me waves\n/who\n");
    alice.expect_all(["bot: hi", "* bot waves"]);
    client.expect("* bot waves");
    client.expect("[SERVER] 2 online: alice, bot");
    client.end_input();
    alice.expect("[SERVER] bot left the chat!");
    let finished = client.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.output, "[SERVER] Goodbye!\n");
}

#[test]
fn without_nick_the_first_line_is_the_nickname() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut client = start(server.port(), &[], server.transcript());
    client.send_text("bot\nhello");
    client.end_input();
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: hello",
        "[SERVER] bot left the chat!",
    ]);
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
fn a_refused_nickname_ends_the_client_with_1_and_says_why() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for (nickname, why) in
        [("alice", "already taken"), ("a b", "without spaces"), ("you", "reserved")]
    {
        for arguments in [&["--nick", nickname][..], &[]] {
            let mut client = start(server.port(), arguments, server.transcript());
            if arguments.is_empty() {
                client.send_text(&format!("{nickname}\n"));
            }
            client.send_text("hello\n");
            client.end_input();
            let finished = client.finish();
            assert_eq!(finished.code, Some(1), "{finished:?}");
            let all = finished.output + &finished.errors;
            assert!(all.contains(why), "{all}");
        }
    }
    // The client did not use the further lines of its input as nicknames, and none of these lines was sent to alice.
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn no_nickname_at_all_ends_the_client_with_1() {
    let server = Server::start();
    let mut client = start(server.port(), &[], server.transcript());
    client.end_input();
    let finished = client.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(!finished.errors.is_empty());
}

#[test]
fn the_client_ends_only_after_the_server_said_goodbye() {
    let impostor = FakeServer::start();
    let mut client = start(impostor.port(), &["--nick", "bot"], impostor.transcript());
    let mut peer = impostor.let_in("bot");
    client.send_text("hello\nwithout a line end");
    client.end_input();
    peer.expect_all(["hello", "without a line end", "/quit"]);
    // The client prints further lines of the server, and does not exit yet.
    peer.send("alice: one more");
    client.lines_until("alice: one more");
    assert!(client.runs());
    peer.send("[SERVER] Goodbye!");
    drop(peer);
    let finished = client.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_server_that_goes_away_before_goodbye_ends_the_client_with_1() {
    for farewell in ["", "[SERVER] The server is shutting down.\n", "alice: half a li"] {
        let impostor = FakeServer::start();
        let mut client = start(impostor.port(), &["--nick", "bot"], impostor.transcript());
        let mut peer = impostor.let_in("bot");
        client.send_text("hello\n");
        client.end_input();
        peer.expect_all(["hello", "/quit"]);
        peer.send_bytes(farewell.as_bytes());
        drop(peer);
        let finished = client.finish();
        assert_eq!(finished.code, Some(1), "{farewell:?}: {finished:?}");
        assert!(finished.errors.contains("[ERROR] "), "{farewell:?}: {finished:?}");
    }
}

#[test]
#[cfg(unix)]
fn a_server_that_goes_away_while_nothing_is_typed_ends_the_client_with_1() {
    let mut server = Server::start();
    let mut client = start(server.port(), &["--nick", "bot"], server.transcript());
    client.lines_until("[SERVER] 1 online: bot");
    server.stop();
    let finished = client.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.output, "[SERVER] The server is shutting down.\n");
}

#[test]
fn the_client_cleans_what_the_server_sends() {
    let impostor = FakeServer::start();
    let mut client = start(impostor.port(), &["--nick", "bot"], impostor.transcript());
    let mut peer = impostor.let_in("bot");
    peer.send("mallory: \x1b]0;owned\x07\x1b[2J\u{202E}\tx");
    peer.send_bytes(b"mallory: \xff\xfe\n");
    peer.send("mallory: done");
    let lines = client.lines_until("mallory: done");
    assert!(lines.contains(&"mallory: \u{FFFD}]0;owned\u{FFFD}\u{FFFD}[2J\u{FFFD} x".to_owned()));
    assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
}

#[test]
fn the_client_takes_lines_of_64_kib() {
    let impostor = FakeServer::start();
    let mut client = start(impostor.port(), &["--nick", "bot"], impostor.transcript());
    let mut peer = impostor.let_in("bot");
    let long = "x".repeat(64 * 1024);
    peer.send(&long);
    client.lines_until(&long);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_others_are_said() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut client = start(server.port(), &["--nick", "bot"], server.transcript());
    client.send_text(&format!("one\n{}\ntwo\n", "x".repeat(1025)));
    client.end_input();
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: one",
        "bot: two",
        "[SERVER] bot left the chat!",
    ]);
    let finished = client.finish();
    let all = finished.output + &finished.errors;
    assert!(all.contains("1025 bytes"), "{all}");
}

#[test]
fn many_lines_all_arrive_however_long_the_rate_makes_it_take() {
    let server = Server::with(&["--rate", "300"]);
    let mut alice = server.join("alice");
    let mut client = start(server.port(), &["--nick", "bot"], server.transcript());
    let lines: Vec<String> = (1..=500).map(|n| format!("line {n}")).collect();
    client.send_text(&(lines.join("\n") + "\n"));
    client.end_input();
    alice.expect("[SERVER] bot joined the chat!");
    alice.expect_all(lines.iter().map(|line| format!("bot: {line}")));
    alice.expect("[SERVER] bot left the chat!");
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
fn quit_in_the_middle_of_the_input_ends_the_client_cleanly() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut client = start(server.port(), &["--nick", "bot"], server.transcript());
    client.send_text("hello\n/quit\nghost\n");
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: hello",
        "[SERVER] bot left the chat!",
    ]);
    // The client exits although its input is still open.
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_reader_that_has_seen_enough_ends_the_client_which_is_no_success() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let port = server.port();
    let script = format!(
        "{{ \"$CLIENT\" --nick bot --port {port} 2>errors; echo code $? >code; }} | head -1"
    );
    let directory = Directory::new();
    let mut command = shell(&script);
    command.current_dir(directory.path());
    let mut pipeline = Program::start("pipeline", command, server.transcript());
    alice.expect("[SERVER] bot joined the chat!");
    pipeline.expect("[SERVER] Connected to the server!");
    // `head` has exited. The client's input is still open, so the client notices this only at its next write.
    poll_until("the end of the client", || {
        alice.send("/me goes on");
        alice.line().starts_with("[SERVER] bot left the chat!").then_some(())
    });
    pipeline.exit();
    let errors = std::fs::read_to_string(directory.file("errors")).unwrap();
    assert!(errors.ends_with("\n[ERROR] Nobody reads the output any more.\n"), "{errors}");
    // The exit code is 1 because the client has not read all of its input.
    assert_eq!(std::fs::read_to_string(directory.file("code")).unwrap(), "code 1\n");
}

#[test]
#[cfg(unix)]
fn a_standard_error_that_is_stuck_does_not_keep_the_input_from_being_sent() {
    let (fake, directory) = (FakeServer::start(), Directory::new());
    let (port, fifo) = (fake.port(), directory.file("errors"));
    let fifo = fifo.display();
    let script =
        format!("mkfifo '{fifo}' && exec \"$CLIENT\" --nick bot --port {port} 2<> '{fifo}'");
    let mut client = Program::start("client", shell(&script), fake.transcript());
    let mut peer = fake.let_in("bot");
    // The client prints an error for each of these lines. The pipe is full after 64 KiB of errors.
    peer.send_bytes(&b"\xff\n".repeat(5000));
    // The first line may be sent before the pipe is full, which would prove nothing. So the test sends three lines.
    for line in ["one", "two", "three"] {
        client.send_text(&format!("{line}\n"));
        peer.lines_until(line);
    }
}

#[test]
#[cfg(unix)]
fn a_line_that_a_full_disk_cuts_is_not_continued_by_the_next_one() {
    let (fake, directory) = (FakeServer::start(), Directory::new());
    let (port, path) = (fake.port(), directory.file("output"));
    // A limit on the size of a file replaces the full disk. The limit is 512 or 1,024 bytes, depending on the shell.
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec \"$CLIENT\" --nick bot --port {port} >> '{}'",
        path.display()
    );
    let _client = Program::start("client", shell(&script), fake.transcript());
    let mut peer = fake.let_in("bot");
    let lines: Vec<String> =
        (10..40).map(|number| format!("al: {number} {}", "x".repeat(150))).collect();
    peer.send(&lines.join("\n"));
    let written = || fs::read_to_string(&path).unwrap_or_default();
    let full = poll_until("a full disk", || Some(written()).filter(|text| text.len() >= 512));
    // Truncating the file makes space again.
    fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let later = poll_until("the next lines", || {
        peer.send("al: later");
        Some(written()).filter(|text| text.contains("al: later\n"))
    });
    for line in (full + &later).lines() {
        let is_sent = |sent: &String| sent.starts_with(line);
        let is_whole = line.starts_with("[SERVER] ") || line == "al: later";
        assert!(is_whole || lines.iter().any(is_sent), "{line}");
    }
}
