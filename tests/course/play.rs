//! Plays: the terminal sessions in the documentation, acted out as they are written.
//!
//! A play is a fenced block of the kind `console`. Each line begins with the number of a terminal:
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
//! What is printed is waited for before the next line is played, so a play has an order without
//! waiting for time. A line that the text does not have fails the play.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::terminal::Terminal;

/// The ports in all plays; where they are acted out others take their place. The examples use the
/// first one.
const WRITTEN_PORTS: [u16; 2] = [7007, 5555];

/// The documentation of a module, without the comment signs.
pub(crate) fn documentation(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let source = std::fs::read_to_string(&path).expect("the file is there");
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned() + "\n").collect()
}

/// The plays in a text, in order.
pub(crate) fn plays(text: &str) -> Vec<&str> {
    let blocks = text.split("```console\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or(block)).collect()
}

/// Acts out all plays in a text. Says so and does nothing where the programs for it are missing.
#[track_caller]
pub(crate) fn act_out(text: &str) {
    // Other programs of that name have other options, and print other words.
    let nc = Command::new("nc").arg("-h").output();
    let is_openbsd = |help: &[u8]| String::from_utf8_lossy(help).contains("OpenBSD");
    if !nc.is_ok_and(|help| is_openbsd(&help.stderr) || is_openbsd(&help.stdout)) {
        eprintln!("skipped: there is no OpenBSD nc");
        return;
    }
    let plays = plays(text);
    assert!(!plays.is_empty(), "there is nothing to play");
    for play in plays {
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
}

fn act(
    line: &str,
    ports: [u16; 2],
    terminals: &mut BTreeMap<char, Terminal>,
) -> Result<(), String> {
    // In addresses, and as `/proc` shows them.
    let line = WRITTEN_PORTS.iter().zip(ports).fold(line.to_owned(), |line, (written, port)| {
        let line = line.replace(&format!("{written:04X}"), &format!("{port:04X}"));
        line.replace(&written.to_string(), &port.to_string())
    });
    let number = line.chars().next().ok_or("has no number")?;
    let text = &line[number.len_utf8()..];
    let terminal = terminals.entry(number).or_insert_with(|| Terminal::open(&ports[0].to_string()));
    if let Some(command) = text.strip_prefix("$ ") {
        terminal.type_line(command);
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

/// Whether a line is the pattern, in which `...` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once("...") {
        None => line == pattern,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            line.char_indices().any(|(at, _)| matches(&line[at..], rest)) || matches("", rest)
        }),
    }
}

/// A port that nobody uses. It is none of those that the system gives out by itself, nor one of those
/// that the same tests take when they run elsewhere at the same time.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(20_000 + id() % 200 * 60).expect("it is below 32,000");
    let ports = || first + NEXT.fetch_add(1, Ordering::Relaxed);
    let is_free = |&port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    std::iter::repeat_with(ports).find(is_free).expect("the sequence does not end")
}
