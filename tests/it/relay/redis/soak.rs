//! Random faults, for `CHAT_SOAK_SECONDS` seconds, from the seed in `CHAT_SOAK_SEED`.

use std::time::{Duration, Instant};

use super::pause;
use super::talk::talk_through;
use crate::harness::link::Link;
use crate::harness::random::Random;
use crate::harness::redis::Redis;
use crate::harness::{Peer, Server};
use crate::relay::server;

/// Runs three servers, each with a link of its own to the engine. Three talkers and one listener are connected to each
/// server. Random faults happen while the talkers talk. The seed is printed at the end.
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
