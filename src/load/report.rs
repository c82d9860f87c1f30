//! The report: what a run showed, as a table for people and as one line for programs.

#![allow(clippy::cast_precision_loss, reason = "figures to be read; 52 bits are plenty")]

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use super::client::{Client, Phase, Tally};
use super::histogram::Histogram;
use super::integrity::{Fault, Faults, common_order, is_piece};
use super::options::Measure;
use super::process::Sample;
use super::readers::Visit;
use super::room::{Role, Room};

/// What the threads of a run found out.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) clients: Vec<Client>,
    pub(super) visits: Vec<Visit>,
    /// The server and this process when one client was in, all were, and all had read everything.
    pub(super) samples: [[Option<Sample>; 2]; 3],
    /// Until all were in, and until all were told of all.
    pub(super) joined: Duration,
    pub(super) told: Duration,
    /// When the talking began, and when the closing line was said.
    pub(super) began: Option<Instant>,
    pub(super) closing: Option<Instant>,
    /// How late the latest message was.
    pub(super) late: Duration,
}

/// What a run showed. As text: a table and a histogram, and last one line of `key=value`.
#[derive(Debug)]
pub struct Report {
    ok: bool,
    figures: Vec<(&'static str, String)>,
    bars: Vec<String>,
}

/// What all clients together received.
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
    orders: Vec<(u32, Vec<u32>)>,
}

impl Totals {
    fn add(&mut self, client: Client, room: &Room, closed: bool) {
        let expected = room.expected(client.number);
        let left = client.end == Phase::Gone;
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
        compare(room.streams.len() as u64, client.notices);
        // Whoever heard nothing more, though the closing line was said, lost at least that.
        compare(u64::from(client.end == Phase::Silent && closed), 0);
        // To turn out whoever stalled is the server's right.
        if !matches!(client.tally, Tally::Lines(_)) && (client.role == Role::Member || !left) {
            compare(expected, client.received);
        }
        match client.tally {
            Tally::Count => (),
            Tally::Latencies(latencies, corrupt) => {
                self.latencies.merge(&latencies);
                self.faults.add(Fault::Corrupt, corrupt);
            }
            Tally::Lines(inspector) => {
                let (faults, order) = inspector.finish();
                self.faults.merge(faults);
                self.orders.push((client.number, order));
            }
        }
    }
}

impl Report {
    /// Judges what was found.
    pub(super) fn new(room: &Room, findings: Findings) -> Self {
        let mut options = room.options.clone();
        let mut totals = Totals::default();
        for client in findings.clients {
            totals.add(client, room, findings.closing.is_some());
        }
        // Where lines are missing there is nothing to compare, and the verdict is known.
        let checks = options.measure == Measure::Check;
        let whole = checks && totals.faults == Faults::default();
        let order = if whole { common_order(room.texts, &totals.orders) } else { None };
        let is_broken = |seen: &[u32]| !order.as_ref().is_some_and(|order| is_piece(order, seen));
        let broken_visits = findings.visits.iter().filter(|(_, seen)| is_broken(seen)).count();
        for (faults, _) in &findings.visits {
            totals.faults.merge(*faults);
        }
        let ok = totals.faults == Faults::default()
            && totals.disconnected == 0
            && findings.closing.is_some()
            && order.is_some() == checks
            && broken_visits == 0;

        let mut figures = Vec::new();
        let mut add = |key, value: &dyn Display| figures.push((key, value.to_string()));
        add("scenario", &options.scenario);
        add("ok", &u8::from(ok));
        for (name, number) in options.numbers() {
            add(name, number);
        }
        add("joined_s", &seconds(findings.joined));
        add("all_told_s", &seconds(findings.told));
        for (key, share) in [("login_p50_ms", 500), ("login_p99_ms", 990), ("login_max_ms", 1000)] {
            add(key, &millis(totals.logins.per_mille(share)));
        }
        if totals.expected > 0 {
            let took = since(totals.last_arrival, findings.began);
            let rate = totals.deliveries as f64 / took.as_secs_f64();
            add("expected", &totals.expected);
            add("deliveries", &totals.deliveries);
            add("first_to_last_s", &seconds(took));
            add("deliveries_per_s", &format!("{rate:.0}"));
        }
        add("closing_line_ms", &millis(since(totals.last_end, findings.closing)));
        let shares = [("p50_ms", 500), ("p90_ms", 900), ("p99_ms", 990), ("max_ms", 1000)];
        for (key, share) in shares.into_iter().filter(|_| options.measure == Measure::Time) {
            add(key, &millis(totals.latencies.per_mille(share)));
        }
        add("sent_late_max_ms", &millis(findings.late));
        for (name, count) in totals.faults.named() {
            add(name, &count);
        }
        if checks {
            add("one_order", &u8::from(order.is_some()));
            add("visits", &findings.visits.len());
            add("broken_visits", &broken_visits);
        }
        add("disconnected", &totals.disconnected);
        add("evicted", &totals.evicted);
        let [[alone, own_alone], [full, own_full], [after, own_after]] = findings.samples;
        // In a storm the work is the joining.
        let talks = totals.expected > 0;
        let (before, own_before) = if talks { (full, own_full) } else { (alone, own_alone) };
        if let (Some(alone), Some(before), Some(full), Some(after)) = (alone, before, full, after) {
            let cpu = after.cpu_since(&before);
            let grown = full.resident_kib.saturating_sub(alone.resident_kib);
            add("server_cpu_s", &format!("{cpu:.3}"));
            if talks {
                let each = cpu * 1e6 / totals.deliveries as f64;
                add("server_cpu_us_per_delivery", &format!("{each:.4}"));
            }
            add("server_kib_per_client", &(grown / (room.streams.len() as u64 - 1)));
            add("server_kib", &after.resident_kib);
            add("server_peak_kib", &after.peak_kib);
            add("server_threads", &after.threads);
            add("server_descriptors", &after.descriptors);
        }
        if let (Some(before), Some(after)) = (own_before, own_after) {
            add("own_cpu_s", &format!("{:.3}", after.cpu_since(&before)));
        }
        let timed = if talks { totals.latencies } else { totals.logins };
        Self { ok, figures, bars: timed.bars() }
    }

    /// Returns whether everything arrived, once, whole and in order.
    pub fn ok(&self) -> bool {
        self.ok
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.figures {
            writeln!(f, "{:<28}{value:>14}", key.replace('_', " "))?;
        }
        writeln!(f)?;
        for bar in &self.bars {
            writeln!(f, "{bar}")?;
        }
        let pairs: Vec<_> =
            self.figures.iter().map(|(key, value)| format!("{key}={value}")).collect();
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
