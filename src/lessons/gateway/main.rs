//! A gateway for chat clients without framing, and so a lesson: why this chat has framing.
//!
//! Many beginners' chat programs take each `recv` for one message. This program stands between the clients of
//! two such programs and the real server. The clients work with it unmodified.
//!
//! ```text
//! client without framing <─ what one recv returns ─> gateway <─ lines ─> server
//!
//! cargo run --example gateway -- [PORT [SERVER_HOST:PORT]]     (7007 and 127.0.0.1:5555)
//! ```
//!
//! One of the two waits for the eight bytes `NICKNAME`, answers with its bare nickname, and then sends `nick:
//! text`, all without a line end. The other program has no handshake. It prints everything that comes, and
//! sends `name: text\n`.
//!
//! # What goes wrong without framing
//!
//! It works as long as nobody is in a hurry. TCP keeps no boundaries between writes, so two messages
//! that are sent in quick succession arrive in one `recv`, glued together:
//!
//! ```text
//! bob sends       b"bob: two"  b"bob: three"
//! alice receives  b"bob: twobob: three\n"
//! ```
//!
//! In the same way, a name and a message that are glued together look like a longer name. Line ends do not
//! help a program that takes each `recv` for a message: when a read ends within a line, the line becomes two
//! messages. The other direction is no better. A client that reads late finds `NICKNAME` and the messages
//! after it in one `recv`. It does not recognize the question then. Each write below is whole characters and
//! begins with the name of the speaker. But a late `recv` takes 1024 bytes from the middle of several writes.
//! It may begin within a line, or with half a character, which the client cannot decode. No gateway can
//! repair that. The remedy is a line end after each message, and a reader that waits for it. That is framing:
//! see `chat::protocol::framing`.
//!
//! Here it can be seen, with `nc` for alice and a shell for bob. bob's last two messages arrive together. (A
//! client has one second to answer `NICKNAME`. Nobody types that fast, so alice starts as a guest.)
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
//! Each client has a connection of its own to the server, and two threads: [`speaker`] reads the client and
//! writes to the server, [`listener`] reads the server and writes to the client. So each socket has one
//! reader and one writer, and nothing is queued here. TCP passes every delay on. While the server does not
//! take a client's lines, the gateway does not read from the client. While a client does not read, the
//! gateway does not read from the server for it. The server then deals with this slow reader. The server also
//! refuses lines that are too long or not UTF-8. So each rule has one place.
//!
//! Deliberately absent: telnet's commands (telnet can talk to the server itself), history (these clients show
//! everything as new), a farewell when this program is interrupted (the system closes the connections), and a
//! way to listen on a network (the gateway is for this machine).

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

/// The most clients at once: as many as a server takes from one address by default.
const MAX_CLIENTS: usize = 64;

/// How many clients over this limit may read why at the same time. More clients are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

const FULL: &str = "[GATEWAY] The gateway is full. Try again later.";

/// How long to wait when no connection can be accepted, for example without free descriptors.
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

/// Gives each client a thread, up to the limit. Never returns.
fn accept_loop(listener: &TcpListener, options: &Options) -> ! {
    let address = listener.local_addr();
    let address =
        address.map_or_else(|_| options.listen.to_string(), |address| address.to_string());
    log(format_args!("[GATEWAY] Listening on {address}, for the server at {}", options.server));
    // Each client's thread holds a clone until it ends. So the number of clones is the number of clients.
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
            // When the system has no more threads, the closure is dropped, and the connection is closed with
            // it.
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, serve) {
                log(format_args!("[GATEWAY] Could not start a thread: {error}"));
            }
        }
    })
}

/// Prints a line, if somebody still reads it.
fn log(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints why the program ends, if somebody still reads it.
fn fail(code: u8, error: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "[ERROR] {error}");
    ExitCode::from(code)
}
