//! The client still responds to keys while something is stuck: a server that reads nothing, a terminal that accepts no
//! output, or a server that sends data which takes a long time to process.

use std::io::Write;
use std::net::Shutdown;
use std::process::Command;

use crate::harness::{FakeServer, Peer, Tmux, poll_until};

fn alice(server: &FakeServer) -> Option<(Tmux, Peer)> {
    // The exit code is written to a file, because a stopped terminal would not show it. The shell also reports which
    // signal ended the client. This report goes to /dev/null, because the shell would block on the stopped terminal.
    let script = format!(
        "exec 2> /dev/null; sh -c 'echo $$ > \"$0/pid\"; exec \"$1\" --port {} --nick alice' \"$dir\" \"$CLIENT\"
        echo code $? > \"$dir/code\"; echo code",
        server.port()
    );
    let terminal = Tmux::run(80, &script)?;
    let connection = server.let_in("alice");
    terminal.wait_for_row("[SERVER] Connected to the server!");
    terminal.wait_for_last_row("alice>");
    Some((terminal, connection))
}

fn wait_for(terminal: &Tmux, text: &str) {
    poll_until(format_args!("{text}, the screen is\n{terminal}"), || {
        terminal.rows().iter().any(|row| row.contains(text)).then_some(())
    });
}

#[test]
fn every_key_works_while_ten_megabytes_wait_for_a_server_that_reads_nothing() {
    let server = FakeServer::start();
    let Some((terminal, _connection)) = alice(&server) else { return };
    let paste = "a line of twenty-five b.\n".repeat(10 * 1024 * 1024 / 25);
    terminal.paste(&paste);
    wait_for(&terminal, "[CLIENT] Enter sends 419430 lines");
    terminal.keys(&["Enter"]);
    wait_for(&terminal, "[CLIENT] 419330 lines are waiting; Ctrl-C discards them.");
    terminal.text("typed meanwhile");
    terminal.keys(&["C-w"]);
    terminal.wait_for_last_row("alice> typed");
    terminal.keys(&["C-c"]);
    terminal.wait_for_row("[CLIENT] Not sent: 419330 lines.");
    terminal.wait_for_last_row("alice> typed");
    terminal.keys(&["C-u", "C-d"]);
    assert_eq!(terminal.wait_for_file("code"), "code 0\n");
}

#[test]
fn lines_are_held_back_where_the_server_does_not_confirm_them() {
    let server = FakeServer::start();
    let Some((terminal, mut connection)) = alice(&server) else { return };
    terminal.paste(&"hello\n".repeat(1732));
    wait_for(&terminal, "[CLIENT] Enter sends 1732 lines");
    terminal.keys(&["Enter"]);
    terminal.wait_for_row("[CLIENT] 1632 lines are waiting; Ctrl-C discards them.");
    connection.lines_until("/ping client-100");
    connection.send("[SERVER] pong client-50");
    terminal.wait_for_row("[CLIENT] 1582 lines are waiting; Ctrl-C discards them.");
    let rows = terminal.rows();
    let waiting = rows.iter().filter(|row| row.contains("are waiting")).count();
    assert_eq!(waiting, 1, "the row is redrawn in place");
}

#[test]
fn a_terminal_that_takes_no_output_keeps_nobody() {
    for end in ["keys", "TERM", "HUP", "INT"] {
        let server = FakeServer::start();
        let Some((terminal, mut connection)) = alice(&server) else { return };
        // This makes Ctrl-S stop the output even in raw mode.
        let tty = terminal.value("pane_tty");
        let stty = Command::new("stty").args(["-F", &tty, "ixon"]).status();
        assert!(stty.unwrap().success());
        terminal.keys(&["C-s"]);
        for number in 1..=2000 {
            connection.send(&format!("bob: {number} {}", "x".repeat(200)));
        }
        terminal.text("hello");
        terminal.keys(&["Enter"]);
        assert_eq!(connection.said(), "hello", "keys are read");
        if end == "keys" {
            terminal.keys(&["C-d"]);
            assert_eq!(connection.said(), "/quit");
            drop(connection);
        } else {
            let pid = terminal.wait_for_file("pid");
            let kill = Command::new("kill").args(["-s", end, pid.trim()]).status();
            assert!(kill.unwrap().success());
        }
        let code = terminal.wait_for_file("code");
        let expected = [("keys", "0"), ("TERM", "143"), ("HUP", "129"), ("INT", "130")];
        let expected = expected.into_iter().find(|(name, _)| *name == end).unwrap().1;
        assert_eq!(code, format!("code {expected}\n"), "{end}");
    }
}

#[test]
fn a_hostile_server_cannot_keep_ctrl_c_from_leaving() {
    let big = |c: &str, bytes: usize| c.repeat(bytes / c.len());
    let floods: Vec<(&str, String)> = vec![
        ("one long rename", format!("[SERVER] alice is now known as {}\n", big("🦀", 64_000))),
        ("short lines", big("a: \n", 64 * 1024)),
        ("mentions", format!("a: {}\n", big("alice ", 64_000))),
        ("blanks", format!("a: {}\n", big(" ", 64_000))),
        ("flags", format!("a: {}\n", big("🇩🇪", 64_000))),
        ("marks", format!("a: x{}\n", big("\u{301}", 64_000))),
        (
            "names",
            (0..20_000).fold(String::new(), |text, number| {
                text + &format!("[SERVER] u{number} joined the chat!\n")
            }),
        ),
        ("one list", format!("[SERVER] 9 online: {}\n", big("abc, ", 64_000))),
    ];
    let leave_under = |(what, flood): (&str, String)| {
        let server = FakeServer::start();
        let Some((terminal, mut connection)) = alice(&server) else { return };
        let mut stream = connection.stream().try_clone().unwrap();
        let flooding = std::thread::spawn(move || {
            // Sends until the client has closed the connection.
            while stream.write_all(flood.as_bytes()).is_ok() {}
        });
        connection.send("a: begins");
        terminal.keys(&["x", "C-c", "C-c"]);
        let start = std::time::Instant::now();
        assert_eq!(terminal.wait_for_file("code"), "code 0\n", "{what}");
        eprintln!("{what}: left after {:?}", start.elapsed());
        // The client may have closed the connection while its receive buffer was full. The flood's write would then
        // block for a minute or two. Shutting the connection down ends the write.
        let _ = connection.stream().shutdown(Shutdown::Both);
        flooding.join().unwrap();
    };
    // Four floods run at the same time, since each of them spends part of its time waiting.
    let mut floods = floods.into_iter();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for flood in floods.by_ref().take(4) {
                scope.spawn(|| leave_under(flood));
            }
        });
    }
}
