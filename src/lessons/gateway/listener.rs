//! From the server to a client: one thread. It reads lines, and writes each so that one `recv` can take it.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use chat::protocol::nickname::Nickname;
use chat::protocol::replies;

use crate::server_lines::ServerLines;
use crate::session::{DRAIN_TIME, WRITE_TIMEOUT};
use crate::speaker::lock;
use crate::unframed;

/// The last line to a client when the server closed the connection without a farewell.
pub(crate) const CONNECTION_LOST: &str = "[GATEWAY] The server closed the connection.";

/// The thread that reads from the server and writes to the client. When one of them is gone, it ends both
/// connections, and so the other thread ends too.
///
/// Blocks while it reads from the server, and while it writes to a client that does not read.
pub(crate) fn listen_loop(
    client: &TcpStream,
    mut lines: ServerLines,
    nickname: &Mutex<Nickname>,
    answer: Sender<()>,
    has_spoken: &Receiver<()>,
) {
    let listened = listen(client, &mut lines, nickname, &answer);
    // No `/nick` will be answered any more.
    drop(answer);
    if listened.is_ok() {
        // Shut down for writing first: a socket that is closed over unread input resets the
        // connection, and the client may lose its last words (RFC 2525, 2.17). The speaker reads on.
        // Either fails only when the client is gone, and the wait ends early when it closes too.
        let _ = client.shutdown(Shutdown::Write);
        let _ = has_spoken.recv_timeout(DRAIN_TIME);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = lines.stream().shutdown(Shutdown::Both);
}

/// Passes on what the server says until it ends.
///
/// # Errors
///
/// When the client is gone, or takes nothing in time.
fn listen(
    client: &TcpStream,
    lines: &mut ServerLines,
    nickname: &Mutex<Nickname>,
    answer: &Sender<()>,
) -> io::Result<()> {
    let mut last = replies::CONNECTED.to_owned();
    let mut history_lines = 0;
    write(client, &format!("{last}\n"))?;
    // A connection to the server that breaks counts as ended.
    while let Some(line) = lines.next().unwrap_or(None) {
        if history_lines > 0 {
            history_lines -= 1;
            continue;
        }
        if let Some(count) = line.strip_prefix(replies::LAST_MESSAGES_PREFIX) {
            history_lines = count.parse().unwrap_or(0_usize);
            continue;
        }
        let new_nickname = unframed::new_nickname(&line, &lock(nickname));
        if let Some(new_nickname) = new_nickname {
            *lock(nickname) = new_nickname;
            // This fails when the client asked for the name itself.
            let _ = answer.send(());
        } else if unframed::is_rename_refusal(&line) && answer.send(()).is_ok() {
            // The gateway asked, and asks for another name.
            continue;
        }
        for piece in unframed::pieces(&line) {
            write(client, &piece)?;
        }
        last = line;
    }
    if [replies::GOODBYE, replies::SHUTTING_DOWN, replies::KICKED].contains(&last.as_str()) {
        return Ok(());
    }
    write(client, &format!("{CONNECTION_LOST}\n"))
}

/// Writes a piece to the client. Blocks until the system has taken all of it.
///
/// # Errors
///
/// When the client is gone, or the piece is not taken in time. The socket's own timeout would not be enough. It
/// starts again whenever the system takes a few bytes, and a piece may go out in several writes.
fn write(mut client: &TcpStream, piece: &str) -> io::Result<()> {
    let deadline = Instant::now() + WRITE_TIMEOUT;
    let mut rest = piece.as_bytes();
    while !rest.is_empty() {
        match client.write(rest) {
            Ok(bytes) => rest = &rest[bytes..],
            // A signal came. It is for the process, not for this connection.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !rest.is_empty() && Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
