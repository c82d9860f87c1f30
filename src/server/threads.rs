//! The threads of clients: bounded in number, named, on small stacks, and each for itself.
//!
//! A client has one thread, and one more while it is behind. Each takes four of the process's memory
//! maps (its stack, the guard below it, and the same again for signals), and where the system has
//! none left, `std` aborts the process. So they are counted, and one too many is an error before it
//! is a disaster.

use std::fmt::Display;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope};

/// The stack of a thread, in bytes. It is address space, not memory, until it is used, and sessions
/// use little; most of this is for reporting a panic.
const STACK_BYTES: usize = 128 << 10;

/// How many memory maps a thread takes on Linux.
const MAPS_PER_THREAD: usize = 4;

/// Memory maps that are not for clients: the program, its libraries, its heap.
const RESERVED_MAPS: usize = 2048;

/// What `vm.max_map_count` usually is; assumed where it cannot be read.
const USUAL_MAX_MAPS: usize = 65_530;

/// Counts the threads of clients.
#[derive(Debug)]
pub struct Threads {
    most: usize,
    running: AtomicUsize,
}

impl Default for Threads {
    /// As many as the system's limit on memory maps leaves room for, which is read now.
    fn default() -> Self {
        let read = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let maps = read.and_then(|maps| maps.trim().parse().ok()).unwrap_or(USUAL_MAX_MAPS);
        let most = maps.saturating_sub(RESERVED_MAPS) / MAPS_PER_THREAD;
        Self { most, running: AtomicUsize::new(0) }
    }
}

impl Threads {
    /// How many there may be at once.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Starts a thread that runs `run`, and `panicked` if that panics. The scope joins it.
    ///
    /// # Errors
    ///
    /// When there is no thread left; `run` is dropped then.
    pub fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        name: impl Display,
        run: impl FnOnce() + Send + 'scope,
        panicked: impl FnOnce() + Send + 'scope,
    ) -> io::Result<()> {
        let running = Running::count(self)?;
        Builder::new().name(name.to_string()).stack_size(STACK_BYTES).spawn_scoped(
            scope,
            move || {
                let _running = running;
                // What it shares with other threads is behind locks that survive this.
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    panicked();
                }
            },
        )?;
        Ok(())
    }
}

/// Being one of the counted threads; dropping it is ending.
struct Running<'a>(&'a Threads);

impl<'a> Running<'a> {
    fn count(threads: &'a Threads) -> io::Result<Self> {
        let running = Self(threads);
        if threads.running.fetch_add(1, Ordering::Relaxed) < threads.most {
            Ok(running)
        } else {
            Err(io::Error::other("too many threads for the system's memory maps"))
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread::scope;

    #[test]
    fn a_thread_too_many_is_an_error_until_one_ends() {
        let threads = Threads { most: 1, running: AtomicUsize::new(0) };
        let (end, ended) = channel::<()>();
        scope(|scope| {
            threads.spawn(scope, "first", move || assert!(ended.recv().is_err()), || {}).unwrap();
            assert!(threads.spawn(scope, "second", || {}, || {}).is_err());
            drop(end);
        });
        scope(|scope| threads.spawn(scope, "third", || {}, || {}).unwrap());
    }

    #[test]
    fn a_panic_ends_its_own_thread_only() {
        let threads = Threads::default();
        let (report, reported) = channel();
        scope(|scope| {
            let panic = || panic!("a test's own");
            threads.spawn(scope, "panicking", panic, move || report.send(()).unwrap()).unwrap();
        });
        assert!(reported.recv().is_ok());
        assert_eq!(threads.running.load(Ordering::Relaxed), 0);
    }
}
