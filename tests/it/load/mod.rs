//! The measuring tool from outside: its verdict about the real server, and about servers that make mistakes.
//!
//! Every run is tiny, because these tests check the verdict and not the speed.

mod bad_server;

use std::net::TcpListener;
use std::process::Command;

use bad_server::{BadServer, Misdeed};

use crate::harness::play::example;
use crate::harness::{Finished, Program, Server, Transcript};

/// Runs the measuring tool with these arguments until it exits.
fn load(arguments: &str) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command.args(arguments.split_whitespace());
    Program::run(command, "")
}

/// Access to the figures in the last line of the tool's output.
impl Finished {
    fn figure(&self, key: &str) -> &str {
        let last = self.output.lines().next_back().unwrap_or_default();
        let mut pairs = last.split(' ').filter_map(|pair| pair.split_once('='));
        let value = pairs.find(|(found, _)| *found == key).map(|(_, value)| value);
        value.unwrap_or_else(|| panic!("no {key} in the last line: {self:?}"))
    }

    fn number(&self, key: &str) -> f64 {
        self.figure(key).parse().unwrap()
    }
}

/// Starts a server with these options, with `--quiet`, and without a rate limit.
fn server(options: &[&str]) -> Server {
    Server::with(&[&["--rate", "0", "--quiet"], options].concat())
}

/// Runs a scenario against the server, which must pass it.
fn passes(arguments: &str) -> Finished {
    let server = server(&[]);
    let finished = load(&format!("{arguments} --port {}", server.port()));
    assert_eq!((finished.code, finished.figure("ok")), (Some(0), "1"), "{finished:?}");
    finished
}

/// Runs a scenario against a server that makes this mistake. The tool must report the mistake.
fn finds(misdeed: Misdeed, arguments: &str) -> Finished {
    let server = BadServer::start(misdeed);
    let finished = load(&format!("{arguments} --silence 2 --port {}", server.port()));
    assert_eq!((finished.code, finished.figure("ok")), (Some(1), "0"), "{finished:?}");
    finished
}

const INTEGRITY: &str = "integrity --clients 5 --senders 2 --messages 20";

#[test]
fn a_flood_is_counted_to_the_last_message() {
    let finished = passes("flood --clients 10 --senders 2 --messages 500");
    assert_eq!(finished.figure("expected"), "9000");
    assert_eq!(finished.figure("deliveries"), "9000");
    assert!(finished.number("deliveries_per_s") > 0.0);
}

#[test]
fn everyone_talks_and_nobody_hears_himself() {
    let finished = passes("everyone --clients 10 --messages 20");
    assert_eq!((finished.figure("senders"), finished.figure("deliveries")), ("10", "1800"));
}

#[test]
fn a_naive_server_is_measured_with_the_same_commands() {
    let mut naive = Command::new(example("naive_server"));
    naive.arg("0");
    let mut naive = Program::start("naive server", naive, &Transcript::default());
    let listening = naive.line();
    let port = listening.rsplit(':').next().unwrap();
    for arguments in ["flood --clients 10 --senders 2 --messages 100", INTEGRITY] {
        let finished = load(&format!("{arguments} --port {port}"));
        assert_eq!((finished.code, finished.figure("ok")), (Some(0), "1"), "{finished:?}");
    }
}

#[test]
fn paced_deliveries_are_timed_and_drawn() {
    let finished = passes("paced --clients 5 --senders 2 --messages 10 --rate 100");
    assert_eq!(finished.figure("deliveries"), "80");
    assert!(finished.number("p50_ms") <= finished.number("p99_ms"));
    assert!(finished.number("p99_ms") <= finished.number("max_ms"));
    assert!(finished.output.lines().any(|line| line.starts_with("under ")), "{finished:?}");
}

#[test]
fn a_stalled_client_gets_everything_in_the_end() {
    let finished = passes("stalled --clients 4 --stalled 2 --messages 50 --rate 500");
    assert_eq!((finished.figure("lost"), finished.figure("evicted")), ("0", "0"));
}

#[test]
fn a_stalled_client_that_was_evicted_is_no_fault() {
    // The stalled client should receive twenty megabytes. The server's backlog keeps four of them, and the buffers of
    // the client's connection hold about four more. So the server must evict the client.
    let server = server(&["--backlog", "4000000"]);
    let stalled = "stalled --clients 3 --stalled 1 --senders 1 --messages 20000 --bytes 1000";
    let finished = load(&format!("{stalled} --rate 10000 --port {}", server.port()));
    assert_eq!((finished.code, finished.figure("evicted")), (Some(0), "1"), "{finished:?}");
    assert_eq!(finished.figure("deliveries"), "40000");
}

#[test]
fn in_a_storm_everyone_is_told_of_everyone() {
    let finished = passes("storm --clients 40");
    assert!(finished.number("login_max_ms") > 0.0);
    assert!(!finished.output.contains("deliveries_per_s"), "{finished:?}");
}

#[test]
fn every_line_is_checked_while_some_pause_and_some_come_and_go() {
    let finished = passes("integrity --clients 8 --messages 2000 --pauses --visitors 2");
    assert_eq!((finished.figure("one_order"), finished.figure("broken_visits")), ("1", "0"));
    assert!(finished.number("visits") > 0.0);
}

#[test]
#[cfg(target_os = "linux")]
fn the_servers_process_is_looked_at() {
    let mut server = server(&[]);
    let (port, pid) = (server.port(), server.program().pid());
    let finished = load(&format!("flood --clients 10 --messages 100 --port {port} --pid {pid}"));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.number("server_threads") > 10.0);
    assert!(finished.number("server_descriptors") > 10.0);
    assert!(finished.number("server_peak_kib") >= finished.number("server_kib_per_client"));
    // The system counts processor time in hundredths of a second, so a little work may count as zero.
    assert!(finished.number("server_cpu_s") >= 0.0 && finished.number("own_cpu_s") >= 0.0);
}

#[test]
fn a_lost_message_is_found_by_counting_timing_and_checking() {
    assert_eq!(finds(Misdeed::Lose, INTEGRITY).figure("lost"), "1");
    assert_eq!(finds(Misdeed::Lose, "flood --clients 5 --messages 20").figure("lost"), "1");
    let paced = "paced --clients 5 --messages 20 --rate 500";
    assert_eq!(finds(Misdeed::Lose, paced).figure("lost"), "1");
}

#[test]
fn a_message_lost_on_the_way_to_a_stalled_client_is_found() {
    let stalled = "stalled --clients 2 --stalled 1 --senders 1 --messages 20 --rate 500";
    let finished = finds(Misdeed::Lose, stalled);
    assert_eq!((finished.figure("lost"), finished.figure("evicted")), ("1", "0"));
}

#[test]
fn a_message_lost_on_the_way_to_the_first_client_is_found_after_a_silence() {
    let finished = finds(Misdeed::LoseAtTheFirst, INTEGRITY);
    assert_eq!(finished.figure("lost"), "1", "{finished:?}");
}

#[test]
fn a_lost_closing_line_is_a_lost_line() {
    assert_eq!(finds(Misdeed::LoseClosingLine, INTEGRITY).figure("lost"), "1");
    assert_eq!(finds(Misdeed::LoseClosingLine, "storm --clients 5").figure("lost"), "1");
}

#[test]
fn a_lost_join_notice_is_found() {
    assert_eq!(finds(Misdeed::LoseJoinNotice, "storm --clients 5").figure("lost"), "1");
}

#[test]
fn a_doubled_message_is_found_by_counting_and_checking() {
    assert_eq!(finds(Misdeed::Double, INTEGRITY).figure("doubled"), "1");
    assert_eq!(finds(Misdeed::Double, "flood --clients 5 --messages 20").figure("doubled"), "1");
}

#[test]
fn a_message_before_an_earlier_one_of_its_sender_is_found() {
    let finished = finds(Misdeed::Reorder, "integrity --clients 5 --senders 1 --messages 20");
    assert_eq!(finished.figure("reordered"), "1", "{finished:?}");
}

#[test]
fn two_orders_are_found_though_each_sender_keeps_its_own() {
    let finished = finds(Misdeed::SwapSenders, "integrity --clients 5 --senders 5 --messages 20");
    assert_eq!((finished.figure("reordered"), finished.figure("one_order")), ("0", "0"));
}

#[test]
fn a_torn_message_a_wrong_nickname_and_an_echo_are_found() {
    assert!(finds(Misdeed::Tear, INTEGRITY).number("corrupt") > 0.0);
    assert_eq!(finds(Misdeed::WrongNickname, INTEGRITY).figure("misattributed"), "1");
    assert_eq!(finds(Misdeed::Echo, INTEGRITY).figure("own"), "1");
}

#[test]
fn a_lost_connection_is_found_though_every_message_had_come() {
    let finished = finds(Misdeed::Disconnect, INTEGRITY);
    assert_eq!((finished.figure("lost"), finished.figure("disconnected")), ("0", "1"));
}

#[test]
fn a_room_with_people_in_it_is_left_alone() {
    let server = server(&[]);
    let _alice = server.join("alice");
    let finished = load(&format!("flood --port {}", server.port()));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let why = "[ERROR] the room is not empty: '[SERVER] 2 online: ";
    assert!(finished.errors.starts_with(why), "{finished:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_siege_is_withstood_and_the_server_is_as_it_was() {
    let finished = load("soak 1 --clients 20");
    assert_eq!((finished.code, finished.figure("ok")), (Some(0), "1"), "{finished:?}");
    assert!(finished.number("messages") > 0.0 && finished.number("flood_rounds") > 0.0);
    assert_eq!(finished.figure("expected"), finished.figure("deliveries"));
    assert!(finished.number("descriptors_end") <= finished.number("descriptors_start"));
    assert!(finished.number("p99_ms") > 0.0 && finished.number("ended_s") > 0.0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_that_is_ended_under_siege_has_told_all_the_same() {
    let finished = load("end 1 --clients 20");
    assert_eq!((finished.code, finished.figure("ok")), (Some(0), "1"), "{finished:?}");
    assert!(finished.number("deliveries") > 0.0 && finished.number("ended_s") > 0.0);
    assert_eq!(finished.figure("one_order"), "1");
}

#[test]
fn a_siege_finds_a_lost_message_and_a_cut_connection() {
    // These attackers send no messages. So the server's mistake is in a message that the tool checks.
    let siege = "soak 1 --clients 20 --attack hydra";
    assert_eq!(finds(Misdeed::Lose, siege).figure("lost"), "1");
    assert_eq!(finds(Misdeed::Disconnect, siege).figure("disconnected"), "1");
}

#[test]
fn a_promise_that_an_attacker_finds_broken_is_told() {
    // When a client leaves, this server does not send it a goodbye. The attack `churn` expects a goodbye.
    let server = BadServer::start(Misdeed::Tear);
    let port = server.port();
    let finished = load(&format!("soak 1 --clients 20 --attack churn --port {port}"));
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains("[ERROR] churn: the last line: "), "{finished:?}");
    assert!(finished.number("broken_promises") > 0.0);
}

#[test]
fn only_a_limit_that_affects_the_result_causes_a_warning() {
    let server = Server::with(&["--rate", "50", "--quiet"]);
    let port = server.port();
    let flood = load(&format!("flood --clients 2 --senders 1 --messages 230 --port {port}"));
    assert!(flood.errors.starts_with("[WARNING] the server takes about "), "{flood:?}");
    assert_eq!(flood.code, Some(0), "{flood:?}");
    let paced =
        load(&format!("paced --clients 2 --senders 1 --messages 20 --rate 20 --port {port}"));
    assert_eq!((paced.code, paced.errors.as_str()), (Some(0), ""), "{paced:?}");
    let server = self::server(&[]);
    let flood = load(&format!("flood --clients 2 --messages 400 --port {}", server.port()));
    assert_eq!((flood.code, flood.errors.as_str()), (Some(0), ""), "{flood:?}");
}

#[test]
fn nobody_there_and_no_such_process_are_told_in_one_line() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = server(&[]);
    let pid = format!("--port {} --pid 0", server.port());
    for (arguments, names) in
        [(format!("--port {free}"), format!("127.0.0.1:{free}")), (pid, "process 0".to_owned())]
    {
        let finished = load(&format!("flood {arguments}"));
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.errors.starts_with("[ERROR] "), "{finished:?}");
        assert!(finished.errors.contains(&names), "{finished:?}");
        assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
    }
}

#[test]
fn a_flood_stays_on_this_machine_unless_it_is_told_to_go() {
    let finished = load("flood 192.0.2.1 7");
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(finished.errors.contains("--anywhere"), "{finished:?}");
    assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
}

#[test]
fn a_wrong_command_line_is_one_line_and_code_2_and_help_is_0() {
    for arguments in ["", "rain", "flood --clients", "flood --clients many", "soak", "end x"] {
        let finished = load(arguments);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
    }
    let help = load("--help");
    assert_eq!(help.code, Some(0));
    assert!(help.output.starts_with("Usage: load SCENARIO"), "{help:?}");
    assert!(load("--version").output.starts_with("load "));
}
