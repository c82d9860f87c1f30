//! The terminal and the standard streams: waiting for several at once, raw mode, the size, and giving
//! the terminal back however the program ends.
//!
//! A terminal's settings belong to the terminal, not to the process: a program that ends without
//! putting them back leaves the person with a shell that shows nothing of what is typed. So what
//! they were is kept in a static, where a signal handler and a panic can find it too.
//!
//! In raw mode (`cfmakeraw(3)`) every key comes at once, as bytes, and none of them makes a signal:
//! Ctrl-C is a 3 to be read. Signals come from elsewhere, and the handlers here do little: those that
//! end the process restore the terminal first, the others write a byte into a pipe, which
//! [`Input::wait`] waits for together with the keys. Other threads wake it in the same way.
//!
//! Only [`write_all`] waits for an output that takes nothing.

use std::ffi::{c_char, c_int, c_ulong};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::panic;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::poll::wait_for_any;
use super::signal::unix::{
    DEFAULT, IGNORE, SIGINT, handle, handle_unless_ignored, keep_errno, signal, write,
};

const LINUX: bool = cfg!(target_os = "linux");
const STDIN: c_int = 0;
const STDOUT: c_int = 1;
const SIGTSTP: c_int = if LINUX { 20 } else { 18 };
const SIGCONT: c_int = if LINUX { 18 } else { 19 };
const SIGTTOU: c_int = 22;
const SIGWINCH: c_int = 28;
const TCSANOW: c_int = 0;
const TIOCGWINSZ: c_ulong = if LINUX { 0x5413 } else { 0x4008_7468 };

/// Signals that end a process, in the order of `signal(7)`, less four. SIGKILL cannot be handled;
/// SIGPIPE is ignored by `std`; SIGSEGV and SIGBUS are the runtime's, which tells an overflowed stack
/// by them and then raises SIGABRT.
#[cfg(target_os = "linux")]
const DEADLY: [c_int; 19] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31];
#[cfg(not(target_os = "linux"))]
const DEADLY: [c_int; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 24, 25, 26, 27, 30, 31];

/// The real-time signals, which are deadly too, where there are any; the C library keeps two.
const REAL_TIME: std::ops::Range<c_int> = if LINUX { 34..65 } else { 0..0 };

/// Has the terminal mark what is pasted, so that it is not taken for keys (xterm, mode 2004).
const BRACKET_PASTES: &[u8] = b"\x1b[?2004h";
/// Undoes that, and has the terminal wrap long lines again, which the client may have switched off.
const RESTORE_MODES: &[u8] = b"\x1b[?7h\x1b[?2004l";

/// The columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

/// How much is written to a terminal that `poll` says takes something. Terminals then have room for at
/// least this much, so that the write does not wait, although `poll` promises one byte only.
const CHUNK_BYTES: usize = 512;

/// A structure of the system that nobody here looks into, so that there is no layout to get wrong:
/// larger than `struct termios` and `struct tm` are anywhere.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Opaque([u8; 256]);

#[rustfmt::skip]
unsafe extern "C" {
    fn tcgetattr(descriptor: c_int, settings: *mut Opaque) -> c_int;
    fn tcsetattr(descriptor: c_int, when: c_int, settings: *const Opaque) -> c_int;
    fn cfmakeraw(settings: *mut Opaque);
    fn ioctl(descriptor: c_int, request: c_ulong, ...) -> c_int;
    fn raise(signal: c_int) -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn getpid() -> c_int;
    fn _exit(code: c_int) -> !;
    fn tzset();
    fn localtime_r(seconds: *const i64, time: *mut Opaque) -> *mut Opaque;
    fn strftime(text: *mut c_char, bytes: usize, format: *const c_char, time: *const Opaque) -> usize;
}

/// The settings before raw mode and in it. Set once; reading a `OnceLock` that is set takes no lock, so
/// a signal handler may.
static SETTINGS: OnceLock<(Opaque, Opaque)> = OnceLock::new();
/// The terminal is to be restored.
static RAW: AtomicBool = AtomicBool::new(false);
/// Where the handlers write that only wake. Never closed once set.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// The byte that wakes is there already: so the pipe never fills, and `write` never blocks.
static AWAKE: AtomicBool = AtomicBool::new(false);
/// The size has changed, or the process was continued.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Standard input, and what else wakes the thread that reads it.
#[derive(Debug)]
pub struct Input {
    file: File,
    wake: PipeReader,
}

/// Why [`Input::wait`] returned; all are false when the time was over, or another thread called
/// [`wake`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is input, or its end.
    pub input: bool,
    /// The size has changed, or the process goes on after having been suspended: it is time to call
    /// [`raw_mode`] and draw.
    pub redraw: bool,
}

/// Returns the standard streams without any buffer of ours. From here on each deadly signal restores
/// the terminal before it does what it does. To be called once.
///
/// # Errors
///
/// What the system says.
pub fn open() -> io::Result<(Input, File)> {
    let (wake, waker) = io::pipe()?;
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    WAKE.store(waker.into_raw_fd(), Ordering::Relaxed);
    for number in DEADLY.into_iter().chain(REAL_TIME) {
        handle_unless_ignored(number, end_by);
    }
    Ok((Input { file, wake }, output))
}

/// Puts the terminal into raw mode, with pasted text bracketed. From here on a panic restores it. To be
/// called once. Source: `tcgetattr(3)`, `signal(7)`.
///
/// # Errors
///
/// Standard input is no terminal; use ordinary line input.
pub fn enter_raw_mode() -> io::Result<()> {
    let mut before = Opaque([0; 256]);
    // SAFETY: the buffer is larger than any system's `struct termios`, and outlives the call.
    if unsafe { tcgetattr(STDIN, &raw mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut raw = before;
    // SAFETY: as above, and the settings come from `tcgetattr`.
    unsafe { cfmakeraw(&raw mut raw) };
    if SETTINGS.set((before, raw)).is_err() {
        return Err(io::Error::other("the terminal is in raw mode already"));
    }
    handle(SIGWINCH, redraw_by);
    handle(SIGCONT, redraw_by);
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
    let Some((_, raw)) = SETTINGS.get() else { return };
    // First, since a signal between the two lines must not leave the terminal raw.
    RAW.store(true, Ordering::SeqCst);
    // SAFETY: the settings come from `tcgetattr`.
    unsafe { tcsetattr(STDIN, TCSANOW, raw) };
    put(BRACKET_PASTES);
}

/// Gives the terminal back as it was before [`enter_raw_mode`]. More than once is no mistake.
pub fn restore() {
    if RAW.swap(false, Ordering::SeqCst)
        && let Some((before, _)) = SETTINGS.get()
    {
        // At once, and not after the output is out: a terminal that takes none would keep us.
        // SAFETY: the settings come from `tcgetattr`; async-signal-safe.
        unsafe { tcsetattr(STDIN, TCSANOW, before) };
        put(RESTORE_MODES);
    }
}

/// Restores, in the middle of a line.
fn restore_after_fault() {
    if RAW.load(Ordering::SeqCst) {
        restore();
        put(b"\r\n");
    }
}

/// Writes to the terminal what is not worth an error or a wait.
fn put(bytes: &[u8]) {
    // SAFETY: standard output is never closed; async-signal-safe, as `poll` is.
    let output = unsafe { BorrowedFd::borrow_raw(STDOUT) };
    if wait_for_any([(Some(output), true)], Some(Duration::ZERO)).is_ok_and(|[ready]| ready) {
        // SAFETY: the bytes are borrowed for the call; async-signal-safe.
        unsafe { write(STDOUT, bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// Handles a signal that ends the process: restores, and lets the signal do what it does.
extern "C" fn end_by(number: c_int) {
    // SAFETY: all of these are async-signal-safe, as is what `restore` calls. In the background
    // `tcsetattr` would stop the process instead, if SIGTTOU were not ignored. The signal is blocked
    // in its handler, and comes again as that returns; but not to process 1, which the system does
    // not end by signals.
    unsafe {
        signal(SIGTTOU, IGNORE);
        restore_after_fault();
        if getpid() == 1 {
            _exit(128 + number);
        }
        signal(number, DEFAULT);
        raise(number);
    }
}

/// Handles a signal after which the screen is to be drawn anew.
extern "C" fn redraw_by(_number: c_int) {
    CHANGED.store(true, Ordering::SeqCst);
    keep_errno(wake);
}

extern "C" fn exit_by(_number: c_int) {
    put(b"\n");
    // SAFETY: ends the process without running any code of ours; async-signal-safe.
    unsafe { _exit(0) }
}

/// Makes [`Input::wait`] return, now or the next time.
pub fn wake() {
    if !AWAKE.swap(true, Ordering::SeqCst) {
        let byte = 0_u8;
        // SAFETY: the byte outlives the call; async-signal-safe.
        unsafe { write(WAKE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    }
}

/// Makes Ctrl-C end the process with code 0 instead of by a signal: for a terminal outside raw mode,
/// where leaving by Ctrl-C is no failure. The system then closes the connection.
pub fn exit_on_interrupt() {
    handle(SIGINT, exit_by);
}

/// Stops the process and those it was started with (its process group), as Ctrl-Z does outside raw
/// mode; call [`restore`] before. Returns when it is continued, or a little earlier: what follows is
/// [`Ready::redraw`]. Nothing happens where no shell could continue it (an orphaned process group).
pub fn suspend() {
    // SAFETY: no memory is passed; 0 means the own process group.
    unsafe { kill(0, SIGTSTP) };
}

/// Returns how many columns the terminal on standard output has, 80 if it does not say.
/// Source: `ioctl_tty(2)`, `TIOCGWINSZ`.
pub fn columns() -> usize {
    // `struct winsize`: rows, columns, and the size in pixels.
    let mut size = [0_u16; 4];
    // SAFETY: the request fills in these four numbers.
    let result = unsafe { ioctl(STDOUT, TIOCGWINSZ, size.as_mut_ptr()) };
    if result == 0 && size[1] > 0 { usize::from(size[1]) } else { USUAL_COLUMNS }
}

/// Returns the local time of day as `12:34`. Source: `localtime_r(3)`, `strftime(3)`.
pub fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // `time_t`. Where it has 32 bits, a little-endian machine finds the right ones.
    let seconds = now.as_secs().cast_signed();
    let (mut time, mut text) = (Opaque([0; 256]), [0_u8; 16]);
    // SAFETY: the buffer is larger than any `struct tm`, and only passed on; nothing in this program
    // changes the environment, which `tzset` reads; the text is as long as is said.
    let bytes = unsafe {
        tzset();
        localtime_r(&raw const seconds, &raw mut time);
        let format = c"%H:%M".as_ptr();
        strftime(text.as_mut_ptr().cast(), text.len(), format, &raw const time)
    };
    String::from_utf8_lossy(&text[..bytes]).into_owned()
}

impl Input {
    /// Waits, no longer than `timeout` if there is one, for input if that is wanted, and for a socket
    /// and an output, if they are given, to take more. A signal or [`wake`] ends it too. Source:
    /// `poll(2)`.
    ///
    /// # Errors
    ///
    /// What the system says; there will be no more input.
    pub fn wait(
        &mut self,
        wants_input: bool,
        socket: Option<BorrowedFd<'_>>,
        output: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        let input = wants_input.then(|| self.file.as_fd());
        let descriptors =
            [(Some(self.wake.as_fd()), false), (input, false), (socket, true), (output, true)];
        let input = match wait_for_any(descriptors, timeout) {
            Ok([woken, input, _, _]) => {
                if woken {
                    // In this order a wake between the two wakes once more, and is not lost.
                    AWAKE.store(false, Ordering::SeqCst);
                    self.wake.read_exact(&mut [0])?;
                }
                input
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            Err(error) => return Err(error),
        };
        Ok(Ready { input, redraw: CHANGED.swap(false, Ordering::SeqCst) })
    }

    /// Reads what there is: `None` if that is nothing yet, `Some(0)` at the end of the input.
    ///
    /// A terminal that is gone reads as an error, which is an end as well. Input that another program
    /// left in `O_NONBLOCK` only has nothing yet.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.file.read(buffer) {
            Err(error) if is_for_now(&error) => None,
            read => Some(read.unwrap_or(0)),
        }
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Writes what a terminal takes, waiting for it no longer than `patience`, and returns how many bytes.
///
/// # Errors
///
/// What the system says; the terminal is gone.
pub fn write_within(mut output: &File, bytes: &[u8], patience: Duration) -> io::Result<usize> {
    let start = Instant::now();
    let mut written = 0;
    while written < bytes.len() {
        let left = patience.saturating_sub(start.elapsed());
        let chunk = &bytes[written..bytes.len().min(written + CHUNK_BYTES)];
        match wait_for_any([(Some(output.as_fd()), true)], Some(left)) {
            Ok([false]) => break,
            Ok([true]) => match output.write(chunk) {
                Err(error) if is_for_now(&error) => {}
                result => written += result?,
            },
            Err(error) if is_for_now(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Writes all bytes, however long that takes, also where another program left the output in
/// `O_NONBLOCK`.
///
/// # Errors
///
/// What the system says.
pub fn write_all(mut output: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Err(error) if is_for_now(&error) => {
                // A signal may end the wait early, which is no harm.
                let _ = wait_for_any([(Some(output.as_fd()), true)], None);
            }
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            result => bytes = &bytes[result?..],
        }
    }
    Ok(())
}
