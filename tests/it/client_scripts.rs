//! The client in scripts: its options for cron jobs, loggers and pipelines, and how it finds a server.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::piped_client::{run, start};
use crate::harness::{
    FakeServer, Program, Server, client_command, free_port, leave_out, server_command, shell,
};

#[test]
fn say_says_every_line_as_it_is() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let said = "/quit\n/msg alice hi\n//x\n\n/me waves\nlast\n";
    let finished = run(server.port(), &["--nick", "bot", "--say"], said);
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: /quit",
        "bot: /msg alice hi",
        "bot: //x",
        "bot: /me waves",
        "bot: last",
        "[SERVER] bot left the chat!",
    ]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
}

#[test]
fn a_job_that_says_one_line_prints_nothing() {
    let server = Server::with(&["--motd", "Be kind.\nBe brief."]);
    let mut alice = server.join("alice");
    alice.expect_all(["[SERVER] Be kind.", "[SERVER] Be brief."]);
    alice.send("before");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
    let silently = ["--nick", "cron", "--silent", "--no-history"];
    let finished = run(server.port(), &silently, "done\n");
    alice.expect_all(["[SERVER] cron joined the chat!", "cron: done"]);
    let nothing = (Some(0), String::new(), String::new());
    assert_eq!((finished.code, finished.output, finished.errors), nothing);
    // Even with --silent, the client prints the answer to its own command.
    let script = format!(
        "echo /who | \"$CLIENT\" --port {} --nick cron --silent --no-history",
        server.port()
    );
    let finished = Program::run(shell(&script), "");
    assert_eq!(finished.output, "[SERVER] 2 online: alice, cron\n");
    // Errors are printed with --silent too.
    let finished = run(server.port(), &["--nick", "alice", "--silent"], "done\n");
    assert_eq!(finished.code, Some(1));
    assert!(finished.errors.starts_with("[ERROR] "), "{finished:?}");
}

#[test]
fn without_history_the_rest_is_there() {
    let server = Server::start();
    let mut alice = server.join("alice");
    alice.send("before");
    alice.send("/who");
    alice.expect("[SERVER] 1 online: alice");
    for (option, lines) in [(&["--no-history"][..], 0), (&[], 2)] {
        let arguments = [&["--nick", "bot"], option].concat();
        let finished = run(server.port(), &arguments, "/who\n");
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(finished.output.lines().count(), 4 + lines, "{finished:?}");
        assert_eq!(finished.output.contains("alice: before"), lines > 0, "{finished:?}");
    }
}

#[test]
fn a_listener_reads_no_input_and_prints_until_it_is_ended() {
    let server = Server::start();
    let mut alice = server.join("alice");
    let port = server.port();
    // The client's input is an empty pipe whose writing end is closed.
    let script =
        format!("true | \"$CLIENT\" --port {port} --nick log --listen --no-history --quiet");
    let mut client = Program::start("listener", shell(&script), server.transcript());
    alice.expect("[SERVER] log joined the chat!");
    client.lines_until("[SERVER] 2 online: alice, log");
    let _bob = server.join("bob");
    alice.send("for the log");
    client.expect("alice: for the log");
    drop(server);
    let finished = client.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
}

#[test]
fn a_listener_with_reconnect_goes_on_with_the_next_server() {
    let fake = FakeServer::start();
    let mut client =
        start(fake.port(), &["--nick", "bot", "--listen", "--reconnect"], fake.transcript());
    for round in ["one", "two"] {
        let mut peer = fake.let_in("bot");
        peer.send(&format!("alice: {round}"));
        client.lines_until(&format!("alice: {round}"));
    }
    client.signal("TERM");
    assert_eq!(client.exit().signal(), Some(15));
}

#[test]
fn a_held_nickname_is_tried_again_by_a_program_with_reconnect() {
    let server = Server::start();
    let mut bot = server.join("bot");
    let port = server.port();
    let mut client = start(port, &["--nick", "bot", "--reconnect"], server.transcript());
    client.send_text("hello\n");
    client.end_input();
    client.expect_error(&format!("[CLIENT] Connecting to 127.0.0.1:{port}..."));
    client.expect_error("[CLIENT] Connected successfully!");
    client.expect_error("[CLIENT] Type a line to talk. /help lists the commands, /quit leaves.");
    let mut alice = server.join("alice");
    bot.send("/quit");
    alice.expect("[SERVER] bot left the chat!");
    alice.expect_all([
        "[SERVER] bot joined the chat!",
        "bot: hello",
        "[SERVER] bot left the chat!",
    ]);
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
fn a_silent_server_is_an_error_after_thirty_seconds_but_not_a_silent_room() {
    let silent = FakeServer::start();
    let room = FakeServer::start();
    let mut in_room = start(room.port(), &["--nick", "bot", "--listen"], room.transcript());
    let mut connection = room.let_in("bot");
    let mut client = start(silent.port(), &["--nick", "bot", "--listen"], silent.transcript());
    let finished = client.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let why = "[ERROR] The server did not answer for 30 s.\n";
    assert!(finished.errors.ends_with(why), "{finished:?}");
    connection.send("alice: still here");
    in_room.lines_until("alice: still here");
}

#[test]
fn an_address_can_be_written_in_several_ways_for_both_programs() {
    let port = free_port().to_string();
    let transcript = crate::harness::Transcript::default();
    for (server, client) in [
        (format!("127.0.0.1:{port}"), format!("127.0.0.1:{port}")),
        (port.clone(), port.clone()),
        (format!("localhost:{port}"), format!("localhost:{port}")),
    ] {
        let mut server = Program::start("server", server_command([&server]), &transcript);
        server.lines_until("[SERVER] Waiting for connections...");
        let command = client_command([&client, "--nick", "bot"]);
        let finished = Program::run(command, "hello\n");
        assert_eq!(finished.code, Some(0), "{client}: {finished:?}");
        server.signal("TERM");
        server.exit();
    }
    let finished = Program::run(client_command(["localhost:x"]), "");
    let why = "[ERROR] a port is a number from 0 to 65535, not 'x' (try --help)\n";
    assert_eq!((finished.code, finished.errors.as_str()), (Some(2), why));
}

#[test]
fn a_connect_error_other_than_a_refusal_is_shown_without_advice() {
    let command = client_command(["no-such-host.invalid", "--nick", "bot"]);
    let finished = Program::run(command, "");
    assert_eq!(finished.code, Some(1));
    let last = finished.errors.lines().last().unwrap_or_default();
    let why = "[ERROR] Could not connect to server at no-such-host.invalid:5555: ";
    assert!(last.starts_with(why), "{finished:?}");
}

#[test]
fn a_wrong_argument_is_cleaned_before_it_is_printed() {
    let finished = Program::run(client_command(["--x\x1b]0;t\x07"]), "");
    let errors = "[ERROR] unknown option --x\u{FFFD}]0;t\u{FFFD} (try --help)\n";
    assert_eq!((finished.code, finished.errors.as_str()), (Some(2), errors));
}

#[test]
fn a_client_that_reaches_itself_says_that_nobody_listens() {
    // The client runs in a network namespace of its own, in which every outgoing connection starts from port 40000. So
    // when the client connects to port 40000, TCP connects the client's socket to itself.
    let script = "ip link set lo up && echo 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range &&
        exec \"$CLIENT\" 40000 --nick bot --listen";
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", script]).env("CLIENT", env!("CARGO_BIN_EXE_client"));
    let Ok(output) = command.output() else {
        leave_out("there is no unshare");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    if !errors.contains("[CLIENT] Connecting") {
        leave_out(&format!("a network namespace cannot be created: {errors}"));
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("127.0.0.1:40000: nobody listens there\n"), "{errors}");
}

#[test]
fn process_1_is_ended_by_a_signal_too() {
    let server = Server::start();
    let mut alice = server.join("alice");
    // The client is process 1 of a PID namespace, as in a container. A signal that process 1 does not handle has no
    // effect. `kill` runs outside the namespace, where the client has another process id.
    let script = format!(
        "unshare -rpf \"$CLIENT\" --port {} --nick one --listen & unshare=$!
        read go; kill -s TERM $(pgrep -P $unshare); wait $unshare; echo code $?",
        server.port()
    );
    let mut shell = Program::start("shell", shell(&script), server.transcript());
    let joined = alice.stream().try_clone().expect("there is a descriptor");
    joined.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("5 is not zero");
    if joined.peek(&mut [0]).is_err() {
        leave_out("a PID namespace cannot be created");
        return;
    }
    alice.expect("[SERVER] one joined the chat!");
    shell.send_text("go\n");
    assert!(alice.line().starts_with("[SERVER] one left the chat!"));
    assert_eq!(shell.lines_until("code 143").len(), 2, "only the two lines of the welcome");
}
