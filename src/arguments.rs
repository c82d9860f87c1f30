//! The command lines of all programs in this project: options, their values, and positional arguments.
//!
//! `main` reads the command line, one argument after the other, before it starts any other thread. `--port 80`,
//! `--port=80` and `--` have their usual meaning. The first mistake is reported in one sentence.
//!
//! An argument can come from a link or a script, so it cannot be trusted: a terminal would obey escape sequences in
//! it. So every text from this module is cleaned before it is printed: by the `Display` of [`UsageError`] and of
//! [`Endpoint`], and by [`fail`], which every program calls to print its final error.
//!
//! This module does not know what the options mean. Each program has its own `options` module.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;

use crate::protocol::cleaning::clean;
use crate::protocol::{DEFAULT_HOST, DEFAULT_PORT};

/// Cleans an error, prints it as one line on standard error, and returns `code` as the exit code.
///
/// ```text
/// [ERROR] Could not listen on 127.0.0.1:80: Permission denied (os error 13)
/// ```
///
/// Blocks while standard error accepts no output.
pub fn fail(code: u8, error: impl fmt::Display) -> ExitCode {
    // If standard error is closed, the error cannot be reported anywhere.
    let _ = io::stderr().write_all(error_line(error).as_bytes());
    ExitCode::from(code)
}

/// Returns the line that [`fail`] prints, with its line end.
pub(crate) fn error_line(error: impl fmt::Display) -> String {
    // Cleaning also replaces line ends. So the result is always one line.
    format!("[ERROR] {}\n", clean(&error.to_string()))
}

/// An error in a command line. Its `Display` is one cleaned line. The program calls [`fail`] with this error and
/// exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    /// Makes the error for a wrong option or value. `why` is a sentence without its period.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// Makes the error for an option that the program does not have.
    pub fn unknown_option(option: &str) -> Self {
        Self(format!("unknown option {option}"))
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (try --help)", clean(&self.0))
    }
}

/// What a command line asks the program to do.
#[derive(Debug, PartialEq)]
pub enum Request<O> {
    /// Run with these options.
    Run(O),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Returns the arguments after the program's name.
///
/// If an argument is not valid UTF-8, U+FFFD replaces the invalid bytes. `std::env::args` would panic instead.
pub fn command_line() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned())
}

/// One argument of the command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Argument {
    /// `--name`. If this option takes a value, [`Arguments::value`] returns the value.
    Option(String),
    /// Any other argument.
    Positional(String),
}

/// Parses the command line from left to right.
#[derive(Debug)]
pub struct Arguments<I> {
    rest: I,
    /// The option that was returned last, for error messages.
    option: String,
    /// The text after the `=` of this option.
    attached: Option<String>,
    /// Whether `--` has been read, so that all further arguments are positional.
    only_positional: bool,
}

impl<I: Iterator<Item = String>> Arguments<I> {
    /// Makes a parser for the arguments after the program's name.
    pub fn new(arguments: I) -> Self {
        Self { rest: arguments, option: String::new(), attached: None, only_positional: false }
    }

    /// Returns the next option or positional argument, or `None` at the end.
    ///
    /// # Errors
    ///
    /// Returns an error if the previous option takes no value, but was written with `=` and a value.
    pub fn next_argument(&mut self) -> Result<Option<Argument>, UsageError> {
        if self.attached.take().is_some() {
            return Err(UsageError(format!("{} takes no value", self.option)));
        }
        let Some(argument) = self.rest.next() else { return Ok(None) };
        if argument == "--" && !self.only_positional {
            self.only_positional = true;
            return self.next_argument();
        }
        if self.only_positional || !argument.starts_with('-') || argument == "-" {
            return Ok(Some(Argument::Positional(argument)));
        }
        match argument.split_once('=') {
            Some((option, value)) => {
                self.option = option.to_owned();
                self.attached = Some(value.to_owned());
            }
            None => self.option = argument,
        }
        Ok(Some(Argument::Option(self.option.clone())))
    }

    /// Returns the next option other than `--host` and `--port`, or `None` at the end. Sets `endpoint` from these
    /// two options and from the positional arguments.
    ///
    /// # Errors
    ///
    /// The errors of [`Arguments::next_argument`], and an error if a host or a port is wrong.
    pub fn next_option(&mut self, endpoint: &mut Endpoint) -> Result<Option<String>, UsageError> {
        loop {
            match self.next_argument()? {
                None => return Ok(None),
                Some(Argument::Positional(plain)) => endpoint.take_positional(&plain)?,
                Some(Argument::Option(option)) => match option.as_str() {
                    "--host" => endpoint.set_host(&self.value()?)?,
                    "--port" => endpoint.set_port(&self.value()?)?,
                    _ => return Ok(Some(option)),
                },
            }
        }
    }

    /// Returns the value of the option that was returned last: the text after its `=`, or the next argument.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no value.
    pub fn value(&mut self) -> Result<String, UsageError> {
        self.attached
            .take()
            .or_else(|| self.rest.next())
            .ok_or_else(|| UsageError(format!("{} needs a value", self.option)))
    }

    /// Returns the value of the option that was returned last, parsed as a `T`, such as a number. `what`
    /// describes the expected value for the error message.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no value, or if the value is not a `T`.
    pub fn parse<T: FromStr>(&mut self, what: &str) -> Result<T, UsageError> {
        let value = self.value()?;
        let wrong = || UsageError(format!("{} takes {what}, not '{value}'", self.option));
        value.parse().map_err(|_| wrong())
    }
}

/// The address to listen on or to connect to. It is written as `[HOST [PORT]]`, `HOST:PORT` or `PORT`, or with
/// `--host` and `--port`.
///
/// Its `Display` is `HOST:PORT`, cleaned, with brackets around an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A host name or an IP address. An IPv6 address has no brackets here.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    positional_arguments: usize,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { host: DEFAULT_HOST.to_owned(), port: DEFAULT_PORT, positional_arguments: 0 }
    }
}

impl Endpoint {
    /// Sets the host. Brackets around an IPv6 address are removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the host is empty.
    pub fn set_host(&mut self, host: &str) -> Result<(), UsageError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            return Err(UsageError::new("the host is empty"));
        }
        bare.clone_into(&mut self.host);
        Ok(())
    }

    /// Sets the port.
    ///
    /// # Errors
    ///
    /// Returns an error if the port is not a number from 0 to 65535.
    pub fn set_port(&mut self, port: &str) -> Result<(), UsageError> {
        let wrong = |_| UsageError(format!("a port is a number from 0 to 65535, not '{port}'"));
        self.port = port.parse().map_err(wrong)?;
        Ok(())
    }

    /// Reads the next positional argument. The first argument is a host, a port, or both with a colon between
    /// them. The second argument is the port.
    ///
    /// # Errors
    ///
    /// Returns an error if the host or the port is wrong, or if this is a third argument.
    pub fn take_positional(&mut self, argument: &str) -> Result<(), UsageError> {
        self.positional_arguments += 1;
        let is_number = argument.bytes().all(|byte| byte.is_ascii_digit()) && !argument.is_empty();
        match (self.positional_arguments, argument.rsplit_once(':')) {
            (1 | 2, _) if is_number => {
                // No further argument is allowed after a port.
                self.positional_arguments = 2;
                self.set_port(argument)
            }
            // `HOST:PORT`. An argument with several colons and no brackets is an IPv6 address, which the next arm
            // handles.
            (1, Some((host, port))) if host.ends_with(']') || !host.contains(':') => {
                self.positional_arguments = 2;
                self.set_host(host)?;
                self.set_port(port)
            }
            (1, _) => self.set_host(argument),
            (2, _) => self.set_port(argument),
            _ => Err(UsageError(format!("unexpected argument '{argument}'"))),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = clean(&self.host);
        if host.contains(':') {
            write!(f, "[{host}]:{}", self.port)
        } else {
            write!(f, "{host}:{}", self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Arguments<impl Iterator<Item = String>> {
        Arguments::new(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_take_their_value_with_a_space_or_an_equals_sign() {
        for line in ["--port 80 host", "--port=80 host", "--port 80 -- host"] {
            let mut arguments = arguments(line);
            assert_eq!(arguments.next_argument(), Ok(Some(Argument::Option("--port".into()))));
            assert_eq!(arguments.parse("a port"), Ok(80_u16));
            assert_eq!(arguments.next_argument(), Ok(Some(Argument::Positional("host".into()))));
            assert_eq!(arguments.next_argument(), Ok(None));
        }
    }

    #[test]
    fn a_missing_a_wrong_and_a_needless_value_are_errors() {
        let error = |line, parse| {
            let mut arguments = arguments(line);
            arguments.next_argument().unwrap();
            let value = if parse { arguments.parse::<u16>("a number").map(|_| ()) } else { Ok(()) };
            value.and_then(|()| arguments.next_argument().map(|_| ())).unwrap_err().to_string()
        };
        assert_eq!(error("--rate", true), "--rate needs a value (try --help)");
        assert_eq!(error("--rate x", true), "--rate takes a number, not 'x' (try --help)");
        assert_eq!(error("--quiet=1", false), "--quiet takes no value (try --help)");
    }

    #[test]
    fn an_endpoint_can_be_written_in_several_ways() {
        for (line, expected) in [
            ("example.org", "example.org:5555"),
            ("example.org 80", "example.org:80"),
            ("example.org:80", "example.org:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("8888", "127.0.0.1:8888"),
            ("::1", "[::1]:5555"),
            ("[::1]", "[::1]:5555"),
            ("[::1]:80", "[::1]:80"),
            ("fe80::1 80", "[fe80::1]:80"),
        ] {
            let mut endpoint = Endpoint::default();
            for argument in line.split(' ') {
                endpoint.take_positional(argument).unwrap();
            }
            assert_eq!(endpoint.to_string(), expected, "{line:?}");
        }
        for line in ["a:b", "a:80 80", "80 80", "80 a", "a:", ":80", "70000", "a:70000", "a b"] {
            let mut endpoint = Endpoint::default();
            let result = line.split(' ').try_for_each(|part| endpoint.take_positional(part));
            assert!(result.is_err(), "{line:?} is {endpoint}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_then_a_port() {
        let mut endpoint = Endpoint::default();
        assert_eq!(endpoint.to_string(), "127.0.0.1:5555");
        endpoint.take_positional("[::1]").unwrap();
        endpoint.take_positional("8888").unwrap();
        assert_eq!(endpoint.to_string(), "[::1]:8888");
        assert!(endpoint.take_positional("more").is_err());
        assert!(endpoint.set_port("65536").is_err());
        assert!(endpoint.set_host("").is_err());
    }

    #[test]
    fn no_argument_is_printed_as_it_came() {
        let hostile = "\x1b]0;t\x07\n\u{202E}x";
        let cleaned = "\u{FFFD}]0;t\u{FFFD}\u{FFFD}\u{FFFD}x";
        let one = |argument: &str| Arguments::new(std::iter::once(argument.to_owned()));
        let mut endpoint = Endpoint::default();
        let unknown = UsageError::unknown_option(hostile);
        let no_port = endpoint.set_port(hostile).unwrap_err();
        let mut needless = one(&format!("--{hostile}=1"));
        needless.next_argument().unwrap();
        let needless = needless.next_argument().unwrap_err();
        let no_number = one(hostile).parse::<u16>("a number").unwrap_err();
        endpoint.positional_arguments = 2;
        let third = endpoint.take_positional(hostile).unwrap_err();
        for error in [unknown, no_port, needless, no_number, third] {
            let error = error.to_string();
            assert!(error.contains(cleaned), "{error:?}");
            assert_eq!(clean(&error), error);
        }
        endpoint.set_host(hostile).unwrap();
        assert_eq!(endpoint.to_string(), format!("{cleaned}:5555"));
        assert_eq!(endpoint.host, hostile, "what is connected to is what was given");
        assert_eq!(error_line(hostile), format!("[ERROR] {cleaned}\n"));
    }
}
