//! Shutdown: how the server is asked to stop, and how sessions come to rest.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use crate::system::signal;

/// Asks the server to stop, from any thread.
#[derive(Debug, Clone)]
pub struct StopSwitch {
    stopped: Arc<AtomicBool>,
    /// What the accept loop waits for beside its listener.
    wake: Arc<PipeWriter>,
}

impl StopSwitch {
    /// Makes the switch, and what becomes readable once it is used or a signal to stop comes.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left.
    pub fn new() -> io::Result<(Self, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        signal::stop_through(writer.try_clone()?);
        Ok((Self { stopped: Arc::default(), wake: Arc::new(writer) }, reader))
    }

    /// Asks the server to stop. Returns at once.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        // It fails when the accept loop has ended, and then there is nobody to wake.
        let _ = (&*self.wake).write_all(b"\n");
    }

    /// Whether [`StopSwitch::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// What sessions pass while they hand on what they have read.
///
/// Many may be inside at once. Closing it waits until all are out, and lets nobody in again: so
/// everything that was read before is said before the farewell.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nobody reads any more.
    closing: AtomicBool,
    closed: RwLock<bool>,
    /// Set once everyone has been sent the farewell.
    farewell: OnceLock<()>,
}

/// Being inside the gate; dropping it is going out.
pub type Pass<'a> = RwLockReadGuard<'a, bool>;

impl Gate {
    /// Goes in, unless the gate is closed. May block while it is being closed.
    pub fn enter(&self) -> Option<Pass<'_>> {
        let pass = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        (!*pass).then_some(pass)
    }

    /// Blocks from when the gate begins to close until the farewell is sent; to be called before each
    /// read of a client. A hundred clients that flood would otherwise have as much read as they can send while the
    /// gate closes, and keep a hundred threads busy after it, so that the broadcaster's turn came once
    /// in a hundred. Now TCP holds them up instead, and what is read in the end is thrown away.
    pub fn wait_to_read(&self) {
        if self.closing.load(Ordering::Relaxed) {
            self.farewell.wait();
        }
    }

    /// Begins to close: whoever is inside hands on what it has and reads nothing more. Returns at once.
    pub fn begin_to_close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Closes the gate. Blocks until everyone inside is out; what they wait for must be lifted before.
    pub fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Ends all [`Gate::wait_to_read`].
    pub fn farewell_is_sent(&self) {
        // Once is enough.
        let _ = self.farewell.set(());
    }
}
