//! The login: the prompt and its deadline, and connections that leave or are turned away before they have a nickname.

use std::io::Write;
use std::time::Duration;

use chat::protocol::replies;

use crate::harness::{DEADLINE, Server, poll_until, taken};

#[test]
fn a_newcomer_gets_the_list_and_all_others_get_a_join_notice() {
    let server = Server::start();
    let mut alice = server.connect("alice");
    alice.expect("[SERVER] Enter your nickname:");
    alice.send("alice");
    alice.expect_all(["[SERVER] Connected to the server!", "[SERVER] 1 online: alice"]);
    let mut bob = server.join("bob");
    let mut carol = server.connect("carol");
    carol.expect("[SERVER] Enter your nickname:");
    carol.send("carol");
    carol.expect_all(["[SERVER] Connected to the server!", "[SERVER] 3 online: alice, bob, carol"]);
    alice.expect_all(["[SERVER] bob joined the chat!", "[SERVER] carol joined the chat!"]);
    bob.expect("[SERVER] carol joined the chat!");
    // The marker is the next line for bob and for carol. So neither of them got a history: there were no messages yet.
    alice.send("marker");
    bob.expect("alice: marker");
    carol.expect("alice: marker");
}

#[test]
fn the_tenth_refused_nickname_ends_the_connection() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for tries in [9, 10] {
        let mut peer = server.connect("peer");
        peer.expect("[SERVER] Enter your nickname:");
        for _ in 0..9 {
            peer.send("alice");
            peer.expect(&taken("alice"));
        }
        if tries == 9 {
            peer.send("bob");
            peer.expect("[SERVER] Connected to the server!");
            alice.expect("[SERVER] bob joined the chat!");
        } else {
            peer.send("alice");
            peer.expect(&taken("alice"));
            peer.expect("[SERVER] Too many tries. Goodbye!");
            peer.expect_end();
        }
    }
}

#[test]
fn lines_that_are_no_nickname_at_all_count_as_tries() {
    let server = Server::start();
    let mut peer = server.connect("peer");
    peer.send_bytes(&b"\xff\xfe\n".repeat(1000));
    peer.expect("[SERVER] Enter your nickname:");
    for _ in 0..10 {
        peer.expect(&replies::nickname_refused(replies::NOT_UTF8));
    }
    peer.expect("[SERVER] Too many tries. Goodbye!");
    peer.expect_end();
}

#[test]
fn help_works_at_the_prompt_in_any_case() {
    let server = Server::start();
    let mut peer = server.connect("peer");
    peer.expect("[SERVER] Enter your nickname:");
    for help in ["/help", "/HELP", "/Help\r"] {
        peer.send(help);
        peer.expect_all(replies::help().lines());
        peer.expect("[SERVER] Enter your nickname:");
    }
    peer.send("alice");
    peer.expect("[SERVER] Connected to the server!");
}

#[test]
fn quit_works_at_the_prompt_and_nobody_hears_of_it() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for quit in ["/quit", "/QUIT", "/exit", "/Exit\r"] {
        let mut peer = server.connect("peer");
        peer.expect("[SERVER] Enter your nickname:");
        peer.send(quit);
        peer.expect("[SERVER] Goodbye!");
        peer.expect_end();
    }
    let _bob = server.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
}

#[test]
fn a_connection_that_ends_before_its_login_is_never_announced() {
    let server = Server::start();
    let mut alice = server.join("alice");
    for half_a_name in ["", "bo"] {
        // Closing the socket resets the connection, because the prompt is unread.
        let mut peer = server.connect("peer");
        peer.send_bytes(half_a_name.as_bytes());
        peer.reset();
    }
    for blank in ["", " ", "\n", "\r\n \r"] {
        let mut peer = server.connect("peer");
        peer.send_bytes(blank.as_bytes());
        peer.end_input();
        peer.wait_for_any_end();
    }
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn a_connection_that_says_nothing_keeps_nobody_from_joining() {
    let server = Server::start();
    let mut silent: Vec<_> = (0..20).map(|_| server.connect("silent")).collect();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello");
    bob.expect("alice: hello");
    for peer in &mut silent {
        peer.expect("[SERVER] Enter your nickname:");
    }
}

#[test]
fn a_client_at_the_prompt_receives_nothing_and_is_not_listed() {
    let server = Server::start();
    let mut unnamed = server.connect("unnamed");
    unnamed.expect("[SERVER] Enter your nickname:");
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("early");
    bob.expect("alice: early");
    bob.send("/who");
    bob.expect("[SERVER] 2 online: alice, bob");
    unnamed.send("carol");
    unnamed.expect("[SERVER] Connected to the server!");
    assert!(unnamed.line().starts_with("[SERVER] 3 online: "));
    unnamed.expect_all(["[SERVER] Last messages: 1", "alice: early"]);
}

#[test]
fn a_login_that_takes_too_long_is_refused_and_closed() {
    let server = Server::with(&["--login-timeout", "2"]);
    let mut silent = server.connect("silent");
    let mut dripping = server.connect("dripping");
    for peer in [&mut silent, &mut dripping] {
        peer.expect("[SERVER] Enter your nickname:");
    }
    // The deadline is for the login as a whole: a client that sends a byte now and then does not extend it.
    let mut stream = dripping.stream();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    poll_until("the end of the login", || {
        stream.write_all(b"x").unwrap();
        stream.peek(&mut [0]).ok()
    });
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    for mut peer in [silent, dripping] {
        peer.expect("[SERVER] You took too long to enter a nickname.");
        peer.expect_end();
    }
    let _alice = server.join("alice");
}

#[test]
fn the_deadline_is_for_the_login_only() {
    let server = Server::with(&["--login-timeout", "2"]);
    let mut alice = server.join("alice");
    // `alice` connected before `late`. So once the deadline of `late` has passed, a deadline for `alice` would have
    // passed too.
    let mut late = server.connect("late");
    late.expect("[SERVER] Enter your nickname:");
    late.expect("[SERVER] You took too long to enter a nickname.");
    late.expect_end();
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn everything_may_come_at_once_and_without_a_last_line_end() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bot = server.connect("bot");
    bot.send_bytes(b"bot\nhello\n/me waves\nhi");
    bot.end_input();
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: hello",
        "* bot waves",
        "bot: hi",
        "[SERVER] bot left the chat!",
    ]);
    bot.expect_all([
        "[SERVER] Enter your nickname:",
        "[SERVER] Connected to the server!",
        "[SERVER] 2 online: alice, bot",
        "* bot waves",
    ]);
    bot.wait_for_any_end();
}

#[test]
fn a_nickname_may_be_all_that_comes_and_without_a_line_end() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let mut bot = server.connect("bot");
    bot.send_bytes(b"bot");
    bot.end_input();
    alice.expect_all(["[SERVER] bot joined the chat!", "[SERVER] bot left the chat!"]);
    bot.expect_all(["[SERVER] Enter your nickname:", "[SERVER] Connected to the server!"]);
}
