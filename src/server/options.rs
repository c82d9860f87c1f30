//! Options: the server's command line.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use crate::arguments::{Argument, Arguments, Endpoint, UsageError};

/// What `server --help` prints.
pub const HELP: &str = "\
Usage: server [HOST [PORT]] [OPTIONS]

A chat room over TCP. People join with the client, or with nc or telnet.

  --host HOST             address to listen on (127.0.0.1)
  --port PORT             port to listen on; 0 for any free one (5555)
  --max-clients N         connections at once (10000)
  --max-per-address N     connections at once from one address, loopback
                          excepted; 0 for no limit (64)
  --login-timeout SECONDS time to give a nickname (30)
  --rate N                lines a second from one client after a burst of 200;
                          0 for no limit (50)
  --history N             messages shown to whoever joins (20)
  --backlog BYTES         text kept for all slow clients together (67108864)
  --framing line|recv     what is one message: a line, or what one recv returns,
                          for clients that know no better (line)
  --quiet                 do not log who comes and goes
  --log-messages          log what is said to everyone
  --help                  print this and exit
  --version               print the version and exit
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// Run with these options.
    Run(Options),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// What is one message on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A line.
    Line,
    /// Whatever one `recv` returns: see [`recv_framing`](super::recv_framing).
    Recv,
}

/// How a server behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// How many connections there may be at once, unnamed ones included.
    pub max_clients: usize,
    /// How many of them may come from one address other than this machine's own; 0 for no limit.
    pub max_per_address: usize,
    /// How long a connection may take to give a nickname.
    pub login_timeout: Duration,
    /// How many lines a second one client may send after a burst; 0 for no limit.
    pub rate: u32,
    /// How many messages a newcomer is shown.
    pub history: usize,
    /// How much text is kept for all slow clients together, in bytes.
    pub backlog: usize,
    /// What is one message.
    pub framing: Framing,
    /// Whether only faults are logged.
    pub quiet: bool,
    /// Whether what is said to everyone is logged too.
    pub log_messages: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            max_clients: 10_000,
            max_per_address: 64,
            login_timeout: Duration::from_secs(30),
            rate: 50,
            history: 20,
            backlog: 64 << 20,
            framing: Framing::Line,
            quiet: false,
            log_messages: false,
        }
    }
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Request, UsageError> {
        let mut options = Self::default();
        let mut arguments = Arguments::new(arguments);
        while let Some(argument) = arguments.next_argument()? {
            let option = match &argument {
                Argument::Plain(plain) => {
                    options.endpoint.take_plain(plain)?;
                    continue;
                }
                Argument::Option(option) => option.as_str(),
            };
            match option {
                "--host" => options.endpoint.set_host(&arguments.value()?)?,
                "--port" => options.endpoint.set_port(&arguments.value()?)?,
                "--max-clients" => {
                    let clients: NonZeroUsize = arguments.parse("a number from 1")?;
                    options.max_clients = clients.get();
                }
                "--max-per-address" => options.max_per_address = arguments.parse("a number")?,
                "--login-timeout" => {
                    let seconds: NonZeroU32 = arguments.parse("a number of seconds from 1")?;
                    options.login_timeout = Duration::from_secs(seconds.get().into());
                }
                "--rate" => options.rate = arguments.parse("a number of lines a second")?,
                "--history" => options.history = arguments.parse("a number of messages")?,
                "--backlog" => options.backlog = arguments.parse("a number of bytes")?,
                "--framing" => {
                    options.framing = match arguments.value()?.as_str() {
                        "line" => Framing::Line,
                        "recv" => Framing::Recv,
                        other => {
                            let why = format!("--framing takes line or recv, not '{other}'");
                            return Err(UsageError::new(why));
                        }
                    };
                }
                "--quiet" => options.quiet = true,
                "--log-messages" => options.log_messages = true,
                "--help" | "-h" => return Ok(Request::Help),
                "--version" | "-V" => return Ok(Request::Version),
                unknown => return Err(UsageError::unknown_option(unknown)),
            }
        }
        Ok(Request::Run(options))
    }
}
