//! The field: what everyone in a siege shares, and how a stranger talks to the server from it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use chat::protocol::replies;

/// How long a peer waits for anything. Far above what the server promises, since a busy machine is
/// no failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// How many failures are kept: the first ones say what is wrong.
const MAX_FAILURES: usize = 20;

/// What the threads of a siege share.
pub(crate) struct Field {
    pub(crate) address: SocketAddr,
    /// The attacks are over.
    pub(crate) over: Flag,
    /// The server is being ended: what breaks from now on breaks no promise.
    pub(crate) ending: Flag,
    failures: Mutex<Vec<String>>,
    visitors: AtomicU64,
}

/// Something that happens once, and that can be waited for.
#[derive(Default)]
pub(crate) struct Flag {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Flag {
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Blocks for so long at most, and returns whether it is raised: the pace of all loops here.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(raised, time, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.wait(Duration::ZERO)
    }
}

impl Field {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            over: Flag::default(),
            ending: Flag::default(),
            failures: Mutex::default(),
            visitors: AtomicU64::new(0),
        }
    }

    /// Notes that a promise was broken.
    pub(crate) fn fail(&self, what: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MAX_FAILURES {
            eprintln!("siege: FAILED: {what}");
            failures.push(what);
        }
    }

    pub(crate) fn failures(&self) -> usize {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// A nickname that nobody had before.
    pub(crate) fn nickname(&self, attack: &str) -> String {
        format!("x-{attack}-{}", self.visitors.fetch_add(1, Ordering::Relaxed))
    }
}

/// A stranger's connection, blocking under the deadline.
pub(crate) struct Visitor {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Visitor {
    pub(crate) fn connect(field: &Field) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&field.address, DEADLINE);
        let stream = stream.map_err(|error| format!("could not connect: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
        stream.set_write_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects and waits for the question for the nickname; `None` if the server is full, and says
    /// so.
    pub(crate) fn at_the_prompt(field: &Field) -> Result<Option<Self>, String> {
        let mut visitor = Self::connect(field)?;
        let line = visitor.line()?;
        match line.as_str() {
            replies::ENTER_NICKNAME => Ok(Some(visitor)),
            replies::SERVER_FULL => Ok(None),
            other => Err(format!("a newcomer was told '{other}'")),
        }
    }

    /// Joins under a new nickname; `None` if the server is full.
    pub(crate) fn join(field: &Field, attack: &str) -> Result<Option<Self>, String> {
        let Some(mut visitor) = Self::at_the_prompt(field)? else { return Ok(None) };
        visitor.send(format!("{}\n", field.nickname(attack)).as_bytes())?;
        match visitor.line()?.as_str() {
            replies::CONNECTED => Ok(Some(visitor)),
            other => Err(format!("a fit nickname was answered '{other}'")),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(|error| format!("could not send: {error}"))
    }

    /// The next line, without its end.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            Ok(_) => Err(format!("the connection ended after {} bytes of a line", line.len())),
            Err(error) => Err(format!("a line did not come: {error}")),
        }
    }

    /// Reads to the end of the connection and returns the last line.
    pub(crate) fn last_line(&mut self) -> Result<String, String> {
        let mut last = String::new();
        loop {
            match self.stream.fill_buf() {
                Ok([]) => return Ok(last),
                Ok(_) => last = self.line()?,
                Err(error) => return Err(format!("after '{last}' no end: {error}")),
            }
        }
    }

    /// Ends what it sends; it still reads.
    pub(crate) fn end_input(&self) {
        // It fails for a connection that is gone, which reading finds out.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Breaks the connection: closing with something unread is a reset (RFC 2525, 2.17), so this
    /// waits until something is.
    pub(crate) fn reset(self) {
        // Gone already: as good as reset.
        let _ = self.stream.get_ref().peek(&mut [0]);
    }

    /// Throws away what comes until the connection ends or nothing came for a while.
    pub(crate) fn drain(stream: &TcpStream) {
        let (mut reader, mut thrown_away) = (stream, vec![0; 1 << 16]);
        while matches!(reader.read(&mut thrown_away), Ok(1..)) {}
    }
}
