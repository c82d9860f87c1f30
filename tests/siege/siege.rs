//! Siege: attacks a server, on loopback alone, while people chat in it, and checks that they notice
//! nothing: every line of theirs reaches all of them once, whole and in order, the attackers get what
//! they are promised, and afterwards the server is as it was before.
//!
//! - [`server`]: the server under siege, and what it uses;
//! - [`chat`]: the people;
//! - [`attacks`]: the attacks, by name;
//! - [`field`]: what all of them share; [`random`]: numbers from a seed.
//!
//! Every thread here is one of a scope in [`run`]: one that talks, one that listens for each of the
//! people, and those of the attacks. Nothing is without a bound: connections, time, and waiting.

mod server;

mod chat;

mod attacks;

mod field;

#[path = "../harness/random.rs"]
mod random;

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::chat::arguments::{Argument, Arguments, Endpoint, UsageError, command_line};
use ::chat::system::descriptor;

use attacks::{ATTACKS, Attack};
use chat::Chat;
use field::Field;
use random::Random;
use server::{Server, Usage};

const HELP: &str = "\
Usage: siege SCENARIO [SECONDS] [OPTIONS]

Attacks a chat server on this machine while people chat in it, and checks that
they lose nothing. Ends with a line of key=value, and with code 1 if it did.

  SECONDS           how long the attacks last (20)
  --clients N       people who chat (200)
  --to HOST:PORT    a server that runs already, on a loopback address; without
                    it one is started and measured: cargo build --release
  --seed N          the seed of what is random (1)
  --help            print this and exit

Scenarios:
  soak       all of them at once
  end        the same, and the server is ended in the middle of it
";

/// Connections that a server of our own takes beyond the people: fewer than the attacks ask for.
const PLACES_TO_FIGHT_FOR: usize = 600;

/// How long a server of our own waits for a nickname, in seconds: so that waiting is put to the test.
const LOGIN_TIMEOUT: &str = "3";

/// How long the server may take to be as it was. It promises that ghosts are gone in two minutes.
const HEAL_TIME: Duration = Duration::from_secs(150);

/// How much more memory it may hold in the end, in KiB. The allocator keeps some for each of the
/// threads there were; a leak grows with the seconds.
const MAX_KEPT_KIB: u64 = 128 << 10;

/// How much more it may ever hold: the bounds of its queues, and what allocators waste.
const MAX_PEAK_KIB: u64 = 512 << 10;

struct Options {
    scenario: String,
    time: Duration,
    people: usize,
    to: Option<Endpoint>,
    seed: u64,
}

fn main() -> ExitCode {
    let options = match parse(command_line()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            let mut help = HELP.to_owned();
            for Attack { name, what, .. } in ATTACKS {
                help += &format!("  {name:<9}  {what}\n");
            }
            return print(&help, 0);
        }
        Err(error) => return print(&format!("siege: {error}\n"), 2),
    };
    match run(&options) {
        Ok((report, failures)) => print(&report, u8::from(failures > 0)),
        Err(error) => print(&format!("siege: FAILED: {error}\n"), 1),
    }
}

fn print(text: &str, code: u8) -> ExitCode {
    // Nobody reads it: the code still says how it went.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, UsageError> {
    let (mut scenario, mut seconds, mut people, mut to, mut seed) = (None, None, 200, None, 1);
    let mut arguments = Arguments::new(arguments);
    while let Some(argument) = arguments.next_argument()? {
        match argument {
            Argument::Positional(plain) if scenario.is_none() => scenario = Some(plain),
            Argument::Positional(plain) if seconds.is_none() => {
                let wrong = |_| UsageError::new(format!("SECONDS is a number, not '{plain}'"));
                seconds = Some(plain.parse::<u32>().map_err(wrong)?);
            }
            Argument::Positional(plain) => {
                return Err(UsageError::new(format!("unexpected argument '{plain}'")));
            }
            Argument::Option(option) => match option.as_str() {
                "--clients" => people = arguments.parse("a number")?,
                "--seed" => seed = arguments.parse("a number")?,
                "--to" => {
                    let value = arguments.value()?;
                    let Some((host, port)) = value.rsplit_once(':') else {
                        return Err(UsageError::new("--to takes HOST:PORT"));
                    };
                    let mut endpoint = Endpoint::default();
                    endpoint.set_host(host)?;
                    endpoint.set_port(port)?;
                    to = Some(endpoint);
                }
                "--help" | "-h" => return Ok(None),
                unknown => return Err(UsageError::unknown_option(unknown)),
            },
        }
    }
    let scenario = scenario.ok_or_else(|| UsageError::new("which scenario?"))?;
    if !["soak", "end"].contains(&scenario.as_str())
        && ATTACKS.iter().all(|attack| attack.name != scenario)
    {
        return Err(UsageError::new(format!("no scenario is called '{scenario}'")));
    }
    if scenario == "end" && to.is_some() {
        return Err(UsageError::new("only a server of our own can be ended"));
    }
    if people < 2 {
        return Err(UsageError::new("a chat takes two"));
    }
    let time = Duration::from_secs(seconds.unwrap_or(20).into());
    Ok(Some(Options { scenario, time, people, to, seed }))
}

/// Resolves the address of a running server; only this machine may be besieged.
fn loopback(endpoint: &Endpoint) -> Result<SocketAddr, String> {
    let found = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
    let mut found = found.map_err(|error| format!("{endpoint}: {error}"))?;
    let address = found.find(|address| address.ip().is_loopback());
    address.ok_or_else(|| format!("{endpoint} is not a loopback address: refused"))
}

/// Fights a siege. Returns the report, and how many promises were broken.
fn run(options: &Options) -> Result<(String, usize), String> {
    // As many connections as a server; where it cannot be had, connecting fails and says so.
    descriptor::raise_limit();
    let mut server = if let Some(endpoint) = &options.to {
        Server::running(loopback(endpoint)?)
    } else {
        let places = (options.people + PLACES_TO_FIGHT_FOR).to_string();
        Server::start(&["--max-clients", &places, "--login-timeout", LOGIN_TIMEOUT])?
    };
    let field = Field::new(server.address);
    let chat = Chat::join(&field, options.people)?;
    let (before, mut peak) = (server.usage(), Usage::default());
    let chosen =
        |attack: &&Attack| [attack.name, "soak", "end"].contains(&options.scenario.as_str());
    let attacks: Vec<_> = ATTACKS.iter().filter(chosen).collect();
    let rounds: Vec<_> = attacks.iter().map(|_| AtomicU64::new(0)).collect();
    let (mut ended, mut after) = (None, None);
    thread::scope(|people| {
        (0..chat.people()).for_each(|n| {
            let chat = &chat;
            people.spawn(move || chat.listen(n));
        });
        people.spawn(|| chat.talk());
        thread::scope(|attackers| {
            for (attack, rounds) in attacks.iter().zip(&rounds) {
                for n in 0..attack.threads {
                    let (field, seed) = (&field, options.seed + n as u64);
                    attackers.spawn(move || fight(field, attack, seed, rounds));
                }
            }
            let end = Instant::now() + options.time;
            while Instant::now() < end && !field.over.wait(Duration::from_millis(100)) {
                peak = peak.or(server.usage());
                if before.is_some_and(|before| peak.memory_kib > before.memory_kib + MAX_PEAK_KIB) {
                    field.fail(format!("the server's memory grew to {} KiB", peak.memory_kib));
                    break;
                }
            }
            if options.scenario == "end" {
                field.ending.raise();
                ended = Some(stop(&mut server, &field));
            }
            field.over.raise();
        });
        if ended.is_none() {
            after = heal(&field, &server, before);
            chat.quiet.raise();
            chat.settle();
            ended = Some(stop(&mut server, &field));
        }
        if options.to.is_some() {
            // It goes on; the people leave without a farewell.
            chat.leave();
        }
    });
    if options.to.is_none() {
        chat.compare_farewells();
    }
    let (said, received) = chat.counts();
    let mut report = format!(
        "scenario={} seconds={} clients={} said={said} received={received} p50_ms={:.1} p99_ms={:.1} \
         ended_s={:.2}",
        options.scenario,
        options.time.as_secs(),
        options.people,
        chat.latency(500).as_secs_f64() * 1000.0,
        chat.latency(990).as_secs_f64() * 1000.0,
        ended.unwrap_or_default().as_secs_f64(),
    );
    for (when, usage) in [("start", before), ("peak", before.map(|_| peak)), ("end", after)] {
        let Some(Usage { memory_kib, descriptors, threads }) = usage else { continue };
        report += &format!(
            " memory_{when}_kib={memory_kib} descriptors_{when}={descriptors} threads_{when}={threads}"
        );
    }
    for (attack, rounds) in attacks.iter().zip(&rounds) {
        report += &format!(" {}_rounds={}", attack.name, rounds.load(Ordering::Relaxed));
    }
    report += &format!(" failures={}\n", field.failures());
    Ok((report, field.failures()))
}

/// Fights rounds of one attack until the siege is over.
fn fight(field: &Field, attack: &Attack, seed: u64, rounds: &AtomicU64) {
    let mut random = Random::new(seed);
    while !field.over.wait(Duration::from_millis(20)) {
        match (attack.round)(field, &mut random) {
            Ok(()) => rounds.fetch_add(1, Ordering::Relaxed),
            Err(_) if field.ending.is_raised() => return,
            Err(why) => return field.fail(format!("{}: {why}", attack.name)),
        };
    }
}

/// Ends a server of our own. Returns how long that took.
fn stop(server: &mut Server, field: &Field) -> Duration {
    let start = Instant::now();
    server.stop().into_iter().for_each(|wrong| field.fail(wrong));
    start.elapsed()
}

/// Waits until the server is as it was, while the people go on. Returns what it uses then.
fn heal(field: &Field, server: &Server, before: Option<Usage>) -> Option<Usage> {
    let before = before?;
    let start = Instant::now();
    loop {
        let now = server.usage()?;
        if now.descriptors <= before.descriptors && now.threads <= before.threads {
            if now.memory_kib > before.memory_kib + MAX_KEPT_KIB {
                field.fail(format!("the server kept {} KiB", now.memory_kib));
            }
            return Some(now);
        }
        if start.elapsed() > HEAL_TIME {
            field.fail(format!("the server does not heal: {now:?}, before {before:?}"));
            return Some(now);
        }
        thread::park_timeout(Duration::from_millis(100));
    }
}
