//! Dead peers: the system asks every silent peer whether it is still there. To find that a peer is behind a
//! pulled cable takes two minutes. `tests/cable.sh` shows that.

use chat::protocol::replies;

use crate::harness::{Server, poll_until, proc};

#[test]
fn every_connection_is_asked_whether_its_peer_is_there() {
    let server = Server::start();
    let alice = server.join("alice");
    let mut unnamed = server.connect("unnamed");
    unnamed.expect(replies::ENTER_NICKNAME);
    for peer in [&alice, &unnamed] {
        // Once everything is acknowledged, no other timer runs.
        let due = poll_until("a keep-alive timer", || {
            proc::socket(server.address(), peer.address())?.keepalive
        });
        assert!(due <= 60_00, "the first question comes in {due} hundredths of a second");
    }
}
