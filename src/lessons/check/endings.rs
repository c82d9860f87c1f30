//! The ends of connections, and errors that must not end the server: checks 9 to 12.

use std::thread;
use std::time::{Duration, Instant};

use super::Verdict;
use super::kernel;
use super::peer::{Peer, short};
use super::server::Server;

/// The kernel's number for the keep-alive timer.
const KEEP_ALIVE: &str = "02";

pub(crate) fn descriptors(server: &mut Server) -> Verdict {
    const SENT: &str = "100 connected to a server with 40 descriptors";
    let wire = server.examination.wire;
    let (mut alice, mut bob) = (server.join("alice")?, server.join("bob")?);
    let crowd: Vec<_> = (0..100).map_while(|_| server.connect().ok()).collect();
    thread::sleep(Duration::from_millis(100));
    alice.send("still here?")?;
    bob.expect(&wire.said("alice", "still here?"))
        .map_err(|why| format!("{SENT}; bob saw {why}"))?;
    drop(crowd);
    let start = Instant::now();
    // Carol tries several times, because the server may pause after an error, or may still be busy with clients that
    // have left.
    while let Err(why) = server.join("carol") {
        if start.elapsed() > 2 * server.examination.patience {
            return Err(format!("{SENT}, and left; then {why}"));
        }
    }
    bob.until(|line| wire.is_join(line, "carol")).map_err(|why| format!("{SENT}; bob: {why}"))?;
    Ok(format!("{SENT}: those inside noticed nothing, and carol was let in later"))
}

pub(crate) fn keep_alive(server: &mut Server) -> Verdict {
    let alice = server.join("alice")?;
    if alice.server_end().is_none() {
        return Err("this kernel does not tell whether a timer runs".to_owned());
    }
    // Until the last data is acknowledged, the kernel runs a different timer. So the check waits for the keep-alive
    // timer.
    let asks = || alice.server_end().is_some_and(|socket| socket.timer == KEEP_ALIVE);
    if kernel::wait_until(server.examination.patience, asks) {
        return Ok("the kernel's keep-alive timer runs".to_owned());
    }
    Err("alice said nothing, and no timer runs that would ask her whether she is there".to_owned())
}

/// Carol joins, receives a message, and closes her connection without reading the message.
pub(crate) fn break_carol_off(server: &Server, alice: &mut Peer) -> Result<(), String> {
    let wire = server.examination.wire;
    let carol = server.join("carol")?;
    alice.until(|line| wire.is_join(line, "carol"))?;
    alice.send("hello carol")?;
    carol.break_off()
}

pub(crate) fn leaves_once(server: &mut Server) -> Verdict {
    const SENT: &str = "carol's connection was reset";
    let wire = server.examination.wire;
    let mut alice = server.join("alice")?;
    for _ in 0..3 {
        break_carol_off(server, &mut alice)?;
        alice
            .until(|line| wire.is_leave(line, "carol"))
            .map_err(|why| format!("{SENT}, and alice saw no leave: {why}"))?;
    }
    let mut dave = server.join("dave")?;
    dave.send("anything else?")?;
    let lines = alice.expect(&wire.said("dave", "anything else?"))?;
    if let Some(line) = lines.iter().find(|line| wire.is_leave(line, "carol")) {
        return Err(format!("{SENT}, and alice saw {:?} twice", short(line)));
    }
    Ok(format!("{SENT}, three times: each time her name was free again, and alice saw one leave"))
}

pub(crate) fn last_words(server: &mut Server) -> Verdict {
    const SENT: &str = "\"/quit\" was sent with 10 KB behind it";
    for _ in 0..20 {
        let mut alice = server.join("alice")?;
        let behind = "x\n".repeat(5000);
        alice.send_bytes(format!("/quit\n{behind}").as_bytes())?;
        let came = alice.rest().map_err(|why| format!("{SENT}, and {why}"))?;
        if !came.ends_with("Goodbye!\n") {
            return Err(format!("{SENT}, and the last that came was {:?}", short(&came)));
        }
        drop(alice);
        thread::sleep(Duration::from_millis(5));
    }
    Ok(format!("{SENT}, twenty times, and each time the farewell came, and then the end"))
}
