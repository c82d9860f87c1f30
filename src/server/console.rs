//! The console: what a person types into the server's own terminal.
//!
//! It is a thread that blocks in reading standard input, and the only one that nothing can wake; so
//! it is not joined, and it does not keep what the threads share alive. Only a terminal is listened to: an end of
//! input, as under a service manager, changes nothing.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Weak;
use std::thread;

use super::room::Room;
use super::shared::Shared;
use super::shutdown::ShutdownHandle;
use crate::protocol::cleaning::clean;
use crate::protocol::replies::{self, LeaveReason, NOTICE_PREFIX};

/// What `/help` says here, a line each.
const HELP: [&str; 5] = [
    "/who        list who is online",
    "/say TEXT   say something to everyone",
    "/kick NICK  disconnect somebody",
    "/quit       stop the server",
    "/help       show this list",
];

/// Starts the thread, named `console`, when standard input is a terminal. It ends at the end of
/// input or when the server has ended, whichever it notices first.
///
/// # Errors
///
/// When the system has no thread left.
pub fn start(shared: Weak<Shared>, handle: ShutdownHandle) -> io::Result<()> {
    if io::stdin().is_terminal() {
        thread::Builder::new().name("console".into()).spawn(move || read_loop(&shared, &handle))?;
    }
    Ok(())
}

/// Obeys line by line. Blocks in reading the terminal.
fn read_loop(shared: &Weak<Shared>, handle: &ShutdownHandle) {
    for line in io::stdin().lock().lines() {
        match line {
            Ok(line) => {
                let Some(shared) = shared.upgrade() else { return };
                obey(&shared, handle, line.trim());
            }
            // Not UTF-8; the next line may be.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            // In the background, or the terminal is gone.
            Err(_) => return,
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
