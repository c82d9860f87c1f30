//! The client program: the command line in, the exit code out. See [`chat::client`].
//!
//! Exit codes: 0 after leaving, with everything said; 1 when the server is not there or goes away, when a
//! line was not said, or when the output cannot be written; 2 when the command line is wrong.

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
        // The reader may have gone (`client --help | head -1`). That is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(1, format_args!("Could not write the output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}
