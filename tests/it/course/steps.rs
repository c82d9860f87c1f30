//! The texts of the steps: each session in them runs as it is written.

use crate::harness::play::{STEPS, act_out, documentation, plays, text};

/// Makes one test for each step, which runs all sessions in the step's text. The number after a step's name is the
/// number of its sessions.
macro_rules! play {
    ($($step:ident: $count:literal)*) => {
        const PLAYED: &[(&str, usize)] = &[$((stringify!($step), $count)),*];
        $(
            #[test]
            fn $step() {
                act_out(&text(&format!("src/lessons/{}.md", stringify!($step))));
            }
        )*
    };
}

play! {
    step01_echo: 3
    step02_client: 3
    step03_two_threads: 1
    step04_thread_per_client: 2
    step05_room: 5
    step06_lines: 2
    step07_names: 7
    step08_endings: 5
    step09_writers: 2
    step10_the_end: 1
    step11_outbox: 2
    step12_slow_readers: 1
    step13_fast_senders: 1
}

#[test]
fn every_session_of_every_step_is_played() {
    let there = STEPS.map(|step| {
        let text = text(&format!("src/lessons/{step}.md"));
        (step, plays(&text).len())
    });
    assert_eq!(there, PLAYED);
}

#[test]
fn without_framing_messages_are_glued_together() {
    act_out(&documentation("src/lessons/gateway/main.rs"));
}
