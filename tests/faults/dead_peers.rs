//! Dead peers: that the system asks after every one of them. That it then finds those behind a
//! pulled cable takes two minutes, and is shown by `tests/siege/cable.sh`.

use std::fs;

use chat::protocol::replies;

use crate::harness::Server;

#[test]
fn every_connection_is_asked_whether_its_peer_is_there() {
    let server = Server::with(&[]);
    let alice = server.join("alice");
    let mut unnamed = server.connect();
    unnamed.expect(replies::ENTER_NICKNAME);
    let port = |port: u16| format!("0100007F:{port:04X}");
    for peer in [&alice, &unnamed] {
        // The server's end: its address first, then the peer's.
        let ends = [server.address().port(), peer.stream().local_addr().unwrap().port()].map(port);
        // Once everything is acknowledged, the only timer is that of keep-alive: `02:`, and then
        // when it is due, in hundredths of a second.
        let due = crate::harness::wait_for("a keep-alive timer", || {
            let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
            let socket = sockets.lines().find(|line| line.contains(&ends.join(" ")))?;
            let timer = socket.split_whitespace().nth(5)?.strip_prefix("02:")?;
            u64::from_str_radix(timer, 16).ok()
        });
        assert!(due <= 60_00, "the first question comes in {due} hundredths of a second");
    }
}
