//! The gateway: it translates between the real server and the clients of two chats that have no framing. The tests
//! check the gateway's side of the connections byte by byte.
//!
//! *Asked* clients wait for the bytes `NICKNAME`, answer with their nickname, and send `name: text`, all without a
//! line end. *Unasked* clients print everything that they receive, and send lines of the form `name: text`. For the
//! gateway, the bytes of one `recv` are one message. So a test sends a message only after other clients have received
//! the previous message.

mod talking;

mod names;

mod endings;

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::harness::{Peer, Program, Server, Transcript};

/// The part of the gateway that does no I/O. It is included here so that its unit tests run: cargo builds an example
/// as a program or as a test, but not as both.
#[path = "../../../src/lessons/gateway/unframed.rs"]
mod unframed;

/// A server and a gateway in front of it. When this value is dropped, both programs are killed. The drop panics if the
/// gateway has written to standard error.
struct Gateway {
    program: Program,
    address: SocketAddr,
    server: Server,
}

impl Gateway {
    fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these options, and a gateway for it.
    fn with(options: &[&str]) -> Self {
        let server = Server::with(options);
        let (program, address) = start(&server.address().to_string(), server.transcript());
        Self { program, address, server }
    }

    /// Connects and waits for the bytes `NICKNAME`.
    #[track_caller]
    fn connect(&self, name: &str) -> Peer {
        let mut peer = Peer::connect(name, self.address, self.server.transcript());
        peer.expect_bytes(b"NICKNAME");
        peer
    }

    /// Returns whether the gateway accepts one more client.
    fn has_a_place(&self) -> bool {
        let mut peer = Peer::connect("newcomer", self.address, self.server.transcript());
        let mut byte = [0];
        peer.stream().read_exact(&mut byte).expect("the gateway sends a question or a refusal");
        peer.end_input();
        byte == *b"N"
    }

    /// Connects, answers the prompt with `given` like an asked client, and checks that the client gets the nickname
    /// `nickname`.
    #[track_caller]
    fn answer(&self, given: &str, nickname: &str) -> Peer {
        let mut peer = self.connect(nickname);
        peer.send_bytes(given.as_bytes());
        peer.expect("[SERVER] Connected to the server!");
        let online = peer.line();
        assert!(online.ends_with(nickname), "{online:?} should end with {nickname}");
        peer
    }

    /// Connects and does not answer the prompt, like an unasked client. Checks that the client becomes a guest with
    /// this nickname.
    #[track_caller]
    fn listen(&self, nickname: &str) -> Peer {
        let mut peer = self.connect(nickname);
        peer.expect("[SERVER] Connected to the server!");
        let online = peer.line();
        assert!(online.contains(nickname), "{online:?} should contain {nickname}");
        peer
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if !thread::panicking() {
            // A panic in one of the gateway's threads does not end the gateway, so a test might not notice it. But the
            // panic's message is on standard error.
            let errors = self.program.last_errors();
            assert!(errors.is_empty(), "the gateway wrote to standard error:\n{errors}");
        }
    }
}

/// Starts a gateway for the server at the address `to`. Returns the gateway's process, and the address on which the
/// gateway listens.
#[track_caller]
fn start(to: &str, transcript: &Transcript) -> (Program, SocketAddr) {
    let mut program = Program::start("gateway", gateway_command(["0", to]), transcript);
    let first = program.line();
    let address = first.strip_prefix("[GATEWAY] Listening on ");
    let address = address.and_then(|rest| rest.strip_suffix(&format!(", for the server at {to}")));
    let address = address.and_then(|address| address.parse().ok());
    (program, address.unwrap_or_else(|| panic!("the gateway's first line is {first:?}")))
}

/// Returns a command that runs the gateway with these arguments. `cargo test` builds the gateway along with the tests.
fn gateway_command<const N: usize>(arguments: [&str; N]) -> Command {
    let test = std::env::current_exe().expect("the test binary has a path");
    // The path looks like target/debug/deps/it-0123.
    let program = test.ancestors().nth(2).expect("it is three deep").join("examples/gateway");
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    // `cargo test --test it` does not build the gateway, so the gateway can be missing or out of date.
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lessons/gateway");
    let sources = sources.read_dir().expect("the directory of the sources exists").flatten();
    let is_new = sources.map(|file| modified(&file.path())).max() <= Some(modified(&program));
    assert!(is_new, "the gateway is missing or old: run `cargo build --examples` first");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
