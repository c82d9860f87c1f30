//! The client as a process: its arguments, its exit codes, and its error messages.

use std::net::{Ipv6Addr, TcpListener};

use crate::harness::{
    Finished, Program, Server, client_command, free_port, leave_out, server_command, usage_error,
};

#[test]
fn a_wrong_command_line_is_one_line_on_standard_error_and_exit_code_2() {
    for (arguments, why) in [
        (&["--bogus"][..], "unknown option --bogus"),
        (&["-x"], "unknown option -x"),
        (&["--nick"], "--nick needs a value"),
        (&["--port", "none"], "a port is a number from 0 to 65535, not 'none'"),
        (&["--port=65536"], "a port is a number from 0 to 65535, not '65536'"),
        (&["127.0.0.1", "5555", "more"], "unexpected argument 'more'"),
        (&["--host", ""], "the host is empty"),
    ] {
        let finished = Program::run(client_command(arguments), "");
        assert_eq!(finished, usage_error(why), "{arguments:?}");
    }
}

#[test]
fn help_is_printed_on_standard_output_and_names_every_option() {
    let finished = Program::run(client_command(["--help"]), "");
    assert_eq!((finished.code, finished.errors.as_str()), (Some(0), ""));
    for option in ["--host", "--port", "--nick", "--version", "--help"] {
        assert!(finished.output.contains(option), "{option}: {finished:?}");
    }
}

#[test]
fn version_is_the_version_of_the_package() {
    let output = format!("client {}\n", env!("CARGO_PKG_VERSION"));
    let expected = Finished { code: Some(0), output, errors: String::new() };
    assert_eq!(Program::run(client_command(["--version"]), ""), expected);
}

#[test]
fn a_server_that_is_not_there_is_named_and_exit_code_1() {
    let port = free_port().to_string();
    let expected = Finished {
        code: Some(1),
        output: String::new(),
        errors: format!(
            "[CLIENT] Connecting to 127.0.0.1:{port}...\n\
             [ERROR] Could not connect to server at 127.0.0.1:{port}\n\
             [ERROR] Make sure the server is running!\n"
        ),
    };
    for arguments in [
        &["--port", &port, "--nick", "bot"][..],
        &["127.0.0.1", &port, "--nick=bot"],
        &["--nick", "bot", "--host", "127.0.0.1", "--port", &port],
    ] {
        assert_eq!(Program::run(client_command(arguments), "hello\n"), expected, "{arguments:?}");
    }
}

#[test]
#[cfg(unix)]
fn an_argument_that_is_not_utf8_is_wrong_and_no_accident() {
    let argument: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"--\xff");
    let finished = Program::run(client_command([argument]), "");
    assert_eq!(finished, usage_error("unknown option --\u{FFFD}"));
}

#[test]
fn a_host_may_be_given_by_name() {
    // On many machines the first address of `localhost` is ::1. This server does not listen there, so the client
    // has to try the second address.
    let server = Server::start();
    let mut alice = server.join("alice");
    let port = server.port().to_string();
    for endpoint in [&["localhost", &port][..], &["--host=localhost", "--port", &port]] {
        let arguments = endpoint.iter().chain(&["--nick", "bot"]);
        let finished = Program::run(client_command(arguments), "hello\n");
        assert_eq!(finished.code, Some(0), "{finished:?}");
        alice.expect_all([
            "[SERVER] bot joined the chat!",
            "bot: hello",
            "[SERVER] bot left the chat!",
        ]);
    }
}

#[test]
fn an_address_of_ipv6_stands_in_brackets() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        leave_out("this machine has no IPv6");
        return;
    }
    let port = free_port().to_string();
    let server = Server::of(server_command(["[::1]", &port]));
    assert_eq!(server.address().to_string(), format!("[::1]:{port}"));
    let finished = Program::run(client_command(["[::1]", &port, "--nick", "bot"]), "hello\n");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(
        finished.errors.starts_with(&format!("[CLIENT] Connecting to [::1]:{port}...\n")),
        "{finished:?}"
    );
}

#[test]
#[cfg(unix)]
fn a_signal_that_ends_the_client_ends_it_as_that_signal_does() {
    use std::os::unix::process::ExitStatusExt;
    for (signal, number) in [("TERM", 15), ("HUP", 1)] {
        let server = Server::start();
        let mut alice = server.join("alice");
        let arguments = ["--port", &server.port().to_string(), "--nick", "bot"];
        let mut client = Program::start("client", client_command(arguments), server.transcript());
        alice.expect("[SERVER] bot joined the chat!");
        client.signal(signal);
        assert_eq!(client.exit().signal(), Some(number), "SIG{signal}");
        assert!(alice.line().starts_with("[SERVER] bot left the chat!"));
    }
}
