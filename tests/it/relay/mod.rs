//! One room on several servers, over an engine that the test plays and that has every fault, and over a real one.
//!
//! What must hold whatever happens: any two who listen, wherever they are, see the same lines in the same order
//! from where they came in, and each nickname has one owner. The faults of a real engine are in [`redis`].

mod one_room;

mod startup;

mod servers;

mod faults;

mod redis;

use std::process::Command;

use chat::protocol::replies::{LINK_DOWN, LINK_UP, NO_LINK, SERVER_LOST as LOST};

use crate::harness::{Peer, Server, server_command};

const IN_THE_ROOM: &str = "[SERVER] In the room with the other servers";

/// Six of these beats are twelve seconds: nobody is given up who only waits for a processor.
const BEAT: [&str; 2] = ["--relay-beat", "2"];

/// Six of these beats are two seconds, for those who shall be given up.
const SHORT_BEAT: [&str; 2] = ["--relay-beat", "0.4"];

/// A server of this name that shares the room over the engine at this address.
fn command(engine: &str, name: &str, options: &[&str]) -> Command {
    let relay = ["--port", "0", "--rate", "0", "--relay", engine, "--relay-name", name];
    server_command(relay.iter().chain(&["--relay-room", "lobby"]).chain(&BEAT).chain(options))
}

/// Starts such a server, and waits until it is in the room.
#[track_caller]
fn server(engine: &str, name: &str, options: &[&str]) -> Server {
    let mut server = Server::of(command(engine, name, options));
    server.log_until(IN_THE_ROOM);
    server
}

/// Two servers, and one who listens at each.
type Peers = (Server, Server, Peer, Peer);

#[track_caller]
fn two_servers(engine: &str, options: &[&str]) -> Peers {
    let (one, two) = (server(engine, "one", options), server(engine, "two", options));
    let mut alice = one.join("alice");
    let bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    (one, two, alice, bob)
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
