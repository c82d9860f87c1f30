//! The console: the commands that the operator types into the server's own terminal.
//!
//! One thread reads the terminal. Nothing can wake this thread while it reads, so no other thread joins it.
//! The reading thread holds only a weak reference to the data that the threads share. It passes each line to a
//! second thread, which executes the lines in order. Answers go to the event log, so printing them
//! never blocks either thread.
//!
//! Standard input is read only if it is a terminal. Under a service manager, standard input is not a terminal,
//! but commands can be written to the FIFO of `--console`: `echo '/kick bob' > PATH`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::stats;
use crate::protocol::MAX_MESSAGE_BYTES;
use crate::protocol::cleaning::clean_line;
use crate::protocol::command::split_word;
use crate::protocol::replies::{self, LeaveReason, MAX_LISTED_NAMES, NOTICE_PREFIX};
use crate::server::client::Client;
use crate::server::rate::counted_as;
use crate::server::shared::Shared;
use crate::server::shutdown::ShutdownHandle;

/// The lines that `/help` prints on the console. `server --help` prints them, too.
pub const HELP: [&str; 10] = [
    "/who [PART]                   list who is online, with addresses and times",
    "/say TEXT                     send a notice to everyone",
    "/kick NICK [REASON]           disconnect somebody; everyone sees the reason",
    "/ban NICK|ADDRESS [MINUTES]   refuse an address, and disconnect its clients",
    "/unban ADDRESS                accept the address again",
    "/bans                         list the banned addresses",
    "/motd [TEXT]                  set the message of the day, or remove it",
    "/stats                        print the statistics",
    "/quit                         stop the server",
    "/help                         show this list",
];

/// The maximum number of bytes of a line that are passed on. This is more than the longest line that the
/// console accepts.
const READ_BYTES: u64 = 4 * MAX_MESSAGE_BYTES as u64;

/// The maximum number of lines that wait to be executed. Further lines stay in the terminal or in the FIFO.
const MAX_WAITING_LINES: usize = 16;

/// The pause before another attempt to read a terminal that could not be read.
const BACKGROUND_PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread `console`, which executes the lines, and the threads that read them: `terminal` if
/// standard input is a terminal, and `fifo` if there is a FIFO. A thread that has nothing to do is not started.
///
/// # Errors
///
/// Returns an error if the system cannot create another thread.
pub fn start(shared: &Arc<Shared>, handle: ShutdownHandle, fifo: Option<File>) -> io::Result<()> {
    let (lines, heard) = sync_channel(MAX_WAITING_LINES);
    let is_terminal = io::stdin().is_terminal();
    if is_terminal {
        let (lines, shared) = (lines.clone(), Arc::downgrade(shared));
        spawn("terminal", move || read_terminal(&lines, &shared))?;
    }
    let has_fifo = fifo.is_some();
    if let Some(fifo) = fifo {
        let lines = lines.clone();
        spawn("fifo", move || drop(read_loop(BufReader::new(fifo), &lines)))?;
    }
    let interval = shared.options.stats;
    if is_terminal || has_fifo || interval.is_some() {
        let shared = Arc::downgrade(shared);
        let interval = interval.unwrap_or(Duration::MAX);
        spawn("console", move || {
            obey_loop(&heard, interval, &shared, &handle);
            // This sender has kept the channel open until here. On a closed channel, the wait for a line
            // would end at once.
            drop(lines);
        })?;
    }
    Ok(())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(run).map(drop)
}

/// Reads the terminal to its end. A background job of a shell cannot read the terminal. So this function tries
/// again after an error: in the meantime, `fg` could have brought the job to the foreground.
fn read_terminal(lines: &SyncSender<String>, shared: &Weak<Shared>) {
    while read_loop(io::stdin().lock(), lines).is_err() && io::stdin().is_terminal() {
        thread::sleep(BACKGROUND_PAUSE);
    }
    if let Some(shared) = shared.upgrade() {
        shared.log.notice("The console is closed.");
    }
}

/// Passes lines on, one after another, until `input` ends. Blocks while it reads, and while too many lines wait
/// to be executed.
fn read_loop(mut input: impl BufRead, lines: &SyncSender<String>) -> io::Result<()> {
    let mut is_rest = false;
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(READ_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        // Only the beginning of a very long line is passed on. The console refuses this beginning because it
        // is still too long.
        let was_rest = std::mem::replace(&mut is_rest, !line.ends_with(b"\n"));
        if was_rest {
            continue;
        }
        // Such a beginning can end in the middle of a character. Any other line that is not UTF-8 is ignored.
        let is_taken = is_rest || str::from_utf8(&line).is_ok();
        if is_taken {
            // This fails once the server has ended. Then the line does not matter.
            drop(lines.send(String::from_utf8_lossy(&line).into_owned()));
        }
    }
}

/// Executes one line after another, and logs the statistics once in each `interval`. Blocks while it waits for
/// a line. Ends when it notices that the server has ended.
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

/// Executes one line.
fn obey(shared: &Shared, handle: &ShutdownHandle, line: &str) {
    let log = |line: &str| shared.log.notice(line.trim_start_matches(NOTICE_PREFIX));
    let line = line.trim_end_matches(['\r', '\n']);
    if line.len() > MAX_MESSAGE_BYTES {
        return log(&replies::too_long(line.len()));
    }
    let line = match clean_line(line) {
        Ok(line) => line,
        Err(bytes) => return log(&replies::too_long_cleaned(bytes)),
    };
    let (word, rest) = split_word(&line);
    let (first, further) = split_word(rest);
    match (word.to_ascii_lowercase().as_str(), rest) {
        ("", _) => {}
        ("/quit" | "/exit", _) => handle.stop(),
        ("/who" | "/users", part) => who(shared, part),
        ("/stats", _) => log(&stats::line(shared)),
        ("/say", text) if !text.is_empty() => {
            shared.announce(&format!("{NOTICE_PREFIX}{text}"));
        }
        ("/motd", text) => match replies::motd(text) {
            Ok(motd) => {
                shared.outbox.append(|room| room.set_motd(motd));
                let done = if text.is_empty() { "removed" } else { "set" };
                log(&format!("The message of the day is {done}"));
            }
            Err(bytes) => log(&replies::too_long_cleaned(bytes)),
        },
        ("/kick", name) if !name.is_empty() => match find(shared, first) {
            Some(client) => {
                if !further.is_empty() {
                    shared.announce(&replies::kicked_for(first, further));
                }
                shared.leave(&client, LeaveReason::Kicked);
            }
            None => log(&not_here(shared, first)),
        },
        ("/ban", who) if !who.is_empty() => log(&ban(shared, first, further)),
        ("/unban", address) if !address.is_empty() => log(&unban(shared, first)),
        ("/bans", _) => {
            let bans = shared.bans.all();
            log(&format!("{} banned", bans.len()));
            for (address, minutes) in bans {
                log(&format!("{address} {}", for_minutes(minutes)));
            }
        }
        ("/help" | "/say" | "/kick" | "/ban" | "/unban", _) => HELP.into_iter().for_each(log),
        _ => log(&replies::unknown_command(word)),
    }
}

/// Finds a client by its nickname.
fn find(shared: &Shared, name: &str) -> Option<Arc<Client>> {
    let id = shared.outbox.look(|room| room.find(name))?;
    shared.registry.get(id)
}

/// Returns the answer for a nickname that nobody on this server has. If a member on another server has the
/// nickname, the answer names that server.
fn not_here(shared: &Shared, name: &str) -> String {
    let id = shared.outbox.look(|room| room.find(name));
    match id.and_then(|id| shared.server_of(id)) {
        Some(server) => format!("{name} is at the server {server}."),
        None => replies::no_such_nickname(name),
    }
}

/// Lists the members whose nickname contains `part`. Prints the address of each member, and how long the
/// member has been connected.
fn who(shared: &Shared, part: &str) {
    let (found, listed) = shared.outbox.look(|room| {
        let found = room.find_all(part);
        let listed = found.iter().take(MAX_LISTED_NAMES);
        let listed = listed.filter_map(|&id| Some((id, room.nickname(id)?.clone())));
        (found.len(), listed.collect::<Vec<_>>())
    });
    shared.log.notice(&format!("{found} online"));
    let others = found - listed.len();
    for (id, nickname) in listed {
        let Some(client) = shared.registry.get(id) else {
            if let Some(server) = shared.server_of(id) {
                shared.log.notice(&format!("  {nickname}, at the server {server}"));
            }
            continue;
        };
        let mark = if client.is_behind.load(Relaxed) { ", behind" } else { "" };
        let (address, seconds) = (client.address, client.since.elapsed().as_secs());
        shared.log.notice(&format!("  {nickname}, {address}, for {}{mark}", duration(seconds)));
    }
    if others > 0 {
        shared.log.notice(&replies::more(others));
    }
}

/// Bans an address, or the address of the member with this nickname. Disconnects all clients from the address.
/// Returns the message for the operator.
fn ban(shared: &Shared, who: &str, minutes: &str) -> String {
    let address = match who.parse::<IpAddr>() {
        Ok(address) => address.to_canonical(),
        Err(_) => match find(shared, who) {
            Some(client) => client.address.ip(),
            None => return not_here(shared, who),
        },
    };
    let Some(banned) = counted_as(address) else {
        return format!(
            "{who} is on this machine itself, which cannot be banned; /kick NICK disconnects."
        );
    };
    let minutes = match minutes.parse() {
        Ok(minutes) => Some(minutes),
        Err(_) if minutes.is_empty() => None,
        Err(_) => return replies::usage("/ban NICK|ADDRESS [MINUTES]"),
    };
    let saved = shared.bans.add(banned, minutes);
    for client in shared.registry.all() {
        if counted_as(client.address.ip()) == Some(banned) {
            shared.expel(&client);
        }
    }
    not_saved(saved, format!("{banned} is banned {}", for_minutes(minutes.map(u64::from))))
}

fn unban(shared: &Shared, address: &str) -> String {
    let Ok(parsed) = address.parse::<IpAddr>() else {
        return replies::usage("/unban ADDRESS");
    };
    let counted = counted_as(parsed.to_canonical());
    match counted.map_or(Ok(false), |address| shared.bans.lift(address)) {
        Ok(false) => format!("{address} was not banned"),
        lifted => not_saved(lifted.map(drop), format!("{address} is not banned any more")),
    }
}

/// Returns the message for the operator. The message warns if the change could not be saved for the next
/// start.
fn not_saved(saved: io::Result<()>, done: String) -> String {
    match saved {
        Ok(()) => done,
        Err(error) => format!("{done}, until the server ends: it could not be saved: {error}"),
    }
}

fn for_minutes(minutes: Option<u64>) -> String {
    minutes.map_or("for good".to_owned(), |minutes| format!("for {}", duration(60 * minutes)))
}

/// Formats a number of seconds for a person to read.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
