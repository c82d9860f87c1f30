//! The terminal and the standard streams: waiting for several at once, raw mode, the size, and restoring the
//! terminal, however the program ends.
//!
//! A terminal's settings belong to the terminal, not to the process. A program that ends without restoring
//! them leaves the person with a shell that shows nothing of what is typed. So the old settings are kept in a
//! static, where a signal handler and a panic can find them too.
//!
//! In raw mode every key comes at once, as bytes, and no key makes a signal: Ctrl-C is read as the byte 3.
//! Other programs still send signals. A signal that ends the process restores the terminal first. Any other
//! signal wakes [`Input::wait`], as other threads do with [`wake`].

use std::io::{self, Write};
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use super::os::terminal as os;

/// Makes the terminal mark pasted text, so that it is not taken for keys (xterm, mode 2004).
const BRACKET_PASTES: &[u8] = b"\x1b[?2004h";
/// Undoes that, and has the terminal wrap long lines again, which the client may have switched off.
const RESTORE_MODES: &[u8] = b"\x1b[?7h\x1b[?2004l";

/// The columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// Whether the terminal must be restored.
pub(super) static IS_CHANGED: AtomicBool = AtomicBool::new(false);

/// Standard input, and what else wakes the thread that reads it.
#[derive(Debug)]
pub struct Input(os::Input);

/// Why [`Input::wait`] returned. Both are false when the time was over, or when another thread called
/// [`wake`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is input, or its end.
    pub input: bool,
    /// The size has changed, or the process goes on after it was suspended. It is time to call [`raw_mode`]
    /// and to draw.
    pub redraw: bool,
}

/// The standard output or the standard error, without a buffer.
#[derive(Debug)]
pub struct Output(os::Output);

/// Returns the standard input and output. From here on, each signal that ends the process first restores the
/// terminal. Must be called only once.
///
/// # Errors
///
/// Any error of the system.
pub fn open() -> io::Result<(Input, Output)> {
    Ok((os::open().map(Input)?, Output::stdout()?))
}

/// Puts the terminal into raw mode, with pasted text bracketed. From here on a panic restores it. Must be
/// called only once. Source: `tcgetattr(3)`, `cfmakeraw(3)`, `signal(7)`; `SetConsoleMode`.
///
/// # Errors
///
/// Standard input or output is no terminal, or is a terminal without escape sequences. Use ordinary line input
/// then.
pub fn enter_raw_mode() -> io::Result<()> {
    os::prepare_raw_mode()?;
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore_after_fault();
        print(panic);
    }));
    raw_mode();
    Ok(())
}

/// Enters raw mode again, after [`restore`] or when something else has changed the settings.
pub fn raw_mode() {
    // First, since a signal between the two lines must not leave the terminal raw.
    IS_CHANGED.store(true, SeqCst);
    os::switch(true, BRACKET_PASTES);
}

/// Restores the terminal as it was before. May be called more than once.
pub fn restore() {
    if IS_CHANGED.swap(false, SeqCst) {
        os::switch(false, RESTORE_MODES);
    }
}

/// Restores the terminal in the middle of a line. A handler may call this.
pub(super) fn restore_after_fault() {
    if IS_CHANGED.load(SeqCst) {
        restore();
        os::put(b"\r\n");
    }
}

/// Returns whether the terminal on standard output shows colors. A console of Windows shows them only if it is
/// asked to, which this does, and an old console never does. [`restore`] undoes it.
pub fn shows_colors() -> bool {
    os::shows_colors()
}

/// Makes [`Input::wait`] return, now or the next time.
pub fn wake() {
    os::wake();
}

/// Makes Ctrl-C end the process with code 0 and not by a signal. This is for a terminal outside raw mode: to
/// leave by Ctrl-C is no failure. The system then closes the connection.
pub fn exit_on_interrupt() {
    os::exit_on_interrupt();
}

/// Stops the process and its process group, as Ctrl-Z does outside raw mode. Call [`restore`] before. Returns
/// when the process is continued. Does nothing if no shell could continue it (an orphaned process group), and
/// on Windows.
pub fn suspend() {
    os::suspend();
}

/// Returns how many columns the terminal on standard output has, or 80 if it does not say. Source:
/// `ioctl_tty(2)`, `TIOCGWINSZ`; `GetConsoleScreenBufferInfo`.
pub fn columns() -> usize {
    os::columns().unwrap_or(USUAL_COLUMNS)
}

/// Returns the local time of day as `12:34`. Source: `localtime_r(3)`, `strftime(3)`; `GetLocalTime`.
pub fn time_of_day() -> String {
    os::time_of_day()
}

impl Input {
    /// Waits for input, if the caller wants any. Also waits until a socket or an output takes more, if these
    /// are given. If there is a `timeout`, waits no longer than that. A signal or [`wake`] ends it too. Source:
    /// `poll(2)`.
    ///
    /// # Errors
    ///
    /// Any error of the system. There will be no more input then.
    pub fn wait(
        &mut self,
        wants_input: bool,
        socket: Option<&TcpStream>,
        output: Option<&Output>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        self.0.wait(wants_input, socket, output.map(|output| &output.0), timeout)
    }

    /// Reads what there is. Returns `None` if there is nothing yet, and `Some(0)` at the end of the input.
    ///
    /// A terminal that is gone reads as an error, which counts as the end. Another program may have left the
    /// input in `O_NONBLOCK`. The error for that counts as nothing yet.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.0.read(buffer)
    }
}

impl Output {
    /// The standard output.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left, or the stream is closed.
    pub fn stdout() -> io::Result<Self> {
        os::Output::stdout().map(Self)
    }

    /// The standard error.
    ///
    /// # Errors
    ///
    /// As for [`Output::stdout`].
    pub fn stderr() -> io::Result<Self> {
        os::Output::stderr().map(Self)
    }

    /// Writes what a terminal takes, and waits for it no longer than `patience`. Returns how many bytes it took.
    ///
    /// # Errors
    ///
    /// Any error of the system. The terminal is gone then.
    pub fn write_within(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.0.write_within(bytes, patience)
    }
}

/// A write may wait, and may take only a part.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_has_hours_and_minutes() {
        let time = time_of_day();
        let (hours, minutes) = time.split_once(':').unwrap();
        assert!(time.len() == 5 && hours.parse::<u8>().unwrap() < 24, "{time}");
        assert!(minutes.parse::<u8>().unwrap() < 60, "{time}");
    }
}
