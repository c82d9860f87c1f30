//! The data that threads share: checks 13 to 15.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::endings::break_carol_off;
use super::peer::{Peer, short};
use super::server::Server;
use super::{Verdict, result_of};

pub(crate) fn room_goes_on(server: &mut Server) -> Verdict {
    const SENT: &str = "carol's connection was reset, and alice spoke";
    let wire = server.examination.wire;
    let mut alice = server.join("alice")?;
    break_carol_off(server, &mut alice)?;
    // When the server passes these lines on, it may write to carol's dead connection.
    for word in ["anybody", "there?"] {
        alice.send(word)?;
        alice.wait_until_read();
    }
    let mut bob = server.join("bob").map_err(|why| format!("{SENT}; then {why}"))?;
    alice.send("hello bob")?;
    bob.expect(&wire.said("alice", "hello bob"))
        .map_err(|why| format!("{SENT} again, and bob saw {why}"))?;
    Ok(format!("{SENT}; then bob joined, and heard her"))
}

pub(crate) fn one_name(server: &mut Server) -> Verdict {
    const ROUNDS: usize = 80;
    const PEERS: usize = 6;
    let wire = server.examination.wire;
    let barrier = &Barrier::new(PEERS);
    for round in 0..ROUNDS {
        let name = &format!("bob{round}");
        // A server may refuse a client with a message, with another question for the name, or by closing the
        // connection.
        let is_let_in = |mut peer: Peer| -> Result<(bool, Peer), String> {
            barrier.wait();
            peer.send(name)?;
            let is_answer = |line: &str| wire.is_welcome(line) || line.contains("taken");
            match peer.until(is_answer) {
                Ok(lines) => Ok((lines.last().is_some_and(|line| wire.is_welcome(line)), peer)),
                Err(why) if why.contains("ended") => Ok((false, peer)),
                Err(why) => Err(format!("six people asked for {name}, and one got {why}")),
            }
        };
        let peers: Vec<Peer> = (0..PEERS).map(|_| server.connect()).collect::<Result<_, _>>()?;
        let answers: Vec<(bool, Peer)> = thread::scope(|scope| {
            let start = |peer| scope.spawn(move || is_let_in(peer));
            let threads: Vec<_> = peers.into_iter().map(start).collect();
            threads.into_iter().map(result_of).collect::<Result<_, _>>()
        })?;
        match answers.iter().filter(|(is_in, _)| *is_in).count() {
            1 => {}
            0 => return Err("six people asked for one name at once, and nobody got it".to_owned()),
            several => {
                return Err(format!(
                    "six people asked for one name at once, and in try {round} {several} of them got it"
                ));
            }
        }
        for (_, peer) in answers {
            peer.leave();
        }
    }
    Ok(format!("six people asked for one name at once, {ROUNDS} times, and each time one got it"))
}

pub(crate) fn one_order(server: &mut Server) -> Verdict {
    const LINES: usize = 300;
    const SENDERS: [&str; 4] = ["s0", "s1", "s2", "s3"];
    const SENT: &str = "four people said 300 lines each";
    let wire = server.examination.wire;
    let listeners = [server.join("l1")?, server.join("l2")?, server.join("l3")?];
    let senders: Vec<Peer> =
        SENDERS.iter().map(|name| server.join(name)).collect::<Result<_, _>>()?;
    let mut closer = server.join("closer")?;
    let (text, end) = (&"y".repeat(900), &wire.said("closer", "end"));
    let heard: Vec<Vec<String>> = thread::scope(|scope| {
        let listening = listeners.map(|mut listener| {
            scope.spawn(move || {
                // The listeners read nothing at first. So their sockets become full, and accept only a part of
                // some writes.
                thread::sleep(Duration::from_millis(100));
                listener.expect(end).map_err(|why| format!("{SENT}, and a listener saw {why}"))
            })
        });
        let talking: Vec<_> = senders
            .into_iter()
            .map(|mut sender| {
                scope.spawn(move || {
                    sender.ignore_what_comes()?;
                    (0..LINES).try_for_each(|n| sender.send(&format!("{n} {text}")))?;
                    Ok::<_, String>(sender)
                })
            })
            .collect();
        let mut sent = Vec::new();
        for sender in talking {
            sent.push(result_of(sender)?);
        }
        // The line "end" is sent only after the server has read everything else.
        sent.iter().for_each(Peer::wait_until_read);
        closer.send("end")?;
        listening.into_iter().map(result_of).collect::<Result<_, _>>()
    })?;
    let is_whole = |line: &&String| {
        SENDERS.iter().any(|name| {
            let said =
                line.strip_prefix(&wire.said(name, "")).and_then(|said| said.split_once(' '));
            said.is_some_and(|(n, rest)| n.parse::<usize>().is_ok() && rest == text.as_str())
        })
    };
    let mut orders = Vec::new();
    for lines in &heard {
        let said: Vec<&String> =
            lines.iter().filter(|line| !wire.is_notice(line) && *line != end).collect();
        if let Some(torn) = said.iter().find(|line| !is_whole(line)) {
            return Err(format!("{SENT}, and a line arrived torn: {:?}", short(torn)));
        }
        if said.len() != SENDERS.len() * LINES {
            return Err(format!("{SENT}, and {} of 1200 lines arrived", said.len()));
        }
        orders.push(said);
    }
    let first = (0..orders[0].len()).find(|&n| orders.iter().any(|order| order[n] != orders[0][n]));
    match first {
        Some(n) => {
            Err(format!("{SENT}, and from line {n} on different people saw different orders"))
        }
        None => {
            Ok(format!("{SENT}, and three listeners saw the same 1200 lines in the same order"))
        }
    }
}
