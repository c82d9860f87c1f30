//! Who waits for whom: checks 5 to 8, and 16.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use super::peer::{Peer, short};
use super::server::Server;
use super::wire::Wire;
use super::{Verdict, kernel, result_of};

/// The time that a server has to end. Its farewell takes some time, and some peers do not close.
const END_TIME: Duration = Duration::from_secs(4);

pub(crate) fn silent(server: &mut Server) -> Verdict {
    let _silent = [server.connect()?, server.connect()?, server.connect()?];
    server.join("alice").map_err(|why| format!("three connected and said nothing; then {why}"))?;
    Ok("three connected and said nothing, and alice was let in".to_owned())
}

/// Clients that talk, and a client that reads everything, in a room with a client that does not read.
struct Talk<'a> {
    server: &'a Server<'a>,
    /// The clients that talk, with their names.
    senders: Vec<(String, Peer)>,
    listener: Peer,
    /// The number of lines that each sender has sent.
    lines: usize,
    longest_round: Duration,
}

impl<'a> Talk<'a> {
    fn new(server: &'a Server<'a>, senders: usize) -> Result<Self, String> {
        let mut listener = server.join("listener")?;
        let join = |n| {
            let name = format!("sender{n}");
            let peer = server.join(&name)?;
            // A naive server may welcome a client a moment before the client has joined.
            listener.wait_for(|line| server.examination.wire.is_join(line, &name));
            // The senders receive each other's messages. They must read these messages, because a server may stop
            // reading from clients that do not read.
            peer.ignore_what_comes()?;
            Ok::<_, String>((name, peer))
        };
        let senders = (0..senders).map(join).collect::<Result<_, _>>()?;
        Ok(Self { server, senders, listener, lines: 0, longest_round: Duration::ZERO })
    }

    /// Makes all senders send at the same time: each sends `lines` lines, each with a number and `bytes` additional
    /// bytes. Waits until the listener has received all lines.
    fn say(&mut self, lines: usize, bytes: usize) -> Result<(), String> {
        let (start, wire) = (Instant::now(), self.server.examination.wire);
        let first = self.lines;
        self.lines += lines;
        let filler = "x".repeat(bytes);
        let text =
            (first..self.lines).fold(String::new(), |text, n| text + &format!("{n} {filler}\n"));
        let stands = |why| format!("one did not read, and the room stood still: {why}");
        let mut next: Vec<(String, usize)> =
            self.senders.iter().map(|(name, _)| (wire.said(name, ""), first)).collect();
        thread::scope(|scope| {
            let text = text.as_bytes();
            let mut talking = Vec::new();
            for (_, sender) in &mut self.senders {
                talking.push(scope.spawn(move || sender.send_bytes(text)));
            }
            while let Some((name, n)) = next.iter().find(|(_, n)| *n < self.lines) {
                let line = self.listener.line();
                let line = line.map_err(|why| stands(format!("{name}{n} did not come: {why}")))?;
                for (name, n) in &mut next {
                    let said = line.strip_prefix(&*name).and_then(|said| said.split_once(' '));
                    let is_next = said.is_some_and(|said| said == (&n.to_string(), &filler));
                    *n += usize::from(is_next);
                }
            }
            talking.into_iter().try_for_each(|thread| result_of(thread).map_err(stands))
        })?;
        self.longest_round = self.longest_round.max(start.elapsed());
        Ok(())
    }

    /// Makes all senders together send about `lines` lines of a thousand bytes.
    fn say_in_all(&mut self, lines: usize) -> Result<(), String> {
        self.say(lines / self.senders.len(), 1000)
    }

    /// Sends lines until the kernel accepts no more bytes for the client that does not read. Then sends another
    /// megabyte. Returns the total number of megabytes that were sent.
    fn fill(&mut self, stalled: &Peer) -> Result<usize, String> {
        let mut before = None;
        // If the kernel does not show its queues, this loop sends more than the kernel can store.
        for _ in 0..60 {
            self.say_in_all(200)?;
            let socket = stalled.server_end();
            let unsent = socket.map(|socket| socket.unsent).filter(|unsent| *unsent > 0);
            if unsent.is_some() && unsent == before {
                break;
            }
            before = unsent;
        }
        self.say_in_all(1000)?;
        Ok(self.lines * self.senders.len() / 1000)
    }
}

pub(crate) fn stalled_reader(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let stalled = server.join("stalled")?;
    let mut talk = Talk::new(server, 1)?;
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
    let mut talk = Talk::new(server, 1)?;
    // This first fills the kernel's buffers, which have their own limit.
    talk.fill(&stalled)?;
    let before = server.peak_memory_kib();
    for _ in 0..megabytes {
        talk.say_in_all(1000)?;
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
            // A send may time out here, because a server may slow down a fast client.
            let sends = (0..10 * MEGABYTES_EACH).map(|_| sender.send_bytes(lines.as_bytes()));
            Some(sends.take_while(Result::is_ok).count())
        };
        let senders: Vec<_> =
            senders.into_iter().map(|sender| scope.spawn(move || talk(sender))).collect();
        let sent = senders.into_iter().filter_map(|sender| sender.join().ok()?).sum::<usize>();
        let grown = server.peak_memory_kib().saturating_sub(before) / 1024;
        // This ends the threads of the readers.
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
            Ok(format!("SIGTERM was sent, and it ended cleanly after {time} ms"))
        }
        Some(status) => Err(format!("SIGTERM was sent, and it ended with {status}")),
        None => Err(format!("SIGTERM was sent, and after {time} ms it still runs")),
    }
}

pub(crate) fn behind_and_back(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let mut stalled = server.join("stalled")?;
    // Eight senders at once make large batches. So a socket that becomes full accepts only a part of a batch.
    let mut talk = Talk::new(server, 8)?;
    let megabytes = talk.fill(&stalled)?;
    // The client begins to read while the senders continue to talk. So the client catches up while new lines arrive.
    let end = wire.said("closer", "the end");
    let came = thread::scope(|scope| {
        let reading = scope.spawn(|| stalled.expect(&end));
        for _ in 0..100 {
            talk.say(1, 10)?;
        }
        server.join("closer")?.send("the end")?;
        result_of(reading)
    })?;
    let (seen, count) = (format!("one was behind by {megabytes} MB and read on"), talk.lines);
    for (name, _) in &talk.senders {
        let prefix = wire.said(name, "");
        let mut said = came.iter().filter_map(|line| line.strip_prefix(&prefix));
        for n in 0..count {
            if !said.next().is_some_and(|line| line.starts_with(&format!("{n} "))) {
                return Err(format!("{seen}, and line {n} of {name} did not come in its place"));
            }
        }
    }
    Ok(format!("{seen}, and got all {} lines in order", count * talk.senders.len()))
}
