//! Clients that talk and clients that listen while faults happen. Every listener must receive every line once, and in
//! order.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::Peer;
use crate::relay::{LINK_DOWN, LINK_UP, LOST};

/// Reads a listener's lines until this many talkers have said that they are done. Returns the lines, without the
/// notices about the link.
#[track_caller]
pub(super) fn listen(listener: &mut Peer, talkers: usize) -> Vec<String> {
    let (mut lines, mut done) = (Vec::new(), 0);
    while done < talkers {
        let line = listener.line();
        assert_ne!(line, LOST, "{} was disconnected after {} lines", listener.name(), lines.len());
        done += usize::from(line.ends_with(" is done"));
        if line != LINK_DOWN && line != LINK_UP {
            lines.push(line);
        }
    }
    lines
}

/// Sends lines, with the pause `pace` after each line, until `is_over` is set. Returns the number of lines.
#[track_caller]
fn talk(talker: &mut Peer, pace: Duration, is_over: &AtomicBool) -> usize {
    // A thread reads everything that the talker receives, so that the server does not disconnect the talker as too
    // slow. The thread ends when the connection ends.
    let mut stream = talker.stream().try_clone().unwrap();
    thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
    let mut number = 0;
    while !is_over.load(Ordering::Relaxed) {
        talker.send(&format!("line {number}"));
        number += 1;
        thread::sleep(pace);
    }
    talker.send("/me is done");
    number
}

/// Lets the talkers send lines, with the pause `pace` after each line, while `faults` runs. Checks that all listeners
/// receive the same lines in the same order, every line once, and each talker's lines in order. Returns the number of
/// lines that were sent.
#[track_caller]
pub(super) fn talk_through(
    talkers: &mut [Peer],
    listeners: &mut [Peer],
    pace: Duration,
    faults: impl FnOnce() + Send,
) -> usize {
    let is_over = AtomicBool::new(false);
    let names: Vec<String> = talkers.iter().map(|talker| talker.name().to_owned()).collect();
    let (said, heard) = thread::scope(|scope| {
        let is_over = &is_over;
        let talking: Vec<_> = talkers
            .iter_mut()
            .map(|talker| scope.spawn(move || talk(talker, pace, is_over)))
            .collect();
        let count = names.len();
        let listening: Vec<_> =
            listeners.iter_mut().map(|peer| scope.spawn(move || listen(peer, count))).collect();
        faults();
        is_over.store(true, Ordering::Relaxed);
        let said: Vec<usize> = talking.into_iter().map(|thread| thread.join().unwrap()).collect();
        let heard = listening.into_iter().map(|thread| thread.join().unwrap());
        (said, heard.collect::<Vec<_>>())
    });
    for (name, count) in names.iter().zip(&said) {
        let start = format!("{name}: ");
        let lines: Vec<&str> =
            heard[0].iter().filter_map(|line| line.strip_prefix(&start)).collect();
        let expected: Vec<String> = (0..*count).map(|number| format!("line {number}")).collect();
        assert!(lines == expected, "{name} sent {count} lines, {} arrived", lines.len());
    }
    for (number, other) in heard.iter().enumerate() {
        assert!(*other == heard[0], "listener {number} has received other lines than the first");
    }
    said.iter().sum()
}
