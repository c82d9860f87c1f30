//! The terminal and the standard streams: waiting for several streams at once, raw mode, the size of the
//! terminal, and restoring the terminal, however the program ends.
//!
//! A terminal's settings belong to the terminal, not to the process. If a program ends without restoring them,
//! the shell does not show what is typed afterwards. So the old settings are kept in a static, where a signal
//! handler and a panic hook can also read them.
//!
//! In raw mode each key can be read at once, as bytes, and no key causes a signal: Ctrl-C is read as the byte
//! `0x03`. Other programs can still send signals. The handler of a signal that ends the process first restores
//! the terminal. The handler of a signal after which the screen must be drawn again wakes the thread in
//! [`Input::wait`]. Other threads call [`wake`] to wake that thread.

use std::io::{self, Write};
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use super::os::terminal as os;

/// Makes the terminal mark pasted text, so that this text is not mistaken for keys (xterm, mode 2004).
const BRACKET_PASTES: &[u8] = b"\x1b[?2004h";
/// Ends the marking of pasted text. Also makes the terminal wrap long lines again, because the client may have
/// switched wrapping off.
const RESTORE_MODES: &[u8] = b"\x1b[?7h\x1b[?2004l";

/// The number of columns that is assumed if the terminal does not report its width.
const USUAL_COLUMNS: usize = 80;

/// Whether the terminal must be restored.
pub(super) static IS_CHANGED: AtomicBool = AtomicBool::new(false);

/// Standard input, and the means to wake the thread that waits for input.
#[derive(Debug)]
pub struct Input(os::Input);

/// Why [`Input::wait`] returned. Both fields are false if the wait ended for another reason: the timeout, a
/// socket or an output that is writable, or a call of [`wake`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// Whether there is input, or the end of the input.
    pub input: bool,
    /// Whether the terminal's size has changed, or the process continues after it was suspended. The caller must
    /// then call [`raw_mode`] and draw again.
    pub redraw: bool,
}

/// The standard output or the standard error, without a buffer.
#[derive(Debug)]
pub struct Output(os::Output);

/// Returns the standard input and output. From this call on, each signal that ends the process first restores
/// the terminal. Must be called only once.
///
/// # Errors
///
/// Any error of the system.
pub fn open() -> io::Result<(Input, Output)> {
    Ok((os::open().map(Input)?, Output::stdout()?))
}

/// Puts the terminal into raw mode, and makes it mark pasted text. From this call on, a panic restores the
/// terminal. Must be called only once. Source: `tcgetattr(3)`, `cfmakeraw(3)`, `signal(7)`; `SetConsoleMode`.
///
/// # Errors
///
/// Fails if standard input or output is not a terminal, or is a terminal without escape sequences. In this case,
/// the caller can use ordinary line input.
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
    // The flag is set first. In the other order, a signal between the two lines could leave the terminal in raw
    // mode.
    IS_CHANGED.store(true, SeqCst);
    os::switch(true, BRACKET_PASTES);
}

/// Restores the terminal to its state before raw mode. May be called more than once.
pub fn restore() {
    if IS_CHANGED.swap(false, SeqCst) {
        os::switch(false, RESTORE_MODES);
    }
}

/// Restores the terminal, and moves to the beginning of a new line. A signal handler may call this function.
pub(super) fn restore_after_fault() {
    if IS_CHANGED.load(SeqCst) {
        restore();
        os::put(b"\r\n");
    }
}

/// Returns whether the terminal on standard output shows colors. On Windows, this first switches the console to
/// a mode that has colors, and [`restore`] switches it back. Old consoles do not have this mode.
pub fn shows_colors() -> bool {
    os::shows_colors()
}

/// Wakes the thread that waits in [`Input::wait`]. If no thread waits there, the next wait ends at once.
pub fn wake() {
    os::wake();
}

/// Makes Ctrl-C end the process with exit code 0, and not by a signal, because leaving by Ctrl-C is not a
/// failure. This is for a terminal that is not in raw mode. When the process ends, the system closes the
/// connection.
pub fn exit_on_interrupt() {
    os::exit_on_interrupt();
}

/// Suspends the process and its process group, as Ctrl-Z does outside raw mode. Call [`restore`] first. Returns
/// when the process is continued. Does nothing on Windows, or if there is no shell that could continue the
/// process (an orphaned process group).
pub fn suspend() {
    os::suspend();
}

/// Returns the number of columns of the terminal on standard output, or 80 if the terminal does not report this
/// number. Source: `ioctl_tty(2)`, `TIOCGWINSZ`; `GetConsoleScreenBufferInfo`.
pub fn columns() -> usize {
    os::columns().unwrap_or(USUAL_COLUMNS)
}

/// Returns the local time of day as `12:34`. Source: `localtime_r(3)`, `strftime(3)`; `GetLocalTime`.
pub fn time_of_day() -> String {
    os::time_of_day()
}

impl Input {
    /// Blocks until something happens. If `wants_input` is set, input ends the wait. The wait also ends when the
    /// given `socket` or `output` is writable, after `timeout`, after a signal, and after a call of [`wake`].
    /// Source: `poll(2)`.
    ///
    /// # Errors
    ///
    /// Any error of the system. After an error there is no more input.
    pub fn wait(
        &mut self,
        wants_input: bool,
        socket: Option<&TcpStream>,
        output: Option<&Output>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        self.0.wait(wants_input, socket, output.map(|output| &output.0), timeout)
    }

    /// Reads the input that is available. Returns the number of bytes, `None` if there is no input yet, or `Some(0)`
    /// at the end of the input.
    ///
    /// If the terminal is gone, the read fails. This counts as the end of the input. If another program has made the
    /// input non-blocking (`O_NONBLOCK`), the read can fail because there is no input yet. Then it returns `None`.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.0.read(buffer)
    }
}

impl Output {
    /// Returns the standard output.
    ///
    /// # Errors
    ///
    /// Fails if the system has no descriptor left, or if the stream is closed.
    pub fn stdout() -> io::Result<Self> {
        os::Output::stdout().map(Self)
    }

    /// Returns the standard error.
    ///
    /// # Errors
    ///
    /// The errors of [`Output::stdout`].
    pub fn stderr() -> io::Result<Self> {
        os::Output::stderr().map(Self)
    }

    /// Writes as many bytes as the terminal accepts within the time `patience`. Returns the number of accepted
    /// bytes.
    ///
    /// # Errors
    ///
    /// Any error of the system, which means that the terminal is gone.
    pub fn write_within(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        self.0.write_within(bytes, patience)
    }
}

/// A call of `write` may block, and may write only a part of the bytes.
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
