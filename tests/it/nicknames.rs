//! Nicknames: which are accepted, and which are refused and why. No two clients have the same nickname.

use std::thread;

use chat::protocol::replies;

use crate::harness::{Server, taken};

#[test]
fn an_unfit_nickname_is_refused_with_the_reason_and_another_may_follow() {
    let server = Server::start();
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    for (name, why) in [
        ("", "A nickname cannot be empty."),
        ("x y", "A nickname is made of letters, digits, '-', '_' and '.', without spaces."),
        ("[SERVER]", "A nickname is made of letters, digits, '-', '_' and '.', without '['."),
        ("bob:", "A nickname is made of letters, digits, '-', '_' and '.', without ':'."),
        ("a\u{200B}", "A nickname is made of letters, digits, '-', '_' and '.', without U+200B."),
        ("a\x1b[7m", "A nickname is made of letters, digits, '-', '_' and '.', without U+001B."),
        ("Server", "That nickname is reserved."),
        (&"ñ".repeat(33), "A nickname has at most 32 characters, not 33."),
    ] {
        peer.send(name);
        peer.expect(&format!("[SERVER] {why} Enter another nickname:"));
    }
    peer.send("alice");
    peer.expect_all(["[SERVER] Connected to the server!", "[SERVER] 1 online: alice"]);
}

#[test]
fn names_of_every_script_get_in() {
    let server = Server::start();
    let mut watcher = server.join("watcher");
    for name in ["José", "Ελένη", "मोहित", "漢字", "محمد", "a.b_c-7", &"ñ".repeat(32)]
    {
        let mut peer = server.join(name);
        watcher.expect(&format!("[SERVER] {name} joined the chat!"));
        peer.send("/quit");
        watcher.expect(&format!("[SERVER] {name} left the chat!"));
    }
}

#[test]
fn white_space_and_a_carriage_return_around_a_nickname_are_not_part_of_it() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for typed in [" bob ", "bob\r", "\tbob \t\r"] {
        let mut bob = server.join(typed);
        alice.expect("[SERVER] bob joined the chat!");
        bob.send("/quit");
        alice.expect("[SERVER] bob left the chat!");
    }
}

#[test]
fn a_nickname_that_differs_in_case_alone_is_taken() {
    let server = Server::start();
    let _holders = server.join_all(["alice", "straße", "Ελένη"]);
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    for name in ["alice", "ALICE", "aLiCe", "STRASSE", "ΕΛΈΝΗ"] {
        peer.send(name);
        peer.expect(&taken(name));
    }
    peer.send("alicia");
    peer.expect("[SERVER] Connected to the server!");
}

#[test]
fn of_many_who_want_one_nickname_at_once_exactly_one_gets_it() {
    let server = Server::start();
    let mut watcher = server.join("watcher");
    let entered: Vec<_> = thread::scope(|scope| {
        let enter = || {
            let mut peer = server.connect("rival");
            peer.expect("[SERVER] Enter your nickname:");
            peer.send("prize");
            let answer = peer.line();
            if answer == "[SERVER] Connected to the server!" {
                return Some(peer);
            }
            assert_eq!(answer, taken("prize"));
            None
        };
        let rivals: Vec<_> = (0..16).map(|_| scope.spawn(enter)).collect();
        rivals.into_iter().filter_map(|rival| rival.join().expect("no rival fails")).collect()
    });
    assert_eq!(entered.len(), 1);
    watcher.expect("[SERVER] prize joined the chat!");
    watcher.send("/who");
    watcher.expect("[SERVER] 2 online: watcher, prize");
}

#[test]
fn a_nickname_that_is_not_utf8_is_refused_and_another_may_follow() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    for bytes in [&b"\xff\xfe\n"[..], b"caf\xe9\n", b"\xff\n", b"bob\xff\xfd\n"] {
        peer.send_bytes(bytes);
        peer.expect(&replies::nickname_refused(replies::NOT_UTF8));
    }
    peer.send("bob");
    peer.expect("[SERVER] Connected to the server!");
    alice.expect("[SERVER] bob joined the chat!");
}

#[test]
fn a_nickname_over_the_limit_of_a_line_is_refused_with_its_size() {
    let server = Server::start();
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    peer.send(&"x".repeat(5000));
    peer.expect("[SERVER] That line has 5000 bytes, the limit is 1024. Enter another nickname:");
    peer.send("alice");
    peer.expect("[SERVER] Connected to the server!");
}
