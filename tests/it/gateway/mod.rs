//! The gateway: the wires of two chats without framing, byte by byte, and behind it the real server.
//!
//! *Asked* clients wait for the bytes `NICKNAME`, answer with a bare name, and send `name: text`, all
//! without a line end. *Unasked* ones print what comes and send lines `name: text`. Where each `recv`
//! is a message, a test sends the next one only after others have received the one before.

mod talking;

mod names;

mod endings;

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::harness::{Peer, Program, Server, Transcript};

/// The gateway's pure part, here for its unit tests: cargo runs none in an example that it also builds
/// as a program.
#[path = "../../../src/lessons/gateway/unframed.rs"]
mod unframed;

/// A server and a gateway in front of it. When this is dropped, both are killed. The gateway must not have
/// written to standard error.
struct Gateway {
    program: Program,
    address: SocketAddr,
    server: Server,
}

impl Gateway {
    fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these options and a gateway.
    fn with(options: &[&str]) -> Self {
        let server = Server::with(options);
        let (program, address) = start(&server.address().to_string(), server.transcript());
        Self { program, address, server }
    }

    /// Connects and waits for the question.
    #[track_caller]
    fn connect(&self, name: &str) -> Peer {
        let mut peer = Peer::connect(name, self.address, self.server.transcript());
        peer.expect_bytes(b"NICKNAME");
        peer
    }

    /// Whether the gateway has a place for one more client.
    fn has_a_place(&self) -> bool {
        let mut peer = Peer::connect("newcomer", self.address, self.server.transcript());
        let mut byte = [0];
        peer.stream().read_exact(&mut byte).expect("it is told something");
        peer.end_input();
        byte == *b"N"
    }

    /// Connects and answers the question as the asked ones do, and gets this nickname.
    #[track_caller]
    fn answer(&self, given: &str, nickname: &str) -> Peer {
        let mut peer = self.connect(nickname);
        peer.send_bytes(given.as_bytes());
        peer.expect("[SERVER] Connected to the server!");
        let online = peer.line();
        assert!(online.ends_with(nickname), "{online:?} should end with {nickname}");
        peer
    }

    /// Connects and answers nothing, and so becomes a guest with this nickname.
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
            // A thread that panics takes nobody else down, and so might go unseen.
            let errors = self.program.last_errors();
            assert!(errors.is_empty(), "the gateway wrote to standard error:\n{errors}");
        }
    }
}

/// Starts a gateway for the server at `to`, `HOST:PORT`, and returns the address that it listens on.
#[track_caller]
fn start(to: &str, transcript: &Transcript) -> (Program, SocketAddr) {
    let mut program = Program::start("gateway", gateway_command(["0", to]), transcript);
    let first = program.line();
    let address = first.strip_prefix("[GATEWAY] Listening on ");
    let address = address.and_then(|rest| rest.strip_suffix(&format!(", for the server at {to}")));
    let address = address.and_then(|address| address.parse().ok());
    (program, address.unwrap_or_else(|| panic!("it opens with {first:?}")))
}

/// The gateway with these arguments. `cargo test` builds it beside the tests.
fn gateway_command<const N: usize>(arguments: [&str; N]) -> Command {
    let test = std::env::current_exe().expect("the test has a path");
    // target/debug/deps/it-0123
    let program = test.ancestors().nth(2).expect("it is three deep").join("examples/gateway");
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    // `cargo test --test it` alone does not build it.
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lessons/gateway");
    let sources = sources.read_dir().expect("the sources are there").flatten();
    let is_new = sources.map(|file| modified(&file.path())).max() <= Some(modified(&program));
    assert!(is_new, "the gateway is missing or old: run `cargo build --examples` first");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
