//! The limits on the number of connections: in total, and from one address.

use chat::protocol::replies;

use crate::hardening::own_address;
use crate::harness::{Server, poll_until};

#[test]
fn at_max_clients_a_newcomer_is_told_and_one_who_leaves_makes_room() {
    let mut server = Server::with(&["--max-clients", "2"]);
    let mut alice = server.join("alice");
    // This client has no nickname yet, but it counts towards the limit.
    let mut unnamed = server.connect("unnamed");
    unnamed.expect(replies::ENTER_NICKNAME);
    for _ in 0..10 {
        let mut turned_away = server.connect("turned away");
        // The client sends lines first, and still receives the reason for the refusal.
        turned_away.send_bytes(&b"bot\nlet me in\n".repeat(100));
        turned_away.expect_last(replies::SERVER_FULL);
    }
    unnamed.send("bob");
    alice.expect("[SERVER] bob joined the chat!");
    unnamed.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    // Bob's place becomes free a moment after the notice.
    let mut carol = poll_until("a free place", || {
        let mut carol = server.connect("carol");
        (carol.line() == replies::ENTER_NICKNAME).then_some(carol)
    });
    carol.send("carol");
    let log = server.log_until("Nickname of client is carol");
    let refusals = log.iter().filter(|line| line.contains("Turned 127.0.0.1 away")).count();
    assert!((1..=2).contains(&refusals), "one log line for each burst: {log:?}");
}

#[test]
fn at_max_per_address_a_newcomer_is_told_and_other_limits_hold() {
    let Some(address) = own_address() else { return };
    let host = address.to_string();
    let server = Server::with(&["--host", &host, "--max-per-address", "1"]);
    let mut alice = server.join("alice");
    server.connect("turned away").expect_last(replies::TOO_MANY_FROM_ADDRESS);
    alice.send("/quit");
    alice.expect_last(replies::GOODBYE);
    // A place becomes free when the server closes the connection. The server first waits for the client to close it.
    drop(alice);
    poll_until("a free place", || {
        let mut bob = server.connect("bob");
        (bob.line() == replies::ENTER_NICKNAME).then_some(())
    });

    let server = Server::with(&["--host", &host, "--max-per-address", "0"]);
    let _peers = ["alice", "bob", "carol"].map(|nickname| server.join(nickname));
}

#[test]
fn an_address_that_connects_too_often_is_told_and_those_who_are_in_stay() {
    let Some(address) = own_address() else { return };
    let server =
        Server::with(&["--host", &address.to_string(), "--rate", "1", "--max-per-address", "0"]);
    let mut alice = server.join("alice");
    let mut told = (0..1000).map(|_| {
        let mut peer = server.connect("again and again");
        let line = peer.line();
        peer.end_input();
        peer.rest();
        line
    });
    assert!(told.any(|line| line == replies::TOO_MANY_FROM_ADDRESS));
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn max_per_address_is_not_for_this_machine_itself() {
    let server = Server::with(&["--max-per-address", "1"]);
    let _peers = ["alice", "bob", "carol"].map(|nickname| server.join(nickname));
}
