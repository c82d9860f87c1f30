//! A million random inputs to the server. An input may end its own connection, but it must not affect other
//! connections. The server must still read the later lines of the same connection correctly.
//!
//! An input consists of random bytes, or of pieces that have a meaning (commands, telnet sequences, halves of
//! characters, line ends) in random order. After each input, the test sends a line end and a question whose answer is
//! known. A connection is *in step* if all answers arrive, in order. The server may also close a connection, after a
//! line with the reason.

use std::thread;

use chat::protocol::replies;

use crate::harness::random::Random;
use crate::harness::{Peer, Server};

const SEED: u64 = 20_240_229;
const THREADS: usize = 4;
const INPUTS_OF_A_THREAD: usize = 250_000;
const INPUTS_OF_A_CONNECTION: usize = 500;

/// Pieces with a meaning: commands, line ends, telnet sequences, and whole and incomplete characters of UTF-8.
const PIECES: &[&[u8]] = &[
    b"/",
    b"//",
    b"/help",
    b"/who",
    b"/users ",
    b"/nick ",
    b"/nick a",
    b"/msg ",
    b"/msg x y",
    b"/me ",
    b"/QUIT",
    b"/exit now",
    b"\n",
    b"\r",
    b"\r\n",
    b" ",
    b"\t",
    b"\0",
    b"\x1b[2J",
    b"\x7f",
    b"hello",
    b"[SERVER] ",
    b": ",
    b"\xff",
    b"\xff\xff",
    b"\xff\xfd\x06",
    b"\xff\xfd",
    b"\xff\xfa",
    b"\xff\xf0",
    b"\xff\xf4",
    b"\xc3",
    b"\xa9",
    b"\xf0\x9f",
    b"\xe2\x80\xae",
    b"e\xcc\x81",
    b"\xed\xa0\x80",
];

/// Appends one input.
fn input(random: &mut Random, to: &mut Vec<u8>) {
    match random.below(100) {
        // A line whose length is close to the limit, or far above it.
        0 => {
            let length = [1023, 1024, 1025, 1026, 5000][random.below(5)];
            to.extend(std::iter::repeat_n(b'a' + random.number().to_le_bytes()[0] % 26, length));
        }
        1..50 => {
            let count = random.below(12);
            to.append(&mut random.bytes(count));
        }
        _ => (0..random.below(5)).for_each(|_| to.extend(PIECES[random.below(PIECES.len())])),
    }
}

/// The answer to the question after the `n`-th input. It consists of these two texts, with the number `n` between them.
const ANSWER: (&str, &str) = ("[SERVER] No such nickname: !", ".");

/// Appends the question after the `n`-th input: a private message to a nickname that is not valid, so that nobody can
/// have it.
fn question(n: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(format!("\n/msg !{n} x\n").as_bytes());
}

/// Sends the inputs of one connection, and checks everything that is received. Returns the number of inputs after which
/// the connection was in step.
fn attack(server: &Server, name: &str, random: &mut Random) -> Result<usize, String> {
    let mut sent = Vec::new();
    // One connection in eight quits at a random input.
    let quits = random.below(8 * INPUTS_OF_A_CONNECTION);
    // The first inputs are sent before the nickname.
    (0..random.below(3)).for_each(|_| input(random, &mut sent));
    sent.extend_from_slice(format!("\n{name}\n").as_bytes());
    for n in 0..INPUTS_OF_A_CONNECTION {
        input(random, &mut sent);
        if n == quits {
            sent.extend_from_slice(b"\n/QUIT\n");
        }
        question(n, &mut sent);
    }
    // The last input has no line end.
    input(random, &mut sent);
    let mut peer = server.connect(name);
    let received = exchange(&mut peer, &sent);
    // An answer to a telnet sequence is not a line: its three bytes are in front of a line.
    let lines: Vec<&[u8]> = received.split(|&byte| byte == b'\n').collect();
    let lines = lines.iter().map(|line| {
        let mut line = *line;
        while let Some(rest) = line.strip_prefix(b"\xff\xfc\x06") {
            line = rest;
        }
        std::str::from_utf8(line).map_err(|_| format!("not UTF-8: {line:x?}"))
    });
    let lines = lines.collect::<Result<Vec<_>, _>>()?;
    let [.., last, ""] = lines[..] else { return Err(format!("torn: {:?}", lines.last())) };
    let mut answers = 0;
    for line in &lines {
        if let Some(answer) = line.strip_prefix(ANSWER.0) {
            if answer.strip_suffix(ANSWER.1).and_then(|n| n.parse().ok()) != Some(answers) {
                return Err(format!("'{line}' in place of answer {answers}"));
            }
            answers += 1;
        }
    }
    match last {
        replies::GOODBYE => Ok(answers),
        replies::TOO_MANY_TRIES if answers == 0 => Ok(0),
        _ => Err(format!("after {answers} answers the connection ended with '{last}'")),
    }
}

/// Sends all bytes, and reads to the end of the connection at the same time. Returns the received bytes.
fn exchange(peer: &mut Peer, bytes: &[u8]) -> Vec<u8> {
    let mut writer = peer.stream().try_clone().expect("there are descriptors left");
    thread::scope(|scope| {
        scope.spawn(move || {
            // The write fails if a `/quit` among the bytes has already ended the session.
            let _ = std::io::Write::write_all(&mut writer, bytes);
            let _ = writer.shutdown(std::net::Shutdown::Write);
        });
        peer.rest()
    })
}

#[test]
fn a_million_random_inputs_leave_every_connection_in_step_or_closed_with_a_line() {
    let mut server = Server::with(&["--rate", "0", "--quiet"]);
    let room = &server;
    thread::scope(|scope| {
        for t in 0..THREADS {
            scope.spawn(move || {
                let mut random = Random::new(SEED + t as u64);
                let (mut inputs, mut connections) = (0, 0);
                while inputs < INPUTS_OF_A_THREAD {
                    let name = format!("fuzz-{t}-{connections}");
                    match attack(room, &name, &mut random) {
                        Ok(in_step) => inputs += in_step,
                        Err(what) => panic!("{name}, seed {SEED}: {what}"),
                    }
                    connections += 1;
                }
            });
        }
    });
    // Check that the room is empty now, and that the log contains no errors.
    let mut witness = server.connect("witness");
    witness.send("witness");
    witness.expect_all([replies::ENTER_NICKNAME, replies::CONNECTED]);
    witness.expect("[SERVER] 1 online: witness");
    server.signal("TERM");
    let log = server.program().finish().output;
    assert_eq!(log, "[SERVER] Shutting down...\n");
}
