//! The server as a process: its arguments, its exit codes, and its error messages.

use crate::harness::{Finished, Program, Server, free_port, server_command, usage_error};

#[test]
fn a_wrong_command_line_is_one_line_on_standard_error_and_exit_code_2() {
    for (arguments, why) in [
        (&["--bogus"][..], "unknown option --bogus"),
        (&["-x"], "unknown option -x"),
        (&["--port"], "--port needs a value"),
        (&["--port", "none"], "a port is a number from 0 to 65535, not 'none'"),
        (&["--port=65536"], "a port is a number from 0 to 65535, not '65536'"),
        (&["127.0.0.1", "-1"], "unknown option -1"),
        (&["127.0.0.1", "5555", "more"], "unexpected argument 'more'"),
        (&["--host", ""], "the host is empty"),
        (&["--quiet=1"], "--quiet takes no value"),
    ] {
        let finished = Program::run(server_command(arguments), "");
        assert_eq!(finished, usage_error(why), "{arguments:?}");
    }
}

#[test]
fn a_value_that_an_option_does_not_take_is_named() {
    for arguments in [
        &["--rate", "fast"][..],
        &["--history=-1"],
        &["--login-timeout", "soon"],
        &["--max-clients", "many"],
    ] {
        let finished = Program::run(server_command(arguments), "");
        let option = arguments[0].split('=').next().unwrap();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished:?}");
        assert!(finished.errors.contains(option), "{arguments:?}: {finished:?}");
        assert_eq!(finished.errors.lines().count(), 1, "{arguments:?}: {finished:?}");
    }
}

#[test]
fn help_is_printed_on_standard_output_and_names_every_option() {
    // `--help` takes precedence over the options before it, and no server is started.
    for arguments in [&["--help"][..], &["--port", "0", "--help"]] {
        let finished = Program::run(server_command(arguments), "");
        assert_eq!((finished.code, finished.errors.as_str()), (Some(0), ""));
        for option in [
            "--host",
            "--port",
            "--max-clients",
            "--login-timeout",
            "--rate",
            "--history",
            "--quiet",
            "--help",
            "--version",
        ] {
            assert!(finished.output.contains(option), "{option}: {finished:?}");
        }
    }
}

#[test]
fn version_is_the_version_of_the_package() {
    let output = format!("server {}\n", env!("CARGO_PKG_VERSION"));
    let expected = Finished { code: Some(0), output, errors: String::new() };
    assert_eq!(Program::run(server_command(["--version"]), ""), expected);
}

#[test]
fn a_port_that_is_taken_is_one_line_on_standard_error_and_exit_code_1() {
    let server = Server::start();
    let port = server.port().to_string();
    let finished = Program::run(server_command(["--port", &port]), "");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.output, "");
    assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
    assert!(finished.errors.contains(&format!("127.0.0.1:{port}")), "{finished:?}");
    // The server that has the port still works.
    let _alice = server.join("alice");
}

#[test]
#[cfg(unix)]
fn the_server_listens_where_it_is_told_to() {
    let server = Server::with(&["--host", "127.0.0.1"]);
    let _alice = server.join("alice");
    let port = free_port().to_string();
    for arguments in [&["127.0.0.1", &port][..], &["--host=127.0.0.1", "--port", &port]] {
        let mut server = Server::of(server_command(arguments));
        assert_eq!(server.address().to_string(), format!("127.0.0.1:{port}"));
        server.stop();
    }
}

#[test]
fn a_host_that_is_not_this_machine_cannot_be_listened_on() {
    // 192.0.2.0/24 is reserved for documentation (RFC 5737): no machine has such an address.
    let finished = Program::run(server_command(["192.0.2.1", "0"]), "");
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.errors.lines().count(), 1, "{finished:?}");
    assert!(finished.errors.contains("192.0.2.1"), "{finished:?}");
}
