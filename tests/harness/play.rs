//! Plays: the terminal sessions in the documentation, run as they are written there.
//!
//! A play is a fenced code block with the language `console`. Each line begins with the number of a terminal:
//!
//! ```text
//! 1$ command          typed at the shell's prompt
//! 2> text             typed into the program that runs there
//! 2> alice> text      the same, once the program has printed its prompt
//! 1^C                 pressed
//! 2  line             the next line that appears there
//! 2  a ... line       the same, with anything in the place of the dots
//! 2  ...              any lines, or none
//! ```
//!
//! A play waits for each printed line before it continues with the next line of the text. So the order does not
//! depend on timing. If a program prints a line that is not in the text, the play fails.
//!
//! A terminal of a play is a shell whose keyboard and screen are pipes. The shell, or the program that runs in
//! it, reads the typed lines, as at a real terminal. A thread reads all output until the last process has
//! ended. A shell function named `cargo` replaces `cargo run`: it starts the example that `cargo test` has built,
//! on the port of the play. When the terminal is dropped, all processes in it are killed.

use std::collections::BTreeMap;
use std::env::consts::EXE_EXTENSION;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use super::{DEADLINE, free_port, has_nc};

/// The ports in the texts of all plays. When a play is run, each of these ports is replaced by a free port.
/// The examples use the first port.
const WRITTEN_PORTS: [u16; 2] = [7007, 5555];

/// Returns the text of a file of this package; `path` starts at the package's root directory.
pub(crate) fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the documentation at the start of a source file, without the `//!`.
pub(crate) fn documentation(path: &str) -> String {
    let source = text(path);
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect()
}

/// Returns the plays in a text, in order.
pub(crate) fn plays(text: &str) -> Vec<&str> {
    let blocks = text.split("```console\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or(block)).collect()
}

/// Runs all plays in a text.
pub(crate) fn act_out(text: &str) {
    if !has_nc() {
        return;
    }
    let plays = plays(text);
    assert!(!plays.is_empty(), "the text contains no play");
    // Plays spend most of their time waiting, so they run in parallel.
    thread::scope(|scope| {
        for play in plays {
            scope.spawn(|| act_out_one(play));
        }
    });
}

fn act_out_one(play: &str) {
    let ports = [free_port(), free_port()];
    let mut terminals = BTreeMap::new();
    for line in play.lines() {
        if let Err(instead) = act(line, ports, &mut terminals) {
            panic!("at the line\n  {line}\nof the play\n{play}the terminal {instead}");
        }
    }
    for (number, terminal) in &mut terminals {
        let surprise = terminal.surprise();
        assert!(surprise.is_none(), "terminal {number} also printed {surprise:?} in\n{play}");
    }
}

fn act(
    line: &str,
    ports: [u16; 2],
    terminals: &mut BTreeMap<char, Terminal>,
) -> Result<(), String> {
    // A port is in decimal in addresses, and in hexadecimal in `/proc`.
    let line = WRITTEN_PORTS.iter().zip(ports).fold(line.to_owned(), |line, (written, port)| {
        let line = line.replace(&format!("{written:04X}"), &format!("{port:04X}"));
        line.replace(&written.to_string(), &port.to_string())
    });
    let number = line.chars().next().ok_or("has no number")?;
    let text = &line[number.len_utf8()..];
    let terminal = terminals.entry(number).or_insert_with(|| Terminal::open(&ports[0].to_string()));
    if let Some(command) = text.strip_prefix("$ ") {
        // The directory of the examples depends on the build's target directory.
        terminal.type_line(&command.replace("target/debug/examples", "\"$EXAMPLES\""));
    } else if let Some(typed) = text.strip_prefix("> ") {
        let (prompt, typed) = match typed.split_once("> ") {
            Some((prompt, typed)) => (format!("{prompt}> "), typed),
            None => (String::new(), typed),
        };
        terminal.expect_prompt(&prompt)?;
        terminal.type_line(typed);
    } else if text == "^C" {
        terminal.interrupt();
    } else if text == "  ..." {
        terminal.skip();
    } else if let Some(pattern) = text.strip_prefix("  ") {
        terminal.expect(|line| matches(line, pattern))?;
    } else {
        return Err("cannot play this".to_owned());
    }
    Ok(())
}

/// Returns whether a line matches a pattern, in which `...` stands for any text.
fn matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once("...") {
        None => line == pattern,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            line.char_indices().any(|(at, _)| matches(&line[at..], rest)) || matches("", rest)
        }),
    }
}

/// A shell function that replaces `cargo run -q --bin server -- ARGUMENTS` and
/// `cargo run -q --example NAME ARGUMENTS`. For an example, the function adds the port as the last argument. If the
/// command contains a `--`, no port is added, because the arguments after the `--` already contain the ports.
const CARGO: &str = r#"
cargo() {
    if [ "$3" = --bin ]; then "$SERVER" "${@:6}"
    elif [ "$5" = -- ]; then "$EXAMPLES/$4" "${@:6}"
    else "$EXAMPLES/$4" "${@:5}" "$PORT"; fi
}
"#;

/// A shell with a keyboard and a screen.
struct Terminal {
    shell: Child,
    keyboard: Option<ChildStdin>,
    /// The output that the test has not read yet, byte by byte.
    screen: Receiver<u8>,
    /// The output after the last line that was checked.
    line: Vec<u8>,
    /// Whether any other lines may be printed before the next expected line.
    skips: bool,
}

impl Terminal {
    /// Opens a terminal in which the examples use this port.
    fn open(port: &str) -> Self {
        let (output, to_screen) = io::pipe().expect("there are descriptors left");
        let mut shell = Command::new("bash");
        shell.args(["--noprofile", "--norc"]).env("EXAMPLES", examples()).env("PORT", port);
        shell.env("SERVER", env!("CARGO_BIN_EXE_server"));
        // With these variables, the programs count characters and word their messages the same way on every machine.
        shell.env("LC_ALL", "C.UTF-8").env("RUST_BACKTRACE", "0");
        // The shell and its children form one process group, so that they can be killed together.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        shell.stdin(std::process::Stdio::piped());
        shell.stdout(to_screen.try_clone().expect("there are descriptors left")).stderr(to_screen);
        let mut shell_process = shell.spawn().expect("bash is installed");
        let keyboard = shell_process.stdin.take();
        // The `Command` still owns the pipe's write end. The `Command` is dropped, so that the pipe ends with the
        // last process.
        drop(shell);
        let (shown, screen) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            while let Ok(bytes @ [_, ..]) = output.fill_buf() {
                let count = bytes.len();
                if bytes.iter().any(|&byte| shown.send(byte).is_err()) {
                    return;
                }
                output.consume(count);
            }
        });
        let line = Vec::new();
        let mut terminal = Self { shell: shell_process, keyboard, screen, line, skips: false };
        terminal.type_line(CARGO);
        terminal
    }

    /// Types a line and presses Enter.
    fn type_line(&mut self, line: &str) {
        let keyboard = self.keyboard.as_mut().expect("the keyboard is open");
        keyboard.write_all(format!("{line}\n").as_bytes()).expect("a process reads the keyboard");
    }

    /// Presses Ctrl-C. The shell ends too, since it is not interactive.
    fn interrupt(&mut self) {
        self.kill("INT");
    }

    /// Waits until the output after the last checked line is exactly the prompt.
    fn expect_prompt(&mut self, prompt: &str) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        while self.line != prompt.as_bytes() {
            self.show_byte(deadline)?;
        }
        self.line.clear();
        Ok(())
    }

    /// Allows any other lines before the next expected line.
    fn skip(&mut self) {
        self.skips = true;
    }

    /// Waits for the expected line. No other line may be printed first, unless the play skips lines here.
    fn expect(&mut self, is_expected: impl Fn(&str) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            while self.line.last() != Some(&b'\n') {
                self.show_byte(deadline)?;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end_matches('\n').to_owned();
            self.line.clear();
            if is_expected(&line) {
                self.skips = false;
                return Ok(());
            }
            if !self.skips {
                return Err(format!("printed {line:?}"));
            }
        }
    }

    /// Returns the output that is still unchecked, if it contains a whole line and the play does not skip it.
    fn surprise(&mut self) -> Option<String> {
        self.line.extend(self.screen.try_iter());
        let line = String::from_utf8_lossy(&self.line).into_owned();
        (!self.skips && line.contains('\n')).then_some(line)
    }

    fn show_byte(&mut self, deadline: Instant) -> Result<(), String> {
        let left = deadline.saturating_duration_since(Instant::now());
        let byte = self.screen.recv_timeout(left);
        let so_far = || format!("{byte:?} after {:?}", String::from_utf8_lossy(&self.line));
        self.line.push(byte.map_err(|_| so_far())?);
        Ok(())
    }

    fn kill(&self, signal: &str) {
        let group = format!("-{}", self.shell.id());
        // `kill` fails when all processes of the group have already ended.
        let _ = Command::new("kill").args([&format!("-{signal}"), "--", &group]).output();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.kill("KILL");
        // The shell was killed above, so this wait is short.
        let _ = self.shell.wait();
    }
}

/// Returns the path of an example. `cargo test` builds the examples along with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test binary has a path");
    // The test binary is a file such as target/debug/deps/it-0123.
    let target = test.ancestors().nth(2).unwrap_or(Path::new("."));
    let built = target.join("examples").join(name).with_extension(EXE_EXTENSION);
    let source = match name {
        "check" => "src/lessons/check/main.rs".to_owned(),
        "naive_server" => "tests/load/naive_server.rs".to_owned(),
        _ => format!("src/lessons/{name}.rs"),
    };
    // `cargo test --test it` does not build the examples, so an example can be missing or out of date.
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let source = modified(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
    let is_new = source.is_some() && modified(&built) >= source;
    assert!(is_new, "{name} is missing or old: run `cargo build --examples` first");
    built
}

/// Returns the directory of the course's examples. Panics if one of them is missing or out of date.
pub(crate) fn examples() -> PathBuf {
    for name in STEPS.into_iter().chain(["check", "peer"]) {
        example(name);
    }
    example("matrix").parent().expect("the example is in a directory").to_owned()
}

/// The steps of the course, in order.
pub(crate) const STEPS: [&str; 13] = [
    "step01_echo",
    "step02_client",
    "step03_two_threads",
    "step04_thread_per_client",
    "step05_room",
    "step06_lines",
    "step07_names",
    "step08_endings",
    "step09_writers",
    "step10_the_end",
    "step11_outbox",
    "step12_slow_readers",
    "step13_fast_senders",
];
