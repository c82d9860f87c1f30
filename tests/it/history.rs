//! The history that a newcomer gets. The live lines begin exactly where the history ends.

use std::thread::{self, ScopedJoinHandle};

use crate::harness::{Peer, Server};

/// Joins, and checks that the history consists of exactly these lines.
#[track_caller]
fn join_and_expect(server: &Server, name: &str, history: &[&str]) -> Peer {
    let mut peer = server.join(name);
    if !history.is_empty() {
        peer.expect(&format!("[SERVER] Last messages: {}", history.len()));
        peer.expect_all(history);
    }
    // The peer's own action must be the next line. This shows that the history has no further lines.
    peer.send("/me is in");
    peer.expect(&format!("* {name} is in"));
    peer
}

#[test]
fn a_newcomer_gets_the_last_twenty_messages_and_actions_and_nothing_else() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("zero");
    bob.expect("alice: zero");
    let mut carol = server.join("carol");
    carol.expect_all(["[SERVER] Last messages: 1", "alice: zero"]);
    // The history keeps only messages and actions that go to everyone. It keeps none of the following lines.
    alice.send_bytes(b"/msg bob psst\n/who\n/nope\n/nick al\n/nick alice\n\xff\n\n");
    alice.lines_until("[SERVER] Not sent: That line is not valid UTF-8.");
    carol.send("/quit");
    alice.expect("[SERVER] carol left the chat!");
    let mut dora = join_and_expect(&server, "dora", &["alice: zero"]);
    dora.send("/quit");
    dora.expect("[SERVER] Goodbye!");
    let lines: Vec<String> = (1..=25).map(|n| format!("line {n}")).collect();
    for line in &lines {
        alice.send(line);
    }
    bob.lines_until("alice: line 25");
    let last: Vec<String> = lines[5..].iter().map(|line| format!("alice: {line}")).collect();
    let last: Vec<&str> = last.iter().map(String::as_str).collect();
    let _dora = join_and_expect(&server, "dora", &last);
    let with_action: Vec<&str> = last[1..].iter().copied().chain(["* dora is in"]).collect();
    let _eve = join_and_expect(&server, "eve", &with_action);
}

#[test]
fn the_first_to_come_and_a_room_that_was_silent_have_no_history() {
    let server = Server::start();
    let _alice = server.join("alice");
    let _bob = join_and_expect(&server, "bob", &[]);
}

#[test]
fn the_length_of_the_history_can_be_chosen() {
    for (length, history) in [("0", &[][..]), ("2", &["alice: two", "alice: three"])] {
        let server = Server::with(&["--history", length]);
        let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
        alice.send_bytes(b"one\ntwo\nthree\n");
        bob.lines_until("alice: three");
        let _carol = join_and_expect(&server, "carol", history);
    }
}

#[test]
fn the_history_is_clean_and_keeps_the_names_as_they_were() {
    let server = Server::start();
    let mut alice = server.join("alice");
    alice.send_bytes(b"\x1b[2Jhi\n/nick al\n");
    alice.expect("[SERVER] alice is now known as al");
    let _bob = join_and_expect(&server, "bob", &["alice: \u{FFFD}[2Jhi"]);
}

#[test]
fn a_returning_client_sees_its_own_messages_in_the_history() {
    let server = Server::start();
    let mut alice = server.join("alice");
    alice.send("mine");
    alice.send("/quit");
    alice.expect("[SERVER] Goodbye!");
    let _alice = join_and_expect(&server, "alice", &["alice: mine"]);
}

/// Returns the numbers in the lines `talker: N` that a newcomer received. Other lines are skipped.
fn numbers(lines: &[String]) -> Vec<usize> {
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("talker: "));
    numbers.map(|number| number.parse().expect("the talker says numbers")).collect()
}

#[test]
fn history_meets_live_without_a_gap_or_a_double() {
    const NEWCOMERS: usize = 60;
    const AT_ONCE: usize = 10;
    let server = Server::with(&["--rate", "0", "--history", "7"]);
    let [mut talker, mut listener] = server.join_all(["talker", "listener"]);
    let newcomer = |name: String| {
        let mut peer = server.connect(&name);
        peer.send(&name);
        peer.expect_all(["[SERVER] Enter your nickname:", "[SERVER] Connected to the server!"]);
        peer
    };
    thread::scope(|scope| {
        let groups: Vec<_> = (0..AT_ONCE)
            .map(|group| {
                let members = (0..NEWCOMERS / AT_ONCE).map(move |n| format!("n{group}-{n}"));
                scope.spawn(move || members.map(newcomer).collect::<Vec<_>>())
            })
            .collect();
        // The talker sends five messages at a time until all newcomers are in. When the listener has received the fifth
        // message, the talker sends the next five.
        let mut last = 0;
        while !groups.iter().all(ScopedJoinHandle::is_finished) {
            let lines: Vec<String> = (last..last + 5).map(|number| number.to_string()).collect();
            talker.send(&lines.join("\n"));
            last += 5;
            listener.lines_until(&format!("talker: {}", last - 1));
        }
        talker.send(&last.to_string());
        let newcomers = groups.into_iter().map(|group| group.join().expect("all get in"));
        let newcomers: Vec<Peer> = newcomers.flatten().collect();
        let mut firsts = Vec::new();
        for mut peer in newcomers {
            let lines = peer.lines_until(&format!("talker: {last}"));
            let history =
                lines.iter().position(|line| line.starts_with("[SERVER] Last messages: "));
            let numbers = numbers(&lines);
            let first = numbers.first().copied().unwrap_or(last);
            assert_eq!(numbers, (first..last).collect::<Vec<_>>(), "no gap and no double");
            if let Some(history) = history {
                assert_eq!(history, 1, "the history follows the list of names: {lines:?}");
                let told: usize = lines[1]["[SERVER] Last messages: ".len()..].parse().unwrap();
                let shown = &lines[2..2 + told];
                assert!(shown.iter().all(|line| line.starts_with("talker: ")), "{shown:?}");
                assert!(told == 7 || first == 0, "{told} lines of history, from {first} on");
            } else {
                assert_eq!(first, 0, "without a history, every message is live");
            }
            firsts.push(first);
        }
        // Check that the newcomers joined at different times, while the talker was sending.
        assert!(firsts.iter().max() > firsts.iter().min(), "{firsts:?}");
    });
}
