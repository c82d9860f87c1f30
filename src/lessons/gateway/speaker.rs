//! From a client to the server: one thread reads the client's messages and writes them as lines.
//!
//! This is the client's own thread, after the client has joined. The thread has no queue: while the server does
//! not accept a message, the next message stays in the client's socket.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat::protocol::nickname::Nickname;

use crate::reads::Reads;
use crate::unframed::{self, Introduction};

/// The number of names that are tried for one client: `Alice`, `Alice-2`, and so on. It is larger than the maximum
/// number of the gateway's clients.
pub(crate) const MAX_NAMES: usize = 100;

/// The data of the thread that reads from the client and writes to the server.
pub(crate) struct Speaker<'a> {
    server: &'a TcpStream,
    /// The nickname in the chat. The listener's thread changes it when the server announces a new nickname.
    nickname: &'a Mutex<Nickname>,
    /// The name that the client gave. The client puts this name in front of its messages.
    given: String,
    /// `Some` while the client has given no name. Through this channel, the listener's thread reports that the server
    /// has answered a `/nick`.
    unnamed: Option<Receiver<()>>,
}

impl<'a> Speaker<'a> {
    /// Makes the speaker of a client that has joined the chat. `unnamed` is `Some` if the client is a guest.
    pub(crate) fn new(
        server: &'a TcpStream,
        nickname: &'a Mutex<Nickname>,
        given: String,
        unnamed: Option<Receiver<()>>,
    ) -> Self {
        Self { server, nickname, given, unnamed }
    }

    /// Passes on the client's messages until the client ends its stream. Then ends the stream to the server. Once
    /// the server is gone, messages are read and discarded.
    ///
    /// Blocks while it reads from the client. The listener can end this wait by shutting the connection down.
    /// Also blocks while it writes to a server that does not read.
    pub(crate) fn speak_loop(&mut self, mut reads: Reads, received: Vec<Vec<u8>>) {
        let mut received = Some(received);
        'reading: while let Some(messages) = received {
            for message in messages {
                if self.unnamed.is_some() && unframed::is_http(&message) {
                    break 'reading;
                }
                // This fails if the server is gone. The listener's thread also notices this.
                let _ = self.speak(&message);
            }
            // A broken connection is treated like the end of the stream.
            received = reads.next().unwrap_or(None);
        }
        // This fails if the server is already gone.
        let _ = self.server.shutdown(Shutdown::Write);
    }

    /// Passes on one message as a line. The first message of a guest gives the guest a name.
    fn speak(&mut self, message: &[u8]) -> io::Result<()> {
        if let Some(answered) = self.unnamed.take() {
            match unframed::introduction(message) {
                None => self.unnamed = Some(answered),
                Some(Introduction { given, is_message }) => {
                    self.rename(&given, &answered)?;
                    self.given = given;
                    if !is_message {
                        return Ok(());
                    }
                }
            }
        }
        let nickname = lock(self.nickname).clone();
        let text = unframed::without_name(message, [nickname.as_str(), &self.given]);
        self.server.write_all(&[text, b"\n"].concat())
    }

    /// Asks the server to rename the client to the given name, or to a similar name that is free. Blocks until
    /// the server has answered, so that the next message appears under the new name.
    fn rename(&mut self, given: &str, answered: &Receiver<()>) -> io::Result<()> {
        for name in (1..=MAX_NAMES).filter_map(|number| unframed::fit(given, number).ok()) {
            if *lock(self.nickname) == name {
                break;
            }
            self.server.write_all(format!("/nick {name}\n").as_bytes())?;
            answered.recv().map_err(|_| ErrorKind::ConnectionReset)?;
            if *lock(self.nickname) == name {
                break;
            }
        }
        Ok(())
    }
}

/// Locks the nickname. No code that holds the lock can panic, and a nickname is never half changed.
pub(crate) fn lock(nickname: &Mutex<Nickname>) -> MutexGuard<'_, Nickname> {
    nickname.lock().unwrap_or_else(PoisonError::into_inner)
}
