//! Matrix: runs every check against every server of the course, and compares the verdicts with the tables
//! in `course.md`.
//!
//! ```sh
//! cargo build --release --bins --examples
//! target/release/examples/matrix
//! target/release/examples/matrix --quick
//! target/release/examples/matrix --checks 6,16 --servers 'step 11,step 13'
//! ```
//!
//! The program prints the verdicts in tables like the tables of `course.md`. The exit code is 0 if all verdicts are
//! the same as in `course.md`. Otherwise the exit code is 1, and for each different verdict the program prints the
//! examiner's output. `--quick` leaves out the checks that move megabytes, and the servers that start slowly. The
//! other checks give the same verdicts even with slow builds.
//!
//! Only `course.md` contains the expected verdicts. So if a change to the course or to the examiner changes a
//! verdict, this program reports a difference until `course.md` is changed too.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The page with the tables.
const PAGE: &str = include_str!("course.md");

/// For each server: its name in the tables, its wire, and the command that starts it. `{examples}`, `{server}` and
/// `{servers}` stand for the paths of the programs.
#[rustfmt::skip]
const SERVERS: [(&str, &str, &str); 15] = [
    ("step 1",  "echo", "{examples}/step01_echo {port}"),
    ("step 4",  "echo", "{examples}/step04_thread_per_client {port}"),
    ("step 5",  "line", "{examples}/step05_room {port}"),
    ("step 6",  "line", "{examples}/step06_lines {port}"),
    ("step 7",  "line", "{examples}/step07_names {port}"),
    ("step 8",  "line", "{examples}/step08_endings {port}"),
    ("step 9",  "line", "{examples}/step09_writers {port}"),
    ("step 10", "line", "{examples}/step10_the_end {port}"),
    ("step 11", "line", "{examples}/step11_outbox {port}"),
    ("step 12", "line", "{examples}/step12_slow_readers {port}"),
    ("step 13", "line", "{examples}/step13_fast_senders {port}"),
    ("the real server", "line", "{server} --port {port} --rate 0 --quiet"),
    ("the naive server of `tests/load`", "line", "{examples}/naive_server {port}"),
    ("Python with threads", "line", "python3 {servers}/threaded.py {port}"),
    ("Perl without threads", "line", "perl {servers}/one_thread.pl {port}"),
];

/// The checks that move megabytes. They keep a processor busy. All other checks mostly wait.
const HEAVY: [&str; 4] = ["6", "7a", "7b", "16"];

/// The number of checks outside of `HEAVY` that run at the same time.
const LIGHT_AT_ONCE: usize = 8;

/// The checks in which threads race. If one of these checks is expected to fail, it gets several tries, because a
/// race does not occur in every run.
const RACES: [&str; 3] = ["7b", "14", "15"];
const RACE_TRIES: usize = 30;

/// The examiner's patience, in seconds. It is short for a check that is expected to fail. For a check that is
/// expected to hold, it is long, so that the check holds even on a busy machine.
const PATIENCE_TO_FAIL: &str = "1";
const PATIENCE_TO_HOLD: &str = "20";

/// One cell of a table.
struct Cell {
    server: &'static str,
    check: &'static str,
    /// The verdict in `course.md`.
    holds: bool,
}

/// The cells to run. An empty list means all servers or all checks.
#[derive(Default)]
struct Choice {
    is_quick: bool,
    servers: Vec<String>,
    checks: Vec<String>,
}

fn main() -> ExitCode {
    choose().and_then(|choice| run(&choice)).unwrap_or_else(|problem| {
        // This fails if nobody reads the output.
        let _ = writeln!(io::stderr(), "{problem}");
        ExitCode::from(2)
    })
}

/// Reads the arguments.
fn choose() -> Result<Choice, String> {
    let (mut choice, mut arguments) = (Choice::default(), env::args().skip(1));
    while let Some(option) = arguments.next() {
        let mut list = || {
            let value = arguments.next().ok_or(format!("{option} needs a value"))?;
            Ok::<_, String>(value.split(',').map(str::to_owned).collect())
        };
        match option.as_str() {
            "--quick" => choice.is_quick = true,
            "--servers" => choice.servers = list()?,
            "--checks" => choice.checks = list()?,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    Ok(choice)
}

/// Runs the chosen cells and prints their verdicts. Returns 0 if all verdicts are the same as on the page.
fn run(choice: &Choice) -> Result<ExitCode, String> {
    let cells = chosen(choice, read_tables()?);
    if cells.is_empty() {
        return Err("there is no such cell".to_owned());
    }
    let folder = env::current_exe().map_err(|error| error.to_string())?;
    let folder = folder.parent().ok_or("this program is in no folder")?;
    let (heavy, light): (Vec<&Cell>, Vec<&Cell>) =
        cells.iter().partition(|cell| HEAVY.contains(&cell.check));
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let wrong = thread::scope(|scope| {
        let heavy = scope.spawn(|| try_all(&heavy, folder, processors));
        let wrong = try_all(&light, folder, LIGHT_AT_ONCE);
        wrong.into_iter().chain(heavy.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    print_table(&cells, &wrong);
    for (cell, said) in &wrong {
        say(&format!("\n{}, which is not as the page says:\n{}", cell.server, said.trim_end()));
    }
    say(&format!(
        "\n{} of {} verdicts are as the page says",
        cells.len() - wrong.len(),
        cells.len()
    ));
    Ok(ExitCode::from(u8::from(!wrong.is_empty())))
}

/// Returns the cells of all tables of verdicts on the page. The tables of verdicts are the tables whose column heads
/// are numbers of checks.
fn read_tables() -> Result<Vec<Cell>, String> {
    let (mut cells, mut checks) = (Vec::new(), Vec::new());
    for line in PAGE.lines() {
        let row: Vec<&str> = line.trim_matches([' ', '|']).split(" | ").collect();
        if let Some(numbers) = line.strip_prefix("| | ")
            && numbers.starts_with(|c: char| c.is_ascii_digit())
        {
            checks = row;
        } else if row.len() > 1
            && row.len() == checks.len() + 1
            && row[1..].iter().all(|v| ["+", "-"].contains(v))
        {
            let server = row[0];
            if !SERVERS.iter().any(|(name, ..)| *name == server) {
                return Err(format!("how is {server} started?"));
            }
            let verdicts = checks.iter().zip(&row[1..]);
            cells.extend(verdicts.map(|(check, v)| Cell { server, check, holds: *v == "+" }));
        }
    }
    Ok(cells)
}

/// Returns the cells that were chosen and that can be run on this machine.
fn chosen(choice: &Choice, mut cells: Vec<Cell>) -> Vec<Cell> {
    let is_in = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
    cells.retain(|cell| is_in(&choice.servers, cell.server) && is_in(&choice.checks, cell.check));
    if choice.is_quick {
        let is_slow = |cell: &Cell| HEAVY.contains(&cell.check) || program(cell) == "python3";
        cells.retain(|cell| !is_slow(cell));
    }
    for interpreter in ["python3", "perl"] {
        let version = Command::new(interpreter).arg("--version").stdout(Stdio::null()).status();
        if cells.iter().any(|cell| program(cell) == interpreter) && version.is_err() {
            say(&format!("left out: there is no {interpreter}"));
            cells.retain(|cell| program(cell) != interpreter);
        }
    }
    cells
}

/// Returns the wire of a cell's server, and the command that starts the server.
fn start_of(cell: &Cell) -> (&'static str, &'static str) {
    let row = SERVERS.iter().find(|(name, ..)| *name == cell.server);
    row.map_or(("", ""), |&(_, wire, command)| (wire, command))
}

/// Returns the first word of the command that starts a cell's server.
fn program(cell: &Cell) -> &'static str {
    start_of(cell).1.split(' ').next().unwrap_or_default()
}

/// Runs the checks of all these cells, `at_once` of them at the same time. Returns the cells whose verdict
/// differs from the page, with the examiner's output.
fn try_all<'a>(cells: &[&'a Cell], folder: &Path, at_once: usize) -> Vec<(&'a Cell, String)> {
    let (next, wrong) = (Mutex::new(cells.iter()), Mutex::new(Vec::new()));
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let try_some = || {
        while let Some(cell) = take() {
            if let Err(said) = try_out(cell, folder) {
                wrong.lock().unwrap_or_else(PoisonError::into_inner).push((*cell, said));
            }
        }
    };
    thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(try_some))));
    wrong.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the check of a cell. If the verdict differs from the page, returns the examiner's output as the error.
fn try_out(cell: &Cell, folder: &Path) -> Result<(), String> {
    let (wire, command) = start_of(cell);
    let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/course/servers");
    let mut check = Command::new(folder.join("check"));
    let patience = if cell.holds { PATIENCE_TO_HOLD } else { PATIENCE_TO_FAIL };
    check.args(["--only", cell.check, "--wire", wire, "--patience", patience, "--"]);
    check.args(command.split(' ').map(|word| {
        word.replace("{examples}", &folder.display().to_string())
            .replace("{server}", &folder.with_file_name("server").display().to_string())
            .replace("{servers}", &servers.display().to_string())
    }));
    let tries = if !cell.holds && RACES.contains(&cell.check) { RACE_TRIES } else { 1 };
    let mut said = String::new();
    for _ in 0..tries {
        let output = check.output().map_err(|error| format!("{check:?}: {error}"))?;
        if output.status.code() == Some(i32::from(!cell.holds)) {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        said += &String::from_utf8_lossy(&output.stderr);
    }
    Err(said)
}

/// Prints the verdicts in tables like the tables on the page.
fn print_table(cells: &[Cell], wrong: &[(&Cell, String)]) {
    let mut head: Vec<&str> = Vec::new();
    for row in cells.chunk_by(|one, other| one.server == other.server) {
        let checks: Vec<&str> = row.iter().map(|cell| cell.check).collect();
        if checks != head {
            say(&format!("| | {} |\n|{}", checks.join(" | "), " --- |".repeat(checks.len() + 1)));
            head = checks;
        }
        let is_wrong = |cell: &Cell| wrong.iter().any(|(one, _)| std::ptr::eq(*one, cell));
        let verdict = |cell: &Cell| if cell.holds == is_wrong(cell) { "-" } else { "+" };
        let verdicts: Vec<&str> = row.iter().map(verdict).collect();
        say(&format!("| {} | {} |", row[0].server, verdicts.join(" | ")));
    }
}

/// Prints a line. If nobody reads the output, the program still continues, because the exit code contains the result.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
