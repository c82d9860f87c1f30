//! Messages through the gateway: the bytes of one read are one message. Long lines and large numbers of lines arrive
//! complete.

use std::process::Command;
use std::thread;

use super::Gateway;
use crate::harness::{Program, has_nc};

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

    // Dave speaks before the gateway has made him a guest.
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
    command.args(["127.0.0.1", &gateway.address.port().to_string()]);
    let mut nc = Program::start("nc", command, gateway.server.transcript());
    nc.expect("NICKNAME[SERVER] Connected to the server!");
    nc.expect("[SERVER] 2 online: alice, guest");
    alice.expect("[SERVER] guest joined the chat!");
    // A person at `nc` answers with a line, and does not put a name in front of messages.
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
    // Two messages that arrive in the same read count as one message.
    alice.send_bytes(b"alice: onealice: two");
    bob.expect("alice: onealice: two");
    // A message that arrives in two reads counts as two messages. This message is cut within a character, so neither
    // half is valid UTF-8.
    alice.send_bytes(b"alice: caf\xc3");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    alice.send_bytes(b"\xa9");
    alice.expect("[SERVER] Not sent: That line is not valid UTF-8.");
    // If a read contains line ends, each line is a message, and so is the text after the last line end.
    alice.send_bytes(b"alice: three\n\n \nalice: four\r\nalice: five");
    bob.expect_all(["alice: three", "alice: four", "alice: five"]);
    // A blank message is ignored.
    alice.send_bytes(b"alice: ");
    alice.send_bytes(b"\n");
    alice.send_bytes(b"\nalice: six");
    bob.expect("alice: six");
}

#[test]
fn no_piece_of_a_long_line_passes_for_anothers() {
    let gateway = Gateway::start();
    let mut alice = gateway.answer("alice", "alice");
    let mut bob = gateway.answer("bob", "bob");
    alice.expect("[SERVER] bob joined the chat!");
    // The gateway's clients read at most 1,024 bytes with one `recv`. A text of 1,024 bytes makes a longer message,
    // since the sender's name is in front of the text. So the gateway has to split the message.
    let rest = "bob: I resign";
    let filling = "x".repeat(1024 - "alice: ".len() - "\n".len());
    let text = format!("{filling}{rest}");
    assert!(text.len() > 1024, "a shorter line would not be split");
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
        // A read may end within a line. That line then becomes two messages, but nothing is lost or reordered.
        let mut heard = String::new();
        while heard.len() < said.len() {
            let line = bob.line();
            heard += line.strip_prefix("alice: ").expect("every line is from alice");
        }
        assert!(heard == said, "bob has received\n{heard}");
    });
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
