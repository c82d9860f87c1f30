//! Slow readers: the two limits past which a client that does not read is let go.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{DEADLINE, Peer, Server};

const TOO_SLOW: &str = "[SERVER] slow left the chat! (too slow)";

/// A thousand lines of as many bytes.
fn much() -> Vec<u8> {
    format!("{}\n", "much ".repeat(200)).repeat(1000).into_bytes()
}

/// Reads until the leave is announced, and returns whether it was in time.
fn hear_it_leave(listener: &mut Peer) -> bool {
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        if listener.line() == TOO_SLOW {
            return true;
        }
    }
    false
}

#[test]
fn who_falls_off_the_end_of_the_backlog_is_too_slow_although_it_reads() {
    let server = Server::with(&["--rate", "0", "--backlog", "100000"]);
    let [mut talker, mut listener, slow] =
        ["talker", "listener", "slow"].map(|nickname| server.join(nickname));
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        // It takes something now and then, so it does not stall; it is only slower than the room.
        scope.spawn(|| {
            let mut taken = vec![0; 32 << 10];
            while !gone.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_millis(100));
                if !matches!((&mut slow.stream()).read(&mut taken), Ok(1..)) {
                    return;
                }
            }
        });
        // The talker's own lines do not come back, but notices do.
        let mut replies = talker.stream().try_clone().unwrap();
        scope.spawn(move || std::io::copy(&mut replies, &mut std::io::sink()));
        scope.spawn(|| {
            while !gone.load(Ordering::Relaxed) {
                talker.send_bytes(&much());
            }
            talker.end_input();
        });
        let left = hear_it_leave(&mut listener);
        gone.store(true, Ordering::Relaxed);
        assert!(left);
        while listener.line() != "[SERVER] talker left the chat!" {}
    });
}

#[test]
fn who_takes_nothing_for_ten_seconds_is_too_slow() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, _slow] =
        ["talker", "listener", "slow"].map(|nickname| server.join(nickname));
    // Until it is behind, and no more: the backlog is far from full.
    thread::scope(|scope| {
        let reader = scope.spawn(|| hear_it_leave(&mut listener));
        while !server.threads().iter().any(|name| name.contains(" catch")) {
            talker.send_bytes(&much());
        }
        assert!(reader.join().unwrap());
    });
    talker.send("/who");
    while !talker.line().starts_with("[SERVER] 2 online: ") {}
}

#[test]
fn who_takes_a_little_all_the_time_is_not_too_slow() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut slow] = ["talker", "slow"].map(|nickname| server.join(nickname));
    while !server.threads().iter().any(|name| name.contains(" catch")) {
        talker.send_bytes(&much());
    }
    // For longer than one that takes nothing may stay.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        slow.bytes(2500);
        thread::park_timeout(Duration::from_millis(50));
    }
    talker.send("/who");
    talker.expect("[SERVER] slow joined the chat!");
    talker.expect("[SERVER] 2 online: talker, slow");
}

#[test]
fn a_flood_that_is_too_fast_for_most_is_slowed_and_nobody_is_let_go() {
    // A few rounds fill the backlog, and the flood is many times that.
    let server = Server::with(&["--rate", "0", "--backlog", "2000000"]);
    let [mut talker, mut a, mut b, mut c] =
        ["talker", "a", "b", "c"].map(|nickname| server.join(nickname));
    for (peer, others) in [(&mut talker, 3), (&mut a, 2), (&mut b, 1)] {
        (0..others).for_each(|_| assert!(peer.line().ends_with(" joined the chat!")));
    }
    let line = "much ".repeat(200);
    let times = 12_000;
    let expected = format!("talker: {line}\n").repeat(times);
    thread::scope(|scope| {
        for reader in [&mut a, &mut b, &mut c] {
            scope.spawn(|| {
                let mut left = expected.as_bytes();
                while !left.is_empty() {
                    // As fast as it can, which is not fast.
                    thread::park_timeout(Duration::from_millis(5));
                    let (taken, rest) = left.split_at(left.len().min(16 << 10));
                    assert!(reader.bytes(taken.len()) == taken, "{} bytes were left", left.len());
                    left = rest;
                }
            });
        }
        talker.send_bytes(format!("{line}\n").repeat(times).as_bytes());
    });
    talker.send("/who");
    talker.expect("[SERVER] 4 online: talker, a, b, c");
}
