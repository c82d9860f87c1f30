//! What the person who runs the server sees of it and tells it, from outside: signals, statistics, the
//! console in a pipe, bans, and what survives a restart.

use std::collections::BTreeMap;

use chat::protocol::replies;

use crate::harness::{Server, poll_until};

/// Takes the statistics apart.
fn parse(line: &str) -> BTreeMap<&str, &str> {
    let pairs = line.strip_prefix("[SERVER] stats ").unwrap_or_else(|| panic!("{line:?}"));
    pairs.split(' ').map(|pair| pair.split_once('=').unwrap()).collect()
}

/// The next line of statistics in the log.
#[track_caller]
fn next_stats(server: &mut Server) -> String {
    loop {
        let line = server.program().line();
        if line.starts_with("[SERVER] stats ") {
            return line;
        }
    }
}

#[test]
fn a_second_signal_that_comes_with_the_first_ends_nothing_early() {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, stalled] = server.join_all(["talker", "listener", "stalled"]);
    // One who is behind is given more than a second: so long the server does not end by itself.
    Server::leave_behind(&mut talker, &mut listener, &stalled);
    server.signal("TERM");
    // In its handler by now, as the farewell shows.
    listener.expect(replies::SHUTTING_DOWN);
    for signal in ["TERM", "INT", "TERM"] {
        server.signal(signal);
    }
    server.expect_exit();
}

#[test]
fn a_hang_up_without_a_terminal_logs_the_statistics_and_ends_nothing() {
    let mut server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello");
    bob.expect("alice: hello");
    bob.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    for _ in 0..10 {
        let mut peer = server.connect("peer");
        (0..10).for_each(|_| peer.send("no name"));
        peer.lines_until(replies::TOO_MANY_TRIES);
    }
    server.signal("HUP");
    let line = next_stats(&mut server);
    let stats = parse(&line);
    // Two names, a message, /quit, and what was no name.
    for (key, value) in [
        ("users", "1"),
        ("users_most", "2"),
        ("lines_in", "104"),
        ("behind", "0"),
        ("behind_names", "-"),
        ("backlog", "0"),
        ("turned_away_full", "0"),
        ("turned_away_tries", "10"),
    ] {
        assert_eq!(stats[key], value, "{key} in {line}");
    }
    assert!(stats["memory"].parse::<u64>().unwrap() > 500, "{line}");
    assert!(stats["uptime"].parse::<u64>().unwrap() < 600, "{line}");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn deliveries_and_bytes_are_what_people_were_sent() {
    let mut server = Server::with(&["--stats", "1"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello");
    bob.expect("alice: hello");
    bob.send("/msg alice psst");
    bob.expect("[you -> bob] psst".replace("bob", "alice").as_str());
    let to_alice = "[SERVER] Connected to the server!\n[SERVER] 1 online: alice\n\
                    [SERVER] bob joined the chat!\n[bob -> you] psst\n";
    let to_bob = "[SERVER] Connected to the server!\n[SERVER] 2 online: alice, bob\n\
                  alice: hello\n[you -> alice] psst\n";
    let bytes = (to_alice.len() + to_bob.len()).to_string();
    // It comes by itself, again and again.
    poll_until("the statistics of what was sent", || {
        let line = next_stats(&mut server);
        let stats = parse(&line);
        (stats["deliveries"] == "8" && stats["bytes_out"] == bytes).then_some(())
    });
}

#[test]
fn whoever_is_behind_is_named_with_what_is_kept_for_them() {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, stalled] = server.join_all(["talker", "listener", "stalled"]);
    Server::leave_behind(&mut talker, &mut listener, &stalled);
    server.signal("HUP");
    let line = next_stats(&mut server);
    let stats = parse(&line);
    assert_eq!((stats["behind"], stats["behind_names"]), ("1", "stalled"), "{line}");
    assert!(stats["backlog"].parse::<u64>().unwrap() > 0, "{line}");
}
