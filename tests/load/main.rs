//! The tool that measures, checks and attacks a chat server. It runs many clients, and checks what each client
//! received.
//!
//! ```text
//!  main thread ── directs ──> the run ──> reader threads, few    connect, log in, read for all
//!   (`direct`)                 what all    sender thread, one     writes for all
//!                              share       attackers, in a siege  threads of their own, blocking
//! ```
//!
//! A run has five steps. First, all clients join. Second, the first client says a line that everyone receives,
//! the *roll call*. Every client receives the roll call after the history and all join notices. Third, the
//! senders send their messages. Fourth, when the first client has received all messages, it says the *closing
//! line*. All clients receive the lines in the same order, so a client that has received the closing line must
//! have received all messages. Last, all clients leave. A siege is also a run. In a siege, all clients talk at
//! a human pace, and every line is checked, while attackers try to disturb the server.
//!
//! Reading order: [`options`], [`direct`], [`mod@run`], [`readers`], [`client`], [`senders`]; the pure
//! parts [`integrity`] and [`histogram`]; [`report`]; [`scout`], which finds out whether a rate limit would
//! decide the result; then [`siege`], [`attacks`], [`stranger`] and [`server`].

mod options;

mod direct;

mod run;

mod readers;

mod client;

mod senders;

mod integrity;

mod histogram;

mod report;

mod scout;

mod siege;

mod attacks;

mod stranger;

mod server;

#[path = "../harness/proc.rs"]
#[allow(dead_code, reason = "the tests look at sockets too")]
mod proc;

#[path = "../harness/random.rs"]
mod random;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use chat::arguments::{Request, command_line, fail};

use direct::{Failure, measure};
use options::Options;

fn main() -> ExitCode {
    match Options::parse(command_line()) {
        Ok(Request::Run(options)) => run(&options),
        Ok(Request::Help) => print(options::help()),
        Ok(Request::Version) => print(concat!("load ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => fail(2, error),
    }
}

fn run(options: &Options) -> ExitCode {
    match measure(options) {
        Ok(report) if report.ok() => print(report),
        Ok(report) => {
            print(report);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(error)) => fail(2, error),
        Err(Failure::Failed(why)) => fail(1, why),
    }
}

fn print(text: impl Display) -> ExitCode {
    match write!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints a line to standard error. If the write fails, nobody reads the output, so the error is ignored.
fn say(line: impl Display) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Returns the nickname of a client.
fn nickname(client: u32) -> String {
    format!("u{client:05}")
}
