//! Options: the command line of `load`, and what each scenario is when nothing more is said.

use std::time::Duration;

use super::integrity::MIN_TEXT_BYTES;
use crate::arguments::{Argument, Arguments, Endpoint, Request, UsageError};
use crate::protocol::MAX_MESSAGE_BYTES;

/// What `load --help` prints.
pub const HELP: &str = "\
Usage: load SCENARIO [HOST [PORT]] [OPTIONS]

Measures a chat server over its line protocol: joins with many clients, lets some talk, and counts
what arrives. The room must be empty, and the server must not limit the rate; history only blurs
the figures. So start it with  server --rate 0 --history 0 --quiet

Scenario                                   clients  senders  messages  bytes  rate  stalled  joining
flood      as fast as the server takes it      100        4     20000     64     0        0      100
everyone   the same, all at once               300      all       100     64     0        0      100
paced      how long does a delivery take?      500        5        50     64    10        0      100
stalled    and beside some who stalled?         50        2     10000    400  1000        5      100
storm      all join at once, nobody talks     1000        0         0     64     0        0     1000
integrity  is every line at every receiver      50       10      1000    200     0        0      100
           whole, once, in its sender's order, and in one order for all?

  --host HOST          the server's address (127.0.0.1)
  --port PORT          its port (5555)
  --anywhere           go to other addresses than this machine's loopback
  --pid PID            the server's process: shows its CPU time, memory, threads, descriptors
  --clients N          clients that join
  --senders N          how many of them send
  --messages N         messages from each sender
  --bytes N            bytes of each message, 32 to 1024; in integrity up to that
  --rate N             messages a second from each sender, evenly spread; 0 for as fast as it goes
  --stalled N          clients more, who do not read until the others are done
  --joining N          clients that are about to join at the same time
  --pauses             every second client stops reading now and then
  --visitors N         integrity: clients more, who come, look on and leave, over and over
  --silence SECONDS    when nothing came for so long, the rest is lost (10)
  --help               print this and exit
  --version            print the version and exit

A few threads read for all clients; each goes around them without waiting, which adds up to a
millisecond to a delivery. They take processor time that on few cores the server lacks: compare
own_cpu_s with the time that the run took.

The last line is key=value pairs. Exit code: 0 everything arrived; 1 something was lost, doubled,
out of order or corrupt, or could not be tried; 2 usage.
";

/// What is done with each delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Measure {
    /// It is counted.
    #[default]
    Count,
    /// It is timed.
    Time,
    /// It is checked.
    Check,
}

/// Each scenario: name, what is measured, and the columns of the table in [`HELP`].
const SCENARIOS: [(&str, Measure, [u32; 7]); 6] = [
    ("flood", Measure::Count, [100, 4, 20_000, 64, 0, 0, 100]),
    ("everyone", Measure::Count, [300, u32::MAX, 100, 64, 0, 0, 100]),
    ("paced", Measure::Time, [500, 5, 50, 64, 10, 0, 100]),
    ("stalled", Measure::Time, [50, 2, 10_000, 400, 1000, 5, 100]),
    ("storm", Measure::Count, [1000, 0, 0, 64, 0, 0, 1000]),
    ("integrity", Measure::Check, [50, 10, 1000, 200, 0, 0, 100]),
];

/// The most clients: each takes one of the 28,232 ports that Linux gives to clients.
const MAX_CLIENTS: u64 = 28_000;

/// How to measure.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The scenario's name.
    pub scenario: String,
    /// What is done with each delivery.
    pub measure: Measure,
    /// Where the server is.
    pub endpoint: Endpoint,
    /// Whether it may be on another machine.
    pub anywhere: bool,
    /// The server's process.
    pub pid: Option<String>,
    /// Whether every second client stops reading now and then.
    pub pauses: bool,
    /// How many clients read.
    pub clients: u32,
    /// How many of those send.
    pub senders: u32,
    /// How many messages each of those sends.
    pub messages: u32,
    /// How long a message is.
    pub bytes: u32,
    /// Messages a second from each sender; 0 for no limit.
    pub rate: u32,
    /// How many clients more do not read until the others are done.
    pub stalled: u32,
    /// How many clients are about to join at the same time.
    pub joining: u32,
    /// How many clients more come and go.
    pub visitors: u32,
    /// After how many seconds without a byte what has not come is lost.
    pub silence: u32,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with them.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Request<Self>, UsageError> {
        let mut arguments = Arguments::new(arguments);
        let mut options = match arguments.next_argument()? {
            Some(Argument::Positional(name)) => Self::of(&name)?,
            Some(Argument::Option(option)) if option == "--help" => return Ok(Request::Help),
            Some(Argument::Option(option)) if option == "--version" => return Ok(Request::Version),
            _ => return Err(UsageError::new("the scenario comes first")),
        };
        while let Some(option) = arguments.next_option(&mut options.endpoint)? {
            match option.as_str() {
                "--anywhere" => options.anywhere = true,
                "--pauses" => options.pauses = true,
                "--help" => return Ok(Request::Help),
                "--version" => return Ok(Request::Version),
                "--pid" => {
                    let pid: u32 = arguments.parse("the number of a process")?;
                    options.pid = Some(pid.to_string());
                }
                name => {
                    let bare = name.strip_prefix("--").unwrap_or_default();
                    let found = options.numbers().into_iter().find(|(known, _)| *known == bare);
                    let (_, number) = found.ok_or_else(|| UsageError::unknown_option(name))?;
                    *number = arguments.parse("a number")?;
                }
            }
        }
        options.senders = options.senders.min(options.clients);
        options.check()?;
        Ok(Request::Run(options))
    }

    /// Returns what a scenario is when nothing more is said.
    fn of(name: &str) -> Result<Self, UsageError> {
        let found = SCENARIOS.into_iter().find(|(scenario, ..)| *scenario == name);
        let (scenario, measure, columns) =
            found.ok_or_else(|| UsageError::new(format!("'{name}' is no scenario")))?;
        let scenario = scenario.to_owned();
        let mut options = Self { scenario, measure, silence: 10, ..Self::default() };
        for ((_, number), column) in options.numbers().into_iter().zip(columns) {
            *number = column;
        }
        Ok(options)
    }

    /// Returns all numbers with their names, the columns of the table in [`HELP`] first.
    pub fn numbers(&mut self) -> [(&'static str, &mut u32); 9] {
        [
            ("clients", &mut self.clients),
            ("senders", &mut self.senders),
            ("messages", &mut self.messages),
            ("bytes", &mut self.bytes),
            ("rate", &mut self.rate),
            ("stalled", &mut self.stalled),
            ("joining", &mut self.joining),
            ("visitors", &mut self.visitors),
            ("silence", &mut self.silence),
        ]
    }

    /// Refuses what does not go together.
    fn check(&self) -> Result<(), UsageError> {
        let all: u64 = [self.clients, self.stalled, self.visitors].map(u64::from).iter().sum();
        let lines = u64::from(self.senders) * u64::from(self.messages);
        let bytes = MIN_TEXT_BYTES..=MAX_MESSAGE_BYTES;
        let checks = self.measure == Measure::Check;
        let rules = [
            (self.clients > 1 && all <= MAX_CLIENTS, "2 to 28000 clients can join"),
            (bytes.contains(&(self.bytes as usize)), "a message can have 32 to 1024 bytes"),
            (self.rate > 0 || self.measure != Measure::Time, "to time deliveries takes a rate"),
            (self.visitors == 0 || checks, "visitors come to integrity only"),
            (lines <= u32::MAX.into() || !checks, "that is more lines than can be checked"),
            (self.joining > 0 && self.silence > 0, "--silence and --joining are 1 or more"),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, why)| Err(UsageError::new(why)))
    }

    /// Returns how far apart the messages of all senders together are; `None` if they flood.
    pub fn interval(&self) -> Option<Duration> {
        Duration::from_secs(1).checked_div(self.rate.saturating_mul(self.senders))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        match Options::parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Request::Run(options)) => Ok(options),
            Ok(other) => panic!("{line}: {other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_help_tells_what_each_scenario_is() {
        for (name, _, columns) in SCENARIOS {
            let row = HELP.lines().find(|line| line.starts_with(name)).unwrap().replace("all", "");
            let told: Vec<u32> = row.split(' ').filter_map(|word| word.parse().ok()).collect();
            let columns: Vec<u32> = columns.into_iter().filter(|&n| n != u32::MAX).collect();
            assert_eq!(told, columns, "{name}");
        }
    }

    #[test]
    fn options_replace_what_the_scenario_says() {
        let options = parse("everyone ::1 7000 --clients 20 --rate=5 --pid 7 --silence 3").unwrap();
        assert_eq!(options.endpoint.to_string(), "[::1]:7000");
        assert_eq!((options.clients, options.senders, options.silence), (20, 20, 3));
        assert_eq!(options.pid.as_deref(), Some("7"));
        assert_eq!(options.interval(), Some(Duration::from_millis(10)));
        assert_eq!(parse("flood").unwrap().interval(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, why) in [
            ("", "the scenario comes first"),
            ("--port 80 flood", "the scenario comes first"),
            ("rain", "'rain' is no scenario"),
            ("flood --clients 1", "2 to 28000 clients can join"),
            ("flood --clients 27999 --stalled 2", "2 to 28000 clients can join"),
            ("flood --bytes 31", "a message can have 32 to 1024 bytes"),
            ("flood --bytes 1025", "a message can have 32 to 1024 bytes"),
            ("paced --rate 0", "to time deliveries takes a rate"),
            ("flood --visitors 1", "visitors come to integrity only"),
            ("integrity --messages 4294967295", "that is more lines than can be checked"),
            ("flood --silence 0", "--silence and --joining are 1 or more"),
            ("flood --rate -1", "--rate takes a number, not '-1'"),
            ("flood --quick", "unknown option --quick"),
            ("flood -clients 7", "unknown option -clients"),
        ] {
            assert_eq!(parse(line).unwrap_err(), format!("{why} (try --help)"), "{line}");
        }
    }
}
