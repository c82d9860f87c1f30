//! Peer: a client that reads and sends only on command.
//!
//! ```sh
//! cargo run -q --example peer -- [PORT]
//! ```
//!
//! | type | and `peer` |
//! | --- | --- |
//! | `hello` | sends the line `hello` |
//! | `+ hel` | sends `hel` without a line end; `\n` and `\xC3` stand for the bytes 0A and C3, and `x{900}` for 900 times `x` |
//! | `talk 5` | sends 5 MB, in lines of 500 bytes; this takes about two seconds |
//! | `?` | reads a line and prints it |
//! | `?5` | reads five bytes and prints them |
//! | `??` | reads and prints all lines from now on |
//! | `;` | half-closes: ends its stream, but continues to read |
//! | `!` | breaks off: closes while some bytes are unread, which resets the connection |
//! | `bye`, or the end of input | closes |
//!
//! Events are printed in parentheses. Received text is printed unchanged, except that an escape character is
//! printed as `\x1B`. Only the start of a long line is printed. This client is made for the sessions of the
//! course: it works slowly enough to watch.

use std::env;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

/// The time for which `!` waits for bytes to leave unread.
const UNREAD_TIME: Duration = Duration::from_secs(1);

/// The time that `talk` waits for a server that does not read.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// The maximum number of characters of a line that are shown.
const MAX_SHOWN: usize = 70;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.set_nodelay(true)?;
    say("(connected)");
    for line in io::stdin().lines() {
        match obey(&stream, &line?) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => say(&format!("({error})")),
        }
    }
    Ok(())
}

/// Executes the command in a line of input. Returns whether the program continues.
fn obey(mut stream: &TcpStream, line: &str) -> io::Result<bool> {
    match line.split_once(' ').unwrap_or((line, "")) {
        ("bye", "") => return Ok(false),
        ("!", "") => {
            break_off(stream)?;
            return Ok(false);
        }
        (";", "") => stream.shutdown(Shutdown::Write)?,
        ("?", "") => return show(&mut stream, usize::MAX),
        ("??", "") => {
            let stream = stream.try_clone()?;
            thread::Builder::new().name("receive".into()).spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    match show(&mut stream, usize::MAX) {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(error) => return say(&format!("({error})")),
                    }
                }
            })?;
        }
        ("+", bytes) => stream.write_all(&unescape(bytes))?,
        ("talk", megabytes) => talk(stream, megabytes.parse().unwrap_or(1))?,
        _ => match line.strip_prefix('?').and_then(|count| count.parse().ok()) {
            Some(count) => return show(&mut stream, count),
            None => stream.write_all(format!("{line}\n").as_bytes())?,
        },
    }
    Ok(true)
}

/// Reads up to a line end, but at most `most` bytes, and prints them. Returns `false` at the end of the
/// stream.
fn show(stream: &mut impl Read, most: usize) -> io::Result<bool> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while bytes.len() < most && bytes.last() != Some(&b'\n') {
        if stream.read(&mut byte)? == 0 {
            say(&format!("{}(end)", bytes.escape_ascii()));
            return Ok(false);
        }
        bytes.push(byte[0]);
    }
    let visible = |c: char| match c {
        '\u{1B}' => "\\x1B".to_owned(),
        _ => c.to_string(),
    };
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches(['\r', '\n']);
    let start: String = text.chars().take(MAX_SHOWN).map(visible).collect();
    say(&(start + if text.chars().nth(MAX_SHOWN).is_some() { "…" } else { "" }));
    Ok(true)
}

/// Sends this many megabytes: a hundred lines of 500 bytes every 20 milliseconds. Counts bytes, not seconds: on a
/// busy machine, sending takes longer, but the amount is the same. Ends early if the server does not read.
fn talk(mut stream: &TcpStream, megabytes: usize) -> io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    stream.set_write_timeout(Some(WRITE_TIME))?;
    let lines = format!("{}\n", "y".repeat(499)).repeat(100);
    for _ in 0..megabytes * 1_000_000 / lines.len() {
        match stream.write_all(lines.as_bytes()) {
            Ok(()) => thread::sleep(PAUSE),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                say("(the server does not read)");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    say(&format!("(said {megabytes} MB)"));
    Ok(())
}

/// Waits until some bytes have arrived, and leaves them unread. The caller then closes the connection. Because of
/// the unread bytes, the kernel resets the connection.
fn break_off(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(UNREAD_TIME))?;
    match stream.peek(&mut [0]) {
        Ok(1) => say("(broken off)"),
        _ => say("(nothing is unread, so this is an orderly end)"),
    }
    Ok(())
}

/// Replaces `\n` and codes such as `\xC3` by the bytes that they stand for, and `x{900}` by 900 times `x`.
fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(next) = rest.chars().next() {
        let hexadecimal = rest.strip_prefix("\\x").and_then(|rest| rest.get(..2));
        let repeated = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        if let Some(after) = rest.strip_prefix("\\n") {
            bytes.push(b'\n');
            rest = after;
        } else if let Some(byte) = hexadecimal.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &rest[4..];
        } else if let Some((count, after)) = repeated
            && let (Ok(count), Some(last)) = (count.parse::<usize>(), bytes.pop())
        {
            bytes.extend(vec![last; count]);
            rest = after;
        } else {
            let (character, after) = rest.split_at(next.len_utf8());
            bytes.extend_from_slice(character.as_bytes());
            rest = after;
        }
    }
    bytes
}

/// Prints a line. If printing fails, an error message could not be printed either. So the error is ignored.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
