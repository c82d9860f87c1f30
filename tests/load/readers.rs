//! The few threads that read for all clients.
//!
//! A reader thread goes around its clients and reads from each without waiting; after a round that
//! brought little it sleeps for a moment. One thread per client, blocked in `read`, would be simpler. But
//! the sender pays for waking it: in a quiet room of 500 clients, on two cores, a delivery then cost the
//! server twice as much (10 µs, not 5). A tool must not measure itself.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Phase, Tally};
use crate::integrity::Findings;
use crate::nickname;
use crate::run::{Role, Run};

/// How much one read can take, which also limits a line. Servers send lines of at most 64 KiB.
const BUFFER_BYTES: usize = 128 * 1024;

/// A round that brought less than this from each client came too early: the server writes while
/// this thread sleeps, and the next reads bring more.
const LITTLE_BYTES: usize = 2048;

/// The shortest sleep: the system adds some 50 µs of its own to any.
const MIN_SLEEP: Duration = Duration::from_micros(100);

/// The longest: what this tool adds to the time of a delivery.
const MAX_SLEEP: Duration = Duration::from_micros(500);

/// Connects every `readers`th client, from number `reader` on, once it is admitted. Reads for these clients
/// until the run is closed. Sleeps between rounds.
pub(crate) fn read_loop(run: &Run, reader: u32, readers: u32) -> (Vec<Client>, Vec<Findings>) {
    let joining = run.options.joining.div_ceil(readers) as usize;
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut clients, mut visits): (Vec<Client>, Vec<Findings>) = (Vec::new(), Vec::new());
    let mut next = reader;
    while !run.closed.load(Relaxed) {
        let start = Instant::now();
        let mut outside = clients.iter().filter(|client| client.phase < Phase::Joined).count();
        while outside < joining && next < run.admitted.load(Relaxed) {
            clients.extend(Client::connect(run, next, nickname(next)));
            next += readers;
            outside += 1;
        }
        let mut bytes = 0;
        for client in &mut clients {
            bytes += client.read(run, &mut buffer);
            if client.role == Role::Visitor
                && client.phase > Phase::Talking
                && let Tally::Lines(inspector, _) = mem::replace(&mut client.tally, Tally::Count)
            {
                visits.push(inspector.finish(None));
                // Another name each time: the server may not have noticed yet that the last has
                // gone.
                let name = format!("{}-{}", nickname(client.number), visits.len());
                if !run.over.load(Relaxed)
                    && let Some(again) = Client::connect(run, client.number, name)
                {
                    *client = again;
                }
            }
        }
        if bytes < clients.len() * LITTLE_BYTES {
            thread::sleep((start.elapsed() * 2).clamp(MIN_SLEEP, MAX_SLEEP));
        }
    }
    (clients, visits)
}
