//! The transcript: what the server's lines mean, which of them are shown, and how they look. Text in,
//! text out; nothing here asks, prints or blocks.
//!
//! Text from the server is cleaned here, the last place before it is printed, because the server is
//! not trusted either. So the only escape sequences in what comes out are the styles of this module,
//! and no bell. What is remembered is bounded, whatever a server
//! sends: each known name is a valid nickname, and there are at most [`MAX_NAMES`] of them. Handling a
//! line takes time linear in its length.
//!
//! In a pipe nothing is colored, rung or completed, so there lines are not taken apart at all.
//!
//! The styles are few. Notices are dim, lines for this user are bold, and each nickname has a color
//! of its own.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::protocol::cleaning::clean;
use crate::protocol::nickname::{Nickname, fold};
use crate::protocol::replies::{CONNECTED, LAST_MESSAGES_PREFIX, NOTICE_PREFIX};
use crate::protocol::unicode::is_combining_mark;
use crate::system::terminal::time_of_day;

/// How many nicknames are remembered, as many as a server has places. More are shown and not
/// completed.
const MAX_NAMES: usize = 10_000;

const DIM: &str = "2";
const BOLD: &str = "1";

/// Colors for nicknames, from the 256 of xterm: those of middling brightness, which can be read on
/// black and on white (a contrast of 3.5 to 1 or more on both).
const NICKNAME_COLORS: [u8; 11] = [160, 166, 130, 100, 64, 28, 30, 32, 63, 129, 163];

/// What is known of the room, and what is shown of it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches, independent of each other")]
pub(super) struct Transcript {
    pub(super) color: bool,
    pub(super) timestamps: bool,
    /// A person edits lines below: names are completed, history is marked.
    pub(super) editing: bool,
    pub(super) bell: bool,
    /// Join and leave notices are hidden.
    pub(super) quiet: bool,
    nickname: String,
    /// The others, by their folded names.
    people: HashMap<String, Person>,
    /// Counts what people do, so that they have an order.
    events: u64,
    /// How many lines are still to come that were said before this client joined.
    history_lines: usize,
}

#[derive(Debug)]
struct Person {
    name: String,
    /// The event at which they last spoke; 0 if they did not.
    spoke: u64,
    /// The event at which they were first heard of.
    met: u64,
}

/// What a line is. The texts are parts of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Joined(&'a str),
    Left(&'a str),
    /// Anything else that the server says by itself, without its prefix.
    Notice(&'a str),
    /// `alice: hi` or `* alice waves`.
    Message {
        speaker: &'a str,
        text: &'a str,
    },
    /// `[alice -> you] hi` or `[you -> bob] hi`.
    Private {
        speaker: &'a str,
    },
    Other,
}

impl Transcript {
    /// Returns this user's nickname.
    pub(super) fn nickname(&self) -> &str {
        &self.nickname
    }

    /// Sets it.
    pub(super) fn set_nickname(&mut self, nickname: &str) {
        nickname.clone_into(&mut self.nickname);
    }

    /// Returns the others' nicknames: who spoke last comes first, then who was heard of first.
    pub(super) fn names(&self) -> Vec<String> {
        let mut people: Vec<_> = self.people.values().collect();
        people.sort_unstable_by_key(|person| (Reverse(person.spoke), person.met));
        people.into_iter().map(|person| person.name.clone()).collect()
    }

    /// Appends what is shown of a line from the server, with its line feed; returns whether it rings.
    pub(super) fn received(&mut self, line: &str, shown: &mut String) -> bool {
        self.take(&clean(line), shown) && self.bell
    }

    /// Appends what is shown of this user's own message.
    pub(super) fn own(&mut self, text: &str, shown: &mut String) {
        self.take(&format!("{}: {text}", self.nickname), shown);
    }

    /// Switches the bell or the join and leave notices, and returns what to say about it; `None` if
    /// it is no such command.
    pub(super) fn switch(&mut self, command: &str) -> Option<&'static str> {
        let (switch, on, off) = match command.to_ascii_lowercase().as_str() {
            "/bell" => (&mut self.bell, "The bell is on.", "The bell is off."),
            "/quiet" => (
                &mut self.quiet,
                "Join and leave notices are hidden.",
                "Join and leave notices are shown.",
            ),
            _ => return None,
        };
        *switch = !*switch;
        Some(if *switch { on } else { off })
    }

    /// Learns from a cleaned line and appends what is shown of it; returns whether it rings.
    fn take(&mut self, line: &str, shown: &mut String) -> bool {
        let history = self.history_lines > 0;
        self.history_lines -= usize::from(history);
        let parsed = if self.is_parsed() { parse(line) } else { Line::Other };
        let mentions_me = match parsed {
            Line::Joined(name) => {
                self.meet(name);
                false
            }
            Line::Left(name) => {
                self.people.remove(&fold(name));
                false
            }
            Line::Notice(notice) => {
                self.learn(line, notice);
                false
            }
            Line::Message { speaker, text } => {
                self.hear(speaker, history) && names(text, &self.nickname)
            }
            Line::Private { speaker } => self.hear(speaker, history),
            Line::Other => false,
        };
        if self.quiet && matches!(parsed, Line::Joined(_) | Line::Left(_)) {
            return false;
        }
        if self.timestamps {
            let time = time_of_day();
            *shown += &if self.color { styled(&time, DIM) } else { time };
            shown.push(' ');
        }
        if self.editing && history {
            *shown += "| ";
        }
        if self.color {
            *shown += &paint(line, parsed, history, mentions_me);
        } else {
            *shown += line;
        }
        shown.push('\n');
        mentions_me && !history
    }

    /// Returns whether anybody needs to know what lines mean.
    fn is_parsed(&self) -> bool {
        self.color || self.editing || self.quiet
    }

    /// Learns from a notice who is there.
    fn learn(&mut self, line: &str, notice: &str) {
        if line == CONNECTED {
            // A connection that was lost may have had more to tell, and of others.
            self.history_lines = 0;
            self.people.clear();
        } else if let Some(lines) = line.strip_prefix(LAST_MESSAGES_PREFIX) {
            self.history_lines = lines.parse().unwrap_or(0);
        } else if let Some((before, after)) = notice.split_once(" is now known as ") {
            if Nickname::parse(after).is_err() {
                return;
            }
            if self.is_me(before) {
                self.set_nickname(after);
            } else if let Some(mut person) = self.people.remove(&fold(before)) {
                after.clone_into(&mut person.name);
                self.people.insert(fold(after), person);
            }
        } else if let Some((_, list)) = notice.split_once(" online: ") {
            let names = list.split_once(" and ").map_or(list, |(names, _more)| names);
            names.split(", ").for_each(|name| self.meet(name));
        }
    }

    /// Notes that somebody spoke, and returns whether that was somebody else.
    fn hear(&mut self, speaker: &str, history: bool) -> bool {
        if speaker == "you" || self.is_me(speaker) {
            return false;
        }
        if !history {
            self.meet(speaker);
            if let Some(person) = self.people.get_mut(&fold(speaker)) {
                person.spoke = self.events;
            }
        }
        true
    }

    fn meet(&mut self, name: &str) {
        self.events += 1;
        if self.people.len() < MAX_NAMES && !self.is_me(name) && Nickname::parse(name).is_ok() {
            let person = || Person { name: name.to_owned(), spoke: 0, met: self.events };
            self.people.entry(fold(name)).or_insert_with(person);
        }
    }

    fn is_me(&self, name: &str) -> bool {
        fold(name) == fold(&self.nickname)
    }
}

/// Tells what kind of line it is.
fn parse(line: &str) -> Line<'_> {
    if let Some(notice) = line.strip_prefix(NOTICE_PREFIX) {
        return if let Some(name) = notice.strip_suffix(" joined the chat!") {
            Line::Joined(name)
        } else if let Some((name, _reason)) = notice.split_once(" left the chat!") {
            Line::Left(name)
        } else {
            Line::Notice(notice)
        };
    }
    if let Some(private) = line.strip_prefix('[') {
        let names = private.split_once("] ").and_then(|(names, _text)| names.split_once(" -> "));
        return match names {
            // `you` is no nickname, so that it can stand for this user's own.
            Some(("you", _)) => Line::Private { speaker: "you" },
            Some((speaker, "you")) if Nickname::parse(speaker).is_ok() => Line::Private { speaker },
            _ => Line::Other,
        };
    }
    let said = line
        .strip_prefix("* ")
        .map_or_else(|| line.split_once(": "), |action| action.split_once(' '));
    match said {
        Some((speaker, text)) if Nickname::parse(speaker).is_ok() => {
            Line::Message { speaker, text }
        }
        _ => Line::Other,
    }
}

/// Returns whether a text has a nickname in it as a word, in any case.
fn names(text: &str, nickname: &str) -> bool {
    let nickname = fold(nickname);
    let punctuation = ['-', '_', '.'];
    let of_a_name =
        |c: char| c.is_alphanumeric() || is_combining_mark(c) || punctuation.contains(&c);
    let words = text.split(|c| !of_a_name(c));
    !nickname.is_empty()
        && words.map(fold).any(|word| {
            // `ask alice.` names alice, and so does `ask alice.` where alice. is a nickname.
            word == nickname || word.trim_matches(punctuation) == nickname
        })
}

/// Puts a text in a style (SGR, ECMA-48).
fn styled(text: &str, style: &str) -> String {
    format!("\x1b[{style}m{text}\x1b[m")
}

/// Paints a line by what it is.
fn paint(line: &str, parsed: Line<'_>, history: bool, mentions_me: bool) -> String {
    let speaker = match parsed {
        Line::Message { speaker, .. } | Line::Private { speaker } if !history => speaker,
        Line::Other if !history => return line.to_owned(),
        _ => return styled(line, DIM),
    };
    let bold = mentions_me || matches!(parsed, Line::Private { .. });
    let text = |text: &str| {
        if bold && !text.is_empty() { styled(text, BOLD) } else { text.to_owned() }
    };
    // The speaker's name stands in the line for the first time where the line names its speaker.
    let (before, after) = line.split_once(speaker).unwrap_or((line, ""));
    let color = format!("{BOLD};38;5;{}", color(speaker));
    text(before) + &styled(speaker, &color) + &text(after)
}

/// Returns the color of a nickname: by its hash (FNV-1a), so that it never changes.
fn color(nickname: &str) -> u8 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in fold(nickname).bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    }
    let index = hash % NICKNAME_COLORS.len() as u64;
    NICKNAME_COLORS[usize::try_from(index).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::replies::{self, LeaveReason};

    fn transcript() -> Transcript {
        let mut transcript = Transcript { bell: true, editing: true, ..Transcript::default() };
        transcript.set_nickname("me");
        transcript
    }

    /// All that is shown of these lines, with a `!` after each that rings.
    fn received(transcript: &mut Transcript, lines: &[&str]) -> String {
        let mut shown = String::new();
        for line in lines {
            if transcript.received(line, &mut shown) {
                shown.push('!');
            }
        }
        shown
    }

    #[test]
    fn nothing_that_a_server_sends_reaches_the_terminal_as_a_command() {
        let hostile = "\x1b[2J\x1b]0;title\x07\u{9b}31m\r\x08\x0e\x7f\u{202e}\u{200b}\0";
        for frame in
            ["al: {}", "[SERVER] {}", "[al -> you] {}", "* al {}", "{}: hi", "{}", "[{} -> you] x"]
        {
            for color in [false, true] {
                let mut transcript = transcript();
                transcript.color = color;
                let shown = received(&mut transcript, &[&frame.replace("{}", hostile)]);
                // What is left once the styles and the bell that are ours are taken out.
                let mut rest = shown.trim_end_matches('!').replace("\x1b[m", "");
                for style in ["2", "1", "1;38;5;63"] {
                    rest = rest.replace(&format!("\x1b[{style}m"), "");
                }
                let line = rest.strip_suffix('\n').expect("the line ends");
                assert_eq!(clean(line), line, "{shown:?}");
            }
        }
    }

    #[test]
    fn being_named_rings_and_history_never_does() {
        let mut transcript = transcript();
        assert_eq!(received(&mut transcript, &["al: me", "al: hi"]), "al: me\n!al: hi\n");
        assert_eq!(received(&mut transcript, &["[al -> you] hi"]), "[al -> you] hi\n!");
        assert_eq!(received(&mut transcript, &["al: hi"]), "al: hi\n");
        let history = ["[SERVER] Last messages: 2", "al: me", "* al me"];
        assert_eq!(
            received(&mut transcript, &history),
            "[SERVER] Last messages: 2\n| al: me\n| * al me\n"
        );
        assert_eq!(transcript.switch("/BELL"), Some("The bell is off."));
        assert_eq!(received(&mut transcript, &["al: me"]), "al: me\n");
    }

    #[test]
    fn quiet_hides_who_comes_and_goes_and_nothing_else() {
        let mut transcript = transcript();
        let lines = ["[SERVER] al joined the chat!", "[SERVER] al is now known as bob", "x: hi"];
        let all = lines.join("\n") + "\n";
        assert_eq!(received(&mut transcript, &lines), all);
        assert_eq!(transcript.switch("/quiet"), Some("Join and leave notices are hidden."));
        assert_eq!(received(&mut transcript, &lines), lines[1..].join("\n") + "\n");
        assert_eq!(transcript.switch("/quiet"), Some("Join and leave notices are shown."));
        assert_eq!(received(&mut transcript, &lines), all);
        assert_eq!(transcript.switch("/other"), None);
    }

    #[test]
    fn a_timestamp_is_hours_and_minutes_and_a_space() {
        let mut transcript = transcript();
        transcript.timestamps = true;
        let mut own = String::new();
        transcript.own("hi", &mut own);
        for shown in [received(&mut transcript, &["al: hi"]), own] {
            let shape: String =
                shown.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            assert!(["00:00 al: hi\n", "00:00 me: hi\n"].contains(&shape.as_str()), "{shown:?}");
        }
    }

    fn nick(name: &str) -> Nickname {
        Nickname::parse(name).unwrap()
    }

    #[test]
    fn every_kind_of_line_is_told_from_the_others() {
        let (al, me) = (nick("al"), nick("me"));
        for (line, expected) in [
            (replies::message(&al, "a: b"), Line::Message { speaker: "al", text: "a: b" }),
            (
                replies::action(&al, "is at home"),
                Line::Message { speaker: "al", text: "is at home" },
            ),
            (replies::told_you(&al, "psst"), Line::Private { speaker: "al" }),
            (replies::you_told(&al, "psst me"), Line::Private { speaker: "you" }),
            (replies::joined(&al), Line::Joined("al")),
            (replies::left(&al, LeaveReason::ConnectionLost), Line::Left("al")),
            (replies::renamed(&al, &me), Line::Notice("al is now known as me")),
            (replies::GOODBYE.to_owned(), Line::Notice("Goodbye!")),
            ("no speaker".to_owned(), Line::Other),
            ("a b: no nickname".to_owned(), Line::Other),
            ("[al -> bob] me: not mine".to_owned(), Line::Other),
            (String::new(), Line::Other),
        ] {
            assert_eq!(parse(&line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_nickname_is_named_as_a_word_and_not_within_one() {
        for (text, nickname, expected) in [
            ("alice", "alice", true),
            ("hey ALICE!", "alice", true),
            ("@alice: look", "alice", true),
            ("(alice)", "alice", true),
            ("alice...", "alice", true),
            ("malice and alice2", "alice", false),
            ("anne-alice", "alice", false),
            ("so, dr. who", "dr.", true),
            ("e\u{301}va?", "E\u{301}VA", true),
            ("anything", "", false),
        ] {
            assert_eq!(names(text, nickname), expected, "{text:?} {nickname:?}");
        }
    }

    #[test]
    fn who_spoke_last_comes_first() {
        let mut transcript = transcript();
        received(&mut transcript, &["[SERVER] 3 online: al, bob, me"]);
        received(
            &mut transcript,
            &["bob: hi", "[cy -> you] hi", "[you -> al] hi", "me: hi", "* bob waves"],
        );
        assert_eq!(transcript.names(), ["bob", "cy", "al"]);
    }

    #[test]
    fn who_comes_goes_and_changes_names_is_followed() {
        let mut transcript = transcript();
        let names = ["me", "al", "bob"].map(nick);
        received(&mut transcript, &[&replies::online(62, names.iter())]);
        assert_eq!(transcript.names(), ["al", "bob"]);
        received(&mut transcript, &[&replies::joined(&nick("cy"))]);
        received(&mut transcript, &[&replies::renamed(&nick("al"), &nick("alf"))]);
        received(&mut transcript, &[&replies::left(&nick("bob"), LeaveReason::Kicked)]);
        assert_eq!(transcript.names(), ["alf", "cy"]);
        received(&mut transcript, &[&replies::renamed(&nick("me"), &nick("myself"))]);
        assert_eq!(transcript.nickname(), "myself");
        received(&mut transcript, &["[SERVER] 9 online: [x], a b, "]);
        received(&mut transcript, &["[SERVER] myself is now known as x y"]);
        received(&mut transcript, &["[SERVER] cy is now known as x y"]);
        assert_eq!(
            (transcript.names(), transcript.nickname()),
            (vec!["alf".into(), "cy".into()], "myself")
        );
    }

    #[test]
    fn the_history_is_as_many_lines_as_the_server_says() {
        let mut transcript = transcript();
        received(&mut transcript, &["[SERVER] 2 online: bob, me", &replies::last_messages(2)]);
        assert_eq!(received(&mut transcript, &["al: me"]), "| al: me\n");
        assert_eq!(received(&mut transcript, &["* al waves"]), "| * al waves\n");
        assert_eq!(received(&mut transcript, &["bob: hi"]), "bob: hi\n");
        assert_eq!(transcript.names(), ["bob"], "who only spoke before is not there");
        received(&mut transcript, &["[SERVER] Last messages: many"]);
        assert_eq!(received(&mut transcript, &["bob: hi"]), "bob: hi\n");
        received(&mut transcript, &[&replies::last_messages(2), replies::CONNECTED]);
        assert_eq!(
            received(&mut transcript, &["al: hi"]),
            "al: hi\n",
            "a new connection starts anew"
        );
        assert_eq!(transcript.names(), ["al"]);
    }

    #[test]
    fn a_server_cannot_make_the_client_remember_without_bound() {
        let mut transcript = transcript();
        for number in 0..2 * MAX_NAMES {
            received(&mut transcript, &[&format!("[SERVER] u{number} joined the chat!")]);
        }
        assert_eq!(transcript.names().len(), MAX_NAMES);
    }

    /// Paints, and writes the escape sequences so that they can be read.
    fn painted(line: &str) -> String {
        let mut transcript = Transcript { color: true, ..Transcript::default() };
        transcript.set_nickname("me");
        let shown = received(&mut transcript, &[line]);
        shown.trim_end().replace("\x1b[m", "}").replace("\x1b[", "{")
    }

    #[test]
    fn notices_are_dim_and_what_is_for_me_is_bold() {
        assert_eq!(painted("[SERVER] al joined the chat!"), "{2m[SERVER] al joined the chat!}");
        assert_eq!(painted("al: hi"), "{1;38;5;63mal}: hi");
        assert_eq!(painted("* al waves"), "* {1;38;5;63mal} waves");
        assert_eq!(painted("al: hi me"), "{1;38;5;63mal}{1m: hi me}");
        assert_eq!(painted("[al -> you] hi"), "{1m[}{1;38;5;63mal}{1m -> you] hi}");
        assert_eq!(painted("anything"), "anything");
    }

    #[test]
    fn a_nickname_keeps_its_color_in_any_case() {
        assert_eq!(color("Alice"), color("aLICE"));
        let names: Vec<_> = (0..400).map(|n| color(&format!("user{n}"))).collect();
        assert!(NICKNAME_COLORS.iter().all(|color| names.contains(color)), "all colors are used");
    }

    #[test]
    fn every_color_can_be_read_on_black_and_on_white() {
        for color in NICKNAME_COLORS {
            // The 6 by 6 by 6 cube of xterm, and relative luminance as WCAG 2 defines it.
            let channel = |step: u8| {
                let value = [0, 95, 135, 175, 215, 255][usize::from(step)];
                let value = f64::from(value) / 255.0;
                if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            let cube = color - 16;
            let luminance = 0.2126 * channel(cube / 36)
                + 0.7152 * channel(cube / 6 % 6)
                + 0.0722 * channel(cube % 6);
            let (on_white, on_black) = (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05);
            assert!(on_white >= 3.5 && on_black >= 3.5, "{color}: {on_white}, {on_black}");
        }
    }
}
