//! The server program. It parses the command line, runs the server, and returns the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use chat::arguments::{Request, command_line, fail};
use chat::server::Server;
use chat::server::operator::options::{Options, help};
use chat::server::shutdown::ShutdownHandle;
use chat::system::signal;

fn main() -> ExitCode {
    match Options::parse(command_line()) {
        Ok(Request::Run(options)) => run(options),
        Ok(Request::Help) => print(&help()),
        Ok(Request::Version) => print(concat!("server ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => fail(2, error),
    }
}

fn run(options: Options) -> ExitCode {
    let bound = ShutdownHandle::new().and_then(|(handle, wake)| {
        signal::stop_through(handle.pipe()?);
        Server::bind(options, (handle, wake))
    });
    let server = match bound {
        Ok(server) => server,
        Err(error) => return fail(1, error),
    };
    match server.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format_args!("The server ended: {error}")),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
