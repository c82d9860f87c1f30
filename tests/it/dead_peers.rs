//! Dead peers: the system sends keep-alive probes to every silent peer. When a peer's cable is pulled, the connection
//! must end within two minutes. `tests/cable.sh` tests that.

use chat::protocol::replies;

use crate::harness::{Server, poll_until, proc};

#[test]
fn every_connection_is_asked_whether_its_peer_is_there() {
    let server = Server::start();
    let alice = server.join("alice");
    let mut unnamed = server.connect("unnamed");
    unnamed.expect(replies::ENTER_NICKNAME);
    for peer in [&alice, &unnamed] {
        // `/proc` shows only one timer of a connection. Once the peer has acknowledged everything, `/proc`
        // shows the keep-alive timer.
        let due = poll_until("a keep-alive timer", || {
            proc::socket(server.address(), peer.address())?.keepalive
        });
        assert!(due <= 60_00, "the first probe is due in {due} hundredths of a second");
    }
}
