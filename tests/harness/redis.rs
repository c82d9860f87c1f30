//! A real engine, `redis-server` or `valkey-server`, and links to it that a test can cut.
//!
//! `CHAT_ENGINE` names the program. Where it is not set, no test makes an engine suffer: that takes its time, and
//! `tests/relay.sh` does it. Each engine has a port and a directory of its own. When it is dropped, it is killed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Directory, free_port, poll_until};

/// The program that is the engine.
fn program() -> String {
    std::env::var("CHAT_ENGINE").unwrap_or("redis-server".to_owned())
}

/// Says that a test is left out. It need not be complete: not every machine can have an engine.
fn left_out(why: &str) {
    let thread = thread::current();
    let line = format!("left out: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not by `eprintln!`, whose text is shown only if the test fails.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A running engine.
pub(crate) struct Redis {
    directory: Directory,
    port: u16,
    options: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// Whether this machine has an engine. If not, this says so, and the test is left out.
    pub(crate) fn is_there() -> bool {
        let version = Command::new(program()).arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            left_out(&format!("there is no {}", program()));
        }
        version.is_ok()
    }

    /// Starts an engine with these options of the command line. Returns `None` if this machine has none, or if
    /// `CHAT_ENGINE` does not ask for it. The test is then left out.
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
        let mut redis = Self { directory, port, options, child: None };
        redis.run();
        Some(redis)
    }

    /// Starts an engine that keeps everything that it has confirmed, even if it is killed.
    #[track_caller]
    pub(crate) fn durable() -> Option<Self> {
        Self::start(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Runs it again, with what it has kept, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new(program());
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command.args(["--save", "", "--bind", "127.0.0.1", "--port", &self.port.to_string()]);
        command.args(&self.options);
        self.child = Some(command.spawn().expect("it was there a moment ago"));
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

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file in which it keeps what was appended last.
    pub(crate) fn append_only_file(&self) -> PathBuf {
        let directory = self.path().join("appendonlydir");
        let files = std::fs::read_dir(directory).expect("it keeps an append-only file");
        let names = files.map(|file| file.expect("it can be read").path());
        let is_it = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
        names.filter(is_it).max().expect("it keeps one")
    }

    /// Sends it a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let kill =
            Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "kill -{signal}");
    }

    /// Ends it by a signal, and waits for that.
    pub(crate) fn end(&mut self, signal: &str) {
        self.signal(signal);
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("a child can be waited for");
    }

    /// Sends a command and returns the reply, as it is on the wire.
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

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A link between one server and an engine. It passes bytes on in both directions until it is cut.
pub(crate) struct Link {
    address: SocketAddr,
    engine: Arc<Mutex<String>>,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    pub(crate) fn to(engine: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let engine = Arc::new(Mutex::new(engine));
        let link = Self { address, engine, is_cut: Arc::default(), streams: Arc::default() };
        let engine = Arc::clone(&link.engine);
        let (is_cut, streams) = (Arc::clone(&link.is_cut), Arc::clone(&link.streams));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let engine = engine.lock().expect("nobody panics while it is held").clone();
                let Ok(far) = TcpStream::connect(engine) else { continue };
                let mut streams = streams.lock().expect("nobody panics while it is held");
                for stream in [&near, &far] {
                    streams.extend(stream.try_clone());
                }
                let clones = (near.try_clone(), far.try_clone());
                let (Ok(near_too), Ok(far_too)) = clones else { continue };
                thread::spawn(move || pass_on(near, &far));
                thread::spawn(move || pass_on(far_too, &near_too));
            }
        });
        link
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Leads new connections to another engine.
    pub(crate) fn lead_to(&self, engine: String) {
        *self.engine.lock().expect("nobody panics while it is held") = engine;
    }

    /// Cuts it, or mends it.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
        for stream in self.streams.lock().expect("nobody panics while it is held").drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: &TcpStream) {
    // However this direction ends, the other one ends too.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
