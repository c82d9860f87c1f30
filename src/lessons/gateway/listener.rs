//! From the server to a client: one thread reads lines, and writes each line in pieces that fit into one `recv`.

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

/// The last line that a client receives if the server closed the connection without a farewell.
pub(crate) const CONNECTION_LOST: &str = "[GATEWAY] The server closed the connection.";

/// The loop of the thread that reads from the server and writes to the client. When the server or the client is
/// gone, the loop shuts down both connections, which also ends the speaker's thread.
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
    // This tells the speaker that no further `/nick` will be answered.
    drop(answer);
    if listened.is_ok() {
        // Only the writing side is shut down at first. Closing a socket with unread input would reset the connection,
        // and the client could lose its last line (RFC 2525, 2.17). Meanwhile the speaker continues to read. The
        // shutdown fails only if the client is gone. If the client closes its connection, the wait ends early.
        let _ = client.shutdown(Shutdown::Write);
        let _ = has_spoken.recv_timeout(DRAIN_TIME);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = lines.stream().shutdown(Shutdown::Both);
}

/// Passes on the server's lines until the server ends its stream.
///
/// # Errors
///
/// The client is gone, or does not read in time.
fn listen(
    client: &TcpStream,
    lines: &mut ServerLines,
    nickname: &Mutex<Nickname>,
    answer: &Sender<()>,
) -> io::Result<()> {
    let mut last = replies::CONNECTED.to_owned();
    let mut history_lines = 0;
    write(client, &format!("{last}\n"))?;
    // A broken connection is treated like the end of the stream.
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
            // This fails if the client itself has sent the `/nick`. Then the speaker does not wait for an answer.
            let _ = answer.send(());
        } else if unframed::is_rename_refusal(&line) && answer.send(()).is_ok() {
            // The speaker, and not the client, sent the refused `/nick`. The speaker will try another name. The
            // client need not see the refusal.
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

/// Writes a piece to the client. Blocks until the system has accepted the whole piece.
///
/// # Errors
///
/// The client is gone, or the piece was not accepted in time. The socket's own timeout would not be enough: it
/// starts again with each write, and a piece may need several writes.
fn write(mut client: &TcpStream, piece: &str) -> io::Result<()> {
    let deadline = Instant::now() + WRITE_TIMEOUT;
    let mut rest = piece.as_bytes();
    while !rest.is_empty() {
        match client.write(rest) {
            Ok(bytes) => rest = &rest[bytes..],
            // A signal has interrupted the call. The signal does not concern this connection.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if !rest.is_empty() && Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}
