//! Slow readers: they miss nothing within two limits, delay nobody, and are disconnected past the limits.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{SURELY_BEHIND, Server};

const TOO_SLOW: &str = "[SERVER] slow left the chat! (too slow)";

/// How many lines of [`LINE_CHARS`] are said in a flood that a reader takes late. They are more than the system
/// holds at both ends of a connection, so the server itself has to keep the rest. They are few enough to be said
/// before a reader that takes nothing is too slow, even on a busy machine.
const FLOOD_LINES: usize = 6_000;
const LINE_CHARS: usize = 1000;
/// How many of them are said at once. A client that reads must receive them before more are said.
const PIECE: usize = 100;

/// The line of a flood with that number.
fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(LINE_CHARS))
}

/// This many lines of a thousand bytes each.
fn lines(count: usize) -> Vec<u8> {
    format!("{}\n", "much ".repeat(200)).repeat(count).into_bytes()
}

#[test]
fn who_reads_late_has_delayed_nobody_missed_nothing_and_is_live_again() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob, mut stalled] = server.join_all(["alice", "bob", "stalled"]);
    stalled.send("my own");
    alice.expect("stalled: my own");
    bob.expect("stalled: my own");
    // A few at a time, and bob gets each at once, although another client does not read.
    for start in (0..FLOOD_LINES).step_by(PIECE) {
        let piece = start..start + PIECE;
        alice.send(&piece.clone().map(line).collect::<Vec<_>>().join("\n"));
        bob.expect_all(piece.map(|number| format!("alice: {}", line(number))));
    }
    let held = stalled.bytes_held_by_system();
    assert!(held < (FLOOD_LINES * LINE_CHARS) as u64, "the server has nothing to keep: {held}");
    // Others come, speak and go, and among the flood is what is not for everyone.
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
fn who_falls_off_the_end_of_the_backlog_is_too_slow_although_it_reads() {
    let server = Server::with(&["--rate", "0", "--backlog", "4000000"]);
    let [mut talker, mut listener, slow] = server.join_all(["talker", "listener", "slow"]);
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        // It takes something now and then, so it does not stall; it is only slower than the room.
        scope.spawn(|| {
            let mut taken = vec![0; 32 << 10];
            while !gone.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(100));
                if !matches!(slow.stream().read(&mut taken), Ok(1..)) {
                    return;
                }
            }
        });
        // The listener hears each piece before the next is said, so it is not slower than the room.
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
    // 15 MB: more than the system's buffers and the backlog hold together.
    let mut notices = Vec::new();
    for _ in 0..150 {
        talker.send_bytes(&lines(100));
        talker.send("/me goes on");
        notices.extend(listener.lines_until("* talker goes on"));
    }
    notices.retain(|line| !line.starts_with("talker: much "));
    // Let go because the backlog was full: ten seconds, the other reason, have not passed.
    assert_eq!(notices, [TOO_SLOW]);
    let grown = server.usage().peak_kib - before;
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
}

#[test]
fn who_takes_nothing_for_ten_seconds_is_too_slow_and_who_takes_a_little_is_not() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, _slow, mut little] =
        server.join_all(["talker", "listener", "slow", "little"]);
    let (said, gone) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let taking = scope.spawn(|| {
            let mut taken = 0;
            while !gone.load(Ordering::Relaxed) {
                // Never so much that it would not be behind any more.
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
        assert!(taking.join().unwrap() > 0, "there was something to take");
    });
    assert!(
        said.into_inner() < 32 << 20,
        "the backlog may have been full, which is another reason"
    );
    talker.send("/who");
    talker.lines_until("[SERVER] 3 online: talker, listener, little");
}

#[test]
fn a_flood_that_is_too_fast_for_most_is_slowed_and_nobody_is_let_go() {
    // A few rounds fill the backlog, and the flood is many times that.
    let server = Server::with(&["--rate", "0", "--backlog", "2000000"]);
    let [mut talker, mut a, mut b, mut c] = server.join_all(["talker", "a", "b", "c"]);
    let line = "much ".repeat(200);
    let times = 12_000;
    let expected = format!("talker: {line}\n").repeat(times);
    thread::scope(|scope| {
        // One thread reads for all three, in turn. On a busy machine, one of three threads can fall far behind
        // the others, and then its reader is too slow for a room that is not.
        scope.spawn(|| {
            let mut left = expected.as_bytes();
            while !left.is_empty() {
                // As fast as it can, which is not fast.
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
