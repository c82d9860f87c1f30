//! Leaving: the last line that a client gets, the single notice that the others get, the reason in this notice, and the
//! moment when the nickname becomes free.

use std::io::{ErrorKind, Write};

use crate::harness::{Server, poll_until};

#[test]
fn quit_is_answered_with_goodbye_and_all_others_are_told() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for quit in ["/quit", "/QUIT", "/exit", "/Exit", "/quit now"] {
        let mut carol = server.join("carol");
        carol.send(quit);
        carol.expect("[SERVER] Goodbye!");
        carol.expect_end();
        for other in [&mut alice, &mut bob] {
            other.expect("[SERVER] carol joined the chat!");
            other.expect("[SERVER] carol left the chat!");
        }
    }
    // The marker is the next line, so no notice was sent twice.
    alice.send("marker");
    bob.expect("alice: marker");
}

#[test]
fn the_end_of_the_stream_is_a_quit_and_the_last_line_counts_without_its_end() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for last in ["", "bye", "bye\n", "bye\r\n", "bye\r", "/me is off"] {
        let mut bob = server.join("bob");
        bob.send_bytes(last.as_bytes());
        bob.end_input();
        alice.expect("[SERVER] bob joined the chat!");
        match last.trim_end() {
            "" => {}
            "/me is off" => alice.expect("* bob is off"),
            last => alice.expect(&format!("bob: {last}")),
        }
        alice.expect("[SERVER] bob left the chat!");
        bob.wait_for_any_end();
    }
}

#[test]
fn a_connection_that_breaks_leaves_with_the_reason() {
    let server = Server::start();
    let [mut alice, mut carol] = server.join_all(["alice", "carol"]);
    for half_a_line in ["", "half a li"] {
        let mut bob = server.join("bob");
        alice.expect("[SERVER] bob joined the chat!");
        carol.expect("[SERVER] bob joined the chat!");
        bob.send_bytes(half_a_line.as_bytes());
        alice.send("unread");
        carol.expect("alice: unread");
        bob.reset();
        // The half line is not sent to anyone, because the whole line may have had another meaning.
        alice.expect("[SERVER] bob left the chat! (connection lost)");
        carol.expect("[SERVER] bob left the chat! (connection lost)");
    }
    alice.send("marker");
    carol.expect("alice: marker");
}

#[test]
fn what_was_said_before_leaving_is_said_and_what_comes_after_is_not() {
    let server = Server::with(&["--rate", "0"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    let lines: Vec<String> = (1..=500).map(|n| format!("line {n}")).collect();
    bob.send_bytes(format!("{}\n/quit\nghost\n/me haunts\n", lines.join("\n")).as_bytes());
    alice.expect_all(lines.iter().map(|line| format!("bob: {line}")));
    alice.expect("[SERVER] bob left the chat!");
    bob.expect("[SERVER] Goodbye!");
    bob.expect_end();
    let _carol = server.join("carol");
    alice.expect("[SERVER] carol joined the chat!");
}

#[test]
fn a_nickname_is_free_as_soon_as_its_owner_was_told_goodbye() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for _ in 0..20 {
        let mut bob = server.join("bob");
        bob.send("/quit");
        bob.expect("[SERVER] Goodbye!");
    }
    for _ in 0..20 {
        alice.expect("[SERVER] bob joined the chat!");
        alice.expect("[SERVER] bob left the chat!");
    }
}

#[test]
fn a_nickname_is_free_as_soon_as_others_are_told_that_its_owner_left() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for _ in 0..20 {
        let bob = server.join("bob");
        alice.expect("[SERVER] bob joined the chat!");
        alice.send("unread");
        bob.reset();
        alice.expect("[SERVER] bob left the chat! (connection lost)");
        let mut bob = server.join("Bob");
        alice.expect("[SERVER] Bob joined the chat!");
        bob.end_input();
        alice.expect("[SERVER] Bob left the chat!");
    }
}

#[test]
fn the_last_words_arrive_although_more_is_sent_than_the_server_reads() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let unread = "x".repeat(200).repeat(1000);
    for _ in 0..10 {
        let mut bob = server.join("bob");
        // If the server closed the socket with unread data in it, the system would send a reset. The reset could make
        // the client lose the text that the server wrote last.
        bob.send(&format!("/quit\n{unread}"));
        bob.expect("[SERVER] Goodbye!");
        bob.expect_end();
        alice.expect_all(["[SERVER] bob joined the chat!", "[SERVER] bob left the chat!"]);
    }
    // The same holds for a client that leaves, or is turned away, at the prompt.
    for (lines, final_line) in
        [("/quit\n", "[SERVER] Goodbye!"), (&" \n".repeat(10), "[SERVER] Too many tries. Goodbye!")]
    {
        let mut peer = server.connect("peer");
        peer.send(&format!("{lines}{unread}"));
        peer.lines_until(final_line);
        peer.expect_end();
    }
}

#[test]
fn a_client_that_keeps_sending_after_its_final_line_is_disconnected() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send("/quit");
    bob.expect("[SERVER] Goodbye!");
    bob.expect_end();
    // The server continues to read for a moment only. Then it closes the connection, and sending fails.
    let mut stream = bob.stream();
    let rest = [b'x'; 4096];
    let end = poll_until("the end", || stream.write_all(&rest).err()).kind();
    assert!([ErrorKind::BrokenPipe, ErrorKind::ConnectionReset].contains(&end), "{end}");
    alice.expect("[SERVER] bob left the chat!");
}

#[test]
fn everybody_leaving_at_once_is_told_of_once_each() {
    const LEAVERS: usize = 60;
    let server = Server::start();
    let mut watcher = server.join("watcher");
    let mut leavers: Vec<_> = (0..LEAVERS).map(|n| server.join(&format!("u{n}"))).collect();
    for n in 0..LEAVERS {
        watcher.expect(&format!("[SERVER] u{n} joined the chat!"));
    }
    for (n, leaver) in leavers.iter_mut().enumerate() {
        if n % 2 == 0 {
            leaver.send("/quit");
        } else {
            leaver.end_input();
        }
    }
    let mut left: Vec<String> = (0..LEAVERS).map(|_| watcher.line()).collect();
    left.sort();
    let mut all: Vec<String> =
        (0..LEAVERS).map(|n| format!("[SERVER] u{n} left the chat!")).collect();
    all.sort();
    assert_eq!(left, all);
    watcher.send("/who");
    watcher.expect("[SERVER] 1 online: watcher");
}
