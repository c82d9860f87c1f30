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

/// What sessions pass to read and to hand on what they have read.
///
/// Many may be inside at once. A session waits outside until something has come, and reads it inside.
/// Closing the gate lets nobody in any more and waits until all are out: so what was read before it is
/// said before the farewell. What was not read is held up by TCP, and not worth a session's time until
/// everyone has been told: a hundred threads that throw away a flood would leave the broadcaster one
/// turn in a hundred.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nobody goes in any more.
    closing: AtomicBool,
    inside: RwLock<()>,
    /// Set once everyone has been sent the farewell.
    farewell: OnceLock<()>,
}

/// Being inside the gate; dropping it is going out.
pub type Pass<'a> = RwLockReadGuard<'a, ()>;

impl Gate {
    /// Goes in, unless the gate is closing. May block until all who are inside are out.
    pub fn enter(&self) -> Option<Pass<'_>> {
        let pass = self.inside.read().unwrap_or_else(PoisonError::into_inner);
        (!self.closing.load(Ordering::SeqCst)).then_some(pass)
    }

    /// Lets nobody in from now on. Returns at once.
    pub fn begin_to_close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Blocks until everyone inside is out, after [`Gate::begin_to_close`]; what they wait for must be
    /// lifted before.
    pub fn wait_until_empty(&self) {
        drop(self.inside.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Blocks until [`Gate::farewell_is_sent`]: whoever finds the gate closed reads nothing before.
    pub fn wait_for_farewell(&self) {
        self.farewell.wait();
    }

    /// Ends all [`Gate::wait_for_farewell`].
    pub fn farewell_is_sent(&self) {
        // Once is enough.
        let _ = self.farewell.set(());
    }
}
