//! From a client to the server: one thread, which reads what the client says and writes it as lines.
//!
//! It is the client's own thread, after it has joined. Nothing is gathered here. While the server does not take
//! a message, the next one stays in the client's socket.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chat::protocol::nickname::Nickname;

use crate::reads::Reads;
use crate::unframed::{self, Introduction};

/// How many names are tried for one client: `Alice`, `Alice-2`, and so on. More than the gateway has
/// clients.
pub(crate) const MAX_NAMES: usize = 100;

/// The thread that reads the client and writes to the server.
pub(crate) struct Speaker<'a> {
    server: &'a TcpStream,
    /// The nickname in the chat. The other thread changes it when the server says so.
    nickname: &'a Mutex<Nickname>,
    /// The name that the client gave and puts in front of its messages.
    given: String,
    /// Present while the client has given no name. The other thread sends here when a `/nick` is answered.
    unnamed: Option<Receiver<()>>,
}

impl<'a> Speaker<'a> {
    /// Makes the speaker of a client that is in the chat. `unnamed` is there if it is a guest.
    pub(crate) fn new(
        server: &'a TcpStream,
        nickname: &'a Mutex<Nickname>,
        given: String,
        unnamed: Option<Receiver<()>>,
    ) -> Self {
        Self { server, nickname, given, unnamed }
    }

    /// Passes on what the client says until the client has ended what it sends, and then ends what it sends to
    /// the server. Once the server is gone, everything that still comes is thrown away.
    ///
    /// Blocks while it reads from the client. The listener ends this wait by shutting the connection down. Also
    /// blocks while it writes to a server that takes no more lines of the client.
    pub(crate) fn speak_loop(&mut self, mut reads: Reads, received: Vec<Vec<u8>>) {
        let mut received = Some(received);
        'reading: while let Some(messages) = received {
            for message in messages {
                if self.unnamed.is_some() && unframed::is_http(&message) {
                    break 'reading;
                }
                // This fails when the server is gone. The other thread notices that too.
                let _ = self.speak(&message);
            }
            // A connection that breaks counts as ended.
            received = reads.next().unwrap_or(None);
        }
        // This fails when the server is gone already.
        let _ = self.server.shutdown(Shutdown::Write);
    }

    /// Passes on one message, as a line. The first message of a guest gives its name.
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

    /// Has the server rename the client to the given name, or to a similar name that is free. Blocks until the
    /// server has answered, so that the next message is said under the new name.
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

/// Locks the nickname. Nothing that holds the lock can panic, and a nickname is never half changed.
pub(crate) fn lock(nickname: &Mutex<Nickname>) -> MutexGuard<'_, Nickname> {
    nickname.lock().unwrap_or_else(PoisonError::into_inner)
}
