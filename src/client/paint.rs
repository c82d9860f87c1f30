//! Paint: what a line looks like, by what it means.
//!
//! The styles are few. What the server says by itself is dim, what is meant for one stands out in
//! bold, and each nickname has a color of its own, the same on every day and in every client. The
//! escape sequences here are the only ones around messages: the text itself is cleaned before.

use super::room::{Kind, Reading};
use crate::protocol::nickname::fold;

pub(super) const DIM: &str = "2";
const BOLD: &str = "1";

/// Colors for nicknames, from the 256 of xterm: those of middling brightness, which can be read on
/// black and on white (a contrast of 3.5 to 1 or more on both).
const NICKNAME_COLORS: [u8; 11] = [160, 166, 130, 100, 64, 28, 30, 32, 63, 129, 163];

/// Puts a text in a style (SGR, ECMA-48).
pub(super) fn styled(text: &str, style: &str) -> String {
    format!("\x1b[{style}m{text}\x1b[m")
}

/// Paints a line.
pub(super) fn paint(line: &str, reading: &Reading<'_>) -> String {
    if reading.history || matches!(reading.kind, Kind::Coming | Kind::Notice) {
        return styled(line, DIM);
    }
    let bold = reading.names_me || reading.kind == Kind::Private;
    let text = |text: &str| {
        if bold && !text.is_empty() { styled(text, BOLD) } else { text.to_owned() }
    };
    // The first time that the speaker's name stands in the line is where the line names its speaker.
    match reading.speaker.and_then(|speaker| Some((line.split_once(speaker)?, speaker))) {
        Some(((before, after), speaker)) => {
            let color = format!("{BOLD};38;5;{}", color(speaker));
            text(before) + &styled(speaker, &color) + &text(after)
        }
        None => text(line),
    }
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
    use super::super::room::Room;
    use super::*;

    /// Paints, and writes the escape sequences so that they can be read.
    fn painted(line: &str) -> String {
        let mut room = Room::default();
        room.set_nickname("me");
        let reading = room.read(line);
        paint(line, &reading).replace("\x1b[m", "}").replace("\x1b[", "{")
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
