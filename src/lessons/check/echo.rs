//! The checks of an echo server: each client gets its bytes back, and no client depends on another one.

use std::thread;
use std::time::{Duration, Instant};

use super::Verdict;
use super::kernel;
use super::server::Server;

/// Connects, sends a line, and waits for the echo.
fn hear_an_echo(server: &Server) -> Result<(), String> {
    let mut peer = server.connect()?;
    peer.send("hello")?;
    peer.expect("hello").map(drop)
}

pub(crate) fn silent(server: &mut Server) -> Verdict {
    let _silent = server.connect()?;
    hear_an_echo(server).map_err(|why| {
        format!("one connected and said nothing; the next said \"hello\" and got {why}")
    })?;
    Ok("one connected and said nothing, and the next got its echo".to_owned())
}

pub(crate) fn descriptors(server: &mut Server) -> Verdict {
    let crowd: Vec<_> = (0..60).map_while(|_| server.connect().ok()).collect();
    // This gives the server time to run out of descriptors. A server that cannot handle this ends during the wait.
    kernel::wait_until(Duration::from_secs(1), || server.exit().is_some());
    drop(crowd);
    let start = Instant::now();
    while let Err(why) = hear_an_echo(server) {
        if start.elapsed() > server.examination.patience || server.exit().is_some() {
            return Err(format!(
                "60 connected to a server with 40 descriptors, and left; then {why}"
            ));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok("60 connected to a server with 40 descriptors, and left; then one got its echo".to_owned())
}

pub(crate) fn breaks_off(server: &mut Server) -> Verdict {
    let mut carol = server.connect()?;
    carol.send("hello")?;
    carol.break_off()?;
    hear_an_echo(server)
        .map_err(|why| format!("one was reset; the next said \"hello\" and got {why}"))?;
    Ok("one was reset, and the next got its echo".to_owned())
}
