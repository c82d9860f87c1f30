//! Step 10: every thread that blocks can be woken, so the server can end. The text of this step is in
//! `step10_the_end.md`.
//!
#![doc = include_str!("links/1.md")]
#![doc = include_str!("step10_the_end.md")]

use std::env;
use std::io::{self, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use chat::lessons::built::accept::{PAUSE, prepare};
use chat::lessons::built::client::{Clients, Member, tell_others, write_loop};
use chat::lessons::built::session::{drain, lock};
use chat::lessons::built::{input::Input, login::login};
use chat::system::{signal, socket::wait_for_connection};

/// The time that the peers have to read the farewell and to close their connections.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}"))?;
    // When a signal asks the server to stop, the signal's handler writes a byte into this pipe.
    let (stop, handler) = io::pipe()?;
    signal::stop_through(handler);
    // `accept` must not block. It would block if a peer gave up between `wait_for_connection` and `accept`.
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "Listening on {}", listener.local_addr()?)?;
    let registry = &Mutex::new(Clients::new());
    let mut streams: Vec<Weak<TcpStream>> = Vec::new();
    // The scope ends only when all threads that were started in it have ended.
    thread::scope(|scope| {
        // `wait_for_connection` blocks. It returns `false` when a connection has arrived, and `true` when a byte is
        // in the pipe.
        while let Ok(false) = wait_for_connection(&listener, &stop, None) {
            let accepted = listener.accept().and_then(|(stream, address)| {
                prepare(&stream)?;
                let stream = Arc::new(stream);
                streams.retain(|stream| stream.strong_count() > 0);
                streams.push(Arc::downgrade(&stream));
                let thread = thread::Builder::new().name(format!("client {}", address.port()));
                thread.spawn_scoped(scope, move || {
                    // An error ends only this session, so the error is ignored here.
                    let _ = serve(&stream, registry);
                    drain(&stream);
                })
            });
            if accepted.is_err() {
                thread::sleep(PAUSE);
            }
        }
        // `drain` hands over each client, which is destroyed right after `put` returns. This also destroys the
        // sending end of the client's queue. So the farewell is the last line in each queue, and all writers end.
        let farewell = Arc::from("[SERVER] The server is shutting down.\n");
        lock(registry).drain().for_each(|(_, client)| client.put(&farewell));
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

/// Serves one client until the client has left and the client's writer has ended.
fn serve(stream: &Arc<TcpStream>, registry: &Mutex<Clients>) -> io::Result<()> {
    let mut input = Input::new(stream);
    let joined = login(stream, &mut input, |name| Ok(Member::join(name, stream, registry)))?;
    let Some((member, queue)) = joined else { return stream.shutdown(Shutdown::Write) };
    thread::scope(|scope| {
        let writer = thread::Builder::new().name(format!("writer of {}", member.name));
        writer.spawn_scoped(scope, move || write_loop(stream, &queue))?;
        let end = chat(&member, &mut input, registry);
        // Dropping the member ends the queue, so the writer ends. The scope waits for the writer.
        drop(member);
        end
    })
}

/// Passes on a client's messages until the client leaves.
fn chat(member: &Member<'_>, input: &mut Input<'_>, registry: &Mutex<Clients>) -> io::Result<()> {
    let name = &member.name;
    while let Some(line) = input.next_line()?.filter(|line| line != "/quit") {
        match line.strip_prefix("/me ") {
            Some(action) => tell_others(&lock(registry), "", &format!("* {name} {action}\n")),
            None => tell_others(&lock(registry), name, &format!("{name}: {line}\n")),
        }
    }
    Ok(())
}
