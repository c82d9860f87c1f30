//! From step 8: what the end of one session must not do to others. Runs on that client's thread.
//!
//! In the real server this is the end of [`server::session`](crate::server::session).

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a peer may take to read its last words.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// Locks. What these locks guard is never half changed when a thread panics. So a poisoned lock is used as it
/// is. Blocks while another thread holds the lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Throws away what the peer still sends, until it closes or half a second is over. Closing a
/// socket that has unread input would reset the connection, and the reset can destroy the last words.
pub fn drain(mut stream: &TcpStream) {
    let (start, mut ignored) = (Instant::now(), [0; 4096]);
    // This fails when the peer is gone, and then there is nothing to drain.
    let _ = stream.set_read_timeout(Some(DRAIN_TIME));
    while start.elapsed() < DRAIN_TIME && stream.read(&mut ignored).is_ok_and(|count| count > 0) {}
}

/// Says that nothing more comes, and drains.
pub fn close(stream: &TcpStream) {
    // This fails when the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
    drain(stream);
}
