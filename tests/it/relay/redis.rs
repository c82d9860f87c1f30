//! The faults of a real engine: it is killed, stopped, restarted, cut off, it loses the end of its log, it is full, and
//! another one takes its place.
//!
//! They need an engine and take their time, so without `CHAT_ENGINE` each is left out, with a line that says so.
//! `tests/relay.sh` sets it.

use std::fs::{self, OpenOptions};
use std::io;
use std::process::{Child, Command as Process, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{IN_THE_ROOM, LINK_DOWN, LINK_UP, LOST, NO_LINK, in_step};
use crate::harness::random::Random;
use crate::harness::redis::{Link, Redis};
use crate::harness::{
    Directory, Peer, Program, Server, free_port, poll_until, server_command, taken,
};

/// Starts a server at an engine, and waits until it is in the room.
#[track_caller]
fn server(address: &str, name: &str, options: &[&str]) -> Server {
    let relay = ["--port", "0", "--rate", "0", "--relay", address, "--relay-name", name];
    let room = ["--relay-room", "lobby", "--relay-beat", "2"];
    let mut server = Server::of(server_command(relay.iter().chain(&room).chain(options)));
    server.log_until(IN_THE_ROOM);
    server
}

/// Two servers, and one who listens at each.
type Peers = (Server, Server, Peer, Peer);

#[track_caller]
fn two_servers(address: &str, options: &[&str]) -> Peers {
    let (one, two) = (server(address, "one", options), server(address, "two", options));
    let mut alice = one.join("alice");
    let bob = two.join("bob");
    alice.expect("[SERVER] bob joined the chat!");
    (one, two, alice, bob)
}

/// What a listener hears until so many have said that they are done. What is told here alone is left out.
#[track_caller]
fn listen(listener: &mut Peer, talkers: usize) -> Vec<String> {
    let (mut lines, mut done) = (Vec::new(), 0);
    while done < talkers {
        let line = listener.line();
        assert_ne!(line, LOST, "{} is turned out after {} lines", listener.name(), lines.len());
        done += usize::from(line.ends_with(" is done"));
        if line != LINK_DOWN && line != LINK_UP {
            lines.push(line);
        }
    }
    lines
}

/// Says a line each `pace` until it `is_over`. Returns how many.
#[track_caller]
fn talk(talker: &mut Peer, pace: Duration, is_over: &AtomicBool) -> usize {
    // Without a reader it would be too slow for what the others say. It ends with the server.
    let mut stream = talker.stream().try_clone().unwrap();
    thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        talker.send(&format!("line {number}"));
        number += 1;
        thread::sleep(pace);
    }
    talker.send("/me is done");
    number
}

/// Has talkers talk, a line each `pace`, while `faults` happen, and checks that every listener hears the same, every
/// line once and each talker's in order. Returns how many lines that were.
#[track_caller]
fn talk_through(
    talkers: &mut [Peer],
    listeners: &mut [Peer],
    pace: Duration,
    faults: impl FnOnce() + Send,
) -> usize {
    let is_over = AtomicBool::new(false);
    let names: Vec<String> = talkers.iter().map(|talker| talker.name().to_owned()).collect();
    let (said, heard) = thread::scope(|scope| {
        let is_over = &is_over;
        let talking: Vec<_> = talkers
            .iter_mut()
            .map(|talker| scope.spawn(move || talk(talker, pace, is_over)))
            .collect();
        let count = names.len();
        let listening: Vec<_> =
            listeners.iter_mut().map(|peer| scope.spawn(move || listen(peer, count))).collect();
        faults();
        is_over.store(true, Ordering::Relaxed);
        let said: Vec<usize> = talking.into_iter().map(|thread| thread.join().unwrap()).collect();
        let heard = listening.into_iter().map(|thread| thread.join().unwrap());
        (said, heard.collect::<Vec<_>>())
    });
    for (name, count) in names.iter().zip(&said) {
        let start = format!("{name}: ");
        let lines: Vec<&str> =
            heard[0].iter().filter_map(|line| line.strip_prefix(&start)).collect();
        let expected: Vec<String> = (0..*count).map(|number| format!("line {number}")).collect();
        assert!(lines == expected, "{name} said {count} lines, {} were heard", lines.len());
    }
    for (number, other) in heard.iter().enumerate() {
        assert!(*other == heard[0], "listener {number} has heard something else than the first");
    }
    said.iter().sum()
}

/// Two servers with a talker and a listener each, through some faults.
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
fn an_engine_that_syncs_every_second_is_restarted_in_order() {
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
    let mut alice = one.join("alice");
    let mut bob = two.join("bob");
    alice.lines_until("[SERVER] bob joined the chat!");
    bob.send("one room");
    alice.lines_until("bob: one room");
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
        // Whether anybody is turned out depends on who had read what. In the end there is one room.
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
fn a_user_of_the_engine_who_has_the_rights_of_the_readme_is_enough_and_one_without_is_told() {
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
        let address = redis.address();
        let options =
            ["--port", "0", "--relay", &address, "--relay-room", "lobby", "--relay-auth", file];
        let ended = Program::run(server_command(options), "");
        assert_eq!(ended.code, Some(1), "{rights}");
        assert!(
            ended.errors.contains(missing) && ended.errors.lines().count() == 1,
            "{}",
            ended.errors
        );
    }
}

/// Both come anew and talk.
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

/// A primary and a replica that has all of its entries, and two servers that come to the primary by a link each.
#[track_caller]
fn primary_and_replica() -> Option<(Redis, Redis, [Link; 2], Peers)> {
    let primary = Redis::durable()?;
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()])?;
    let links = [(); 2].map(|()| Link::to(primary.address()));
    let (one, two) =
        (server(&links[0].address(), "one", &[]), server(&links[1].address(), "two", &[]));
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.expect("[SERVER] bob joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "before");
    poll_until("a replica that has all", || {
        let of_primary = primary.call(&["XLEN", "chat:{lobby}:log"]);
        (replica.call(&["XLEN", "chat:{lobby}:log"]) == of_primary).then_some(())
    });
    Some((primary, replica, links, (one, two, alice, bob)))
}

#[test]
fn a_replica_that_lags_takes_over_and_those_who_saw_more_are_turned_out() {
    let Some((mut primary, replica, links, peers)) = primary_and_replica() else { return };
    let (one, two, mut alice, mut bob) = peers;
    replica.call(&["REPLICAOF", "NO", "ONE"]);
    for number in 0..20 {
        in_step(&mut alice, &mut [&mut bob], &format!("lost {number}"));
    }
    primary.end("KILL");
    for link in &links {
        link.lead_to(replica.address());
    }
    for peer in [&mut alice, &mut bob] {
        peer.lines_until(LOST);
        assert_eq!(peer.rest(), b"");
    }
    one_room_again(&one, &two);
}

#[test]
fn of_two_primaries_one_is_demoted_and_those_who_were_there_are_turned_out() {
    let Some((primary, replica, links, peers)) = primary_and_replica() else { return };
    let (one, two, mut alice, mut bob) = peers;
    replica.call(&["REPLICAOF", "NO", "ONE"]);
    links[1].lead_to(replica.address());
    links[1].cut(true);
    links[1].cut(false);
    bob.send("/me is at the new one");
    bob.lines_until("* bob is at the new one");
    alice.send("/me is at the old one");
    alice.lines_until("* alice is at the old one");
    // No connection breaks by that.
    primary.call(&["REPLICAOF", "127.0.0.1", &replica.port().to_string()]);
    links[0].lead_to(replica.address());
    alice.lines_until(LOST);
    assert_eq!(alice.rest(), b"");
    let mut alice = one.join("alice");
    let heard = bob.lines_until("[SERVER] alice joined the chat!");
    assert!(!heard.iter().any(|line| line == LOST), "{heard:?}");
    bob.send("one room again");
    alice.lines_until("bob: one room again");
    drop(two);
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

#[test]
fn a_flood_waits_for_a_server_that_is_slow() {
    /// More than the stream keeps.
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
        // Not for as long as a dead server has.
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
        // Names of servers and people are a room's own.
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

/// Sentinels, which are killed when it is dropped.
struct Sentinels(Vec<Child>, Vec<Directory>);

impl Drop for Sentinels {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn sentinel_promotes_a_replica_and_talk_goes_on() {
    let Some(mut primary) = Redis::durable() else { return };
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).unwrap();
    let mut sentinels = Sentinels(Vec::new(), Vec::new());
    let mut hosts = Vec::new();
    for _ in 0..3 {
        let (directory, port) = (Directory::new(), free_port());
        let file = directory.file("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor chat 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds chat 1000\nsentinel failover-timeout chat 5000\n",
            primary.port()
        );
        fs::write(&file, text).unwrap();
        let engine = std::env::var("CHAT_ENGINE").unwrap_or("redis-server".to_owned());
        let mut sentinel = Process::new(engine);
        sentinel.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        sentinels.0.push(sentinel.spawn().unwrap());
        sentinels.1.push(directory);
        hosts.push(format!("127.0.0.1:{port}"));
    }
    let hosts = hosts.join(",");
    let (_one, _two, mut alice, mut bob) = two_servers(&hosts, &["--relay-sentinel", "chat"]);
    for number in 0..100 {
        in_step(&mut alice, &mut [&mut bob], &format!("line {number}"));
    }
    // What the replica has not, it would lose: replication is asynchronous. Sentinels learn of it after ten seconds
    // at most.
    poll_until("a replica that has all", || {
        let of_primary = primary.call(&["XLEN", "chat:{lobby}:log"]);
        (replica.call(&["XLEN", "chat:{lobby}:log"]) == of_primary).then_some(())
    });
    pause(12_000);
    primary.end("KILL");
    alice.send("is anybody there?");
    assert_eq!(listen_to(&mut bob), "alice: is anybody there?");
    bob.send("yes");
    assert_eq!(listen_to(&mut alice), "bob: yes");
    assert!(replica.call(&["ROLE"]).contains("master"));
}

/// The next line that is not about the link.
fn listen_to(peer: &mut Peer) -> String {
    loop {
        let line = peer.line();
        if line != LINK_DOWN && line != LINK_UP {
            return line;
        }
    }
}

/// Random faults, as long as `CHAT_SOAK_SECONDS` says: three servers, each behind a link of its own, three who talk and
/// one who listens at each. The seed is printed.
#[test]
fn soak() {
    let Some(mut redis) = Redis::durable() else { return };
    let seconds = std::env::var("CHAT_SOAK_SECONDS").map_or(20, |text| text.parse().unwrap());
    let seed = std::env::var("CHAT_SOAK_SEED")
        .map_or_else(|_| u64::from(std::process::id()), |text| text.parse().unwrap());
    let mut random = Random::new(seed);
    let links = [(); 3].map(|()| Link::to(redis.address()));
    let servers: Vec<Server> = ["one", "two", "three"]
        .into_iter()
        .zip(&links)
        .map(|(name, link)| server(&link.address(), name, &[]))
        .collect();
    let mut listeners: Vec<Peer> = Vec::new();
    let mut talkers = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        listeners.push(server.join(&format!("listener{number}")));
    }
    for (number, server) in servers.iter().cycle().take(9).enumerate() {
        talkers.push(server.join(&format!("talker{number}")));
    }
    for listener in &mut listeners {
        listener.lines_until("[SERVER] talker8 joined the chat!");
    }
    let mut counts = [0; 6];
    let until = Instant::now() + Duration::from_secs(seconds);
    let pace = Duration::from_millis(20);
    let said = talk_through(&mut talkers, &mut listeners, pace, || {
        while Instant::now() < until {
            let kind = random.below(counts.len());
            counts[kind] += 1;
            let time = 100 + random.below(2500) as u64;
            match kind {
                0 => {
                    redis.end("KILL");
                    pause(time / 3);
                    redis.run();
                }
                1 => {
                    redis.signal("STOP");
                    pause(time);
                    redis.signal("CONT");
                }
                2 => {
                    for _ in 0..5 {
                        redis.call(&["CLIENT", "KILL", "TYPE", "normal"]);
                        pause(time / 20);
                    }
                }
                3 => {
                    let link = &links[random.below(links.len())];
                    link.cut(true);
                    pause(time);
                    link.cut(false);
                }
                4 => {
                    let server = &servers[random.below(servers.len())];
                    server.signal("STOP");
                    pause(time);
                    server.signal("CONT");
                }
                _ => {
                    redis.call(&["CONFIG", "SET", "maxmemory", "1"]);
                    pause(time / 2);
                    redis.call(&["CONFIG", "SET", "maxmemory", "0"]);
                }
            }
            pause(200 + random.below(800) as u64);
        }
    });
    let [kills, stalls, resets, cuts, stops, full] = counts;
    println!(
        "soak: seed {seed}, {seconds} s: {said} lines, {} heard; {kills} kills, {stalls} stalls, {resets} resets, \
         {cuts} cut links, {stops} stopped servers, {full} times full: every transcript equal",
        said * listeners.len(),
    );
}
