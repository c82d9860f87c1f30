//! The system has no more: descriptors and threads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use chat::protocol::replies;

use crate::harness::{Peer, Server, server, shell};

/// Descriptors of the server that are not for clients.
const RESERVED: usize = 32;

#[test]
fn out_of_descriptors_newcomers_are_told_and_one_who_leaves_makes_room() {
    let command = shell("ulimit -n 64; exec \"$SERVER\" --port 0");
    let mut server = Server::of(command);
    let mut inside: Vec<Peer> = (0..64 - RESERVED).map(|n| server.join(&format!("u{n}"))).collect();
    // All at once, and none of them closes: there are more of them than descriptors left.
    let mut outside: Vec<Peer> = (0..100).map(|_| server.connect()).collect();
    for peer in &mut outside {
        peer.expect_last(replies::SERVER_FULL);
    }
    idles(&server);
    // Those inside have noticed nothing.
    inside[0].send("hello");
    inside[1].lines_until("u0: hello");
    inside[0].send("/quit");
    inside[1].expect("[SERVER] u0 left the chat!");
    server.join("newcomer");
    inside[1].expect("[SERVER] newcomer joined the chat!");
    let log = server.log_until("Nickname of client is newcomer");
    let told = log.iter().filter(|line| line.contains("Turned") || line.contains("Could not"));
    assert!(told.count() <= 10, "the log is told of a burst, not of each: {log:?}");
    server.stop();
}

#[test]
fn without_room_for_a_single_client_everyone_is_told() {
    let mut server = Server::of(shell("ulimit -n 30; exec \"$SERVER\" --port 0"));
    (0..3).for_each(|_| server.connect().expect_last(replies::SERVER_FULL));
    server.stop();
}

/// Checks that the server uses next to no processor time while nothing happens.
fn idles(server: &Server) {
    let before = server.processor_time();
    thread::park_timeout(Duration::from_secs(1));
    let used = server.processor_time() - before;
    assert!(used < 30, "it spins: {used} hundredths of a second in one second");
}

/// The server as another user, who may have so many processes, threads included. `None`, and a line
/// that says so, where that cannot be had: root itself is not held by the limit.
fn with_threads(threads: usize) -> Option<(Command, std::path::PathBuf)> {
    const NOBODY: &str = "65534";
    let skipped = |why: &str| {
        eprintln!("skipped: {why}, so threads cannot be made few");
        None
    };
    let as_nobody = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        command
    };
    if !as_nobody().arg("true").status().is_ok_and(|status| status.success()) {
        return skipped("no setpriv(1), or not root");
    }
    // Where that user may read it: the build's own directory need not be open to all.
    let copy = std::env::temp_dir().join(format!("chat-server-{}", std::process::id()));
    let copied = fs::copy(server(&[]).get_program(), &copy)
        .and_then(|_| fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)));
    if copied.is_err()
        || !as_nobody()
            .arg(&copy)
            .arg("--version")
            .output()
            .is_ok_and(|output| output.status.success())
    {
        return skipped("that user cannot run the server");
    }
    let mut command = as_nobody();
    let script = format!("ulimit -u {threads}; exec \"$0\" --port 0");
    // The shell has to be one that knows the limit.
    command.args(["bash", "-c", &script]).arg(&copy);
    Some((command, copy))
}

#[test]
fn out_of_threads_newcomers_are_told_and_one_who_leaves_makes_room() {
    let Some((command, copy)) = with_threads(16) else { return };
    let mut server = Server::of(command);
    fs::remove_file(copy).unwrap();
    let mut inside = Vec::new();
    let mut refused = loop {
        let mut peer = server.connect();
        match peer.line().as_str() {
            replies::ENTER_NICKNAME => {
                peer.send(&format!("u{}", inside.len()));
                peer.expect(replies::CONNECTED);
                inside.push(peer);
            }
            replies::SERVER_FULL => break peer,
            other => panic!("a newcomer was told {other:?}"),
        }
        assert!(inside.len() < 16, "the limit does not hold");
    };
    assert_eq!(refused.rest(), b"");
    assert!(inside.len() > 2, "there was room for some");
    (0..20).for_each(|_| server.connect().expect_last(replies::SERVER_FULL));
    idles(&server);
    inside[0].send("/quit");
    inside[1].lines_until("[SERVER] u0 left the chat!");
    // Its thread ends after its leave was announced.
    crate::harness::wait_for("a place", || {
        let mut peer = server.connect();
        (peer.line() == replies::ENTER_NICKNAME).then(|| peer.send("newcomer"))
    });
    inside[1].lines_until("[SERVER] newcomer joined the chat!");
    let log = server.log_until("Nickname of client is newcomer");
    let told = log.iter().filter(|line| line.contains("Turned")).count();
    assert!((1..=2).contains(&told), "the log is told once a burst: {log:?}");
    server.stop();
}
