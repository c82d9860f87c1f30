//! The backlog: readers that do not keep up miss nothing while there is room, and delay nobody.

use crate::harness::{Peer, Server};

/// How many lines `alice` says in a flood. With [`LINE_CHARS`] it is more than the kernel holds for
/// a socket on both ends together, so that the server itself has to keep the rest.
const FLOOD_LINES: usize = 16_000;
const LINE_CHARS: usize = 1000;
/// How many of them go out before `bob` has to have heard them.
const PIECE: usize = 100;

/// The line of a flood with that number.
fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(LINE_CHARS))
}

/// A server with alice, bob, and a third one who is not going to read.
fn room_with_a_stalled_reader(options: &[&str]) -> (Server, [Peer; 3]) {
    let server = Server::with(&[&["--rate", "0"], options].concat());
    let peers = server.join_all(["alice", "bob", "stalled"]);
    (server, peers)
}

/// Has alice say these lines, a few at a time, and bob hear each at once, whoever else does not
/// read. Returns what bob heard beside them.
fn flood(alice: &mut Peer, bob: &mut Peer, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut others = Vec::new();
    for start in numbers.clone().step_by(PIECE) {
        let piece = start..numbers.end.min(start + PIECE);
        alice.send(&piece.clone().map(line).collect::<Vec<_>>().join("\n"));
        for number in piece {
            others.extend(bob.lines_until(&format!("alice: {}", line(number))));
        }
    }
    others
}

#[test]
fn who_reads_late_has_missed_nothing_and_is_live_again() {
    let (_server, [mut alice, mut bob, mut stalled]) = room_with_a_stalled_reader(&[]);
    stalled.send("my own");
    alice.expect("stalled: my own");
    bob.expect("stalled: my own");
    assert_eq!(flood(&mut alice, &mut bob, 0..FLOOD_LINES), [""; 0]);
    // Among the flood, what is not for everyone.
    stalled.send("my own too");
    bob.expect("stalled: my own too");
    alice.send("/msg bob psst");
    bob.expect("[alice -> you] psst");
    alice.send("/msg stalled wake up");
    alice.send("/me marker");
    bob.expect("* alice marker");
    for number in 0..FLOOD_LINES {
        stalled.expect(&format!("alice: {}", line(number)));
    }
    stalled.expect_all(["[alice -> you] wake up", "* alice marker"]);
    stalled.send("awake");
    bob.expect("stalled: awake");
    bob.send("welcome");
    stalled.expect("bob: welcome");
}

#[test]
fn who_takes_nothing_for_too_long_is_disconnected_as_too_slow() {
    let (server, [mut alice, mut bob, mut stalled]) = room_with_a_stalled_reader(&[]);
    let heard = flood(&mut alice, &mut bob, 0..FLOOD_LINES);
    assert_eq!(heard, [""; 0]);
    // Nothing more is said: it is the time that is over.
    bob.expect("[SERVER] stalled left the chat! (too slow)");
    // Once, and the nickname is free.
    let _again = server.join("stalled");
    bob.expect("[SERVER] stalled joined the chat!");
    stalled.wait_for_any_end();
}

#[test]
fn who_falls_off_the_end_of_the_backlog_is_disconnected_as_too_slow() {
    let (_server, [mut alice, mut bob, mut stalled]) =
        room_with_a_stalled_reader(&["--backlog", "100000"]);
    let heard = flood(&mut alice, &mut bob, 0..FLOOD_LINES);
    assert_eq!(heard, ["[SERVER] stalled left the chat! (too slow)"]);
    stalled.wait_for_any_end();
}

#[test]
fn a_server_with_a_stalled_reader_ends_all_the_same() {
    let (mut server, [mut alice, mut bob, mut stalled]) = room_with_a_stalled_reader(&[]);
    assert_eq!(flood(&mut alice, &mut bob, 0..FLOOD_LINES), [""; 0]);
    server.stop();
    bob.expect("[SERVER] The server is shutting down.");
    bob.expect_end();
    stalled.wait_for_any_end();
}
