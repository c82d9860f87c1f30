//! The transcript: what the lines from the server mean, which of them are shown, and how they look. This module
//! turns text into other text. It does not print, and never blocks.
//!
//! This module cleans the text from the server just before it is printed, because the client does not trust the
//! server. So the returned text has no escape sequences except the styles of this module, and no bell characters.
//! The memory that this module uses is bounded, whatever a server sends. The time to handle a line is linear in
//! the length of the line.
//!
//! Joins and leaves that follow each other are shown in one line. Each further join or leave changes this line.
//! The line becomes final when a line of another kind arrives: see the field `presence` of [`Transcript`].
//!
//! There are few styles. Notices are dim, lines that address this user are bold, and nicknames have colors.

use std::time::Instant;

use super::options::Options;
use super::people::{MAX_NAMES, People};
use crate::protocol::cleaning::clean;
use crate::protocol::nickname::{Nickname, fold, mentions};
use crate::protocol::replies::NOTICE_PREFIX;
use crate::protocol::server_line::{Kind, ServerLine};
use crate::system::terminal::time_of_day;

const DIM: &str = "2";
const BOLD: &str = "1";

/// What the client knows about the room, and how it shows lines.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches, independent of each other")]
pub(super) struct Transcript {
    pub(super) options: Options,
    color: bool,
    /// Whether the client has an input line below the messages. If so, old messages are marked, and joins and leaves
    /// that follow each other are shown in one line.
    edits: bool,
    bell: bool,
    /// Whether notices from the server are hidden.
    pub(super) hides_notices: bool,
    pub(super) nickname: String,
    /// Everybody in the room, including this user.
    people: People,
    /// The number of history lines that have not arrived yet. These lines were said before this client joined.
    history_lines: usize,
    /// The line of joins and leaves that is not final yet, without a line feed. The next two fields list the
    /// people in this line: those who have joined, and those who have left.
    pub(super) presence: String,
    joined: Vec<String>,
    left: Vec<String>,
    /// The person who sent the last private message, and the time since which all private messages have come from
    /// this person.
    pub(super) correspondent: Option<(String, Instant)>,
}

impl Transcript {
    pub(super) fn new(options: &Options, color: bool, edits: bool) -> Self {
        Self { options: options.clone(), color, edits, bell: edits, ..Self::default() }
    }

    /// Returns the nicknames of all other people. The person whom the user will most likely address comes first.
    pub(super) fn names(&self) -> Vec<String> {
        self.people.names().into_iter().filter(|name| !self.is_me(name)).collect()
    }

    /// Handles a line from the server: notes what it means, and appends the text for the user, with a line feed,
    /// to `shown`. Returns whether to ring the bell.
    pub(super) fn received(&mut self, line: &str, shown: &mut String) -> bool {
        let line = &*clean(line);
        let is_history = self.history_lines > 0;
        self.history_lines -= usize::from(is_history);
        let parsed @ ServerLine { kind, by } = ServerLine::parse(line);
        let is_presence = matches!(kind, Kind::Joined | Kind::Left);
        let is_hidden = self.people.ignores(by)
            || self.options.no_history && (is_history || matches!(kind, Kind::History(_)))
            || self.options.quiet && is_presence
            || self.hides_notices
                && matches!(kind, Kind::Connected | Kind::Online(_) | Kind::Notice);
        let is_said = matches!(kind, Kind::Message(_) | Kind::Private) && !self.is_me(by);
        // Where names are neither completed nor colored, nobody asks who is in the room.
        if self.edits || self.color {
            self.note_people(parsed, is_said && !is_history);
        }
        let mut is_for_me = is_said && kind == Kind::Private;
        match kind {
            Kind::Connected => {
                // If an earlier connection was lost, its history may be incomplete.
                self.history_lines = 0;
            }
            Kind::History(lines) => self.history_lines = lines,
            Kind::Renamed(after) => {
                if self.is_me(by) {
                    after.clone_into(&mut self.nickname);
                }
                self.people.rename_ignored(by, after);
            }
            Kind::Message(text) if self.bell || self.color => {
                is_for_me = is_said && mentions(text, &self.nickname);
            }
            Kind::Private if is_said && !is_hidden => {
                // If the same person also sent the previous private message, the time stays unchanged.
                let last = self.correspondent.take().filter(|(name, _)| name == by);
                self.correspondent = last.or_else(|| Some((by.to_owned(), Instant::now())));
            }
            _ => {}
        }
        if is_hidden {
            return false;
        }
        if self.edits && is_presence {
            if self.joined.len() + self.left.len() == MAX_NAMES {
                self.settle(shown);
            }
            let names = if kind == Kind::Joined { &mut self.joined } else { &mut self.left };
            names.push(by.to_owned());
            let lists = [list(&self.joined, "joined"), list(&self.left, "left")];
            let text = match self.joined.len() + self.left.len() {
                1 => line.to_owned(),
                _ => format!("{NOTICE_PREFIX}{}.", lists.join("; ").trim_matches([';', ' '])),
            };
            self.presence = self.printed(&text, parsed, false, false);
            return false;
        }
        self.settle(shown);
        *shown += &(self.printed(line, parsed, is_history, is_for_me) + "\n");
        self.bell && is_for_me && !is_history
    }

    /// Notes what a line says about the people in the room. `is_heard` says that somebody else has just said it.
    fn note_people(&mut self, line: ServerLine<'_>, is_heard: bool) {
        if is_heard {
            self.people.hear(line.by);
        }
        match line.kind {
            Kind::Connected => {
                // If an earlier connection was lost, its list of people may be out of date.
                self.people.clear();
                self.people.meet(&self.nickname);
            }
            Kind::Online(names) => {
                let names = names.split(", ").filter(|name| Nickname::parse(name).is_ok());
                names.for_each(|name| self.people.meet(name));
            }
            Kind::Joined => self.people.meet(line.by),
            Kind::Left => self.people.forget(line.by),
            Kind::Renamed(after) => self.people.rename(line.by, after),
            _ => {}
        }
    }

    /// Makes the line of joins and leaves final, and appends it to `shown`. The next join or leave begins another
    /// line.
    pub(super) fn settle(&mut self, shown: &mut String) {
        if !self.presence.is_empty() {
            *shown += &(std::mem::take(&mut self.presence) + "\n");
            self.joined.clear();
            self.left.clear();
        }
    }

    /// Carries out a command that the client itself handles, and returns the answer for the user. Returns `None`
    /// if the line is not such a command.
    pub(super) fn switch(&mut self, command: &str) -> Option<String> {
        let (word, name) = command.split_once(' ').unwrap_or((command, ""));
        let name = name.trim().trim_start_matches('@');
        let ignored = &mut self.people.ignored;
        Some(match word.to_ascii_lowercase().as_str() {
            "/ignore" if !name.is_empty() && ignored.len() < MAX_NAMES => {
                ignored.insert(fold(name));
                format!("{name} is ignored. /unignore {name} ends that.")
            }
            "/unignore" if ignored.remove(&fold(name)) => format!("{name} is no longer ignored."),
            "/ignore" | "/unignore" => {
                let ignored: Vec<_> = ignored.iter().map(String::as_str).collect();
                format!("Ignored: {}.", ignored.join(", "))
            }
            "/bell" => {
                self.bell = !self.bell;
                format!("The bell is {}.", if self.bell { "on" } else { "off" })
            }
            "/quiet" => {
                self.options.quiet = !self.options.quiet;
                let state = if self.options.quiet { "hidden" } else { "shown" };
                format!("Join and leave notices are {state}.")
            }
            _ => return None,
        })
    }

    /// Returns a line as it is printed: with its time, its mark and its styles.
    fn printed(&self, line: &str, parsed: ServerLine<'_>, is_history: bool, bold: bool) -> String {
        let ServerLine { kind, by } = parsed;
        let mut shown = String::new();
        if self.options.timestamps {
            // The client does not know at what time a message from before its join was sent.
            let time = if is_history { "--:--".to_owned() } else { time_of_day() };
            shown += &(self.styled(&time, DIM) + " ");
        }
        shown += if self.edits && is_history { "| " } else { "" };
        if matches!(kind, Kind::Message(_) | Kind::Private) && !is_history {
            // The speaker's name may occur several times. Its first occurrence is in front of the text.
            let (before, after) = line.split_once(by).unwrap_or((line, ""));
            let name = if by == "you" { &self.nickname } else { by };
            let color = if self.color {
                format!("{BOLD};38;5;{}", self.people.color(name))
            } else {
                String::new()
            };
            let style = if bold || kind == Kind::Private { BOLD } else { "" };
            return shown
                + &self.styled(before, style)
                + &self.styled(by, &color)
                + &self.styled(after, style);
        }
        let style = if is_history || kind != Kind::Other { DIM } else { "" };
        shown + &self.styled(line, style)
    }

    /// Returns a text in a style (SGR, ECMA-48). If there is no text or no style, or if colors are off, returns
    /// the text unchanged.
    fn styled(&self, text: &str, style: &str) -> String {
        if !self.color || text.is_empty() || style.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{style}m{text}\x1b[m")
    }

    fn is_me(&self, name: &str) -> bool {
        name == "you" || fold(name) == fold(&self.nickname)
    }
}

/// Returns the words that say what these people did. If there are no people, returns an empty text.
fn list(names: &[String], did: &str) -> String {
    match names {
        [] => String::new(),
        [one] => format!("{one} {did}"),
        [one, two] => format!("{one} and {two} {did}"),
        [one, two, _] => format!("{one}, {two} and 1 other {did}"),
        [one, two, others @ ..] => format!("{one}, {two} and {} others {did}", others.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::replies::{self, LeaveReason};

    fn transcript() -> Transcript {
        let mut transcript = Transcript { bell: true, edits: true, ..Transcript::default() };
        transcript.nickname = "me".to_owned();
        transcript
    }

    /// Returns the text that is shown for these lines, with a `!` after each line that rings the bell.
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
                // The rest is the text without the client's own styles and without the `!` for the bell.
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
        transcript.options.timestamps = true;
        let own = received(&mut transcript, &["me: hi"]);
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

    /// Styles a line, and replaces the escape sequences with readable characters.
    fn painted(line: &str) -> String {
        let mut transcript = Transcript { color: true, ..Transcript::default() };
        transcript.nickname = "me".to_owned();
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
    fn joins_and_leaves_in_a_row_are_one_line() {
        let mut transcript = transcript();
        let mut presence = |lines: &[&str]| {
            assert_eq!(received(&mut transcript, lines), "");
            transcript.presence.clone()
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
        assert_eq!(transcript.presence, "");
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
        let options = Options { no_history: true, ..Options::default() };
        let mut transcript = Transcript { options, ..Transcript::default() };
        let lines = [
            "[SERVER] Connected to the server!",
            "[SERVER] Last messages: 2",
            "a: 1",
            "a: 2",
            "a: 3",
        ];
        assert_eq!(received(&mut transcript, &lines), "[SERVER] Connected to the server!\na: 3\n");
    }
}
