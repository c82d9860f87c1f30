//! Messages: who gets them, how they look, which messages are refused, and which characters are replaced.

use chat::protocol::replies;

use crate::harness::Server;

const NOT_UTF8: &str = "[SERVER] Not sent: That line is not valid UTF-8.";

#[test]
fn a_message_goes_to_everyone_but_its_sender() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["alice", "bob", "carol"]);
    alice.send("hello");
    bob.expect("alice: hello");
    bob.send("hi alice");
    carol.expect_all(["alice: hello", "bob: hi alice"]);
    // This is the first line that alice receives, so her own message was not sent back to her.
    alice.expect("bob: hi alice");
    // Alice's "bye" is the next line for bob, so his own message was not sent back to him either.
    alice.send("bye");
    bob.expect("alice: bye");
}

#[test]
fn an_action_goes_to_everyone_its_sender_too() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for (line, action) in [
        ("/me waves", "* alice waves"),
        ("/ME  waves twice", "* alice waves twice"),
        ("/me says: //hi", "* alice says: //hi"),
    ] {
        alice.send(line);
        alice.expect(action);
        bob.expect(action);
    }
}

#[test]
fn two_slashes_say_one() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for (line, message) in
        [("//help", "alice: /help"), ("//", "alice: /"), ("///me waves", "alice: //me waves")]
    {
        alice.send(line);
        bob.expect(message);
    }
    alice.send("/me marker");
    alice.expect("* alice marker");
}

#[test]
fn a_line_may_end_with_cr_lf() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(b"hello\r\n\r\n/me waves\r\n/who\r\nagain\r\n");
    bob.expect_all(["alice: hello", "* alice waves", "alice: again"]);
    alice.expect_all(["* alice waves", "[SERVER] 2 online: alice, bob"]);
}

#[test]
fn a_line_split_anywhere_is_one_message() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob, mut carol] = server.join_all(["alice", "bob", "carol"]);
    let transcript = "hi\nñandú 漢\r\n\n/me waves\n".as_bytes();
    let mut check = |pieces: &[&[u8]]| {
        for piece in pieces {
            alice.send_bytes(piece);
            // Another client's command gives the server time to read this piece separately from the next one. The
            // answers to carol are read below.
            carol.send("/who");
        }
        bob.expect_all(["alice: hi", "alice: ñandú 漢", "* alice waves"]);
        alice.expect("* alice waves");
        let mut answers = 0;
        while answers < pieces.len() {
            answers += usize::from(carol.line().starts_with("[SERVER] 3 online: "));
        }
    };
    for split in 0..=transcript.len() {
        check(&[&transcript[..split], &transcript[split..]]);
    }
    check(&transcript.chunks(1).collect::<Vec<_>>());
    check(&transcript.chunks(3).collect::<Vec<_>>());
}

#[test]
fn many_lines_in_one_write_are_as_many_messages() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let lines: Vec<String> = (1..=150).map(|n| format!("line {n}")).collect();
    alice.send_bytes(format!("{}\n", lines.join("\n")).as_bytes());
    bob.expect_all(lines.iter().map(|line| format!("alice: {line}")));
    alice.send("/me is done");
    bob.expect("* alice is done");
    alice.expect("* alice is done");
}

#[test]
fn a_line_of_1024_bytes_passes_and_one_of_1025_is_refused_with_its_size() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let refused = "[SERVER] Not sent: That line has 1025 bytes, the limit is 1024.";
    for length in [1023, 1024] {
        let text = "x".repeat(length);
        alice.send(&text);
        bob.expect(&format!("alice: {text}"));
        // Line ends and telnet sequences do not count towards the limit.
        alice.send_bytes(&[text.as_bytes(), b"\xff\xf1\r\n"].concat());
        bob.expect(&format!("alice: {text}"));
    }
    // The limit counts bytes: this text has 512 letters of two bytes each.
    let text = "ñ".repeat(512);
    alice.send(&text);
    bob.expect(&format!("alice: {text}"));
    // A refused line is not sent at all, and the line after it is read from its start. In the fourth line, the limit
    // falls within the last character.
    let too_long = ["x".repeat(1025), "x".repeat(1025) + "\r", "ñ".repeat(512) + "x"];
    for line in too_long.iter().chain([&("x".repeat(1023) + "ñ")]) {
        alice.send(line);
        alice.expect(refused);
        alice.send("next");
        bob.expect("alice: next");
    }
    // For a command, the limit applies to the whole line as it was typed.
    let action = "x".repeat(1020);
    alice.send(&format!("/me {action}"));
    bob.expect(&format!("* alice {action}"));
    alice.expect(&format!("* alice {action}"));
    for command in ["/me ", "/msg bob ", "//"] {
        alice.send(&format!("{command}{}", "x".repeat(1025 - command.len())));
        alice.expect(refused);
    }
    alice.send("marker");
    bob.expect("alice: marker");
}

#[test]
fn the_limit_holds_after_cleaning_too() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    // Each of these characters is replaced by a character of three bytes.
    alice.send(&"\x1b".repeat(341));
    bob.expect(&format!("alice: {}", "\u{FFFD}".repeat(341)));
    alice.send(&"\x1b".repeat(342));
    alice.expect(&replies::not_sent(replies::too_long_cleaned(1026)));
    alice.send("marker");
    bob.expect("alice: marker");
}

#[test]
fn a_line_that_is_not_utf8_is_refused_and_the_next_is_read_from_its_start() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for bytes in [
        &b"caf\xe9"[..],
        b"\xff\xfe",
        b"\xc3",
        b"\xc3\r",
        b"\xed\xa0\x80",
        b"\xf0\x9f\x98",
        b"\x80",
        b"/me \xe9",
        b"/who \xe9",
    ] {
        alice.send_bytes(&[bytes, b"\nnext\n"].concat());
        alice.expect(NOT_UTF8);
        bob.expect("alice: next");
    }
}

#[test]
fn a_blank_line_is_ignored() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(b"\n\r\n   \n\t\n \t \r\n\nmarker\n/who\n");
    bob.expect("alice: marker");
    alice.expect("[SERVER] 2 online: alice, bob");
}

#[test]
fn what_a_terminal_would_obey_is_replaced() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    // These are a few characters of each kind. The unit tests of `protocol::cleaning` try all characters.
    let controls = ["\0", "\x07", "\x1b", "\x7f", "\u{9b}"];
    let invisible =
        ["\u{61C}", "\u{180E}", "\u{200B}", "\u{2028}", "\u{202E}", "\u{2066}", "\u{E0041}"];
    for c in controls.into_iter().chain(invisible) {
        alice.send(&format!("a{c}b"));
        bob.expect("alice: a\u{FFFD}b");
    }
    // Within a line, a carriage return would move the cursor. A tab is shown as a space.
    alice.send_bytes(b"a\rb\tc\r\r\n");
    bob.expect("alice: a\u{FFFD}b c\u{FFFD}");
    for kept in ["👩\u{200D}👧", "می\u{200C}خواهم", "e\u{301}", "\u{A0}\u{3000}x", "\u{10FFFD}"]
    {
        alice.send(kept);
        bob.expect(&format!("alice: {kept}"));
    }
}

#[test]
fn every_text_that_one_sends_is_cleaned_wherever_it_shows_up() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("/me turns \x1b[31mred");
    alice.expect("* alice turns \u{FFFD}[31mred");
    bob.expect("* alice turns \u{FFFD}[31mred");
    alice.send("/msg bob \x1b]0;owned\x07");
    alice.expect("[you -> bob] \u{FFFD}]0;owned\u{FFFD}");
    bob.expect("[alice -> you] \u{FFFD}]0;owned\u{FFFD}");
    alice.send("/msg \x1bc hi");
    alice.expect("[SERVER] No such nickname: \u{FFFD}c.");
    alice.send("/\x1bc");
    alice.expect("[SERVER] Unknown command: /\u{FFFD}c. Type /help for the commands.");
    alice.send("//\x1bc");
    bob.expect("alice: /\u{FFFD}c");
}

#[test]
fn telnet_sequences_are_no_text() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for bytes in [
        &b"\xff\xf1hello\n"[..],
        b"he\xff\xfb\x1fllo\n",
        b"hello\xff\xfa\x1f\x00\x50\x00\x18\xff\xf0\r\n",
        b"he\xff\xfe\x01\xff\xfc\x03llo\n",
    ] {
        alice.send_bytes(bytes);
        bob.expect("alice: hello");
    }
    // Only complete sequences are removed. An incomplete sequence, or a byte 255 that telnet escapes as 255 255, is not
    // valid UTF-8.
    for bytes in [&b"a\xff\n"[..], b"a\xff\xfb\n", b"a\xff\xfa\x1f\n", b"a\xff\xff\n"] {
        alice.send_bytes(bytes);
        alice.expect(NOT_UTF8);
    }
    alice.send("marker");
    bob.expect("alice: marker");
}

#[test]
fn ctrl_c_in_telnet_is_answered_or_telnet_would_print_nothing_more() {
    let server = Server::start();
    let mut bob = server.join("bob");
    let mut alice = server.connect("alice");
    alice.expect("[SERVER] Enter your nickname:");
    // For Ctrl-C, telnet sends IAC IP and IAC DO TIMING-MARK. The server must answer IAC WONT TIMING-MARK.
    alice.send_bytes(b"\xff\xf4\xff\xfd\x06");
    alice.expect_bytes(b"\xff\xfc\x06");
    alice.send("alice");
    alice.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: bob, alice"]);
    bob.expect("[SERVER] alice joined the chat!");
    alice.send_bytes(b"\xff\xf4\xff\xfd\x06");
    alice.expect_bytes(b"\xff\xfc\x06");
    alice.send_bytes(b"he\xff\xf4\xff\xfd\x06llo\n");
    alice.expect_bytes(b"\xff\xfc\x06");
    bob.expect("alice: hello");
}
