//! Replays the sessions in `QUICKSTART.md` and `README.md`. The tests type the commands into terminals, and compare
//! the screens with the text.
//!
//! The tests follow the texts as a person would:
//!
//! - `**Terminal 2**` names the terminal for the next block.
//! - In a block, the text after `$ ` is typed into the shell. The text after `> ` (with `nc`), `alice> ` or
//!   `Enter your nickname: ` is typed into the program. `^C` is Ctrl-C. All other lines are output.
//! - A block with the language `paste` is pasted.
//!
//! Three things differ from the text: `cargo run` starts the binary that was built along with this test; 5555, 5556
//! and 6379 are replaced by free ports; and if a port is already in use, the error has this system's own text.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::redis::Redis;
use crate::harness::{Tmux, free_port, has_nc};

/// The script that replaces `cargo run --bin NAME -- ARGUMENTS` in the terminals. It does not build anything.
const CARGO: &str = r#"#!/bin/sh
program=$3; shift 3; [ "$1" = -- ] && shift
case $program in
    server) exec "$SERVER" --port "$PORT" "$@" ;;
    client) exec "$CLIENT" --port "$PORT" "$@" ;;
esac
"#;

/// The shell's prompt, as a row on which nothing has been typed.
const SHELL_PROMPT: &str = "$";
/// The start of the client's question about a paste. The client removes this row when Enter is pressed.
const QUESTION: &str = "[CLIENT] Enter sends ";
/// The client's prompt for a nickname, as a row on which nothing has been typed.
const NICKNAME_PROMPT: &str = "Enter your nickname:";

/// The first line of a block that is pasted.
const PASTE: &str = "```paste";

/// The error for a port that is already in use, as the text shows it: with the words of Linux and the GNU C library.
const TAKEN: &str = "Address already in use (os error 98)";

/// The ports in the text, and the free ports that replace them.
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

/// This system's error for a port that is already in use.
static TAKEN_HERE: LazyLock<String> = LazyLock::new(|| {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    TcpListener::bind(listener.local_addr().unwrap()).unwrap_err().to_string()
});

/// One of the terminals that the text names, with a shell in it.
struct Terminal<'a> {
    tmux: Tmux,
    ports: &'a Ports,
    /// The rows that the terminal must show by now.
    rows: Vec<String>,
}

impl<'a> Terminal<'a> {
    /// Opens a terminal. Returns `None` if `tmux` is not installed.
    fn open(ports: &'a Ports) -> Option<Self> {
        let port = &ports.0[0].1;
        let tmux = Tmux::run(300, &format!("PORT={port} PATH=\"$dir:$PATH\" PS1='$ ' sh"))?;
        let cargo = tmux.directory.file("cargo");
        fs::write(&cargo, CARGO).expect("the directory is new");
        fs::set_permissions(&cargo, PermissionsExt::from_mode(0o700)).expect("the file is ours");
        Some(Self { tmux, ports, rows: Vec::new() })
    }

    /// Follows one line of the text: types it, presses a key, or adds it to the expected rows.
    fn follow(&mut self, line: &str) {
        if let Some(command) = line.strip_prefix("$ ") {
            // The prompt shows that the previous command has ended.
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
            // The client shows the message above the prompt. The text contains that row too, so no row is added here.
            self.wait_for_rows(Some(&format!("{nickname}>")));
            self.type_line(typed.trim_end());
            // The client removes its question once the question is answered.
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

    /// Waits until the terminal shows exactly the expected rows, and this prompt below them.
    #[track_caller]
    fn wait_for_rows(&self, prompt: Option<&str>) {
        let expected = format!("{}\nand the prompt {prompt:?}", self.rows.join("\n"));
        self.tmux.wait_for_rows(&expected, |rows| {
            let mut shown = rows.to_vec();
            let last = shown.pop_if(|last| {
                [SHELL_PROMPT, NICKNAME_PROMPT].contains(&last.as_str()) || last.ends_with('>')
            });
            // If a server starts before the engine is ready, it prints this line, which is not in the text.
            shown.retain(|row| !row.starts_with("[SERVER] Waiting for the engine at "));
            for row in &mut shown {
                *row = without_what_changes(&self.ports.as_in_text(row));
            }
            shown == self.rows && (prompt.is_none() || last.as_deref() == prompt)
        });
    }
}

/// Returns whether the text before `> ` can be a nickname, so that the row is the client's prompt.
fn is_prompt((nickname, _typed): &(&str, &str)) -> bool {
    nickname.chars().all(char::is_alphanumeric)
}

/// Replaces the parts of a row that differ from run to run: a peer's port, the time since a client connected,
/// and the values of the statistics.
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

/// Returns the blocks of the text in order, each with the number of its terminal.
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

/// Replays all blocks of a text. Returns the terminals, or `None` if `nc` or `tmux` is not installed.
fn replay<'a>(text: &str, ports: &'a Ports) -> Option<BTreeMap<String, Terminal<'a>>> {
    if !has_nc() {
        return None;
    }
    let mut terminals: BTreeMap<String, Terminal> = BTreeMap::new();
    for (number, block) in blocks(text) {
        if !terminals.contains_key(&number) {
            terminals.insert(number.clone(), Terminal::open(ports)?);
        }
        let terminal = terminals.get_mut(&number).expect("the terminal was opened");
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

/// The heading of the quickstart's first section that needs Redis.
const RELAY: &str = "## Two servers, one room";

#[test]
fn the_quickstart_is_what_happens() {
    let ports = free_ports();
    let text = include_str!("../../QUICKSTART.md").split(RELAY).next().expect("a first part");
    let Some(terminals) = replay(text, &ports) else { return };
    assert_eq!(terminals.len(), 3, "the quickstart has three terminals");
    // At the end all programs have exited, and no terminal shows more than the text.
    for terminal in terminals.values() {
        terminal.wait_for_rows(Some(SHELL_PROMPT));
    }
}

/// The port of an engine. When this value is dropped, the engine is shut down. This matters if the test fails early.
struct Engine(String);

impl Drop for Engine {
    fn drop(&mut self) {
        // The command fails if the engine has already exited, which is the normal case.
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
    let (_, text) = include_str!("../../QUICKSTART.md").split_once(RELAY).expect("the heading");
    let Some(terminals) = replay(text, &ports) else { return };
    assert_eq!(terminals.len(), 5, "there are five terminals");
    // Closing a terminal would send SIGHUP to its server, but not wait until the server exits. So the test ends the
    // servers with Ctrl-C, and waits.
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
