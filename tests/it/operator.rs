//! The operator's functions: signals, statistics, the console in a FIFO, bans, and the data that survives a restart.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use chat::protocol::replies;

use super::hardening::own_address;
use crate::harness::{
    Directory, Finished, Peer, Program, Server, Transcript, free_port, leave_out, poll_every,
    poll_until, server_command, shell,
};

/// A server whose console is a FIFO.
struct Operated {
    server: Server,
    directory: Directory,
}

impl Operated {
    /// Starts a server with a FIFO as its console, and with these options.
    fn with(options: &[&str]) -> Self {
        Self::in_directory(Directory::new(), options)
    }

    fn in_directory(directory: Directory, options: &[&str]) -> Self {
        let fifo = directory.file("console");
        let options = [&["--console", fifo.to_str().unwrap()], options].concat();
        Self { server: Server::with(&options), directory }
    }

    fn fifo(&self) -> PathBuf {
        self.directory.file("console")
    }

    /// Writes a line to the console, as `echo` does.
    fn obey(&self, line: &str) {
        let mut fifo = File::options().write(true).open(self.fifo()).unwrap();
        fifo.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Writes a line to the console, and waits for this answer in the log.
    #[track_caller]
    fn expect_answer(&mut self, line: &str, answer: &str) {
        self.obey(line);
        self.server.log_until(answer);
    }
}

/// Splits a line of statistics into its keys and values.
fn parse(line: &str) -> BTreeMap<&str, &str> {
    let pairs = line.strip_prefix("[SERVER] stats ").unwrap_or_else(|| panic!("{line:?}"));
    pairs.split(' ').map(|pair| pair.split_once('=').unwrap()).collect()
}

/// Waits for the next line of statistics in the log, and returns it.
#[track_caller]
fn next_stats(server: &mut Server) -> String {
    loop {
        let line = server.program().line();
        if line.starts_with("[SERVER] stats ") {
            return line;
        }
    }
}

#[test]
fn a_second_signal_that_comes_with_the_first_ends_nothing_early() {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, stalled] = server.join_all(["talker", "listener", "stalled"]);
    // The server waits more than a second for a client that is behind. So it still runs when the next signals arrive.
    Server::leave_behind(&mut talker, &mut listener, &stalled);
    server.signal("TERM");
    // The farewell shows that the server has received the first signal.
    listener.expect(replies::SHUTTING_DOWN);
    for signal in ["TERM", "INT", "TERM"] {
        server.signal(signal);
    }
    server.expect_exit();
}

#[test]
fn a_hang_up_without_a_terminal_logs_the_statistics_and_ends_nothing() {
    let mut server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello");
    bob.expect("alice: hello");
    bob.send("/quit");
    alice.expect("[SERVER] bob left the chat!");
    for _ in 0..10 {
        let mut peer = server.connect("peer");
        (0..10).for_each(|_| peer.send("no name"));
        peer.lines_until(replies::TOO_MANY_TRIES);
    }
    server.signal("HUP");
    let line = next_stats(&mut server);
    let stats = parse(&line);
    // The 104 lines are two nicknames, a message, /quit, and 100 invalid nicknames.
    for (key, value) in [
        ("users", "1"),
        ("users_most", "2"),
        ("lines_in", "104"),
        ("behind", "0"),
        ("behind_names", "-"),
        ("backlog", "0"),
        ("turned_away_full", "0"),
        ("turned_away_tries", "10"),
    ] {
        assert_eq!(stats[key], value, "{key} in {line}");
    }
    assert!(stats["memory"].parse::<u64>().unwrap() > 500, "{line}");
    assert!(stats["uptime"].parse::<u64>().unwrap() < 600, "{line}");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
}

#[test]
fn deliveries_and_bytes_are_what_people_were_sent() {
    let mut server = Server::with(&["--stats", "1"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    alice.send("hello");
    bob.expect("alice: hello");
    bob.send("/msg alice psst");
    bob.expect("[you -> bob] psst".replace("bob", "alice").as_str());
    let to_alice = "[SERVER] Connected to the server!\n[SERVER] 1 online: alice\n\
                    [SERVER] bob joined the chat!\n[bob -> you] psst\n";
    let to_bob = "[SERVER] Connected to the server!\n[SERVER] 2 online: alice, bob\n\
                  alice: hello\n[you -> alice] psst\n";
    let bytes = (to_alice.len() + to_bob.len()).to_string();
    // The server logs the statistics every second.
    poll_until("the statistics of what was sent", || {
        let line = next_stats(&mut server);
        let stats = parse(&line);
        (stats["deliveries"] == "8" && stats["bytes_out"] == bytes).then_some(())
    });
}

#[test]
fn a_client_that_is_behind_is_named_with_what_is_kept_for_it() {
    let mut server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener] = server.join_all(["talker", "listener"]);
    // On a busy machine, the server can disconnect the client as too slow before it logs the statistics. In that case,
    // the test tries again with another client.
    let mut number = 0;
    poll_until("a client that is behind", || {
        number += 1;
        let nickname = format!("stalled{number}");
        let stalled = server.join(&nickname);
        Server::leave_behind(&mut talker, &mut listener, &stalled);
        server.signal("HUP");
        let line = next_stats(&mut server);
        let stats = parse(&line);
        let is_named = (stats["behind"], stats["behind_names"]) == ("1", nickname.as_str());
        assert!(!is_named || stats["backlog"].parse::<u64>().unwrap() > 0, "{line}");
        is_named.then_some(())
    });
}

/// Kicks a client that is behind, and shuts the server down at once. Returns whether the client received everything up
/// to its final line.
fn gets_all_although_the_server_ends() -> bool {
    let operated = Operated::with(&["--rate", "0"]);
    let [mut talker, mut listener, mut stalled] =
        operated.server.join_all(["talker", "listener", "stalled"]);
    Server::leave_behind(&mut talker, &mut listener, &stalled);
    operated.obey("/kick stalled");
    listener.lines_until("[SERVER] stalled left the chat! (kicked)");
    operated.server.signal("TERM");
    listener.expect(replies::SHUTTING_DOWN);
    let seen = String::from_utf8(stalled.rest()).unwrap();
    assert!(!seen.contains(replies::SHUTTING_DOWN), "the client had already left");
    seen.ends_with("\n[SERVER] You were kicked.\n")
}

#[test]
fn a_client_that_left_while_behind_gets_the_rest_during_the_shutdown() {
    // The server waits about two seconds for the client. That can be too short on a very busy machine. So there are
    // five tries.
    assert!((0..5).any(|_| gets_all_although_the_server_ends()));
}

#[test]
fn lines_written_to_the_fifo_are_obeyed_and_answered_in_the_log() {
    let mut operated = Operated::with(&[]);
    let file = fs::metadata(operated.fifo()).unwrap();
    assert!(file.file_type().is_fifo());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let [mut alice, mut bob] = operated.server.join_all(["alice", "bob"]);
    // Each call opens the FIFO, writes, and closes it. The second call writes several lines at once.
    operated.obey("/say one");
    operated.obey("/say two\n\n/say three");
    bob.expect_all(["[SERVER] one", "[SERVER] two", "[SERVER] three"]);
    operated.obey("/kick bob off topic");
    alice.lines_until("[SERVER] bob is kicked: off topic");
    alice.expect("[SERVER] bob left the chat! (kicked)");
    operated.expect_answer("/who", "[SERVER] 1 online");
    let line = operated.server.program().line();
    assert!(line.starts_with(&format!("[SERVER]   alice, {}, for ", alice.address())), "{line}");
    operated.expect_answer("/kick nobody", "[SERVER] No such nickname: nobody.");
    let long = "x".repeat(1020);
    operated.expect_answer(
        &format!("/say {long}"),
        "[SERVER] That line has 1025 bytes, the limit is 1024.",
    );
    // The end of a very long line is not executed as a command.
    operated.expect_answer(&format!("/say {}", "/quit ".repeat(20_000)), "the limit is 1024.");
    operated.expect_answer(&format!("/say {}", "é".repeat(20_000)), "the limit is 1024.");
    operated.expect_answer("/say", "[SERVER] /who [PART]");
    operated.obey("/quit");
    alice.expect_last(replies::SHUTTING_DOWN);
    operated.server.expect_exit();
}

#[test]
fn a_fifo_that_is_there_is_used_again_and_something_else_is_left_alone() {
    let mut operated = Operated::with(&[]);
    operated.server.stop();
    fs::set_permissions(operated.fifo(), Permissions::from_mode(0o666)).unwrap();
    let again = Operated::in_directory(operated.directory, &[]);
    assert_eq!(fs::metadata(again.fifo()).unwrap().permissions().mode() & 0o777, 0o600);
    let mut alice = again.server.join("alice");
    again.obey("/say here");
    alice.expect("[SERVER] here");

    let file = again.directory.file("a file");
    fs::write(&file, "precious").unwrap();
    let command = server_command(["--port", "0", "--console", file.to_str().unwrap()]);
    let finished = Program::run(command, "");
    assert_eq!((finished.code, finished.output.as_str()), (Some(1), ""));
    let start = format!("[ERROR] Could not use {}: ", file.display());
    assert!(finished.errors.starts_with(&start), "{}", finished.errors);
    assert_eq!(fs::read_to_string(file).unwrap(), "precious");
}

#[test]
fn a_newcomer_is_told_what_the_operator_has_set() {
    let directory = Directory::new();
    let file = directory.file("motd");
    fs::write(&file, "be kind\nto \x1b[2Jall\n").unwrap();
    for option in ["be kind\nto \x1b[2Jall", &format!("@{}", file.display())] {
        let mut operated = Operated::with(&["--motd", option]);
        let mut alice = operated.server.join("alice");
        alice.expect_all(["[SERVER] be kind", "[SERVER] to \u{FFFD}[2Jall"]);
        alice.send("/me waves");
        alice.expect("* alice waves");
        let mut bob = operated.server.join("bob");
        bob.expect_all(["[SERVER] be kind", "[SERVER] to \u{FFFD}[2Jall"]);
        // The history comes after the message of the day, since live lines follow the history directly.
        bob.expect_all(["[SERVER] Last messages: 1", "* alice waves"]);
        operated.expect_answer("/motd maintenance at noon", "The message of the day is set");
        let mut carol = operated.server.join("carol");
        carol.expect_all(["[SERVER] maintenance at noon", "[SERVER] Last messages: 1"]);
        operated.expect_answer("/motd", "The message of the day is removed");
        operated.server.join("dave").expect("[SERVER] Last messages: 1");
    }
    let finished = Program::run(server_command(["--port", "0", "--motd", "@/no/such/file"]), "");
    assert_eq!(finished.code, Some(1));
    assert!(finished.errors.starts_with("[ERROR] Could not read /no/such/file: "), "{finished:?}");
    let finished = Program::run(server_command(["--port=0", "--motd", &"x".repeat(1025)]), "");
    assert!(finished.errors.contains("1025 bytes"), "{finished:?}");
}

#[test]
fn a_ban_is_for_an_address_and_not_for_this_machine_itself() {
    let mut operated = Operated::with(&[]);
    let mut alice = operated.server.join("alice");
    for who in ["alice", "127.0.0.1", "::1", "::ffff:127.0.0.9"] {
        let answer = format!("[SERVER] {who} is on this machine itself, which cannot be banned");
        operated.expect_answer(&format!("/ban {who}"), &answer);
    }
    operated.expect_answer("/ban nobody", "[SERVER] No such nickname: nobody.");
    operated.expect_answer("/ban 192.0.2.7 soon", "[SERVER] Usage: /ban NICK|ADDRESS [MINUTES]");
    operated.expect_answer("/ban 192.0.2.7", "[SERVER] 192.0.2.7 is banned for good");
    operated
        .expect_answer("/ban ::ffff:192.0.2.8 90", "[SERVER] 192.0.2.8 is banned for 1 h 30 min");
    operated.expect_answer("/ban 2001:db8::9 0", "[SERVER] 2001:db8:: is banned for 0 s");
    operated.expect_answer("/bans", "[SERVER] 2 banned");
    operated.server.expect_log("[SERVER] 192.0.2.7 for good");
    operated.server.expect_log("[SERVER] 192.0.2.8 for 1 h 30 min");
    operated.expect_answer("/unban 192.0.2.7", "[SERVER] 192.0.2.7 is not banned any more");
    operated.expect_answer("/unban 192.0.2.7", "[SERVER] 192.0.2.7 was not banned");
    operated.expect_answer("/unban alice", "[SERVER] Usage: /unban ADDRESS");
    operated.expect_answer("/bans", "[SERVER] 1 banned");
    alice.send("/me is still here");
    alice.expect("* alice is still here");
}

#[test]
fn a_banned_client_is_disconnected_and_refused_until_the_ban_is_lifted() {
    let Some(address) = own_address() else { return };
    let directory = Directory::new();
    let bans = directory.file("bans");
    let (host, bans_file) = (address.to_string(), bans.to_str().unwrap());
    let options = ["--host", &host, "--bans", bans_file, "--login-timeout", "3600"];
    let mut operated = Operated::with(&options);
    let [mut alice, mut bob] = operated.server.join_all(["alice", "bob"]);
    let mut unnamed = operated.server.connect("unnamed");
    unnamed.expect(replies::ENTER_NICKNAME);
    operated.expect_answer("/ban BOB 5", &format!("[SERVER] {address} is banned for 5 min"));
    for peer in [&mut alice, &mut bob] {
        peer.lines_until(replies::KICKED);
    }
    unnamed.wait_for_any_end();
    operated.server.connect("again").expect_last(replies::BANNED);
    operated.server.log_until(&format!("[SERVER] Turned {address} away: banned"));
    // The ban survives a restart. When the ban is lifted, it is also removed from the file.
    operated.server.stop();
    assert_eq!(fs::metadata(&bans).unwrap().permissions().mode() & 0o777, 0o600);
    let mut operated = Operated::with(&options);
    operated.server.connect("again").expect_last(replies::BANNED);
    operated.server.signal("HUP");
    let line = next_stats(&mut operated.server);
    assert_eq!(parse(&line)["turned_away_banned"], "1", "{line}");
    operated.obey(&format!("/unban {address}"));
    operated.server.log_until("is not banned any more");
    let _bob = operated.server.join("bob");
    assert_eq!(fs::read_to_string(&bans).unwrap(), "");
    // A ban that cannot be written to the file still applies until the server ends.
    fs::create_dir(directory.file("bans.new")).unwrap();
    operated.expect_answer("/ban 192.0.2.7", "192.0.2.7 is banned for good, until the server ends");
    operated.expect_answer("/bans", "[SERVER] 1 banned");
}

#[test]
fn a_file_of_bans_with_a_mistake_lets_nobody_in() {
    let directory = Directory::new();
    let bans = directory.file("bans");
    fs::write(&bans, "192.0.2.7\n192.0.2.8 1\nbob\n").unwrap();
    let command = server_command(["--port", "0", "--bans", bans.to_str().unwrap()]);
    let finished = Program::run(command, "");
    let error = format!("[ERROR] Could not read {}: no ban: bob\n", bans.display());
    assert_eq!((finished.code, finished.errors), (Some(1), error));
}

/// Returns a command that runs a script. For this script, `/etc/hosts` contains only the text `hosts`.
fn with_hosts(directory: &Directory, hosts: &str, script: &str) -> Command {
    let file = directory.file("hosts");
    fs::write(&file, hosts).unwrap();
    let mount = format!("mount --bind '{}' /etc/hosts && {script}", file.display());
    // The script runs in a mount namespace of its own, so that other programs do not see the changed file.
    shell(&format!("exec unshare --map-root-user --mount sh -c \"{mount}\""))
}

#[test]
fn a_server_on_a_name_listens_on_every_address_that_the_name_has() {
    let directory = Directory::new();
    // One address is listed twice, and one is not an address of this machine (TEST-NET-1, RFC 5737).
    let names = ["127.0.0.2", "127.0.0.1", "192.0.2.7", "127.0.0.1"];
    let hosts = names.map(|address| format!("{address} here\n")).concat();
    if !with_hosts(&directory, &hosts, "true").output().unwrap().status.success() {
        leave_out("names cannot be given addresses: no unshare(1), or not allowed");
        return;
    }
    let port = free_port();
    let run = format!("exec \\\"\\$SERVER\\\" here {port}");
    let transcript = Transcript::default();
    let mut server = Program::start("server", with_hosts(&directory, &hosts, &run), &transcript);
    let mut log = server.lines_until("[SERVER] Waiting for connections...");
    log.sort_unstable();
    let listening = |address| format!("[SERVER] Server is listening on {address}:{port}");
    assert_eq!(log, ["127.0.0.1", "127.0.0.2"].map(listening));
    for (address, nickname) in [("127.0.0.1", "alice"), ("127.0.0.2", "bob")] {
        let address = format!("{address}:{port}").parse().unwrap();
        let mut peer = Peer::connect(nickname, address, &transcript);
        peer.expect(replies::ENTER_NICKNAME);
        peer.send(nickname);
        peer.expect(replies::CONNECTED);
    }
    // If an address is already taken, the server must not start: on that address, clients would reach the other server.
    let taken = Program::run(with_hosts(&directory, &hosts, &run), "");
    assert_eq!((taken.code, taken.output.as_str()), (Some(1), ""), "{}", taken.errors);
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
}

#[test]
fn a_server_that_must_lower_the_number_of_clients_says_so_and_below_four_does_not_start() {
    let limited = |descriptors: u32, options: &str| {
        shell(&format!("ulimit -n {descriptors}; exec \"$SERVER\" --port 0 {options}"))
    };
    let mut server = Server::of(limited(40, "--max-clients 20"));
    server.expect_log("[SERVER] --max-clients is 8, not 20: the limit on descriptors (ulimit -n)");
    let mut server = Server::of(limited(40, "--max-clients 2"));
    let _alice = server.join("alice");
    assert!(server.log_until("Connected with").is_empty(), "nothing was lowered");
    let finished = Program::run(limited(35, "--max-clients 20"), "");
    let error = "[ERROR] Could not serve four clients: --max-clients is 3, not 20: \
                 the limit on descriptors (ulimit -n)\n";
    let expected = Finished { code: Some(1), output: String::new(), errors: error.to_owned() };
    assert_eq!(finished, expected);
}

/// Joins, checks that the history consists of exactly these lines, and sends one more message.
#[track_caller]
fn join_and_say(server: &Server, name: &str, history: &[&str], text: &str) {
    let mut peer = server.join(name);
    if !history.is_empty() {
        peer.expect(&format!("[SERVER] Last messages: {}", history.len()));
        peer.expect_all(history);
    }
    peer.send(text);
    peer.send("/quit");
    // The goodbye is the next line, so the history has no further lines.
    peer.expect(replies::GOODBYE);
}

#[test]
fn the_history_survives_a_restart_and_what_was_torn_is_left_out() {
    let directory = Directory::new();
    let file = directory.file("history");
    let options = ["--history-file", file.to_str().unwrap(), "--history", "3"];
    let text = || fs::read_to_string(&file).unwrap();
    let mut server = Server::with(&options);
    join_and_say(&server, "alice", &[], "one");
    join_and_say(&server, "alice", &["alice: one"], "two");
    server.stop();
    assert_eq!(text(), "alice: one\nalice: two\n");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    // A message is saved a moment after it was sent, so a server that is killed later does not lose it.
    let mut server = Server::with(&options);
    join_and_say(&server, "bob", &["alice: one", "alice: two"], "three");
    let saved = "alice: one\nalice: two\nbob: three\n";
    poll_until("the file", || (text() == saved).then_some(()));
    server.signal("KILL");
    server.program().exit();

    // After a crash of the machine, or a change with an editor, the file could contain bytes like these.
    fs::write(&file, b"alice: two\n\nbob: \x1b[2J \xff\ncarol: four\ncarol: to").unwrap();
    let history = ["alice: two", "bob: \u{FFFD}[2J \u{FFFD}", "carol: four"];
    let mut server = Server::with(&options);
    let rewritten = "alice: two\nbob: \u{FFFD}[2J \u{FFFD}\ncarol: four\n";
    poll_until("the file", || (fs::read(&file).unwrap() == rewritten.as_bytes()).then_some(()));
    join_and_say(&server, "dave", &history, "five");
    join_and_say(&server, "dave", &[history[1], history[2], "dave: five"], "six");
    server.stop();
    // The server has appended to the file that it rewrote when it started.
    assert_eq!(text(), format!("{rewritten}dave: five\ndave: six\n"));
}

#[test]
fn the_file_of_the_history_does_not_grow_without_end() {
    let directory = Directory::new();
    let file = directory.file("history");
    let mut server =
        Server::with(&["--history-file", file.to_str().unwrap(), "--rate", "0", "--history", "9"]);
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let line = "x".repeat(1000);
    let mut largest = 0;
    poll_every(Duration::ZERO, "a file that has become smaller", || {
        alice.send(&line);
        bob.expect(&format!("alice: {line}"));
        let bytes = fs::metadata(&file).map_or(0, |file| file.len());
        let is_smaller = bytes < largest;
        largest = largest.max(bytes);
        assert!(largest < 1_200_000, "{largest}");
        is_smaller.then_some(())
    });
    alice.send("the end");
    bob.expect("alice: the end");
    server.stop();
    assert!(fs::read_to_string(&file).unwrap().ends_with("\nalice: the end\n"));
}

#[test]
fn a_file_that_cannot_be_written_is_said_once_and_the_room_goes_on() {
    let directory = Directory::new();
    let file = directory.file("not there/history");
    let mut server = Server::with(&["--history-file", file.to_str().unwrap()]);
    server.expect_log(&format!(
        "[SERVER] Could not write {}: No such file or directory (os error 2)",
        file.display()
    ));
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    for n in 0..20 {
        alice.send(&n.to_string());
        bob.expect(&format!("alice: {n}"));
    }
    // Once the file can be written, the server writes the whole history that it has in memory.
    fs::create_dir(directory.file("not there")).unwrap();
    alice.send("/quit");
    bob.send("and now");
    bob.send("/quit");
    let log = server.log_until("[SERVER] bob left the chat!");
    assert!(log.iter().all(|line| !line.contains("Could not")), "{log:?}");
    server.stop();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("alice: 2\n") && text.ends_with("alice: 19\nbob: and now\n"), "{text}");

    let finished = Program::run(server_command(["--port=0", "--history-file", "/"]), "");
    let error = "[ERROR] Could not read /: Is a directory (os error 21)\n";
    assert_eq!((finished.code, finished.errors.as_str()), (Some(1), error));
    assert_eq!(finished.output, "");
}
