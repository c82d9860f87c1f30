//! The number of the server's open descriptors and threads, from `/proc`, which only Linux has.

use crate::harness::proc::Sample;
use crate::harness::{Peer, Server, poll_until, taken};

/// Returns the number of the server's descriptors, and the number of its threads.
fn resources(server: &Server) -> (usize, usize) {
    let usage = server.usage();
    (usage.descriptors, usage.threads)
}

/// Waits until two counts in a row are the same, and returns the numbers. The wait is necessary because the C library
/// opens a file for a moment when a thread allocates memory for the first time.
#[track_caller]
fn steady_resources(server: &Server, asker: &mut Peer) -> (usize, usize) {
    let mut last = resources(server);
    poll_until("two equal looks", || {
        asker.send("/me asks");
        asker.lines_until("* asker asks");
        let now = resources(server);
        (std::mem::replace(&mut last, now) == now).then_some(now)
    })
}

/// Waits until the server has this many descriptors and threads. Before each count, `asker` sends an action and waits
/// until the server sends it back. That gives the server time, and shows that the server still works.
#[track_caller]
fn expect_resources(server: &Server, asker: &mut Peer, descriptors: usize, threads: usize) {
    poll_until(format_args!("{descriptors} descriptors and {threads} threads"), || {
        asker.send("/me asks");
        asker.lines_until("* asker asks");
        (resources(server) == (descriptors, threads)).then_some(())
    });
}

#[test]
fn a_client_costs_one_descriptor_and_one_thread() {
    let server = Server::with(&["--rate", "0"]);
    let mut asker = server.join("asker");
    let (descriptors, threads) = steady_resources(&server, &mut asker);
    let mut peers = Vec::new();
    for n in 1..=30 {
        peers.push(server.join(&format!("u{n}")));
    }
    expect_resources(&server, &mut asker, descriptors + 30, threads + 30);
    // A client without a nickname also costs one descriptor and one thread.
    for _ in 0..10 {
        let mut unnamed = server.connect("unnamed");
        unnamed.expect("[SERVER] Enter your nickname:");
        peers.push(unnamed);
    }
    expect_resources(&server, &mut asker, descriptors + 40, threads + 40);
    drop(peers);
    expect_resources(&server, &mut asker, descriptors, threads);
}

#[test]
fn a_thousand_joins_and_leaves_leave_descriptors_and_threads_where_they_were() {
    let server = Server::with(&["--rate", "0"]);
    let mut asker = server.join("asker");
    let (descriptors, threads) = steady_resources(&server, &mut asker);
    for n in 0..1000 {
        let mut peer = server.join("guest");
        asker.expect("[SERVER] guest joined the chat!");
        match n % 4 {
            0 => {
                peer.send("/quit");
                asker.expect("[SERVER] guest left the chat!");
            }
            1 => {
                peer.end_input();
                asker.expect("[SERVER] guest left the chat!");
            }
            2 => {
                // The guest does not read this message, so that closing its socket resets the connection.
                asker.send("unread");
                peer.reset();
                asker.expect("[SERVER] guest left the chat! (connection lost)");
            }
            _ => {
                // Two more clients connect here. They never join, so nobody is notified of them.
                server.connect("unnamed").reset();
                let mut refused = server.connect("refused");
                refused.send("guest");
                refused.expect("[SERVER] Enter your nickname:");
                refused.expect(&taken("guest"));
                refused.end_input();
                peer.send("/quit");
                asker.expect("[SERVER] guest left the chat!");
            }
        }
    }
    expect_resources(&server, &mut asker, descriptors, threads);
    asker.send("/who");
    asker.expect("[SERVER] 1 online: asker");
}

#[test]
fn the_work_of_a_process_shows() {
    let before = Sample::of("self").unwrap();
    let mut after = before;
    let mut numbers = 0_u64;
    while after.cpu_since(&before) < 0.05 {
        numbers = (0..1_000_000).fold(numbers, |sum, n| std::hint::black_box(sum ^ n));
        after = Sample::of("self").unwrap();
    }
    assert!(after.threads >= 1 && after.descriptors >= 3 && after.resident_kib > 100);
    assert!(after.peak_kib >= after.resident_kib);
    assert!(Sample::of("0").is_err(), "there is no such process");
}
