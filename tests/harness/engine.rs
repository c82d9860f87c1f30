//! A fake engine. It implements the part of Redis that servers with a shared room need. The fake keeps all entries
//! in memory. A test can make it misbehave by switching on a [`Fault`].
//!
//! One thread accepts connections, and each connection has a thread of its own. A connection's thread ends when
//! the connection is cut; the accepting thread runs until the test's process exits.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The id of an entry in a stream: Redis writes it as two numbers with a hyphen between them.
type Id = (u64, u64);

/// An entry of a stream: its id and its fields.
pub(crate) type Entry = (Id, Vec<Vec<u8>>);

/// A fault that a test can switch on in the fake engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// The engine closes every connection immediately.
    Down,
    /// The engine reads commands, but executes them only after this fault has ended.
    Stalled,
    /// The engine appends entries, but does not answer the command that appends.
    Mute,
    /// The engine answers requests for the checkpoint only after this fault has ended.
    NoCheckpoint,
    /// The engine does not append, and answers with this error.
    Refusing(&'static str),
    /// The engine answers that it is a replica.
    Replica,
}

struct State {
    streams: BTreeMap<String, Vec<Entry>>,
    next: u64,
    fault: Fault,
    password: Option<&'static str>,
    connections: Vec<TcpStream>,
}

/// The fake engine. Its clones share one state.
#[derive(Clone)]
pub(crate) struct FakeEngine {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl FakeEngine {
    pub(crate) fn start() -> Self {
        Self::on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port"), None)
    }

    /// Starts a fake engine that requires a password.
    pub(crate) fn with_password(password: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        Self::on(listener, Some(password))
    }

    /// Starts a fake engine that accepts connections from this listener.
    pub(crate) fn on(listener: TcpListener, password: Option<&'static str>) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State {
            streams: BTreeMap::new(),
            next: 1,
            fault: Fault::Nothing,
            password,
            connections: Vec::new(),
        };
        let engine = Self { address, state: Arc::new((Mutex::new(state), Condvar::new())) };
        let accepting = engine.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = accepting.lock();
                if state.fault == Fault::Down {
                    continue;
                }
                state.connections.extend(stream.try_clone());
                let serving = accepting.clone();
                // `serve` returns an error when the connection ends, which is normal here.
                thread::spawn(move || drop(serving.serve(&stream)));
            }
        });
        engine
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().expect("no thread panics while it holds the lock")
    }

    /// Switches a fault on, in place of the previous fault. [`Fault::Nothing`] makes the engine work again.
    /// [`Fault::Down`] also cuts the connections that are open.
    pub(crate) fn suffer(&self, fault: Fault) {
        self.lock().fault = fault;
        if fault == Fault::Down {
            self.cut();
        }
        self.state.1.notify_all();
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        for stream in self.lock().connections.drain(..) {
            // This fails if the connection has already ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Returns the entries in the room's stream.
    pub(crate) fn log(&self) -> Vec<Entry> {
        self.lock().streams.get("chat:{lobby}:log").cloned().unwrap_or_default()
    }

    /// Changes the entries in the room's stream.
    pub(crate) fn change_log(&self, change: impl FnOnce(&mut Vec<Entry>)) {
        change(self.lock().streams.entry("chat:{lobby}:log".into()).or_default());
        self.state.1.notify_all();
    }

    /// Appends an entry to the room's stream, as any client of the engine can.
    pub(crate) fn append(&self, fields: &[&[u8]]) {
        let fields = fields.iter().map(|field| field.to_vec()).collect();
        let mut state = self.lock();
        state.append("chat:{lobby}:log", None, fields);
        drop(state);
        self.state.1.notify_all();
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        let mut is_known = self.lock().password.is_none();
        loop {
            let command = read_command(&mut reader)?;
            let words: Vec<&str> =
                command.iter().map(|w| str::from_utf8(w).unwrap_or("")).collect();
            let state = self.lock();
            let stalled = |state: &mut State| match state.fault {
                Fault::Stalled => true,
                Fault::NoCheckpoint => words[0] == "XREVRANGE",
                _ => false,
            };
            drop(self.state.1.wait_while(state, stalled).expect("no thread panics"));
            let password = self.lock().password;
            let reply = match &*words {
                ["AUTH", .., given] => {
                    is_known = password == Some(given);
                    if is_known { "+OK\r\n" } else { "-WRONGPASS invalid password\r\n" }.into()
                }
                _ if !is_known => b"-NOAUTH Authentication required.\r\n".to_vec(),
                _ => self.act(&words, &command),
            };
            let is_mute = self.lock().fault == Fault::Mute && words[0] == "XADD";
            if !is_mute {
                writer.write_all(&reply)?;
            }
        }
    }

    fn act(&self, words: &[&str], command: &[Vec<u8>]) -> Vec<u8> {
        let mut state = self.lock();
        match words {
            ["ROLE"] => {
                let role = if state.fault == Fault::Replica { "slave" } else { "master" };
                array(&[bulk(role.as_bytes()), b":0\r\n".to_vec()])
            }
            // The fake engine also plays the Sentinel, and names itself as the primary.
            ["SENTINEL", ..] => {
                let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
                array(&[bulk(host.as_bytes()), bulk(port.as_bytes())])
            }
            ["XADD", key, rest @ ..] => {
                if let Fault::Refusing(why) = state.fault {
                    return format!("-{why}\r\n").into_bytes();
                }
                let rest = if rest[0] == "MAXLEN" { &rest[2..] } else { rest };
                let fields = command[command.len() - rest.len() + 1..].to_vec();
                let Some(id) = state.append(key, parse(rest[0]), fields) else {
                    return b"-ERR The ID is equal or smaller than the target stream top item\r\n"
                        .to_vec();
                };
                if key.ends_with("checkpoint") {
                    let stream = state.streams.get_mut(*key).expect("just appended to");
                    stream.drain(..stream.len() - 1);
                }
                drop(state);
                self.state.1.notify_all();
                bulk(format!("{}-{}", id.0, id.1).as_bytes())
            }
            ["XREAD", "COUNT", count, rest @ ..] => {
                let [.., key, after] = rest else { panic!("{words:?}") };
                let after = parse(after).expect("an id");
                let count: usize = count.parse().expect("a number");
                let wait = if rest[0] == "BLOCK" { rest[1].parse().expect("a number") } else { 0 };
                let until = Instant::now() + Duration::from_millis(wait);
                loop {
                    let entries = state.streams.get(*key).map_or(&[][..], Vec::as_slice);
                    let entries = entries.iter().filter(|(id, _)| *id > after).take(count);
                    let entries: Vec<_> = entries.map(entry).collect();
                    let left = until.saturating_duration_since(Instant::now());
                    if !entries.is_empty() {
                        return array(&[array(&[bulk(key.as_bytes()), array(&entries)])]);
                    }
                    if left.is_zero() {
                        return b"*-1\r\n".to_vec();
                    }
                    state = self.state.1.wait_timeout(state, left).expect("no thread panics").0;
                }
            }
            ["XRANGE", key, id, _] => {
                let entries = state.streams.get(*key).map_or(&[][..], Vec::as_slice);
                let found = entries.iter().filter(|entry| Some(entry.0) == parse(id));
                array(&found.map(entry).collect::<Vec<_>>())
            }
            ["XREVRANGE", key, ..] => {
                let last = state.streams.get(*key).and_then(|entries| entries.last());
                array(&last.map(entry).into_iter().collect::<Vec<_>>())
            }
            ["XTRIM", key, "MINID", id] => {
                let id = parse(id).expect("an id");
                if let Some(entries) = state.streams.get_mut(*key) {
                    entries.retain(|entry| entry.0 >= id);
                }
                b":0\r\n".to_vec()
            }
            ["DEL", key] => {
                state.streams.remove(*key);
                b":1\r\n".to_vec()
            }
            _ => b"-ERR unknown command\r\n".to_vec(),
        }
    }
}

impl State {
    /// Appends an entry with the given id, or with the next free id if `id` is `None`. Returns `None` if the id is
    /// not greater than the last id in the stream.
    fn append(&mut self, key: &str, id: Option<Id>, fields: Vec<Vec<u8>>) -> Option<Id> {
        self.next += 1;
        let id = id.unwrap_or((self.next, 0));
        let stream = self.streams.entry(key.to_owned()).or_default();
        if stream.last().is_some_and(|last| last.0 >= id) {
            return None;
        }
        stream.push((id, fields));
        Some(id)
    }
}

/// Parses the id of an entry. Returns `None` for `*`, which asks the engine to choose the id.
fn parse(text: &str) -> Option<Id> {
    let (milliseconds, number) = text.split_once('-')?;
    Some((milliseconds.parse().ok()?, number.parse().ok()?))
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [format!("*{}\r\n", values.len()).into_bytes(), values.concat()].concat()
}

fn entry((id, fields): &Entry) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|field| bulk(field)).collect();
    array(&[bulk(format!("{}-{}", id.0, id.1).as_bytes()), array(&fields)])
}

fn read_command(reader: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let number = line.trim_end().get(1..).and_then(|number| number.parse().ok());
        number.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let count: usize = number(reader)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(reader)? + 2];
        reader.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(words)
}
