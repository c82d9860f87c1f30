//! The matrix: which check holds for which server. It keeps the course and its examiner honest: each step
//! has the mistakes that its text names, and no others.
//!
//! `cargo test` runs what is quick. All of it is for release builds, and takes a minute:
//! `cargo test --release --test it -- --ignored every_check`.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::harness::leave_out;
use crate::harness::play::{STEPS, examples, text};

/// The columns: the checks of a chat server.
const CHECKS: [&str; 18] = [
    "1a", "1b", "2", "3", "4", "5", "6", "7a", "7b", "8", "9", "10", "11", "12", "13", "14", "15",
    "16",
];

/// The checks of an echo server.
const ECHO_CHECKS: [&str; 3] = ["5", "9", "13"];

/// Of each server what it is called in the documentation, how it is started, and which checks hold.
/// `{examples}`, `{server}` and `{servers}` are where the programs are.
#[rustfmt::skip]
const MATRIX: [(&str, &str, &str); 13] = [
    ("step 5",  "{examples}/step05_room {port}",         "- - - - - + - - + - - - - - - - - -"),
    ("step 6",  "{examples}/step06_lines {port}",        "+ + + + + + - - + - - - - - - - + -"),
    ("step 7",  "{examples}/step07_names {port}",        "+ + + + + + - - + - - - - - - + + -"),
    ("step 8",  "{examples}/step08_endings {port}",      "+ + + + + + - - + - + + + + + + + -"),
    ("step 9",  "{examples}/step09_writers {port}",      "+ + + + + + + + + - + + + + + + + +"),
    ("step 10", "{examples}/step10_the_end {port}",      "+ + + + + + + + + + + + + + + + + +"),
    ("step 11", "{examples}/step11_outbox {port}",       "+ + + + + + - - - + + + + + + + + -"),
    ("step 12", "{examples}/step12_slow_readers {port}", "+ + + + + + + + - + + + + + + + + +"),
    ("step 13", "{examples}/step13_fast_senders {port}", "+ + + + + + + + + + + + + + + + + +"),
    ("the real server", "{server} --port {port} --rate 0 --quiet",
                                                         "+ + + + + + + + + + + + + + + + + +"),
    ("the naive server of `tests/load`", "{examples}/naive_server {port}",
                                                         "+ + + - - + - - + - - - + - + - + -"),
    ("a dozen lines of Python, with threads", "python3 {servers}/threaded.py {port}",
                                                         "+ + + - - + - - + - + - - - - - - -"),
    ("Perl, without threads", "perl {servers}/one_thread.pl {port}",
                                                         "+ + + + + + + + - + + + + + + + + +"),
];

const ECHO_MATRIX: [(&str, &str, &str); 2] = [
    ("step 1", "{examples}/step01_echo {port}", "- + -"),
    ("step 4", "{examples}/step04_thread_per_client {port}", "+ - +"),
];

/// One cell of the matrix.
struct Cell {
    server: &'static str,
    command: Vec<String>,
    wire: &'static str,
    check: &'static str,
    holds: bool,
}

fn cells() -> Vec<Cell> {
    let chat = MATRIX.iter().map(|row| (row, "line", CHECKS.as_slice()));
    let echo = ECHO_MATRIX.iter().map(|row| (row, "echo", ECHO_CHECKS.as_slice()));
    let mut cells = Vec::new();
    for (&(server, command, verdicts), wire, checks) in chat.chain(echo) {
        assert_eq!(verdicts.split(' ').count(), checks.len(), "{server}");
        for (&check, verdict) in checks.iter().zip(verdicts.split(' ')) {
            let command = command.split(' ').map(place).collect();
            cells.push(Cell { server, command, wire, check, holds: verdict == "+" });
        }
    }
    cells
}

/// Puts in where the programs are.
fn place(word: &str) -> String {
    let servers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/course/servers");
    word.replace("{examples}", &examples().display().to_string())
        .replace("{server}", env!("CARGO_BIN_EXE_server"))
        .replace("{servers}", &servers.display().to_string())
}

/// Runs the checks of these cells, some at a time, since they mostly wait. Fails with all that are not as
/// they should be.
fn run(cells: &[Cell], at_once: usize) {
    let next = AtomicUsize::new(0);
    let run_some = || {
        let mut wrong = Vec::new();
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            // A check that is to fail is not waited for long. One that is to hold is, so that a busy
            // machine does not make it fail.
            let patience = if cell.holds { "20" } else { "1" };
            let mut check = Command::new(examples().join("check"));
            check.args(["--only", cell.check, "--wire", cell.wire, "--patience", patience, "--"]);
            check.args(&cell.command);
            // Threads that race do not always meet, so a check that is to fail gets some tries.
            let tries = if !cell.holds && RACES.contains(&cell.check) { 10 } else { 1 };
            let mut runs = (0..tries).map(|_| check.output().expect("the examiner starts"));
            let wrong_verdict = |output: &Output| output.status.success() != cell.holds;
            let outputs: Vec<Output> = runs.by_ref().take_while(wrong_verdict).collect();
            if outputs.len() == tries {
                let said = String::from_utf8_lossy(&outputs[0].stdout);
                wrong.push(format!("{}: {said}", cell.server));
            }
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(run_some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("nothing panics")).collect()
    });
    assert!(wrong.is_empty(), "these are not as the matrix says:\n{}", wrong.concat());
}

/// Leaves out the servers by other hands whose interpreter is not on this machine.
fn leave_out_what_cannot_run(cells: &mut Vec<Cell>) {
    for program in ["python3", "perl"] {
        if Command::new(program).arg("--version").output().is_err() {
            leave_out(&format!("there is no {program}"));
            cells.retain(|cell| cell.command[0] != program);
        }
    }
}

/// Those that move megabytes, which takes seconds on a build without optimizations.
const HEAVY: [&str; 4] = ["6", "7a", "7b", "16"];

/// Those in which threads race.
const RACES: [&str; 2] = ["14", "15"];

#[test]
fn the_quick_checks_give_the_verdicts_of_the_matrix() {
    let mut cells = cells();
    // An interpreter takes longer to start than most checks.
    let is_slow = |cell: &Cell| HEAVY.contains(&cell.check) || cell.command[0] == "python3";
    cells.retain(|cell| !is_slow(cell));
    leave_out_what_cannot_run(&mut cells);
    run(&cells, 8);
}

#[test]
fn a_stalled_reader_is_seen_to_stop_step_11_and_not_step_13() {
    let mut cells = cells();
    cells.retain(|cell| {
        ["6", "16"].contains(&cell.check) && ["step 11", "step 13"].contains(&cell.server)
    });
    run(&cells, 4);
}

#[test]
#[ignore = "takes a minute, and release builds"]
fn every_check_gives_the_verdict_of_the_matrix() {
    let mut cells = cells();
    leave_out_what_cannot_run(&mut cells);
    run(&cells, 2);
}

#[test]
fn the_documentation_has_this_matrix() {
    let page = text("src/lessons/course.md");
    for (server, _, verdicts) in MATRIX {
        let row = format!("| {server} | {} |", verdicts.replace(' ', " | "));
        assert!(page.contains(&row), "no row\n{row}");
    }
    // And each step has its own row, and the one of the step before.
    for (number, pair) in (5..13).zip(MATRIX.windows(2)) {
        let step = STEPS[number];
        let page = text(&format!("src/lessons/{step}.md")).replace("**", "");
        for (server, _, verdicts) in pair {
            let row = format!("| {server} | {} |", verdicts.replace(' ', " | "));
            assert!(page.contains(&row), "{step}: no row\n{row}");
        }
    }
}

#[test]
fn each_mistake_of_a_server_is_seen_to_fail_at_some_step_and_to_hold_later() {
    let all = cells();
    for check in CHECKS {
        let at_steps =
            all.iter().filter(|cell| cell.check == check && cell.server.starts_with("step"));
        assert!(at_steps.clone().any(|cell| !cell.holds), "{check} fails nowhere");
        assert!(at_steps.clone().any(|cell| cell.holds), "{check} holds nowhere");
    }
}
