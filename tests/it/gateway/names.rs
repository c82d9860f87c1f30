//! Names behind the gateway. The gateway makes them valid and unique. A client may send its name late or never, and
//! cannot speak under the name of another client.

use super::Gateway;

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
        // The client begins its messages with the name that it sent, not with the nickname that it got.
        peer.send_bytes(format!("{given}: hi").as_bytes());
        listener.expect(&format!("{nickname}: hi"));
        drop(peer);
        listener.expect(&format!("[SERVER] {nickname} left the chat!"));
    }
}

#[test]
fn many_may_give_the_same_name() {
    // Thirteen clients give the same name. For the last of them, the gateway has to try more nicknames than the server
    // allows on one connection.
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
    // The server's prompts and refusals during these tries were not passed on to the clients.
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
    // After a rename, the gateway removes both the old name and the new name from the start of a message.
    bob.send_bytes(b"bob: /nick robert");
    alice.expect("[SERVER] bob is now known as robert");
    bob.expect("[SERVER] bob is now known as robert");
    bob.send_bytes(b"bob: hi");
    alice.expect("robert: hi");
    bob.send_bytes(b"robert: hi");
    alice.expect("robert: hi");
    // If the client itself asks for a rename and the server refuses, the gateway passes the refusal on to the client.
    bob.send_bytes(b"robert: /nick alice");
    bob.expect("[SERVER] The nickname alice is already taken. You keep your nickname.");
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
    // A guest may keep its name, or choose another one with /nick.
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
    // The gateway itself requests this rename. The server refuses the name as taken, and the gateway does not pass the
    // refusal on to the client.
    carol.send_bytes(b"Alice: hi\n");
    let renamed = "[SERVER] guest-2 is now known as Alice-2";
    carol.expect(renamed);
    for other in [&mut alice, &mut bob] {
        other.expect_all([renamed, "Alice-2: hi"]);
    }
    carol.send_bytes(b"Alice: again\n");
    alice.expect("Alice-2: again");
    bob.expect("Alice-2: again");
    // This client uses the name `guest`, and its first two lines arrive together.
    bob.send_bytes(b"guest: hi\nguest: there\n");
    alice.expect_all(["guest: hi", "guest: there"]);
    // When a client ends its stream, the gateway passes the goodbye on and then closes the connection.
    carol.end_input();
    carol.lines_until("[SERVER] Goodbye!");
    carol.expect_end();
    alice.expect("[SERVER] Alice-2 left the chat!");
}
