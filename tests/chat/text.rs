//! Text: line ends as other programs send them, characters that nobody sees, and names that are one.

use crate::harness::Server;

#[test]
fn the_line_ends_of_every_telnet_end_a_line() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bob = server.connect("bob");
    bob.expect("[SERVER] Enter your nickname:");
    // Enter of an old telnet, from the nickname on.
    bob.send_bytes(b"bob\r\0");
    bob.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: alice, bob"]);
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(b"one\r\0two\r\nthree\n\rfour\n\r\0five\nsix\n\r");
    alice.expect_all(["one", "two", "three", "four", "five", "six"].map(|it| format!("bob: {it}")));
    // The same, byte by byte.
    for byte in b"one\r\0two\r\nthree\n\rfour\n\r\0five\n\r" {
        bob.send_bytes(&[*byte]);
    }
    alice.expect_all(["one", "two", "three", "four", "five"].map(|it| format!("bob: {it}")));
    // Alone, neither is a line end.
    bob.send_bytes(b"a\rb\0c\n");
    alice.expect("bob: a\u{FFFD}b\u{FFFD}c");
}

#[test]
fn a_byte_order_mark_at_the_start_of_a_stream_is_not_part_of_the_nickname() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bob = server.connect("bob");
    bob.expect("[SERVER] Enter your nickname:");
    bob.send_bytes(b"\xef\xbb\xbfbob\n\xef\xbb\xbfhi\n");
    alice.expect("[SERVER] bob joined the chat!");
    alice.expect("bob: \u{FFFD}hi");
}
