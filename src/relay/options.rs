//! The relay's options.

use std::path::PathBuf;
use std::time::Duration;

use super::entry::{MAX_SERVER_NAME_BYTES, is_server_name};
use crate::arguments::{Arguments, UsageError};

/// The relay's part of the text of `server --help`.
pub const HELP: &str = "
  --relay HOST:PORT       share the room with other servers, over Redis or Valkey
  --relay-sentinel NAME   the Sentinels' name for the primary; --relay then lists
                          the Sentinels: HOST:PORT,HOST:PORT
  --relay-room NAME       name of the room on Redis (lobby)
  --relay-name NAME       name of this server for the others (HOSTNAME/HOST:PORT)
  --relay-auth FILE       file with the password, or with user and password
  --relay-beat SECONDS    interval between two signs of life; a server that is
                          silent for six of them is given up (5)
";

/// The relay's options. They say how the room is shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The address of the engine, or the addresses of its Sentinels. Empty if the room is not shared.
    pub hosts: Vec<String>,
    /// The Sentinels' name for the primary.
    pub sentinel: Option<String>,
    /// The name of the room.
    pub room: String,
    /// The name by which the other servers know this server.
    pub name: Option<String>,
    /// The file with the password.
    pub auth: Option<PathBuf>,
    /// The time between two beats. A beat shows that the server is alive.
    pub beat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            sentinel: None,
            room: "lobby".to_owned(),
            name: None,
            auth: None,
            beat: Duration::from_secs(5),
        }
    }
}

impl Options {
    /// If `option` is an option of the relay, reads its value and returns `true`. Otherwise returns `false`.
    ///
    /// # Errors
    ///
    /// The option's value is missing or invalid.
    pub fn take<I: Iterator<Item = String>>(
        &mut self,
        option: &str,
        arguments: &mut Arguments<I>,
    ) -> Result<bool, UsageError> {
        match option {
            "--relay" => {
                let value = arguments.value()?;
                self.hosts = value.split(',').map(str::to_owned).collect();
                if let Some(wrong) = self.hosts.iter().find(|host| !is_host_and_port(host)) {
                    return Err(UsageError::new(format!("--relay takes HOST:PORT, not '{wrong}'")));
                }
            }
            "--relay-sentinel" => self.sentinel = Some(arguments.value()?),
            "--relay-room" => {
                self.room = arguments.value()?;
                let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                if !(1..=64).contains(&self.room.len()) || !self.room.chars().all(fits) {
                    return Err(UsageError::new(
                        "--relay-room takes up to 64 letters, digits, '-', '_' and '.'",
                    ));
                }
            }
            "--relay-name" => {
                let name = arguments.value()?;
                if !is_server_name(&name) {
                    return Err(UsageError::new(format!(
                        "--relay-name takes up to {MAX_SERVER_NAME_BYTES} characters of ASCII without a space"
                    )));
                }
                self.name = Some(name);
            }
            "--relay-auth" => self.auth = Some(arguments.value()?.into()),
            "--relay-beat" => {
                let what = "a number of seconds from 0.1 to 60";
                let seconds: f64 = arguments.parse(what)?;
                if !(0.1..=60.0).contains(&seconds) {
                    return Err(UsageError::new(format!("--relay-beat takes {what}")));
                }
                self.beat = Duration::from_secs_f64(seconds);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Checks the options after all options have been read.
    ///
    /// # Errors
    ///
    /// An option is given without another option that it needs.
    pub fn check(&self) -> Result<(), UsageError> {
        let is_plain = *self == Self { hosts: self.hosts.clone(), ..Self::default() };
        if self.hosts.is_empty() && !is_plain {
            return Err(UsageError::new("the options --relay-… need --relay"));
        }
        if self.hosts.len() > 1 && self.sentinel.is_none() {
            return Err(UsageError::new("--relay takes several only with --relay-sentinel"));
        }
        Ok(())
    }
}

fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, UsageError> {
        let mut options = Options::default();
        let mut arguments = Arguments::new(line.split(' ').map(str::to_owned));
        while let Some(crate::arguments::Argument::Option(option)) = arguments.next_argument()? {
            assert!(options.take(&option, &mut arguments)?);
        }
        options.check().map(|()| options)
    }

    #[test]
    fn a_sentinel_is_what_several_hosts_are_for() {
        let options =
            parse("--relay a:1,[::1]:2 --relay-sentinel mymaster --relay-beat 0.5").unwrap();
        assert_eq!(options.hosts, ["a:1", "[::1]:2"]);
        assert_eq!(options.beat, Duration::from_millis(500));
        for wrong in [
            "--relay a:1,b:2",
            "--relay a",
            "--relay a:0",
            "--relay a:1, ",
            "--relay-room x",
            "--relay a:1 --relay-room a/b",
            "--relay a:1 --relay-beat 0",
            "--relay a:1 --relay-beat NaN",
            "--relay a:1 --relay-name \u{e9}",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
