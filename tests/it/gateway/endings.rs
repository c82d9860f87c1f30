//! How the gateway and its connections end, and how the gateway handles misbehaving clients, misbehaving servers and a
//! wrong command line.

use std::net::{Ipv4Addr, TcpListener};

use super::{Gateway, gateway_command, start};
use crate::harness::{Finished, Peer, Program, poll_until, usage_error};

#[test]
#[cfg(unix)]
fn the_final_line_arrives_and_connections_end_cleanly() {
    let mut gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut guest = gateway.listen("guest");
    alice.expect("[SERVER] guest joined the chat!");
    gateway.server.stop();
    for peer in [&mut alice, &mut guest] {
        peer.expect("[SERVER] The server is shutting down.");
        peer.expect_end();
    }
    // Now there is no server behind the gateway.
    let mut late = gateway.connect("late");
    late.send_bytes(b"late");
    // The gateway does not use these further bytes. But if it closed the socket without reading them, the system would
    // reset the connection.
    late.send_bytes(&vec![b'x'; 100_000]);
    let line = late.line();
    let start = format!("[GATEWAY] No server at 127.0.0.1:{}: ", gateway.server.port());
    assert!(line.starts_with(&start) && line.ends_with(". Try again later."), "{line:?}");
    late.expect_end();
}

#[test]
#[cfg(unix)]
fn a_server_that_dies_or_is_full_is_one_clear_line() {
    let mut gateway = Gateway::with(&["--max-clients", "1"]);
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.connect("bob");
    bob.send_bytes(b"bob");
    bob.expect("[SERVER] The server is full. Try again later.");
    bob.expect_end();
    gateway.server.signal("KILL");
    gateway.server.program().exit();
    alice.expect("[GATEWAY] The server closed the connection.");
    alice.expect_end();
}

#[test]
fn a_client_that_does_not_read_hurts_only_itself() {
    let gateway = Gateway::with(&["--rate", "0", "--history", "0", "--backlog", "1000000"]);
    let stalled = gateway.answer("stalled", "stalled");
    let mut alice = gateway.server.join("alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    let piece = format!("{}\n", "x".repeat(900)).repeat(100);
    let mut said = 0;
    'talk: loop {
        assert!(said < 400, "the stalled client is still connected after {said} pieces");
        alice.send_bytes(piece.as_bytes());
        alice.send(&format!("/me {said}"));
        said += 1;
        let heard = bob.lines_until(&format!("* alice {}", said - 1));
        let is_left = |line: &String| line == "[SERVER] stalled left the chat! (too slow)";
        let left = heard.iter().any(is_left);
        assert_eq!(heard.len(), 100 + usize::from(left), "bob hears every line");
        if left {
            break 'talk;
        }
    }
    drop(stalled);
    bob.send_bytes(b"bob: still here");
    alice.lines_until("bob: still here");
}

#[test]
fn a_client_over_the_limit_is_told_so() {
    let gateway = Gateway::with(&["--quiet"]);
    let mut peers: Vec<Peer> = (0..64).map(|_| gateway.connect("peer")).collect();
    let mut over = Peer::connect("over", gateway.address, gateway.server.transcript());
    over.expect("[GATEWAY] The gateway is full. Try again later.");
    over.expect_end();
    // After a client has left, the gateway accepts another one.
    let mut last = peers.pop().expect("there are 64");
    last.send_bytes(b"/quit");
    last.lines_until("[SERVER] Goodbye!");
    last.expect_end();
    drop(last);
    poll_until("a place", || gateway.has_a_place().then_some(()));
}

#[test]
#[cfg(unix)]
fn a_client_that_does_not_close_keeps_no_place_once_the_server_is_gone() {
    let mut gateway = Gateway::with(&["--quiet"]);
    let mut peers: Vec<Peer> = (0..64).map(|_| gateway.connect("peer")).collect();
    for peer in &mut peers {
        peer.expect("[SERVER] Connected to the server!");
    }
    assert!(!gateway.has_a_place());
    gateway.server.stop();
    for peer in &mut peers {
        peer.lines_until("[SERVER] The server is shutting down.");
        peer.expect_end();
    }
    poll_until("a place", || gateway.has_a_place().then_some(()));
}

#[test]
fn a_browser_says_nothing_in_the_chat() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut browser = gateway.connect("browser");
    browser.send_bytes(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nevil\n/me is evil\n");
    browser.expect("[GATEWAY] This is a chat, not a web server.");
    browser.expect_end();
    // A browser that sends its request only after it has become a guest says nothing in the chat either.
    let mut browser = gateway.listen("guest");
    browser.send_bytes(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nevil\n/me is evil\n");
    browser.expect("[SERVER] Goodbye!");
    alice.expect("[SERVER] guest joined the chat!");
    alice.expect("[SERVER] guest left the chat!");
}

#[test]
fn no_bytes_of_a_client_or_of_a_server_end_it() {
    let gateway = Gateway::with(&["--rate", "0", "--history", "0"]);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = |count: usize| -> Vec<u8> {
        let next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Half of the bytes are arbitrary. The other half have a meaning in one of the protocols.
            let meaning = b"\n\r: /nickmsg[]*\xff\xfd\x06\xc3\0guest";
            let [choice, byte, ..] = random.to_le_bytes();
            if choice % 2 == 0 { byte } else { meaning[usize::from(byte) % meaning.len()] }
        };
        std::iter::repeat_with(next).take(count).collect()
    };
    for count in (0..40).map(|round| round * 37) {
        let mut peer = gateway.connect("random");
        peer.send_bytes(&bytes(count));
        peer.end_input();
        peer.wait_for_any_end();
    }
    // Now a fake server sends the random bytes. In half of the rounds, it first lets the client log in.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let to = listener.local_addr().expect("the socket is bound").to_string();
    let (mut program, address) = start(&to, gateway.server.transcript());
    for count in (0..20).map(|round| round * 500) {
        let mut client = Peer::connect("client", address, gateway.server.transcript());
        client.expect_bytes(b"NICKNAME");
        client.send_bytes(b"anyone");
        let (stream, _) = listener.accept().expect("the gateway connects");
        let mut server = Peer::on("random server", stream, gateway.server.transcript());
        if count % 1000 == 0 {
            server.send("[SERVER] Enter your nickname:");
            server.expect("anyone");
            server.send("[SERVER] Connected to the server!");
        }
        server.send_bytes(&bytes(count));
        drop(server);
        client.wait_for_any_end();
    }
    assert!(program.runs());
    assert_eq!(program.last_errors(), "");
    gateway.answer("alice", "alice");
}

#[test]
fn a_wrong_command_line_is_one_line_and_code_2() {
    for (arguments, why) in [
        (["x", "a:1"], "a port is a number from 0 to 65535, not 'x'"),
        (["0", "localhost"], "the server is HOST:PORT, not 'localhost'"),
        (["0", ":1"], "the host is empty"),
        (["0", "a:b"], "a port is a number from 0 to 65535, not 'b'"),
        (["0", "--port"], "unknown option --port"),
    ] {
        assert_eq!(Program::run(gateway_command(arguments), ""), usage_error(why));
    }
    let why = "unexpected argument 'c\u{FFFD}'";
    assert_eq!(Program::run(gateway_command(["0", "a:1", "c\x1b"]), ""), usage_error(why));
    let help = Program::run(gateway_command(["--help"]), "");
    assert!(help.code == Some(0) && help.output.contains("usage: gateway [PORT"), "{help:?}");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let taken = taken.local_addr().expect("the socket is bound");
    let Finished { code, errors, .. } = {
        let _held = TcpListener::bind(taken);
        Program::run(gateway_command([&taken.port().to_string()]), "")
    };
    assert_eq!(code, Some(1));
    assert!(errors.starts_with(&format!("[ERROR] Could not listen on {taken}: ")), "{errors:?}");
}
