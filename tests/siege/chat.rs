//! The chat that must not notice: people who talk at a human pace, each of whom checks every line of
//! all the others. A line carries its number, when it was said, and a text that follows from the
//! number, so one that is lost, doubled, out of order or torn cannot pass.

use std::io::{BufRead, BufReader};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chat::protocol::nickname::Nickname;
use chat::protocol::replies::{NOTICE_PREFIX, SHUTTING_DOWN};

use crate::field::{Field, Flag, Visitor};

/// How often each of them says something.
const PAUSE: Duration = Duration::from_secs(2);

/// How long they wait for the last lines of the others.
const SETTLE_TIME: Duration = Duration::from_secs(20);

/// The unit in which latency is counted.
const TICK: Duration = Duration::from_micros(100);

/// Latencies of this many ticks and more are counted as one: ten seconds.
const MAX_TICKS: usize = 100_000;

/// The people.
pub(crate) struct Chat<'a> {
    field: &'a Field,
    start: Instant,
    members: Vec<Member>,
    /// How many lines came after so many ticks.
    latencies: Vec<AtomicU64>,
    /// Who has read the farewell, and how many lines of each of them it had got by then.
    farewells: Mutex<Vec<(usize, Vec<u64>)>>,
    /// They have said everything.
    pub(crate) quiet: Flag,
    /// They are leaving themselves.
    left: Flag,
}

struct Member {
    visitor: Visitor,
    said: AtomicU64,
    /// How many lines of other members came, all of them checked.
    received: AtomicU64,
}

impl<'a> Chat<'a> {
    /// Has so many people join.
    pub(crate) fn join(field: &'a Field, people: usize) -> Result<Self, String> {
        let mut members = Vec::new();
        for n in 0..people {
            let mut visitor = Visitor::at_the_prompt(field)?.ok_or("the server is full")?;
            visitor.send(format!("h{n}\n").as_bytes())?;
            visitor.line()?;
            members.push(Member { visitor, said: AtomicU64::new(0), received: AtomicU64::new(0) });
        }
        let latencies = (0..=MAX_TICKS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self {
            field,
            start: Instant::now(),
            members,
            latencies,
            farewells: Mutex::default(),
            quiet: Flag::default(),
            left: Flag::default(),
        })
    }

    pub(crate) fn people(&self) -> usize {
        self.members.len()
    }

    /// Speaks for all of them in turn, until they are quiet.
    pub(crate) fn talk(&self) {
        let pause = PAUSE / u32::try_from(self.people()).unwrap_or(u32::MAX);
        for (n, member) in self.members.iter().enumerate().cycle() {
            if self.quiet.wait(pause) {
                return;
            }
            let line = self.line(member.said.load(Ordering::Relaxed), self.start.elapsed());
            let mut stream = member.visitor.stream.get_ref();
            if let Err(error) = std::io::Write::write_all(&mut stream, line.as_bytes()) {
                if !self.field.ending.is_raised() {
                    self.field.fail(format!("h{n} could not speak: {error}"));
                }
                return;
            }
            member.said.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[expect(clippy::unused_self, reason = "the line of this chat")]
    fn line(&self, number: u64, at: Duration) -> String {
        let text = "~".repeat(usize::try_from(number % 50).unwrap_or(0));
        format!("{number} {} {text}\n", at.as_micros())
    }

    /// Reads and checks everything that the `n`-th of them is told, up to the farewell.
    pub(crate) fn listen(&self, n: usize) {
        let mut reader = BufReader::new(self.members[n].visitor.stream.get_ref());
        // The rest of the welcome may be in the visitor's own buffer: its lines are none of ours,
        // but the last may have been cut there.
        let mut line = self.members[n].visitor.stream.buffer().to_vec();
        let cut = line.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        line.drain(..cut);
        let mut next = vec![0; self.people()];
        loop {
            match reader.read_until(b'\n', &mut line) {
                _ if self.left.is_raised() => return,
                Ok(0) => return self.field.fail(format!("h{n} was cut off")),
                Ok(_) => {}
                Err(error) => return self.field.fail(format!("h{n} hears nothing: {error}")),
            }
            let text = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
            match text {
                Some(SHUTTING_DOWN) => {
                    let mut farewells = self.farewells();
                    return farewells.push((n, next));
                }
                Some(text) if self.is_whole(n, text, &mut next) => {}
                _ => {
                    let line = String::from_utf8_lossy(&line);
                    return self.field.fail(format!("h{n} got '{}'", line.escape_debug()));
                }
            }
            line.clear();
        }
    }

    /// Whether `n` should have got this line now.
    fn is_whole(&self, n: usize, line: &str, next: &mut [u64]) -> bool {
        if line.starts_with(NOTICE_PREFIX) || line.starts_with("* ") {
            return true;
        }
        let Some((nickname, said)) = line.split_once(": ") else { return false };
        let member = nickname.strip_prefix('h').and_then(|from| from.parse::<usize>().ok());
        let Some(from) = member.filter(|&from| from < self.people()) else {
            // Somebody else's words.
            return Nickname::parse(nickname).is_ok();
        };
        let at = said.split(' ').nth(1).and_then(|at| at.parse().ok()).map(Duration::from_micros);
        let Some(at) = at else { return false };
        let expected = self.line(next[from], at);
        next[from] += 1;
        let ticks = self.start.elapsed().saturating_sub(at).as_micros() / TICK.as_micros();
        let ticks = usize::try_from(ticks).unwrap_or(MAX_TICKS).min(MAX_TICKS);
        self.latencies[ticks].fetch_add(1, Ordering::Relaxed);
        self.members[n].received.fetch_add(1, Ordering::Relaxed);
        from != n && expected.trim_end_matches('\n') == said
    }

    /// How many lines were said, and how many came.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let said = self.members.iter().map(|member| load(&member.said)).sum();
        (said, self.members.iter().map(|member| load(&member.received)).sum())
    }

    /// Waits until all have got everything.
    pub(crate) fn settle(&self) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (said, _) = self.counts();
        let missing = |member: &Member| said - load(&member.said) - load(&member.received);
        let end = Instant::now() + SETTLE_TIME;
        while Instant::now() < end && self.members.iter().any(|member| missing(member) > 0) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        for (n, member) in self.members.iter().enumerate() {
            if missing(member) > 0 {
                self.field.fail(format!("h{n} lacks {} lines", missing(member)));
            }
        }
    }

    fn farewells(&self) -> MutexGuard<'_, Vec<(usize, Vec<u64>)>> {
        self.farewells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks, once the server has ended and nobody listens any more, that all of them have read the
    /// farewell, and the same before it: what the server took from one it gave to all others.
    pub(crate) fn compare_farewells(&self) {
        let farewells = self.farewells();
        if farewells.len() < self.people() {
            let told = farewells.len();
            self.field.fail(format!("{told} of {} have read the farewell", self.people()));
        }
        for speaker in 0..self.people() {
            let listeners = farewells.iter().filter(|(n, _)| *n != speaker);
            let mut heard = listeners.map(|(n, next)| (next[speaker], n));
            let Some((lines, first)) = heard.next() else { continue };
            if let Some((others, n)) = heard.find(|&(others, _)| others != lines) {
                let what = format!("h{first} got {lines} lines of h{speaker}, h{n} got {others}");
                self.field.fail(what);
            }
        }
    }

    /// Ends their connections, which ends listening to a server that goes on.
    pub(crate) fn leave(&self) {
        self.left.raise();
        for member in &self.members {
            // It fails when the server has closed, which ends it too.
            let _ = member.visitor.stream.get_ref().shutdown(Shutdown::Both);
        }
    }

    /// The time after which so many of a thousand lines had come.
    pub(crate) fn latency(&self, per_mille: u64) -> Duration {
        let counts = || self.latencies.iter().map(|count| count.load(Ordering::Relaxed));
        let mut rest = counts().sum::<u64>() * per_mille / 1000;
        let ticks = counts().position(|count| {
            let found = count > rest;
            rest = rest.saturating_sub(count);
            found
        });
        TICK * u32::try_from(ticks.unwrap_or(MAX_TICKS) + 1).unwrap_or(u32::MAX)
    }
}
