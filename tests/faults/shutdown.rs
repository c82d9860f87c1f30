//! The end under load: of those who flood and of those who do not read.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc;
use std::thread;

use chat::protocol::replies;

use crate::harness::{DEADLINE, Peer, Server};

/// What readers wait for before the server is ended, in bytes: well into the flood.
const ENOUGH_BYTES: usize = 4 << 20;

/// Floods until the connection is gone, and returns what came last.
fn flood(mut peer: Peer, name: usize) -> Vec<u8> {
    let mut stream = peer.stream().try_clone().expect("the connection stands");
    thread::scope(|scope| {
        let reading = scope.spawn(move || last_line(&peer.rest()));
        let mut lines = String::new();
        for n in 0_u64.. {
            lines += &format!("{name} {n} {}\n", "flood ".repeat(20));
            if lines.len() > 60_000 {
                if stream.write_all(lines.as_bytes()).is_err() {
                    break;
                }
                lines.clear();
            }
        }
        reading.join().expect("the reader has read to the end")
    })
}

fn last_line(bytes: &[u8]) -> Vec<u8> {
    bytes.split(|&byte| byte == b'\n').rev().nth(1).unwrap_or_default().to_vec()
}

#[test]
fn the_end_under_load_is_in_order_and_everyone_who_reads_has_read_the_same() {
    let mut server = Server::with(&["--rate", "0"]);
    let mut readers: Vec<Peer> = (0..24).map(|n| server.join(&format!("r{n}"))).collect();
    let stalled: Vec<Peer> = (0..8).map(|n| server.join(&format!("s{n}"))).collect();
    let floods: Vec<Peer> = (0..6).map(|n| server.join(&format!("f{n}"))).collect();
    // The last to come is there for all of them, so they read the same from here on.
    for peer in &mut readers {
        peer.lines_until("[SERVER] f5 joined the chat!");
    }
    let (report, enough) = mpsc::channel();
    let (read, flooded) = thread::scope(|scope| {
        let reading: Vec<_> = readers
            .into_iter()
            .map(|mut peer| {
                let report = report.clone();
                scope.spawn(move || {
                    let mut read = peer.bytes(ENOUGH_BYTES);
                    report.send(()).unwrap();
                    read.append(&mut peer.rest());
                    read
                })
            })
            .collect();
        let flooding: Vec<_> = floods
            .into_iter()
            .enumerate()
            .map(|(name, peer)| scope.spawn(move || flood(peer, name)))
            .collect();
        for _ in &reading {
            enough.recv_timeout(DEADLINE).unwrap();
        }
        server.wait_for_catch_up(stalled.len());
        server.stop();
        let join = |threads: Vec<thread::ScopedJoinHandle<'_, Vec<u8>>>| {
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        };
        (join(reading), join(flooding))
    });
    let (first, others) = read.split_first().unwrap();
    assert_eq!(last_line(first), replies::SHUTTING_DOWN.as_bytes());
    for (n, other) in others.iter().enumerate() {
        // Not `assert_eq`, which would print megabytes.
        assert!(first == other, "r0 read {} bytes, r{} {}", first.len(), n + 1, other.len());
    }
    for last in flooded {
        assert_eq!(String::from_utf8_lossy(&last), replies::SHUTTING_DOWN);
    }
    // Nothing that was taken of one flood is missing: its lines are numbered.
    let text = String::from_utf8_lossy(first);
    let mut next = [0_u64; 6];
    for line in text.lines().filter(|line| line.starts_with('f')) {
        let mut words = line.split(' ').skip(1).map(str::parse::<u64>);
        let (Some(Ok(name)), Some(Ok(n))) = (words.next(), words.next()) else {
            panic!("torn: {line:?}")
        };
        let next = &mut next[usize::try_from(name).unwrap()];
        assert_eq!(n, *next, "{line}");
        *next += 1;
    }
    assert!(next.iter().all(|&lines| lines > 0), "{next:?}");
}

/// Ends a server twice while one client is behind, who is given two seconds. Returns whether it was
/// the second signal that ended it.
fn is_ended_by_a_second_signal() -> bool {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut reader, _stalled] =
        ["talker", "reader", "stalled"].map(|nickname| server.join(nickname));
    thread::scope(|scope| {
        let reading = scope.spawn(move || while reader.line() != replies::SHUTTING_DOWN {});
        let lines = format!("{}\n", "talk ".repeat(200)).repeat(100);
        while !server.threads().iter().any(|name| name.contains(" catch")) {
            talker.send_bytes(lines.as_bytes());
        }
        server.signal("TERM");
        reading.join().expect("the reader has read the farewell");
        server.signal("TERM");
        server.exit().signal() == Some(15)
    })
}

#[test]
fn a_second_signal_ends_it_at_once_whoever_is_still_to_be_told() {
    // On a machine so busy that two seconds are too short, there is another try.
    assert!((0..5).any(|_| is_ended_by_a_second_signal()));
}
