//! The report: the results of a run, as a table for people and as one line for programs.

#![allow(clippy::cast_precision_loss, reason = "figures to be read; 52 bits are plenty")]

use std::fmt::{self, Display};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::client::{Client, Phase, Tally};
use crate::histogram::Histogram;
use crate::integrity::{self, Fault, Faults, Line, common_order, is_piece};
use crate::options::Measure;
use crate::proc::Sample;
use crate::run::{Role, Run};
use crate::siege;

/// The findings of the threads of a run.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) clients: Vec<Client>,
    pub(crate) visits: Vec<integrity::Findings>,
    /// The resources of the server and of this process at three moments: when one client had joined, when all
    /// clients had joined, and when all clients had read everything.
    pub(crate) samples: [[Option<Sample>; 2]; 3],
    /// The time from the start of the joining until all clients had joined.
    pub(crate) joined: Duration,
    /// The time from the start of the joining until each client knew of all the others.
    pub(crate) told: Duration,
    /// The moment when the talking began.
    pub(crate) began: Option<Instant>,
    /// The moment when the closing line was sent.
    pub(crate) closing: Option<Instant>,
    /// The greatest delay with which a message was sent.
    pub(crate) late: Duration,
    pub(crate) siege: Option<siege::Outcome>,
}

/// The result of a run. Its text is a table, a histogram, and finally one line of `key=value` pairs.
#[derive(Debug)]
pub(crate) struct Report {
    ok: bool,
    figures: Figures,
    bars: Vec<String>,
}

/// Names and values, in the order in which they are shown.
#[derive(Debug, Default)]
struct Figures(Vec<(String, String)>);

impl Figures {
    fn add(&mut self, key: impl Display, value: impl Display) {
        self.0.push((key.to_string(), value.to_string()));
    }
}

/// Everything that the clients received, added up.
#[derive(Default)]
struct Totals {
    faults: Faults,
    expected: u64,
    deliveries: u64,
    disconnected: u64,
    evicted: u64,
    last_arrival: Option<Instant>,
    last_end: Option<Instant>,
    logins: Histogram,
    latencies: Histogram,
    orders: Vec<(u32, Vec<Line>)>,
}

impl Totals {
    fn add(&mut self, client: Client, run: &Run, closed: bool) {
        let ended_early = run.options.siege.as_ref().is_some_and(|siege| siege.ends);
        // If the server ends in the middle of the run, the number of lines that it has read is unknown.
        let messages = Some(run.messages.load(Relaxed)).filter(|_| !ended_early);
        let expected = messages.map_or(client.received, |_| run.expected(client.number));
        // A client that has read the farewell was not cut off, so it does not count as disconnected.
        let farewell = matches!(&client.tally, Tally::Lines(inspector, _) if inspector.farewell);
        let left = client.end == Phase::Gone && !(farewell && run.options.starts_server());
        match client.role {
            Role::Visitor => return,
            Role::Stalled => self.evicted += u64::from(left),
            Role::Member => {
                self.expected += expected;
                self.deliveries += client.received;
                self.disconnected += u64::from(left);
                self.last_arrival = self.last_arrival.max(client.arrived.or(Some(client.ended)));
                self.last_end = self.last_end.max(Some(client.ended));
            }
        }
        self.logins.record(client.login);
        let mut compare = |expected: u64, came: u64| {
            self.faults.add(Fault::Lost, expected.saturating_sub(came));
            self.faults.add(Fault::Doubled, came.saturating_sub(expected));
        };
        compare(run.streams.len() as u64, client.notices);
        // If the closing line was sent, a client that has fallen silent has lost at least the closing line.
        compare(u64::from(client.end == Phase::Silent && closed), 0);
        // The server may disconnect a stalled client. In this case, the client's messages are not compared.
        if !matches!(client.tally, Tally::Lines(..)) && (client.role == Role::Member || !left) {
            compare(expected, client.received);
        }
        match client.tally {
            Tally::Count => (),
            Tally::Latencies(latencies, corrupt) => {
                self.latencies.merge(&latencies);
                self.faults.add(Fault::Corrupt, corrupt);
            }
            Tally::Lines(inspector, latencies) => {
                self.latencies.merge(&latencies);
                let integrity::Findings { faults, order } = inspector.finish(messages);
                self.faults.merge(faults);
                self.orders.push((client.number, order));
            }
        }
    }

    /// Adds the figures about the deliveries.
    fn deliveries(&self, run: &Run, began: Option<Instant>, figures: &mut Figures) {
        if self.expected == 0 {
            return;
        }
        let took = since(self.last_arrival, began);
        let rate = self.deliveries as f64 / took.as_secs_f64();
        figures.add("expected", self.expected);
        figures.add("deliveries", self.deliveries);
        figures.add("first_to_last_s", seconds(took));
        figures.add("deliveries_per_s", format_args!("{rate:.0}"));
        let shares = [("p50_ms", 500), ("p90_ms", 900), ("p99_ms", 990), ("max_ms", 1000)];
        for (key, share) in shares.into_iter().filter(|_| run.options.measure != Measure::Count) {
            figures.add(key, millis(self.latencies.per_mille(share)));
        }
    }

    /// Adds the figures about the faults.
    fn faults(&self, figures: &mut Figures) {
        for (name, count) in self.faults.named() {
            figures.add(name, count);
        }
        figures.add("disconnected", self.disconnected);
        figures.add("evicted", self.evicted);
    }

    /// Adds the figures about the resources of the server and of this process.
    fn usage(&self, run: &Run, samples: &[[Option<Sample>; 2]; 3], figures: &mut Figures) {
        let [[alone, own_alone], [full, own_full], [after, own_after]] = *samples;
        // If nobody talks, as in the scenario `storm`, the joins are measured.
        let talks = self.expected > 0;
        let (before, own_before) = if talks { (full, own_full) } else { (alone, own_alone) };
        if let (Some(alone), Some(before), Some(full), Some(after)) = (alone, before, full, after) {
            let cpu = after.cpu_since(&before);
            let grown = full.resident_kib.saturating_sub(alone.resident_kib);
            figures.add("server_cpu_s", format_args!("{cpu:.3}"));
            if talks {
                let each = cpu * 1e6 / self.deliveries as f64;
                figures.add("server_cpu_us_per_delivery", format_args!("{each:.4}"));
            }
            figures.add("server_kib_per_client", grown / (run.streams.len() as u64 - 1));
            figures.add("server_kib", after.resident_kib);
            figures.add("server_peak_kib", after.peak_kib);
            figures.add("server_threads", after.threads);
            figures.add("server_descriptors", after.descriptors);
        }
        if let (Some(before), Some(after)) = (own_before, own_after) {
            figures.add("own_cpu_s", format_args!("{:.3}", after.cpu_since(&before)));
        }
    }
}

/// Adds the figures of a siege.
fn siege_figures(before: Option<Sample>, outcome: &siege::Outcome, figures: &mut Figures) {
    let peak = before.map(|_| outcome.peak);
    for (when, usage) in [("start", before), ("peak", peak), ("end", outcome.healed)] {
        let Some(Sample { resident_kib, descriptors, threads, .. }) = usage else { continue };
        figures.add(format_args!("memory_{when}_kib"), resident_kib);
        figures.add(format_args!("descriptors_{when}"), descriptors);
        figures.add(format_args!("threads_{when}"), threads);
    }
    for (attack, rounds) in &outcome.rounds {
        figures.add(format_args!("{attack}_rounds"), rounds);
    }
    if let Some(ended) = outcome.ended {
        figures.add("ended_s", seconds(ended));
    }
}

impl Report {
    /// Makes the report, and judges the run.
    pub(crate) fn new(run: &Run, findings: Findings) -> Self {
        let mut options = run.options.clone();
        options.messages = run.messages.load(Relaxed);
        let mut totals = Totals::default();
        let closed = findings.closing.is_some();
        for client in findings.clients {
            totals.add(client, run, closed);
        }
        // If there are faults, the orders cannot be compared, and the run has failed in any case.
        let checks = options.measure == Measure::Check;
        let whole = checks && totals.faults == Faults::default();
        let order = if whole { common_order(&totals.orders) } else { None };
        let is_broken = |seen: &[Line]| !order.as_ref().is_some_and(|order| is_piece(order, seen));
        let broken_visits = findings.visits.iter().filter(|visit| is_broken(&visit.order)).count();
        for visit in &findings.visits {
            totals.faults.merge(visit.faults);
        }
        let bound = Duration::from_millis(options.bound.into());
        let is_late = !bound.is_zero() && totals.latencies.per_mille(990) > bound;
        // A server that this program started ends with its farewell. So the closing line is not needed in
        // this case.
        let ok = totals.faults == Faults::default()
            && totals.disconnected == 0
            && (closed || options.starts_server())
            && order.is_some() == checks
            && broken_visits == 0
            && !is_late
            && run.broken() == 0;

        let mut figures = Figures::default();
        figures.add("scenario", &options.scenario);
        figures.add("ok", u8::from(ok));
        for (name, number) in options.numbers() {
            figures.add(name, number);
        }
        figures.add("joined_s", seconds(findings.joined));
        figures.add("all_told_s", seconds(findings.told));
        for (key, share) in [("login_p50_ms", 500), ("login_p99_ms", 990), ("login_max_ms", 1000)] {
            figures.add(key, millis(totals.logins.per_mille(share)));
        }
        totals.deliveries(run, findings.began, &mut figures);
        figures.add("closing_line_ms", millis(since(totals.last_end, findings.closing)));
        figures.add("sent_late_max_ms", millis(findings.late));
        totals.faults(&mut figures);
        if checks {
            figures.add("one_order", u8::from(order.is_some()));
            figures.add("visits", findings.visits.len());
            figures.add("broken_visits", broken_visits);
        }
        if let Some(outcome) = &findings.siege {
            siege_figures(findings.samples[1][0], outcome, &mut figures);
            figures.add("broken_promises", run.broken());
        }
        totals.usage(run, &findings.samples, &mut figures);
        let timed = if totals.expected > 0 { totals.latencies } else { totals.logins };
        Self { ok, figures, bars: timed.bars() }
    }

    /// Returns whether the run has passed: everything has arrived, once, whole and in order.
    pub(crate) fn ok(&self) -> bool {
        self.ok
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.figures.0 {
            writeln!(f, "{:<28}{value:>14}", key.replace('_', " "))?;
        }
        writeln!(f)?;
        for bar in &self.bars {
            writeln!(f, "{bar}")?;
        }
        let pairs: Vec<_> =
            self.figures.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        writeln!(f, "{}", pairs.join(" "))
    }
}

fn since(end: Option<Instant>, start: Option<Instant>) -> Duration {
    end.zip(start).map_or(Duration::ZERO, |(end, start)| end.saturating_duration_since(start))
}

fn seconds(duration: Duration) -> String {
    format!("{:.4}", duration.as_secs_f64())
}

fn millis(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64() * 1e3)
}
