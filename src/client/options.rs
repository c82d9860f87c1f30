//! Options: the client's command line.

use crate::arguments::{Arguments, Endpoint, Request, UsageError};

/// The text of `client --help`.
pub const HELP: &str = include_str!("help.txt");

/// The options of a client.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches, independent of each other")]
pub struct Options {
    /// The address of the server.
    pub endpoint: Endpoint,
    /// The nickname, if the user has given a nickname. The server checks whether it is valid.
    pub nickname: Option<String>,
    /// Whether to leave line editing to the system, even on a terminal.
    pub plain: bool,
    /// Whether the output is colored. If this is `None`, the output is colored on a terminal, unless `NO_COLOR`,
    /// `TERM=dumb` or `--plain` is set.
    pub color: Option<bool>,
    /// Whether each line begins with the local time.
    pub timestamps: bool,
    /// Whether the client connects again after it has lost the connection.
    pub reconnect: bool,
    /// Whether join and leave notices are hidden.
    pub quiet: bool,
    /// Whether messages from before the join are hidden.
    pub no_history: bool,
    /// Whether every line of the input is sent as a message, even if it looks like a command.
    pub say: bool,
    /// Whether the client reads no input.
    pub listen: bool,
    /// Whether the client hides its own notes, and the notices about its own join and leave. Errors are still
    /// printed.
    pub silent: bool,
}

impl Options {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// Returns the first mistake in the arguments.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Request<Self>, UsageError> {
        let mut options = Self::default();
        let mut arguments = Arguments::new(arguments);
        while let Some(option) = arguments.next_option(&mut options.endpoint)? {
            match option.as_str() {
                "--nick" => options.nickname = Some(nickname(&arguments.value()?)?),
                "--plain" => options.plain = true,
                "--color" => options.color = color(&arguments.value()?)?,
                "--timestamps" => options.timestamps = true,
                "--reconnect" => options.reconnect = true,
                "--quiet" => options.quiet = true,
                "--no-history" => options.no_history = true,
                "--say" => options.say = true,
                "--listen" => options.listen = true,
                "--silent" => options.silent = true,
                "--help" | "-h" => return Ok(Request::Help),
                "--version" | "-V" => return Ok(Request::Version),
                unknown => return Err(UsageError::unknown_option(unknown)),
            }
        }
        if options.listen && options.nickname.is_none() {
            return Err(UsageError::new("--listen needs --nick"));
        }
        Ok(Request::Run(options))
    }
}

/// Checks that a nickname is not empty and is a single line. If it had several lines, the server would read the
/// later lines as messages.
fn nickname(value: &str) -> Result<String, UsageError> {
    if value.trim().is_empty() || value.contains('\n') {
        return Err(UsageError::new("--nick takes a nickname"));
    }
    Ok(value.trim().to_owned())
}

fn color(value: &str) -> Result<Option<bool>, UsageError> {
    match value {
        "auto" => Ok(None),
        "always" => Ok(Some(true)),
        "never" => Ok(Some(false)),
        _ => Err(UsageError::new(format!("--color takes auto, always or never, not '{value}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request<Options>, UsageError> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_taken() {
        let line = "example.org 8888 --nick al --plain --color=never --timestamps --reconnect";
        let Ok(Request::Run(options)) = parse(line) else { panic!("{:?}", parse(line)) };
        assert_eq!(options.endpoint.to_string(), "example.org:8888");
        assert_eq!(options.nickname.as_deref(), Some("al"));
        assert_eq!(options.color, Some(false));
        assert!(options.plain && options.timestamps && options.reconnect);
        let line = "--quiet --no-history --say --listen --silent --nick al";
        let Ok(Request::Run(options)) = parse(line) else { panic!("{:?}", parse(line)) };
        assert!(options.quiet && options.no_history && options.say && options.listen);
        assert!(options.silent && !options.plain && !options.reconnect);
        assert_eq!(parse(""), Ok(Request::Run(Options::default())));
        assert_eq!(parse("--help --nonsense"), Ok(Request::Help));
        assert_eq!(parse("-V"), Ok(Request::Version));
    }

    #[test]
    fn what_is_wrong_is_one_line_that_names_help() {
        for line in
            ["--color blue", "--nick=", "--nick", "--colour auto", "a 1 b", "a b", "-x", "--listen"]
        {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.ends_with("(try --help)") && !error.contains('\n'), "{error:?}");
        }
    }
}
