//! The few threads that read for all clients.
//!
//! A reader thread reads from each of its clients in turn, without waiting. After a round with few bytes it
//! sleeps for a moment. One thread for each client, blocked in `read`, would be simpler. But then the server
//! would have to wake a thread with each write. In a quiet room of 500 clients on two cores, waking threads doubled the
//! server's cost of a delivery (10 µs instead of 5 µs). The tool must not measure its own costs.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Phase, Tally};
use crate::integrity::Findings;
use crate::nickname;
use crate::run::{Role, Run};

/// The maximum number of bytes in one read. A received line cannot be longer than this. Servers send lines of
/// at most 64 KiB.
const BUFFER_BYTES: usize = 128 * 1024;

/// If a round reads fewer bytes per client than this, the thread sleeps after the round. The server continues to
/// write during the sleep, so the next reads return more bytes.
const LITTLE_BYTES: usize = 2048;

/// The shortest sleep. The system makes each sleep about 50 µs longer.
const MIN_SLEEP: Duration = Duration::from_micros(100);

/// The longest sleep. The measured time of a delivery can be too long by this much.
const MAX_SLEEP: Duration = Duration::from_micros(500);

/// Connects every `readers`th client, beginning with client number `reader`, as soon as the client is
/// admitted. Reads for these clients until the run is closed. Sleeps between rounds.
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
                // The visitor gets a new name each time, because the server may not have noticed the end of its
                // last visit yet.
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
