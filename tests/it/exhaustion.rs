//! The server when it cannot open more descriptors, or start more threads.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use chat::protocol::replies;

use crate::harness::{Directory, Peer, Server, leave_out, poll_until, shell};

/// The number of descriptors that the server does not use for clients in the room.
const RESERVED: usize = 32;

#[test]
fn out_of_descriptors_newcomers_are_told_and_one_who_leaves_makes_room() {
    let mut server = Server::of(shell("ulimit -n 64; exec \"$SERVER\" --port 0"));
    let mut inside: Vec<Peer> = (0..64 - RESERVED).map(|n| server.join(&format!("u{n}"))).collect();
    // A hundred clients connect at the same time and stay connected. The server has fewer than a hundred descriptors
    // left.
    let mut outside: Vec<Peer> = (0..100).map(|_| server.connect("outside")).collect();
    for peer in &mut outside {
        peer.expect_last(replies::SERVER_FULL);
    }
    idles(&server);
    // The clients in the room are not affected.
    inside[0].send("hello");
    inside[1].lines_until("u0: hello");
    inside[0].send("/quit");
    inside[1].expect("[SERVER] u0 left the chat!");
    // A place becomes free when the server closes the connection. The server first waits for the client to close it.
    drop(inside.remove(0));
    let mut newcomer = poll_until("a place", || {
        let mut newcomer = server.connect("newcomer");
        (newcomer.line() == replies::ENTER_NICKNAME).then_some(newcomer)
    });
    newcomer.send("newcomer");
    inside[0].expect("[SERVER] newcomer joined the chat!");
    let log = server.log_until("Nickname of client is newcomer");
    let told = log.iter().filter(|line| line.contains("Turned") || line.contains("Could not"));
    assert!(told.count() <= 10, "one log line for each burst, not for each client: {log:?}");
    server.stop();
}

/// Checks that the server uses almost no processor time while nothing happens.
fn idles(server: &Server) {
    let before = server.usage();
    // The processor time is measured over one second.
    thread::sleep(Duration::from_secs(1));
    let used = server.usage().cpu_since(&before);
    assert!(used < 0.3, "a thread spins: {used} seconds of processor time in one second");
}

/// Returns a command that runs the server as another user, and the directory that contains the server's binary. The
/// other user may have at most `threads` processes and threads. The test needs another user because such a limit has no
/// effect on root. If the test has no permission to become another user, it is left out.
fn with_threads(threads: usize) -> Option<(Command, Directory)> {
    // The limit counts all processes of a user, so the test needs a user without other processes. A user id without
    // an account is enough.
    let user = (100_000 + std::process::id()).to_string();
    let as_user = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", program]);
        command
    };
    let runs = |mut command: Command| command.output().is_ok_and(|output| output.status.success());
    if !runs(as_user("true")) {
        leave_out("no setpriv(1), or not root: cannot limit the number of threads");
        return None;
    }
    // The binary is copied to where the other user can read it, because the build directory may be private.
    let directory = Directory::new();
    let copy: PathBuf = directory.file("server");
    fs::copy(env!("CARGO_BIN_EXE_server"), &copy).unwrap();
    for path in [directory.path(), &copy] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut version = as_user(copy.to_str().unwrap());
    version.arg("--version");
    if !runs(version) {
        leave_out("another user cannot run the server: cannot limit the number of threads");
        return None;
    }
    // The shell is bash, since not every `sh` knows `ulimit -u`.
    let mut command = as_user("bash");
    command.args(["-c", &format!("ulimit -u {threads}; exec \"$0\" --port 0")]).arg(&copy);
    Some((command, directory))
}

#[test]
fn out_of_threads_newcomers_are_told_and_one_who_leaves_makes_room() {
    let Some((command, _directory)) = with_threads(16) else { return };
    let mut server = Server::of(command);
    let mut inside = Vec::new();
    let mut refused = loop {
        let mut peer = server.connect("newcomer");
        match peer.line().as_str() {
            replies::ENTER_NICKNAME => {
                peer.send(&format!("u{}", inside.len()));
                peer.expect(replies::CONNECTED);
                inside.push(peer);
            }
            replies::SERVER_FULL => break peer,
            other => panic!("a newcomer was told {other:?}"),
        }
        assert!(inside.len() < 16, "the limit on threads has no effect");
    };
    refused.expect_end();
    assert!(inside.len() > 2, "some clients get in before the limit is reached");
    (0..20).for_each(|_| server.connect("outside").expect_last(replies::SERVER_FULL));
    idles(&server);
    inside[0].send("/quit");
    inside[1].lines_until("[SERVER] u0 left the chat!");
    // The thread of u0 ends a moment after the notice that u0 has left.
    poll_until("a place", || {
        let mut peer = server.connect("newcomer");
        (peer.line() == replies::ENTER_NICKNAME).then(|| peer.send("newcomer"))
    });
    inside[1].lines_until("[SERVER] newcomer joined the chat!");
    let log = server.log_until("Nickname of client is newcomer");
    let told = log.iter().filter(|line| line.contains("Turned")).count();
    assert!((1..=2).contains(&told), "one log line for each burst: {log:?}");
    server.stop();
}
