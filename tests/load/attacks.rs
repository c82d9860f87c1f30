//! The attacks. Each is a round that is fought again and again, by so many threads, until the siege
//! is over: bounded in connections and time, and itself checking what it was promised: whoever is
//! turned away reads why.

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use chat::protocol::replies;

use crate::random::Random;
use crate::siege::Field;
use crate::stranger::Stranger;

/// How long a connection floods, holds still or drips before it goes.
const ROUND: Duration = Duration::from_secs(2);

/// How long a reader stalls. The server gives it ten seconds.
const STALL: Duration = Duration::from_secs(15);

/// A named way to be a bad guest.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) threads: usize,
    /// Returns the promise that was broken.
    pub(crate) round: fn(&Field, &mut Random) -> Result<(), String>,
}

/// All of them.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack { name: "flood", what: "lines as fast as they go", threads: 6, round: flood },
    Attack { name: "telnet", what: "telnet's questions, as fast", threads: 1, round: telnet },
    Attack { name: "endless", what: "a line without an end", threads: 1, round: endless },
    Attack { name: "hydra", what: "hundreds of connections at once", threads: 2, round: hydra },
    Attack { name: "churn", what: "in and out again", threads: 2, round: churn },
    Attack { name: "silent", what: "never a nickname", threads: 1, round: silent },
    Attack { name: "half", what: "half a line, byte by byte", threads: 2, round: half },
    Attack { name: "garbage", what: "random bytes, TLS, HTTP", threads: 2, round: garbage },
    Attack { name: "stalled", what: "readers that do not read", threads: 1, round: stalled },
    Attack { name: "reset", what: "gone in the middle of a line", threads: 2, round: reset },
];

/// Sends these bytes again and again for a round, and reads what comes.
fn pour(field: &Field, attack: &str, bytes: &[u8]) -> Result<(), String> {
    let Some(mut stranger) = Stranger::join(field, attack)? else { return Ok(()) };
    let stream = stranger.stream.get_ref().try_clone().map_err(|error| error.to_string())?;
    thread::scope(|scope| {
        scope.spawn(|| Stranger::drain(&stream));
        let end = Instant::now() + ROUND;
        let short = Some(Duration::from_millis(100));
        // Set on a socket that stands; if it were refused, writing would take longer.
        let _ = stream.set_write_timeout(short);
        while Instant::now() < end && !field.over.is_raised() {
            // Whatever the server does about it: slow it down, turn it out.
            let _ = stranger.send(bytes);
        }
        // Wakes the reader. It fails when the server has closed, which does too.
        let _ = stream.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn flood(field: &Field, random: &mut Random) -> Result<(), String> {
    let line = match random.below(5) {
        0 => "\n".to_owned(),
        1 => "/who\n".to_owned(),
        2 => format!("/me {}\n", "waves ".repeat(random.below(100))),
        3 => format!("/nick {}\n", field.nickname("other")),
        _ => format!("{}\n", "flood ".repeat(1 + random.below(170))),
    };
    pour(field, "flood", &line.as_bytes().repeat(1 + 20_000 / line.len()))
}

fn telnet(field: &Field, _: &mut Random) -> Result<(), String> {
    pour(field, "telnet", &[255, 253, 6].repeat(20_000))
}

fn endless(field: &Field, _: &mut Random) -> Result<(), String> {
    pour(field, "endless", &b"a".repeat(60_000))
}

fn hydra(field: &Field, random: &mut Random) -> Result<(), String> {
    let mut heads = Vec::new();
    for _ in 0..300 {
        let head = if random.below(2) == 0 {
            Stranger::at_the_prompt(field)?
        } else {
            Stranger::join(field, "hydra")?
        };
        heads.extend(head);
        if field.over.is_raised() {
            break;
        }
    }
    field.over.wait(ROUND / 4);
    Ok(())
}

fn churn(field: &Field, random: &mut Random) -> Result<(), String> {
    for _ in 0..20 {
        let Some(mut stranger) = Stranger::join(field, "churn")? else { return Ok(()) };
        match random.below(3) {
            0 => stranger.send(b"hello and goodbye\n/quit\n")?,
            1 => stranger.send(b"/quit\n")?,
            _ => stranger.end_input(),
        }
        stranger.expect_last(&[replies::GOODBYE])?;
        field.over.wait(Duration::from_millis(5));
    }
    Ok(())
}

fn silent(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut strangers = Vec::new();
    for _ in 0..50 {
        strangers.extend(Stranger::at_the_prompt(field)?);
    }
    strangers.iter_mut().try_for_each(|stranger| stranger.expect_last(&[replies::LOGIN_TIMEOUT]))
}

fn half(field: &Field, random: &mut Random) -> Result<(), String> {
    let Some(mut stranger) = Stranger::join(field, "half")? else { return Ok(()) };
    for _ in 0..=random.below(40) {
        stranger.send(b".")?;
        field.over.wait(ROUND / 40);
    }
    // What was written until here is its last line.
    stranger.end_input();
    stranger.expect_last(&[replies::GOODBYE])
}

fn garbage(field: &Field, random: &mut Random) -> Result<(), String> {
    let Some(mut stranger) = Stranger::at_the_prompt(field)? else { return Ok(()) };
    let count = random.below(4000);
    let mut bytes = match random.below(3) {
        0 => b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n".to_vec(),
        // A TLS record: handshake, version 1.0, 512 bytes, ClientHello.
        1 => [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &random.bytes(500)].concat(),
        _ => random.bytes(count),
    };
    bytes.extend_from_slice(b"\n/quit\n");
    stranger.send(&bytes)?;
    stranger.expect_last(&[replies::GOODBYE, replies::TOO_MANY_TRIES, replies::NOT_A_WEB_SERVER])
}

fn stalled(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut strangers = Vec::new();
    for _ in 0..30 {
        strangers.extend(Stranger::join(field, "stalled")?);
    }
    // A burst from each of them, more than what the system keeps for those who do not read.
    let burst = format!("{}\n", "stall ".repeat(160)).repeat(200);
    strangers.iter_mut().try_for_each(|stranger| stranger.send(burst.as_bytes()))?;
    field.over.wait(STALL);
    Ok(())
}

fn reset(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut stranger = Stranger::connect(field)?;
    stranger.send(field.nickname("reset").as_bytes())?;
    stranger.send(b"\nthe first half of a line that never")?;
    stranger.reset();
    Ok(())
}
