//! The client counts the lines that it sends. These tests check which lines the client counts as sent and which as
//! lost, and they check its exit code.

use std::process::Command;

use super::piped_client::start;
use crate::harness::{
    Directory, FakeServer, Peer, Program, Server, client_command, leave_out, shell,
};

/// Reads lines until the line `ping` arrives. Returns the lines before it, except other pings.
#[track_caller]
fn read_to_ping(peer: &mut Peer, ping: &str) -> Vec<String> {
    let mut lines = peer.lines_until(ping);
    lines.retain(|line| !line.starts_with("/ping "));
    lines
}

/// Returns whether data has arrived that the test has not read.
fn has_received(peer: &Peer) -> bool {
    peer.stream().set_nonblocking(true).expect("a socket can be nonblocking");
    let received = peer.stream().peek(&mut [0]).is_ok();
    peer.stream().set_nonblocking(false).expect("a socket can be blocking");
    received
}

fn numbered(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    numbers.map(|number| format!("line {number}")).collect()
}

#[test]
fn no_more_than_a_hundred_lines_are_under_way_unconfirmed() {
    let fake = FakeServer::start();
    let mut client = start(fake.port(), &["--nick", "bot"], fake.transcript());
    let mut peer = fake.let_in("bot");
    client.send_text(&(numbered(1..=240).join("\n") + "\n"));
    client.end_input();
    assert_eq!(read_to_ping(&mut peer, "/ping client-100"), numbered(1..=100));
    // When the client has printed the marker, it has had time to send more lines. But the client must wait for a pong.
    peer.send("alice: marker");
    client.lines_until("alice: marker");
    assert!(!has_received(&peer), "the client has sent more than a hundred lines");
    peer.send("[SERVER] pong client-50");
    assert_eq!(read_to_ping(&mut peer, "/ping client-150"), numbered(101..=150));
    peer.send("[SERVER] pong client-100\n[SERVER] pong client-150");
    assert_eq!(read_to_ping(&mut peer, "/ping client-200"), numbered(151..=200));
    peer.send("[SERVER] pong client-200");
    assert_eq!(read_to_ping(&mut peer, "/quit"), numbered(201..=240));
    peer.send("[SERVER] Goodbye!");
    drop(peer);
    let finished = client.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.output, "[SERVER] Goodbye!\n", "no answer to a ping is shown");
}

#[test]
fn a_ping_of_ones_own_is_answered_like_any_command() {
    let server = Server::start();
    let port = server.port().to_string();
    let command = client_command(["--port", &port, "--nick", "bot"]);
    let finished = Program::run(command, "/ping 17\n/ping\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.output.contains("[SERVER] pong 17\n[SERVER] pong\n"), "{finished:?}");
}

#[test]
fn lines_that_a_closing_server_did_not_confirm_are_counted() {
    for (confirmed, why) in
        [(0, "Not said: 60 lines."), (50, "Not said: 10 lines."), (59, "Not said: 1 line.")]
    {
        let fake = FakeServer::start();
        let mut client = start(fake.port(), &["--nick", "bot"], fake.transcript());
        let mut peer = fake.let_in("bot");
        client.send_text(&(numbered(1..=60).join("\n") + "\n"));
        peer.lines_until("line 60");
        peer.send(&format!(
            "[SERVER] pong client-{confirmed}\n[SERVER] The server is shutting down."
        ));
        drop(peer);
        let finished = client.finish();
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let last = finished.errors.lines().last().unwrap_or_default();
        assert_eq!(last, format!("[ERROR] {why}"), "{finished:?}");
    }
}

#[test]
fn unconfirmed_lines_are_sent_again_after_a_reconnect_ahead_of_what_follows() {
    let fake = FakeServer::start();
    let mut client = start(fake.port(), &["--nick", "bot", "--reconnect"], fake.transcript());
    let mut peer = fake.let_in("bot");
    client.send_text(&(numbered(1..=150).join("\n") + "\n"));
    client.end_input();
    read_to_ping(&mut peer, "/ping client-100");
    peer.send("[SERVER] pong client-50");
    read_to_ping(&mut peer, "/ping client-150");
    peer.lines_until("/quit");
    drop(peer);
    let mut peer = fake.let_in("bot");
    let lines = peer.lines_until("/quit");
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.starts_with("/ping ")).collect();
    assert_eq!(lines, numbered(51..=150));
    peer.send("[SERVER] Goodbye!");
    drop(peer);
    let finished = client.finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
#[cfg(unix)]
fn a_refused_line_makes_the_code_1_and_the_others_are_said() {
    for (line, why) in [
        (&b"x".repeat(1025)[..], "1025 bytes"),
        (b"\xff", "not valid UTF-8"),
        (b"/msg nobody hi", ""),
        (b"/nonsense", ""),
    ] {
        let server = Server::start();
        let mut alice = server.join("alice");
        let port = server.port();
        let directory = Directory::new();
        let input = directory.file("input");
        std::fs::write(&input, [b"one\n", line, b"\ntwo\n"].concat()).unwrap();
        let script = format!("\"$CLIENT\" --nick bot --port {port} < '{}'", input.display());
        let finished = Program::run(shell(&script), "");
        alice.expect_all(["[SERVER] bot joined the chat!", "bot: one", "bot: two"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.errors.contains(why), "{finished:?}");
        assert!(finished.errors.ends_with("[ERROR] Not said: 1 line.\n"), "{finished:?}");
    }
}

#[test]
#[cfg(unix)]
fn output_that_cannot_be_written_is_no_success_and_all_is_said() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let port = server.port();
    let script =
        format!("printf 'one\\ntwo\\n' | \"$CLIENT\" --nick bot --port {port} > /dev/full");
    let finished = Program::run(shell(&script), "");
    alice.expect_all(["[SERVER] bot joined the chat!", "bot: one", "bot: two"]);
    alice.expect("[SERVER] bot left the chat!");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let last = finished.errors.lines().last().unwrap_or_default();
    assert!(last.starts_with("[ERROR] Could not write the output: No space left"), "{finished:?}");
}

#[test]
#[cfg(unix)]
fn output_that_nobody_wants_is_no_failure_once_the_input_has_ended() {
    let fake = FakeServer::start();
    // The second half of the pipeline waits for the file `go`, closes its end of the pipe, and prints `closed`.
    let directory = Directory::new();
    let go = directory.file("go");
    let script = format!(
        "{{ echo one | \"$CLIENT\" --silent --nick bot --port {}; echo code $? >&2; }} |
        {{ until [ -e '{}' ]; do sleep 0.02; done; exec <&-; echo closed >&2; }}",
        fake.port(),
        go.display()
    );
    let mut pipeline = Program::start("pipeline", shell(&script), fake.transcript());
    let mut peer = fake.let_in("bot");
    peer.lines_until("/quit");
    std::fs::write(&go, "").unwrap();
    pipeline.expect_error("closed");
    peer.send("alice: for nobody");
    peer.send("[SERVER] Goodbye!");
    drop(peer);
    pipeline.expect_error("code 0");
}

#[test]
fn streams_that_another_program_left_nonblocking_are_waited_for() {
    let server = Server::with(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let port = server.port();
    // Perl makes its standard input and its standard output nonblocking. The client inherits both streams, so they are
    // nonblocking for the client too.
    if Command::new("perl").arg("-v").output().is_err() {
        leave_out("there is no perl");
        return;
    }
    let set = "use Fcntl; fcntl(STDIN, F_SETFL, O_NONBLOCK); fcntl(STDOUT, F_SETFL, O_NONBLOCK | O_WRONLY)";
    // `cat` reads the client's output only after the pipe has been full for a while.
    let directory = Directory::new();
    let ready = directory.file("ready");
    let script = format!(
        "{{ read go; echo one; }} |
        {{ perl -e '{set}'; \"$CLIENT\" --nick bot --port {port}; echo code $?; }} |
        {{ until [ -e '{}' ]; do sleep 0.02; done; cat; }}",
        ready.display()
    );
    let mut client = Program::start("pipeline", shell(&script), server.transcript());
    alice.expect("[SERVER] bot joined the chat!");
    for number in 1..=2000 {
        alice.send(&format!("{number} {}", "x".repeat(100)));
    }
    alice.send("/ping all");
    alice.expect("[SERVER] pong all");
    client.send_text("go\n");
    alice.expect("bot: one");
    std::fs::write(&ready, "").unwrap();
    let lines = client.lines_until("code 0");
    assert_eq!(lines.iter().filter(|line| line.starts_with("alice: ")).count(), 2000);
}

#[test]
#[cfg(unix)]
fn help_that_cannot_be_written_is_no_success() {
    for option in ["--help", "--version"] {
        let finished = Program::run(shell(&format!("\"$CLIENT\" {option} > /dev/full")), "");
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.errors.starts_with("[ERROR] Could not write the output"), "{finished:?}");
    }
}
