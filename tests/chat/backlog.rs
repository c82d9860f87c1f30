//! The backlog: readers that do not keep up miss nothing while there is room, and delay nobody.

use crate::harness::{Peer, Server};

/// How many lines `alice` says in a flood. With [`LINE_CHARS`] it is more than the kernel holds for
/// a socket on both ends together, so that the server itself has to keep the rest; and little enough
/// to be said, on a busy machine too, before a reader that takes nothing is too slow. What becomes of
/// those for whom that is too much is shown in `tests/faults`.
const FLOOD_LINES: usize = 6_000;
const LINE_CHARS: usize = 1000;
/// How many of them go out before `bob` has to have heard them.
const PIECE: usize = 100;

/// The line of a flood with that number.
fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(LINE_CHARS))
}

/// A server with alice, bob, and a third one who is not going to read.
fn room_with_a_stalled_reader() -> (Server, [Peer; 3]) {
    let server = Server::with(&["--rate", "0"]);
    let peers = server.join_all(["alice", "bob", "stalled"]);
    (server, peers)
}

/// Has alice say all the lines, a few at a time, and bob hear each at once, whoever else does not
/// read.
fn flood(alice: &mut Peer, bob: &mut Peer) {
    for start in (0..FLOOD_LINES).step_by(PIECE) {
        let piece = start..start + PIECE;
        alice.send(&piece.clone().map(line).collect::<Vec<_>>().join("\n"));
        bob.expect_all(piece.map(|number| format!("alice: {}", line(number))));
    }
}

#[test]
fn who_reads_late_has_missed_nothing_and_is_live_again() {
    let (_server, [mut alice, mut bob, mut stalled]) = room_with_a_stalled_reader();
    stalled.send("my own");
    alice.expect("stalled: my own");
    bob.expect("stalled: my own");
    flood(&mut alice, &mut bob);
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
fn a_server_with_a_stalled_reader_ends_all_the_same() {
    let (mut server, [mut alice, mut bob, mut stalled]) = room_with_a_stalled_reader();
    flood(&mut alice, &mut bob);
    server.stop();
    bob.expect("[SERVER] The server is shutting down.");
    bob.expect_end();
    stalled.wait_for_any_end();
}
