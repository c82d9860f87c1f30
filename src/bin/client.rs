//! The client program. It parses the command line, runs [`chat::client`], and returns the exit code.
//!
//! Exit codes: 0 if the client has left the chat and all its lines were sent; 1 if there is no server, if the
//! connection is lost, if a line was not sent, or if the output cannot be written; 2 if the command line is wrong.

use std::io::{self, Write};
use std::process::ExitCode;

use chat::arguments::{Request, command_line, fail};
use chat::client::options::{HELP, Options};

fn main() -> ExitCode {
    let printed = match Options::parse(command_line()) {
        Ok(Request::Run(options)) => return chat::client::run(options),
        Ok(Request::Help) => io::stdout().write_all(HELP.as_bytes()),
        Ok(Request::Version) => writeln!(io::stdout(), "client {}", env!("CARGO_PKG_VERSION")),
        Err(error) => return fail(2, error),
    };

    match printed {
        // The program that reads the output may have ended (`client --help | head -1`). That is not a failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(1, format_args!("Could not write the output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}
