//! The gateway's command line.

use std::io::{self, ErrorKind};

use chat::arguments::{Argument, Arguments, Endpoint, UsageError};
use chat::protocol::cleaning::clean;

/// The text that `--help` prints.
pub(crate) const HELP: &str = "\
A gateway for chat clients that take each recv for one message.

usage: gateway [PORT [SERVER_HOST:PORT]]

  PORT              where it listens, on 127.0.0.1; 0 = any free one [7007]
  SERVER_HOST:PORT  where the server is [127.0.0.1:5555]
";

/// The default port of one of the two client programs.
const DEFAULT_PORT: u16 = 7007;

/// The two ends of the gateway.
#[derive(Debug)]
pub(crate) struct Options {
    /// The address on which the gateway listens.
    pub(crate) listen: Endpoint,
    /// The address of the server.
    pub(crate) server: Endpoint,
}

impl Options {
    /// Returns the line that tells a client that the server cannot be reached or does not answer.
    pub(crate) fn no_server(&self, error: &io::Error) -> String {
        let server = &self.server;
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            return format!("[GATEWAY] No answer from {server}. Try again later.");
        }
        format!("[GATEWAY] No server at {server}: {error}. Try again later.")
    }
}

/// The action that a command line requests.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run with these options.
    Run(Options),
    /// Print the help.
    Help,
}

/// Parses a command line.
///
/// # Errors
///
/// The command line is invalid.
pub(crate) fn parse(line: impl Iterator<Item = String>) -> Result<Request, UsageError> {
    let mut listen = Endpoint::default();
    listen.port = DEFAULT_PORT;
    let mut server = Endpoint::default();
    let mut arguments = Arguments::new(line);
    let mut positional_arguments = 0;
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Argument::Option(option) if option == "--help" => return Ok(Request::Help),
            Argument::Option(option) => return Err(UsageError::unknown_option(&clean(&option))),
            Argument::Positional(argument) => {
                let argument = clean(&argument);
                positional_arguments += 1;
                match (positional_arguments, argument.rsplit_once(':')) {
                    (1, _) => listen.set_port(&argument)?,
                    (2, Some((host, port))) => {
                        server.set_host(host)?;
                        server.set_port(port)?;
                    }
                    (2, None) => {
                        let why = format!("the server is HOST:PORT, not '{argument}'");
                        return Err(UsageError::new(why));
                    }
                    _ => {
                        let why = format!("unexpected argument '{argument}'");
                        return Err(UsageError::new(why));
                    }
                }
            }
        }
    }
    Ok(Request::Run(Options { listen, server }))
}
