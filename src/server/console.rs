//! The console: what a person types into the server's own terminal.
//!
//! It is a thread that blocks in reading standard input, and the only one that nothing can wake; so
//! it is not joined, and it does not keep the room alive. Only a terminal is listened to: an end of
//! input, as under a service manager, changes nothing.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Weak;
use std::thread;

use super::room::Room;
use super::shutdown::StopSwitch;
use crate::protocol::cleaning::clean;
use crate::protocol::replies::{self, LeaveReason, NOTICE_PREFIX};

/// What `/help` says here, a line each.
const HELP: [&str; 5] = [
    "/who        list who is online",
    "/say TEXT   say something to everyone",
    "/kick NICK  turn somebody out",
    "/quit       stop the server",
    "/help       show this list",
];

/// Starts the thread, named `console`, when standard input is a terminal. It ends at the end of
/// input or when the room is gone, whichever it notices first.
///
/// # Errors
///
/// When the system has no thread left.
pub fn start(room: Weak<Room>, stop: StopSwitch) -> io::Result<()> {
    if io::stdin().is_terminal() {
        thread::Builder::new().name("console".into()).spawn(move || read_loop(&room, &stop))?;
    }
    Ok(())
}

/// Obeys line by line. Blocks in reading the terminal.
fn read_loop(room: &Weak<Room>, stop: &StopSwitch) {
    for line in io::stdin().lock().lines() {
        match line {
            Ok(line) => {
                let Some(room) = room.upgrade() else { return };
                obey(&room, stop, line.trim());
            }
            // Not UTF-8; the next line may be.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            // In the background, or the terminal is gone.
            Err(_) => return,
        }
    }
}

fn obey(room: &Room, stop: &StopSwitch, line: &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word.to_ascii_lowercase().as_str(), rest.trim()) {
        ("", _) => {}
        ("/quit" | "/exit", _) => stop.stop(),
        ("/who" | "/users", _) => {
            let nicknames = room.registry.nicknames();
            let line = replies::online(nicknames.len(), nicknames.iter());
            room.log.notice(line.trim_start_matches(NOTICE_PREFIX));
        }
        ("/say", text) if !text.is_empty() => {
            let notice = format!("{NOTICE_PREFIX}{}", clean(text));
            room.outbox.append(|batch| batch.announce(&notice));
        }
        ("/kick", name) if !name.is_empty() => {
            if let Some(id) = room.registry.find(name) {
                room.registry.turn_out(id, LeaveReason::Kicked);
            } else {
                let answer = replies::no_such_nickname(name);
                room.log.notice(answer.trim_start_matches(NOTICE_PREFIX));
            }
        }
        ("/help" | "/say" | "/kick", _) => {
            for line in HELP {
                room.log.notice(line);
            }
        }
        _ => room.log.notice(replies::unknown_command(word).trim_start_matches(NOTICE_PREFIX)),
    }
}
