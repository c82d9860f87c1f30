//! The gateway: the wires of two chats without framing, byte by byte, and behind it the real server.
//!
//! *Asked* clients wait for the bytes `NICKNAME`, answer with a bare name, and send `name: text`, all
//! without a line end. *Unasked* ones print what comes and send lines `name: text`. Where each `recv`
//! is a message, a test sends the next one when the one before has been seen by others.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::harness::{Finished, Peer, Program, Server, has_nc, poll_until, usage_error};

/// The gateway's pure part, here for its unit tests: cargo runs none in an example that it also builds
/// as a program.
#[path = "../../src/lessons/gateway/unframed.rs"]
mod unframed;

/// A server and a gateway in front of it. Dropped, both are killed; the gateway must not have written
/// to standard error.
struct Gateway {
    program: Program,
    port: u16,
    server: Server,
}

impl Gateway {
    fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with these options and a gateway.
    fn with(options: &[&str]) -> Self {
        let server = Server::with(options);
        let to = format!("127.0.0.1:{}", server.port());
        let mut program = Program::start("gateway", gateway(["0", &to]), server.transcript());
        let first = program.line();
        let port = first.strip_prefix("[GATEWAY] Listening on 127.0.0.1:");
        let port = port.and_then(|port| port.strip_suffix(&format!(", for the server at {to}")));
        let port = port.and_then(|port| port.parse().ok());
        Self { program, port: port.unwrap_or_else(|| panic!("it opens with {first:?}")), server }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connects and waits for the question.
    #[track_caller]
    fn connect(&self, name: &str) -> Peer {
        let mut peer = Peer::connect(name, self.address(), self.server.transcript());
        peer.expect_bytes(b"NICKNAME");
        peer
    }

    /// Whether the gateway has a place for one more client.
    fn has_a_place(&self) -> bool {
        let mut peer = Peer::connect("newcomer", self.address(), self.server.transcript());
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

/// The gateway with these arguments. `cargo test` builds it beside the tests.
fn gateway<const N: usize>(arguments: [&str; N]) -> Command {
    let test = std::env::current_exe().expect("the test has a path");
    // target/debug/deps/chat-0123
    let program = test.ancestors().nth(2).expect("it is three deep").join("examples/gateway");
    // A test that is run alone (`--test chat`) does not have it built.
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lessons/gateway");
    let sources = sources.read_dir().expect("the sources are there").flatten();
    let is_new = sources.map(|file| modified(&file.path())).max() <= Some(modified(&program));
    assert!(is_new, "the gateway is missing or old: run `cargo build --examples` first");
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[test]
fn clients_of_both_kinds_and_of_the_server_itself_talk_in_one_room() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.listen("guest");
    alice.expect("[SERVER] guest joined the chat!");
    let mut carol = gateway.server.join("carol");
    for earlier in [&mut alice, &mut bob] {
        earlier.expect("[SERVER] carol joined the chat!");
    }

    bob.send_bytes(b"bob: hello\n");
    bob.expect("[SERVER] guest is now known as bob");
    for other in [&mut alice, &mut carol] {
        other.expect_all(["[SERVER] guest is now known as bob", "bob: hello"]);
    }
    alice.send_bytes(b"alice: hi bob");
    for other in [&mut bob, &mut carol] {
        other.expect("alice: hi bob");
    }
    carol.send("hi both");
    for other in [&mut alice, &mut bob] {
        other.expect("carol: hi both");
    }

    // One that speaks before it was taken for a guest.
    let mut dave = gateway.connect("dave");
    dave.send_bytes(b"dave: hi\n");
    dave.expect("[SERVER] Connected to the server!");
    dave.expect("[SERVER] 4 online: alice, bob, carol, dave");
    dave.send_bytes(b"dave: /quit\n");
    dave.expect("[SERVER] Goodbye!");
    dave.expect_end();
    for earlier in [&mut alice, &mut bob, &mut carol] {
        earlier.expect("[SERVER] dave joined the chat!");
        earlier.expect("dave: hi");
        earlier.expect("[SERVER] dave left the chat!");
    }

    bob.send_bytes(b"bob: /msg Alice psst\n");
    alice.expect("[bob -> you] psst");
    bob.expect("[you -> alice] psst");
    alice.send_bytes(b"alice: /quit");
    alice.expect("[SERVER] Goodbye!");
    alice.expect_end();
    for other in [&mut bob, &mut carol] {
        other.expect("[SERVER] alice left the chat!");
    }
    drop(bob);
    carol.expect("[SERVER] bob left the chat!");
}

#[test]
fn nc_is_a_client_too() {
    if !has_nc() {
        return;
    }
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut command = Command::new("nc");
    command.args(["127.0.0.1", &gateway.port.to_string()]);
    let mut nc = Program::start("nc", command, gateway.server.transcript());
    nc.expect("NICKNAME[SERVER] Connected to the server!");
    nc.expect("[SERVER] 2 online: alice, guest");
    alice.expect("[SERVER] guest joined the chat!");
    // Whoever types lines answers with one and puts no name in front.
    nc.send_text("carol\n");
    nc.expect("[SERVER] guest is now known as carol");
    alice.expect("[SERVER] guest is now known as carol");
    alice.send_bytes(b"alice: hi carol");
    nc.expect("alice: hi carol");
    nc.send_text("hi alice\n");
    alice.expect("carol: hi alice");
}

#[test]
fn one_read_is_one_message_with_all_that_follows_from_it() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    // Two messages that travel together are one.
    alice.send_bytes(b"alice: onealice: two");
    bob.expect("alice: onealice: two");
    // One that is cut within a character is two, and neither can be read.
    alice.send_bytes(b"alice: caf\xc3");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    alice.send_bytes(b"\xa9");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    // With line ends it is as everywhere, except for the end.
    alice.send_bytes(b"alice: three\n\n \nalice: four\r\nalice: five");
    bob.expect_all(["alice: three", "alice: four", "alice: five"]);
    // A blank message is none.
    alice.send_bytes(b"alice: ");
    alice.send_bytes(b"\n");
    alice.send_bytes(b"\nalice: six");
    bob.expect("alice: six");
}

#[test]
fn a_name_is_made_fit_and_unique() {
    let gateway = Gateway::start();
    let mut listener = gateway.answer("Alice", "Alice");
    for (given, nickname) in [
        ("alice", "alice-2"),
        (" bob ", "bob"),
        ("the cat!", "thecat"),
        ("//cat", "cat"),
        ("server", "server-2"),
        ("\u{1F600}", "guest"),
        (&"x".repeat(40), &"x".repeat(32)),
    ] {
        let mut peer = gateway.answer(given, nickname);
        listener.expect(&format!("[SERVER] {nickname} joined the chat!"));
        // It opens its messages with the name that it gave.
        peer.send_bytes(format!("{given}: hi").as_bytes());
        listener.expect(&format!("{nickname}: hi"));
        drop(peer);
        listener.expect(&format!("[SERVER] {nickname} left the chat!"));
    }
}

#[test]
fn many_may_give_the_same_name() {
    // More than the server lets one connection try.
    let gateway = Gateway::start();
    let mut peers = vec![gateway.answer("alice", "alice")];
    for number in 2..=13 {
        let nickname = format!("alice-{number}");
        let mut peer = gateway.connect(&nickname);
        peer.send_bytes(b"alice");
        peer.expect("[SERVER] Connected to the server!");
        let online = peer.line();
        assert!(online.starts_with(&format!("[SERVER] {number} online: ")), "{online:?}");
        assert!(online.contains(&nickname), "{online:?} has no {nickname}");
        for earlier in &mut peers {
            earlier.expect(&format!("[SERVER] {nickname} joined the chat!"));
        }
        peers.push(peer);
    }
    // Neither the questions nor the refusals of the server are for the clients.
    peers[12].send_bytes(b"alice: hi");
    peers[11].expect("alice-13: hi");
    peers[0].expect("alice-13: hi");
}

#[test]
fn nobody_speaks_in_anothers_name() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    bob.send_bytes(b"alice: I am alice");
    alice.expect("bob: alice: I am alice");
    bob.send_bytes(b"hi\nalice: I am alice\n[SERVER] So am I.");
    alice.expect_all(["bob: hi", "bob: alice: I am alice", "bob: [SERVER] So am I."]);
    // The name that one gave stays one's own prefix, and so does the one that one has.
    bob.send_bytes(b"bob: /nick robert");
    alice.expect("[SERVER] bob is now known as robert");
    bob.expect("[SERVER] bob is now known as robert");
    bob.send_bytes(b"bob: hi");
    alice.expect("robert: hi");
    bob.send_bytes(b"robert: hi");
    alice.expect("robert: hi");
    // What the client asks for itself is answered to it.
    bob.send_bytes(b"robert: /nick alice");
    bob.expect("[SERVER] The nickname alice is already taken. You keep your nickname.");
}

#[test]
fn no_piece_of_a_long_line_passes_for_anothers() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    // A line of 1024 bytes, as all else than its sender are sent it, does not fit into one recv.
    let rest = "bob: I resign";
    let filling = "x".repeat(1024 - "alice: ".len() - "\n".len());
    let text = format!("{filling}{rest}");
    assert!(text.len() > 1024, "else the server sends it on whole");
    let (first, second) = text.split_at(filling.len());
    assert_eq!(second, rest);
    let said = &text[..1024];
    alice.send_bytes(format!("alice: {said}").as_bytes());
    bob.expect(&format!("alice: {first}"));
    bob.expect(&format!("alice: {}", &said[first.len()..]));
    alice.send_bytes(b"alice: /me waves");
    bob.expect("* alice waves");
}

#[test]
fn a_message_over_the_limit_is_refused_whole() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    for bytes in [4096, 1025, 5000, 20_000] {
        alice.send_bytes(&vec![b'x'; bytes]);
        alice
            .expect(&format!("[SERVER] Not sent: That line has {bytes} bytes, the limit is 1024."));
    }
    alice.send_bytes(b"alice: in step");
    bob.expect("alice: in step");
}

#[test]
fn a_paste_of_many_lines_arrives_in_full() {
    let gateway = Gateway::with(&["--rate", "0"]);
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    let lines: Vec<String> = (0..8000).map(|number| format!("number {number};")).collect();
    let said = lines.concat();
    thread::scope(|scope| {
        scope.spawn(|| alice.send_bytes(format!("{}\n", lines.join("\n")).as_bytes()));
        // A read may end within a line, which then is two; but nothing is lost or out of order.
        let mut heard = String::new();
        while heard.len() < said.len() {
            let line = bob.line();
            heard += line.strip_prefix("alice: ").expect("it is hers");
        }
        assert!(heard == said, "heard is\n{heard}");
    });
}

#[test]
fn a_guest_can_ask_and_leave() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    for quit in ["/quit", "/EXIT\n"] {
        let mut bob = gateway.connect("bob");
        bob.send_bytes(quit.as_bytes());
        bob.lines_until("[SERVER] Goodbye!");
        bob.expect_end();
        alice.lines_until("[SERVER] guest left the chat!");
    }
    let mut bob = gateway.listen("guest");
    alice.expect("[SERVER] guest joined the chat!");
    bob.send_bytes(b"/help");
    assert_eq!(bob.line(), "[SERVER] Commands:");
    bob.lines_until("[SERVER] Anything else is sent to everyone; //text says /text.");
    bob.send_bytes(b"/who");
    bob.expect("[SERVER] 2 online: alice, guest");
    bob.send_bytes(b"/hlep");
    bob.expect("[SERVER] Unknown command: /hlep. Type /help for the commands.");
    bob.send_bytes(b"\n");
    bob.send_bytes(b"/me waves");
    for each in [&mut alice, &mut bob] {
        each.expect("* guest waves");
    }
    // It is a guest for as long as it likes.
    bob.send_bytes(b"/nick bob");
    for each in [&mut alice, &mut bob] {
        each.expect("[SERVER] guest is now known as bob");
    }
    bob.send_bytes(b"guest: hi");
    alice.expect("bob: guest: hi");
}

#[test]
fn guests_and_their_names_are_made_unique_too() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.listen("guest");
    alice.expect("[SERVER] guest joined the chat!");
    let mut carol = gateway.listen("guest-2");
    for earlier in [&mut alice, &mut bob] {
        earlier.expect("[SERVER] guest-2 joined the chat!");
    }
    // The refusals of the names that are taken are not for it.
    carol.send_bytes(b"Alice: hi\n");
    let renamed = "[SERVER] guest-2 is now known as Alice-2";
    carol.expect(renamed);
    for other in [&mut alice, &mut bob] {
        other.expect_all([renamed, "Alice-2: hi"]);
    }
    carol.send_bytes(b"Alice: again\n");
    alice.expect("Alice-2: again");
    bob.expect("Alice-2: again");
    // One that is a guest by its own word, and one whose first line comes with others.
    bob.send_bytes(b"guest: hi\nguest: there\n");
    alice.expect_all(["guest: hi", "guest: there"]);
    // The end of what it sends ends it in order, with its last words said.
    carol.end_input();
    carol.lines_until("[SERVER] Goodbye!");
    carol.expect_end();
    alice.expect("[SERVER] Alice-2 left the chat!");
}

#[test]
fn there_is_no_history() {
    let gateway = Gateway::start();
    let mut alice = gateway.server.join("alice");
    for number in 0..3 {
        alice.send(&format!("before {number}"));
    }
    alice.send("/ping");
    alice.expect("[SERVER] pong");
    let mut direct = gateway.server.join("direct");
    direct.expect("[SERVER] Last messages: 3");
    let mut bob = gateway.answer("bob", "bob");
    alice.lines_until("[SERVER] bob joined the chat!");
    alice.send("after");
    bob.expect("alice: after");
}

#[test]
fn last_words_arrive_and_connections_end_in_order() {
    let mut gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut guest = gateway.listen("guest");
    alice.expect("[SERVER] guest joined the chat!");
    gateway.server.stop();
    for peer in [&mut alice, &mut guest] {
        peer.expect("[SERVER] The server is shutting down.");
        peer.expect_end();
    }
    // Now there is none.
    let mut late = gateway.connect("late");
    late.send_bytes(b"late");
    // What it says further is not read; closing over that would reset the connection.
    late.send_bytes(&vec![b'x'; 100_000]);
    let line = late.line();
    let start = format!("[GATEWAY] No server at 127.0.0.1:{}: ", gateway.server.port());
    assert!(line.starts_with(&start) && line.ends_with(". Try again later."), "{line:?}");
    late.expect_end();
}

#[test]
fn a_server_that_dies_or_is_full_is_one_clear_line() {
    let mut gateway = Gateway::with(&["--max-clients", "1"]);
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.connect("bob");
    bob.send_bytes(b"bob");
    bob.expect("[SERVER] The server is full. Try again later.");
    bob.expect_end();
    gateway.server.signal("KILL");
    gateway.server.program().exit();
    alice.expect("[GATEWAY] The server closed the connection.");
    alice.expect_end();
}

#[test]
fn a_client_that_does_not_read_hurts_only_itself() {
    let gateway = Gateway::with(&["--rate", "0", "--history", "0", "--backlog", "1000000"]);
    let stalled = gateway.answer("stalled", "stalled");
    let mut alice = gateway.server.join("alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    let piece = format!("{}\n", "x".repeat(900)).repeat(100);
    let mut said = 0;
    'talk: loop {
        assert!(said < 400, "the server has not given it up after {said} pieces");
        alice.send_bytes(piece.as_bytes());
        alice.send(&format!("/me {said}"));
        said += 1;
        let heard = bob.lines_until(&format!("* alice {}", said - 1));
        let is_left = |line: &String| line == "[SERVER] stalled left the chat! (too slow)";
        let left = heard.iter().any(is_left);
        assert_eq!(heard.len(), 100 + usize::from(left), "bob hears every line");
        if left {
            break 'talk;
        }
    }
    drop(stalled);
    bob.send_bytes(b"bob: still here");
    alice.lines_until("bob: still here");
}

#[test]
fn a_client_over_the_limit_is_told_so() {
    let gateway = Gateway::with(&["--quiet"]);
    let mut peers: Vec<Peer> = (0..64).map(|_| gateway.connect("peer")).collect();
    let mut over = Peer::connect("over", gateway.address(), gateway.server.transcript());
    over.expect("[GATEWAY] The gateway is full. Try again later.");
    over.expect_end();
    // There is a place again once somebody has left.
    let mut last = peers.pop().expect("there are 64");
    last.send_bytes(b"/quit");
    last.lines_until("[SERVER] Goodbye!");
    last.expect_end();
    drop(last);
    poll_until("a place", || gateway.has_a_place().then_some(()));
}

#[test]
fn a_client_that_does_not_close_keeps_no_place_once_the_server_is_gone() {
    let mut gateway = Gateway::with(&["--quiet"]);
    let mut peers: Vec<Peer> = (0..64).map(|_| gateway.connect("peer")).collect();
    for peer in &mut peers {
        peer.expect("[SERVER] Connected to the server!");
    }
    assert!(!gateway.has_a_place());
    gateway.server.stop();
    for peer in &mut peers {
        peer.lines_until("[SERVER] The server is shutting down.");
        peer.expect_end();
    }
    poll_until("a place", || gateway.has_a_place().then_some(()));
}

#[test]
fn a_browser_says_nothing_in_the_chat() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut browser = gateway.connect("browser");
    browser.send_bytes(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nevil\n/me is evil\n");
    browser.expect("[GATEWAY] This is a chat, not a web server.");
    browser.expect_end();
    // Nor one that takes its time.
    let mut browser = gateway.listen("guest");
    browser.send_bytes(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nevil\n/me is evil\n");
    browser.expect("[SERVER] Goodbye!");
    alice.expect("[SERVER] guest joined the chat!");
    alice.expect("[SERVER] guest left the chat!");
}

#[test]
fn no_bytes_of_a_client_or_of_a_server_end_it() {
    let gateway = Gateway::with(&["--rate", "0", "--history", "0"]);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = |count: usize| -> Vec<u8> {
        let next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Half of them from what has a meaning somewhere.
            let meaning = b"\n\r: /nickmsg[]*\xff\xfd\x06\xc3\0guest";
            let [choice, byte, ..] = random.to_le_bytes();
            if choice % 2 == 0 { byte } else { meaning[usize::from(byte) % meaning.len()] }
        };
        std::iter::repeat_with(next).take(count).collect()
    };
    for count in (0..40).map(|round| round * 37) {
        let mut peer = gateway.connect("random");
        peer.send_bytes(&bytes(count));
        peer.end_input();
        peer.wait_for_any_end();
    }
    // As a server: it asks, welcomes, and then says anything.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let to = listener.local_addr().expect("it listens").to_string();
    let mut program =
        Program::start("gateway", self::gateway(["0", &to]), gateway.server.transcript());
    let first = program.line();
    let address = first.trim_start_matches("[GATEWAY] Listening on ");
    let address = address.split(',').next().and_then(|address| address.parse().ok());
    let address = address.expect("an address");
    for count in (0..20).map(|round| round * 500) {
        let mut client = Peer::connect("client", address, gateway.server.transcript());
        client.expect_bytes(b"NICKNAME");
        client.send_bytes(b"anyone");
        let (stream, _) = listener.accept().expect("the gateway connects");
        let mut server = Peer::on("random server", stream, gateway.server.transcript());
        if count % 1000 == 0 {
            server.send("[SERVER] Enter your nickname:");
            server.expect("anyone");
            server.send("[SERVER] Connected to the server!");
        }
        server.send_bytes(&bytes(count));
        drop(server);
        client.wait_for_any_end();
    }
    assert!(program.runs());
    assert_eq!(program.last_errors(), "");
    gateway.answer("alice", "alice");
}

#[test]
fn a_wrong_command_line_is_one_line_and_code_2() {
    for (arguments, why) in [
        (["x", "a:1"], "a port is a number from 0 to 65535, not 'x'"),
        (["0", "localhost"], "the server is HOST:PORT, not 'localhost'"),
        (["0", ":1"], "the host is empty"),
        (["0", "a:b"], "a port is a number from 0 to 65535, not 'b'"),
        (["0", "--port"], "unknown option --port"),
    ] {
        assert_eq!(Program::run(gateway(arguments), ""), usage_error(why));
    }
    let why = "unexpected argument 'c\u{FFFD}'";
    assert_eq!(Program::run(gateway(["0", "a:1", "c\x1b"]), ""), usage_error(why));
    let help = Program::run(gateway(["--help"]), "");
    assert!(help.code == Some(0) && help.output.contains("usage: gateway [PORT"), "{help:?}");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let taken = taken.local_addr().expect("it listens");
    let Finished { code, errors, .. } = {
        let _held = TcpListener::bind(taken);
        Program::run(gateway([&taken.port().to_string()]), "")
    };
    assert_eq!(code, Some(1));
    assert!(errors.starts_with(&format!("[ERROR] Could not listen on {taken}: ")), "{errors:?}");
}
