//! The session of one client, from the question for its nickname until both directions have ended.
//!
//! Runs on the client's own thread. This thread starts the client's second thread once the client has joined the
//! chat.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use chat::protocol::nickname::Nickname;
use chat::protocol::replies;

use crate::listener::{self, CONNECTION_LOST};
use crate::options::Options;
use crate::reads::Reads;
use crate::server_lines::ServerLines;
use crate::speaker::{MAX_NAMES, Speaker};
use crate::unframed::{self, GUEST};

/// The bytes that ask a client for its nickname. There is no line end.
const NICKNAME_QUESTION: &[u8] = b"NICKNAME";

/// The time that a client has to answer the question for its nickname. Clients that do not know the question never
/// answer it.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// The time for which a write to a client may block. If a client does not read, the server normally disconnects it
/// before this limit is reached. The limit makes sure that the gateway's threads end.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// The time that a client has to read its last line and to close the connection.
pub(crate) const DRAIN_TIME: Duration = Duration::from_millis(500);

/// The last line that a web browser receives.
const NOT_HTTP: &str = "[GATEWAY] This is a chat, not a web server.";

/// The last line that a client receives if no name like its own is free.
const NO_NAME: &str = "[GATEWAY] That name, and all like it, are taken.";

/// Serves one client, from the question for its nickname to the end of its connection.
///
/// # Errors
///
/// The client could not join the chat. The error is the line that tells the client why.
pub(crate) fn serve(client: &TcpStream, options: &Options) -> Result<(), String> {
    let mut reads = Reads::new(client);
    // This fails if the client is already gone.
    let Ok(mut received) = ask_for_nickname(&mut reads) else { return Ok(()) };
    let first = received.first().map_or(&[][..], Vec::as_slice);
    if unframed::is_http(first) {
        return Err(NOT_HTTP.to_owned());
    }
    let introduction = unframed::introduction(first);
    if introduction.as_ref().is_some_and(|introduction| !introduction.is_message) {
        received.remove(0);
    }
    let has_name = introduction.is_some();
    let given = introduction.map_or_else(|| GUEST.to_owned(), |introduction| introduction.given);
    let (lines, nickname) = join(options, &given)?;
    let server = lines.stream().try_clone().map_err(|error| options.no_server(&error))?;
    let nickname = Mutex::new(nickname);
    let (answer, answered) = channel();
    // Nothing is sent on this channel. When the speaker ends, `speaks` is dropped, which tells the other thread
    // that the speaker has ended.
    let (speaks, has_spoken) = channel::<()>();
    let unnamed = (!has_name).then_some(answered);
    let mut speaker = Speaker::new(&server, &nickname, given, unnamed);
    thread::scope(|scope| {
        let nickname = &nickname;
        let listen = move || listener::listen_loop(client, lines, nickname, answer, &has_spoken);
        let listening = thread::Builder::new().spawn_scoped(scope, listen);
        listening.map_err(|error| format!("[GATEWAY] Could not start a thread: {error}"))?;
        speaker.speak_loop(reads, received);
        drop(speaks);
        Ok(())
    })
}

/// Asks a client for its nickname, and returns the first messages that arrive. Returns no messages if nothing arrives
/// within a second. Probably, the client then does not know the question.
///
/// # Errors
///
/// The client has left without sending anything.
fn ask_for_nickname(reads: &mut Reads) -> io::Result<Vec<Vec<u8>>> {
    let mut client = reads.client();
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(WRITE_TIMEOUT))?;
    client.write_all(NICKNAME_QUESTION)?;
    let deadline = Instant::now() + ANSWER_TIME;
    let mut received = Vec::new();
    while received.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        client.set_read_timeout(Some(left))?;
        match reads.next() {
            Ok(Some(messages)) => received = messages,
            Ok(None) => return Err(ErrorKind::UnexpectedEof.into()),
            // Operating systems report a timeout with one of these two errors.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    client.set_read_timeout(None)?;
    Ok(received)
}

/// Joins the chat under the given name, or under a similar name that is free. Returns the connection and the
/// name.
///
/// The server limits the number of names that a client may try on one connection. When the limit is reached, this
/// function tries the next names on a new connection.
///
/// # Errors
///
/// The server cannot be reached, or refuses the client. The error is the line that tells the client why.
fn join(options: &Options, given: &str) -> Result<(ServerLines, Nickname), String> {
    let mut names = (1..=MAX_NAMES).filter_map(|number| unframed::fit(given, number).ok());
    let mut name = names.next().ok_or(NO_NAME)?;
    for _connection in 0..MAX_NAMES {
        let mut lines =
            ServerLines::connect(&options.server).map_err(|error| options.no_server(&error))?;
        loop {
            let line = lines.next().map_err(|error| options.no_server(&error))?;
            match line.as_deref() {
                Some(replies::CONNECTED) => {
                    // Once the client has joined, the server may be silent for any time.
                    let timeout = lines.stream().set_read_timeout(None);
                    return timeout
                        .map(|()| (lines, name))
                        .map_err(|error| options.no_server(&error));
                }
                Some(replies::TOO_MANY_TRIES) => break,
                Some(question) if question.ends_with(replies::NICKNAME_QUESTION) => {
                    if question != replies::ENTER_NICKNAME {
                        name = names.next().ok_or(NO_NAME)?;
                    }
                    // If this fails, the server has closed the connection. The server's last line, which is read
                    // next, says why.
                    let _ = lines.stream().write_all(format!("{name}\n").as_bytes());
                }
                Some(refusal) => return Err(refusal.to_owned()),
                None => return Err(CONNECTION_LOST.to_owned()),
            }
        }
    }
    Err(NO_NAME.to_owned())
}

/// Tells a client why it could not join, and gives the client time to read this line and to close.
pub(crate) fn turn_away(mut client: &TcpStream, last_line: &str) {
    let deadline = Instant::now() + DRAIN_TIME;
    // Each call here fails only if the client is gone. Then there is nobody to tell.
    let _ = client.write_all(format!("{last_line}\n").as_bytes());
    let _ = client.shutdown(Shutdown::Write);
    let mut thrown_away = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || client.set_read_timeout(Some(left)).is_err() {
            return;
        }
        if !matches!(client.read(&mut thrown_away), Ok(1..)) {
            return;
        }
    }
}
