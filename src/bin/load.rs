//! The measuring tool: arguments in, exit code out.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use chat::arguments::{Request, command_line, fail};
use chat::load::options::{HELP, Options};
use chat::load::run::{Failure, measure};

fn main() -> ExitCode {
    match Options::parse(command_line()) {
        Ok(Request::Run(options)) => run(&options),
        Ok(Request::Help) => print(HELP),
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
