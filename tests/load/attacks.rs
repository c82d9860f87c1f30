//! The attacks. Each attack has one or more threads, which repeat the attack's round until the siege is over. The
//! number of connections and the time of a round are bounded. A round also checks what the server promises even
//! to an attacker: for example, that a refused client receives the reason.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use chat::protocol::replies;
use chat::protocol::server_line::{Kind, ServerLine};

use crate::random::Random;
use crate::siege::Field;
use crate::stranger::Stranger;

/// The time for which an attacker floods a connection, waits, or sends single bytes in one round.
const ROUND: Duration = Duration::from_secs(2);

/// The pause between two turns of `murmur`. Its attackers send as much as the server allows, and read little.
const MURMUR_PAUSE: Duration = Duration::from_millis(40);

/// The duration of one round of `murmur`. The round is long because the clients fall behind only when the
/// system's buffers for them are full.
const MURMUR_TIME: Duration = Duration::from_secs(30);

/// The number of clients that send as much as the server allows, and then leave, in one round of `gush`.
/// Together they send more text than the system's buffers for a reader can store.
const GUSH_LEAVERS: usize = 120;
/// The time after which a round of `gush` starts no further clients.
const GUSH_TIME: Duration = Duration::from_secs(3);
/// The pause after a round of `gush`. The pause limits the rate of the attack, because the server has no rate
/// limit for loopback addresses as a whole.
const GUSH_PAUSE: Duration = Duration::from_secs(3);

/// The time for which a patient reader reads while other clients stall.
const PATIENT_TIME: Duration = Duration::from_secs(8);
/// The pause of a patient reader before it begins to read.
const PATIENT_PAUSE: Duration = Duration::from_millis(400);

/// The time for which a client stalls. The server disconnects a stalled client after ten seconds.
const STALL: Duration = Duration::from_secs(15);

/// An attack and its name.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) threads: usize,
    /// The function that carries out one round. Its error says which promise the server has broken.
    pub(crate) round: fn(&Field, &mut Random) -> Result<(), String>,
}

/// All attacks.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack { name: "flood", what: "lines at full speed", threads: 6, round: flood },
    Attack { name: "telnet", what: "telnet negotiations at full speed", threads: 1, round: telnet },
    Attack { name: "endless", what: "a line without an end", threads: 1, round: endless },
    Attack { name: "hydra", what: "hundreds of connections at once", threads: 2, round: hydra },
    Attack { name: "churn", what: "joins and leaves at once", threads: 2, round: churn },
    Attack { name: "silent", what: "sends no nickname", threads: 1, round: silent },
    Attack { name: "half", what: "half a line, byte by byte", threads: 2, round: half },
    Attack { name: "garbage", what: "random bytes, TLS, HTTP", threads: 2, round: garbage },
    Attack { name: "reset", what: "resets in the middle of a line", threads: 2, round: reset },
    Attack {
        name: "hoard",
        what: "many lines that wait for the rate limit",
        threads: 1,
        round: hoard,
    },
    Attack { name: "murmur", what: "private messages to itself", threads: 1, round: murmur },
    Attack { name: "gush", what: "a whole burst, then disconnects", threads: 1, round: gush },
    Attack {
        name: "patient",
        what: "a slow reader beside 30 that stall",
        threads: 1,
        round: patient,
    },
    Attack {
        name: "whisper",
        what: "private messages from all to one client",
        threads: 1,
        round: whisper,
    },
    Attack { name: "leaver", what: "leaves without reading", threads: 1, round: leaver },
    Attack { name: "asker", what: "questions at the prompt", threads: 1, round: asker },
];

/// Joins, and sends `bytes` again and again for the time of a round. Reads and discards what arrives.
fn pour(field: &Field, attack: &str, bytes: &[u8]) -> Result<(), String> {
    let Some(stranger) = Stranger::join(field, attack)? else { return Ok(()) };
    pour_from(field, stranger, bytes)
}

/// Does the same as `pour` on a connection that is already established.
fn pour_from(field: &Field, mut stranger: Stranger, bytes: &[u8]) -> Result<(), String> {
    let stream = stranger.stream.get_ref().try_clone().map_err(|error| error.to_string())?;
    thread::scope(|scope| {
        scope.spawn(|| Stranger::drain(&stream));
        let end = Instant::now() + ROUND;
        let short = Some(Duration::from_millis(100));
        // This may fail. The only effect is that a write can take longer.
        let _ = stream.set_write_timeout(short);
        while Instant::now() < end && !field.over.is_raised() {
            // This may fail, because the server may slow the attacker down or disconnect it.
            let _ = stranger.send(bytes);
        }
        // Wakes the reading thread. This fails if the server has closed the connection, which also wakes the
        // reading thread.
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
    strangers
        .iter_mut()
        .try_for_each(|stranger| stranger.expect_last(&[replies::LOGIN_TIMEOUT]).map(drop))
}

fn half(field: &Field, random: &mut Random) -> Result<(), String> {
    let Some(mut stranger) = Stranger::join(field, "half")? else { return Ok(()) };
    for _ in 0..=random.below(40) {
        stranger.send(b".")?;
        field.over.wait(ROUND / 40);
    }
    // The text that was sent so far counts as the last line.
    stranger.end_input();
    stranger.expect_last(&[replies::GOODBYE]).map(drop)
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
    let last = [replies::GOODBYE, replies::TOO_MANY_TRIES, replies::NOT_A_WEB_SERVER];
    stranger.expect_last(&last).map(drop)
}

fn reset(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut stranger = Stranger::connect(field)?;
    stranger.send(field.nickname("reset").as_bytes())?;
    stranger.send(b"\nthe first half of a line that never")?;
    stranger.reset();
    Ok(())
}

/// Each client has a long name, has used up its rate limit, and reads nothing. The server's input buffer for
/// the client is full of lines. A server that delivered all buffered input before it exits would have to deliver
/// all of these lines. If `hoard` is the only attack, its clients use all connections that the server accepts.
fn hoard(field: &Field, _: &mut Random) -> Result<(), String> {
    let count = if field.has_one_attack() { usize::MAX } else { 20 };
    let lines = [&b"\n".repeat(198)[..], &b"a\n".repeat(3000)].concat();
    let mut hoarders = Vec::new();
    while hoarders.len() < count && !field.over.is_raised() {
        let Some(mut hoarder) = Stranger::join_as(field, &field.long_nickname("hoard"))? else {
            break;
        };
        hoarder.send(&lines)?;
        hoarders.push(hoarder);
    }
    if field.has_one_attack() {
        field.complete.raise();
    }
    field.over.wait(STALL);
    Ok(())
}

fn murmur(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut strangers = Vec::new();
    for _ in 0..64 {
        let name = field.nickname("murmur");
        let Some(stranger) = Stranger::join_as(field, &name)? else { break };
        let stream = stranger.stream.into_inner();
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        // One line has the maximum length. The other line reaches the maximum length when the server replaces
        // its control characters.
        let texts = ["y".repeat(970), "\x1b".repeat(323)];
        strangers.push((stream, texts.map(|text| format!("/msg {name} {text}\n")).concat()));
    }
    for (stream, lines) in &mut strangers {
        let _ = stream.write(lines.repeat(99).as_bytes());
    }
    let end = Instant::now() + MURMUR_TIME;
    while Instant::now() < end && !field.over.wait(MURMUR_PAUSE) {
        for (stream, lines) in &mut strangers {
            // The socket is non-blocking: bytes that do not fit are not sent, and the read returns at once if
            // nothing has arrived.
            let _ = stream.write(lines.as_bytes());
            let _ = stream.read(&mut [0; 1500]);
        }
    }
    Ok(())
}

/// Some clients send as much as the server allows, and leave at once. A patient reader must receive all of
/// their lines, and a notice of each leave. The reader must not be disconnected because of these clients.
fn gush(field: &Field, random: &mut Random) -> Result<(), String> {
    let Some(mut patient) = Stranger::join(field, "gush-reader")? else { return Ok(()) };
    let (start, mut unheard) = (Instant::now(), HashMap::new());
    for _ in 0..GUSH_LEAVERS {
        let mut leaver = Stranger::connect(field)?;
        let name = field.nickname("gush");
        // The lines are either many short lines, or one line of control characters. That line reaches the maximum
        // length when the server replaces these characters.
        let (line, times) = match random.below(4) {
            0 => ("\x1b".repeat(341), 1),
            _ => ("m".repeat(90), 198),
        };
        let said = format!("{line}\n").repeat(times);
        leaver.send(format!("{name}\n{said}/quit\n").as_bytes())?;
        if leaver.expect_last(&[replies::GOODBYE, replies::SERVER_FULL])? == replies::GOODBYE {
            unheard.insert(name, times);
        }
        if start.elapsed() > GUSH_TIME || field.over.is_raised() {
            break;
        }
    }
    patient.read_patiently(field, |line| {
        let ServerLine { kind, by } = ServerLine::parse(line);
        match kind {
            Kind::Message(_) => {
                if let Some(times) = unheard.get_mut(by) {
                    *times = times.checked_sub(1).ok_or("a line was heard twice")?;
                }
            }
            Kind::Left => match unheard.remove(by) {
                None | Some(0) => {}
                Some(times) => return Err(format!("{by} left, and {times} lines are missing")),
            },
            _ => {}
        }
        Ok(unheard.is_empty())
    })?;
    field.over.wait(GUSH_PAUSE);
    Ok(())
}

/// Some clients send a lot, and do not read. A patient reader must not be disconnected because of these clients.
fn patient(field: &Field, _: &mut Random) -> Result<(), String> {
    let Some(mut patient) = Stranger::join(field, "patient")? else { return Ok(()) };
    let mut stalled = Vec::new();
    for _ in 0..30 {
        stalled.extend(Stranger::join(field, "stalled")?);
    }
    // Each stalled client sends a burst. All bursts together are more than the system's buffers for a client can
    // store.
    let burst = format!("{}\n", "stall ".repeat(160)).repeat(200);
    stalled.iter_mut().try_for_each(|stranger| stranger.send(burst.as_bytes()))?;
    let start = Instant::now();
    field.over.wait(PATIENT_PAUSE);
    patient.read_patiently(field, |_| Ok(start.elapsed() > PATIENT_TIME))?;
    drop(patient);
    field.over.wait(STALL.saturating_sub(start.elapsed()));
    Ok(())
}

/// Many clients send bursts of private messages to a client that reads only later. The recipient must receive
/// all of the messages.
fn whisper(field: &Field, _: &mut Random) -> Result<(), String> {
    const TIMES: usize = 190;
    let victim = field.nickname("whisper");
    let Some(mut told) = Stranger::join_as(field, &victim)? else { return Ok(()) };
    let mut senders = Vec::new();
    for _ in 0..20 {
        senders.extend(Stranger::join(field, "whisperer")?);
    }
    let text = "y".repeat(1000);
    let burst = format!("/msg {victim} {text}\n").repeat(TIMES) + "/me is done\n";
    senders.iter_mut().try_for_each(|sender| sender.send(burst.as_bytes()))?;
    field.over.wait(ROUND);
    let (mut missing, mut talking) = (TIMES * senders.len(), senders.len());
    told.read_patiently(field, |line| {
        let is_told = line.ends_with(&text) && line.contains(" -> you] ");
        missing = missing.checked_sub(is_told.into()).ok_or("a line was told twice")?;
        talking -= usize::from(line.contains("whisperer") && line.ends_with(" is done"));
        match (talking, missing) {
            (0, 1..) => Err(format!("{missing} lines were not told")),
            _ => Ok(talking == 0),
        }
    })
}

fn leaver(field: &Field, _: &mut Random) -> Result<(), String> {
    let mut leavers = Vec::new();
    for _ in 0..100 {
        let mut leaver = Stranger::connect(field)?;
        let asked = "/who\n".repeat(12);
        leaver.send(format!("{}\n{asked}/quit\n", field.nickname("leaver")).as_bytes())?;
        leavers.push(leaver);
    }
    field.over.wait(ROUND / 4);
    Ok(())
}

fn asker(field: &Field, random: &mut Random) -> Result<(), String> {
    let Some(stranger) = Stranger::at_the_prompt(field)? else { return Ok(()) };
    let question = if random.below(2) == 0 { &b"/help\n"[..] } else { &[255, 253, 6] };
    pour_from(field, stranger, &question.repeat(10_000))
}
