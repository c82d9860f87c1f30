//! Dead peers: the system sends keep-alive probes to every silent peer. If the peer's cable has been pulled, it takes
//! up to two minutes until the connection ends. `tests/cable.sh` tests that.

use chat::protocol::replies;

use crate::harness::{Server, poll_until, proc};

#[test]
fn every_connection_is_asked_whether_its_peer_is_there() {
    let server = Server::start();
    let alice = server.join("alice");
    let mut unnamed = server.connect("unnamed");
    unnamed.expect(replies::ENTER_NICKNAME);
    for peer in [&alice, &unnamed] {
        // `/proc` shows one timer only: the keep-alive timer, once everything that was sent is acknowledged.
        let due = poll_until("a keep-alive timer", || {
            proc::socket(server.address(), peer.address())?.keepalive
        });
        assert!(due <= 60_00, "the first probe is due in {due} hundredths of a second");
    }
}
