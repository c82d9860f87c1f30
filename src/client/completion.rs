//! Completion: Tab completes a command or a nickname after the user has typed its start.

use crate::protocol::command::COMMANDS;
use crate::protocol::nickname::fold;

/// The commands that the client itself handles, one per line, as `/help` shows them.
pub(super) const CLIENT_COMMANDS: &str = include_str!("commands.txt");

/// The possible completions of one word. Each further Tab shows the next completion. After the last completion,
/// Tab shows the typed word again.
#[derive(Debug)]
pub(super) struct Completion {
    /// The position at which the word starts, in bytes.
    pub(super) start: usize,
    words: Vec<String>,
    next: usize,
}

impl Completion {
    /// Finds the completions of the word before the cursor. Returns `None` if there are none. `names` are the
    /// nicknames, with the most likely nickname first.
    ///
    /// At the start of a line, a colon and a space are added to a nickname, since the line addresses this person.
    /// To any other word, only a space is added. Nothing is added if there is text after the cursor.
    pub(super) fn new(text: &str, cursor: usize, names: &[String]) -> Option<Self> {
        let (before, after) = text.split_at(cursor);
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let typed = word.strip_prefix('@').unwrap_or(word);
        let start = cursor - typed.len();
        let is_command = start == 0 && typed.starts_with('/');
        let end = match start {
            _ if !after.is_empty() => "",
            0 if !is_command => ": ",
            _ => " ",
        };
        let usages = COMMANDS.iter().map(|(usage, _)| *usage).chain(CLIENT_COMMANDS.lines());
        let commands = usages.filter_map(|usage| usage.split_whitespace().next());
        // No nickname starts with a slash, so nicknames never match a typed command.
        let mut words: Vec<_> = commands
            .filter(|_| is_command)
            .chain(names.iter().map(String::as_str))
            .filter(|word| fold(word).starts_with(&fold(typed)))
            .map(|word| format!("{word}{end}"))
            .collect();
        words.push(typed.to_owned());
        (words.len() > 1).then_some(Self { start, words, next: 0 })
    }

    /// Returns the next completion.
    pub(super) fn next(&mut self) -> &str {
        let word = &self.words[self.next];
        self.next = (self.next + 1) % self.words.len();
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(before: &str) -> Vec<String> {
        let names = ["Bob", "alice", "bobby", "Éva"].map(str::to_owned);
        Completion::new(before, before.len(), &names)
            .map_or(Vec::new(), |completion| completion.words)
    }

    #[test]
    fn the_likeliest_name_comes_first_and_what_was_typed_last() {
        assert_eq!(completed("bo"), ["Bob: ", "bobby: ", "bo"]);
        assert_eq!(completed("hi bo"), ["Bob ", "bobby ", "bo"]);
        assert_eq!(completed("/msg é"), ["Éva ", "é"]);
        assert_eq!(completed("x\u{3000}al"), ["alice ", "al"]);
        assert_eq!(completed("zzz"), [""; 0]);
        assert_eq!(completed("").len(), 5);
        assert_eq!(completed("@al"), ["alice ", "al"]);
        assert_eq!(completed("ask @bobb"), ["bobby ", "bobb"]);
    }

    #[test]
    fn a_slash_at_the_start_of_a_line_completes_commands() {
        assert_eq!(completed("/m"), ["/msg ", "/me ", "/m"]);
        assert_eq!(completed("/r"), ["/r ", "/r"]);
        assert_eq!(completed("/QUI"), ["/quit ", "/quiet ", "/QUI"]);
        assert_eq!(completed("and /m"), [""; 0]);
    }
}
