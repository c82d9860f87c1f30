//! `--framing recv`: the wires of two chats without framing, byte by byte.
//!
//! *Asked* clients wait for the bytes `NICKNAME`, answer with a bare name, and send `name: text`, all
//! without a line end. *Unasked* ones print what comes and send lines `name: text`. Where each `recv`
//! is a message, a test sends the next one when the one before has been seen elsewhere.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{Peer, Program, Server, has_nc, until};

/// A server for them.
fn server() -> Server {
    Server::with(&["--framing", "recv"])
}

/// Connects and waits for the question.
fn connect(server: &Server, name: &str) -> Peer {
    let mut peer = server.connect(name);
    peer.expect_bytes(b"NICKNAME");
    peer
}

/// Connects and answers the question as the asked ones do, and gets this nickname.
#[track_caller]
fn answer(server: &Server, given: &str, nickname: &str) -> Peer {
    let mut peer = connect(server, nickname);
    peer.send_bytes(given.as_bytes());
    peer.expect("[SERVER] Connected to the server!");
    let online = peer.line();
    assert!(online.ends_with(nickname), "{online:?} should end with {nickname}");
    peer
}

/// Has `speaker`, whose name is given, speak for more than a second to `peer`, which hears all of it.
fn hear_for_a_while(peer: &mut Peer, speaker: &mut Peer, speaks_as: &str) {
    let start = Instant::now();
    until("more than a second", || {
        speaker.send_bytes(format!("{speaks_as}: /me goes on").as_bytes());
        for each in [&mut *speaker, &mut *peer] {
            each.expect(&format!("* {speaks_as} goes on"));
        }
        start.elapsed() > Duration::from_millis(1500)
    });
}

/// Connects and answers nothing, until it hears what `speaker`, whose name is given, does.
fn listen(server: &Server, name: &str, speaker: &mut Peer, speaks_as: &str) -> Peer {
    let mut peer = connect(server, name);
    until("somebody who listens", || {
        speaker.send_bytes(format!("{speaks_as}: /me waits").as_bytes());
        speaker.expect(&format!("* {speaks_as} waits"));
        peer.has_received()
    });
    speaker.send_bytes(format!("{speaks_as}: /me goes on").as_bytes());
    speaker.expect(&format!("* {speaks_as} goes on"));
    peer.lines_until(&format!("* {speaks_as} goes on"));
    peer
}

#[test]
fn clients_of_both_kinds_and_nc_talk_in_one_room() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut bob = listen(&server, "bob", &mut alice, "alice");
    bob.send_bytes(b"bob: hello\n");
    bob.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: alice, bob"]);
    alice.expect_all(["[SERVER] bob joined the chat!", "bob: hello"]);
    alice.send_bytes(b"alice: hi bob");
    bob.expect("alice: hi bob");

    // One that speaks before it was taken for one that only listens.
    let mut dave = connect(&server, "dave");
    dave.send_bytes(b"dave: hi\n");
    dave.expect_all(["[SERVER] Connected to the server!", "[SERVER] 3 online: alice, bob, dave"]);
    for earlier in [&mut alice, &mut bob] {
        earlier.expect_all(["[SERVER] dave joined the chat!", "dave: hi"]);
    }
    dave.send_bytes(b"dave: /quit\n");
    for earlier in [&mut alice, &mut bob] {
        earlier.expect("[SERVER] dave left the chat!");
    }

    // Who types lines into nc answers with one and puts no name in front.
    let mut carol = connect(&server, "carol");
    carol.send("carol");
    carol.expect("[SERVER] Connected to the server!");
    carol.expect("[SERVER] 3 online: alice, bob, carol");
    for earlier in [&mut alice, &mut bob] {
        earlier.expect("[SERVER] carol joined the chat!");
    }
    carol.send("hi both");
    for earlier in [&mut alice, &mut bob] {
        earlier.expect("carol: hi both");
    }

    bob.send_bytes(b"bob: /msg Alice psst\n");
    alice.expect("[bob -> you] psst");
    bob.expect("[you -> alice] psst");
    alice.send_bytes(b"alice: /quit");
    alice.expect("[SERVER] Goodbye!");
    alice.expect_end();
    for other in [&mut bob, &mut carol] {
        other.expect("[SERVER] alice left the chat!");
    }
    drop(bob);
    carol.expect("[SERVER] bob left the chat!");
}

#[test]
fn beside_it_a_server_of_the_default_framing_serves_nc() {
    if !has_nc() {
        return;
    }
    let (recv, lines) = (server(), Server::start());
    let mut alice = answer(&recv, "alice", "alice");
    let mut bob = lines.join("bob");
    let start_nc = |port: u16| {
        let mut nc = Command::new("nc");
        nc.args(["127.0.0.1", &port.to_string()]);
        Program::start("nc", nc, lines.transcript())
    };

    let mut nc = start_nc(lines.port());
    nc.expect("[SERVER] Enter your nickname:");
    nc.send_text("carol\n");
    nc.expect("[SERVER] Connected to the server!");
    nc.expect("[SERVER] 2 online: bob, carol");
    // Where lines are messages, many of them may come at once, and in pieces.
    nc.send_text("one\ntwo\nthr");
    bob.expect_all(["[SERVER] carol joined the chat!", "carol: one", "carol: two"]);
    nc.send_text("ee\n/quit\n");
    bob.expect_all(["carol: three", "[SERVER] carol left the chat!"]);
    nc.expect("[SERVER] Goodbye!");

    let mut nc = start_nc(recv.port());
    nc.send_text("carol\n");
    nc.expect("NICKNAME[SERVER] Connected to the server!");
    nc.expect("[SERVER] 2 online: alice, carol");
    alice.expect("[SERVER] carol joined the chat!");
    alice.send_bytes(b"alice: hi carol");
    nc.expect("alice: hi carol");
    nc.send_text("hi alice\n");
    alice.expect("carol: hi alice");
}

#[test]
fn one_read_is_one_message_with_all_that_follows_from_it() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut bob = answer(&server, "bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    // Two messages that travel together are one.
    alice.send_bytes(b"alice: onealice: two");
    bob.expect("alice: onealice: two");
    // One that is cut within a character is two, of which none can be read.
    alice.send_bytes(b"alice: caf\xc3");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    alice.send_bytes(b"\xa9");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    // With line ends it is as everywhere, but for the end.
    alice.send_bytes(b"alice: three\nalice: four\r\nalice: five");
    bob.expect_all(["alice: three", "alice: four", "alice: five"]);
}

#[test]
fn a_name_is_made_fit_and_unique() {
    let server = server();
    let mut listener = answer(&server, "Alice", "Alice");
    let mut say = |given: &str, nickname: &str| {
        let mut peer = answer(&server, given, nickname);
        listener.expect(&format!("[SERVER] {nickname} joined the chat!"));
        // It opens its messages with the name that it gave.
        peer.send_bytes(format!("{given}: hi").as_bytes());
        listener.expect(&format!("{nickname}: hi"));
        drop(peer);
        listener.expect(&format!("[SERVER] {nickname} left the chat!"));
    };
    for (given, nickname) in [
        ("alice", "alice-2"),
        (" bob ", "bob"),
        ("the cat!", "thecat"),
        ("//cat", "cat"),
        ("Jose\u{301} V", "JoseV"),
        ("server", "server-2"),
        ("\u{1F600}", "guest"),
        (&"x".repeat(40), &"x".repeat(32)),
    ] {
        say(given, nickname);
    }
}

#[test]
fn nobody_speaks_in_anothers_name() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut bob = answer(&server, "bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(b"alice: I am alice");
    alice.expect("bob: alice: I am alice");
    // The name that one gave stays one's own prefix, and so does the one that one has.
    bob.send_bytes(b"bob: /nick robert");
    alice.expect("[SERVER] bob is now known as robert");
    bob.expect("[SERVER] bob is now known as robert");
    bob.send_bytes(b"bob: hi");
    alice.expect("robert: hi");
    bob.send_bytes(b"robert: hi");
    alice.expect("robert: hi");
}

#[test]
fn a_message_over_the_limit_is_refused_whole() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut bob = answer(&server, "bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    // The first fills the buffer to the byte, others many times.
    for bytes in [4096, 1025, 5000, 20_000] {
        alice.send_bytes(&vec![b'x'; bytes]);
        alice
            .expect(&format!("[SERVER] Not sent: That line has {bytes} bytes, the limit is 1024."));
    }
    alice.send_bytes(&[b'x'; 1024]);
    bob.expect(&format!("alice: {}", "x".repeat(1024)));
    // Many lines that fill the buffer are cut where they end.
    alice.send_bytes("alice: twenty bytes.\n".repeat(500).as_bytes());
    bob.expect_all(vec!["alice: twenty bytes."; 500]);
}

#[test]
fn who_has_no_name_can_ask_and_leave() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    for quit in ["/quit", "/EXIT\n"] {
        let mut bob = connect(&server, "bob");
        bob.send_bytes(quit.as_bytes());
        bob.expect("[SERVER] Goodbye!");
        bob.expect_end();
    }
    let mut bob = connect(&server, "bob");
    bob.send_bytes(b"/help");
    assert_eq!(bob.line(), "[SERVER] Commands:");
    bob.lines_until("[SERVER] Anything else is sent to everyone; //text says /text.");
    bob.send_bytes(b"/who");
    bob.expect("[SERVER] 1 online: alice");
    bob.send_bytes(b"/me waves");
    bob.expect("[SERVER] Give your nickname first: write NAME, or NAME: TEXT.");
    bob.send_bytes(b"/hlep");
    bob.expect("[SERVER] Unknown command: /hlep. Type /help for the commands.");
    bob.send_bytes(b"bob\xff");
    bob.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    bob.send_bytes(&[b'x'; 2000]);
    bob.expect("[SERVER] Not sent: That line has 2000 bytes, the limit is 1024.");
    bob.send_bytes(b"\xff\xf4\xff\xfd\x06");
    bob.expect_bytes(b"\xff\xfc\x06");
    // It hears what is said from the first of these on, for as long as it likes.
    hear_for_a_while(&mut bob, &mut alice, "alice");
    bob.send_bytes(b"/nick bob");
    bob.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: alice, bob"]);
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(b"\xff\xf4\xff\xfd\x06hi\xff");
    bob.expect_bytes(b"\xff\xfc\x06");
    bob.expect("[SERVER] Not sent: That line is not valid UTF-8.");
}

#[test]
fn what_is_too_long_is_refused_also_at_the_end_of_the_stream() {
    let server = server();
    // The first fills the buffer to the byte.
    for bytes in [4096, 5000] {
        let mut peer = connect(&server, "peer");
        peer.send_bytes(&vec![b'x'; bytes]);
        peer.end_input();
        let limit = "the limit is 1024.";
        peer.expect(&format!("[SERVER] Not sent: That line has {bytes} bytes, {limit}"));
        peer.expect("[SERVER] Goodbye!");
        peer.expect_end();
    }
}

#[test]
fn blank_lines_are_no_answer() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut bob = connect(&server, "bob");
    until("somebody who listens", || {
        bob.send_bytes(b"\n");
        alice.send_bytes(b"alice: /me waits");
        alice.expect("* alice waits");
        bob.has_received()
    });
    bob.send_bytes(b"bob: hi\n");
    alice.expect_all(["[SERVER] bob joined the chat!", "bob: hi"]);
}

#[test]
fn who_only_listens_comes_and_goes_unannounced() {
    let server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut listener = listen(&server, "listener", &mut alice, "alice");
    listener.end_input();
    listener.expect("[SERVER] Goodbye!");
    listener.expect_end();
    let listener = listen(&server, "listener", &mut alice, "alice");
    drop(listener);
    let mut bob = listen(&server, "bob", &mut alice, "alice");
    bob.send_bytes(b"bob: \n");
    bob.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: alice, bob"]);
    alice.expect("[SERVER] bob joined the chat!");
    // There is no history, and a blank message is none.
    alice.send_bytes(b"alice: hi");
    bob.expect("alice: hi");
    let mut carol = answer(&server, "carol", "carol");
    bob.send("bob: hi");
    carol.expect("bob: hi");
}

#[test]
fn the_farewell_reaches_those_without_a_name_too() {
    let mut server = server();
    let mut alice = answer(&server, "alice", "alice");
    let mut listener = listen(&server, "listener", &mut alice, "alice");
    let mut asked = connect(&server, "asked");
    server.stop();
    for peer in [&mut alice, &mut listener, &mut asked] {
        peer.expect("[SERVER] The server is shutting down.");
        peer.expect_end();
    }
}
