//! The faults of a real engine: it is killed, stopped, restarted, cut off or full. In another test all servers are
//! killed. No message may be lost.
//!
//! These tests need an engine and take a long time. So each of them is left out, with a line that says so, unless
//! `CHAT_ENGINE` is set. `tests/relay.sh` sets this variable. [`losses`] tests an engine that loses entries.
//! [`failover`] tests an engine that is replaced by another engine. [`soak`] combines the faults at random.

mod failover;

mod losses;

mod soak;

mod talk;

use std::fs;
use std::thread;
use std::time::Duration;

use self::talk::{listen, talk_through};
use super::{LINK_DOWN, LINK_UP, command, in_step, server, two_servers};
use crate::harness::link::Link;
use crate::harness::redis::Redis;
use crate::harness::{Directory, Program, taken};

/// Starts two servers with a talker and a listener each. Runs `faults` while the talkers talk. Checks that no line is
/// lost, doubled or reordered.
#[track_caller]
fn two_talk_through(redis: &mut Redis, faults: impl FnOnce(&mut Redis) + Send) {
    let (one, two, mut alice, mut bob) = two_servers(&redis.address(), &[]);
    let talkers = [one.join("carol"), two.join("dave")];
    for peer in [&mut alice, &mut bob] {
        peer.lines_until("[SERVER] dave joined the chat!");
    }
    let pace = Duration::from_millis(5);
    let lines = talk_through(&mut { talkers }, &mut [alice, bob], pace, move || faults(redis));
    println!("{lines} lines said, none lost, doubled or reordered");
}

fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn an_engine_is_killed_and_restarted_four_times() {
    let Some(mut redis) = Redis::durable() else { return };
    two_talk_through(&mut redis, |redis| {
        for _ in 0..4 {
            pause(500);
            redis.end("KILL");
            pause(300);
            redis.run();
        }
        pause(500);
    });
}

#[test]
fn an_engine_that_syncs_every_second_is_restarted_cleanly() {
    let Some(mut redis) = Redis::start(&["--appendonly", "yes"]) else { return };
    two_talk_through(&mut redis, |redis| {
        for _ in 0..2 {
            pause(500);
            redis.end("TERM");
            pause(300);
            redis.run();
        }
        pause(500);
    });
}

#[test]
fn an_engine_is_stopped_for_longer_than_a_dead_server_has() {
    let Some(mut redis) = Redis::durable() else { return };
    two_talk_through(&mut redis, |redis| {
        pause(500);
        redis.signal("STOP");
        pause(14_000);
        redis.signal("CONT");
        pause(500);
    });
}

#[test]
fn an_engine_is_down_for_longer_than_a_dead_server_has() {
    let Some(mut redis) = Redis::durable() else { return };
    two_talk_through(&mut redis, |redis| {
        pause(500);
        redis.end("KILL");
        pause(14_000);
        redis.run();
        pause(500);
    });
}

#[test]
fn all_connections_are_killed_again_and_again() {
    let Some(mut redis) = Redis::durable() else { return };
    two_talk_through(&mut redis, |redis| {
        for _ in 0..70 {
            redis.call(&["CLIENT", "KILL", "TYPE", "normal"]);
            pause(70);
        }
    });
}

#[test]
fn an_engine_that_is_full_makes_talk_wait() {
    let Some(mut redis) = Redis::durable() else { return };
    two_talk_through(&mut redis, |redis| {
        pause(300);
        redis.call(&["CONFIG", "SET", "maxmemory", "1"]);
        pause(4000);
        redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
        pause(500);
    });
}

#[test]
fn one_link_is_cut_and_only_those_behind_it_are_told() {
    let Some(redis) = Redis::durable() else { return };
    let link = Link::to(redis.address());
    let one = server(&redis.address(), "one", &[]);
    let two = server(&link.address(), "two", &[]);
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.expect("[SERVER] bob joined the chat!");
    link.cut(true);
    bob.expect(LINK_DOWN);
    bob.send("I am cut off");
    alice.send("bob is cut off");
    link.cut(false);
    let mut heard = [bob.line(), bob.line()];
    heard.sort();
    assert_eq!(heard, [LINK_UP, "alice: bob is cut off"]);
    alice.expect("bob: I am cut off");
}

#[test]
fn the_documented_engine_rights_are_sufficient_and_necessary() {
    let Some(redis) = Redis::durable() else { return };
    let rights = "+auth +role +xadd +xread +xrange +xrevrange +xtrim +del";
    let directory = Directory::new();
    let file = directory.file("auth");
    fs::write(&file, "chat secret\n").unwrap();
    let file = file.to_str().unwrap();
    for (rights, keys, missing) in [
        (rights, "~chat:{lobby}:*", ""),
        (rights, "~chat:{other}:*", "NOPERM"),
        ("+auth +role +xread +xrange +xrevrange +xtrim +del", "~chat:{lobby}:*", "NOPERM"),
        ("+auth +role +xadd +xread +xrange +xrevrange +del", "~chat:{lobby}:*", "NOPERM"),
    ] {
        let user = ["ACL", "SETUSER", "chat", "reset", "on", ">secret", "resetchannels", keys];
        let words: Vec<&str> = user.into_iter().chain(rights.split(' ')).collect();
        assert_eq!(redis.call(&words), "+OK\r\n");
        if missing.is_empty() {
            let (_one, _two, mut alice, mut bob) =
                two_servers(&redis.address(), &["--relay-auth", file]);
            in_step(&mut alice, &mut [&mut bob], "these rights are enough");
            continue;
        }
        let ended = Program::run(command(&redis.address(), "one", &["--relay-auth", file]), "");
        assert_eq!(ended.code, Some(1), "{rights}");
        assert!(
            ended.errors.contains(missing) && ended.errors.lines().count() == 1,
            "{}",
            ended.errors
        );
    }
}

#[test]
fn a_flood_waits_for_a_server_that_is_slow() {
    /// The number of lines that are sent. The stream keeps fewer lines than this.
    const LINES: usize = 40_000;
    let Some(redis) = Redis::durable() else { return };
    let (one, two, mut alice, mut bob) = two_servers(&redis.address(), &[]);
    let mut carol = one.join("carol");
    for peer in [&mut alice, &mut bob] {
        peer.expect("[SERVER] carol joined the chat!");
    }
    let heard = thread::scope(|scope| {
        let flooding = scope.spawn(move || {
            let lines = (0..LINES).map(|number| format!("{number} {}\n", "x".repeat(1000)));
            for lines in lines.collect::<Vec<_>>().chunks(100) {
                alice.send_bytes(lines.concat().as_bytes());
            }
            alice.send("/me is done");
            alice
        });
        let heard = [&mut bob, &mut carol].map(|peer| scope.spawn(move || listen(peer, 1)));
        // The server is stopped, but not for so long that it counts as dead.
        two.signal("STOP");
        pause(7000);
        two.signal("CONT");
        drop(flooding.join().unwrap());
        heard.map(|thread| thread.join().unwrap())
    });
    assert_eq!(heard[0].len(), LINES + 1);
    assert!(heard[0] == heard[1]);
    for (number, line) in heard[0][..LINES].iter().enumerate() {
        assert!(line.starts_with(&format!("alice: {number} ")), "line {number}: {line:.40}");
    }
    println!("{LINES} lines said, none lost, doubled or reordered");
}

#[test]
fn all_servers_are_killed_at_once_and_their_names_are_free_after_six_beats() {
    let Some(redis) = Redis::durable() else { return };
    let beat = ["--relay-beat", "0.5"];
    let (one, two, mut alice, mut bob) = two_servers(&redis.address(), &beat);
    in_step(&mut alice, &mut [&mut bob], "before");
    for server in [&one, &two] {
        server.signal("KILL");
    }
    let three = server(&redis.address(), "three", &beat);
    let mut carol = three.join("carol");
    carol.expect_all(["[SERVER] Last messages: 1", "alice: before"]);
    let mut early = three.connect("early");
    early.expect("[SERVER] Enter your nickname:");
    early.send("alice");
    early.expect(&taken("alice"));
    let mut left = [carol.line(), carol.line()];
    left.sort();
    assert_eq!(
        left,
        ["alice", "bob"].map(|name| format!("[SERVER] {name} left the chat! (server lost)"))
    );
    early.send("alice");
    early.expect("[SERVER] Connected to the server!");
    carol.expect("[SERVER] alice joined the chat!");
}

#[test]
fn two_rooms_on_one_engine_hear_nothing_of_each_other() {
    let Some(redis) = Redis::durable() else { return };
    let rooms = ["red", "blue"].map(|room| {
        let room = ["--relay-room", room];
        // Both rooms have servers and clients with the same names, which is allowed.
        two_servers(&redis.address(), &room)
    });
    let mut peers = rooms.map(|(one, two, alice, bob)| ((one, two), alice, bob));
    for number in 0..50 {
        for (room, (_, alice, bob)) in peers.iter_mut().enumerate() {
            in_step(alice, &mut [bob], &format!("line {number} in room {room}"));
        }
    }
    for (_, alice, _) in &mut peers {
        alice.send("/who");
        alice.expect("[SERVER] 2 online: alice, bob");
    }
}
