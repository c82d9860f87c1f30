//! The limits on connections, logins, the history and the log.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use chat::protocol::replies;

use crate::harness::{DEADLINE, Server, own_address};

#[test]
fn at_max_clients_a_newcomer_is_told_and_one_who_leaves_makes_room() {
    let server = Server::with(&["--max-clients", "2"]);
    let mut alice = server.join("alice");
    // It counts, although it has no nickname.
    let mut unnamed = server.connect();
    unnamed.expect(replies::ENTER_NICKNAME);
    for _ in 0..3 {
        server.connect().expect_last(replies::SERVER_FULL);
    }
    unnamed.send("bob");
    alice.expect("[SERVER] bob joined the chat!");
    unnamed.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    server.join("carol");
    let log = server.log_until("Nickname of client is carol");
    let refusals = log.iter().filter(|line| line.contains("Turned 127.0.0.1 away")).count();
    assert_eq!(refusals, 1, "the log is told once a burst: {log:?}");
}

#[test]
fn at_max_per_address_a_newcomer_is_told_and_other_limits_hold() {
    let Some(address) = own_address() else { return };
    let host = address.to_string();
    let server = Server::with(&["--host", &host, "--max-per-address", "1"]);
    let mut alice = server.join("alice");
    server.connect().expect_last(replies::TOO_MANY_FROM_ADDRESS);
    alice.send("/quit");
    alice.expect_last(replies::GOODBYE);
    let _bob = server.join("bob");

    let server = Server::with(&["--host", &host, "--max-per-address", "0"]);
    let _peers = ["alice", "bob", "carol"].map(|nickname| server.join(nickname));
}

#[test]
fn max_per_address_is_not_for_this_machine_itself() {
    let server = Server::with(&["--max-per-address", "1"]);
    let _peers = ["alice", "bob", "carol"].map(|nickname| server.join(nickname));
}

#[test]
fn who_gives_no_nickname_in_time_is_told_whatever_it_sends() {
    let server = Server::with(&["--login-timeout", "1"]);
    let mut alice = server.join("alice");
    let mut silent = server.connect();
    let mut dripping = server.connect();
    dripping.expect(replies::ENTER_NICKNAME);
    // A byte a while: the whole login has one deadline, which no byte puts off.
    dripping.stream().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let start = Instant::now();
    while start.elapsed() < DEADLINE {
        match dripping.stream().peek(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                dripping.send_bytes(b".");
            }
            _ => break,
        }
    }
    dripping.expect_last(replies::LOGIN_TIMEOUT);
    silent.expect(replies::ENTER_NICKNAME);
    silent.expect_last(replies::LOGIN_TIMEOUT);
    // The time is for the login alone.
    alice.send("/me is still here");
    alice.expect("* alice is still here");
}

#[test]
fn the_history_has_as_many_lines_as_it_is_told_to() {
    for (lines, shown) in [("2", &["alice: two", "* alice ends"][..]), ("0", &[])] {
        let server = Server::with(&["--history", lines]);
        let mut alice = server.join("alice");
        alice.send_bytes(b"one\ntwo\n/me ends\n");
        alice.expect("* alice ends");
        let mut bob = server.join("bob");
        if !shown.is_empty() {
            bob.expect(&replies::last_messages(shown.len()));
        }
        for line in shown {
            bob.expect(line);
        }
        alice.send("now");
        bob.expect("alice: now");
    }
}

#[test]
fn the_log_tells_what_it_is_asked_to_tell() {
    // What the log says between the greeting and the end, of one who comes, talks and goes.
    let told = |options: &[&str]| {
        let mut server = Server::with(options);
        let mut alice = server.join("alice");
        alice.send("hello");
        alice.send("/quit");
        alice.expect_last(replies::GOODBYE);
        server.stop();
        let log = server.rest_of_log();
        assert_eq!(log.last().map(String::as_str), Some("[SERVER] Shutting down..."));
        ["Connected with", "alice left", "alice: hello"]
            .map(|text| log.iter().any(|line| line.contains(text)))
    };
    assert_eq!(told(&[]), [true, true, false]);
    assert_eq!(told(&["--quiet"]), [false, false, false]);
    assert_eq!(told(&["--log-messages"]), [true, true, true]);
}
