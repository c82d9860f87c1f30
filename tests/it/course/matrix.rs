//! The matrix: which server of the course passes which check. These tests make sure that each step has the mistakes
//! that its text names, and no others.
//!
//! The expected verdicts are written in one place only: the tables of `course.md`. The program `matrix` runs the
//! checks and compares the verdicts with the tables. These tests make it run the quick checks, on the existing builds.
//! `.ci/lessons` makes it run all checks, on release builds.

use std::process::{Command, Output};

use crate::harness::leave_out;
use crate::harness::play::{STEPS, examples, text};

/// Runs the program `matrix` for some cells of the tables. The verdicts must be those in `course.md`.
#[track_caller]
fn try_matrix(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(examples().join("matrix"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    for line in said.lines().filter_map(|line| line.strip_prefix("left out: ")) {
        leave_out(line);
    }
    said
}

/// One row of the tables in `course.md`: a server, and for each check whether the server passes it.
struct Row {
    server: String,
    verdicts: Vec<(String, bool)>,
}

fn rows() -> Vec<Row> {
    let page = text("src/lessons/course.md");
    let (mut rows, mut checks) = (Vec::new(), Vec::new());
    for line in page.lines() {
        let cells: Vec<String> =
            line.trim_matches([' ', '|']).split(" | ").map(str::to_owned).collect();
        if line.starts_with("| | ") {
            checks = cells;
        } else if cells.len() == checks.len() + 1
            && cells.last().is_some_and(|cell| cell.len() == 1)
        {
            let verdicts = cells[1..].iter().map(|cell| cell == "+");
            let verdicts = checks.iter().cloned().zip(verdicts).collect();
            rows.push(Row { server: cells[0].clone(), verdicts });
        }
    }
    rows
}

#[test]
fn the_quick_checks_give_the_verdicts_of_the_matrix() {
    let said = try_matrix(&["--quick"]);
    let last = said.lines().last().unwrap_or_default();
    let count: usize = last.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(count >= 160, "too few cells: {last}");
}

#[test]
fn a_stalled_reader_is_seen_to_stop_step_11_and_not_step_13() {
    try_matrix(&["--checks", "6,16", "--servers", "step 11,step 13"]);
}

#[test]
fn a_choice_without_a_cell_is_an_error_and_not_a_success() {
    let none = Command::new(examples().join("matrix")).args(["--servers", "step 99"]).output();
    assert_eq!(none.expect("the program starts").status.code(), Some(2));
}

#[test]
fn each_step_shows_its_row_and_that_of_the_step_before() {
    let rows = rows();
    for number in 6..=13 {
        let step = STEPS[number - 1];
        let page = text(&format!("src/lessons/{step}.md")).replace("**", "");
        for shown in [number - 1, number] {
            let server = format!("step {shown}");
            let row = rows.iter().find(|row| row.server == server).expect("each step has a row");
            let verdicts = row.verdicts.iter().map(|(_, holds)| if *holds { "+" } else { "-" });
            let row = format!("| {server} | {} |", verdicts.collect::<Vec<_>>().join(" | "));
            assert!(page.contains(&row), "{step}: no row\n{row}");
        }
    }
}

#[test]
fn each_mistake_of_a_server_is_seen_to_fail_at_some_step_and_to_hold_later() {
    let rows = rows();
    let is_whole = |server: &str| {
        let row = rows.iter().find(|row| row.server == server).expect("each server has a row");
        row.verdicts.len() == 18 && row.verdicts.iter().all(|(_, holds)| *holds)
    };
    assert!(["step 10", "step 13", "the real server"].into_iter().all(is_whole));
    let step = |row: &Row| row.server.strip_prefix("step ").and_then(|n| n.parse::<usize>().ok());
    for (check, _) in &rows[0].verdicts {
        let mut at_steps: Vec<(usize, bool)> = Vec::new();
        for row in &rows {
            let verdict = row.verdicts.iter().find(|(number, _)| number == check);
            at_steps.extend(step(row).zip(verdict.map(|(_, holds)| *holds)));
        }
        at_steps.sort_unstable();
        let first = at_steps.iter().position(|(_, holds)| !holds);
        let first = first.unwrap_or_else(|| panic!("check {check} fails at no step"));
        assert!(
            at_steps[first..].iter().any(|(_, holds)| *holds),
            "check {check} never holds later"
        );
    }
}
