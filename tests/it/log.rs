//! The server's log: its lines, and what is not among them. What happens to it: `output`.

use chat::protocol::cleaning::clean;

use crate::harness::Server;

#[test]
fn the_log_has_a_line_for_each_event() {
    let mut server = Server::start();
    // The first two lines are checked by the harness, which finds the port there.
    let mut alice = server.connect("alice");
    server.expect_log(&format!("[SERVER] Connected with {}", alice.address()));
    alice.expect("[SERVER] Enter your nickname:");
    alice.send("alice");
    server.expect_log("[SERVER] Nickname of client is alice");
    alice.expect_all(["[SERVER] Connected to the server!", "[SERVER] 1 online: alice"]);
    let bob = server.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    server.expect_log(&format!("[SERVER] Connected with {}", bob.address()));
    server.expect_log("[SERVER] Nickname of client is bob");
    alice.send("unread");
    bob.reset();
    server.expect_log("[SERVER] bob left the chat! (connection lost)");
    alice.send("/quit");
    server.expect_log("[SERVER] alice left the chat!");
}

#[test]
fn whoever_is_turned_away_at_the_login_is_in_the_log_with_the_reason() {
    let mut server = Server::start();
    let mut peer = server.connect("peer");
    let address = peer.address();
    server.expect_log(&format!("[SERVER] Connected with {address}"));
    (0..10).for_each(|_| peer.send("no name"));
    server.expect_log(&format!("[SERVER] Turned {address} away: Too many tries. Goodbye!"));
    // One who thinks better of it was not turned away.
    let mut peer = server.connect("another");
    peer.send("/quit");
    server.expect_log(&format!("[SERVER] Connected with {}", peer.address()));
    let _alice = server.join("alice");
    assert!(
        server.log_until("Nickname of client is alice").iter().all(|line| !line.contains("away"))
    );
}

#[test]
fn what_people_say_is_not_logged() {
    let mut server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(b"secret\n/me keeps a secret\n/msg bob secret\n");
    bob.expect_all(["alice: secret", "* alice keeps a secret", "[alice -> you] secret"]);
    alice.send("/quit");
    let log = server.log_until("[SERVER] alice left the chat!");
    assert!(log.iter().all(|line| !line.contains("secret")), "{log:?}");
}

#[test]
fn what_people_say_to_everyone_is_logged_if_asked_for_and_clean() {
    let mut server = Server::with(&["--log-messages"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(b"a \x1b[31mred word\n/msg bob secret\n/me waves\n");
    bob.expect_all(["alice: a \u{FFFD}[31mred word", "[alice -> you] secret", "* alice waves"]);
    let log = server.log_until("[SERVER] * alice waves");
    assert!(log.contains(&"[SERVER] alice: a \u{FFFD}[31mred word".to_owned()), "{log:?}");
    assert!(log.iter().all(|line| !line.contains("secret")), "{log:?}");
}

#[test]
fn nothing_that_a_stranger_sends_reaches_the_log_unclean() {
    let mut server = Server::start();
    for name in ["\x1b[2J\x07", "\u{202E}evil", "\u{9B}31m", "a\rb"] {
        let mut peer = server.connect("peer");
        peer.send(name);
        peer.send("/quit");
        peer.lines_until("[SERVER] Goodbye!");
    }
    let mut marker = server.join("marker");
    marker.send("/msg \x1bc hi");
    marker.send("/quit");
    for line in server.log_until("[SERVER] marker left the chat!") {
        assert!(line.starts_with("[SERVER] "), "{line:?}");
        assert_eq!(clean(&line), line);
    }
}

#[test]
fn quiet_says_nothing_about_those_who_come_and_go() {
    let mut server = Server::with(&["--quiet"]);
    let [mut alice, bob] = server.join_all(["alice", "bob"]);
    alice.send("unread");
    bob.reset();
    alice.expect("[SERVER] bob left the chat! (connection lost)");
    server.signal("TERM");
    alice.expect("[SERVER] The server is shutting down.");
    let log = server.program().finish().output;
    assert!(!log.contains("alice") && !log.contains("bob") && !log.contains("Connected"), "{log}");
}
