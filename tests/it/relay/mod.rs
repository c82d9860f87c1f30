//! One room on several servers, over an engine that the test plays and that has every fault.
//!
//! What must hold whatever happens: any two who listen, wherever they are, see the same lines in the same order
//! from where they came in, and each nickname has one owner. The faults of a real engine are in [`redis`].

mod redis;

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use chat::protocol::replies::{LINK_DOWN, LINK_UP, NO_LINK, SERVER_LOST as LOST};

use crate::harness::engine::{FakeEngine, Fault};
use crate::harness::{
    Directory, Finished, Peer, Program, Server, Transcript, free_port, server_command, taken,
};

const IN_THE_ROOM: &str = "[SERVER] In the room with the other servers";

/// Six of these are twelve seconds: nobody is given up who only waits for a processor.
const BEAT: &str = "2";

/// Six of these are two seconds, for those who shall be given up.
const SHORT_BEAT: &str = "0.4";

fn command(engine: &FakeEngine, name: &str, options: &[&str]) -> Command {
    let address = engine.address();
    let relay = ["--port", "0", "--rate", "0", "--relay", &address, "--relay-name", name];
    let room = ["--relay-room", "lobby", "--relay-beat", BEAT];
    server_command(relay.iter().chain(&room).chain(options))
}

/// Starts a server that shares the room, and waits until it is in.
#[track_caller]
fn server(engine: &FakeEngine, name: &str) -> Server {
    server_with(engine, name, BEAT)
}

#[track_caller]
fn server_with(engine: &FakeEngine, name: &str, beat: &str) -> Server {
    let mut server = Server::of(command(engine, name, &["--relay-beat", beat]));
    server.log_until(IN_THE_ROOM);
    server
}

/// Somebody says a line, and these hear it: all are in step then.
#[track_caller]
fn in_step(talker: &mut Peer, listeners: &mut [&mut Peer], text: &str) {
    talker.send(text);
    let line = format!("{}: {text}", talker.name());
    for listener in listeners {
        listener.expect(&line);
    }
}

/// Two people come to two servers anew, and talk.
#[track_caller]
fn one_room_again(one: &Server, two: &Server) {
    let mut alice = one.join("alice");
    // The other server may still have been on its way.
    let mut bob = two.join("bob");
    alice.lines_until("[SERVER] bob joined the chat!");
    bob.send("one room again");
    alice.lines_until("bob: one room again");
    alice.send("it is");
    bob.lines_until("alice: it is");
}

/// Two servers, and one who listens at each.
#[track_caller]
fn two_servers(engine: &FakeEngine) -> (Server, Server, Peer, Peer) {
    two_servers_with(engine, BEAT)
}

#[track_caller]
fn two_servers_with(engine: &FakeEngine, beat: &str) -> (Server, Server, Peer, Peer) {
    let (one, two) = (server_with(engine, "one", beat), server_with(engine, "two", beat));
    let mut alice = one.join("alice");
    let bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    (one, two, alice, bob)
}

#[test]
fn two_servers_are_one_room() {
    let engine = FakeEngine::start();
    let (one, two, mut alice, mut bob) = two_servers(&engine);
    in_step(&mut alice, &mut [&mut bob], "hello");
    bob.send_bytes(b"/me waves\n/msg ALICE psst\n/msg nobody psst\n/who\n/nick Alice\n/nick Bo\n");
    bob.expect_all([
        "* bob waves",
        "[you -> alice] psst",
        "[SERVER] No such nickname: nobody.",
        "[SERVER] 2 online: bob, alice",
        "[SERVER] The nickname Alice is already taken. You keep your nickname.",
        "[SERVER] bob is now known as Bo",
    ]);
    alice.expect_all(["* bob waves", "[bob -> you] psst", "[SERVER] bob is now known as Bo"]);
    let mut carol = two.connect("carol");
    carol.expect("[SERVER] Enter your nickname:");
    carol.send("ALICE");
    carol.expect(&taken("ALICE"));
    carol.send("carol");
    carol.expect_all([
        "[SERVER] Connected to the server!",
        "[SERVER] 3 online: Bo, carol, alice",
        "[SERVER] Last messages: 2",
        "alice: hello",
        "* bob waves",
    ]);
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] carol joined the chat!");
    }
    alice.send("/quit");
    alice.expect("[SERVER] Goodbye!");
    for peer in [&mut bob, &mut carol] {
        peer.expect("[SERVER] alice left the chat!");
    }
    // The name is free, everywhere.
    let _alice = one.join("Alice");
    bob.expect("[SERVER] Alice joined the chat!");
}

#[test]
fn a_server_that_comes_later_has_the_names_and_the_history() {
    let engine = FakeEngine::start();
    let one = server(&engine, "one");
    let mut alice = one.join("alice");
    alice.send_bytes(b"first\n/me second\n");
    alice.expect("* alice second");
    let two = server(&engine, "two");
    let mut bob = two.join("bob");
    bob.expect_all(["[SERVER] Last messages: 2", "alice: first", "* alice second"]);
    bob.send("/who");
    bob.expect("[SERVER] 2 online: bob, alice");
}

#[test]
fn nothing_is_lost_doubled_or_reordered_while_connections_are_cut() {
    let engine = FakeEngine::start();
    let (one, two, mut alice, mut bob) = two_servers(&engine);
    let (mut carol, mut dave) = (one.join("carol"), two.join("dave"));
    bob.lines_until("[SERVER] dave joined the chat!");
    alice.lines_until("[SERVER] dave joined the chat!");
    let heard = thread::scope(|scope| {
        for talker in [&mut carol, &mut dave] {
            scope.spawn(move || {
                for number in 0..300 {
                    talker.send(&format!("line {number}"));
                    // A pace, so that there is something to cut.
                    thread::sleep(Duration::from_millis(3));
                }
                talker.send("/me is done");
            });
        }
        let heard = [&mut alice, &mut bob].map(|listener| {
            scope.spawn(move || {
                let (mut lines, mut done) = (Vec::new(), 0);
                while done < 2 {
                    let line = listener.line();
                    done += usize::from(line.ends_with(" is done"));
                    lines.push(line);
                }
                lines
            })
        });
        for _ in 0..60 {
            engine.cut();
            thread::sleep(Duration::from_millis(15));
        }
        heard.map(|thread| thread.join().unwrap())
    });
    assert_eq!(heard[0], heard[1]);
    for name in ["carol", "dave"] {
        let start = format!("{name}: ");
        let said: Vec<&String> = heard[0].iter().filter(|line| line.starts_with(&start)).collect();
        let expected: Vec<String> = (0..300).map(|n| format!("{name}: line {n}")).collect();
        assert_eq!(said, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn while_the_engine_is_down_talk_waits_and_all_are_told() {
    let engine = FakeEngine::start();
    let (mut one, two, mut alice, mut bob) = two_servers(&engine);
    engine.suffer(Fault::Down);
    alice.send("are you there?");
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_DOWN);
    }
    alice.send("I shall wait");
    bob.send("so shall I");
    engine.suffer(Fault::Nothing);
    // Which of the two servers is back first, no rule says.
    let (of_alice, of_bob) = ([LINK_UP, "bob: so shall I"], "alice: are you there?");
    let mut heard = [alice.line(), alice.line()];
    heard.sort();
    assert_eq!(heard, of_alice.map(str::to_owned));
    let mut heard = [bob.line(), bob.line(), bob.line()];
    heard.sort();
    assert_eq!(heard, [LINK_UP, "alice: I shall wait", of_bob]);
    one.log_until("The link to the engine is down: ");
    one.log_until("The link to the engine is up after ");
    drop(two);
}

#[test]
fn an_engine_that_stands_still_kills_nobody() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers_with(&engine, SHORT_BEAT);
    // Longer than six beats.
    engine.suffer(Fault::Stalled);
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_DOWN);
    }
    engine.suffer(Fault::Nothing);
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_UP);
    }
    in_step(&mut alice, &mut [&mut bob], "still here");
    in_step(&mut bob, &mut [&mut alice], "so am I");
}

#[test]
fn an_entry_is_said_once_however_often_it_is_appended() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine);
    engine.suffer(Fault::Mute);
    in_step(&mut alice, &mut [&mut bob], "nobody confirms this");
    engine.suffer(Fault::Nothing);
    // A connection that broke has held it, and now it comes again.
    let copies = engine.log();
    for (_, fields) in &copies {
        engine.append(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    in_step(&mut bob, &mut [&mut alice], "once");
    in_step(&mut alice, &mut [&mut bob], "and no more");
}

#[test]
fn while_the_engine_refuses_talk_waits() {
    let engine = FakeEngine::start();
    let (mut one, _two, mut alice, mut bob) = two_servers(&engine);
    engine.suffer(Fault::Refusing("OOM command not allowed when used memory > 'maxmemory'."));
    alice.send("is there space?");
    one.log_until("The engine takes nothing: OOM");
    engine.suffer(Fault::Nothing);
    bob.expect("alice: is there space?");
}

#[test]
fn who_saw_what_the_engine_has_lost_is_turned_out_and_told() {
    let engine = FakeEngine::start();
    let (mut one, mut two, mut alice, mut bob) = two_servers(&engine);
    in_step(&mut alice, &mut [&mut bob], "this will be lost");
    // As after the loss of its power.
    engine.suffer(Fault::Down);
    engine.change_log(|log| {
        let is_it = |text: &Vec<u8>| text.ends_with(b"this will be lost\n");
        let lost = log.iter().position(|(_, fields)| fields.iter().any(is_it)).unwrap();
        log.truncate(lost - 1);
    });
    // Both servers have an entry under way when they find the engine again.
    for peer in [&mut alice, &mut bob] {
        peer.send("nobody will hear this");
    }
    engine.suffer(Fault::Nothing);
    for (peer, server) in [(&mut alice, &mut one), (&mut bob, &mut two)] {
        let lines = peer.lines_until(LOST);
        assert!(lines.iter().all(|line| line.starts_with("[SERVER] The link ")), "{lines:?}");
        assert_eq!(peer.rest(), b"");
        server.log_until("All clients are turned out: the engine has lost what was read here");
    }
    one_room_again(&one, &two);
}

#[test]
fn servers_that_find_no_room_at_the_same_time_begin_the_same_one() {
    let engine = FakeEngine::start();
    // What was before this entry is missing, and nobody is left who knows it.
    engine.append(&[b"e", b"0000000000000009 7 99999 0000000000000000\nS 1 hello\n"]);
    let short = ["--relay-beat", SHORT_BEAT];
    let mut servers =
        ["one", "two", "three"].map(|name| Server::of(command(&engine, name, &short)));
    for server in &mut servers {
        server.log_until(IN_THE_ROOM);
    }
    let mut peers = [0, 1, 2].map(|number| servers[number].join(&format!("peer{number}")));
    for peer in &mut peers[..2] {
        peer.lines_until("[SERVER] peer2 joined the chat!");
    }
    for number in 0..3 {
        // Each says so much that the others have read it by then.
        let [talker, one, two] = &mut peers;
        in_step(talker, &mut [one, two], &format!("one room {number}"));
        peers.rotate_left(1);
    }
}

#[test]
fn who_has_read_what_the_stream_does_not_say_is_turned_out_and_nobody_else() {
    let engine = FakeEngine::start();
    let (mut one, mut two, mut alice, mut bob) = two_servers(&engine);
    two.signal("STOP");
    // What was on its way to it has come, and nothing follows.
    engine.cut();
    alice.send_bytes(b"two will never read this\n/ping read\n");
    alice.expect("[SERVER] pong read");
    engine.change_log(|log| {
        let is_it = |text: &Vec<u8>| text.ends_with(b"two will never read this\n");
        log.retain(|(_, fields)| !fields.iter().any(is_it));
    });
    two.signal("CONT");
    // No connection breaks. The next entry of the one says what it has read, and that is not what there is.
    assert_eq!(alice.line(), LOST);
    assert_eq!(alice.rest(), b"");
    one.log_until("All clients are turned out: it has read something else than the others");
    bob.expect("[SERVER] alice left the chat! (server lost)");
    two.log_until(
        "An entry is doubtful (entries before it are missing), but this server has read right",
    );
    let mut alice = one.join("alice");
    bob.expect("[SERVER] alice joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "one room again");
}

#[test]
fn the_users_of_a_dead_server_leave_once_and_a_new_run_of_it_replaces_it_at_once() {
    let engine = FakeEngine::start();
    let (_one, two, mut alice, _bob) = two_servers_with(&engine, SHORT_BEAT);
    two.signal("KILL");
    alice.expect("[SERVER] bob left the chat! (server lost)");
    let two = server(&engine, "two");
    let _bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    two.signal("KILL");
    let two = server(&engine, "two");
    alice.expect("[SERVER] bob left the chat! (server lost)");
    let mut bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "back again");
}

#[test]
fn the_users_of_a_server_that_is_closed_leave_and_hear_why_after_all_that_was_said() {
    let engine = FakeEngine::start();
    let (_one, mut two, mut alice, mut bob) = two_servers(&engine);
    bob.send("the last line");
    alice.expect("bob: the last line");
    two.stop();
    bob.expect("[SERVER] The server is shutting down.");
    assert_eq!(bob.rest(), b"");
    alice.expect("[SERVER] bob left the chat! (server closed)");
}

#[test]
fn a_server_that_was_stopped_for_too_long_turns_its_clients_out_when_it_wakes() {
    let engine = FakeEngine::start();
    let (_one, mut two, mut alice, mut bob) = two_servers_with(&engine, SHORT_BEAT);
    two.signal("STOP");
    alice.expect("[SERVER] bob left the chat! (server lost)");
    two.signal("CONT");
    bob.lines_until(LOST);
    two.log_until(IN_THE_ROOM);
    let mut bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    in_step(&mut bob, &mut [&mut alice], "I was asleep");
}

#[test]
fn of_two_servers_with_one_name_the_first_ends_and_says_why() {
    let engine = FakeEngine::start();
    let transcript = Transcript::default();
    let mut first = Program::start("first", command(&engine, "same", &[]), &transcript);
    first.lines_until(IN_THE_ROOM);
    let _second = server(&engine, "same");
    let Finished { code, errors, .. } = first.finish();
    let why = "another server of this name has come: give each its own --relay-name";
    assert_eq!((code, errors), (Some(1), format!("[ERROR] The server ended: {why}\n")));
}

#[test]
fn what_an_operator_has_to_mend_is_one_line_and_code_1() {
    let engine = FakeEngine::with_password("secret");
    let directory = Directory::new();
    let file = directory.file("auth");
    std::fs::write(&file, "guess\n").unwrap();
    let file = file.to_str().unwrap();
    let chat = Server::start();
    let not_redis = chat.address().to_string();
    for (options, why) in [
        (&[][..], "NOAUTH Authentication required."),
        (&["--relay-auth", file], "WRONGPASS invalid password"),
        (&["--relay", &not_redis], "it is neither Redis nor Valkey (an unknown type)"),
    ] {
        let ended = Program::run(command(&engine, "one", options), "");
        let error = format!("[ERROR] The server ended: the engine cannot be used: {why}\n");
        assert_eq!((ended.code, ended.errors), (Some(1), error));
    }
    std::fs::write(file, "secret\n").unwrap();
    let mut server = Server::of(command(&engine, "one", &["--relay-auth", file]));
    server.log_until(IN_THE_ROOM);
}

#[test]
fn a_sentinel_that_wants_the_password_gets_it() {
    let engine = FakeEngine::with_password("secret");
    let directory = Directory::new();
    let file = directory.file("auth");
    std::fs::write(&file, "secret\n").unwrap();
    let sentinel = ["--relay-sentinel", "chat"];
    let ended = Program::run(command(&engine, "one", &sentinel), "");
    assert!(ended.code == Some(1) && ended.errors.contains("NOAUTH"), "{}", ended.errors);
    let auth = ["--relay-auth", file.to_str().unwrap()];
    let mut server = Server::of(command(&engine, "one", &[sentinel, auth].concat()));
    server.log_until(IN_THE_ROOM);
}

#[test]
fn a_server_that_may_not_append_ends() {
    let engine = FakeEngine::start();
    engine.suffer(Fault::Refusing("NOPERM this user has no permissions to run 'xadd'"));
    let ended = Program::run(command(&engine, "one", &[]), "");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.errors.contains("NOPERM") && ended.errors.lines().count() == 1,
        "{}",
        ended.errors
    );
}

#[test]
fn an_engine_that_is_not_there_yet_is_waited_for_and_that_is_said_once() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let engine = FakeEngine::start();
    let mut server =
        Server::of(command(&engine, "one", &["--relay", &address, "--login-timeout", "1"]));
    server.log_until(&format!("Waiting for the engine at {address}: "));
    let mut early = server.connect("early");
    early.expect("[SERVER] Enter your nickname:");
    early.send("early");
    early.expect(NO_LINK);
    assert_eq!(early.rest(), b"");
    let listener = TcpListener::bind(&address).unwrap();
    let _engine = FakeEngine::on(listener, None);
    let lines = server.log_until(IN_THE_ROOM);
    assert!(!lines.iter().any(|line| line.contains("Waiting for the engine")), "{lines:?}");
    let _late = server.join("late");
}

#[test]
fn the_console_says_where_somebody_is_and_speaks_to_everyone() {
    let engine = FakeEngine::start();
    let directory = Directory::new();
    let fifo = directory.file("console");
    let path = fifo.to_str().unwrap();
    let mut one = Server::of(command(&engine, "one", &["--console", path]));
    one.log_until(IN_THE_ROOM);
    let two = server(&engine, "two");
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.expect("[SERVER] bob joined the chat!");
    let obey = |line: &str| std::fs::write(&fifo, format!("{line}\n")).unwrap();
    obey("/say to all");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] to all");
    }
    obey("/who");
    one.log_until("  bob, at the server two");
    obey("/kick bob");
    one.log_until("bob is at the server two.");
    obey("/kick alice loud");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] alice is kicked: loud");
    }
    alice.expect("[SERVER] You were kicked.");
    bob.expect("[SERVER] alice left the chat! (kicked)");
}

#[test]
fn a_replica_is_not_used() {
    let engine = FakeEngine::start();
    engine.suffer(Fault::Replica);
    let mut server = Server::of(command(&engine, "one", &[]));
    server.log_until("it is a replica");
    engine.suffer(Fault::Nothing);
    server.log_until(IN_THE_ROOM);
}

#[test]
fn what_is_foreign_is_ignored_and_logged_at_one_two_and_four() {
    let engine = FakeEngine::start();
    let (mut one, _two, mut alice, mut bob) = two_servers(&engine);
    engine.append(&[b"e", b"hello\nworld"]);
    engine.append(&[b"x", b"\xff"]);
    engine.append(&[b"e", b"\xff"]);
    engine.append(&[b"e", b"0000000000000009 1 0 0000000000000000\nH 2 other\nN version 2\n"]);
    engine.append(&[b"e", b"0000000000000009 7 0 0000000000000000\nN forged\n"]);
    engine.append(&[b"e"]);
    engine.append(&[b"a", b"b", b"c", b"d"]);
    in_step(&mut alice, &mut [&mut bob], "did you see anything?");
    in_step(&mut bob, &mut [&mut alice], "no");
    for count in [1, 2, 4] {
        one.log_until(&format!("{count} foreign entries ignored, the last: "));
    }
}

#[test]
fn one_name_that_is_wanted_at_three_servers_at_once_has_one_owner() {
    let engine = FakeEngine::start();
    let servers = ["one", "two", "three"].map(|name| server(&engine, name));
    let mut witness = servers[0].join("witness");
    for _ in 0..30 {
        let mut peers = servers.each_ref().map(|server| server.connect("peer"));
        for peer in &mut peers {
            peer.expect("[SERVER] Enter your nickname:");
        }
        for peer in &mut peers {
            peer.send("wanted");
        }
        let answers = peers.each_mut().map(|peer| peer.line());
        let owners = answers.iter().filter(|line| *line == "[SERVER] Connected to the server!");
        assert_eq!(owners.count(), 1, "{answers:?}");
        for peer in &mut peers {
            peer.send("/quit");
            peer.lines_until("[SERVER] Goodbye!");
        }
        witness.expect("[SERVER] wanted joined the chat!");
        witness.expect("[SERVER] wanted left the chat!");
    }
}

#[test]
fn the_stream_forgets_behind_a_checkpoint_and_who_comes_then_knows_the_room() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine);
    let lines = format!("{}\n", "x".repeat(1000)).repeat(1000);
    let mut rounds = 0;
    // Twice what lies between two checkpoints, and some more.
    while engine.log().first().is_none_or(|entry| entry.0 == (2, 0)) {
        rounds += 1;
        assert!(rounds < 60, "it never forgets");
        alice.send_bytes(lines.as_bytes());
        alice.send(&format!("/me has said {rounds}"));
        let done = format!("* alice has said {rounds}");
        assert_eq!(bob.lines_until(&done).len(), 1000);
        alice.lines_until(&done);
    }
    let three = server(&engine, "three");
    let mut carol = three.join("carol");
    carol.expect("[SERVER] Last messages: 20");
    carol.lines_until(&format!("* alice has said {rounds}"));
    carol.send("/who");
    let online = carol.line();
    assert!(["alice, bob", "bob, alice"].iter().any(|others| online.ends_with(others)), "{online}");
    alice.expect("[SERVER] carol joined the chat!");
    in_step(&mut carol, &mut [&mut alice], "nothing is missing");
}

#[test]
fn whoever_is_told_in_private_is_told_at_the_place_where_it_was_said() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine);
    let mut expected = Vec::new();
    let mut lines = String::new();
    for number in 0..200 {
        lines += &format!("said {number}\n/msg bob told {number}\n/ping {number}\n");
        expected.push(format!("[you -> bob] told {number}"));
        expected.push(format!("[SERVER] pong {number}"));
    }
    alice.send_bytes(lines.as_bytes());
    alice.expect_all(&expected);
    for number in 0..200 {
        bob.expect(&format!("alice: said {number}"));
        bob.expect(&format!("[alice -> you] told {number}"));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn who_reads_nothing_is_kept_little_of_what_another_server_tells() {
    let engine = FakeEngine::start();
    let one = server(&engine, "one");
    let mut two = Server::of(command(&engine, "two", &["--backlog", "1000000"]));
    two.log_until(IN_THE_ROOM);
    let mut alice = one.join("alice");
    let _bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    let before = two.usage().peak_kib;
    let burst = format!("/msg bob {}\n", "y".repeat(1000)).repeat(100);
    for _ in 0..300 {
        alice.send_bytes(burst.as_bytes());
        alice.send("/me goes on");
        alice.lines_until("* alice goes on");
    }
    let grown = two.usage().peak_kib - before;
    assert!(grown < 12 << 10, "{grown} KiB more for one who reads nothing");
}
