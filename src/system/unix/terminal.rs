//! The terminal: `tcsetattr`, signals, and `poll` on the standard streams.
//!
//! A handler does little. It either restores the terminal and lets the signal take its effect, or writes a byte
//! into a pipe. [`Input::wait`] waits for this pipe and for keys at the same time.

use std::ffi::{c_char, c_int, c_ulong};
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::terminal::{Ready, restore_after_fault};
use super::numbers::{DEADLY, REAL_TIME, SIGBUS, SIGCONT, SIGTSTP, TIOCGWINSZ};
use super::poll::{Polled, wait};
use super::signal::{
    DEFAULT, IGNORE, SIGINT, handle, handle_unless_ignored, keep_errno, raise, signal, write,
};

const STDIN: c_int = 0;
const STDOUT: c_int = 1;
const SIGSEGV: c_int = 11;
const SIGTTOU: c_int = 22;
const SIGWINCH: c_int = 28;
const TCSANOW: c_int = 0;

/// Signals that the runtime of `std` handles, on a separate stack, to distinguish a stack overflow from other
/// faults.
const FAULTS: [c_int; 2] = [SIGBUS, SIGSEGV];

/// The bytes of `struct sigaction` that contain the handler. These are the first bytes, except on 64-bit Android,
/// where the flags come first.
const HANDLER: Range<usize> = if cfg!(all(target_os = "android", target_pointer_width = "64")) {
    8..16
} else {
    0..size_of::<usize>()
};

/// The maximum number of bytes in one write to a terminal. When `poll` reports that a terminal is writable, it
/// promises space for one byte only. But a writable terminal has space for at least this number of bytes, so the
/// write does not block.
const CHUNK_BYTES: usize = 512;

/// Space for a structure of the system. It is larger than `struct termios`, `struct tm` and `struct sigaction`
/// on any system. Apart from [`HANDLER`], nothing here depends on the layout of these structures.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
struct Opaque([u8; 256]);

#[rustfmt::skip]
unsafe extern "C" {
    fn tcgetattr(descriptor: c_int, settings: *mut Opaque) -> c_int;
    fn tcsetattr(descriptor: c_int, when: c_int, settings: *const Opaque) -> c_int;
    fn cfmakeraw(settings: *mut Opaque);
    fn ioctl(descriptor: c_int, request: c_ulong, ...) -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
    fn getpid() -> c_int;
    fn _exit(code: c_int) -> !;
    fn sigaction(number: c_int, action: *const Opaque, before: *mut Opaque) -> c_int;
    fn tzset();
    fn localtime_r(seconds: *const i64, time: *mut Opaque) -> *mut Opaque;
    fn strftime(text: *mut c_char, bytes: usize, format: *const c_char, time: *const Opaque) -> usize;
}

/// The settings before raw mode, and the settings of raw mode. They are set once. After that, a `OnceLock`
/// can be read without taking a lock, so a signal handler may read it.
static SETTINGS: OnceLock<(Opaque, Opaque)> = OnceLock::new();
/// The runtime's own handler for the signals in [`FAULTS`]. It is the same for both signals.
static RUNTIME: OnceLock<Opaque> = OnceLock::new();
/// The pipe through which handlers and other threads wake the thread in [`Input::wait`]. It is never closed.
static WAKE: AtomicI32 = AtomicI32::new(-1);
/// Whether a wake-up is already pending. Without this check the pipe could become full, and `write` would
/// block.
static AWAKE: AtomicBool = AtomicBool::new(false);
/// Whether the terminal's size has changed, or the process was continued.
static CHANGED: AtomicBool = AtomicBool::new(false);

#[derive(Debug)]
pub(crate) struct Input {
    file: File,
    wake: PipeReader,
}

#[derive(Debug)]
pub(crate) struct Output(File);

/// Sets handlers for all signals that end the process, so that each first restores the terminal. SIGKILL cannot
/// be handled, and `std` ignores SIGPIPE.
pub(crate) fn open() -> io::Result<Input> {
    let (wake, waker) = io::pipe()?;
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    WAKE.store(waker.into_raw_fd(), Ordering::Relaxed);
    for number in DEADLY.iter().copied().chain(REAL_TIME) {
        handle_unless_ignored(number, end_by);
    }
    FAULTS.into_iter().for_each(handle_fault);
    Ok(Input { file, wake })
}

pub(crate) fn prepare_raw_mode() -> io::Result<()> {
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
    Ok(())
}

/// Enters or leaves raw mode, and writes these escape sequences. This function is async-signal-safe.
pub(crate) fn switch(is_raw: bool, escapes: &[u8]) {
    if let Some((before, raw)) = SETTINGS.get() {
        // With `TCSANOW`, the settings change at once. A call that first waits until the output is written would
        // block if the terminal is stopped (Ctrl-S). SAFETY: the settings come from `tcgetattr`.
        unsafe { tcsetattr(STDIN, TCSANOW, if is_raw { raw } else { before }) };
        put(escapes);
    }
}

/// Always returns `true`, because only Windows has terminals without colors.
pub(crate) fn shows_colors() -> bool {
    true
}

/// Writes to the terminal, without waiting, and ignores errors. This function is async-signal-safe.
pub(crate) fn put(bytes: &[u8]) {
    // SAFETY: standard output is never closed.
    let output = unsafe { BorrowedFd::borrow_raw(STDOUT) };
    let mut output = [Polled::writable(&output)];
    if wait(&mut output, Some(Duration::ZERO)).is_ok() && output[0].is_ready() {
        // SAFETY: the bytes are borrowed for the call.
        unsafe { write(STDOUT, bytes.as_ptr().cast(), bytes.len()) };
    }
}

/// Handles a signal that ends the process: restores the terminal, and then lets the signal take its effect.
extern "C" fn end_by(number: c_int) {
    // SAFETY: all of these calls are async-signal-safe, and so is everything that restores the terminal. If
    // SIGTTOU were not ignored, `tcsetattr` would stop a process in the background. A signal is blocked while its
    // handler runs. So the raised signal takes effect when the handler returns. Process 1 calls `_exit`, because
    // a raised signal would not end it.
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

/// Replaces the runtime's handler by [`fault_by`], with the same flags. Source: `sigaction(2)`.
fn handle_fault(number: c_int) {
    let mut action = Opaque([0; 256]);
    // SAFETY: the buffer is larger than any system's `struct sigaction`, and outlives the call.
    unsafe { sigaction(number, ptr::null(), &raw mut action) };
    RUNTIME.get_or_init(|| action);
    let handler: extern "C" fn(c_int, *const c_int) = fault_by;
    action.0[HANDLER].copy_from_slice(&(handler as usize).to_ne_bytes());
    // SAFETY: the other bytes come from `sigaction`, and the handler does only what `signal-safety(7)` allows.
    unsafe { sigaction(number, &raw const action, ptr::null_mut()) };
}

/// Handles a fault: restores the terminal. Then either the runtime's handler runs, or the signal takes its
/// effect.
extern "C" fn fault_by(number: c_int, information: *const c_int) {
    restore_after_fault();
    let is_handled = |runtime: &&Opaque| runtime.0[HANDLER] != [0; size_of::<usize>()];
    // SAFETY: if the runtime has a handler, `information` is a `siginfo_t`, which begins with three numbers. The
    // third number is the cause of the signal. A number from 1 to 0xFFFF means that the system has found a fault.
    // In this case, the same instruction faults again when this function returns, and the runtime's handler is
    // called. Any other signal was sent by a process, and would not be repeated. So `end_by` handles it.
    unsafe {
        match RUNTIME.get().filter(is_handled) {
            Some(runtime) if (1..0x1_0000).contains(&*information.add(2)) => {
                sigaction(number, runtime, ptr::null_mut());
            }
            _ => end_by(number),
        }
    }
}

/// Handles a signal after which the screen must be drawn again.
extern "C" fn redraw_by(_number: c_int) {
    CHANGED.store(true, Ordering::SeqCst);
    keep_errno(wake);
}

extern "C" fn exit_by(_number: c_int) {
    put(b"\n");
    // SAFETY: `_exit` is async-signal-safe, and ends the process without running other code.
    unsafe { _exit(0) }
}

pub(crate) fn wake() {
    if !AWAKE.swap(true, Ordering::SeqCst) {
        let byte = 0_u8;
        // SAFETY: `write` is async-signal-safe, and the byte outlives the call.
        unsafe { write(WAKE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
    }
}

pub(crate) fn exit_on_interrupt() {
    handle(SIGINT, exit_by);
}

/// If a process sends a signal to itself with `kill`, the call may return before the signal stops the process.
/// `raise` sends the signal to the calling thread, and returns only after the process was stopped and
/// continued. So this function first stops the other processes of the group with `kill`, and then its own
/// process with `raise`.
pub(crate) fn suspend() {
    // SAFETY: no memory is passed, and this program has no handler for SIGTSTP. 0 means this process group.
    unsafe {
        let before = signal(SIGTSTP, IGNORE);
        kill(0, SIGTSTP);
        signal(SIGTSTP, before);
        raise(SIGTSTP);
    }
}

pub(crate) fn columns() -> Option<usize> {
    // `struct winsize`: rows, columns, and the size in pixels.
    let mut size = [0_u16; 4];
    // SAFETY: the request fills in these four numbers.
    let result = unsafe { ioctl(STDOUT, TIOCGWINSZ, size.as_mut_ptr()) };
    (result == 0 && size[1] > 0).then_some(usize::from(size[1]))
}

pub(crate) fn time_of_day() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // `localtime_r` reads a `time_t` here. If a `time_t` has 32 bits, a little-endian machine reads the lower
    // half of this number, which has the same value.
    let seconds = now.as_secs().cast_signed();
    let (mut time, mut text) = (Opaque([0; 256]), [0_u8; 16]);
    // SAFETY: the buffer is larger than any system's `struct tm`. `tzset` reads the environment, which nothing in
    // this program changes. `text` has the length that is passed.
    let bytes = unsafe {
        tzset();
        localtime_r(&raw const seconds, &raw mut time);
        let format = c"%H:%M".as_ptr();
        strftime(text.as_mut_ptr().cast(), text.len(), format, &raw const time)
    };
    String::from_utf8_lossy(&text[..bytes]).into_owned()
}

/// Returns whether the error is only temporary, so that the same call may succeed later.
fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

impl Input {
    pub(crate) fn wait(
        &mut self,
        wants_input: bool,
        socket: Option<&TcpStream>,
        output: Option<&Output>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        let nothing = Polled::nothing;
        let mut polled = [
            Polled::readable(&self.wake),
            if wants_input { Polled::readable(&self.file) } else { nothing() },
            socket.map_or_else(nothing, Polled::writable),
            output.map_or_else(nothing, |output| Polled::writable(&output.0)),
        ];
        wait(&mut polled, timeout)?;
        if polled[0].is_ready() {
            // With this order of the two lines, a wake-up between them is not lost: it wakes the thread once
            // more.
            AWAKE.store(false, Ordering::SeqCst);
            self.wake.read_exact(&mut [0])?;
        }
        let redraw = CHANGED.swap(false, Ordering::SeqCst);
        Ok(Ready { input: polled[1].is_ready(), redraw })
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.file.read(buffer) {
            Err(error) if is_for_now(&error) => None,
            read => Some(read.unwrap_or(0)),
        }
    }
}

impl Output {
    pub(crate) fn stdout() -> io::Result<Self> {
        io::stdout().as_fd().try_clone_to_owned().map(|stream| Self(stream.into()))
    }

    pub(crate) fn stderr() -> io::Result<Self> {
        io::stderr().as_fd().try_clone_to_owned().map(|stream| Self(stream.into()))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    pub(crate) fn write_within(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        let start = Instant::now();
        let mut written = 0;
        while written < bytes.len() {
            let left = patience.saturating_sub(start.elapsed());
            let chunk = &bytes[written..bytes.len().min(written + CHUNK_BYTES)];
            let mut polled = [Polled::writable(&self.0)];
            wait(&mut polled, Some(left))?;
            if polled[0].is_ready() {
                match self.write(chunk) {
                    Err(error) if is_for_now(&error) => {}
                    // The next call fails with the same error, and returns it.
                    Err(_) if written > 0 => break,
                    result => written += result?,
                }
            } else if left.is_zero() {
                break;
            }
        }
        Ok(written)
    }
}
