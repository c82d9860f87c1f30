//! The connection over which attackers and the scout talk to the server. A call that reads or writes can block,
//! but only until a deadline.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use chat::protocol::replies;
use chat::system::socket::connect;

use crate::siege::Field;

/// The maximum time that a stranger waits in a single call. The server promises much shorter times, but a busy
/// machine must not count as a failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// The rate at which a patient reader reads, in bytes per second. The server must not disconnect a client
/// that reads at this rate.
const PATIENT_RATE: f64 = 1e6;

/// A connection that is not one of the run's clients.
pub(crate) struct Stranger {
    pub(crate) stream: BufReader<TcpStream>,
}

impl Stranger {
    pub(crate) fn connect(field: &Field) -> Result<Self, String> {
        let stream = connect(field.run.address, DEADLINE);
        Self::on(stream.map_err(|error| format!("could not connect: {error}"))?)
    }

    /// Makes a stranger that uses an established connection.
    pub(crate) fn on(stream: TcpStream) -> Result<Self, String> {
        let set = stream
            .set_read_timeout(Some(DEADLINE))
            .and_then(|()| stream.set_write_timeout(Some(DEADLINE)));
        set.map_err(|error| error.to_string())?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Connects and waits for the prompt for a nickname. Returns `None` if the server replies that it is full.
    pub(crate) fn at_the_prompt(field: &Field) -> Result<Option<Self>, String> {
        let mut stranger = Self::connect(field)?;
        match stranger.line()?.as_str() {
            replies::ENTER_NICKNAME => Ok(Some(stranger)),
            replies::SERVER_FULL => Ok(None),
            other => Err(format!("a newcomer was told '{other}'")),
        }
    }

    /// Joins under a new nickname. Returns `None` if the server is full.
    pub(crate) fn join(field: &Field, attack: &str) -> Result<Option<Self>, String> {
        Self::join_as(field, &field.nickname(attack))
    }

    /// Joins under this nickname, which nobody else has. Returns `None` if the server is full.
    pub(crate) fn join_as(field: &Field, nickname: &str) -> Result<Option<Self>, String> {
        let Some(mut stranger) = Self::at_the_prompt(field)? else { return Ok(None) };
        stranger.send(format!("{nickname}\n").as_bytes())?;
        match stranger.line()?.as_str() {
            replies::CONNECTED => Ok(Some(stranger)),
            other => Err(format!("a fit nickname was answered '{other}'")),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.get_mut().write_all(bytes).map_err(|error| format!("could not send: {error}"))
    }

    /// Returns the next line, without its line end.
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

    /// Reads lines at the rate of a patient reader, until `is_last` returns true or the siege is over.
    pub(crate) fn read_patiently(
        &mut self,
        field: &Field,
        mut is_last: impl FnMut(&str) -> Result<bool, String>,
    ) -> Result<(), String> {
        let start = Instant::now();
        let mut taken = 0;
        while !field.over.is_raised() {
            let line = self.line()?;
            if is_last(&line)? {
                break;
            }
            taken += u32::try_from(line.len() + 1).unwrap_or(u32::MAX);
            let due = Duration::from_secs_f64(f64::from(taken) / PATIENT_RATE);
            field.over.wait(due.saturating_sub(start.elapsed()));
        }
        Ok(())
    }

    /// Reads to the end of the stream. Returns the last line, which must be one of `expected`.
    pub(crate) fn expect_last(&mut self, expected: &[&str]) -> Result<String, String> {
        let mut last = String::new();
        loop {
            match self.stream.fill_buf() {
                Ok([]) if expected.contains(&last.as_str()) => return Ok(last),
                Ok([]) => return Err(format!("the last line: '{last}'")),
                Ok(_) => last = self.line()?,
                Err(error) => return Err(format!("after '{last}' no end: {error}")),
            }
        }
    }

    /// Ends the stream to the server. The stranger can still read.
    pub(crate) fn end_input(&self) {
        // This fails if the connection is gone. Then the next read reports the error.
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Resets the connection. Closing a socket with unread data makes the system send a reset (RFC 2525, 2.17).
    /// So this function first waits until there is unread data, and then closes the socket.
    pub(crate) fn reset(self) {
        // If this fails, the connection has already broken.
        let _ = self.stream.get_ref().peek(&mut [0]);
    }

    /// Reads and discards everything until the connection ends, or until nothing arrives within the read timeout.
    pub(crate) fn drain(stream: &TcpStream) {
        let (mut reader, mut discarded) = (stream, vec![0; 1 << 16]);
        while matches!(reader.read(&mut discarded), Ok(1..)) {}
    }
}
