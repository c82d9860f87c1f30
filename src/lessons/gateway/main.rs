//! A gateway for chat clients without framing. It is also a lesson: it shows why this chat has framing.
//!
//! Many beginners' chat programs treat the result of each `recv` as one message. This gateway connects the
//! clients of two such programs to the real server, without changes to the clients.
//!
//! ```text
//! client without framing <─ what one recv returns ─> gateway <─ lines ─> server
//!
//! cargo run --example gateway -- [PORT [SERVER_HOST:PORT]]     (7007 and 127.0.0.1:5555)
//! ```
//!
//! The first program waits for the eight bytes `NICKNAME`, answers with its nickname alone, and then sends
//! messages as `nick: text`. It sends no line ends. The second program has no handshake. It prints everything
//! that it receives, and sends messages as `name: text\n`.
//!
//! # What goes wrong without framing
//!
//! Without framing, a chat works as long as people type slowly. TCP keeps no boundaries between writes. So two
//! messages that are sent in quick succession arrive in one `recv`, glued together:
//!
//! ```text
//! bob sends       b"bob: two"  b"bob: three"
//! alice receives  b"bob: twobob: three\n"
//! ```
//!
//! In the same way, a name and a message that are glued together look like a longer name. Line ends alone do not
//! help a program that treats each `recv` as a message: if a read ends within a line, the line becomes two
//! messages. In the other direction, from the server to a client, there are similar problems. A client that reads
//! late receives `NICKNAME` and the messages after it in one `recv`, and does not recognize the question. The
//! gateway begins each write to a client with the name of the speaker, and never cuts a character. But a late
//! `recv` can return 1024 bytes from the middle of several writes. These bytes may begin within a line, or with
//! half of a character, which the client cannot decode. No gateway can repair that. The remedy is a line end
//! after each message, and a reader that waits for the line end. This is framing: see `chat::protocol::framing`.
//!
//! This session shows the problem. Alice uses `nc`, and bob uses a shell. Bob's last two messages arrive as one
//! message. (A client has one second to answer `NICKNAME`. Nobody types that fast, so alice first joins as a guest.)
//!
//! ```console
//! 1$ cargo run -q --bin server -- --port 5555
//! 1  [SERVER] Server is listening on 127.0.0.1:5555
//! 1  [SERVER] Waiting for connections...
//! 2$ cargo run -q --example gateway -- 7007 127.0.0.1:5555
//! 2  [GATEWAY] Listening on 127.0.0.1:7007, for the server at 127.0.0.1:5555
//! 3$ nc 127.0.0.1 7007
//! 3  NICKNAME[SERVER] Connected to the server!
//! 3  [SERVER] 1 online: guest
//! 3> alice
//! 3  [SERVER] guest is now known as alice
//! 4$ exec 3<>/dev/tcp/127.0.0.1/7007; printf bob >&3; read -r line <&3; echo "$line"
//! 4  NICKNAME[SERVER] Connected to the server!
//! 3  [SERVER] bob joined the chat!
//! 4$ printf 'bob: one' >&3
//! 3  bob: one
//! 4$ printf 'bob: twobob: three' >&3
//! 3  bob: twobob: three
//! 1  ...
//! ```
//!
//! # How it works
//!
//! Each client has its own connection to the server, and two threads. [`speaker`] reads from the client and writes to
//! the server. [`listener`] reads from the server and writes to the client. So each socket has one reader and one
//! writer, and the gateway needs no queue. TCP provides the backpressure. When the server stops reading a client's
//! lines, the gateway's writes block, so the gateway stops reading from this client. When a client stops reading, the
//! gateway stops reading the server's lines for this client. The server then handles this client as a slow reader.
//! The server also refuses lines that are too long or not UTF-8, so the gateway does not check lines for these
//! faults.
//!
//! Some features are deliberately missing. There are no telnet commands, because telnet can connect directly to the
//! server. There is no history, because these clients would show old messages as new. There is no farewell when the
//! gateway is interrupted: the system closes the connections. And the gateway cannot listen on a network, because it
//! is made for clients on the same machine.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use options::{Options, Request};

mod session;

mod speaker;

mod listener;

mod reads;

mod server_lines;

mod unframed;

mod options;

/// The maximum number of clients. By default, a server accepts the same number of clients from one address.
const MAX_CLIENTS: usize = 64;

/// The maximum number of clients above this limit that are refused with a reason at the same time. Any further
/// connection is closed without a reason.
const MAX_TURNED_AWAY: usize = 64;

const FULL: &str = "[GATEWAY] The gateway is full. Try again later.";

/// The pause after `accept` has failed, for example because no descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let options = match options::parse(chat::arguments::command_line()) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => {
            log(options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(2, error),
    };
    match TcpListener::bind((options.listen.host.as_str(), options.listen.port)) {
        Ok(listener) => accept_loop(&listener, &options),
        Err(error) => fail(1, format_args!("Could not listen on {}: {error}", options.listen)),
    }
}

/// Accepts clients up to the limit, and starts a thread for each client. Never returns.
fn accept_loop(listener: &TcpListener, options: &Options) -> ! {
    let address = listener.local_addr();
    let address =
        address.map_or_else(|_| options.listen.to_string(), |address| address.to_string());
    log(format_args!("[GATEWAY] Listening on {address}, for the server at {}", options.server));
    // Each client's thread owns a clone of this `Arc` until the thread ends. So the number of clones is the
    // number of clients.
    let places = Arc::new(());
    thread::scope(|scope| {
        loop {
            let client = match listener.accept() {
                Ok((client, _address)) => client,
                Err(error) => {
                    log(format_args!("[GATEWAY] Could not accept a connection: {error}"));
                    thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            let place = Arc::clone(&places);
            let clients = Arc::strong_count(&places) - 1;
            if clients > MAX_CLIENTS + MAX_TURNED_AWAY {
                continue;
            }
            let is_full = clients > MAX_CLIENTS;
            let serve = move || {
                let refusal = is_full.then(|| FULL.to_owned());
                let refusal = refusal.or_else(|| session::serve(&client, options).err());
                if let Some(last_line) = refusal {
                    session::turn_away(&client, &last_line);
                }
                drop(place);
            };
            // If the system cannot start a thread, the closure is dropped. This also closes the connection.
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, serve) {
                log(format_args!("[GATEWAY] Could not start a thread: {error}"));
            }
        }
    })
}

/// Prints a line. Ignores an error, because an error means that nobody reads the output.
fn log(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints the reason why the program ends, and returns the exit code. Ignores an error while printing.
fn fail(code: u8, error: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "[ERROR] {error}");
    ExitCode::from(code)
}
