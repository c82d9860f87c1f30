//! One room on several servers while everything works: its nicknames, its history, the order of its lines, and what the
//! operator and later servers see.

use super::{IN_THE_ROOM, command, in_step, server, two_servers};
use crate::harness::engine::FakeEngine;
use crate::harness::{Directory, Server, taken};
#[test]
fn two_servers_are_one_room() {
    let engine = FakeEngine::start();
    let (one, two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    in_step(&mut alice, &mut [&mut bob], "hello");
    bob.send_bytes(b"/me waves\n/msg ALICE psst\n/msg nobody psst\n/who\n/nick Alice\n/nick Bo\n");
    bob.expect_all([
        "* bob waves",
        "[you -> alice] psst",
        "[SERVER] No such nickname: nobody.",
        "[SERVER] 2 online: bob, alice",
        "[SERVER] The nickname Alice is already taken. You keep your nickname.",
        "[SERVER] bob is now known as Bo",
    ]);
    alice.expect_all(["* bob waves", "[bob -> you] psst", "[SERVER] bob is now known as Bo"]);
    let mut carol = two.connect("carol");
    carol.expect("[SERVER] Enter your nickname:");
    carol.send("ALICE");
    carol.expect(&taken("ALICE"));
    carol.send("carol");
    carol.expect_all([
        "[SERVER] Connected to the server!",
        "[SERVER] 3 online: Bo, carol, alice",
        "[SERVER] Last messages: 2",
        "alice: hello",
        "* bob waves",
    ]);
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] carol joined the chat!");
    }
    alice.send("/quit");
    alice.expect("[SERVER] Goodbye!");
    for peer in [&mut bob, &mut carol] {
        peer.expect("[SERVER] alice left the chat!");
    }
    // The name is free again, on every server.
    let _alice = one.join("Alice");
    bob.expect("[SERVER] Alice joined the chat!");
}

#[test]
fn a_server_that_comes_later_has_the_names_and_the_history() {
    let engine = FakeEngine::start();
    let one = server(&engine.address(), "one", &[]);
    let mut alice = one.join("alice");
    alice.send_bytes(b"first\n/me second\n");
    alice.expect("* alice second");
    let two = server(&engine.address(), "two", &[]);
    let mut bob = two.join("bob");
    bob.expect_all(["[SERVER] Last messages: 2", "alice: first", "* alice second"]);
    bob.send("/who");
    bob.expect("[SERVER] 2 online: bob, alice");
}

#[test]
fn one_name_that_is_wanted_at_three_servers_at_once_has_one_owner() {
    let engine = FakeEngine::start();
    let servers = ["one", "two", "three"].map(|name| server(&engine.address(), name, &[]));
    let mut witness = servers[0].join("witness");
    for _ in 0..30 {
        let mut peers = servers.each_ref().map(|server| server.connect("peer"));
        for peer in &mut peers {
            peer.expect("[SERVER] Enter your nickname:");
        }
        for peer in &mut peers {
            peer.send("wanted");
        }
        let answers = peers.each_mut().map(|peer| peer.line());
        let owners = answers.iter().filter(|line| *line == "[SERVER] Connected to the server!");
        assert_eq!(owners.count(), 1, "{answers:?}");
        for peer in &mut peers {
            peer.send("/quit");
            peer.lines_until("[SERVER] Goodbye!");
        }
        witness.expect("[SERVER] wanted joined the chat!");
        witness.expect("[SERVER] wanted left the chat!");
    }
}

#[test]
fn a_private_message_keeps_its_place_among_the_messages() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    let mut expected = Vec::new();
    let mut lines = String::new();
    for number in 0..200 {
        lines += &format!("said {number}\n/msg bob told {number}\n/ping {number}\n");
        expected.push(format!("[you -> bob] told {number}"));
        expected.push(format!("[SERVER] pong {number}"));
    }
    alice.send_bytes(lines.as_bytes());
    alice.expect_all(&expected);
    for number in 0..200 {
        bob.expect(&format!("alice: said {number}"));
        bob.expect(&format!("[alice -> you] told {number}"));
    }
}

#[test]
fn the_console_says_where_somebody_is_and_speaks_to_everyone() {
    let engine = FakeEngine::start();
    let directory = Directory::new();
    let fifo = directory.file("console");
    let path = fifo.to_str().unwrap();
    let mut one = Server::of(command(&engine.address(), "one", &["--console", path]));
    one.log_until(IN_THE_ROOM);
    let two = server(&engine.address(), "two", &[]);
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.expect("[SERVER] bob joined the chat!");
    let obey = |line: &str| std::fs::write(&fifo, format!("{line}\n")).unwrap();
    obey("/say to all");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] to all");
    }
    obey("/who");
    one.log_until("  bob, at the server two");
    obey("/kick bob");
    one.log_until("bob is at the server two.");
    obey("/kick alice loud");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] alice is kicked: loud");
    }
    alice.expect("[SERVER] You were kicked.");
    bob.expect("[SERVER] alice left the chat! (kicked)");
}

#[test]
fn a_server_that_joins_after_a_checkpoint_knows_the_room() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    let lines = format!("{}\n", "x".repeat(1000)).repeat(1000);
    let mut rounds = 0;
    // Alice continues to talk until the stream has been trimmed, which happens after two checkpoints.
    while engine.log().first().is_none_or(|entry| entry.0 == (2, 0)) {
        rounds += 1;
        assert!(rounds < 60, "the stream is never trimmed");
        alice.send_bytes(lines.as_bytes());
        alice.send(&format!("/me has said {rounds}"));
        let done = format!("* alice has said {rounds}");
        assert_eq!(bob.lines_until(&done).len(), 1000);
        alice.lines_until(&done);
    }
    let three = server(&engine.address(), "three", &[]);
    let mut carol = three.join("carol");
    carol.expect("[SERVER] Last messages: 20");
    carol.lines_until(&format!("* alice has said {rounds}"));
    carol.send("/who");
    let online = carol.line();
    assert!(["alice, bob", "bob, alice"].iter().any(|others| online.ends_with(others)), "{online}");
    alice.expect("[SERVER] carol joined the chat!");
    in_step(&mut carol, &mut [&mut alice], "nothing is missing");
}

#[test]
#[cfg(target_os = "linux")]
fn private_text_from_another_server_is_bounded() {
    let engine = FakeEngine::start();
    let one = server(&engine.address(), "one", &[]);
    let mut two = Server::of(command(&engine.address(), "two", &["--backlog", "1000000"]));
    two.log_until(IN_THE_ROOM);
    let mut alice = one.join("alice");
    let _bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    let before = two.usage().peak_kib;
    let burst = format!("/msg bob {}\n", "y".repeat(1000)).repeat(100);
    for _ in 0..300 {
        alice.send_bytes(burst.as_bytes());
        alice.send("/me goes on");
        alice.lines_until("* alice goes on");
    }
    let grown = two.usage().peak_kib - before;
    assert!(grown < 12 << 10, "{grown} KiB more for a client that reads nothing");
}
