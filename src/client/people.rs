//! The people: who is in the room, the order in which Tab offers the nicknames, the color of each person, and who
//! is ignored. This is plain data about at most [`MAX_NAMES`] people, whatever a server sends.
//!
//! Names that differ only in upper and lower case belong to one person. A person keeps the same color while in
//! the room. A person who joins gets the color that the fewest people have.

use std::collections::{HashMap, HashSet};

use crate::protocol::nickname::fold;

/// The maximum number of nicknames that are remembered. This is also the number of clients that a server accepts
/// by default. Messages from people beyond this number are shown, but Tab does not complete their names.
pub(super) const MAX_NAMES: usize = 10_000;

/// The colors for nicknames, from the 256 colors of xterm. They have medium brightness, so they can be read both
/// on black and on white (the contrast is at least 3.5 to 1).
const COLORS: [u8; 11] = [160, 166, 130, 100, 64, 28, 30, 32, 63, 129, 163];

/// The people that the client knows.
#[derive(Debug, Default)]
pub(super) struct People {
    /// The people in the room, by their folded names.
    known: HashMap<String, Person>,
    /// The number of people who have each color.
    color_uses: [usize; COLORS.len()],
    /// The number of times that somebody joined or spoke.
    events: i64,
    /// The folded names of ignored people.
    pub(super) ignored: HashSet<String>,
}

#[derive(Debug)]
struct Person {
    name: String,
    /// The index of the person's color in [`COLORS`].
    color: usize,
    /// The person's place in the order of names: the lowest place comes first. For a person who has spoken, the
    /// place is the number of the event at which this person last spoke, with a minus sign. For any other person,
    /// the place is the number of the event at which the client first saw the name.
    place: i64,
}

impl People {
    /// Forgets who is in the room. Ignored people stay ignored.
    pub(super) fn clear(&mut self) {
        *self = Self { ignored: std::mem::take(&mut self.ignored), ..Self::default() };
    }

    /// Notes that somebody is in the room.
    pub(super) fn meet(&mut self, name: &str) {
        self.events += 1;
        let key = fold(name);
        if self.known.len() < MAX_NAMES && !name.is_empty() && !self.known.contains_key(&key) {
            let color = self.color_of(name);
            self.color_uses[color] += 1;
            self.known.insert(key, Person { name: name.to_owned(), color, place: self.events });
        }
    }

    /// Notes that somebody spoke.
    pub(super) fn hear(&mut self, name: &str) {
        self.meet(name);
        if let Some(person) = self.known.get_mut(&fold(name)) {
            person.place = -self.events;
        }
    }

    /// Notes that somebody has left the room.
    pub(super) fn forget(&mut self, name: &str) {
        if let Some(person) = self.known.remove(&fold(name)) {
            self.color_uses[person.color] -= 1;
        }
    }

    /// Notes that somebody in the room has changed their nickname.
    pub(super) fn rename(&mut self, before: &str, after: &str) {
        if let Some(mut person) = self.known.remove(&fold(before)) {
            self.forget(after);
            after.clone_into(&mut person.name);
            self.known.insert(fold(after), person);
        }
    }

    /// Whether this user ignores somebody.
    pub(super) fn ignores(&self, name: &str) -> bool {
        !self.ignored.is_empty() && self.ignored.contains(&fold(name))
    }

    /// Keeps ignoring somebody who has changed their nickname.
    pub(super) fn rename_ignored(&mut self, before: &str, after: &str) {
        if self.ignores(before) {
            self.ignored.remove(&fold(before));
            self.ignored.insert(fold(after));
        }
    }

    /// Returns all nicknames. People who have spoken come first, beginning with the most recent speaker. The
    /// other people follow, in the order in which the client first saw their names.
    pub(super) fn names(&self) -> Vec<String> {
        let mut people: Vec<_> = self.known.values().collect();
        people.sort_unstable_by_key(|person| person.place);
        people.into_iter().map(|person| person.name.clone()).collect()
    }

    /// Returns the color of somebody's nickname, a number from 0 to 255.
    pub(super) fn color(&self, name: &str) -> u8 {
        COLORS[self.color_of(name)]
    }

    /// Returns the color that a person in the room has, or that a new person would get. A new person gets the
    /// least used color. If several colors are used least, the hash of the name selects one of them.
    fn color_of(&self, name: &str) -> usize {
        let key = fold(name);
        let hash =
            key.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(byte));
        let colors = (0..COLORS.len()).map(|step| (hash % COLORS.len() + step) % COLORS.len());
        let least_used = colors.min_by_key(|&color| self.color_uses[color]).unwrap_or(0);
        self.known.get(&key).map_or(least_used, |person| person.color)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(names: &[&str]) -> People {
        let mut people = People::default();
        for name in names {
            people.meet(name);
        }
        people
    }

    #[test]
    fn who_spoke_last_comes_first_and_then_who_was_heard_of_first() {
        let mut people = people(&["al", "bob", "cy", "di"]);
        people.hear("bob");
        people.hear("di");
        people.hear("BOB");
        assert_eq!(people.names(), ["bob", "di", "al", "cy"]);
    }

    #[test]
    fn a_newcomer_gets_the_least_used_color_and_keeps_it() {
        let names: Vec<_> = (1..=2 * COLORS.len()).map(|number| format!("u{number}")).collect();
        let mut people = people(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(people.color_uses, [2; COLORS.len()]);
        let before: Vec<_> = names.iter().map(|name| people.color(name)).collect();
        people.forget("u7");
        people.rename("u1", "one");
        people.meet("new");
        assert_eq!(people.color("NEW"), before[6], "the only one that is free");
        assert_eq!(people.color("one"), before[0]);
        assert_eq!(people.color("U3"), before[2]);
        people.rename("one", "u3");
        assert_eq!(people.color_uses.iter().sum::<usize>(), 2 * COLORS.len() - 1);
    }

    #[test]
    fn there_is_a_bound_to_what_is_remembered() {
        let mut people = People::default();
        for number in 0..2 * MAX_NAMES {
            people.meet(&format!("u{number}"));
        }
        assert_eq!(people.names().len(), MAX_NAMES);
    }

    #[test]
    fn every_color_can_be_read_on_black_and_on_white() {
        for color in COLORS {
            // The color is from the cube of xterm (6 by 6 by 6). The luminance is computed as in WCAG 2.
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
