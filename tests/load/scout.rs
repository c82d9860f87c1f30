//! Before the clients join, the scout finds out whether the server limits the rate at which one client may talk.
//! With such a limit, a run would measure only the limit, so the user is warned.
//!
//! The scout is one blocking connection on the main thread. It joins, sends several `/ping` commands at once,
//! again and again, and leaves. If the answers arrive slowly, the server has a limit. On a server without
//! `/ping`, the scout cannot tell whether there is a limit.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::stranger::Stranger;

/// The scout's nickname. No client of a run has this nickname.
const NICKNAME: &str = "u-scout";

/// The number of `/ping` commands that are sent at once. The number is small, because a server with a rate limit
/// has to answer all of them before the scout can leave.
const AT_ONCE: u32 = 10;

/// The maximum number of lines that the scout sends. This is twice the burst that this chat's server allows.
const MAX_LINES: u32 = 400;

/// If the answers to [`AT_ONCE`] commands take longer than this, there is a limit. Without a limit, the answers
/// take about a millisecond. With a limit of fifty lines a second, they take 200 milliseconds.
const SLOW: Duration = Duration::from_millis(50);

/// Returns a warning if a rate limit of the server will decide the result. Returns `None` if there is no such
/// limit, or if the scout cannot tell.
pub(crate) fn warning(stream: TcpStream, options: &Options) -> Option<String> {
    let lines = options.messages.min(MAX_LINES);
    if options.senders == 0 || lines < 2 * AT_ONCE {
        return None;
    }
    let mut scout = Scout::join(stream)?;
    let limit = if scout.knows_ping() { scout.limit(lines) } else { None };
    scout.leave();
    let (at_once, a_second) = limit?;
    let is_within = options.rate > 0 && f64::from(options.rate) <= a_second;
    (!is_within).then(|| {
        format!(
            "[WARNING] the server takes about {at_once} lines at once from one client, then {a_second:.0} \
             a second: that will decide the result. Start it with --rate 0"
        )
    })
}

struct Scout {
    stranger: Stranger,
    /// The number of lines that the scout has sent.
    sent: u32,
}

impl Scout {
    fn join(stream: TcpStream) -> Option<Self> {
        let mut scout = Self { stranger: Stranger::on(stream).ok()?, sent: 0 };
        scout.send(&format!("{NICKNAME}\n"))?;
        Some(scout)
    }

    fn send(&mut self, lines: &str) -> Option<()> {
        self.sent += u32::try_from(lines.lines().count()).unwrap_or(0);
        self.stranger.send(lines.as_bytes()).ok()
    }

    fn line(&mut self) -> Option<String> {
        self.stranger.line().ok()
    }

    /// Returns whether the server answers `/ping`. Every server sends an action back to its sender. So if no
    /// answer has arrived before the action, the server does not know `/ping`.
    fn knows_ping(&mut self) -> bool {
        let mut knows = false;
        if self.send("/ping 0\n/me looks around\n").is_none() {
            return false;
        }
        while let Some(line) = self.line() {
            knows |= line == "[SERVER] pong 0";
            if line.starts_with(&format!("* {NICKNAME} ")) {
                return knows;
            }
        }
        false
    }

    /// Returns the number of lines that the server accepts at once, and the number of lines that it accepts per
    /// second after that. Returns `None` if there is no limit.
    fn limit(&mut self, lines: u32) -> Option<(u32, f64)> {
        while self.sent < lines {
            let at_once = self.sent;
            // Slow answers count only if the next answers are slow too, because the machine may be busy for a
            // moment.
            if self.ask()? > SLOW {
                let took = self.ask()?;
                if took > SLOW {
                    return Some((at_once, f64::from(AT_ONCE) / took.as_secs_f64()));
                }
            }
        }
        None
    }

    /// Sends [`AT_ONCE`] `/ping` commands at once. Returns the time until all answers have arrived.
    fn ask(&mut self) -> Option<Duration> {
        let start = Instant::now();
        let word = self.sent;
        self.send(&format!("/ping {word}\n").repeat(AT_ONCE as usize))?;
        let mut answers = 0;
        while answers < AT_ONCE {
            answers += u32::from(self.line()? == format!("[SERVER] pong {word}"));
        }
        Some(start.elapsed())
    }

    /// Leaves, and waits until the server has closed the connection.
    fn leave(mut self) {
        // This fails if the server has already closed the connection.
        let _ = self.send("/quit\n");
        self.stranger.end_input();
        while self.line().is_some() {}
    }
}
