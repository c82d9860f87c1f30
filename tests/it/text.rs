//! Text: the line ends that other programs send, invisible characters, and different spellings of the same name.

use chat::protocol::replies;

use crate::harness::{Program, Server, client_command, server_command, taken, usage_error};

#[test]
fn the_line_ends_of_every_telnet_end_a_line() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bob = server.connect("bob");
    bob.expect("[SERVER] Enter your nickname:");
    // Old telnet programs send CR NUL when Enter is pressed. Bob's nickname already ends with CR NUL.
    bob.send_bytes(b"bob\r\0");
    bob.expect_all(["[SERVER] Connected to the server!", "[SERVER] 2 online: alice, bob"]);
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(b"one\r\0two\r\nthree\n\rfour\n\r\0five\nsix\n\r");
    alice.expect_all(["one", "two", "three", "four", "five", "six"].map(|it| format!("bob: {it}")));
    // The same lines again, but each byte is sent separately.
    for byte in b"one\r\0two\r\nthree\n\rfour\n\r\0five\n\r" {
        bob.send_bytes(&[*byte]);
    }
    alice.expect_all(["one", "two", "three", "four", "five"].map(|it| format!("bob: {it}")));
    // A CR alone or a NUL alone is not a line end.
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

#[test]
fn what_nobody_sees_arrives_as_a_replacement_character() {
    let server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for c in [
        '\u{AD}',
        '\u{34F}',
        '\u{61C}',
        '\u{115F}',
        '\u{180E}',
        '\u{200B}',
        '\u{202E}',
        '\u{2028}',
        '\u{2064}',
        '\u{206F}',
        '\u{3164}',
        '\u{FE00}',
        '\u{FEFF}',
        '\u{FFA0}',
        '\u{FFF9}',
        '\u{FFFE}',
        '\u{FDD0}',
        '\u{13430}',
        '\u{13441}',
        '\u{1D173}',
        '\u{E0041}',
        '\u{E0100}',
        '\u{10FFFF}',
    ] {
        alice.send(&format!("a{c}b"));
        bob.expect("alice: a\u{FFFD}b");
    }
    let scotland = "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}";
    for kept in [scotland, "👩\u{200D}👧", "می\u{200C}خواهم", "❤\u{FE0F}", "❤\u{FE0E}"]
    {
        alice.send(kept);
        bob.expect(&format!("alice: {kept}"));
    }
}

#[test]
fn names_that_differ_in_the_case_of_a_sharp_s_are_one() {
    let server = Server::start();
    for holder in ["straße", "STRASSE", "STRAẞE"] {
        let mut first = server.join(holder);
        let mut second = server.connect("second");
        second.expect("[SERVER] Enter your nickname:");
        for name in ["straße", "STRASSE", "STRAẞE", "strasse"] {
            second.send(name);
            second.expect(&taken(name));
        }
        first.send("/quit");
        first.expect("[SERVER] Goodbye!");
        first.expect_end();
    }
}

#[test]
fn a_name_is_made_of_letters_that_are_seen_and_composed() {
    let server = Server::start();
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    let not_allowed = |number| {
        format!("A nickname is made of letters, digits, '-', '_' and '.', without U+{number}.")
    };
    let not_composed =
        |n| format!("A nickname is spelled with composed letters, such as é, without U+{n}.");
    let too_many_marks = "A letter of a nickname has at most 2 combining marks.".to_owned();
    for (name, why) in [
        ("x\u{13441}", not_allowed("13441")),
        ("x\u{13442}", not_allowed("13442")),
        ("\u{93E}", not_allowed("093E")),
        ("7\u{301}", not_allowed("0301")),
        ("Jose\u{301}", not_composed("0301")),
        ("\u{1112}\u{1161}\u{11AB}", not_composed("1161")),
        ("ก\u{E48}\u{E48}\u{E48}", too_many_marks),
    ] {
        peer.send(name);
        peer.expect(&replies::nickname_refused(why));
    }
    peer.send("José");
    peer.expect_all(["[SERVER] Connected to the server!", "[SERVER] 1 online: José"]);
}

#[test]
fn a_private_message_finds_its_recipient_as_people_write_to_each_other() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for address in ["alice", "ALICE:", "@ALICE", "@alice:"] {
        bob.send(&format!("/msg {address} hi"));
        bob.expect("[you -> alice] hi");
        alice.expect("[bob -> you] hi");
    }
    bob.send("/msg @nobody: hi");
    bob.expect("[SERVER] No such nickname: nobody.");
}

#[test]
fn no_program_prints_an_argument_as_it_came() {
    let hostile = "--x\x1b]0;t\x07\n\u{202E}y";
    let cleaned = "--x\u{FFFD}]0;t\u{FFFD}\u{FFFD}\u{FFFD}y";
    let expected = usage_error(&format!("unknown option {cleaned}"));
    assert_eq!(Program::run(server_command([hostile]), ""), expected);
    assert_eq!(Program::run(client_command([hostile]), ""), expected);
    // The error for an invalid address contains the address, which must be cleaned too.
    let finished = Program::run(server_command(["256.0.0.1\x1b[7m", "0"]), "");
    assert_eq!(finished.code, Some(1));
    let start = "[ERROR] Could not listen on 256.0.0.1\u{FFFD}[7m:0: ";
    assert!(finished.errors.starts_with(start), "{finished:?}");
    assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
}
