//! An engine that has lost entries: the end of its log, entries that a server has not read yet, or all entries. A
//! server that can no longer agree with the others disconnects its clients. After that, all servers share a room again.

use std::fs::{self, OpenOptions};

use crate::harness::redis::Redis;
use crate::harness::{Peer, poll_until};
use crate::relay::{IN_THE_ROOM, LOST, NO_LINK, in_step, one_room_again, server, two_servers};

#[test]
fn an_engine_that_lost_the_end_of_its_log_turns_out_those_who_saw_it() {
    let Some(mut redis) = Redis::start(&["--appendonly", "yes"]) else { return };
    let (mut one, mut two, mut alice, mut bob) = two_servers(&redis.address(), &[]);
    for number in 0..50 {
        in_step(&mut alice, &mut [&mut bob], &format!("line {number}"));
    }
    redis.end("TERM");
    let file = redis.append_only_file();
    let length = fs::metadata(&file).unwrap().len();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 2000).unwrap();
    redis.run();
    for peer in [&mut alice, &mut bob] {
        peer.lines_until(LOST);
        assert_eq!(peer.rest(), b"");
    }
    for server in [&mut one, &mut two] {
        server.log_until("All clients are turned out: the engine has lost what was read here");
        server.log_until(IN_THE_ROOM);
    }
    one_room_again(&one, &two);
}

#[test]
fn an_engine_that_was_emptied_ends_in_one_room_again() {
    for command in
        [&["FLUSHALL"][..], &["DEL", "chat:{lobby}:log"], &["DEL", "chat:{lobby}:checkpoint"]]
    {
        let Some(redis) = Redis::durable() else { return };
        let (one, two, mut alice, mut bob) = two_servers(&redis.address(), &[]);
        in_step(&mut alice, &mut [&mut bob], "before");
        redis.call(command);
        // Whether a server disconnects its clients depends on which entries it had read. In the end, all servers must
        // share one room.
        poll_until("one room", || {
            let three = server(&redis.address(), "three", &[]);
            let mut peers = [&one, &two, &three].map(|server| server.connect("peer"));
            for (number, peer) in peers.iter_mut().enumerate() {
                peer.expect("[SERVER] Enter your nickname:");
                peer.send(&format!("new{number}"));
                if !peer.comes_to("[SERVER] Connected to the server!", NO_LINK) {
                    return None;
                }
            }
            peers[0].send("/me is heard by all");
            let hears = |peer: &mut Peer| peer.comes_to("* new0 is heard by all", LOST);
            peers.iter_mut().all(hears).then_some(())
        });
    }
}

#[test]
fn entries_that_are_trimmed_by_hand_turn_out_those_who_have_not_read_them() {
    let Some(redis) = Redis::durable() else { return };
    let (one, two, mut alice, mut bob) = two_servers(&redis.address(), &[]);
    in_step(&mut bob, &mut [&mut alice], "before");
    two.signal("STOP");
    for number in 0..20 {
        alice.send(&format!("/me says {number}"));
        alice.expect(&format!("* alice says {number}"));
    }
    redis.call(&["XTRIM", "chat:{lobby}:log", "MAXLEN", "0"]);
    two.signal("CONT");
    bob.lines_until(LOST);
    assert_eq!(bob.rest(), b"");
    alice.expect("[SERVER] bob left the chat! (server lost)");
    let mut bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    alice.send("one room again");
    bob.lines_until("alice: one room again");
    drop(one);
}
