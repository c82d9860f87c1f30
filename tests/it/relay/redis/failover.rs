//! Failover: another engine replaces the engine in use. The other engine is a replica that lags behind, a second
//! primary, or a replica that Sentinel promotes.

use super::pause;
use crate::harness::link::Link;
use crate::harness::redis::{Redis, Sentinels};
use crate::harness::{Peer, poll_until};
use crate::relay::{LINK_DOWN, LINK_UP, LOST, Peers, in_step, one_room_again, server, two_servers};

/// Waits until a replica has all entries of its primary. This takes a moment, because replication is asynchronous.
#[track_caller]
fn wait_for_replica(primary: &Redis, replica: &Redis) {
    let length = |engine: &Redis| engine.call(&["XLEN", "chat:{lobby}:log"]);
    poll_until("a replica that has all", || (length(replica) == length(primary)).then_some(()));
}

/// Starts a primary, a replica that has all of the primary's entries, and two servers. Each server is connected to the
/// primary through a link of its own.
#[track_caller]
fn primary_and_replica() -> Option<(Redis, Redis, [Link; 2], Peers)> {
    let primary = Redis::durable()?;
    let replica = primary.replica()?;
    let links = [(); 2].map(|()| Link::to(primary.address()));
    let (one, two) =
        (server(&links[0].address(), "one", &[]), server(&links[1].address(), "two", &[]));
    let (mut alice, mut bob) = (one.join("alice"), two.join("bob"));
    alice.expect("[SERVER] bob joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "before");
    wait_for_replica(&primary, &replica);
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
    // The next command makes the primary a replica. The command does not break any connection.
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
fn sentinel_promotes_a_replica_and_talk_goes_on() {
    let Some(mut primary) = Redis::durable() else { return };
    let replica = primary.replica().unwrap();
    let sentinels = Sentinels::of(&primary);
    let options = ["--relay-sentinel", "chat"];
    let (_one, _two, mut alice, mut bob) = two_servers(&sentinels.hosts, &options);
    for number in 0..100 {
        in_step(&mut alice, &mut [&mut bob], &format!("line {number}"));
    }
    // Entries that the replica lacked would be lost together with the primary.
    wait_for_replica(&primary, &replica);
    // It takes the Sentinels up to ten seconds to discover a replica.
    pause(12_000);
    primary.end("KILL");
    alice.send("is anybody there?");
    assert_eq!(listen_to(&mut bob), "alice: is anybody there?");
    bob.send("yes");
    assert_eq!(listen_to(&mut alice), "bob: yes");
    assert!(replica.call(&["ROLE"]).contains("master"));
}

/// Waits for the next line that is not a notice about the link, and returns it.
fn listen_to(peer: &mut Peer) -> String {
    loop {
        let line = peer.line();
        if line != LINK_DOWN && line != LINK_UP {
            return line;
        }
    }
}
