//! The server's standard output is closed, stuck, or on a full disk. The chat must continue to work.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{DEADLINE, Peer, Server, free_port, leave_out, server_command, shell};

/// Checks that clients can join, talk and leave, and that the server exits with code 0.
#[track_caller]
fn expect_a_room(server: &mut Server) {
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.send("hello");
    bob.expect("alice: hello");
    alice.send("/quit");
    bob.expect("[SERVER] alice left the chat!");
    server.stop();
}

/// Returns a command that starts a server, and the server's port. The port is chosen here, since the test cannot read
/// it from the log.
fn on_a_free_port(options: &[&str]) -> (Command, u16) {
    let port = free_port();
    let mut command = server_command(["--port", &port.to_string()]);
    command.args(options);
    (command, port)
}

#[test]
fn a_closed_standard_output_changes_nothing() {
    let port = free_port();
    let command = shell(&format!("exec \"$SERVER\" --port {port} >&-"));
    expect_a_room(&mut Server::unseen(command, Stdio::null(), port));
}

#[test]
fn a_standard_output_that_nobody_reads_any_more_changes_nothing() {
    let (command, port) = on_a_free_port(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    expect_a_room(&mut Server::unseen(command, writer.into(), port));
}

#[test]
fn a_standard_output_on_a_full_disk_changes_nothing() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        leave_out("there is no /dev/full");
        return;
    };
    let (command, port) = on_a_free_port(&["--log-messages"]);
    expect_a_room(&mut Server::unseen(command, full.into(), port));
}

/// Makes alice send this many lines, and bob receive them.
#[track_caller]
fn talk(alice: &mut Peer, bob: &mut Peer, lines: usize) {
    for _ in 0..lines / 1000 {
        alice.send_bytes(&b"hello\n".repeat(1000));
        (0..1000).for_each(|_| bob.expect("alice: hello"));
    }
}

#[test]
fn a_standard_output_that_is_stuck_delays_nobody_and_what_is_missing_is_counted() {
    let (command, port) = on_a_free_port(&["--log-messages", "--rate", "0"]);
    // The test keeps the pipe open but does not read it yet. The pipe can hold 64 KiB, and the server's log queue can
    // hold 8,192 lines.
    let (reader, writer) = std::io::pipe().unwrap();
    let mut server = Server::unseen(command, writer.into(), port);
    let [mut alice, mut bob] = ["alice", "bob"].map(|nickname| server.join(nickname));
    talk(&mut alice, &mut bob, 20_000);
    // Once the pipe is read, the log reports the number of dropped lines, and logging continues.
    let (found, missing) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        let missing = lines.find(|line| line.ends_with(" lines could not be logged"));
        // Sending fails if the test has already failed and no longer waits.
        let _ = found.send(missing);
        let _ = found.send(lines.find(|line| line.ends_with("alice: the end")));
    });
    assert!(missing.recv_timeout(DEADLINE).unwrap().is_some());
    alice.send("the end");
    assert!(missing.recv_timeout(DEADLINE).unwrap().is_some());
    server.stop();
}

#[test]
fn a_standard_output_that_is_stuck_does_not_keep_the_server_from_ending() {
    let (command, port) = on_a_free_port(&["--log-messages", "--rate", "0"]);
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut server = Server::unseen(command, writer.into(), port);
    let [mut alice, mut bob] = ["alice", "bob"].map(|nickname| server.join(nickname));
    talk(&mut alice, &mut bob, 20_000);
    server.stop();
}
