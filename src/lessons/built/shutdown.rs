//! From step 10: accepts connections until a signal arrives, and then shuts the server down. Runs on the main
//! thread.
//!
//! Every thread that blocks can be woken. A byte in a pipe wakes the main thread, which waits for connections.
//! Shutting down a connection wakes the threads that block in its `read` or `write`. The scope waits until every
//! session has ended. The real server's counterparts are [`server::accept`](crate::server::accept) and
//! [`server::shutdown`](crate::server::shutdown).

use std::env;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::accept::{PAUSE, prepare};
use crate::system::{signal, socket::wait_for_connection};

/// The time that the peers have to read the farewell and to close their connections.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// Runs `serve` on a new thread for each connection, until a signal arrives. Then calls `farewell`, which tells all
/// clients that the server is shutting down. Gives the peers a second to close, and shuts down the connections that
/// are still open. Returns when all sessions have ended.
///
/// # Errors
///
/// An error of the system if the server cannot listen.
pub fn run(serve: impl Fn(&Arc<TcpStream>) + Sync, farewell: impl FnOnce()) -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    let (stop, handler) = io::pipe()?;
    signal::stop_through(handler);
    // `accept` must not block. It would block if a peer gave up between `wait_for_connection` and `accept`.
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let serve = &serve;
    let mut streams: Vec<Weak<TcpStream>> = Vec::new();
    thread::scope(|scope| {
        while let Ok(false) = wait_for_connection(&listener, &stop, None) {
            let accepted = listener.accept().and_then(|(stream, address)| {
                prepare(&stream)?;
                let stream = Arc::new(stream);
                streams.retain(|stream| stream.strong_count() > 0);
                streams.push(Arc::downgrade(&stream));
                let thread = thread::Builder::new().name(format!("client {}", address.port()));
                thread.spawn_scoped(scope, move || serve(&stream))
            });
            if accepted.is_err() {
                thread::sleep(PAUSE);
            }
        }
        farewell();
        end_all(streams);
    });
    Ok(())
}

/// Gives the peers time to close, and then wakes all threads that still block on a connection.
fn end_all(mut streams: Vec<Weak<TcpStream>>) {
    let start = Instant::now();
    while start.elapsed() < FAREWELL_TIME && !streams.is_empty() {
        thread::sleep(Duration::from_millis(10));
        streams.retain(|stream| stream.strong_count() > 0);
    }
    for stream in streams.iter().filter_map(Weak::upgrade) {
        // This fails if the peer is already gone.
        let _ = stream.shutdown(Shutdown::Both);
    }
}
