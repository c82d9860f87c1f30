//! The terminal: the console, in a mode with the same escape sequences as other terminals.
//!
//! No call waits for the console and a socket together. While somebody selects text in the console, a read or a write
//! may block. So the client has two more threads. The thread `keyboard` reads from the console, and does nothing else.
//! The thread `screen` writes to the console, if lines are edited. These threads and [`Input::wait`] share the
//! [`Desk`]. The two threads are never joined, because nothing could wake them.

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::os::windows::io::{AsHandle, AsRawHandle};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::terminal::{IS_CHANGED, Ready, restore_after_fault};
use super::poll::{Polled, wait};
use super::signal::handle;

const ENABLE_PROCESSED_INPUT: u32 = 1;
const ENABLE_LINE_INPUT: u32 = 2;
const ENABLE_ECHO_INPUT: u32 = 4;
const ENABLE_VIRTUAL_TERMINAL_INPUT: u32 = 0x200;
const ENABLE_PROCESSED_OUTPUT: u32 = 1;
const ENABLE_VIRTUAL_TERMINAL_PROCESSING: u32 = 4;
const DISABLE_NEWLINE_AUTO_RETURN: u32 = 8;

/// The maximum number of bytes in one read.
const READ_BYTES: usize = 4096;

/// The time between two checks of the window's size. Windows does not report a change.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The time between two checks of a full socket for space. A full socket is rare.
const SOCKET_INTERVAL: Duration = Duration::from_millis(10);

/// The number of bytes waiting for the screen thread at which the console counts as not writable.
const MAX_UNDRAWN_BYTES: usize = 4096;

/// The maximum time for which the console may write the last text before its modes are restored.
const LAST_TIME: Duration = Duration::from_millis(500);

#[rustfmt::skip]
unsafe extern "system" {
    fn GetConsoleMode(console: *mut c_void, mode: *mut u32) -> c_int;
    fn SetConsoleMode(console: *mut c_void, mode: u32) -> c_int;
    fn GetConsoleScreenBufferInfo(console: *mut c_void, info: *mut [i16; 11]) -> c_int;
    fn GetLocalTime(time: *mut [u16; 8]);
}

/// The data that the threads of this module share.
struct Desk {
    /// The typed bytes that [`Input::read`] has not returned yet. The next field says whether the input has
    /// ended.
    typed: Vec<u8>,
    has_ended: bool,
    /// Whether another thread has called [`wake`].
    is_awake: bool,
    /// The bytes that the screen thread has to write, or is writing.
    undrawn: Vec<u8>,
}

impl Desk {
    fn takes_more(&self) -> bool {
        self.undrawn.len() < MAX_UNDRAWN_BYTES
    }
}

static DESK: Mutex<Desk> =
    Mutex::new(Desk { typed: Vec::new(), has_ended: false, is_awake: false, undrawn: Vec::new() });
/// Notified when anything on the desk has changed.
static CHANGED: Condvar = Condvar::new();

/// The modes that standard input and output had at the start, if they are consoles.
static BEFORE: OnceLock<[Option<u32>; 2]> = OnceLock::new();
/// Whether the console is in raw mode. In raw mode, only the screen thread writes to the console.
static IS_RAW: AtomicBool = AtomicBool::new(false);

fn lock() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Blocks while `condition` holds, or until `timeout` has passed.
fn wait_while(timeout: Duration, condition: impl Fn(&Desk) -> bool) -> MutexGuard<'static, Desk> {
    let waited = CHANGED.wait_timeout_while(lock(), timeout, |desk| condition(desk));
    waited.unwrap_or_else(PoisonError::into_inner).0
}

#[derive(Debug)]
pub(crate) struct Input {
    has_keyboard: bool,
    columns: Option<usize>,
}

/// Text for a console is written through `std`, which converts it from UTF-8.
#[derive(Debug)]
pub(crate) enum Output {
    Console,
    ErrorConsole,
    File(File),
}

fn modes() -> [Option<u32>; 2] {
    let mode = |console| {
        let mut mode = 0;
        // SAFETY: the number outlives the call, which fails if the handle is not a console.
        (unsafe { GetConsoleMode(console, &raw mut mode) } != 0).then_some(mode)
    };
    *BEFORE.get_or_init(|| [mode(io::stdin().as_raw_handle()), mode(io::stdout().as_raw_handle())])
}

fn set(input: Option<u32>, output: Option<u32>) -> io::Result<()> {
    let consoles = [(input, io::stdin().as_raw_handle()), (output, io::stdout().as_raw_handle())];
    for (mode, console) in consoles {
        // SAFETY: no memory is passed.
        if mode.is_some_and(|mode| unsafe { SetConsoleMode(console, mode) } == 0) {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn raw_modes() -> [Option<u32>; 2] {
    let [input, output] = modes();
    let line = ENABLE_PROCESSED_INPUT | ENABLE_LINE_INPUT | ENABLE_ECHO_INPUT;
    let escapes =
        ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING | DISABLE_NEWLINE_AUTO_RETURN;
    [
        input.map(|mode| mode & !line | ENABLE_VIRTUAL_TERMINAL_INPUT),
        output.map(|mode| mode | escapes),
    ]
}

#[expect(clippy::unnecessary_wraps, reason = "other systems can refuse it")]
pub(crate) fn open() -> io::Result<Input> {
    Ok(Input { has_keyboard: false, columns: columns() })
}

pub(crate) fn prepare_raw_mode() -> io::Result<()> {
    let [Some(input), Some(output)] = raw_modes() else {
        return Err(io::Error::other("it is no console"));
    };
    handle(restore_by);
    // Consoles older than Windows 10 do not have this mode. So the mode is tried here, where an error can still
    // be returned.
    if let Err(error) = set(Some(input), Some(output)) {
        let [input, output] = modes();
        let _ = set(input, output);
        return Err(error);
    }
    thread::Builder::new().name("screen".into()).spawn(draw_loop).map(drop)
}

pub(crate) fn shows_colors() -> bool {
    let output = modes()[1].map(|mode| mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    let shows = output.is_none() || set(None, output).is_ok();
    IS_CHANGED.fetch_or(shows, SeqCst);
    shows
}

pub(crate) fn switch(is_raw: bool, escapes: &[u8]) {
    if is_raw {
        let [input, output] = raw_modes();
        // No error is expected, because `prepare_raw_mode` has already set the same modes.
        let _ = set(input, output);
        IS_RAW.store(true, SeqCst);
        put(escapes);
    } else {
        // The escape sequences are written first, while the console still understands them.
        put(escapes);
        drop(wait_while(LAST_TIME, |desk| !desk.undrawn.is_empty()));
        IS_RAW.store(false, SeqCst);
        let [input, output] = modes();
        // This fails when the window is closed.
        let _ = set(input, output);
    }
}

/// Writes to the console, and ignores errors. In raw mode, this function does not wait.
pub(crate) fn put(bytes: &[u8]) {
    if IS_RAW.load(SeqCst) {
        lock().undrawn.extend_from_slice(bytes);
        CHANGED.notify_all();
    } else if modes()[1].is_some() {
        let _ = Output::Console.write(bytes);
    }
}

/// Handles an event that ends the process: restores the terminal, and lets the process end.
extern "system" fn restore_by(_event: u32) -> c_int {
    restore_after_fault();
    0
}

extern "system" fn exit_by(_event: u32) -> c_int {
    restore_after_fault();
    process::exit(0)
}

pub(crate) fn wake() {
    lock().is_awake = true;
    CHANGED.notify_all();
}

pub(crate) fn exit_on_interrupt() {
    handle(exit_by);
}

pub(crate) fn suspend() {}

pub(crate) fn columns() -> Option<usize> {
    // `CONSOLE_SCREEN_BUFFER_INFO`: the sixth number is the window's left column, and the eighth is its right
    // column.
    let mut info = [0; 11];
    // SAFETY: the structure is eleven numbers of 16 bits, and outlives the call.
    let known = unsafe { GetConsoleScreenBufferInfo(io::stdout().as_raw_handle(), &raw mut info) };
    let columns = usize::try_from(i32::from(info[7]) - i32::from(info[5]) + 1).unwrap_or(0);
    (known != 0 && columns > 1).then_some(columns)
}

pub(crate) fn time_of_day() -> String {
    let mut time = [0; 8];
    // SAFETY: `SYSTEMTIME` is eight numbers of 16 bits, and outlives the call.
    unsafe { GetLocalTime(&raw mut time) };
    format!("{:02}:{:02}", time[4], time[5])
}

/// The body of the keyboard thread: reads standard input to its end, a piece at a time.
fn read_loop() {
    let mut buffer = [0; READ_BYTES];
    loop {
        let bytes = match io::stdin().read(&mut buffer) {
            // Neither of these is the end of the input. The first is Ctrl-Z, which `std` reports as the end.
            // The second is half of a UTF-16 surrogate pair.
            Ok(0) if IS_RAW.load(SeqCst) => continue,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            read => read.unwrap_or(0),
        };
        let mut desk = lock();
        desk.typed.extend_from_slice(&buffer[..bytes]);
        desk.has_ended = bytes == 0;
        CHANGED.notify_all();
        if bytes == 0 {
            return;
        }
        drop(CHANGED.wait_while(desk, |desk| !desk.typed.is_empty()));
    }
}

/// The body of the screen thread: writes the bytes on the desk to the console.
fn draw_loop() {
    let mut desk = lock();
    loop {
        let waited = CHANGED.wait_while(desk, |desk| desk.undrawn.is_empty());
        let text = waited.unwrap_or_else(PoisonError::into_inner).undrawn.clone();
        // This fails if the window is closed. In this case, the keyboard thread ends, too.
        let _ = Output::Console.write(&text);
        desk = lock();
        desk.undrawn.drain(..text.len());
        CHANGED.notify_all();
    }
}

impl Input {
    pub(crate) fn wait(
        &mut self,
        wants_input: bool,
        socket: Option<&TcpStream>,
        output: Option<&Output>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        if wants_input && !self.has_keyboard {
            // The thread starts only now, because a read keeps the console mode in which it began.
            thread::Builder::new().name("keyboard".into()).spawn(read_loop)?;
            self.has_keyboard = true;
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let is_raw = IS_RAW.load(SeqCst);
            let look = if is_raw { LOOK_INTERVAL } else { Duration::MAX };
            let look = if socket.is_some() { SOCKET_INTERVAL } else { look };
            let has_input = |desk: &Desk| wants_input && (desk.has_ended || !desk.typed.is_empty());
            let mut desk = wait_while(look.min(left.unwrap_or(look)), |desk| {
                let is_drawn = output.is_some() && desk.takes_more();
                !(desk.is_awake || is_drawn || has_input(desk))
            });
            let is_drawn = output.is_some() && desk.takes_more();
            let is_awake = std::mem::take(&mut desk.is_awake);
            let input = has_input(&desk);
            drop(desk);
            let columns = if is_raw { columns() } else { self.columns };
            let redraw = std::mem::replace(&mut self.columns, columns) != columns;
            let mut polled: Vec<Polled> = socket.into_iter().map(Polled::writable).collect();
            let takes_more = socket.is_some()
                && wait(&mut polled, Some(Duration::ZERO)).is_ok()
                && polled[0].is_ready();
            let is_over = left.is_some_and(|left| left <= look);
            if is_awake || is_drawn || input || redraw || takes_more || is_over {
                return Ok(Ready { input, redraw });
            }
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let mut desk = lock();
        let bytes = desk.typed.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&desk.typed[..bytes]);
        desk.typed.drain(..bytes);
        CHANGED.notify_all();
        (bytes > 0 || desk.has_ended).then_some(bytes)
    }
}

impl Output {
    pub(crate) fn stdout() -> io::Result<Self> {
        if io::stdout().is_terminal() {
            return Ok(Self::Console);
        }
        io::stdout().as_handle().try_clone_to_owned().map(|stream| Self::File(stream.into()))
    }

    pub(crate) fn stderr() -> io::Result<Self> {
        if io::stderr().is_terminal() {
            return Ok(Self::ErrorConsole);
        }
        io::stderr().as_handle().try_clone_to_owned().map(|stream| Self::File(stream.into()))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Console => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())?;
                Ok(bytes.len())
            }
            Self::ErrorConsole => io::stderr().write(bytes),
            Self::File(file) => { file }.write(bytes),
        }
    }

    pub(crate) fn write_within(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        if !matches!(self, Self::Console) || !IS_RAW.load(SeqCst) {
            return self.write(bytes);
        }
        // The screen thread writes these bytes after the bytes that it already has.
        let mut desk = wait_while(patience, |desk| !desk.takes_more());
        if !desk.takes_more() {
            return Ok(0);
        }
        desk.undrawn.extend_from_slice(bytes);
        CHANGED.notify_all();
        Ok(bytes.len())
    }
}
