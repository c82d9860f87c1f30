//! The shutdown of the server: all clients are notified, and the server exits with code 0. A second signal ends the
//! server at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::harness::{DEADLINE, Peer, Server, free_port, poll_every, server_command, shell};

const FAREWELL: &str = "[SERVER] The server is shutting down.";

#[test]
fn each_signal_that_asks_for_it_ends_the_server_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let peers = server.join_all(["alice", "bob", "carol"]);
        let mut unnamed = server.connect("unnamed");
        unnamed.expect("[SERVER] Enter your nickname:");
        server.signal(signal);
        // The farewell is the next line for each client. So no client is notified that the others leave.
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
    // The connections that the server closed are now in the state TIME_WAIT, and still use the server's port.
    let again = Server::of(server_command(["--port", &server.port().to_string()]));
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
        // Alice sends lines until her connection is closed.
        let mut stream = alice.stream().try_clone().unwrap();
        scope.spawn(move || while stream.write_all(b"and another thing\n").is_ok() {});
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
    // Either the server no longer listens, or a new client gets the farewell too.
    if server.is_listening() {
        server.connect("late").expect(FAREWELL);
    }
    server.expect_exit();
}

#[test]
fn a_terminal_that_is_closed_hangs_up_twice_and_the_server_ends_cleanly() {
    let script = "\"$SERVER\" --port 0 & echo $! > \"$dir/pid\"; wait $!; echo $? > \"$dir/code\"";
    let Some((server, terminal)) = Server::in_terminal(script) else { return };
    let mut alice = server.join("alice");
    let pid = terminal.wait_for_file("pid");
    let hang_up = || Command::new("kill").args(["-HUP", pid.trim()]).status();
    hang_up().unwrap();
    alice.expect(FAREWELL);
    // The second SIGHUP arrives while the server waits for alice to disconnect, or after the server has exited.
    hang_up().unwrap();
    alice.expect_end();
    assert_eq!(terminal.wait_for_file("code"), "0\n");
}

#[test]
fn a_server_ends_cleanly_when_its_terminal_is_gone() {
    let Some((server, terminal)) = Server::in_terminal("\"$SERVER\" --port 0") else { return };
    let mut alice = server.join("alice");
    drop(terminal);
    alice.expect(FAREWELL);
    alice.expect_end();
}

#[test]
fn a_hang_up_that_is_ignored_stays_ignored() {
    // The server is started with SIGHUP ignored, as under nohup.
    let mut server = Server::of(shell("trap '' HUP; exec \"$SERVER\" --port 0"));
    let mut alice = server.join("alice");
    server.signal("HUP");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
    // SIGINT shuts the server down. The next line for alice is the farewell, so SIGHUP had no effect.
    server.signal("INT");
    alice.expect(FAREWELL);
    server.expect_exit();
}

#[test]
fn a_rate_limited_client_gets_the_farewell_like_all_others() {
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
    // While carol joins and leaves, the server has time to read the lines above. It must not execute them.
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
fn a_client_that_joins_as_the_server_ends_is_heard_too() {
    for _ in 0..3 {
        let server = Server::with(&["--history", "0"]);
        let witness = server.join("witness");
        expect_newcomers_to_be_heard(server, witness, "\n");
    }
}

/// Shuts the server down while many clients join. Each client sends its nickname, `after_name` and a message in one
/// write. A server that announces the nickname must also send the message, since it has read both together.
pub(crate) fn expect_newcomers_to_be_heard(
    mut server: Server,
    mut witness: Peer,
    after_name: &str,
) {
    let newcomers: Vec<_> = (0..80).map(|_| server.connect("newcomer")).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            for (n, newcomer) in newcomers.iter().enumerate() {
                let lines = format!("n{n}{after_name}hello {n}\n");
                // The write fails once the server has closed the connection.
                let _ = newcomer.stream().write_all(lines.as_bytes());
            }
        });
        witness.lines_until("n9: hello 9");
        server.signal("TERM");
    });
    let heard = witness.lines_until(FAREWELL);
    for n in (0..80).filter(|n| heard.contains(&format!("[SERVER] n{n} joined the chat!"))) {
        assert!(heard.contains(&format!("n{n}: hello {n}")), "the message of n{n} is missing");
    }
    server.expect_exit();
}

/// The number of bytes that each reader must have read before the server is shut down. By then the flood has begun.
const ENOUGH_BYTES: u64 = 6 << 20;

/// The number of clients that send messages without a pause.
const FLOODS: usize = 6;

/// A summary of the text that a reader has read. The text itself is not kept, because it could be gigabytes on a busy
/// machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    /// A hash of all lines in the order in which they arrived.
    hash: u64,
    /// The number of the next expected line of each flood.
    next: [u64; FLOODS],
    last: String,
}

impl Seen {
    /// Reads to the end of the connection. The last line must be the farewell. Calls `enough` once, when more than
    /// [`ENOUGH_BYTES`] have been read.
    fn of(peer: &mut Peer, enough: impl FnOnce()) -> Self {
        let (mut seen, mut reader, mut line) = (Self::default(), peer.reader(), Vec::new());
        let mut enough = Some(enough);
        while reader.read_until(b'\n', &mut line).expect("the connection ends cleanly") > 0 {
            seen.take(&line);
            line.clear();
            if seen.bytes > ENOUGH_BYTES
                && let Some(enough) = enough.take()
            {
                enough();
            }
        }
        assert_eq!(seen.last, format!("{FAREWELL}\n"));
        seen
    }

    fn take(&mut self, line: &[u8]) {
        self.bytes += line.len() as u64;
        let mut hasher = DefaultHasher::new();
        (self.hash, line).hash(&mut hasher);
        self.hash = hasher.finish();
        let Some(text) = line.strip_prefix(b"f") else {
            self.last = String::from_utf8_lossy(line).into_owned();
            return;
        };
        // The lines of each flood are numbered, so a missing line would be noticed.
        let text = std::str::from_utf8(text).unwrap();
        let mut words = text.split(' ').skip(1).map(str::parse::<u64>);
        let (Some(Ok(name)), Some(Ok(n))) = (words.next(), words.next()) else {
            panic!("torn: {text:?}")
        };
        let next = &mut self.next[usize::try_from(name).unwrap()];
        assert_eq!(n, *next, "{text}");
        *next += 1;
    }
}

/// Sends messages without a pause until the connection ends. Another thread reads everything that the client receives.
fn flood(mut peer: Peer, name: usize) {
    let mut stream = peer.stream().try_clone().expect("there are descriptors left");
    thread::scope(|scope| {
        scope.spawn(move || Seen::of(&mut peer, || ()));
        let mut lines = String::new();
        for n in 0_u64.. {
            lines += &format!("{name} {n} {}\n", "flood ".repeat(160));
            if lines.len() > 60_000 {
                if stream.write_all(lines.as_bytes()).is_err() {
                    break;
                }
                lines.clear();
            }
        }
    });
}

#[test]
fn a_shutdown_under_load_is_clean_and_all_readers_have_read_the_same() {
    let mut server = Server::with(&["--rate", "0"]);
    let mut readers: Vec<Peer> = (0..24).map(|n| server.join(&format!("r{n}"))).collect();
    let stalled: Vec<Peer> = (0..8).map(|n| server.join(&format!("s{n}"))).collect();
    let floods: Vec<Peer> = (0..FLOODS).map(|n| server.join(&format!("f{n}"))).collect();
    // Each reader first reads up to the last join notice. All readers receive the same lines after this notice.
    for peer in &mut readers {
        peer.lines_until("[SERVER] f5 joined the chat!");
    }
    let (report, enough) = mpsc::channel();
    let seen = thread::scope(|scope| {
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|peer| {
                let report = report.clone();
                scope.spawn(move || Seen::of(peer, || report.send(()).unwrap()))
            })
            .collect();
        for (name, peer) in floods.into_iter().enumerate() {
            scope.spawn(move || flood(peer, name));
        }
        for _ in &reading {
            enough.recv_timeout(DEADLINE).unwrap();
        }
        for peer in &stalled {
            let held = peer.bytes_held_by_system();
            assert!(held < ENOUGH_BYTES, "the system holds all of the text: {held}");
        }
        server.stop();
        reading.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for other in &seen {
        assert_eq!(*other, seen[0]);
    }
    // At least one flood must have arrived. On a busy machine, the shutdown can begin before all floods have started.
    assert!(seen[0].next.iter().any(|&lines| lines > 0), "{:?}", seen[0]);
}

/// Shuts a server down while one client is behind. The server waits a second and a half for this client. Meanwhile the
/// test repeats the signal until the server has ended. Returns whether a signal ended the server before it could exit
/// by itself.
fn is_ended_by_a_second_signal() -> bool {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, stalled] = server.join_all(["talker", "listener", "stalled"]);
    Server::leave_behind(&mut talker, &mut listener, &stalled);
    server.signal("TERM");
    listener.expect(FAREWELL);
    // A second signal that arrives too soon after the first has no effect. So the test sends several.
    poll_every(Duration::from_millis(50), "the end", || {
        server.signal("TERM");
        (!server.program().runs()).then_some(())
    });
    server.program().exit().signal() == Some(15)
}

#[test]
fn a_second_signal_ends_it_at_once_although_a_client_is_behind() {
    // On a very busy machine, the server can exit by itself before a second signal has an effect. So there are five
    // tries.
    assert!((0..5).any(|_| is_ended_by_a_second_signal()));
}
