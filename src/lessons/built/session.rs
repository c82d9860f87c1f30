//! From step 8: functions that end a session without harm to other sessions. They run on the thread of the client
//! whose session ends.
//!
//! The real server's counterpart is the end of [`server::session`](crate::server::session).

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time that a peer has to read the server's last line and to close the connection.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// Locks a mutex, even if it is poisoned. This function blocks while another thread holds the lock. A poisoned mutex
/// can be used here, because no thread of this program can panic while the data is half changed.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads and discards what the peer still sends, until the peer closes or half a second has passed. Closing a socket
/// that has unread bytes would reset the connection, and the reset could destroy the server's last line.
pub fn drain(mut stream: &TcpStream) {
    let (start, mut ignored) = (Instant::now(), [0; 4096]);
    // This fails if the peer is gone. Then there is nothing to discard.
    let _ = stream.set_read_timeout(Some(DRAIN_TIME));
    while start.elapsed() < DRAIN_TIME && stream.read(&mut ignored).is_ok_and(|count| count > 0) {}
}

/// Sends a FIN, and then calls [`drain`].
pub fn close(stream: &TcpStream) {
    // This fails if the peer is gone.
    let _ = stream.shutdown(Shutdown::Write);
    drain(stream);
}
