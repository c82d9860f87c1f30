//! A process and its output. The process's standard streams are pipes. A test reads the output line by line, with a
//! deadline.
//!
//! Each output stream has a reader thread, which ends when the stream ends. The threads are not joined: a child of the
//! process could hold a stream open after the process has ended, and then the test would wait for that child. When a
//! [`Program`] is dropped, its process is killed and waited for.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use super::{DEADLINE, Transcript, poll_until};

/// The number of server commands that have been built so far.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Returns the path in `CHAT_SERVER`, or the path of the server's binary if the variable is not set. The variable can
/// name a server with a certain bug, to check that a test notices the bug.
pub(crate) fn server_path() -> OsString {
    std::env::var_os("CHAT_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_server").into())
}

/// Sends a process a signal. The signal's name is given without `SIG`. After `STOP`, waits until every thread
/// of the process has stopped, because the threads do not stop at the moment when the signal is sent.
#[track_caller]
pub(crate) fn send_signal(pid: u32, signal: &str) {
    let kill = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()), "kill -{signal} {pid}");
    if signal == "STOP" {
        poll_until("the process has stopped", || has_stopped(pid).then_some(()));
    }
}

/// Returns whether every thread of a process has stopped. Only `/proc` shows this. On a system without `/proc`, the
/// result is always `true`.
fn has_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    // The state follows the name, which is in parentheses and can itself contain parentheses.
    let is_stopped =
        |stat: String| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'));
    threads
        .flatten()
        .all(|thread| fs::read_to_string(thread.path().join("stat")).is_ok_and(is_stopped))
}

/// Returns the path in `CHAT_CLIENT`, or the path of the client's binary if the variable is not set.
pub(crate) fn client_path() -> OsString {
    std::env::var_os("CHAT_CLIENT").unwrap_or_else(|| env!("CARGO_BIN_EXE_client").into())
}

/// Returns a command that runs the server with the options in `CHAT_SERVER_OPTIONS`, followed by these arguments.
/// The variable can, for example, make all tests run with another number of writers. A `%` in the variable is
/// replaced by a number that is different for each server. So each server can have a room of its own on a shared
/// relay.
pub(crate) fn server_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(server_path());
    let options = std::env::var("CHAT_SERVER_OPTIONS").unwrap_or_default();
    let number = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    command.args(options.split_whitespace().map(|option| option.replace('%', &number)));
    command.args(arguments);
    command
}

/// Returns a command that runs the client with these arguments.
pub(crate) fn client_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(client_path());
    command.args(arguments);
    command
}

/// Returns a command that runs this script in a shell. In the script, `$SERVER` and `$CLIENT` are the binaries.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command.env("SERVER", server_path());
    command.env("CLIENT", client_path());
    command
}

/// The lines that a reader thread has read from one output stream, without their `\n`.
type Lines = Mutex<Receiver<String>>;

/// A running process.
pub(crate) struct Program {
    name: String,
    /// `None` once the test has waited for the process to exit.
    child: Option<Child>,
    pid: u32,
    input: Option<ChildStdin>,
    /// The lines that the test has not read yet. They are behind a lock, so that several threads of a test can
    /// share a server.
    output: Lines,
    errors: Lines,
    transcript: Transcript,
}

/// The output and the exit code of a process that has exited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The exit code; `None` if a signal ended the process.
    pub(crate) code: Option<i32>,
    /// The process's standard output.
    pub(crate) output: String,
    /// The process's standard error.
    pub(crate) errors: String,
}

impl Program {
    /// Starts a process; `name` is its name in the transcript.
    pub(crate) fn start(name: &str, command: Command, transcript: &Transcript) -> Self {
        Self::start_into(name, command, Stdio::piped(), transcript)
    }

    /// Starts a process whose standard output is `output`.
    pub(crate) fn start_into(
        name: &str,
        mut command: Command,
        output: Stdio,
        transcript: &Transcript,
    ) -> Self {
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let input = child.stdin.take();
        let output = read_lines(name, child.stdout.take(), transcript);
        let errors = format!("{name} error");
        let errors = read_lines(&errors, child.stderr.take(), transcript);
        Self {
            name: name.to_owned(),
            pid: child.id(),
            child: Some(child),
            input,
            output,
            errors,
            transcript: transcript.clone(),
        }
    }

    /// Runs a process until it exits; `input` is its whole standard input.
    #[track_caller]
    pub(crate) fn run(command: Command, input: &str) -> Finished {
        let mut program = Self::start("program", command, &Transcript::default());
        program.send_text(input);
        program.end_input();
        program.finish()
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Writes to the program's standard input. If the program no longer reads, for example because it has exited,
    /// the text is lost, and this function reports no error.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.transcript.add(&self.name, '>', text.as_bytes());
        let input = self.input.as_mut().expect("the test has not closed the input");
        // A broken pipe is ignored: the program's output and exit code show why it stopped reading.
        let _ = input.write_all(text.as_bytes());
    }

    /// Closes the program's standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits for the next line of the program's standard output, and returns it.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = next(&self.output, &self.name);
        line.unwrap_or_else(|| panic!("{} ended its output where a line was expected", self.name))
    }

    /// Waits for the next line of the program's standard output, which must be `line`.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        let got = self.line();
        assert!(got == line, "{} wrote the line\n  {got:?}\nnot\n  {line:?}", self.name);
    }

    /// Reads the program's standard output up to and including the first line that contains `part`. Returns the
    /// lines before it.
    #[track_caller]
    pub(crate) fn lines_until(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.contains(part) {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Waits for the next line of the program's standard error, which must be `line`.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, line: &str) {
        let got = next(&self.errors, &self.name);
        assert!(got.as_deref() == Some(line), "{} wrote {got:?}, not {line:?}", self.name);
    }

    /// Sends the program a signal. The signal's name is given without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(
            self.child.is_some(),
            "{} has exited: its id may belong to another process",
            self.name
        );
        send_signal(self.pid, signal);
    }

    /// Returns whether the program still runs, without waiting for it.
    pub(crate) fn runs(&mut self) -> bool {
        let child = self.child.as_mut().expect("the test has not waited for the program");
        child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for the program to exit. Another process may hold the program's streams open even after the exit.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a test waits for a program only once");
        let (ended, end) = mpsc::channel();
        // `Child::wait` has no timeout. So another thread calls it, and this thread waits until the deadline.
        thread::spawn(move || ended.send(child.wait()));
        end.recv_timeout(DEADLINE).map_or_else(
            |_| {
                // The process has not been waited for, so no other process can have the same id yet. The test fails
                // in any case, so an error of `kill` is ignored.
                let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
                panic!("{} did not exit", self.name)
            },
            |status| status.expect("a child can be waited for"),
        )
    }

    /// Waits for the program to exit. Returns its exit code, and all of its output that the test has not read yet.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> Finished {
        let code = self.exit().code();
        Finished { code, output: rest(&self.output, &self.name), errors: self.last_errors() }
    }

    /// Kills the program if it still runs. Returns its standard error, except the lines that the test has already
    /// read.
    pub(crate) fn last_errors(&mut self) -> String {
        self.kill();
        rest(&self.errors, &self.name)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // `kill` fails if the process has already exited.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns all lines up to the end of the stream.
#[track_caller]
fn rest(lines: &Lines, name: &str) -> String {
    let mut text = String::new();
    while let Some(line) = next(lines, name) {
        text += &line;
        text.push('\n');
    }
    text
}

/// Waits for the next line, and returns it, or `None` at the end of the stream.
#[track_caller]
fn next(lines: &Lines, name: &str) -> Option<String> {
    let lines = lines.lock().expect("no thread panics while it reads");
    match lines.recv_timeout(DEADLINE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("{name} wrote nothing before the deadline"),
    }
}

/// Starts the thread that reads the lines of a stream. The thread ends when the stream ends. If the returned receiver
/// has been dropped, the thread ends at the next line, and closes the pipe. If `stream` is `None`, there are no
/// lines.
fn read_lines<R: Read + Send + 'static>(
    name: &str,
    stream: Option<R>,
    transcript: &Transcript,
) -> Lines {
    let (sender, lines) = mpsc::channel();
    let Some(stream) = stream else { return Mutex::new(lines) };
    let mut stream = BufReader::new(stream);
    let (name, transcript) = (name.to_owned(), transcript.clone());
    thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                return;
            }
            transcript.add(&name, '<', &line);
            let line = String::from_utf8_lossy(&line);
            if sender.send(line.trim_end_matches('\n').to_owned()).is_err() {
                return;
            }
        }
    });
    Mutex::new(lines)
}
