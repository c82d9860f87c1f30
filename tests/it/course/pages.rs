//! The pages of the course: what they link to and name is there, and each step has its five parts.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::play::{STEPS, text};

/// The most lines of code that a step may have.
const MAX_STEP_LINES: usize = 150;

/// The pages of the course: file, and how many folders of the documentation it is in.
fn pages() -> Vec<String> {
    let others = ["course", "mistakes", "glossary", "crossing", "costs", "teachers", "check/check"];
    STEPS.iter().chain(&others).map(|page| format!("src/lessons/{page}.md")).collect()
}

#[test]
fn each_step_has_its_five_parts_and_a_folded_answer() {
    for step in STEPS {
        let page = text(&format!("src/lessons/{step}.md"));
        let parts = page.split("\n## ").skip(1).map(|part| part.lines().next().unwrap_or_default());
        let parts: Vec<&str> = parts.collect();
        assert_eq!(
            parts,
            ["New here", "To try", "To observe", "Still wrong", "Exercise"],
            "{step}"
        );
        let (_, exercise) = page.split_once("\n## Exercise").expect("there is one");
        assert!(exercise.contains("<details><summary>Answer</summary>\n"), "{step}");
        assert!(exercise.trim_end().ends_with("</details>"), "{step}");
    }
}

#[test]
fn no_step_is_longer_than_two_pages() {
    for step in STEPS {
        let source = text(&format!("src/lessons/{step}.rs"));
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        // The text is no code.
        let lines =
            source.lines().filter(is_code).filter(|line| !line.starts_with("#![doc")).count();
        assert!(lines <= MAX_STEP_LINES, "{step} has {lines} lines of code");
        // The page that leads to it says so too.
        let page = text("src/lessons/course.md");
        let row = page.lines().find(|line| line.contains(&format!("{step}/index.html")));
        let row = row.unwrap_or_else(|| panic!("{step} is not on the ladder"));
        assert!(row.ends_with(&format!("| {lines} |")), "{lines} lines: {row}");
    }
}

#[test]
fn what_pages_link_to_is_documented() {
    let manifest = text("Cargo.toml");
    let lessons = text("src/lessons/mod.rs");
    for page in pages() {
        for target in text(&page).split("](").skip(1) {
            let target = target.split(')').next().unwrap_or_default();
            let Some(path) = target.strip_suffix("/index.html") else { continue };
            let name = path.rsplit('/').next().unwrap_or_default();
            let is_example = manifest.contains(&format!("name = \"{name}\"\n"));
            let is_page = lessons.contains(&format!("pub mod {name} "));
            assert!(is_example || is_page, "{page}: {target}");
        }
    }
}

/// All source files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_a_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let code: String =
        files.iter().map(|path| fs::read_to_string(path).expect("it is text")).collect();
    let page = text("src/lessons/mistakes.md");
    let rows = page.lines().filter(|line| line.starts_with('|') && line.contains('`'));
    let mut mistakes = 0;
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        for test in tests.split('`').skip(1).step_by(2) {
            assert!(code.contains(&format!("fn {test}(")), "there is no {test}");
        }
        mistakes += 1;
    }
    assert_eq!(mistakes, 17, "one row for each mistake");
}
