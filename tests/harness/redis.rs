//! Processes of a real engine, `redis-server` or `valkey-server`, and of the Sentinels that monitor it.
//!
//! `CHAT_ENGINE` names the program. If the variable is not set, the tests that need [`Redis::start`] are left out,
//! because they take a long time. `tests/relay.sh` sets the variable and runs these tests. Each process has a port and
//! a directory of its own, and is killed when it is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::process::send_signal;
use super::{Directory, free_port, poll_until};

/// Returns the name of the engine's program.
fn program() -> String {
    std::env::var("CHAT_ENGINE").unwrap_or("redis-server".to_owned())
}

/// Prints that a test is left out. Unlike [`super::leave_out`], this function does not make the test fail if
/// `CHAT_TESTS_COMPLETE` is set, because an engine cannot be installed on every machine.
fn left_out(why: &str) {
    let thread = thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // The test runner captures the text of `eprintln!`, and shows it only if the test fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    /// Starts the engine's program in a directory.
    fn start(directory: &Directory, arguments: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.current_dir(directory.path()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().expect("the engine's program is installed"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `kill` fails if the process has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running engine.
pub(crate) struct Redis {
    process: Option<Process>,
    directory: Directory,
    port: u16,
    options: Vec<String>,
}

impl Redis {
    /// Returns whether the engine's program is installed. If it is not, prints that the test is left out.
    pub(crate) fn is_there() -> bool {
        let version = Command::new(program()).arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            left_out(&format!("there is no {}", program()));
        }
        version.is_ok()
    }

    /// Starts an engine with these command-line options. Returns `None` if its program is not installed, or if
    /// `CHAT_ENGINE` is not set. The test is then left out.
    #[track_caller]
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        if std::env::var_os("CHAT_ENGINE").is_none() {
            left_out("it is for tests/relay.sh, which sets CHAT_ENGINE");
            return None;
        }
        if !Self::is_there() {
            return None;
        }
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let (directory, port) = (Directory::new(), free_port());
        let mut redis = Self { process: None, directory, port, options };
        redis.run();
        Some(redis)
    }

    /// Starts an engine that writes every entry to disk before it confirms the entry. So the engine loses no
    /// confirmed entry, even when it is killed.
    #[track_caller]
    pub(crate) fn durable() -> Option<Self> {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a replica of this engine.
    #[track_caller]
    pub(crate) fn replica(&self) -> Option<Self> {
        Self::start(&["--replicaof", "127.0.0.1", &self.port.to_string()])
    }

    /// Starts the engine's process and waits until it answers. After a restart, the engine has the data that it
    /// stored in its directory.
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        let mut arguments = vec!["--save", "", "--bind", "127.0.0.1", "--port", &port];
        arguments.extend(self.options.iter().map(String::as_str));
        self.process = Some(Process::start(&self.directory, &arguments));
        poll_until("an engine that answers", || {
            self.try_call(&["PING"]).filter(|reply| reply.starts_with("+PONG"))
        });
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the path of the append-only file into which the engine writes its latest commands.
    pub(crate) fn append_only_file(&self) -> PathBuf {
        let directory = self.directory.file("appendonlydir");
        let files = fs::read_dir(directory).expect("the engine has an append-only directory");
        let names = files.map(|file| file.expect("the directory can be read").path());
        let is_it = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
        names.filter(is_it).max().expect("the engine has an append-only file")
    }

    /// Sends the engine a signal. The signal's name is given without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        send_signal(self.process.as_ref().expect("the engine runs").0.id(), signal);
    }

    /// Sends the engine a signal that ends it, and waits until it has exited.
    pub(crate) fn end(&mut self, signal: &str) {
        self.signal(signal);
        let mut process = self.process.take().expect("the engine runs");
        process.0.wait().expect("a child can be waited for");
    }

    /// Sends a command and returns the reply's raw text, as it is on the wire.
    #[track_caller]
    pub(crate) fn call(&self, words: &[&str]) -> String {
        self.try_call(words).expect("the engine answers")
    }

    fn try_call(&self, words: &[&str]) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command += &format!("${}\r\n{word}\r\n", word.len());
        }
        stream.write_all(command.as_bytes()).ok()?;
        let mut reply = [0; 4096];
        let length = stream.read(&mut reply).ok()?;
        Some(String::from_utf8_lossy(&reply[..length]).into_owned())
    }
}

/// Three Sentinels that monitor an engine under the name `chat`. The Sentinels consider the engine down when it has
/// not answered for one second.
pub(crate) struct Sentinels {
    _processes: Vec<(Process, Directory)>,
    /// The addresses of the Sentinels, in the form that the option `--relay` accepts.
    pub(crate) hosts: String,
}

impl Sentinels {
    pub(crate) fn of(primary: &Redis) -> Self {
        let ports = [(); 3].map(|()| free_port());
        let start = |port: u16| {
            let directory = Directory::new();
            let text = format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor chat 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds chat 1000\nsentinel failover-timeout chat 5000\n",
                primary.port
            );
            // A Sentinel also writes its state into this file, so each Sentinel needs a file of its own.
            fs::write(directory.file("sentinel.conf"), text).expect("there is space");
            (Process::start(&directory, &["sentinel.conf", "--sentinel"]), directory)
        };
        let hosts = ports.map(|port| format!("127.0.0.1:{port}")).join(",");
        Self { _processes: ports.map(start).into(), hosts }
    }
}
