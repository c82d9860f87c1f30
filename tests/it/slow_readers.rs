//! Slow readers: they delay nobody. They miss nothing while the backlog holds all that they have not read, and while
//! they read something every ten seconds. Otherwise they are disconnected.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{SURELY_BEHIND, Server};

const TOO_SLOW: &str = "[SERVER] slow left the chat! (too slow)";

/// The number of lines in the flood that the stalled client reads late. The flood is larger than the system's buffers
/// at both ends of a connection, so the server has to keep a part of it. But the flood is small enough to be sent
/// before the server disconnects the stalled client as too slow, even on a busy machine.
const FLOOD_LINES: usize = 6_000;
/// The approximate number of characters in a line of the flood.
const LINE_CHARS: usize = 1000;
/// The number of lines of the flood that are sent at once. A client that reads must receive these lines before the next
/// lines are sent.
const PIECE: usize = 100;

/// Returns the line of the flood with this number.
fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(LINE_CHARS))
}

/// Returns this many lines of a thousand bytes each.
fn lines(count: usize) -> Vec<u8> {
    format!("{}\n", "much ".repeat(200)).repeat(count).into_bytes()
}

#[test]
fn a_late_reader_delays_nobody_and_misses_nothing() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob, mut stalled] = server.join_all(["alice", "bob", "stalled"]);
    stalled.send("my own");
    alice.expect("stalled: my own");
    bob.expect("stalled: my own");
    // The flood is sent piece by piece. Bob gets each piece at once, although another client does not read.
    for start in (0..FLOOD_LINES).step_by(PIECE) {
        let piece = start..start + PIECE;
        alice.send(&piece.clone().map(line).collect::<Vec<_>>().join("\n"));
        bob.expect_all(piece.map(|number| format!("alice: {}", line(number))));
    }
    let held = stalled.bytes_held_by_system();
    assert!(held < (FLOOD_LINES * LINE_CHARS) as u64, "the system holds all of it: {held}");
    // After the flood, another client joins and leaves, and private messages are sent.
    let mut dave = server.join("dave");
    dave.send("/quit");
    bob.expect_all(["[SERVER] dave joined the chat!", "[SERVER] dave left the chat!"]);
    alice.send("/msg bob psst");
    bob.expect("[alice -> you] psst");
    alice.send("/msg stalled wake up");
    alice.send("/me marker");
    bob.expect("* alice marker");
    for number in 0..FLOOD_LINES {
        stalled.expect(&format!("alice: {}", line(number)));
    }
    stalled.expect_all(["[SERVER] dave joined the chat!", "[SERVER] dave left the chat!"]);
    stalled.expect_all(["[alice -> you] wake up", "* alice marker"]);
    stalled.send("awake");
    bob.expect("stalled: awake");
    bob.send("welcome");
    stalled.expect("bob: welcome");
}

#[test]
fn a_reader_that_falls_off_the_end_of_the_backlog_is_too_slow() {
    let server = Server::with(&["--rate", "0", "--backlog", "4000000"]);
    let [mut talker, mut listener, slow] = server.join_all(["talker", "listener", "slow"]);
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        // This client reads a little from time to time. So it does not stall, but it falls behind the room.
        scope.spawn(|| {
            let mut taken = vec![0; 32 << 10];
            while !gone.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
                if !matches!(slow.stream().read(&mut taken), Ok(1..)) {
                    return;
                }
            }
        });
        // The listener receives each piece before the next piece is sent, so it does not fall behind the room.
        let mut heard = Vec::new();
        while !heard.iter().any(|line| line == TOO_SLOW) {
            talker.send_bytes(&lines(100));
            talker.send("/me goes on");
            talker.lines_until("* talker goes on");
            heard = listener.lines_until("* talker goes on");
        }
        gone.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_a_stalled_reader_costs_is_bounded() {
    let server = Server::with(&["--rate", "0", "--backlog", "1000000"]);
    let [mut talker, mut listener, _stalled] = server.join_all(["talker", "listener", "slow"]);
    let before = server.usage().peak_kib;
    // 15 MB are more than the system's buffers and the backlog can hold together.
    let mut notices = Vec::new();
    for _ in 0..150 {
        talker.send_bytes(&lines(100));
        talker.send("/me goes on");
        notices.extend(listener.lines_until("* talker goes on"));
    }
    notices.retain(|line| !line.starts_with("talker: much "));
    // The client was disconnected because the backlog was full. The other limit, ten seconds, is not reached here.
    assert_eq!(notices, [TOO_SLOW]);
    let grown = server.usage().peak_kib - before;
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
}

#[test]
fn a_client_that_reads_nothing_for_ten_seconds_is_too_slow_and_one_that_reads_a_little_is_not() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, _slow, mut little] =
        server.join_all(["talker", "listener", "slow", "little"]);
    let (said, gone) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let mut taken = 0;
            while !gone.load(Ordering::Relaxed) {
                // Reads only if the client is far behind, so that the client is still behind afterwards.
                let behind = said.load(Ordering::Relaxed) - taken;
                if behind > little.bytes_held_by_system() + SURELY_BEHIND {
                    taken += little.bytes(100_000).len() as u64;
                }
                thread::sleep(Duration::from_millis(20));
            }
            taken
        });
        let mut notices = Vec::new();
        while notices.is_empty() {
            talker.send_bytes(&lines(50));
            talker.send("/me goes on");
            talker.lines_until("* talker goes on");
            notices = listener.lines_until("* talker goes on");
            notices.retain(|line| !line.starts_with("talker: much "));
            said.fetch_add(50_000, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(50));
        }
        gone.store(true, Ordering::Relaxed);
        assert_eq!(notices, [TOO_SLOW]);
        assert!(taking.join().unwrap() > 0, "the client `little` has read something");
    });
    assert!(
        said.into_inner() < 32 << 20,
        "the flood was so large that the backlog may have been the reason"
    );
    talker.send("/who");
    talker.lines_until("[SERVER] 3 online: talker, listener, little");
}

#[test]
fn a_flood_that_is_too_fast_for_most_is_slowed_and_nobody_is_let_go() {
    // The flood is many times larger than the backlog.
    let server = Server::with(&["--rate", "0", "--backlog", "2000000"]);
    let [mut talker, mut a, mut b, mut c] = server.join_all(["talker", "a", "b", "c"]);
    let line = "much ".repeat(200);
    let times = 12_000;
    let expected = format!("talker: {line}\n").repeat(times);
    thread::scope(|scope| {
        // One thread reads for all three clients, in turn. With three threads, one thread could fall far behind the
        // others on a busy machine, and its client would really be too slow.
        scope.spawn(|| {
            let mut left = expected.as_bytes();
            while !left.is_empty() {
                // The pause makes all three clients slow.
                thread::sleep(Duration::from_millis(5));
                let (taken, rest) = left.split_at(left.len().min(32 << 10));
                for reader in [&mut a, &mut b, &mut c] {
                    assert!(reader.bytes(taken.len()) == taken, "{} bytes were left", left.len());
                }
                left = rest;
            }
        });
        talker.send_bytes(format!("{line}\n").repeat(times).as_bytes());
    });
    talker.send("/who");
    talker.expect("[SERVER] 4 online: talker, a, b, c");
}
