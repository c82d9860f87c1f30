//! One connection of the examiner, with a deadline on every wait.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::kernel::{self, Socket};
use super::server::Server;

/// A client of the server that is examined.
#[derive(Debug)]
pub(crate) struct Peer {
    input: BufReader<TcpStream>,
    server_port: u16,
    patience: Duration,
}

impl Peer {
    /// Makes a client that uses this connection.
    pub(crate) fn new(stream: TcpStream, server: &Server<'_>) -> io::Result<Self> {
        let patience = server.examination.patience;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        // Each write is sent at once, so two writes are two packets.
        stream.set_nodelay(true)?;
        let input = BufReader::with_capacity(1 << 16, stream);
        Ok(Self { input, server_port: server.port, patience })
    }

    /// The connection.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) -> Result<(), String> {
        self.send_bytes(format!("{line}\n").as_bytes())
    }

    /// Sends bytes, in one write if the kernel accepts all of them at once.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream().write_all(bytes).map_err(|error| {
            if is_timeout(&error) {
                return format!("for {:?} the server did not read what was sent", self.patience);
            }
            format!("what was sent did not arrive: {error}")
        })
    }

    /// Receives a line.
    pub(crate) fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => Err("the server ended the connection".to_owned()),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()),
            Err(error) if is_timeout(&error) && line.is_empty() => {
                Err(format!("nothing came for {:?}", self.patience))
            }
            Err(error) if is_timeout(&error) => Err("a line came without its end".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Receives lines up to the first line for which `is_it` is true. Returns all of these lines.
    pub(crate) fn until(&mut self, is_it: impl Fn(&str) -> bool) -> Result<Vec<String>, String> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            match self.line() {
                Ok(line) => {
                    lines.push(line);
                    if lines.last().is_some_and(|line| is_it(line)) {
                        return Ok(lines);
                    }
                }
                Err(why) => {
                    let last = lines.last().map(|line| format!(" after {:?}", short(line)));
                    return Err(why + &last.unwrap_or_default());
                }
            }
        }
    }

    /// Receives lines up to the first line for which `is_it` is true, but gives up if nothing arrives for half a
    /// second.
    pub(crate) fn wait_for(&mut self, is_it: impl Fn(&str) -> bool) {
        // These calls fail if the connection has ended. Then the next use of the connection reports the error.
        let soon = Duration::from_millis(500).min(self.patience);
        let _ = self.stream().set_read_timeout(Some(soon));
        let _ = self.until(is_it);
        let _ = self.stream().set_read_timeout(Some(self.patience));
    }

    /// Receives lines up to `line`. Returns all of these lines.
    pub(crate) fn expect(&mut self, line: &str) -> Result<Vec<String>, String> {
        self.until(|came| came == line).map_err(|why| format!("no {:?}: {why}", short(line)))
    }

    /// Receives everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        let result = self.input.read_to_end(&mut bytes);
        let came = String::from_utf8_lossy(&bytes).into_owned();
        match result {
            Ok(_) => Ok(came),
            Err(error) if is_timeout(&error) => {
                Err(format!("{:?} came, and no end of the stream", short(&came)))
            }
            Err(error) => Err(format!("{:?} came, and then: {error}", short(&came))),
        }
    }

    /// Starts a thread that receives and discards everything until the server closes the connection.
    pub(crate) fn ignore_what_comes(&self) -> Result<(), String> {
        let mut stream = self.stream().try_clone().map_err(|error| error.to_string())?;
        thread::spawn(move || {
            let mut ignored = vec![0; 1 << 16];
            loop {
                match stream.read(&mut ignored) {
                    Ok(1..) => {}
                    Err(error) if is_timeout(&error) => {}
                    Ok(0) | Err(_) => return,
                }
            }
        });
        Ok(())
    }

    /// Sends a FIN, and waits until the server closes its end too.
    pub(crate) fn leave(mut self) {
        // These calls fail if the server has already closed.
        let _ = self.stream().shutdown(Shutdown::Write);
        let _ = io::copy(&mut self.input, &mut io::sink());
    }

    /// Closes the connection while some input is unread. This resets the connection.
    pub(crate) fn break_off(self) -> Result<(), String> {
        match self.stream().peek(&mut [0]) {
            Ok(1..) => Ok(()),
            Ok(0) => Err("the server ended the connection".to_owned()),
            Err(error) => Err(format!("nothing came: {error}")),
        }
    }

    /// Returns the kernel's data about the server's end of the connection.
    pub(crate) fn server_end(&self) -> Option<Socket> {
        let local = self.stream().local_addr().ok()?;
        kernel::server_end(self.server_port, local.port())
    }

    /// Waits until the server has read everything that was sent.
    pub(crate) fn wait_until_read(&self) {
        let is_read = || self.server_end().is_none_or(|socket| socket.unread == 0);
        kernel::wait_until(self.patience, is_read);
        // This gives the server time to process what it has read. If the kernel does not show its queues, this
        // pause is the only wait.
        thread::sleep(Duration::from_millis(20));
    }
}

/// Shortens a text for a message: returns at most its last sixty characters.
pub(crate) fn short(text: &str) -> String {
    let from = text.char_indices().rev().nth(59).map_or(0, |(index, _)| index);
    if from == 0 { text.to_owned() } else { format!("…{}", &text[from..]) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}
