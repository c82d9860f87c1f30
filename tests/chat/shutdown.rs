//! The end of the server: told to everyone, in order, with exit code 0, and at once if asked twice.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::thread;

use crate::harness::{Program, Server, Transcript, free_port, server_command, shell, until};

const FAREWELL: &str = "[SERVER] The server is shutting down.";

#[test]
fn each_signal_that_asks_for_it_ends_the_server_in_order() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut server = Server::start();
        let peers = server.join_all(["alice", "bob", "carol"]);
        let mut unnamed = server.connect("unnamed");
        unnamed.expect("[SERVER] Enter your nickname:");
        server.signal(signal);
        // The farewell is the next line for each: nobody is told that others leave.
        for mut peer in peers.into_iter().chain([unnamed]) {
            peer.expect(FAREWELL);
            peer.expect_end();
        }
        assert_eq!(server.program().exit().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn a_server_without_clients_ends_as_well() {
    Server::start().stop();
}

#[test]
fn the_port_can_be_listened_on_again_at_once() {
    let mut server = Server::with(&["--port", &free_port().to_string()]);
    let mut peers = server.join_all(["alice", "bob"]);
    server.stop();
    // The connections that the server closed are in TIME_WAIT now, on its port.
    let transcript = server.transcript().clone();
    let command = server_command(["--port", &server.port().to_string()]);
    let again = Server::of(Program::start("again", command, &transcript), transcript);
    assert_eq!(again.port(), server.port());
    let _alice = again.join("alice");
    for peer in &mut peers {
        peer.expect(FAREWELL);
        peer.expect_end();
    }
}

#[test]
fn the_farewell_arrives_although_more_is_sent_than_the_server_reads() {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    thread::scope(|scope| {
        // Talks until its connection is gone.
        let mut stream = alice.stream().try_clone().unwrap();
        scope.spawn(move || {
            until("the end", || stream.write_all(b"and another thing\n").is_err());
        });
        bob.expect("alice: and another thing");
        server.signal("TERM");
        for line in bob.lines_until(FAREWELL) {
            assert_eq!(line, "alice: and another thing");
        }
        bob.expect_end();
        alice.expect(FAREWELL);
        alice.expect_end();
        server.expect_exit();
    });
}

#[test]
fn nobody_is_let_in_any_more_once_the_farewell_is_said() {
    let mut server = Server::with(&["--port", &free_port().to_string()]);
    let mut alice = server.join("alice");
    server.signal("TERM");
    alice.expect(FAREWELL);
    // It no longer listens, or it has a farewell for this one too.
    if server.is_listening() {
        server.connect("late").expect(FAREWELL);
    }
    server.expect_exit();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    // The first waits half a second for those who do not close. On a busy machine that may be over
    // before the second signal comes, so there is more than one try.
    let ended_at_once = (0..10).any(|_| {
        let mut server = Server::start();
        let mut alice = server.join("alice");
        server.signal("TERM");
        alice.expect(FAREWELL);
        if !server.program().runs() {
            return false;
        }
        server.signal("TERM");
        let status = server.program().exit();
        status.signal() == Some(15)
    });
    assert!(ended_at_once);
}

#[test]
fn a_terminal_that_is_closed_hangs_up_twice_and_the_server_ends_in_order() {
    let mut server = Server::start();
    let mut alice = server.join("alice");
    server.signal("HUP");
    alice.expect(FAREWELL);
    // While it waits for alice to close; or it has ended already.
    if server.program().runs() {
        server.signal("HUP");
    }
    alice.expect_end();
    assert_eq!(server.program().exit().code(), Some(0));
}

#[test]
fn a_hang_up_that_is_ignored_stays_ignored() {
    // As under nohup.
    let transcript = Transcript::default();
    let command = shell("trap '' HUP; exec \"$SERVER\" --port 0");
    let mut server = Server::of(Program::start("server", command, &transcript), transcript);
    let mut alice = server.join("alice");
    server.signal("HUP");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
    // Ended now by a signal that came after it, as the next line for alice shows.
    server.signal("INT");
    alice.expect(FAREWELL);
    server.expect_exit();
}

#[test]
fn who_waits_for_the_rate_is_told_and_let_go_like_all_others() {
    let mut server = Server::with(&["--rate", "1"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send_bytes(&b"x\n".repeat(5000));
    bob.expect("alice: x");
    server.signal("TERM");
    alice.expect(FAREWELL);
    alice.expect_end();
    bob.lines_until(FAREWELL);
    bob.expect_end();
    server.expect_exit();
}

#[test]
fn the_end_of_the_standard_input_and_what_a_pipe_says_there_change_nothing() {
    let mut server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    server.program().send_text("/quit\n/kick alice\n/say hi\n");
    server.program().end_input();
    alice.send("still here");
    bob.expect("alice: still here");
    // Not even a moment later: a whole login and leave has passed through the server.
    let mut carol = server.join("carol");
    carol.send("/quit");
    alice.expect_all(["[SERVER] carol joined the chat!", "[SERVER] carol left the chat!"]);
    server.stop();
}

#[test]
fn a_port_is_free_again_after_a_server_that_was_killed() {
    let mut server = Server::with(&["--port", &free_port().to_string()]);
    let _peers = server.join_all(["alice", "bob"]);
    server.signal("KILL");
    server.program().exit();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port()));
    assert!(listener.is_ok(), "{listener:?}");
}

#[test]
fn whoever_joins_as_the_server_ends_is_heard_too() {
    // What came in one read with the nickname is said, if the nickname was announced.
    for round in 0..6 {
        let recv = round % 2 == 1;
        let framing = if recv { "recv" } else { "line" };
        let mut server = Server::with(&["--framing", framing, "--history", "0"]);
        let mut witness = server.connect("witness");
        if recv {
            witness.send_bytes(b"witness");
            witness.expect("NICKNAME[SERVER] Connected to the server!");
        } else {
            witness.expect("[SERVER] Enter your nickname:");
            witness.send("witness");
            witness.expect("[SERVER] Connected to the server!");
        }
        witness.expect("[SERVER] 1 online: witness");
        let newcomers: Vec<_> = (0..80).map(|_| server.connect("newcomer")).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                for (n, newcomer) in newcomers.iter().enumerate() {
                    let name = if recv { format!("n{n}: ") } else { format!("n{n}\n") };
                    // It fails once the server is gone.
                    let _ = newcomer.stream().write_all(format!("{name}hello {n}\n").as_bytes());
                }
            });
            witness.lines_until("n9: hello 9");
            server.signal("TERM");
        });
        let heard = witness.lines_until(FAREWELL);
        for n in (0..80).filter(|n| heard.contains(&format!("[SERVER] n{n} joined the chat!"))) {
            assert!(heard.contains(&format!("n{n}: hello {n}")), "{framing}: n{n} is not heard");
        }
        server.expect_exit();
    }
}
