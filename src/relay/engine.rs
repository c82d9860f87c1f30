//! The engine: a connection to Redis or Valkey, with the few commands that a room needs.
//!
//! ```text
//! XADD   chat:{lobby}:log * e TEXT          append an entry at the end of the stream
//! XREAD  … STREAMS chat:{lobby}:log ID      read entries after ID, or wait for an entry
//! XRANGE chat:{lobby}:log ID ID             read the entry ID, if it still exists
//! XADD   chat:{lobby}:checkpoint … ID s …   store a checkpoint of the state after ID
//! XTRIM  chat:{lobby}:log MINID ID          delete the entries before ID
//! ```
//!
//! Both keys belong to one room. In a cluster, the braces put both keys into the same slot.
//!
//! The writer and the reader each have a connection of their own, because no other command can be sent on a
//! connection that waits in `XREAD`.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::entry::{Entry, Id};
use super::resp::{Connection, Error, Value};
use super::state::{Place, State};

/// The maximum number of entries in one reply. An entry can be half a megabyte long.
const ENTRIES_AT_ONCE: &[u8] = b"32";

/// The address of the engine, the password, and the name of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The engine's `HOST:PORT`, or the `HOST:PORT` of each of its Sentinels.
    pub hosts: Vec<String>,
    /// The Sentinels' name for the primary, if there are Sentinels.
    pub sentinel: Option<String>,
    /// The arguments of `AUTH`: nothing, a password, or a user and a password.
    pub auth: Vec<String>,
    /// The name of the room.
    pub room: String,
}

/// A connection to the primary engine.
#[derive(Debug)]
pub struct Engine {
    connection: Connection,
    log: String,
    checkpoint: String,
}

/// The error for a reply that is valid RESP2, but no valid answer to the command.
const UNEXPECTED: Error = Error::NotResp("an unexpected reply");

impl Engine {
    /// Connects, and makes sure that the engine is a primary. Calls `register` with each new socket before the first
    /// read from the socket. If `register` fails, this function fails, too.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn connect(
        address: &Address,
        register: &dyn Fn(&TcpStream) -> io::Result<()>,
    ) -> Result<Self, Error> {
        let host = match &address.sentinel {
            None => address.hosts[0].clone(),
            Some(primary) => find_primary(address, primary, register)?,
        };
        let mut connection = Connection::open(&host)?;
        register(connection.stream())?;
        if !address.auth.is_empty() {
            authenticate(&mut connection, &address.auth)?;
        }
        // A replica would answer reads, but it lags behind its primary. A primary that was demoted is such a replica.
        let role = connection.call(&[b"ROLE"])?.array().ok_or(UNEXPECTED)?;
        if role.first() != Some(&Value::Bytes(b"master".to_vec())) {
            return Err(io::Error::other("it is a replica").into());
        }
        let [log, checkpoint] =
            ["log", "checkpoint"].map(|key| format!("chat:{{{}}}:{key}", address.room));
        Ok(Self { connection, log, checkpoint })
    }

    /// Sends harmless commands, to check the rights that the account needs later, while the room is in use. Changes
    /// nothing on the engine.
    ///
    /// # Errors
    ///
    /// A right is missing. The error contains the engine's reply.
    pub fn check_rights(&mut self) -> Result<(), Error> {
        self.trim(Id::default())?;
        self.entry(Id::default())?;
        let nothing = self.log.replace("log", "nothing");
        self.connection.call(&[b"DEL", nothing.as_bytes()]).map(drop)
    }

    /// Appends an entry.
    ///
    /// # Errors
    ///
    /// See [`Error`]. The entry may be in the stream in spite of the error.
    pub fn append(&mut self, text: &str) -> Result<Id, Error> {
        let log = self.log.as_bytes();
        let reply = self.connection.call(&[b"XADD", log, b"*", b"e", text.as_bytes()])?;
        reply.text().and_then(|id| id.parse().ok()).ok_or(UNEXPECTED)
    }

    /// Returns entries after the entry `after`, in order. If there are none yet, this function blocks until an entry is
    /// appended, but at most for `wait`. If `wait` is `None`, it does not block.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn read(&mut self, after: Id, wait: Option<Duration>) -> Result<Vec<Entry>, Error> {
        let after = after.to_string();
        // `BLOCK 0` would mean to wait forever.
        let wait = wait.map(|wait| wait.as_millis().max(1).to_string());
        let mut words = vec![&b"XREAD"[..], b"COUNT", ENTRIES_AT_ONCE];
        if let Some(milliseconds) = &wait {
            words.extend([b"BLOCK", milliseconds.as_bytes()]);
        }
        words.extend([b"STREAMS", self.log.as_bytes(), after.as_bytes()]);
        match self.connection.call(&words)? {
            Value::Nil => Ok(Vec::new()),
            reply => {
                let stream = reply.array().and_then(|mut streams| streams.pop()?.array());
                entries(stream.and_then(|mut stream| stream.pop()).ok_or(UNEXPECTED)?)
            }
        }
    }

    /// Returns the entry with this number, if it is still in the stream.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn entry(&mut self, id: Id) -> Result<Option<Entry>, Error> {
        let (log, id) = (self.log.as_bytes(), id.to_string());
        let range = self.connection.call(&[b"XRANGE", log, id.as_bytes(), id.as_bytes()])?;
        Ok(entries(range)?.pop())
    }

    /// Whether an entry is still in the stream. Always true for the default `Id`, which means that no entry was read
    /// yet.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn has(&mut self, (id, key): Place) -> Result<bool, Error> {
        if id == Id::default() {
            return Ok(true);
        }
        Ok(self.entry(id)?.is_some_and(|entry| entry.content().key() == key))
    }

    /// Returns the newest checkpoint. `None` if there is no checkpoint, or if it cannot be parsed.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn newest_checkpoint(&mut self) -> Result<Option<State>, Error> {
        let key = self.checkpoint.as_bytes();
        let newest = self.connection.call(&[b"XREVRANGE", key, b"+", b"-", b"COUNT", b"1"])?;
        Ok(entries(newest)?.pop().and_then(|entry| {
            let [_, text] = &*entry.fields else { return None };
            State::read(str::from_utf8(text).ok()?)
        }))
    }

    /// Stores a checkpoint. If the engine has a newer checkpoint, that checkpoint is replaced only if its last entry is
    /// no longer in the stream.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn keep_checkpoint(&mut self, state: &State) -> Result<(), Error> {
        if self.add_checkpoint(state)? {
            return Ok(());
        }
        if let Some(newest) = self.newest_checkpoint()?
            && self.has(newest.place())?
        {
            return Ok(());
        }
        self.connection.call(&[b"DEL", self.checkpoint.as_bytes()])?;
        // If the engine refuses again, another server has just stored a checkpoint.
        self.add_checkpoint(state).map(drop)
    }

    /// Adds a checkpoint under the number of the checkpoint's last entry. So the engine refuses every checkpoint that
    /// is not newer than the stored checkpoint. Returns whether the engine accepted the checkpoint.
    fn add_checkpoint(&mut self, state: &State) -> Result<bool, Error> {
        let (key, id, text) = (self.checkpoint.as_bytes(), state.last().to_string(), state.write());
        let (id, text) = (id.as_bytes(), text.as_bytes());
        match self.connection.call(&[b"XADD", key, b"MAXLEN", b"1", id, b"s", text]) {
            Ok(_) => Ok(true),
            Err(Error::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the entries before a given entry from the stream.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn trim(&mut self, before: Id) -> Result<(), Error> {
        let (log, id) = (self.log.as_bytes(), before.to_string());
        self.connection.call(&[b"XTRIM", log, b"MINID", id.as_bytes()]).map(drop)
    }
}

fn authenticate(connection: &mut Connection, auth: &[String]) -> Result<(), Error> {
    let words = auth.iter().map(String::as_bytes);
    let words: Vec<&[u8]> = std::iter::once(&b"AUTH"[..]).chain(words).collect();
    connection.call(&words).map(drop)
}

/// Asks one Sentinel after the other which engine is the primary, until one of them answers. The engines' own answers
/// are not reliable: an old primary that is restarted still calls itself primary for some seconds.
///
/// The engine's password is sent only to a Sentinel that asks for a password. A Sentinel without a password would
/// refuse the command `AUTH`.
fn find_primary(
    address: &Address,
    primary: &str,
    register: &dyn Fn(&TcpStream) -> io::Result<()>,
) -> Result<String, Error> {
    let mut failed = io::Error::other("no Sentinel knows the primary").into();
    for sentinel in &address.hosts {
        let asked = Connection::open(sentinel).map_err(Error::from).and_then(|mut connection| {
            register(connection.stream())?;
            let question = [&b"SENTINEL"[..], b"get-master-addr-by-name", primary.as_bytes()];
            match connection.call(&question) {
                Err(Error::Refused(why))
                    if why.starts_with("NOAUTH") && !address.auth.is_empty() =>
                {
                    authenticate(&mut connection, &address.auth)?;
                    connection.call(&question)
                }
                answer => answer,
            }
        });
        match asked {
            Ok(Value::Array(parts)) => {
                let parts: Vec<String> = parts.into_iter().filter_map(Value::text).collect();
                let [host, port] = &*parts else { return Err(UNEXPECTED) };
                let is_ipv6 = host.contains(':');
                let host = if is_ipv6 { format!("[{host}]") } else { host.clone() };
                return Ok(format!("{host}:{port}"));
            }
            Ok(_) => {}
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn entries(value: Value) -> Result<Vec<Entry>, Error> {
    let entry = |value: Value| {
        let mut parts = value.array()?.into_iter();
        let id = parts.next()?.text()?.parse().ok()?;
        let fields = parts.next()?.array()?.into_iter().map(Value::bytes);
        Some(Entry { id, fields: fields.collect::<Option<_>>()? })
    };
    let values = value.array().ok_or(UNEXPECTED)?;
    values.into_iter().map(|value| entry(value).ok_or(UNEXPECTED)).collect()
}
