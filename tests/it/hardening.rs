//! Attacks that need few resources, and the damage that they must not do to other clients.
//!
//! In an earlier version of the server, each of these attacks disconnected a client, used up all connections that the
//! server accepts, or made the server lose messages. Attacks that need a heavy load, a long time or several addresses
//! are in `load soak`, `load end` and `tests/addresses.sh`.

use std::ffi::{c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use chat::protocol::replies;

use crate::harness::proc;
use crate::harness::{Peer, Server, leave_out, poll_every, poll_until, shell};

/// Returns an address of this machine other than a loopback address. Packets to this address do not leave the machine.
/// If there is no such address, prints that the test is left out.
pub(crate) fn own_address() -> Option<IpAddr> {
    // Connecting a UDP socket sends no packet. The system only chooses the route, and with it the socket's own address.
    // The destination is in TEST-NET-1, which is reserved for documentation (RFC 5737).
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr())
    });
    let address = route.ok().map(|address| address.ip()).filter(|address| !address.is_loopback());
    if address.is_none() {
        leave_out("this machine has no address except loopback");
    }
    address
}

#[test]
fn lines_sent_before_a_connection_broke_are_still_delivered() {
    let server = Server::with(&["--rate", "100"]);
    let [mut alice, mut carol] = server.join_all(["alice", "carol"]);
    let mut bob = server.join("bob");
    carol.expect("[SERVER] bob joined the chat!");
    alice.send("unread");
    carol.expect("alice: unread");
    // Bob sends more lines than the rate allows at once. So most of them are still waiting when the connection breaks.
    let said: Vec<_> = (0..400).map(|n| format!("line {n}")).collect();
    bob.send(&said.join("\n"));
    bob.reset();
    let mut heard = Vec::new();
    loop {
        match carol.line() {
            line if line == "[SERVER] bob left the chat! (connection lost)" => break,
            // The server tries to send each "me too" to the broken connection as well.
            line if line.starts_with("bob: ") => {
                alice.send("me too");
                heard.push(line);
            }
            line => assert_eq!(line, "alice: me too"),
        }
    }
    assert_eq!(heard, said.iter().map(|line| format!("bob: {line}")).collect::<Vec<_>>());
}

#[test]
fn any_amount_of_private_text_leaves_a_reader_connected() {
    let server = Server::start();
    let mut victim = server.join("victim");
    let mut senders: Vec<Peer> = (0..60).map(|n| server.join(&format!("s{n}"))).collect();
    let text = "y".repeat(1000);
    let (burst, times) = (format!("/msg victim {text}\n"), 190);
    for sender in &mut senders {
        sender.send_bytes(burst.repeat(times).as_bytes());
    }
    // All messages are confirmed, although the victim has not read any of them yet.
    for (n, sender) in senders.iter_mut().enumerate() {
        sender.send("/me is done");
        let lines = sender.lines_until(&format!("* s{n} is done"));
        let confirmed = lines.iter().filter(|line| line.starts_with("[you -> victim] ")).count();
        assert_eq!(confirmed, times, "s{n}");
    }
    let mut told = 0;
    while told < times * senders.len() {
        told += usize::from(victim.line().ends_with(&text));
    }
    victim.send("here I am");
    senders[0].lines_until("victim: here I am");
}

/// Sends private messages to a client that does not read, until the server keeps at least `kept` bytes for this client.
/// Returns whether the server accepted all of the messages.
fn tell_too_much(talker: &mut Peer, reader: &Peer, kept: u64) -> bool {
    let text = "y".repeat(1000);
    let name = reader.name().to_owned();
    let told = format!("[you -> {name}] {text}");
    let mut said = 0;
    while said < kept + reader.bytes_held_by_system() {
        // `bytes_held_by_system` is slow on a system with many sockets, so it is called only once for 400 messages.
        // More calls could take ten seconds, and the server would then disconnect the reader as too slow.
        talker.send_bytes(format!("/msg {name} {text}\n").repeat(400).as_bytes());
        let answers = std::iter::repeat_with(|| talker.line());
        // On a slow machine, the server may disconnect clients as too slow. The notices of these leaves are skipped.
        let answers = answers.filter(|line| !line.ends_with(" left the chat! (too slow)"));
        if answers.take(400).filter(|line| *line == told).count() < 400 {
            return false;
        }
        said += 400_000;
    }
    true
}

#[test]
fn private_text_that_was_taken_is_not_kept_although_somebody_is_further_behind() {
    let server = Server::with(&["--rate", "0", "--backlog", "8000000"]);
    let [mut talker, reader, mut pulse] = server.join_all(["talker", "reader", "pulse"]);
    // The reader is behind now, so the server keeps all text that is sent to the room from now on.
    assert!(tell_too_much(&mut talker, &reader, 500_000));
    // The text of all turns together is larger than the backlog. The text of one turn is much smaller.
    for turn in 0..18 {
        assert!(tell_too_much(&mut talker, &pulse, 500_000), "in turn {turn}");
        talker.send(&format!("/msg pulse turn {turn}"));
        // On a slow machine, the server may disconnect the reader as too slow. `lines_until` skips that notice.
        talker.lines_until(&format!("[you -> pulse] turn {turn}"));
        pulse.lines_until(&format!("[talker -> you] turn {turn}"));
    }
}

#[test]
fn unread_private_text_leaves_space_for_other_clients() {
    let server = Server::with(&["--rate", "0", "--backlog", "16000000"]);
    let mut talker = server.join("talker");
    let hoarders: Vec<Peer> = (0..3).map(|n| server.join(&format!("hoarder{n}"))).collect();
    let reader = server.join("reader");
    talker.lines_until("[SERVER] reader joined the chat!");
    for hoarder in &hoarders {
        while tell_too_much(&mut talker, hoarder, 100_000_000) {}
    }
    assert!(
        tell_too_much(&mut talker, &reader, 200_000),
        "the hoarders have used up the reader's space"
    );
}

#[test]
fn private_text_for_a_client_that_reads_nothing_is_bounded() {
    let server = Server::with(&["--rate", "0", "--backlog", "2000000"]);
    let [mut talker, mut stalled] = server.join_all(["talker", "stalled"]);
    let text = "y".repeat(1000);
    let (told, refused) =
        (format!("[you -> stalled] {text}"), replies::not_sent(replies::TOLD_TOO_MUCH));
    // Continues until the system's buffers at both ends are full, and the server refuses to keep more text.
    let (mut said, mut taken) = (0, 0);
    while said == taken {
        talker.send_bytes(format!("/msg stalled {text}\n").repeat(100).as_bytes());
        said += 100;
        for _ in 0..100 {
            match talker.line() {
                line if line == told => taken += 1,
                line => assert_eq!(line, refused),
            }
        }
        assert!(said < 40_000, "40 MB are kept for a client that reads nothing");
    }
    // Every message that was confirmed arrives. After that, the server accepts private messages for the client again.
    for _ in 0..taken {
        stalled.expect(&format!("[talker -> you] {text}"));
    }
    poll_until("a private message that is accepted", || {
        talker.send("/msg stalled are you there?");
        (talker.line() != refused).then_some(())
    });
    stalled.expect("[talker -> you] are you there?");
}

#[test]
fn the_time_in_which_the_server_did_not_run_is_not_held_against_a_reader() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, mut reader] = server.join_all(["talker", "listener", "reader"]);
    Server::leave_behind_by(600_000, &mut talker, &mut listener, &reader);
    server.signal("STOP");
    // The server disconnects a client that reads nothing for ten seconds. This pause is longer.
    thread::sleep(Duration::from_secs(13));
    server.signal("CONT");
    talker.send("/me is back");
    reader.lines_until("* talker is back");
    let heard = listener.lines_until("* talker is back");
    assert!(heard.is_empty(), "nobody left: {heard:?}");
    reader.send("me too");
    talker.lines_until("reader: me too");
}

#[test]
fn a_long_history_is_bounded_and_kept_once_however_many_join() {
    let server = Server::with(&["--rate", "0", "--history", "1000"]);
    let mut talker = server.join("talker");
    talker.send_bytes(format!("{}\n", "z".repeat(1000)).repeat(1200).as_bytes());
    talker.send("/me is done");
    talker.expect("* talker is done");
    let before = server.usage().peak_kib;
    // The server is stopped while the newcomers connect. When the server continues, it lets all of them in at once.
    server.signal("STOP");
    let mut newcomers: Vec<Peer> = Vec::new();
    for n in 0..60 {
        let mut newcomer = server.connect("newcomer");
        newcomer.send(&format!("n{n}"));
        newcomers.push(newcomer);
    }
    server.signal("CONT");
    for _ in 0..60 {
        talker.line();
    }
    let grown = server.usage().peak_kib - before;
    assert!(grown < 20 << 10, "{grown} KiB more for 60 newcomers");
    // A newcomer gets at most 256 KiB of history, even if the configured number of lines takes up more.
    for newcomer in &mut newcomers {
        newcomer.lines_until("[SERVER] Connected to the server!");
        newcomer.line();
        let title = newcomer.line();
        assert_eq!(title, "[SERVER] Last messages: 260");
        for _ in 0..259 {
            assert!(newcomer.line().starts_with("talker: zz"));
        }
        newcomer.expect("* talker is done");
    }
}

#[test]
fn urgent_data_is_part_of_the_stream() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    // These two bytes are telnet's data mark, which is the end of what telnet sends for Ctrl-C.
    bob.send_bytes(&[0xFF]);
    send_urgent(&bob, 0xF2);
    bob.send("hello");
    alice.expect("bob: hello");
    // All bytes that telnet sends for Ctrl-C: interrupt process, do timing mark, and the data mark.
    bob.send_bytes(&[0xFF, 0xF4, 0xFF, 0xFD, 0x06, 0xFF]);
    send_urgent(&bob, 0xF2);
    bob.expect_bytes(&[0xFF, 0xFC, 0x06]);
    bob.send("and on");
    alice.expect("bob: and on");
}

/// Sends a byte as urgent data (RFC 6093).
fn send_urgent(peer: &Peer, byte: u8) {
    #[expect(unsafe_code, reason = "std cannot send it")]
    unsafe extern "C" {
        fn send(socket: c_int, bytes: *const c_void, count: usize, flags: c_int) -> isize;
    }
    const MSG_OOB: c_int = 1;
    let byte = [byte];
    #[expect(unsafe_code, reason = "std cannot send it")]
    // SAFETY: `byte` lives until the call has returned, and the call reads only this one byte.
    let sent = unsafe { send(peer.stream().as_raw_fd(), byte.as_ptr().cast(), 1, MSG_OOB) };
    assert_eq!(sent, 1);
}

#[test]
fn a_browser_does_not_speak_for_its_user() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["alice", "bob"]);
    let headers = "Host: 127.0.0.1\r\nContent-Length: 12\r\n\r\nx\nhi\n/quit\n";
    for request in ["POST / HTTP/1.1", "GET /x HTTP/1.0", "OPTIONS * HTTP/1.1", "PUT /a b HTTP/1.1"]
    {
        let mut browser = server.connect("browser");
        browser.send_bytes(format!("{request}\r\n{headers}").as_bytes());
        browser.expect(replies::ENTER_NICKNAME);
        browser.expect_last(replies::NOT_A_WEB_SERVER);
    }
    bob.send("marker");
    alice.expect("bob: marker");
}

#[test]
fn the_prompt_has_a_rate_too() {
    let server = Server::with(&["--rate", "100"]);
    for question in [&b"/help\n"[..], &[0xFF, 0xFD, 0x06]] {
        let start = Instant::now();
        let mut peer = server.connect("peer");
        peer.send_bytes(&question.repeat(260));
        peer.send_bytes(b"/quit\n");
        let answer = peer.rest();
        assert!(answer.ends_with(format!("{}\n", replies::GOODBYE).as_bytes()));
        // Of the 260 questions, 200 may come at once. The other 60, at 100 a second, take at least 600 ms on any
        // machine.
        assert!(start.elapsed() >= Duration::from_millis(600));
    }
}

#[test]
fn joins_from_one_address_have_a_rate() {
    let Some(address) = own_address() else { return };
    let server = Server::with(&["--host", &address.to_string(), "--rate", "25"]);
    let start = Instant::now();
    // All clients of an address together may use eight times the rate of one client: 1,600 tokens at once and 200 a
    // second. A join costs eleven tokens. So 182 joins cost 2,002 tokens, and the last 400 tokens take two seconds.
    for n in 0..182 {
        let mut peer = server.connect("peer");
        peer.send_bytes(format!("n{n}\n/quit\n").as_bytes());
        peer.lines_until(replies::GOODBYE);
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_client_that_left_without_reading_still_takes_a_place() {
    let Some(address) = own_address() else { return };
    let limit = 8;
    let script = "ulimit -n 150; exec \"$SERVER\" --host 0.0.0.0 --port 0 --max-per-address 8";
    let server = Server::of(shell(script));
    let before = server.usage();
    let there = SocketAddr::new(address, server.port());
    let mut leavers = Vec::new();
    for n in 0..300 {
        let leaver = Peer::connect("leaver", there, server.transcript());
        let question = "/who\n".repeat(12);
        // The write fails for a client that the server has turned away.
        let _ = std::io::Write::write_all(
            &mut leaver.stream(),
            format!("q{n}\n{question}/quit\n").as_bytes(),
        );
        leavers.push(leaver);
        let usage = server.usage();
        // The server can have additional descriptors open: for sixteen connections that it is refusing, and for one
        // connection that it has just accepted.
        assert!(usage.descriptors <= before.descriptors + limit + 16 + 1, "{usage:?}");
        // A client's place becomes free shortly before the client's thread ends. So for a moment there can be twice as
        // many threads as places.
        assert!(usage.threads <= before.threads + 2 * limit, "{usage:?}");
    }
    // A client from another address still gets in.
    let _honest = server.join("honest");
}

#[test]
fn unread_data_of_a_client_that_left_is_soon_dropped() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, mut leaver] = server.join_all(["talker", "listener", "leaver"]);
    // This text is larger than the receive buffer at the leaver's end, but smaller than the buffers at both ends
    // together.
    talker.send_bytes(format!("{}\n", "x".repeat(1000)).repeat(800).as_bytes());
    talker.send("/me is done");
    listener.lines_until("* talker is done");
    leaver.send("/quit");
    listener.expect("[SERVER] leaver left the chat!");
    let far_end = leaver.stream().peer_addr().unwrap();
    let kept = || Some(proc::socket(far_end, leaver.address())?.unacknowledged);
    assert!(kept() > Some(100_000), "{:?}", kept());
    // If the server only closed the socket, the system would keep the data for longer than `poll_every` waits.
    poll_every(Duration::from_millis(100), "a socket that is gone", || {
        kept().is_none().then_some(())
    });
}

#[test]
fn send_buffers_shrink_as_the_number_of_clients_grows() {
    let server = Server::with(&["--rate", "0"]);
    let [mut talker, mut listener, alone] = server.join_all(["talker", "listener", "alone"]);
    let kept = |peer: &Peer| {
        let far_end = peer.stream().peer_addr().unwrap();
        proc::socket(far_end, peer.address()).unwrap().unacknowledged
    };
    // While there are few clients, the system keeps about one mebibyte for each client.
    Server::leave_behind(&mut talker, &mut listener, &alone);
    assert!((900 << 10..1400 << 10).contains(&kept(&alone)), "{} bytes", kept(&alone));
    let early = server.join("early");
    talker.expect("[SERVER] early joined the chat!");
    listener.expect("[SERVER] early joined the chat!");
    let crowd: Vec<Peer> = (0..600).map(|_| server.connect("crowd")).collect();
    let late = server.join("late");
    talker.expect("[SERVER] late joined the chat!");
    listener.expect("[SERVER] late joined the chat!");
    Server::leave_behind(&mut talker, &mut listener, &early);
    Server::leave_behind(&mut talker, &mut listener, &late);
    // With 600 clients the limit is about 512 KiB for `early`, and less for `late`. The system may exceed the limit by
    // the size of one write.
    for peer in [&early, &late] {
        let kept = kept(peer);
        assert!((300 << 10..800 << 10).contains(&kept), "{kept} bytes for {}", peer.name());
    }
    drop(crowd);
}
