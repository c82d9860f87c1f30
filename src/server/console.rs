//! The console: what a person types into the server's own terminal.
//!
//! It is a thread that blocks in reading standard input, and the only one that nothing can wake; so
//! it is not joined, and it does not keep what the threads share alive. Only a terminal is listened to: an end of
//! input, as under a service manager, changes nothing.

use std::io::{self, BufRead, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::room::Room;
use super::shared::Shared;
use super::shutdown::ShutdownHandle;
use super::stats;
use crate::protocol::cleaning::clean;
use crate::protocol::replies::{self, LeaveReason, NOTICE_PREFIX};

/// What `/help` says here, a line each.
const HELP: [&str; 6] = [
    "/who        list who is online",
    "/say TEXT   say something to everyone",
    "/kick NICK  disconnect somebody",
    "/stats      tell how the server stands",
    "/quit       stop the server",
    "/help       show this list",
];

/// How many lines may wait to be obeyed. A person types one; further ones wait where they come from.
const MAX_WAITING_LINES: usize = 16;

/// Starts the thread `console`, which obeys, and the thread `terminal`, which reads when standard input is
/// one. Nothing starts if there is nothing to do.
///
/// # Errors
///
/// When the system has no thread left.
pub fn start(shared: &Arc<Shared>, handle: ShutdownHandle) -> io::Result<()> {
    let (lines, heard) = sync_channel(MAX_WAITING_LINES);
    let is_terminal = io::stdin().is_terminal();
    if is_terminal {
        let lines = lines.clone();
        spawn("terminal", move || read_loop(io::stdin().lock(), &lines))?;
    }
    let interval = shared.options.stats;
    if is_terminal || interval.is_some() {
        let shared = Arc::downgrade(shared);
        let interval = interval.unwrap_or(Duration::MAX);
        spawn("console", move || {
            obey_loop(&heard, interval, &shared, &handle);
            // Held until here: with nobody who reads, the wait for a line has no end either.
            drop(lines);
        })?;
    }
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

/// Passes on line by line. Blocks in reading `input`, and while others wait to be obeyed.
fn read_loop(input: impl BufRead, lines: &SyncSender<String>) {
    for line in input.lines() {
        match line {
            Ok(line) => {
                if lines.send(line).is_err() {
                    return;
                }
            }
            // Not UTF-8; the next line may be.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            // In the background, or the terminal is gone.
            Err(_) => return,
        }
    }
}

/// Obeys one line after the other, and logs the statistics each `interval`. Blocks in waiting for a line.
/// Ends when it notices that the server has ended.
fn obey_loop(
    heard: &Receiver<String>,
    interval: Duration,
    shared: &Weak<Shared>,
    handle: &ShutdownHandle,
) {
    let mut reported = Instant::now();
    loop {
        let line = heard.recv_timeout(interval.saturating_sub(reported.elapsed()));
        let Some(shared) = shared.upgrade() else { return };
        if let Ok(line) = line {
            obey(&shared, handle, line.trim());
        } else {
            shared.log.notice(&stats::line(&shared));
            reported += interval;
        }
    }
}

fn obey(shared: &Shared, handle: &ShutdownHandle, line: &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word.to_ascii_lowercase().as_str(), rest.trim()) {
        ("", _) => {}
        ("/quit" | "/exit", _) => handle.stop(),
        ("/who" | "/users", _) => {
            let line = shared.outbox.look(Room::online_line);
            shared.log.notice(line.trim_start_matches(NOTICE_PREFIX));
        }
        ("/stats", _) => shared.log.notice(&stats::line(shared)),
        ("/say", text) if !text.is_empty() => {
            let notice = format!("{NOTICE_PREFIX}{}", clean(text));
            shared.outbox.append(|room| room.announce(&notice));
        }
        ("/kick", name) if !name.is_empty() => {
            let id = shared.outbox.look(|room| room.find(name));
            if let Some(client) = id.and_then(|id| shared.registry.get(id)) {
                shared.leave(&client, LeaveReason::Kicked);
            } else {
                let answer = replies::no_such_nickname(name);
                shared.log.notice(answer.trim_start_matches(NOTICE_PREFIX));
            }
        }
        ("/help" | "/say" | "/kick", _) => {
            for line in HELP {
                shared.log.notice(line);
            }
        }
        _ => shared.log.notice(replies::unknown_command(word).trim_start_matches(NOTICE_PREFIX)),
    }
}
