//! The quickstart and the readme's picture, replayed. Their commands are typed into terminals, and what
//! the terminals show is compared with the text.
//!
//! `QUICKSTART.md` and `README.md` are read as their reader does. `**Terminal 2**` says where the next
//! block happens; in a block, what follows `$ ` is typed into the shell, what follows `> ` (with
//! `nc`), `alice> ` or `Enter your nickname: ` into the program, `^C` is Ctrl-C, and all other lines
//! are printed. A block `paste` is pasted. Three things differ: `cargo run` starts the binary that this
//! test was built with, 5555, 5556 and 6379 stand for ports that are free, and a port that is taken has the
//! words and the number that this system has for it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::redis::Redis;
use crate::harness::{Tmux, free_port, has_nc};

/// Stands for `cargo run --bin NAME -- ARGUMENTS` in the terminals: nothing is built here.
const CARGO: &str = r#"#!/bin/sh
program=$3; shift 3; [ "$1" = -- ] && shift
case $program in
    server) exec "$SERVER" --port "$PORT" "$@" ;;
    client) exec "$CLIENT" --port "$PORT" "$@" ;;
esac
"#;

/// The prompts of the shell and of the client's question, as rows that have nothing behind them.
const SHELL_PROMPT: &str = "$";
/// The start of a row that is there only until Enter is pressed.
const QUESTION: &str = "[CLIENT] Enter sends ";
const NICKNAME_PROMPT: &str = "Enter your nickname:";

/// The first line of a block that is pasted.
const PASTE: &str = "```paste";

/// A port is taken, as the text says it, for Linux with the GNU C library.
const TAKEN: &str = "Address already in use (os error 98)";

/// The ports of the text, and those that stand for them.
struct Ports([(&'static str, String); 3]);

impl Ports {
    fn in_use(&self, line: &str) -> String {
        self.0.iter().fold(line.to_owned(), |line, (text, port)| line.replace(text, port))
    }

    fn as_in_text(&self, row: &str) -> String {
        let row = row.replace(&*TAKEN_HERE, TAKEN);
        self.0.iter().fold(row, |row, (text, port)| row.replace(port, text))
    }
}

/// This system's words for a port that is taken.
static TAKEN_HERE: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    TcpListener::bind(listener.local_addr().unwrap()).unwrap_err().to_string()
});

/// One of the reader's terminals, with a shell in it.
struct Terminal<'a> {
    tmux: Tmux,
    ports: &'a Ports,
    /// The rows that it must show by now.
    rows: Vec<String>,
}

impl<'a> Terminal<'a> {
    /// Opens it; `None` without `tmux`.
    fn open(ports: &'a Ports) -> Option<Self> {
        let port = &ports.0[0].1;
        let tmux = Tmux::run(300, &format!("PORT={port} PATH=\"$dir:$PATH\" PS1='$ ' sh"))?;
        let cargo = tmux.directory.file("cargo");
        fs::write(&cargo, CARGO).expect("the directory is new");
        fs::set_permissions(&cargo, PermissionsExt::from_mode(0o700)).expect("the file is ours");
        Some(Self { tmux, ports, rows: Vec::new() })
    }

    /// Does what a line of the text says.
    fn follow(&mut self, line: &str) {
        if let Some(command) = line.strip_prefix("$ ") {
            // The prompt says that what ran before has ended.
            self.wait_for_rows(Some(SHELL_PROMPT));
            self.type_line(command);
            self.rows.push(line.to_owned());
        } else if let Some(nickname) = line.strip_prefix("Enter your nickname: ") {
            self.wait_for_rows(Some(NICKNAME_PROMPT));
            self.type_line(nickname);
            self.rows.push(line.to_owned());
        } else if let Some(typed) = line.strip_prefix("> ") {
            self.wait_for_rows(None);
            self.type_line(typed);
            self.rows.push(typed.to_owned());
        } else if let Some((nickname, typed)) =
            format!("{line} ").split_once("> ").filter(is_prompt)
        {
            // The client puts it above the prompt as everyone sees it.
            self.wait_for_rows(Some(&format!("{nickname}>")));
            self.type_line(typed.trim_end());
            // A question is gone with its answer.
            self.rows.retain(|row| !row.starts_with(QUESTION));
        } else {
            if line.starts_with("^C") {
                self.wait_for_rows(None);
                self.tmux.keys(&["C-c"]);
            }
            self.rows.push(without_what_changes(line));
        }
    }

    fn type_line(&self, line: &str) {
        self.tmux.line(&self.ports.in_use(line));
    }

    /// Waits until it shows all rows that it should, with the ports of the text, and this prompt
    /// below.
    #[track_caller]
    fn wait_for_rows(&self, prompt: Option<&str>) {
        let expected = format!("{}\nand the prompt {prompt:?}", self.rows.join("\n"));
        self.tmux.wait_for_rows(&expected, |rows| {
            let mut shown = rows.to_vec();
            let last = shown.pop_if(|last| {
                [SHELL_PROMPT, NICKNAME_PROMPT].contains(&last.as_str()) || last.ends_with('>')
            });
            // A server that is faster than the engine says that it waits.
            shown.retain(|row| !row.starts_with("[SERVER] Waiting for the engine at "));
            for row in &mut shown {
                *row = without_what_changes(&self.ports.as_in_text(row));
            }
            shown == self.rows && (prompt.is_none() || last.as_deref() == prompt)
        });
    }
}

/// Whether a row is the client's own: its nickname, and what is typed.
fn is_prompt((nickname, _typed): &(&str, &str)) -> bool {
    nickname.chars().all(char::is_alphanumeric)
}

/// The port of a peer is another each time, and so is how long somebody is there, and the statistics.
fn without_what_changes(row: &str) -> String {
    if let Some(stats) = row.strip_prefix("[SERVER] stats ") {
        let keys = stats.split(' ').map(|pair| pair.split('=').next().unwrap_or(pair));
        return keys.collect::<Vec<_>>().join(" ");
    }
    let starts = ["[SERVER] Connected with ", "[SERVER] Nickname of client is ", "[SERVER]   "];
    let is_peer = starts.iter().any(|start| row.starts_with(start));
    match row.split_once("127.0.0.1:") {
        Some((before, _port)) if is_peer => format!("{before}127.0.0.1:PORT"),
        _ => row.to_owned(),
    }
}

/// The blocks of the text in order, each with its terminal.
fn blocks(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut blocks = Vec::new();
    let mut terminal = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((_, rest)) = line.split_once("**Terminal ") {
            terminal = rest.chars().take_while(char::is_ascii_digit).collect();
        } else if line == "```console" || line == PASTE {
            let block = lines.by_ref().take_while(|line| *line != "```");
            let first = Some(line).filter(|line| *line == PASTE);
            blocks.push((terminal.clone(), first.into_iter().chain(block).collect()));
        }
    }
    blocks
}

/// Replays all blocks of a text. Returns the terminals, or `None` without what it needs.
fn replay<'a>(text: &str, ports: &'a Ports) -> Option<BTreeMap<String, Terminal<'a>>> {
    if !has_nc() {
        return None;
    }
    let mut terminals: BTreeMap<String, Terminal> = BTreeMap::new();
    for (number, block) in blocks(text) {
        if !terminals.contains_key(&number) {
            terminals.insert(number.clone(), Terminal::open(ports)?);
        }
        let terminal = terminals.get_mut(&number).expect("it was opened");
        if let [PASTE, lines @ ..] = &block[..] {
            terminal.tmux.paste(&lines.join("\n"));
            continue;
        }
        for line in block {
            terminal.follow(line);
        }
        terminal.wait_for_rows(None);
    }
    Some(terminals)
}

fn free_ports() -> Ports {
    Ports(["5555", "5556", "6379"].map(|port| (port, free_port().to_string())))
}

/// Where the quickstart begins to need Redis.
const RELAY: &str = "## Two servers, one room";

#[test]
fn the_quickstart_is_what_happens() {
    let ports = free_ports();
    let text = include_str!("../../QUICKSTART.md").split(RELAY).next().expect("there is a first");
    let Some(terminals) = replay(text, &ports) else { return };
    assert_eq!(terminals.len(), 3, "the quickstart has three terminals");
    // At the end everything has ended, and no terminal shows more than was said.
    for terminal in terminals.values() {
        terminal.wait_for_rows(Some(SHELL_PROMPT));
    }
}

/// Ends the engine that a test has started, if the test did not come to it.
struct Engine(String);

impl Drop for Engine {
    fn drop(&mut self) {
        // It fails if the engine has ended already, as it should.
        let _ = Command::new("redis-cli").args(["-p", &self.0, "shutdown", "nosave"]).output();
    }
}

#[test]
fn the_two_servers_of_the_quickstart_are_one_room() {
    if !Redis::is_there() || Command::new("redis-cli").arg("--version").output().is_err() {
        return;
    }
    let ports = free_ports();
    let _engine = Engine(ports.in_use("6379"));
    let (_, text) = include_str!("../../QUICKSTART.md").split_once(RELAY).expect("it is there");
    let Some(terminals) = replay(text, &ports) else { return };
    assert_eq!(terminals.len(), 5, "there are five terminals");
    // The end of a terminal is a hang-up, and no request to a server to end.
    for server in ["1", "2"] {
        let terminal = &terminals[server];
        terminal.tmux.keys(&["C-c"]);
        let is_shell = |rows: &[String]| rows.last().is_some_and(|row| row == SHELL_PROMPT);
        terminal.tmux.wait_for_rows("a server that has ended", is_shell);
    }
}

#[test]
fn what_the_readme_shows_is_what_happens() {
    let ports = free_ports();
    let Some(terminals) = replay(include_str!("../../README.md"), &ports) else { return };
    assert_eq!(terminals.len(), 3, "the readme has three terminals");
}
