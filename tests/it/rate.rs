//! The rate limit: lines over the rate are delayed but not lost, and they delay no other client. A client whose lines
//! are delayed can still be disconnected at once.

use std::time::{Duration, Instant};

use chat::protocol::replies;

use crate::harness::Server;

/// The number of lines that a client may send at once before the rate limit applies.
const BURST: u32 = 200;

#[test]
fn lines_over_the_rate_are_said_at_the_rate_and_before_the_leave() {
    let server = Server::with(&["--rate", "100"]);
    let mut bob = server.join("bob");
    let start = Instant::now();
    let mut alice = server.join("alice");
    bob.expect("[SERVER] alice joined the chat!");
    let over = 50;
    let lines: Vec<_> = (0..BURST + over).map(|n| n.to_string()).collect();
    alice.send(&lines.join("\n"));
    alice.end_input();
    (0..BURST + over).for_each(|n| bob.expect(&format!("alice: {n}")));
    bob.expect("[SERVER] alice left the chat!");
    // The lines over the burst take this long even on the fastest machine.
    assert!(start.elapsed() >= Duration::from_secs(1) * over / 100);
    alice.expect_last(replies::GOODBYE);
}

#[test]
fn a_line_without_an_end_is_read_at_the_rate_of_a_line_for_each_kibibyte() {
    // The rate also limits a telnet sequence without an end, although none of its bytes are text.
    for start in [&b""[..], b"\xFF\xFA"] {
        let server = Server::with(&["--rate", "100"]);
        let begun = Instant::now();
        let mut alice = server.join("alice");
        let over = 50;
        alice.send_bytes(start);
        alice.send_bytes(&vec![b'x'; ((BURST + over) as usize) << 10]);
        alice.send_bytes(b"\xFF\xF0\n/ping end\n");
        alice.lines_until("[SERVER] pong end");
        // The bytes over the burst take this long even on the fastest machine. The server may read up to ten kibibytes
        // more than the rate allows.
        assert!(begun.elapsed() >= Duration::from_millis(10) * (over - 10));
    }
}

#[test]
fn a_rate_limited_client_delays_nobody_else() {
    let server = Server::with(&["--rate", "1"]);
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|nickname| server.join(nickname));
    bob.expect("[SERVER] carol joined the chat!");
    // At one line a second, these lines take more than an hour.
    alice.send_bytes(&b"x\n".repeat(5000));
    (0..BURST).for_each(|_| bob.expect("alice: x"));
    carol.send("and I?");
    bob.lines_until("carol: and I?");
    assert!(carol.lines_until("alice: x").len() <= 1);
}

#[test]
fn a_rate_limited_client_can_be_kicked_at_once() {
    let script = "stty -echo; exec \"$SERVER\" --port 0 --rate 1";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let [mut alice, mut bob] = ["alice", "bob"].map(|nickname| server.join(nickname));
    alice.send_bytes(&b"x\n".repeat(5000));
    (0..BURST).for_each(|_| bob.expect("alice: x"));
    terminal.line("/kick Alice");
    let said = bob.lines_until("[SERVER] alice left the chat! (kicked)");
    assert!(said.len() < 1000, "{} more lines were sent before the kick", said.len());
    alice.expect("[SERVER] bob joined the chat!");
    alice.expect_last(replies::KICKED);
}
