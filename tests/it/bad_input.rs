//! Hostile and broken input: the server tells the sender clearly what is wrong, sends the others nothing of this
//! input, and loses no message.

use std::io::{ErrorKind, Write};

use chat::protocol::cleaning::clean;

use crate::harness::Server;
use crate::harness::random::Random;

#[test]
fn a_megabyte_without_a_line_end_is_refused_with_its_size() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let megabyte = vec![b'x'; 1 << 20];
    alice.send_bytes(&megabyte);
    // Another client can join while the server is still reading the endless line.
    let mut carol = server.join("carol");
    alice.send_bytes(b"\nnext\n");
    alice.expect("[SERVER] carol joined the chat!");
    alice.expect("[SERVER] Not sent: That line has 1048576 bytes, the limit is 1024.");
    bob.expect_all(["[SERVER] carol joined the chat!", "alice: next"]);
    carol.expect("alice: next");
}

#[test]
#[cfg(target_os = "linux")]
fn a_line_over_the_limit_costs_no_memory() {
    let server = Server::with(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let before = server.usage().peak_kib;
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..16 {
        alice.send_bytes(&megabyte);
    }
    alice.send("");
    alice.expect("[SERVER] Not sent: That line has 16777216 bytes, the limit is 1024.");
    let after = server.usage().peak_kib;
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
}

#[test]
fn an_endless_line_at_the_end_of_the_stream_is_no_message() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    bob.send_bytes(&[b'x'; 5000]);
    bob.end_input();
    alice.expect_all(["[SERVER] bob joined the chat!", "[SERVER] bob left the chat!"]);
    let mut bob = server.join("bob");
    bob.send_bytes(b"caf\xe9");
    bob.end_input();
    alice.expect_all(["[SERVER] bob joined the chat!", "[SERVER] bob left the chat!"]);
}

#[test]
fn noise_is_answered_with_notices_and_reaches_others_clean() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let mut random = Random::new(1);
    let mut noise = random.bytes(100_000);
    for byte in &mut noise {
        // This makes the lines short and most bytes ASCII, so that many lines are valid text.
        match random.below(256) {
            0..20 => *byte = b'\n',
            20..200 => *byte &= 0x7F,
            _ => {}
        }
    }
    // Without slashes there are no commands: a random /quit would end the test.
    noise.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'.');
    let (mut answers, mut messages) = (Vec::new(), Vec::new());
    for piece in noise.chunks(777) {
        alice.send_bytes(piece);
        alice.send("\n/me marker");
        // With this seed, the noise contains no telnet timing mark. The server would answer a timing mark with three
        // bytes in front of the next line.
        answers.extend(alice.lines_until("* alice marker"));
        messages.extend(bob.lines_until("* alice marker"));
    }
    assert!(answers.len() > 100 && messages.len() > 100);
    for answer in answers {
        assert_eq!(answer, "[SERVER] Not sent: That line is not valid UTF-8.");
    }
    for message in messages {
        assert!(message.starts_with("alice: "), "{message:?}");
        assert_eq!(clean(&message), message);
    }
}

#[test]
fn connections_that_end_in_any_way_disturb_nobody() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for round in 0..20 {
        drop(server.connect("scan"));
        server.connect("reset").reset();
        let mut peer = server.connect("http");
        peer.send_bytes(b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n");
        peer.expect("[SERVER] Enter your nickname:");
        drop(peer);
        let mut peer = server.connect("tls");
        peer.send_bytes(b"\x16\x03\x01\x00\xf5\x01\x00\x00\xf1\x03\x03");
        peer.end_input();
        peer.wait_for_any_end();
        alice.send(&format!("round {round}"));
        bob.expect(&format!("alice: round {round}"));
    }
}

#[test]
fn a_client_that_never_reads_at_the_prompt_is_closed_by_the_deadline() {
    let server = Server::with(&["--login-timeout", "2"]);
    let mut alice = server.join("alice");
    let deaf = server.connect("deaf");
    // The answers are much longer than the questions. The client does not read the answers, so the server soon cannot
    // write any more of them. The loop ends only if the server closes the connection at the login deadline.
    let questions = b"/help\n".repeat(10_000);
    let mut stream = deaf.stream();
    let end = loop {
        if let Err(end) = stream.write_all(&questions) {
            break end.kind();
        }
    };
    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&end), "{end}");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}
