//! Check: examines a chat server, and says for each mistake, in one sentence, whether the server makes this
//! mistake.
//!
#![doc = include_str!("check.md")]

mod bytes;

mod waiting;

mod endings;

mod sharing;

mod echo;

mod wire;

mod server;

mod peer;

mod kernel;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use server::{Examination, Server};
use wire::Wire;

/// The result of a check: `Ok` if the check holds. The text says what was sent and what the server did.
type Verdict = Result<String, String>;

/// One check of a server.
struct Check {
    /// The number of the mistake, with a letter if there are two checks for the mistake.
    number: &'static str,
    /// The property of a good server that the check looks for.
    what: &'static str,
    /// The steps to read if the check fails.
    steps: &'static str,
    run: fn(&mut Server) -> Verdict,
}

const fn check(
    number: &'static str,
    what: &'static str,
    steps: &'static str,
    run: fn(&mut Server) -> Verdict,
) -> Check {
    Check { number, what, steps, run }
}

/// Two steps make sure that nobody waits for a slow reader. Step 9 has a queue for each client, and step 12 has a
/// single writer.
const NOBODY_WAITS: &str = "step09_writers or, with one writer, step12_slow_readers";

/// The checks of a chat server, in the order of the mistakes.
const CHAT: [Check; 18] = [
    check("1a", "many lines in one write are as many messages", "step06_lines", bytes::glued),
    check("1b", "a line in two writes is one message", "step06_lines", bytes::split),
    check("2", "a character may be cut in two", "step06_lines", bytes::cut_character),
    check("3", "a line without an end costs no memory", "step06_lines", bytes::endless_line),
    check("4", "nothing that a terminal obeys is passed on", "step06_lines", bytes::escapes),
    check("5", "a silent client keeps nobody out", "step04_thread_per_client", waiting::silent),
    check("6", "a stalled reader delays nobody", NOBODY_WAITS, waiting::stalled_reader),
    check("7a", "a stalled reader costs bounded memory", NOBODY_WAITS, waiting::stalled_memory),
    check("7b", "a fast sender costs bounded memory", "step13_fast_senders", waiting::flood_memory),
    check("8", "the server can be stopped, and says so", "step10_the_end", waiting::stop),
    check("9", "running out of descriptors ends nothing", "step08_endings", endings::descriptors),
    check("10", "a vanished peer is found out", "step08_endings", endings::keep_alive),
    check("11", "a client that breaks off leaves, once", "step08_endings", endings::leaves_once),
    check("12", "the last words arrive", "step08_endings", endings::last_words),
    check(
        "13",
        "a broken connection does not close the room",
        "step08_endings",
        sharing::room_goes_on,
    ),
    check("14", "of many who want one name, one gets it", "step07_names", sharing::one_name),
    check(
        "15",
        "everyone sees everything whole, in one order",
        "step09_writers",
        sharing::one_order,
    ),
    check(
        "16",
        "a client that was behind has lost nothing",
        NOBODY_WAITS,
        waiting::behind_and_back,
    ),
];

/// The checks of an echo server.
const ECHO: [Check; 3] = [
    check("5", "a silent client keeps nobody out", "step04_thread_per_client", echo::silent),
    check("9", "running out of descriptors ends nothing", "step08_endings", echo::descriptors),
    check(
        "13",
        "a broken connection ends nobody else",
        "step04_thread_per_client",
        echo::breaks_off,
    ),
];

/// Checks of features that Budget Chat does not have: a goodbye, and a text for a taken name.
const NOT_IN_BUDGET_CHAT: [&str; 2] = ["12", "14"];

const USAGE: &str = "usage: check [--list] [--only 1a,6] [--wire line|budget|echo] [--patience SECONDS] \
                     [--megabytes N] -- COMMAND {port}";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(problem) => {
            // This fails if nobody reads the output.
            let _ = writeln!(io::stderr(), "{problem}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments and runs the checks. Returns 0 if all checks hold, and 1 otherwise.
fn run() -> Result<ExitCode, String> {
    let mut arguments = env::args().skip(1).peekable();
    let (mut only, mut lists) = (Vec::new(), false);
    let mut examination = Examination {
        command: Vec::new(),
        wire: Wire::Line,
        patience: Duration::from_secs(3),
        megabytes: 160,
    };
    while let Some(option) = arguments.next_if(|argument| argument.starts_with("--")) {
        let mut value = || arguments.next().ok_or(format!("{option} needs a value"));
        match option.as_str() {
            "--" => break,
            "--list" => lists = true,
            "--only" => only = value()?.split(',').map(str::to_owned).collect(),
            "--wire" => examination.wire = Wire::parse(&value()?)?,
            "--patience" => examination.patience = Duration::from_secs(number(&value()?)?),
            "--megabytes" => examination.megabytes = number(&value()?)?,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    examination.command = arguments.collect();
    let checks: &[Check] = if examination.wire == Wire::Echo { &ECHO } else { &CHAT };
    if lists {
        for check in checks {
            say(&format!("{:>3}  {}", check.number, check.what));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if examination.command.is_empty() {
        return Err("a command is missing".to_owned());
    }
    // Both `7` and `7a` select check 7a.
    let is_asked = |check: &&Check| {
        let mistake = check.number.trim_end_matches(['a', 'b']);
        only.is_empty() || only.iter().any(|one| one == check.number || one == mistake)
    };
    let (mut held, mut tried) = (0, 0);
    for check in checks.iter().filter(is_asked) {
        let Check { number, what, steps, .. } = check;
        if examination.wire == Wire::Budget && NOT_IN_BUDGET_CHAT.contains(number) {
            say(&format!("{number:>3} -      {what}: Budget Chat does not ask for it"));
            continue;
        }
        let start = Instant::now();
        let verdict = examine(&examination, check);
        let seconds = start.elapsed().as_secs_f32();
        tried += 1;
        match verdict {
            Ok(seen) => {
                held += 1;
                say(&format!("{number:>3} holds  {what}: {seen} ({seconds:.1} s)"));
            }
            Err(seen) => say(&format!(
                "{number:>3} FAILS  {what}: {seen} ({seconds:.1} s). Read {steps} in src/lessons."
            )),
        }
    }
    say(&format!("{held} of {tried} hold"));
    Ok(ExitCode::from(u8::from(held < tried || tried == 0)))
}

/// Runs one check against a fresh server.
fn examine(examination: &Examination, check: &Check) -> Verdict {
    let descriptors = if check.number == "9" { 40 } else { 1024 };
    let mut server = Server::start(examination, descriptors)
        .map_err(|why| format!("the server could not be started: {why}"))?;
    let verdict = (check.run)(&mut server);
    // If the server has ended, the verdict says so, because the end of the server explains the failure.
    verdict.map_err(|seen| match server.exit() {
        Some(status) if check.number != "8" => format!("{seen}; the server has ended ({status})"),
        _ => seen,
    })
}

/// Waits for a thread of the examiner, and returns its result.
fn result_of<T>(thread: ScopedJoinHandle<'_, Result<T, String>>) -> Result<T, String> {
    thread.join().unwrap_or_else(|_| Err("the examiner has a fault of its own".to_owned()))
}

fn number<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}

/// Prints a line. If nobody reads the output, the examiner still continues, because the exit code contains the result.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
