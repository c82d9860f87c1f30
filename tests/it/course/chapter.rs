//! The chapter on mistakes: each of its sessions does what it says, and what it names is there.

use std::path::Path;

use crate::harness::play::{act_out, documentation};

/// The parts of the chapter.
const PARTS: [&str; 4] = ["bytes", "waiting", "endings", "sharing"];

/// A section of the chapter: its heading, in the form of a test's name, and its text.
fn sections() -> Vec<(String, String)> {
    let mut sections = Vec::new();
    for part in PARTS {
        let text = documentation(&format!("src/mistakes/{part}.rs"));
        for section in text.split("\n# ").skip(1) {
            let (heading, text) = section.split_once('\n').expect("a section has lines");
            let (_number, heading) = heading.split_once(". ").expect("sections are numbered");
            let name = heading.to_lowercase().replace(' ', "_").replace('\'', "");
            sections.push((name, text.to_owned()));
        }
    }
    sections
}

/// Makes a test of each section, and a list of them all.
macro_rules! play_each {
    ($($section:ident)*) => {
        const PLAYED: &[&str] = &[$(stringify!($section)),*];
        $(
            #[test]
            fn $section() {
                let section = sections().into_iter().find(|(name, _)| name == stringify!($section));
                act_out(&section.expect("the section is there").1);
            }
        )*
    };
}

play_each! {
    one_read_is_not_one_message
    a_character_cut_at_the_edge_of_a_buffer
    a_line_without_an_end
    escape_sequences_from_a_stranger
    the_handshake_in_the_accept_loop
    a_write_under_the_registrys_lock
    a_queue_without_a_bound
    no_way_to_stop_accept_and_read
    an_accept_error_that_ends_the_loop
    a_peer_that_vanishes
    a_leave_announced_twice_or_never
    closing_before_the_last_line_is_out
    a_panic_that_poisons_the_mutex
    check_and_insert_under_two_locks
    two_threads_on_one_terminal
}

#[test]
fn every_section_is_played() {
    let names: Vec<String> = sections().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, PLAYED);
}

/// The words in backquotes in a paragraph that opens with this.
fn named<'a>(text: &'a str, opening: &str) -> Vec<&'a str> {
    let paragraph = text.split("\n\n").find(|paragraph| paragraph.starts_with(opening));
    let paragraph = paragraph.unwrap_or_else(|| panic!("there is no {opening}"));
    paragraph.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_function_and_test_that_a_section_names_is_there() {
    for (section, text) in sections() {
        for opening in ["Fix:", "Test:"] {
            let mut functions = Vec::new();
            let mut files = 0;
            for name in named(&text, opening) {
                // A file comes after the functions in it.
                if !name.contains('/') {
                    functions.push(name.rsplit("::").next().unwrap_or(name));
                    continue;
                }
                files += 1;
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
                let source = std::fs::read_to_string(&path);
                let source = source.unwrap_or_else(|error| panic!("{section}: {name}: {error}"));
                for function in functions.drain(..) {
                    let is_there = ["(", "<"]
                        .iter()
                        .any(|end| source.contains(&format!("fn {function}{end}")));
                    assert!(is_there, "{section}: {function} is not in {name}");
                }
            }
            assert!(files > 0 && functions.is_empty(), "{section}: {opening} {functions:?}");
        }
    }
}
