//! One room that several servers share over an engine. These tests use a fake engine with many faults. Tests with a
//! real engine are in [`redis`].
//!
//! Two rules must hold in all cases. While two clients are in the room, they see the same lines in the same order, even
//! if they are on different servers. And each nickname has only one owner.

mod one_room;

mod startup;

mod servers;

mod faults;

mod redis;

use std::process::Command;

use chat::protocol::replies::{LINK_DOWN, LINK_UP, NO_LINK, SERVER_LOST as LOST};

use crate::harness::{Peer, Server, server_command};

const IN_THE_ROOM: &str = "[SERVER] In the room with the other servers";

/// The interval, in seconds, at which a server appends a beat to show that it is alive. A server counts as dead when it
/// is silent during six beats of another server. With this interval, that takes twelve seconds. So a server that merely
/// waits for a processor does not count as dead.
const BEAT: [&str; 2] = ["--relay-beat", "2"];

/// A shorter interval, for tests in which a server must count as dead. Six of these beats are about two seconds.
const SHORT_BEAT: [&str; 2] = ["--relay-beat", "0.4"];

/// Returns a command for a server with this name, which shares the room over the engine at this address.
fn command(engine: &str, name: &str, options: &[&str]) -> Command {
    let relay = ["--port", "0", "--rate", "0", "--relay", engine, "--relay-name", name];
    server_command(relay.iter().chain(&["--relay-room", "lobby"]).chain(&BEAT).chain(options))
}

/// Starts a server with [`command`], and waits until it is in the room.
#[track_caller]
fn server(engine: &str, name: &str, options: &[&str]) -> Server {
    let mut server = Server::of(command(engine, name, options));
    server.log_until(IN_THE_ROOM);
    server
}

/// Two servers, and one client at each of them.
type Peers = (Server, Server, Peer, Peer);

#[track_caller]
fn two_servers(engine: &str, options: &[&str]) -> Peers {
    let (one, two) = (server(engine, "one", options), server(engine, "two", options));
    let mut alice = one.join("alice");
    let bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    (one, two, alice, bob)
}

/// Makes `talker` send a line, and checks that it is the next line for each listener. So no listener has missed a line
/// or got an unexpected line.
#[track_caller]
fn in_step(talker: &mut Peer, listeners: &mut [&mut Peer], text: &str) {
    talker.send(text);
    let line = format!("{}: {text}", talker.name());
    for listener in listeners {
        listener.expect(&line);
    }
}

/// Lets a new client join at each of two servers, and checks that each client receives the other client's message.
#[track_caller]
fn one_room_again(one: &Server, two: &Server) {
    let mut alice = one.join("alice");
    // The other server may have returned to the room only now. So there can be other lines before the join notice.
    let mut bob = two.join("bob");
    alice.lines_until("[SERVER] bob joined the chat!");
    bob.send("one room again");
    alice.lines_until("bob: one room again");
    alice.send("it is");
    bob.lines_until("alice: it is");
}
