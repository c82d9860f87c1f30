//! Endings: the terminal has the same settings after the client as before, no matter how the client ends.

use std::process::Command;

use crate::harness::{Server, Tmux, poll_until};

/// Runs the client between two calls of `stty -a`, ends the client with `end`, and compares the two outputs. The file
/// `pid` contains the client's process id. Returns the terminal and the row with the exit code.
fn ended(options: &str, port: u16, end: impl FnOnce(&Tmux)) -> Option<(Tmux, String)> {
    let script = format!(
        "stty -a > \"$dir/before\"
        sh -c 'echo $$ > \"$0/pid\"; exec \"$CLIENT\" --port {port} --nick alice {options}' \"$dir\"
        code=$?; stty -a > \"$dir/after\"; echo; echo \"ended with $code\""
    );
    let terminal = Tmux::run(80, &script)?;
    terminal.wait_for_row("[SERVER] Connected to the server!");
    terminal.wait_for_last_row("alice>");
    let stty = Command::new("stty").args(["-a", "-F", &terminal.value("pane_tty")]).output();
    let raw = stty.unwrap().stdout;
    end(&terminal);
    let code = poll_until(format_args!("the end, the screen is\n{terminal}"), || {
        terminal.rows().into_iter().find(|row| row.starts_with("ended with "))
    });
    let before = terminal.wait_for_file("before");
    assert_ne!(String::from_utf8_lossy(&raw), before, "the client uses raw mode");
    assert_eq!(terminal.wait_for_file("after"), before, "{:?}", terminal.rows());
    let recorded = terminal.recorded_up_to("ended with ");
    let (on, off) = (recorded.rfind("\x1b[?2004h"), recorded.rfind("\x1b[?2004l"));
    assert!(on.is_some() && on < off, "bracketed paste is still switched on: {recorded:?}");
    Some((terminal, code))
}

fn type_line(line: &'static str) -> impl FnOnce(&Tmux) {
    move |terminal| {
        terminal.line(line);
    }
}

fn type_twice(line: &'static str) -> impl FnOnce(&Tmux) {
    move |terminal| {
        terminal.text(line);
        terminal.keys(&["Enter"]);
        terminal
            .wait_for_row("[CLIENT] Press Enter again to leave, or type on to say something else.");
        terminal.wait_for_last_row(&format!("alice> {line}"));
        terminal.keys(&["Enter"]);
    }
}

fn signal(name: &'static str) -> impl FnOnce(&Tmux) {
    move |terminal| {
        let pid = terminal.wait_for_file("pid");
        let kill = Command::new("kill").args(["-s", name, pid.trim()]).status();
        assert!(kill.unwrap().success());
    }
}

#[test]
fn leaving_gives_the_terminal_back_and_is_no_failure() {
    let server = Server::start();
    let keys = |keys: &'static [&'static str]| move |terminal: &Tmux| terminal.keys(keys);
    for end in [
        Box::new(type_line("/quit")) as Box<dyn FnOnce(&Tmux)>,
        Box::new(type_twice("exit")),
        Box::new(keys(&["C-c"])),
        Box::new(keys(&["C-d"])),
        Box::new(keys(&["x", "C-c", "C-c"])),
    ] {
        let Some((terminal, code)) = ended("", server.port(), end) else { return };
        assert_eq!(code, "ended with 0");
        assert!(terminal.rows().contains(&"[SERVER] Goodbye!".to_owned()), "{:?}", terminal.rows());
    }
}

#[test]
fn a_lost_server_gives_the_terminal_back_and_is_a_failure() {
    let server = Server::start();
    let port = server.port();
    let end = |terminal: &Tmux| {
        terminal.text("not yet sent");
        terminal.wait_for_last_row("alice> not yet sent");
        server.signal("KILL");
    };
    let Some((terminal, code)) = ended("", port, end) else { return };
    assert_eq!(code, "ended with 1");
    let rows = terminal.rows();
    assert!(rows.contains(&"[CLIENT] Not sent: not yet sent".to_owned()), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("[ERROR] The ")), "{rows:?}");
}

#[test]
fn a_deadly_signal_gives_the_terminal_back_and_does_what_it_does() {
    let server = Server::start();
    // The exit code that a shell reports is 128 plus the number of the signal.
    for (name, code) in [
        ("TERM", "143"),
        ("HUP", "129"),
        ("INT", "130"),
        ("QUIT", "131"),
        ("ALRM", "142"),
        ("USR1", "138"),
        ("USR2", "140"),
        ("XCPU", "152"),
        ("SEGV", "139"),
        ("BUS", "135"),
    ] {
        let Some((_terminal, ended)) = ended("", server.port(), signal(name)) else { return };
        assert_eq!(ended, format!("ended with {code}"), "{name}");
    }
}

#[test]
fn a_terminal_that_is_gone_ends_the_client() {
    let server = Server::start();
    // The client ignores SIGHUP, as under nohup. So it has to notice in another way that the terminal is gone.
    let script = format!("trap '' HUP; exec \"$CLIENT\" --port {} --nick alice", server.port());
    let Some(terminal) = Tmux::run(80, &script) else { return };
    terminal.wait_for_row("[SERVER] Connected to the server!");
    let mut bob = server.join("bob");
    terminal.wait_for_row("[SERVER] bob joined the chat!");
    terminal.text("half a line");
    terminal.wait_for_last_row("alice> half a line");
    drop(terminal);
    while !bob.line().starts_with("[SERVER] alice left the chat!") {}
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_continuing_takes_it_again() {
    let server = Server::start();
    let script = format!("client=\"$CLIENT --port {} --nick alice\" PS1='$ ' sh -i", server.port());
    let Some(terminal) = Tmux::run(80, &script) else { return };
    terminal.wait_for_last_row("$");
    terminal.line("stty -a > $dir/before; $client");
    // Once alice is in the room, she gets bob's message as a live line and not as history.
    terminal.wait_for_row("[SERVER] Connected to the server!");
    terminal.wait_for_last_row("alice>");
    terminal.text("half a li");
    terminal.wait_for_last_row("alice> half a li");
    terminal.keys(&["C-z"]);
    terminal.wait_for_last_row("$");
    terminal.line("stty -a > $dir/after; jobs");
    assert_eq!(terminal.wait_for_file("after"), terminal.wait_for_file("before"));
    let mut bob = server.join("bob");
    bob.send("meanwhile");
    terminal.line("fg");
    terminal.wait_for_row("bob: meanwhile");
    terminal.wait_for_last_row("alice> half a li");
    // Ctrl-A works only in raw mode. Otherwise the system would treat it as an ordinary character.
    terminal.text("ne");
    terminal.keys(&["C-a"]);
    terminal.text("not ");
    terminal.wait_for_last_row("alice> not half a line");
    terminal.keys(&["Enter"]);
    bob.lines_until("alice: not half a line");
}

/// This test runs itself again in a terminal. That second run panics in raw mode.
#[test]
fn a_panic_gives_the_terminal_back_before_it_is_printed() {
    if std::env::var_os("PANIC_IN_RAW_MODE").is_some() {
        chat::system::terminal::enter_raw_mode().expect("there is a terminal");
        panic!("as intended");
    }
    let program = std::env::current_exe().unwrap();
    let itself = "terminal::endings::a_panic_gives_the_terminal_back_before_it_is_printed";
    let script = format!(
        "stty -a > \"$dir/before\"
        PANIC_IN_RAW_MODE=1 '{}' --exact {itself} --nocapture
        code=$?; stty -a > \"$dir/after\"; echo \"ended with $code\"",
        program.display()
    );
    let Some(terminal) = Tmux::run(80, &script) else { return };
    terminal.wait_for_row("ended with 101");
    assert_eq!(terminal.wait_for_file("after"), terminal.wait_for_file("before"));
    // The row must start at the left edge. In raw mode, a line feed alone would not move the cursor there.
    terminal.wait_for_row("as intended");
    let recorded = terminal.recorded_up_to("ended with");
    let (restored, printed) = (recorded.find("\x1b[?2004l"), recorded.find("as intended"));
    assert!(restored.is_some() && restored < printed, "{recorded:?}");
}
