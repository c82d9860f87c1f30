//! Options: the command line of `load`, and the defaults of each scenario.

use std::time::Duration;

use crate::attacks::{ATTACKS, Attack};
use crate::integrity::{MAX_TEXTS, MIN_TEXT_BYTES};
use chat::arguments::{Argument, Arguments, Endpoint, Request, UsageError};
use chat::protocol::MAX_MESSAGE_BYTES;

/// The text of `load --help`, except for the list of attacks.
const HELP: &str = "\
Usage: load SCENARIO [HOST [PORT]] [OPTIONS]
       load soak|end SECONDS [HOST PORT] [OPTIONS]

Measures a chat server: joins with many clients, lets some of them talk, and counts the deliveries.
The room must be empty, and the server must have no rate limit. A history would only blur the
figures. So start the server with  server --rate 0 --history 0 --quiet

Scenario                                   clients  senders  messages  bytes  rate  stalled  joining
flood      some clients send, at full speed    100        4     20000     64     0        0      100
everyone   all clients send, at full speed     300      all       100     64     0        0      100
paced      at this rate: delivery times        500        5        50     64    10        0      100
stalled    the same, and some do not read       50        2     10000    400  1000        5      100
storm      all join at once, nobody talks     1000        0         0     64     0        0     1000
integrity  does every receiver get each line    50       10      1000    200     0        0      100
           whole, once, and all in one order?

soak and end besiege a server: 200 clients chat, and each sends a line every two seconds. Every line
is checked as in integrity. Meanwhile, attackers do their worst. Without a port, this program starts
and stops the server (the one in the same directory). After soak, the server must be as it was
before. end stops it in the middle: all clients must have read the same lines and the farewell.

  --host HOST          the server's address (127.0.0.1)
  --port PORT          the server's port (5555)
  --anywhere           allow addresses that are not loopback addresses
  --pid PID            the server's process: shows its CPU time, memory, threads, descriptors
  --clients N          number of clients that join
  --senders N          number of these clients that send
  --messages N         messages from each sender
  --bytes N            bytes in each message, 32 to 1024; in integrity the maximum
  --rate N             messages a second from each sender, evenly spread; 0 for full speed
  --stalled N          additional clients that do not read until all others have finished
  --joining N          maximum number of clients that join at the same time
  --pauses             every second client stops reading now and then
  --visitors N         integrity: more clients, which join, read for a while and leave, repeatedly
  --silence SECONDS    give up after this time without a delivery (10; soak and end: 20)
  --attack NAME        soak and end: only this attack
  --places N           soak and end: connections that the server accepts besides the clients (600)
  --bound MILLISECONDS soak and end: maximum for the 99th percentile; 0 for no maximum (0)
  --seed N             soak and end: seed for the random numbers of the attacks (1)
  --help               print this text and exit
  --version            print the version and exit

A few threads read for all clients. Each thread visits its clients in turn, which adds up to a
millisecond to a delivery. On a machine with few cores, these threads take processor time from the
server: compare own_cpu_s with the duration of the run.

The last line is key=value pairs. Exit codes: 0 everything arrived; 1 something was lost, doubled,
out of order or corrupt, or the run failed; 2 wrong usage.

Attacks:
";

/// The text of `load --help`.
pub(crate) fn help() -> String {
    let line = |attack: &Attack| format!("  {:<9}  {}\n", attack.name, attack.what);
    ATTACKS.iter().fold(HELP.to_owned(), |help, attack| help + &line(attack))
}

/// What is done with each delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Each delivery is counted.
    #[default]
    Count,
    /// Each delivery is timed.
    Time,
    /// Each delivery is checked.
    Check,
}

/// Each scenario: its name, what is done with each delivery, and the columns of the table in [`HELP`].
const SCENARIOS: [(&str, Measure, [u32; 7]); 6] = [
    ("flood", Measure::Count, [100, 4, 20_000, 64, 0, 0, 100]),
    ("everyone", Measure::Count, [300, u32::MAX, 100, 64, 0, 0, 100]),
    ("paced", Measure::Time, [500, 5, 50, 64, 10, 0, 100]),
    ("stalled", Measure::Time, [50, 2, 10_000, 400, 1000, 5, 100]),
    ("storm", Measure::Count, [1000, 0, 0, 64, 0, 0, 1000]),
    ("integrity", Measure::Check, [50, 10, 1000, 200, 0, 0, 100]),
];

/// The time between two messages of a client in a siege.
const SIEGE_PAUSE: Duration = Duration::from_secs(2);

/// The maximum number of clients. Each client needs one of the 28,232 ports that Linux assigns to clients.
const MAX_CLIENTS: u64 = 28_000;

/// The settings of a siege.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Siege {
    /// The duration of the attacks.
    pub(crate) time: Duration,
    /// Whether the server is stopped in the middle of the attacks.
    pub(crate) ends: bool,
    /// The name of the only attack. `None` means all attacks.
    pub(crate) attack: Option<String>,
}

/// The options of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What is done with each delivery.
    pub(crate) measure: Measure,
    /// The address of the server.
    pub(crate) endpoint: Endpoint,
    /// Whether the server may be on another machine.
    pub(crate) anywhere: bool,
    /// The process id of the server.
    pub(crate) pid: Option<String>,
    /// Whether every second client stops reading now and then.
    pub(crate) pauses: bool,
    /// The number of clients that read.
    pub(crate) clients: u32,
    /// The number of these clients that also send messages.
    pub(crate) senders: u32,
    /// The number of messages that each sender sends.
    pub(crate) messages: u32,
    /// The length of a message, in bytes. In an integrity check, the maximum length.
    pub(crate) bytes: u32,
    /// The number of messages that each sender sends per second; 0 means no limit.
    pub(crate) rate: u32,
    /// The number of additional clients that read nothing until the others are done.
    pub(crate) stalled: u32,
    /// The maximum number of clients that are joining at the same time.
    pub(crate) joining: u32,
    /// The number of additional clients that join and leave again and again.
    pub(crate) visitors: u32,
    /// The number of seconds without a byte after which a missing line counts as lost.
    pub(crate) silence: u32,
    /// The seed for the random choices of the attacks.
    pub(crate) seed: u32,
    /// The number of connections that the siege's own server accepts in addition to the clients' connections.
    /// The attackers try to open more connections than this.
    pub(crate) places: u32,
    /// The maximum time that 99 of 100 deliveries in a siege may take, in milliseconds; 0 means no bound.
    pub(crate) bound: u32,
    /// The settings of the siege. `None` if the scenario is not a siege.
    pub(crate) siege: Option<Siege>,
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    ///
    /// Fails if the arguments contain a mistake. The error describes the first mistake.
    pub(crate) fn parse(
        arguments: impl Iterator<Item = String>,
    ) -> Result<Request<Self>, UsageError> {
        let mut arguments = Arguments::new(arguments);
        let mut options = match arguments.next_argument()? {
            Some(Argument::Positional(name)) => Self::of(&name)?,
            Some(Argument::Option(option)) if option == "--help" => return Ok(Request::Help),
            Some(Argument::Option(option)) if option == "--version" => return Ok(Request::Version),
            _ => return Err(UsageError::new("the scenario comes first")),
        };
        if let Some(siege) = &mut options.siege {
            let seconds = match arguments.next_argument()? {
                Some(Argument::Positional(seconds)) => seconds.parse().ok(),
                Some(Argument::Option(option)) if option == "--help" => return Ok(Request::Help),
                _ => None,
            };
            let needs = || UsageError::new(format!("{} needs SECONDS", options.scenario));
            siege.time = Duration::from_secs(seconds.filter(|&s| s > 0).ok_or_else(needs)?);
        }
        while let Some(option) = arguments.next_option(&mut options.endpoint)? {
            match option.as_str() {
                "--anywhere" => options.anywhere = true,
                "--pauses" => options.pauses = true,
                "--help" => return Ok(Request::Help),
                "--version" => return Ok(Request::Version),
                "--attack" if options.siege.is_some() => {
                    let name = arguments.value()?;
                    if ATTACKS.iter().all(|attack| attack.name != name) {
                        return Err(UsageError::new(format!("'{name}' is no attack")));
                    }
                    options.siege.as_mut().expect("it is a siege").attack = Some(name);
                }
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

    /// Returns the defaults of a scenario.
    fn of(name: &str) -> Result<Self, UsageError> {
        if ["soak", "end"].contains(&name) {
            return Ok(Self::of_a_siege(name));
        }
        let found = SCENARIOS.into_iter().find(|(scenario, ..)| *scenario == name);
        let (scenario, measure, columns) =
            found.ok_or_else(|| UsageError::new(format!("'{name}' is no scenario")))?;
        let scenario = scenario.to_owned();
        let mut options = Self { scenario, measure, silence: 10, seed: 1, ..Self::default() };
        for ((_, number), column) in options.numbers().into_iter().zip(columns) {
            *number = column;
        }
        Ok(options)
    }

    /// Returns the defaults of a siege. The default port is 0, which means that the siege starts a server of its
    /// own.
    fn of_a_siege(name: &str) -> Self {
        let mut endpoint = Endpoint::default();
        endpoint.port = 0;
        Self {
            scenario: name.to_owned(),
            measure: Measure::Check,
            clients: 200,
            senders: u32::MAX,
            messages: MAX_TEXTS,
            bytes: 200,
            joining: 100,
            silence: 20,
            seed: 1,
            places: 600,
            siege: Some(Siege { time: Duration::ZERO, ends: name == "end", attack: None }),
            endpoint,
            ..Self::default()
        }
    }

    /// Returns whether this is a siege that starts a server of its own.
    pub(crate) fn starts_server(&self) -> bool {
        self.siege.is_some() && self.endpoint.port == 0
    }

    /// Returns all numeric options with their names. The columns of the table in [`HELP`] come first.
    pub(crate) fn numbers(&mut self) -> [(&'static str, &mut u32); 12] {
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
            ("seed", &mut self.seed),
            ("places", &mut self.places),
            ("bound", &mut self.bound),
        ]
    }

    /// Refuses values that are out of range, and options that contradict each other.
    fn check(&self) -> Result<(), UsageError> {
        let all: u64 = [self.clients, self.stalled, self.visitors].map(u64::from).iter().sum();
        let bytes = MIN_TEXT_BYTES..=MAX_MESSAGE_BYTES;
        let checks = self.measure == Measure::Check;
        let ends = self.siege.as_ref().is_some_and(|siege| siege.ends);
        let rules = [
            (self.clients > 1 && all <= MAX_CLIENTS, "2 to 28000 clients can join"),
            (bytes.contains(&(self.bytes as usize)), "a message can have 32 to 1024 bytes"),
            (self.rate > 0 || self.measure != Measure::Time, "to time deliveries takes a rate"),
            (self.visitors == 0 || checks, "visitors come to integrity only"),
            (self.messages <= MAX_TEXTS || !checks, "that is more messages than can be checked"),
            (self.joining > 0 && self.silence > 0, "--silence and --joining are 1 or more"),
            (!ends || self.starts_server(), "only a server of its own can be ended"),
            (self.siege.is_some() || self.bound == 0, "only a siege has a bound"),
            (self.siege.is_none() || !self.anywhere, "a siege stays on this machine"),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, why)| Err(UsageError::new(why)))
    }

    /// Returns the time between two consecutive messages, counting the messages of all senders. `None` if the
    /// senders send without pauses.
    pub(crate) fn interval(&self) -> Option<Duration> {
        if self.siege.is_some() {
            return SIEGE_PAUSE.checked_div(self.senders);
        }
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
    fn a_siege_takes_a_server_of_its_own_unless_a_port_is_given() {
        let siege = parse("soak 7 --clients 20 --attack half").unwrap();
        assert!(siege.starts_server());
        assert_eq!((siege.senders, siege.interval()), (20, Some(Duration::from_millis(100))));
        let how = siege.siege.unwrap();
        assert_eq!(
            (how.time.as_secs(), how.ends, how.attack.unwrap().as_str()),
            (7, false, "half")
        );
        assert!(!parse("soak 7 ::1 7000").unwrap().starts_server());
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
            ("integrity --messages 4294967295", "that is more messages than can be checked"),
            ("flood --silence 0", "--silence and --joining are 1 or more"),
            ("flood --rate -1", "--rate takes a number, not '-1'"),
            ("flood --quick", "unknown option --quick"),
            ("flood -clients 7", "unknown option -clients"),
            ("flood --attack half", "unknown option --attack"),
            ("flood --bound 250", "only a siege has a bound"),
            ("soak", "soak needs SECONDS"),
            ("soak --clients 7", "soak needs SECONDS"),
            ("end 0", "end needs SECONDS"),
            ("soak 5 --attack rain", "'rain' is no attack"),
            ("end 5 127.0.0.1 5555", "only a server of its own can be ended"),
            ("soak 5 --port 7 --anywhere", "a siege stays on this machine"),
        ] {
            assert_eq!(parse(line).unwrap_err(), format!("{why} (try --help)"), "{line}");
        }
    }
}
