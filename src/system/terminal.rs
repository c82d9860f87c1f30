//! The terminal: raw mode, its size, its signals, and giving it back however the program ends.
//!
//! A terminal's settings belong to the terminal, not to the process: a program that ends without
//! putting them back leaves the person with a shell that shows nothing of what is typed. So what
//! they were is kept in a static, where a signal handler and a panic can find it too.
//!
//! In raw mode (`cfmakeraw(3)`) every key comes at once, as bytes, and none of them makes a signal:
//! Ctrl-C is a 3 to be read. Signals come from elsewhere, and the handlers here do little: those that
//! end the process restore the terminal first, the others write a byte into a pipe, which
//! [`Keyboard::read`] waits for together with the keys.
//!
//! Elsewhere than on Unix there is no raw mode here, and a terminal has 80 columns.

#[cfg(not(unix))]
pub use elsewhere::{
    Keyboard, columns, exit_on_interrupt, open_raw, raw_mode, restore, suspend, time_of_day,
};
#[cfg(unix)]
pub use unix::{
    Keyboard, columns, exit_on_interrupt, open_raw, raw_mode, restore, suspend, time_of_day,
};

/// What [`Keyboard::read`] returns.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// So many bytes were typed; none when the terminal is gone.
    Typed(usize),
    /// The size has changed, or the process goes on after having been suspended: it is time to call
    /// [`raw_mode`] and draw.
    Redraw,
    /// Nothing came in time.
    TimedOut,
}

/// The columns of a terminal that does not say how many it has.
const USUAL_COLUMNS: usize = 80;

#[cfg(unix)]
mod unix {
    use std::ffi::{c_char, c_int, c_ulong};
    use std::fs::File;
    use std::io::{self, PipeReader, Read};
    use std::os::fd::{AsFd, IntoRawFd};
    use std::panic;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::super::poll::wait_for_either;
    use super::super::signal::unix::{
        DEFAULT, IGNORE, SIGHUP, SIGINT, SIGTERM, handle, handle_unless_ignored, signal, write,
    };
    use super::{Event, USUAL_COLUMNS};

    const LINUX: bool = cfg!(target_os = "linux");
    const STDIN: c_int = 0;
    const STDOUT: c_int = 1;
    const SIGQUIT: c_int = 3;
    const SIGABRT: c_int = 6;
    const SIGTSTP: c_int = if LINUX { 20 } else { 18 };
    const SIGCONT: c_int = if LINUX { 18 } else { 19 };
    const SIGTTOU: c_int = 22;
    const SIGWINCH: c_int = 28;
    const TCSANOW: c_int = 0;
    const TIOCGWINSZ: c_ulong = if LINUX { 0x5413 } else { 0x4008_7468 };

    /// Has the terminal mark what is pasted, so that it is not taken for keys (xterm, mode 2004).
    const BRACKET_PASTES: &[u8] = b"\x1b[?2004h";
    const DO_NOT_BRACKET_PASTES: &[u8] = b"\x1b[?2004l";

    /// A structure of the system that nobody here looks into, so that there is no layout to get
    /// wrong: larger than `struct termios` and `struct tm` are anywhere.
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
        fn _exit(code: c_int) -> !;
        fn tzset();
        fn localtime_r(seconds: *const i64, time: *mut Opaque) -> *mut Opaque;
        fn strftime(text: *mut c_char, bytes: usize, format: *const c_char, time: *const Opaque) -> usize;
    }

    /// The settings before raw mode and in it. Set once; reading a `OnceLock` that is set takes no
    /// lock, so a signal handler may.
    static SETTINGS: OnceLock<(Opaque, Opaque)> = OnceLock::new();
    /// The terminal is to be restored.
    static RAW: AtomicBool = AtomicBool::new(false);
    /// Where the handlers write that only wake. Never closed once set.
    static WAKE: AtomicI32 = AtomicI32::new(-1);
    /// The byte that wakes is there already: so the pipe never fills, and `write` never blocks.
    static AWAKE: AtomicBool = AtomicBool::new(false);

    /// The keys of a terminal in raw mode.
    #[derive(Debug)]
    pub struct Keyboard {
        input: File,
        wake: PipeReader,
    }

    /// Puts the terminal into raw mode, with pasted text bracketed, and returns its two sides without
    /// any buffer of ours: the keyboard, and what to write to.
    ///
    /// From here on a panic, SIGHUP, SIGINT, SIGQUIT, SIGABRT and SIGTERM restore the terminal before
    /// they do what they do. To be called once. Source: `tcgetattr(3)`, `signal(7)`.
    ///
    /// # Errors
    ///
    /// Standard input or output is no terminal; use ordinary line input.
    pub fn open_raw() -> io::Result<(Keyboard, File)> {
        let mut before = Opaque([0; 256]);
        // SAFETY: the buffer is larger than any system's `struct termios`, and outlives the call.
        if unsafe { tcgetattr(STDIN, &raw mut before) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut raw = before;
        // SAFETY: as above, and the settings come from `tcgetattr`.
        unsafe { cfmakeraw(&raw mut raw) };
        let (wake, waker) = io::pipe()?;
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        if SETTINGS.set((before, raw)).is_err() {
            return Err(io::Error::other("the terminal is in raw mode already"));
        }
        WAKE.store(waker.into_raw_fd(), Ordering::Relaxed);
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGTERM] {
            handle_unless_ignored(number, end_by);
        }
        handle(SIGWINCH, wake_by);
        handle(SIGCONT, wake_by);
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore_after_fault();
            print(panic);
        }));
        raw_mode();
        Ok((Keyboard { input, wake }, output))
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

    /// Gives the terminal back as it was before [`open_raw`]. More than once is no mistake.
    pub fn restore() {
        if RAW.swap(false, Ordering::SeqCst)
            && let Some((before, _)) = SETTINGS.get()
        {
            put(DO_NOT_BRACKET_PASTES);
            // At once, and not after the output is out: a terminal that takes none would keep us.
            // SAFETY: the settings come from `tcgetattr`; async-signal-safe.
            unsafe { tcsetattr(STDIN, TCSANOW, before) };
        }
    }

    /// Restores, in the middle of a line.
    fn restore_after_fault() {
        if RAW.load(Ordering::SeqCst) {
            put(b"\r\n");
        }
        restore();
    }

    /// Writes to the terminal what is not worth an error.
    fn put(bytes: &[u8]) {
        // SAFETY: the bytes are borrowed for the call; async-signal-safe.
        unsafe { write(STDOUT, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// Handles a signal that ends the process: restores, and lets the signal do what it does.
    extern "C" fn end_by(number: c_int) {
        // SAFETY: `signal` and `raise` are async-signal-safe, as is what `restore` calls. In the
        // background `tcsetattr` would stop the process instead, if SIGTTOU were not ignored. The
        // signal is blocked in its handler, and comes again as that returns.
        unsafe {
            signal(SIGTTOU, IGNORE);
            restore_after_fault();
            signal(number, DEFAULT);
            raise(number);
        }
    }

    /// Handles a signal that only wakes [`Keyboard::read`].
    extern "C" fn wake_by(_number: c_int) {
        if !AWAKE.swap(true, Ordering::SeqCst) {
            let byte = 0_u8;
            // SAFETY: the byte outlives the call; async-signal-safe.
            unsafe { write(WAKE.load(Ordering::Relaxed), (&raw const byte).cast(), 1) };
        }
    }

    extern "C" fn exit_by(_number: c_int) {
        put(b"\n");
        // SAFETY: ends the process without running any code of ours; async-signal-safe.
        unsafe { _exit(0) }
    }

    /// Makes Ctrl-C end the process with code 0 instead of by a signal: for a terminal outside raw
    /// mode, where leaving by Ctrl-C is no failure. The system closes the connection in order.
    pub fn exit_on_interrupt() {
        handle(SIGINT, exit_by);
    }

    /// Stops the process and those it was started with (its process group), as Ctrl-Z does outside raw
    /// mode; call [`restore`] before. Returns when it is continued, or a little earlier: what follows
    /// is [`Event::Redraw`]. Nothing happens where no shell could continue it (an orphaned process
    /// group).
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
        // SAFETY: the buffer is larger than any `struct tm`, and only passed on; nothing in this
        // program changes the environment, which `tzset` reads; the text is as long as is said.
        let bytes = unsafe {
            tzset();
            localtime_r(&raw const seconds, &raw mut time);
            let format = c"%H:%M".as_ptr();
            strftime(text.as_mut_ptr().cast(), text.len(), format, &raw const time)
        };
        String::from_utf8_lossy(&text[..bytes]).into_owned()
    }

    impl Keyboard {
        /// Waits for keys, no longer than `timeout` if there is one, and reads them.
        ///
        /// Blocks until something is typed, until the terminal is gone, until the size changes or the
        /// process is continued, or until the time is over. Source: `poll(2)`.
        ///
        /// # Errors
        ///
        /// What the system says; there will be no more keys.
        pub fn read(&mut self, buffer: &mut [u8], timeout: Option<Duration>) -> io::Result<Event> {
            loop {
                let ready = wait_for_either([self.wake.as_fd(), self.input.as_fd()], timeout);
                let result = match ready {
                    Err(error) => Err(error),
                    Ok([true, _]) => {
                        // In this order a signal between the two wakes once more, and is not lost.
                        AWAKE.store(false, Ordering::SeqCst);
                        self.wake.read_exact(&mut [0]).map(|()| Event::Redraw)
                    }
                    Ok([_, true]) => self.input.read(buffer).map(Event::Typed),
                    Ok([false, false]) => Ok(Event::TimedOut),
                };
                match result {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result,
                }
            }
        }
    }
}

#[cfg(not(unix))]
#[expect(missing_docs, reason = "as on Unix, as far as plain std goes")]
#[expect(clippy::missing_errors_doc, reason = "as above")]
mod elsewhere {
    use std::fs::File;
    use std::io;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    #[derive(Debug)]
    pub enum Keyboard {}

    impl Keyboard {
        pub fn read(&mut self, _: &mut [u8], _: Option<Duration>) -> io::Result<super::Event> {
            match *self {}
        }
    }

    pub fn open_raw() -> io::Result<(Keyboard, File)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub fn raw_mode() {}

    pub fn restore() {}

    pub fn suspend() {}

    pub fn exit_on_interrupt() {}

    pub fn columns() -> usize {
        super::USUAL_COLUMNS
    }

    pub fn time_of_day() -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:02}:{:02}", now.as_secs() / 3600 % 24, now.as_secs() / 60 % 60)
    }
}
