//! The transcript: what the server's lines mean, which of them are shown, and how they look. Text in,
//! text out; nothing here asks, prints or blocks.
//!
//! Text from the server is cleaned here, the last place before it is printed, because the server is
//! not trusted either. So the only escape sequences in what comes out are the styles of this module,
//! and no bell. What is remembered is bounded, whatever a server sends: each known name is a valid
//! nickname, and there are at most [`MAX_NAMES`] of them. Handling a line takes time linear in its
//! length.
//!
//! Joins and leaves in a row are one line that grows, as long as nothing else is said. Until then it is
//! not part of what is printed, see [`Transcript::presence`].
//!
//! In a pipe nothing is colored, rung or completed, so there lines are not taken apart at all.
//!
//! The styles are few. Notices are dim, lines for this user are bold, and each nickname has a color
//! of its own while it is in the room, the least used of the palette.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::protocol::cleaning::clean;
use crate::protocol::nickname::{Nickname, fold, mentions};
use crate::protocol::replies::NOTICE_PREFIX;
use crate::protocol::server_line::ServerLine;
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
    /// A person edits lines below: names are completed, history is marked, notices are joined.
    pub(super) editing: bool,
    pub(super) bell: bool,
    /// Join and leave notices are hidden.
    pub(super) quiet: bool,
    /// What was said before this client joined is hidden.
    pub(super) no_history: bool,
    pub(super) nickname: String,
    /// Everybody, this user too, by their folded names.
    people: HashMap<String, Person>,
    /// How many people have each color.
    color_uses: [usize; NICKNAME_COLORS.len()],
    /// Counts what people do, so that they have an order.
    events: u64,
    /// How many lines are still to come that were said before this client joined.
    history_lines: usize,
    /// The first notice of a row of them, as it is printed, and who joined and left in all.
    notice: String,
    joined: Names,
    left: Names,
    /// The folded names of people who are not shown.
    ignored: HashSet<String>,
    /// The last one who sent a private message, and since when it is this one.
    pub(super) correspondent: Option<(String, Instant)>,
}

#[derive(Debug)]
struct Person {
    name: String,
    /// Which color of the palette.
    color: usize,
    /// The event at which they last spoke; 0 if they did not.
    spoke: u64,
    /// The event at which they were first heard of.
    met: u64,
}

/// The first two of several names, and how many there are.
#[derive(Debug, Default)]
struct Names(Vec<String>, usize);

impl Transcript {
    /// Sets this user's nickname.
    pub(super) fn set_nickname(&mut self, nickname: &str) {
        self.forget(&self.nickname.clone());
        nickname.clone_into(&mut self.nickname);
        self.meet(nickname);
    }

    /// Returns the others' nicknames: who spoke last comes first, then who was heard of first.
    pub(super) fn names(&self) -> Vec<String> {
        let others = self.people.values().filter(|person| !self.is_me(&person.name));
        let mut people: Vec<_> = others.collect();
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

    /// Returns the joins and leaves in a row, as a line without its line feed; empty if there are none.
    pub(super) fn presence(&self) -> String {
        let lists = [self.joined.list("joined"), self.left.list("left")];
        let text = match self.joined.1 + self.left.1 {
            0 | 1 => return self.notice.clone(),
            _ => lists.into_iter().flatten().collect::<Vec<_>>().join("; "),
        };
        let mut line = String::new();
        self.print(&format!("{NOTICE_PREFIX}{text}."), ServerLine::Notice, false, false, &mut line);
        line
    }

    /// Appends the joins and leaves in a row for good; the next one begins another line.
    pub(super) fn settle(&mut self, shown: &mut String) {
        if !self.notice.is_empty() {
            *shown += &self.presence();
            shown.push('\n');
            self.notice.clear();
            (self.joined, self.left) = (Names::default(), Names::default());
        }
    }

    /// Does what a command to the client itself asks for, and returns what to say about it; `None` if
    /// it is no such command.
    pub(super) fn switch(&mut self, command: &str) -> Option<String> {
        let (word, name) = command.split_once(' ').unwrap_or((command, ""));
        let name = name.trim().trim_start_matches('@');
        let (switch, on, off) = match word.to_ascii_lowercase().as_str() {
            "/ignore" if !name.is_empty() && self.ignored.len() < MAX_NAMES => {
                self.ignored.insert(fold(name));
                return Some(format!("{name} is ignored. /unignore {name} ends that."));
            }
            "/unignore" if self.ignored.remove(&fold(name)) => {
                return Some(format!("{name} is no longer ignored."));
            }
            "/ignore" | "/unignore" => {
                let ignored: Vec<_> = self.ignored.iter().map(String::as_str).collect();
                return Some(format!("Ignored: {}.", ignored.join(", ")));
            }
            "/bell" => (&mut self.bell, "The bell is on.", "The bell is off."),
            "/quiet" => (
                &mut self.quiet,
                "Join and leave notices are hidden.",
                "Join and leave notices are shown.",
            ),
            _ => return None,
        };
        *switch = !*switch;
        Some(if *switch { on } else { off }.to_owned())
    }

    /// Learns from a cleaned line and appends what is shown of it; returns whether it rings.
    fn take(&mut self, line: &str, shown: &mut String) -> bool {
        if !self.is_parsed() {
            *shown += line;
            shown.push('\n');
            return false;
        }
        let history = self.history_lines > 0;
        self.history_lines -= usize::from(history);
        let parsed = ServerLine::parse(line);
        let by = match parsed {
            ServerLine::Joined(by) | ServerLine::Left(by) => by,
            ServerLine::Renamed { before: by, .. } => by,
            ServerLine::Message { speaker: by, .. } | ServerLine::Private { speaker: by } => by,
            _ => "",
        };
        let is_ignored = !self.ignored.is_empty() && self.ignored.contains(&fold(by));
        let mut mentions_me = false;
        match parsed {
            ServerLine::Connected => {
                // A connection that was lost may have had more to tell, and of others.
                self.history_lines = 0;
                self.people.clear();
                self.color_uses = [0; NICKNAME_COLORS.len()];
                self.meet(&self.nickname.clone());
            }
            ServerLine::Online(names) => {
                let names = names.split(", ").filter(|name| Nickname::parse(name).is_ok());
                names.for_each(|name| self.meet(name));
            }
            ServerLine::History(lines) => self.history_lines = lines,
            ServerLine::Joined(name) => self.meet(name),
            ServerLine::Left(name) => self.forget(name),
            ServerLine::Renamed { before, after } => self.rename(before, after),
            ServerLine::Message { text, .. } => {
                mentions_me = self.hear(by, history) && mentions(text, &self.nickname);
            }
            ServerLine::Private { .. } => {
                mentions_me = self.hear(by, history);
                let is_same = self.correspondent.as_ref().is_some_and(|(name, _)| name == by);
                if mentions_me && !is_same && !is_ignored {
                    self.correspondent = Some((by.to_owned(), Instant::now()));
                }
            }
            ServerLine::Notice | ServerLine::Other => {}
        }
        let is_presence = matches!(parsed, ServerLine::Joined(_) | ServerLine::Left(_));
        if self.quiet && is_presence
            || self.no_history && (history || matches!(parsed, ServerLine::History(_)))
            || is_ignored
        {
            return false;
        }
        if is_presence && self.editing {
            let is_join = matches!(parsed, ServerLine::Joined(_));
            if is_join { &mut self.joined } else { &mut self.left }.add(by);
            if self.notice.is_empty() {
                let mut notice = String::new();
                self.print(line, parsed, false, false, &mut notice);
                self.notice = notice;
            }
            return false;
        }
        self.settle(shown);
        self.print(line, parsed, history, mentions_me, shown);
        shown.push('\n');
        mentions_me && !history
    }

    /// Appends a line as it looks.
    fn print(
        &self,
        line: &str,
        parsed: ServerLine<'_>,
        history: bool,
        bold: bool,
        shown: &mut String,
    ) {
        if self.timestamps {
            // When something was said before this client came is not known.
            let time = if history { "--:--".to_owned() } else { time_of_day() };
            *shown += &if self.color { styled(&time, DIM) } else { time };
            shown.push(' ');
        }
        if self.editing && history {
            *shown += "| ";
        }
        let (speaker, bold) = match parsed {
            _ if !self.color => return *shown += line,
            ServerLine::Message { speaker, .. } if !history => (speaker, bold),
            ServerLine::Private { speaker } if !history => (speaker, true),
            ServerLine::Other if !history => return *shown += line,
            _ => return *shown += &styled(line, DIM),
        };
        let text = |text: &str| {
            if bold && !text.is_empty() { styled(text, BOLD) } else { text.to_owned() }
        };
        // The speaker's name stands in the line for the first time where the line names its speaker.
        let (before, after) = line.split_once(speaker).unwrap_or((line, ""));
        let color = format!("{BOLD};38;5;{}", NICKNAME_COLORS[self.color_of(speaker)]);
        *shown += &(text(before) + &styled(speaker, &color) + &text(after));
    }

    /// Returns whether anybody needs to know what lines mean.
    fn is_parsed(&self) -> bool {
        self.color || self.editing || self.quiet || self.timestamps || self.no_history
    }

    /// Notes that somebody spoke, and returns whether that was somebody else.
    fn hear(&mut self, speaker: &str, history: bool) -> bool {
        if !history && speaker != "you" {
            self.meet(speaker);
            if let Some(person) = self.people.get_mut(&fold(speaker)) {
                person.spoke = self.events;
            }
        }
        speaker != "you" && !self.is_me(speaker)
    }

    fn meet(&mut self, name: &str) {
        self.events += 1;
        let key = fold(name);
        if self.people.len() < MAX_NAMES && !name.is_empty() && !self.people.contains_key(&key) {
            let color = self.color_of(name);
            self.color_uses[color] += 1;
            let person = Person { name: name.to_owned(), color, spoke: 0, met: self.events };
            self.people.insert(key, person);
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(person) = self.people.remove(&fold(name)) {
            self.color_uses[person.color] -= 1;
        }
    }

    fn rename(&mut self, before: &str, after: &str) {
        if self.is_me(before) {
            after.clone_into(&mut self.nickname);
        }
        if let Some(mut person) = self.people.remove(&fold(before)) {
            after.clone_into(&mut person.name);
            self.people.insert(fold(after), person);
        }
        if self.ignored.remove(&fold(before)) {
            self.ignored.insert(fold(after));
        }
    }

    /// Returns the color that somebody has, or would get: the least used one, where several are from
    /// the hash of the name on.
    fn color_of(&self, name: &str) -> usize {
        let key = fold(if name == "you" { &self.nickname } else { name });
        let colors = NICKNAME_COLORS.len();
        let hash =
            key.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(byte));
        let free = (0..colors).map(|step| (hash % colors + step) % colors);
        let least_used = free.min_by_key(|&color| self.color_uses[color]).unwrap_or(0);
        self.people.get(&key).map_or(least_used, |person| person.color)
    }

    fn is_me(&self, name: &str) -> bool {
        fold(name) == fold(&self.nickname)
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.0.len() < 2 {
            self.0.push(name.to_owned());
        }
        self.1 += 1;
    }

    /// Lists the names and what they did; `None` if there are none.
    fn list(&self, did: &str) -> Option<String> {
        let Self(names, count) = self;
        let first = names.join(if *count == 2 { " and " } else { ", " });
        match count {
            0 => None,
            1 | 2 => Some(format!("{first} {did}")),
            3 => Some(format!("{first} and 1 other {did}")),
            _ => Some(format!("{first} and {} others {did}", count - 2)),
        }
    }
}

/// Puts a text in a style (SGR, ECMA-48).
fn styled(text: &str, style: &str) -> String {
    format!("\x1b[{style}m{text}\x1b[m")
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
                for style in ["2", "1", "1;38;5;130"] {
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
        assert_eq!(transcript.switch("/BELL"), Some("The bell is off.".to_owned()));
        assert_eq!(received(&mut transcript, &["al: me"]), "al: me\n");
    }

    #[test]
    fn quiet_hides_who_comes_and_goes_and_nothing_else() {
        let mut transcript = transcript();
        let lines = ["[SERVER] al joined the chat!", "[SERVER] al is now known as bob", "x: hi"];
        let all = lines.join("\n") + "\n";
        assert_eq!(received(&mut transcript, &lines), all);
        assert_eq!(
            transcript.switch("/quiet"),
            Some("Join and leave notices are hidden.".to_owned())
        );
        assert_eq!(received(&mut transcript, &lines), lines[1..].join("\n") + "\n");
        assert_eq!(
            transcript.switch("/quiet"),
            Some("Join and leave notices are shown.".to_owned())
        );
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
        received(&mut transcript, &["[SERVER] Last messages: 1"]);
        assert_eq!(received(&mut transcript, &["al: earlier"]), "--:-- | al: earlier\n");
    }

    fn nick(name: &str) -> Nickname {
        Nickname::parse(name).unwrap()
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
        let online = replies::Online { count: 62, part: "", nicknames: names.iter() };
        received(&mut transcript, &[&online.to_string()]);
        assert_eq!(transcript.names(), ["al", "bob"]);
        received(&mut transcript, &[&replies::joined(&nick("cy"))]);
        received(&mut transcript, &[&replies::renamed(&nick("al"), &nick("alf"))]);
        received(&mut transcript, &[&replies::left(&nick("bob"), LeaveReason::Kicked)]);
        assert_eq!(transcript.names(), ["alf", "cy"]);
        received(&mut transcript, &[&replies::renamed(&nick("me"), &nick("myself"))]);
        assert_eq!(transcript.nickname.as_str(), "myself");
        received(&mut transcript, &["[SERVER] 9 online: [x], a b, "]);
        received(&mut transcript, &["[SERVER] myself is now known as x y"]);
        received(&mut transcript, &["[SERVER] cy is now known as x y"]);
        assert_eq!(
            (transcript.names(), transcript.nickname.as_str()),
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
        assert_eq!(transcript.names().len(), MAX_NAMES - 1, "with me");
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
        assert_eq!(painted("al: hi"), "{1;38;5;130mal}: hi");
        assert_eq!(painted("* al waves"), "* {1;38;5;130mal} waves");
        assert_eq!(painted("al: hi me"), "{1;38;5;130mal}{1m: hi me}");
        assert_eq!(painted("[al -> you] hi"), "{1m[}{1;38;5;130mal}{1m -> you] hi}");
        assert_eq!(painted("anything"), "anything");
    }

    #[test]
    fn a_newcomer_gets_the_least_used_color_and_keeps_it() {
        let mut transcript = transcript();
        let colors = NICKNAME_COLORS.len();
        let names: Vec<_> = (1..2 * colors).map(|number| format!("u{number}")).collect();
        for name in &names {
            received(&mut transcript, &[&format!("[SERVER] {name} joined the chat!")]);
        }
        assert_eq!(transcript.color_uses, [2; NICKNAME_COLORS.len()], "with me");
        let before: Vec<_> = names.iter().map(|name| transcript.color_of(name)).collect();
        received(
            &mut transcript,
            &["[SERVER] u7 left the chat!", "[SERVER] u1 is now known as one"],
        );
        received(&mut transcript, &["[SERVER] new joined the chat!"]);
        assert_eq!(transcript.color_of("NEW"), before[6], "the only one that is free");
        assert_eq!(transcript.color_of("one"), before[0]);
        assert_eq!(transcript.color_of("U3"), before[2]);
        assert_eq!(transcript.color_of("you"), transcript.color_of("me"));
    }

    #[test]
    fn joins_and_leaves_in_a_row_are_one_line() {
        let mut transcript = transcript();
        let mut presence = |lines: &[&str]| {
            assert_eq!(received(&mut transcript, lines), "");
            transcript.presence()
        };
        assert_eq!(presence(&[]), "");
        assert_eq!(presence(&["[SERVER] bob joined the chat!"]), "[SERVER] bob joined the chat!");
        assert_eq!(
            presence(&["[SERVER] dave left the chat! (too slow)"]),
            "[SERVER] bob joined; dave left."
        );
        presence(&["[SERVER] carol joined the chat!"]);
        assert_eq!(presence(&[]), "[SERVER] bob and carol joined; dave left.");
        assert_eq!(
            presence(&["[SERVER] e joined the chat!"]),
            "[SERVER] bob, carol and 1 other joined; dave left."
        );
        for number in 1..=11 {
            presence(&[&format!("[SERVER] u{number} joined the chat!")]);
        }
        let line = "[SERVER] bob, carol and 12 others joined; dave left.";
        assert_eq!(presence(&[]), line);
        assert_eq!(received(&mut transcript, &["al: hi"]), format!("{line}\nal: hi\n"));
        assert_eq!(transcript.presence(), "");
        received(&mut transcript, &["[SERVER] dave left the chat! (too slow)"]);
        let mut shown = String::new();
        transcript.settle(&mut shown);
        assert_eq!(shown, "[SERVER] dave left the chat! (too slow)\n");
    }

    #[test]
    fn who_is_ignored_is_not_seen() {
        let mut transcript = transcript();
        assert!(transcript.switch("/ignore Eve").is_some());
        for line in
            ["eve: me", "* EVE waves", "[eve -> you] hi", "[SERVER] eve is now known as eva"]
        {
            assert_eq!(received(&mut transcript, &[line]), "", "{line:?}");
        }
        assert_eq!(received(&mut transcript, &["eva: hi", "al: hi eva"]), "al: hi eva\n");
        assert!(transcript.correspondent.is_none());
        assert_eq!(transcript.switch("/ignore").as_deref(), Some("Ignored: eva."));
        assert!(transcript.switch("/unignore @eva").is_some());
        assert_eq!(received(&mut transcript, &["eva: hi"]), "eva: hi\n");
    }

    #[test]
    fn without_history_it_is_left_out() {
        let mut transcript = Transcript { no_history: true, ..Transcript::default() };
        let lines = [
            "[SERVER] Connected to the server!",
            "[SERVER] Last messages: 2",
            "a: 1",
            "a: 2",
            "a: 3",
        ];
        assert_eq!(received(&mut transcript, &lines), "[SERVER] Connected to the server!\na: 3\n");
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
