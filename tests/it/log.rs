//! The server's log: the lines that must be in it, and the text that must not be in it. The module `output` tests a log
//! that cannot be written.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat::protocol::cleaning::clean;

use crate::harness::{Peer, Program, Server, Transcript, leave_out, server_command};

#[test]
fn the_log_has_a_line_for_each_event() {
    let mut server = Server::start();
    // The harness has already read the first two lines of the log, to find the port.
    let mut alice = server.connect("alice");
    server.expect_log(&format!("[SERVER] Connected with {}", alice.address()));
    alice.expect("[SERVER] Enter your nickname:");
    alice.send("alice");
    server.expect_log(&format!("[SERVER] Nickname of client is alice ({})", alice.address()));
    alice.expect_all(["[SERVER] Connected to the server!", "[SERVER] 1 online: alice"]);
    let bob = server.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    server.expect_log(&format!("[SERVER] Connected with {}", bob.address()));
    server.expect_log(&format!("[SERVER] Nickname of client is bob ({})", bob.address()));
    alice.send("unread");
    bob.reset();
    server.expect_log("[SERVER] bob left the chat! (connection lost)");
    alice.send("/quit");
    server.expect_log("[SERVER] alice left the chat!");
}

#[test]
fn a_client_that_is_turned_away_at_the_login_is_in_the_log_with_the_reason() {
    let mut server = Server::start();
    let mut peer = server.connect("peer");
    let address = peer.address();
    server.expect_log(&format!("[SERVER] Connected with {address}"));
    (0..10).for_each(|_| peer.send("no name"));
    server.expect_log(&format!("[SERVER] Turned {address} away: Too many tries. Goodbye!"));
    // The log must not say that a client which quits was turned away.
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
#[cfg(unix)]
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

#[test]
#[cfg(unix)]
fn each_line_begins_with_the_time_if_asked_for() {
    let mut server = server_command(["--port", "0", "--log-times"]);
    server.env("TZ", "Pacific/Auckland");
    let mut server = Program::start("server", server, &Transcript::default());
    let before = SystemTime::now();
    for rest in
        ["[SERVER] Server is listening on 127.0.0.1:", "[SERVER] Waiting for connections..."]
    {
        let line = server.line();
        let (time, logged) = line.split_at("2024-02-29T23:59:59.999Z ".len());
        assert!(logged.starts_with(rest), "{line:?}");
        // The program `date` can read a time in the format of RFC 3339. On a busy machine, some seconds may have passed
        // since `before`.
        let date = Command::new("date").args(["-d", time.trim_end(), "+%s"]).output().unwrap();
        let seconds: u64 = String::from_utf8(date.stdout).unwrap().trim().parse().unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let apart = before.duration_since(time).unwrap_or_else(|later| later.duration());
        assert!(apart < Duration::from_secs(100), "{line:?}");
    }
}

#[test]
#[cfg(unix)]
fn an_ipv4_peer_of_an_ipv6_listener_is_shown_by_its_ipv4_address() {
    if TcpListener::bind("[::]:0").is_err() {
        leave_out("this machine has no IPv6");
        return;
    }
    let mut server = Server::with(&["--host", "::"]);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap();
    let mut alice = Peer::on("alice", stream, server.transcript());
    let address = alice.stream().local_addr().unwrap();
    server.expect_log(&format!("[SERVER] Connected with {address}"));
    alice.send("alice");
    server.expect_log(&format!("[SERVER] Nickname of client is alice ({address})"));
}
