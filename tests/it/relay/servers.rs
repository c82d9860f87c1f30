//! Servers that leave the room: one that is killed, one that is shut down, one that was stopped for so long that it
//! counted as dead, and one that is replaced by a server of the same name.

use super::{IN_THE_ROOM, LOST, SHORT_BEAT, command, in_step, server, two_servers};
use crate::harness::engine::FakeEngine;
use crate::harness::{Finished, Program, Transcript};
#[test]
fn the_users_of_a_dead_server_leave_once_and_a_new_run_of_it_replaces_it_at_once() {
    let engine = FakeEngine::start();
    let (_one, two, mut alice, _bob) = two_servers(&engine.address(), &SHORT_BEAT);
    two.signal("KILL");
    alice.expect("[SERVER] bob left the chat! (server lost)");
    let two = server(&engine.address(), "two", &[]);
    let _bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    two.signal("KILL");
    let two = server(&engine.address(), "two", &[]);
    alice.expect("[SERVER] bob left the chat! (server lost)");
    let mut bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "back again");
}

#[test]
fn the_users_of_a_server_that_is_closed_leave_and_hear_why_after_all_that_was_said() {
    let engine = FakeEngine::start();
    let (_one, mut two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
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
    let (_one, mut two, mut alice, mut bob) = two_servers(&engine.address(), &SHORT_BEAT);
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
    let mut first = Program::start("first", command(&engine.address(), "same", &[]), &transcript);
    first.lines_until(IN_THE_ROOM);
    let _second = server(&engine.address(), "same", &[]);
    let Finished { code, errors, .. } = first.finish();
    let why = "another server of this name has come: give each its own --relay-name";
    assert_eq!((code, errors), (Some(1), format!("[ERROR] The server ended: {why}\n")));
}
