//! Faults of the engine while clients talk: the engine is down, cut off, mute or full, or has lost entries that servers
//! have read. There are also tests with entries that no server has written.

use std::thread;
use std::time::Duration;

use super::{LINK_DOWN, LINK_UP, LOST, SHORT_BEAT, in_step, one_room_again, two_servers};
use crate::harness::engine::{Entry, FakeEngine, Fault};
use crate::harness::poll_until;
#[test]
fn nothing_is_lost_doubled_or_reordered_while_connections_are_cut() {
    let engine = FakeEngine::start();
    let (one, two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    let (mut carol, mut dave) = (one.join("carol"), two.join("dave"));
    bob.lines_until("[SERVER] dave joined the chat!");
    alice.lines_until("[SERVER] dave joined the chat!");
    let heard = thread::scope(|scope| {
        for talker in [&mut carol, &mut dave] {
            scope.spawn(move || {
                for number in 0..300 {
                    talker.send(&format!("line {number}"));
                    // The lines are sent slowly, so that connections are cut while lines are under way.
                    thread::sleep(Duration::from_millis(3));
                }
                talker.send("/me is done");
            });
        }
        let heard = [&mut alice, &mut bob].map(|listener| {
            scope.spawn(move || {
                let (mut lines, mut done) = (Vec::new(), 0);
                while done < 2 {
                    let line = listener.line();
                    done += usize::from(line.ends_with(" is done"));
                    lines.push(line);
                }
                lines
            })
        });
        for _ in 0..60 {
            engine.cut();
            thread::sleep(Duration::from_millis(15));
        }
        heard.map(|thread| thread.join().unwrap())
    });
    assert_eq!(heard[0], heard[1]);
    for name in ["carol", "dave"] {
        let start = format!("{name}: ");
        let said: Vec<&String> = heard[0].iter().filter(|line| line.starts_with(&start)).collect();
        let expected: Vec<String> = (0..300).map(|n| format!("{name}: line {n}")).collect();
        assert_eq!(said, expected.iter().collect::<Vec<_>>());
    }
}

#[test]
fn while_the_engine_is_down_talk_waits_and_all_are_told() {
    let engine = FakeEngine::start();
    let (mut one, two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    engine.suffer(Fault::Down);
    alice.send("are you there?");
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_DOWN);
    }
    alice.send("I shall wait");
    bob.send("so shall I");
    engine.suffer(Fault::Nothing);
    // Either server may reach the engine first, so the order of these lines is not fixed.
    let (of_alice, of_bob) = ([LINK_UP, "bob: so shall I"], "alice: are you there?");
    let mut heard = [alice.line(), alice.line()];
    heard.sort();
    assert_eq!(heard, of_alice.map(str::to_owned));
    let mut heard = [bob.line(), bob.line(), bob.line()];
    heard.sort();
    assert_eq!(heard, [LINK_UP, "alice: I shall wait", of_bob]);
    one.log_until("The link to the engine is down: ");
    one.log_until("The link to the engine is up after ");
    drop(two);
}

#[test]
fn an_engine_that_stands_still_kills_nobody() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine.address(), &SHORT_BEAT);
    // A server that is silent for six beats counts as dead. The fault lasts longer than that.
    engine.suffer(Fault::Stalled);
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_DOWN);
    }
    engine.suffer(Fault::Nothing);
    for peer in [&mut alice, &mut bob] {
        peer.expect(LINK_UP);
    }
    in_step(&mut alice, &mut [&mut bob], "still here");
    in_step(&mut bob, &mut [&mut alice], "so am I");
}

#[test]
fn an_entry_is_said_once_however_often_it_is_appended() {
    let engine = FakeEngine::start();
    let (_one, _two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    engine.suffer(Fault::Mute);
    in_step(&mut alice, &mut [&mut bob], "nobody confirms this");
    engine.suffer(Fault::Nothing);
    // A server appends an entry again if the connection breaks before the engine confirms the entry. So the test
    // appends every entry again.
    let copies = engine.log();
    for (_, fields) in &copies {
        engine.append(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    in_step(&mut bob, &mut [&mut alice], "once");
    in_step(&mut alice, &mut [&mut bob], "and no more");
}

#[test]
fn while_the_engine_refuses_talk_waits() {
    let engine = FakeEngine::start();
    let (mut one, _two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    engine.suffer(Fault::Refusing("OOM command not allowed when used memory > 'maxmemory'."));
    alice.send("is there space?");
    one.log_until("The engine takes nothing: OOM");
    engine.suffer(Fault::Nothing);
    bob.expect("alice: is there space?");
}

#[test]
fn clients_that_saw_lost_entries_are_disconnected_with_a_reason() {
    let engine = FakeEngine::start();
    let (mut one, mut two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    in_step(&mut alice, &mut [&mut bob], "this will be lost");
    // The engine loses its last entries, as after a power failure.
    engine.suffer(Fault::Down);
    engine.change_log(|log| {
        let is_it = |text: &Vec<u8>| text.ends_with(b"this will be lost\n");
        let lost = log.iter().position(|(_, fields)| fields.iter().any(is_it)).unwrap();
        log.truncate(lost - 1);
    });
    // When both servers reach the engine again, each of them has an entry that has not been appended yet.
    for peer in [&mut alice, &mut bob] {
        peer.send("nobody will hear this");
    }
    engine.suffer(Fault::Nothing);
    for (peer, server) in [(&mut alice, &mut one), (&mut bob, &mut two)] {
        let lines = peer.lines_until(LOST);
        assert!(lines.iter().all(|line| line.starts_with("[SERVER] The link ")), "{lines:?}");
        assert_eq!(peer.rest(), b"");
        server.log_until("All clients are turned out: the engine has lost what was read here");
    }
    one_room_again(&one, &two);
}

#[test]
fn only_the_server_that_has_read_other_entries_disconnects_its_clients() {
    let engine = FakeEngine::start();
    let (mut one, mut two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    two.signal("STOP");
    // Cutting the connections makes sure that the stopped server receives no further entries.
    engine.cut();
    alice.send_bytes(b"two will never read this\n/ping read\n");
    alice.expect("[SERVER] pong read");
    engine.change_log(|log| {
        let is_it = |text: &Vec<u8>| text.ends_with(b"two will never read this\n");
        log.retain(|(_, fields)| !fields.iter().any(is_it));
    });
    two.signal("CONT");
    // No connection breaks when the entry is removed. But the next entry of the server `one` contains a hash of the
    // entries that `one` has read. The hash does not match the entries in the stream.
    assert_eq!(alice.line(), LOST);
    assert_eq!(alice.rest(), b"");
    one.log_until("All clients are turned out: it has read something else than the others");
    bob.expect("[SERVER] alice left the chat! (server lost)");
    two.log_until(
        "An entry is doubtful (entries before it are missing), but this server has read right",
    );
    let mut alice = one.join("alice");
    bob.expect("[SERVER] alice joined the chat!");
    in_step(&mut alice, &mut [&mut bob], "one room again");
}

#[test]
fn only_the_server_that_has_missed_entries_disconnects_its_clients() {
    let engine = FakeEngine::start();
    let (_one, two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    in_step(&mut bob, &mut [&mut alice], "before");
    let ends_so = |(_, fields): &Entry| fields.iter().any(|text| text.ends_with(b"before\n"));
    let entry = engine.log().into_iter().find(ends_so).expect("the entry was appended");
    // An entry begins with a number that identifies the run of its server.
    let run = entry.1[1][..16].to_vec();
    two.signal("STOP");
    let mut wave = || {
        alice.send("/me waves");
        alice.expect("* alice waves");
    };
    // The engine has sent the first wave to the stopped server. The second wave is removed from the log before that
    // server has read it. No connection breaks, so the server can notice the gap only when it reads the third wave.
    wave();
    wave();
    engine.change_log(Vec::clear);
    engine.suffer(Fault::NoCheckpoint);
    wave();
    two.signal("CONT");
    // The stopped server has found the gap. While the engine withholds the checkpoint, that server cannot learn which
    // server is right. Meanwhile it must still send its next beat.
    let is_of_it = |(_, fields): &Entry| fields[1].starts_with(&run);
    poll_until("a beat of the server", || engine.log().into_iter().find(is_of_it));
    engine.suffer(Fault::Nothing);
    bob.lines_until(LOST);
    assert_eq!(bob.rest(), b"");
    alice.expect("[SERVER] bob left the chat! (server lost)");
}

#[test]
fn what_is_foreign_is_ignored_and_logged_at_one_two_and_four() {
    let engine = FakeEngine::start();
    let (mut one, _two, mut alice, mut bob) = two_servers(&engine.address(), &[]);
    engine.append(&[b"e", b"hello\nworld"]);
    engine.append(&[b"x", b"\xff"]);
    engine.append(&[b"e", b"\xff"]);
    engine.append(&[b"e", b"0000000000000009 1 0 0000000000000000\nH 2 other\nN version 2\n"]);
    engine.append(&[b"e", b"0000000000000009 7 0 0000000000000000\nN forged\n"]);
    engine.append(&[b"e"]);
    engine.append(&[b"a", b"b", b"c", b"d"]);
    in_step(&mut alice, &mut [&mut bob], "did you see anything?");
    in_step(&mut bob, &mut [&mut alice], "no");
    for count in [1, 2, 4] {
        one.log_until(&format!("{count} foreign entries ignored, the last: "));
    }
}
