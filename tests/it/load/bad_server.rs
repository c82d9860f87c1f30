//! A server that makes a single mistake. The mistake affects one client only, usually the *victim*.
//!
//! The server implements only as much of the line protocol as the measuring tool needs. It has one thread per client,
//! and holds the room's lock while it writes. That keeps all messages in one order. The real server must not write
//! under a lock, because a slow client would delay all others.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// The mistake that a [`BadServer`] makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    Lose,
    LoseAtTheFirst,
    LoseJoinNotice,
    LoseClosingLine,
    Double,
    /// Sends the victim two consecutive messages in the reverse order.
    Reorder,
    /// Sends the victim two messages of different senders in the reverse order. Messages of the same sender stay in
    /// order.
    SwapSenders,
    Tear,
    WrongNickname,
    /// Sends a message back to its sender.
    Echo,
    /// Closes the victim's connection instead of sending the closing line.
    Disconnect,
}

/// Among the messages for the victim, this one has the mistake. The first message is number 1.
const FATAL_MESSAGE: usize = 7;

pub(crate) struct BadServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accept_loop: Option<JoinHandle<()>>,
}

struct Member {
    nickname: String,
    stream: TcpStream,
    /// The number of messages that others have sent to this member. With [`Misdeed::Echo`], the number of messages that
    /// this member has sent.
    messages: usize,
    /// The sender and the line of a message that is held back.
    held: Option<(String, String)>,
}

impl BadServer {
    pub(crate) fn start(misdeed: Misdeed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let accept_loop = thread::spawn(move || {
            let room = Arc::new(Mutex::new(Vec::new()));
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let room = Arc::clone(&room);
                thread::spawn(move || serve(misdeed, &stream, &room));
            }
        });
        Self { address, stopped, accept_loop: Some(accept_loop) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // This connection wakes the accept loop. The measuring tool has exited, so its connections are closed, and the
        // clients' threads have ended.
        drop(TcpStream::connect(self.address));
        self.accept_loop.take().map(JoinHandle::join);
    }
}

/// Serves one client until its connection ends.
fn serve(misdeed: Misdeed, stream: &TcpStream, room: &Mutex<Vec<Member>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    give(stream, "[SERVER] Enter your nickname:");
    let Some(nickname) = lines.next() else { return };
    {
        let mut room = room.lock().unwrap();
        let stream = stream.try_clone().unwrap();
        let online = room.len() + 1;
        give(&stream, &format!("[SERVER] Connected to the server!\n[SERVER] {online} online: us"));
        for member in room.iter() {
            // The first client joins before all others, so a correct server would certainly send it this notice.
            let misses = member.is_first() && nickname == "u00003";
            if misdeed != Misdeed::LoseJoinNotice || !misses {
                give(&member.stream, &format!("[SERVER] {nickname} joined the chat!"));
            }
        }
        room.push(Member { nickname: nickname.clone(), stream, messages: 0, held: None });
    }
    for line in lines {
        let mut room = room.lock().unwrap();
        for member in room.iter_mut() {
            if let Some(action) = line.strip_prefix("/me ") {
                member.give_action(misdeed, &format!("* {nickname} {action}"));
            } else {
                member.give_message(misdeed, &nickname, &line);
            }
        }
    }
    room.lock().unwrap().retain(|member| member.nickname != nickname);
    // Other threads may still have a copy of the descriptor, so closing only this copy might not end the connection.
    let _ = stream.shutdown(Shutdown::Both);
}

impl Member {
    fn is_first(&self) -> bool {
        self.nickname == "u00000"
    }

    fn is_victim(&self) -> bool {
        self.nickname == "u00002"
    }

    fn give_action(&mut self, misdeed: Misdeed, line: &str) {
        if let Some((_, held)) = self.held.take() {
            give(&self.stream, &held);
        }
        match misdeed {
            _ if !line.ends_with("all said") || !self.is_victim() => give(&self.stream, line),
            Misdeed::LoseClosingLine => (),
            Misdeed::Disconnect => drop(self.stream.shutdown(Shutdown::Both)),
            _ => give(&self.stream, line),
        }
    }

    fn give_message(&mut self, misdeed: Misdeed, from: &str, text: &str) {
        let line = format!("{from}: {text}");
        let is_own = self.nickname == from;
        self.messages += usize::from(is_own == (misdeed == Misdeed::Echo));
        let is_now = self.messages == FATAL_MESSAGE;
        let stream = &self.stream;
        match misdeed {
            Misdeed::Echo if is_own && self.is_first() && is_now => give(stream, &line),
            _ if is_own => (),
            Misdeed::LoseAtTheFirst if self.is_first() && is_now => (),
            _ if !self.is_victim() => give(stream, &line),
            Misdeed::Lose if is_now => (),
            Misdeed::Double if is_now => give(stream, &format!("{line}\n{line}")),
            Misdeed::Tear if is_now => give(stream, &line.replace('~', "\n~")),
            Misdeed::WrongNickname if is_now => give(stream, &format!("u00004: {text}")),
            Misdeed::Reorder | Misdeed::SwapSenders if is_now => {
                self.held = Some((from.to_owned(), line));
            }
            _ => {
                let same = self
                    .held
                    .take_if(|(sender, _)| misdeed == Misdeed::SwapSenders && sender == from);
                if let Some((_, held)) = same {
                    give(stream, &held);
                    self.held = Some((from.to_owned(), line));
                } else {
                    give(stream, &line);
                    if let Some((_, held)) = self.held.take() {
                        give(stream, &held);
                    }
                }
            }
        }
    }
}

/// Writes a line. An error is ignored: if the connection has ended, the client's own thread notices the end.
fn give(mut stream: &TcpStream, line: &str) {
    let _ = stream.write_all(format!("{line}\n").as_bytes());
}
