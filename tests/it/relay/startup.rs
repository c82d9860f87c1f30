//! A server that starts: the errors that an operator has to fix first, what the server waits for, and how servers
//! begin a room together.

use std::net::TcpListener;

use super::{IN_THE_ROOM, NO_LINK, SHORT_BEAT, command, in_step};
use crate::harness::engine::{FakeEngine, Fault};
use crate::harness::{Directory, Program, Server, free_port};
#[test]
fn an_error_for_the_operator_is_one_line_and_exit_code_1() {
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
        let ended = Program::run(command(&engine.address(), "one", options), "");
        let error = format!("[ERROR] The server ended: the engine cannot be used: {why}\n");
        assert_eq!((ended.code, ended.errors), (Some(1), error));
    }
    std::fs::write(file, "secret\n").unwrap();
    let mut server = Server::of(command(&engine.address(), "one", &["--relay-auth", file]));
    server.log_until(IN_THE_ROOM);
}

#[test]
fn a_server_that_may_not_append_ends() {
    let engine = FakeEngine::start();
    engine.suffer(Fault::Refusing("NOPERM this user has no permissions to run 'xadd'"));
    let ended = Program::run(command(&engine.address(), "one", &[]), "");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.errors.contains("NOPERM") && ended.errors.lines().count() == 1,
        "{}",
        ended.errors
    );
}

#[test]
fn a_sentinel_that_wants_the_password_gets_it() {
    let engine = FakeEngine::with_password("secret");
    let directory = Directory::new();
    let file = directory.file("auth");
    std::fs::write(&file, "secret\n").unwrap();
    let sentinel = ["--relay-sentinel", "chat"];
    let ended = Program::run(command(&engine.address(), "one", &sentinel), "");
    assert!(ended.code == Some(1) && ended.errors.contains("NOAUTH"), "{}", ended.errors);
    let auth = ["--relay-auth", file.to_str().unwrap()];
    let mut server = Server::of(command(&engine.address(), "one", &[sentinel, auth].concat()));
    server.log_until(IN_THE_ROOM);
}

#[test]
fn a_replica_is_not_used() {
    let engine = FakeEngine::start();
    engine.suffer(Fault::Replica);
    let mut server = Server::of(command(&engine.address(), "one", &[]));
    server.log_until("it is a replica");
    engine.suffer(Fault::Nothing);
    server.log_until(IN_THE_ROOM);
}

#[test]
fn an_engine_that_is_not_there_yet_is_waited_for_and_that_is_said_once() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let engine = FakeEngine::start();
    let mut server = Server::of(command(
        &engine.address(),
        "one",
        &["--relay", &address, "--login-timeout", "1"],
    ));
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
fn servers_that_find_no_room_at_the_same_time_begin_the_same_one() {
    let engine = FakeEngine::start();
    // The entries before this entry are missing from the stream, and no server that has read them still runs.
    engine.append(&[b"e", b"0000000000000009 7 99999 0000000000000000\nS 1 hello\n"]);
    let mut servers = ["one", "two", "three"]
        .map(|name| Server::of(command(&engine.address(), name, &SHORT_BEAT)));
    for server in &mut servers {
        server.log_until(IN_THE_ROOM);
    }
    let mut peers = [0, 1, 2].map(|number| servers[number].join(&format!("peer{number}")));
    for peer in &mut peers[..2] {
        peer.lines_until("[SERVER] peer2 joined the chat!");
    }
    for number in 0..3 {
        // Each client talks in turn, and the others must receive its line.
        let [talker, one, two] = &mut peers;
        in_step(talker, &mut [one, two], &format!("one room {number}"));
        peers.rotate_left(1);
    }
}
