//! Who waits for whom: checks 5 to 8, and 16.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use super::peer::{Peer, short};
use super::server::Server;
use super::wire::Wire;
use super::{Verdict, kernel, result_of};

/// How long a server may take to end: its farewell takes time, and some peers do not close.
const END_TIME: Duration = Duration::from_secs(4);

pub(crate) fn silent(server: &mut Server) -> Verdict {
    let _silent = [server.connect()?, server.connect()?, server.connect()?];
    server.join("alice").map_err(|why| format!("three connected and said nothing; then {why}"))?;
    Ok("three connected and said nothing, and alice was let in".to_owned())
}

/// A client that talks and a client that listens, in a room with a client that does not read.
struct Talk<'a> {
    server: &'a Server<'a>,
    sender: Peer,
    listener: Peer,
    /// How many lines were said.
    lines: usize,
    longest_round: Duration,
}

impl<'a> Talk<'a> {
    fn new(server: &'a Server<'a>) -> Result<Self, String> {
        let (listener, sender) = server.join_two("listener", "sender")?;
        Ok(Self { server, sender, listener, lines: 0, longest_round: Duration::ZERO })
    }

    /// Says `lines` lines of `bytes` bytes, each with its number, and waits until the listener has heard them.
    fn say(&mut self, lines: usize, bytes: usize) -> Result<(), String> {
        let (start, wire) = (Instant::now(), self.server.examination.wire);
        let numbers = self.lines..self.lines + lines;
        self.lines = numbers.end;
        let filler = "x".repeat(bytes);
        let text = numbers.clone().fold(String::new(), |text, n| text + &format!("{n} {filler}\n"));
        let stands = |why| format!("one of three did not read, and the room stood still: {why}");
        self.sender.send_bytes(text.as_bytes()).map_err(stands)?;
        for n in numbers {
            let line = wire.said("sender", &format!("{n} {filler}"));
            let heard = self.listener.until(|came| came == line);
            heard.map_err(|why| stands(format!("line {n} did not come: {why}")))?;
        }
        self.longest_round = self.longest_round.max(start.elapsed());
        Ok(())
    }

    /// Talks until the kernel takes no more for the client that does not read. Then says another megabyte.
    /// Returns how many megabytes that was in all.
    fn fill(&mut self, stalled: &Peer) -> Result<usize, String> {
        let mut before = None;
        // Where the kernel does not tell, this assumes more than the kernel can hold.
        for _ in 0..60 {
            self.say(200, 1000)?;
            let socket = stalled.server_end();
            let unsent = socket.map(|socket| socket.unsent).filter(|unsent| *unsent > 0);
            if unsent.is_some() && unsent == before {
                break;
            }
            before = unsent;
        }
        self.say(1000, 1000)?;
        Ok(self.lines / 1000)
    }
}

pub(crate) fn stalled_reader(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let stalled = server.join("stalled")?;
    let mut talk = Talk::new(server)?;
    let said = talk.fill(&stalled)?;
    let mut dave = server.join("dave").map_err(|why| format!("one does not read; then {why}"))?;
    dave.send("hello")?;
    talk.listener.expect(&wire.said("dave", "hello"))?;
    let longest = talk.longest_round.as_millis();
    Ok(format!(
        "{said} MB were said, one did not read, and no part took the other more than {longest} ms"
    ))
}

pub(crate) fn stalled_memory(server: &mut Server) -> Verdict {
    let megabytes = server.examination.megabytes;
    let stalled = server.join("stalled")?;
    let mut talk = Talk::new(server)?;
    // The kernel itself bounds what it keeps.
    talk.fill(&stalled)?;
    let before = server.peak_memory_kib();
    for _ in 0..megabytes {
        talk.say(1000, 1000)?;
    }
    let grown = server.peak_memory_kib().saturating_sub(before) / 1024;
    let seen =
        format!("{megabytes} MB were said to one that did not read, and it cost {grown} MiB");
    if grown > megabytes as u64 / 2 { Err(seen) } else { Ok(seen) }
}

pub(crate) fn flood_memory(server: &mut Server) -> Verdict {
    const READERS: usize = 60;
    const SENDERS: usize = 4;
    const MEGABYTES_EACH: usize = 5;
    let join = |name: &str, count| -> Result<Vec<Peer>, String> {
        (0..count).map(|n| server.join(&format!("{name}{n}"))).collect()
    };
    let (readers, senders) = (join("reader", READERS)?, join("sender", SENDERS)?);
    let before = server.peak_memory_kib();
    let lines = &format!("{}\n", "x".repeat(999)).repeat(100);
    let (sent, grown) = thread::scope(|scope| {
        for mut reader in readers {
            let mut buffer = vec![0; 1 << 16];
            scope.spawn(move || while reader.read(&mut buffer).is_ok_and(|count| count > 0) {});
        }
        let talk = |mut sender: Peer| {
            sender.ignore_what_comes().ok()?;
            // Slowing the client down is one way to bound its cost.
            let sends = (0..10 * MEGABYTES_EACH).map(|_| sender.send_bytes(lines.as_bytes()));
            Some(sends.take_while(Result::is_ok).count())
        };
        let senders: Vec<_> =
            senders.into_iter().map(|sender| scope.spawn(move || talk(sender))).collect();
        let sent = senders.into_iter().filter_map(|sender| sender.join().ok()?).sum::<usize>();
        let grown = server.peak_memory_kib().saturating_sub(before) / 1024;
        // Ends the readers.
        server.kill();
        (sent / 10, grown)
    });
    let seen =
        format!("four said {sent} MB as fast as they could to {READERS}, and it cost {grown} MiB");
    if grown > (SENDERS * MEGABYTES_EACH) as u64 / 2 { Err(seen) } else { Ok(seen) }
}

pub(crate) fn stop(server: &mut Server) -> Verdict {
    let has_farewell = server.examination.wire == Wire::Line;
    // This client neither reads nor closes.
    let _stubborn = server.join("stubborn")?;
    let mut alice = server.join("alice")?;
    server.join("bob")?.leave();
    server.ask_to_end()?;
    let start = Instant::now();
    if has_farewell {
        let is_farewell = |line: &str| line.starts_with("[SERVER]") && line.contains("shut");
        let words = "SIGTERM was sent";
        alice
            .until(is_farewell)
            .map_err(|why| format!("{words}, and alice saw no farewell: {why}"))?;
        let rest = alice.rest().map_err(|why| format!("{words}, and after the farewell {why}"))?;
        if !rest.is_empty() {
            return Err(format!("{words}, and after the farewell {:?} came", short(&rest)));
        }
    }
    drop(alice);
    let mut ended = None;
    kernel::wait_until(END_TIME.max(server.examination.patience), || {
        ended = server.exit();
        ended.is_some()
    });
    let time = start.elapsed().as_millis();
    match ended {
        Some(status) if status.success() || !has_farewell => {
            Ok(format!("SIGTERM was sent, and it ended after {time} ms, in order"))
        }
        Some(status) => Err(format!("SIGTERM was sent, and it ended with {status}")),
        None => Err(format!("SIGTERM was sent, and after {time} ms it still runs")),
    }
}

pub(crate) fn behind_and_back(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let mut stalled = server.join("stalled")?;
    let mut talk = Talk::new(server)?;
    let megabytes = talk.fill(&stalled)?;
    // The client goes on reading while more is said, so it catches up in the middle of it.
    let end = wire.said("closer", "the end");
    let came = thread::scope(|scope| {
        let reading = scope.spawn(|| stalled.expect(&end));
        for _ in 0..100 {
            talk.say(1, 10)?;
        }
        server.join("closer")?.send("the end")?;
        result_of(reading)
    })?;
    let prefix = wire.said("sender", "");
    let mut came = came.iter().filter_map(|line| line.strip_prefix(&prefix));
    let mut is_next =
        |n: &usize| came.next().is_some_and(|line| line.starts_with(&format!("{n} ")));
    let (seen, count) = (format!("one was behind by {megabytes} MB and read on"), talk.lines);
    match (0..count).find(|n| !is_next(n)) {
        Some(n) => Err(format!("{seen}, and line {n} of {count} did not come in its place")),
        None => Ok(format!("{seen}, and got all {count} lines in order")),
    }
}
