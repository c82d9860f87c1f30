//! A stream is a sequence of bytes: checks 1 to 4.

use super::Verdict;
use super::peer::short;
use super::server::Server;

/// The maximum number of bytes of an endless line that the other clients may receive, and the maximum amount of
/// memory that the line may cost the server.
const MOST_BYTES: usize = 64 << 10;
const MOST_MEMORY_KIB: u64 = 4096;

pub(crate) fn glued(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let (mut alice, _carol) = server.join_two("alice", "carol")?;
    let mut bob = server.connect()?;
    bob.send_bytes(b"bob\nhello\nworld\n")?;
    for word in ["hello", "world"] {
        let line = wire.said("bob", word);
        alice.expect(&line).map_err(|why| {
            format!("\"bob\\nhello\\nworld\\n\" was sent in one write, and alice saw {why}")
        })?;
    }
    Ok("a name and two lines were sent in one write, and alice saw both lines".to_owned())
}

pub(crate) fn split(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let (mut alice, mut bob) = server.join_two("alice", "bob")?;
    bob.send_bytes(b"good ")?;
    bob.wait_until_read();
    bob.send_bytes(b"morning\n")?;
    alice
        .expect(&wire.said("bob", "good morning"))
        .map_err(|why| format!("\"good \" and \"morning\\n\" were sent, and alice saw {why}"))?;
    Ok("\"good \" and \"morning\\n\" arrived as one line".to_owned())
}

pub(crate) fn cut_character(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let (mut alice, mut bob) = server.join_two("alice", "bob")?;
    bob.send_bytes(b"caf\xC3")?;
    bob.wait_until_read();
    bob.send_bytes(b"\xA9\n")?;
    alice.expect(&wire.said("bob", "café")).map_err(|why| {
        format!("the two bytes of é were sent in two writes, and alice saw {why}")
    })?;
    Ok("the two bytes of é were sent in two writes, and arrived as one character".to_owned())
}

pub(crate) fn endless_line(server: &mut Server) -> Verdict {
    let wire = server.examination.wire;
    let (mut alice, mut bob) = server.join_two("alice", "bob")?;
    let before = server.peak_memory_kib();
    let sent = "16 MiB without a line end, then a line end, then \"ok\" were sent";
    let part = vec![b'x'; 1 << 16];
    for _ in 0..256 {
        bob.send_bytes(&part).map_err(|why| format!("{sent}: {why}"))?;
    }
    bob.send("")?;
    bob.send("ok")?;
    let ok = wire.said("bob", "ok");
    let lines = alice
        .until(|line| line.ends_with(&ok))
        .map_err(|why| format!("{sent}, and alice saw no {ok:?}: {why}"))?;
    let passed_on: usize = lines.iter().filter(|line| line.contains("xx")).map(String::len).sum();
    let grown = server.peak_memory_kib().saturating_sub(before);
    if passed_on > MOST_BYTES {
        return Err(format!("{sent}, and alice got {passed_on} bytes of it"));
    }
    if grown > MOST_MEMORY_KIB {
        return Err(format!("{sent}, and the server took {grown} KiB more memory"));
    }
    Ok(format!("{sent}, only \"ok\" arrived, and it cost {grown} KiB"))
}

pub(crate) fn escapes(server: &mut Server) -> Verdict {
    let (mut alice, mut bob) = server.join_two("alice", "bob")?;
    bob.send("\x1B[2Jgone\x07")?;
    let lines = alice.until(|line| line.contains("gone"))?;
    let line = lines.last().map_or("", String::as_str);
    let seen = format!("\"\\x1B[2Jgone\\x07\" was sent, and alice got {:?}", short(line));
    if line.contains(['\x1B', '\x07']) { Err(seen) } else { Ok(seen) }
}
