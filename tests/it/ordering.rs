//! Many clients that talk at the same time: all clients see the same order, and no line is torn, doubled or lost.

use std::collections::HashMap;
use std::thread;

use crate::harness::{Peer, Server, taken};
use chat::protocol::replies;

const TALKERS: [&str; 4] = ["ann", "ben", "cleo", "dan"];
const LINES_EACH: usize = 100;
/// The number of a talker's last line.
const LAST: usize = LINES_EACH - 1;

/// Makes all talkers send their lines at the same time, while two more clients only listen. Returns the lines that
/// each talker and each listener received, keyed by nickname.
fn heard_by_each(server: &Server) -> HashMap<String, Vec<String>> {
    let talkers = server.join_all(TALKERS);
    let listeners = ["eve", "fay"].map(|listener| (listener, server.join(listener)));
    // Each client skips the join notices of the clients that joined after it.
    let mut peers: Vec<(&str, Peer)> = TALKERS.into_iter().zip(talkers).chain(listeners).collect();
    for (_, peer) in &mut peers[..5] {
        peer.lines_until("[SERVER] fay joined the chat!");
    }
    thread::scope(|scope| {
        let tasks = peers.iter_mut().map(|(name, peer)| {
            let talks = TALKERS.contains(name);
            let others = TALKERS.iter().filter(|talker| *talker != name).count();
            scope.spawn(move || {
                for line in (0..LINES_EACH).filter(|_| talks) {
                    peer.send(&format!("{line} {}", "x".repeat(line)));
                }
                let lines = (0..others * LINES_EACH).map(|_| peer.line()).collect();
                ((*name).to_owned(), lines)
            })
        });
        let tasks: Vec<_> = tasks.collect();
        tasks.into_iter().map(|task| task.join().expect("no client fails")).collect()
    })
}

#[test]
fn everyone_sees_all_lines_in_one_order_but_their_own() {
    let server = Server::with(&["--rate", "0"]);
    let heard = heard_by_each(&server);
    let order = &heard["eve"];
    assert_eq!(&heard["fay"], order);
    for talker in TALKERS {
        let own = format!("{talker}: ");
        let others: Vec<_> = order.iter().filter(|line| !line.starts_with(&own)).collect();
        assert_eq!(heard[talker].iter().collect::<Vec<_>>(), others);
        // Each line of this talker has arrived whole, and exactly once.
        let lines: Vec<_> = order.iter().filter_map(|line| line.strip_prefix(&own)).collect();
        let said: Vec<_> = (0..=LAST).map(|line| format!("{line} {}", "x".repeat(line))).collect();
        assert_eq!(lines, said);
    }
}

#[test]
fn answers_come_in_order_with_the_messages_around_them() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let mut lines = String::new();
    for n in 0..50 {
        lines += &format!("/me {n}\n/who\n/msg bob {n}\n/nope\nplain {n}\n");
    }
    alice.send_bytes(lines.as_bytes());
    for n in 0..50 {
        alice.expect(&format!("* alice {n}"));
        alice.expect("[SERVER] 2 online: alice, bob");
        alice.expect(&format!("[you -> bob] {n}"));
        alice.expect(&replies::unknown_command("/nope"));
        bob.expect(&format!("* alice {n}"));
        bob.expect(&format!("[alice -> you] {n}"));
        bob.expect(&format!("alice: plain {n}"));
    }
}

#[test]
fn a_rename_takes_effect_between_two_lines() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(b"one\n/nick al\ntwo\n/nick alice\nthree\n");
    bob.expect_all([
        "alice: one",
        "[SERVER] alice is now known as al",
        "al: two",
        "[SERVER] al is now known as alice",
        "alice: three",
    ]);
}

#[test]
fn joins_and_leaves_of_one_nickname_take_turns() {
    let server = Server::start();
    let [mut watcher, mut friend] = server.join_all(["watcher", "friend"]);
    // Four clients repeatedly try to join under the same name, and leave as soon as they are in.
    let haunt = || {
        let mut times_in = 0;
        for _ in 0..25 {
            let mut peer = server.connect("ghost");
            peer.expect("[SERVER] Enter your nickname:");
            peer.send("ghost");
            peer.send("/quit");
            if peer.line() == taken("ghost") {
                peer.expect("[SERVER] Goodbye!");
            } else {
                times_in += 1;
                peer.lines_until("[SERVER] Goodbye!");
            }
            peer.expect_end();
        }
        times_in
    };
    let times_in: usize = thread::scope(|scope| {
        let ghosts = [haunt, haunt, haunt, haunt].map(|haunt| scope.spawn(haunt));
        ghosts.into_iter().map(|ghost| ghost.join().expect("no ghost fails")).sum()
    });
    assert!(times_in > 0);
    friend.send("marker");
    for _ in 0..times_in {
        watcher.expect("[SERVER] ghost joined the chat!");
        watcher.expect("[SERVER] ghost left the chat!");
    }
    watcher.expect("friend: marker");
}
