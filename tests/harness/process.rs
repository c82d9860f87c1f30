//! A process, and what it prints. Its standard streams are pipes, which are read line by line, with a deadline.
//!
//! Each stream has a reader thread, which ends with the stream. The threads are not joined: a grandchild may
//! hold a stream open, and the test would wait for it. When a [`Program`] is dropped, its process is killed
//! and waited for.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use super::{DEADLINE, Transcript};

/// How many servers have been started.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// The server's binary, or the one that `CHAT_SERVER` names. That is how a test is seen to fail with a server
/// that makes a mistake.
pub(crate) fn server_path() -> OsString {
    std::env::var_os("CHAT_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_server").into())
}

/// The client's binary, or the one that `CHAT_CLIENT` names.
pub(crate) fn client_path() -> OsString {
    std::env::var_os("CHAT_CLIENT").unwrap_or_else(|| env!("CARGO_BIN_EXE_client").into())
}

/// The server's binary with the options in `CHAT_SERVER_OPTIONS`, then these arguments. The variable lets all
/// tests run with another number of writers, for example. Each server gets another number in the place of a
/// `%`. So each can have a room of its own on one relay.
pub(crate) fn server_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(server_path());
    let options = std::env::var("CHAT_SERVER_OPTIONS").unwrap_or_default();
    let number = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    command.args(options.split_whitespace().map(|option| option.replace('%', &number)));
    command.args(arguments);
    command
}

/// The client's binary with these arguments.
pub(crate) fn client_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(client_path());
    command.args(arguments);
    command
}

/// Runs a line in a shell, in which `$SERVER` and `$CLIENT` are the binaries.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command.env("SERVER", server_path());
    command.env("CLIENT", client_path());
    command
}

/// An item that a reader thread passes on.
type Lines = Mutex<Receiver<String>>;

/// A running process.
pub(crate) struct Program {
    name: String,
    /// `None` once its end has been waited for.
    child: Option<Child>,
    pid: u32,
    input: Option<ChildStdin>,
    /// The lines that the test has not asked for yet. There is a lock, so that several threads of a test can
    /// use one server.
    output: Lines,
    errors: Lines,
    transcript: Transcript,
}

/// The output and the status of an ended process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) output: String,
    /// Its standard error.
    pub(crate) errors: String,
}

impl Program {
    /// Starts a process; `name` is for the transcript.
    pub(crate) fn start(name: &str, command: Command, transcript: &Transcript) -> Self {
        Self::start_into(name, command, Stdio::piped(), transcript)
    }

    /// Starts a process that writes its standard output where the test says.
    pub(crate) fn start_into(
        name: &str,
        mut command: Command,
        output: Stdio,
        transcript: &Transcript,
    ) -> Self {
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
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

    /// Runs a process to its end, with this as its whole standard input.
    #[track_caller]
    pub(crate) fn run(command: Command, input: &str) -> Finished {
        let mut program = Self::start("program", command, &Transcript::default());
        program.send_text(input);
        program.end_input();
        program.finish()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Writes to its standard input. A program that reads no more is no error here: it may have ended.
    pub(crate) fn send_text(&mut self, text: &str) {
        self.transcript.add(&self.name, '>', text.as_bytes());
        let input = self.input.as_mut().expect("the test has not ended the input");
        // A broken pipe: see above. What the program did instead is in its output and exit code.
        let _ = input.write_all(text.as_bytes());
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.input = None;
    }

    /// Waits for the next line of its standard output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let line = next(&self.output, &self.name);
        line.unwrap_or_else(|| panic!("{} wrote no more where a line should come", self.name))
    }

    /// Waits for the next line of its standard output, which must be this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, line: &str) {
        let got = self.line();
        assert!(got == line, "{} wrote the line\n  {got:?}\nnot\n  {line:?}", self.name);
    }

    /// Waits for lines of its standard output up to the first that contains this; returns those
    /// before it.
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

    /// Waits for the next line of its standard error, which must be this one.
    #[track_caller]
    pub(crate) fn expect_error(&mut self, line: &str) {
        let got = next(&self.errors, &self.name);
        assert!(got.as_deref() == Some(line), "{} wrote {got:?}, not {line:?}", self.name);
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(self.child.is_some(), "{} was waited for: its id may be another's", self.name);
        let kill = Command::new("kill").args([format!("-{signal}"), self.pid.to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "kill -{signal} {}", self.pid);
    }

    /// Whether it still runs, without waiting.
    pub(crate) fn runs(&mut self) -> bool {
        let child = self.child.as_mut().expect("the test has not waited for it");
        child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for its end. Another process may still hold its streams open.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a program ends once");
        let (ended, end) = mpsc::channel();
        // A thread waits, so that this one can stop waiting.
        thread::spawn(move || ended.send(child.wait()));
        end.recv_timeout(DEADLINE).map_or_else(
            |_| {
                // Not waited for yet, so the id is still its own. The test has failed already.
                let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
                panic!("{} did not end", self.name)
            },
            |status| status.expect("a child can be waited for"),
        )
    }

    /// Waits for its end. Returns everything that it wrote and the test has not asked for yet.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> Finished {
        let code = self.exit().code();
        Finished { code, output: rest(&self.output, &self.name), errors: self.last_errors() }
    }

    /// Kills it if it still runs. Returns what it wrote to standard error and the test has not asked for.
    pub(crate) fn last_errors(&mut self) -> String {
        self.kill();
        rest(&self.errors, &self.name)
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself just now; then there is nothing to kill.
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

/// All lines up to the end of the stream.
#[track_caller]
fn rest(lines: &Lines, name: &str) -> String {
    let mut text = String::new();
    while let Some(line) = next(lines, name) {
        text += &line;
        text.push('\n');
    }
    text
}

/// The next line, or `None` at the end of the stream.
#[track_caller]
fn next(lines: &Lines, name: &str) -> Option<String> {
    let lines = lines.lock().expect("nobody panics while reading");
    match lines.recv_timeout(DEADLINE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("{name} was waited for and wrote nothing"),
    }
}

/// Starts the thread that reads the lines of a stream. It ends with the stream. It also ends, and closes the
/// pipe, when nobody wants the lines any more. A stream that is not a pipe has no lines.
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
