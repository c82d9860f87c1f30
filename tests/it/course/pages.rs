//! The pages of the course: everything that they link to or name exists, and each step has its five sections.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::play::{STEPS, text};

/// The maximum number of lines of code in a step.
const MAX_STEP_LINES: usize = 150;

/// The maximum number of lines that a patch may add, and the maximum number of lines that it may remove.
const MAX_PATCH_LINES: usize = 5;

/// The maximum number of columns in a diagram or a command. With more columns, a page would have to be scrolled.
const MAX_WIDTH: usize = 88;

/// The files that define the links for the pages in the documentation. There is one file for each directory depth.
const LINKS: [&str; 3] = ["links/1.md", "links/2.md", "links/3.md"];

fn pages() -> Vec<String> {
    let others = ["course", "mistakes", "glossary", "crossing", "costs", "teachers"];
    STEPS.iter().chain(&others).map(|page| format!("{page}.md")).collect()
}

/// Returns the text of a file of the course.
fn lesson(path: &str) -> String {
    text(&format!("src/lessons/{path}"))
}

/// Counts the lines of code in a file or in all files of a directory, without comments and tests.
fn count_code(path: &str) -> usize {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files = Vec::new();
    if place.is_dir() {
        sources(&place, &mut files);
    } else {
        files.push(place);
    }
    let count = |file: &PathBuf| {
        let source = fs::read_to_string(file).expect("the file is text");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        // Comments, and the attribute that includes a step's text, are not code.
        let is_text = |line: &str| ["//", "#![doc"].iter().any(|start| line.starts_with(start));
        code.lines().map(str::trim).filter(|line| !line.is_empty() && !is_text(line)).count()
    };
    files.iter().map(count).sum()
}

/// Returns the targets of a page's link definitions, keyed by label. A definition looks like
/// `[step 1]: step01_echo.md`.
fn definitions(page: &str) -> BTreeMap<String, String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.map(|(label, target)| (label.to_owned(), target.to_owned())).collect()
}

#[test]
fn each_step_has_its_five_parts_and_a_folded_answer() {
    for step in STEPS {
        let page = lesson(&format!("{step}.md"));
        let parts = page.split("\n## ").skip(1).map(|part| part.lines().next().unwrap_or_default());
        let parts: Vec<&str> = parts.collect();
        assert_eq!(
            parts,
            ["New here", "To try", "To observe", "Still wrong", "Exercise"],
            "{step}"
        );
        let (_, exercise) = page.split_once("\n## Exercise").expect("there is an exercise");
        assert!(exercise.contains("<details><summary>Answer</summary>\n"), "{step}");
        let (_, links) = exercise.split_once("</details>\n").expect("the answer ends");
        assert!(links.lines().all(|line| line.is_empty() || line.starts_with('[')), "{step}");
    }
}

#[test]
fn no_step_is_longer_than_two_pages() {
    for (step, number) in STEPS.iter().zip(1..) {
        let lines = count_code(&format!("src/lessons/{step}.rs"));
        assert!(lines <= MAX_STEP_LINES, "{step} has {lines} lines of code");
        // The table of steps in course.md must contain the same number.
        let page = lesson("course.md");
        let row = page.lines().find(|line| line.contains(&format!("][step {number}] |")));
        let row = row.unwrap_or_else(|| panic!("{step} is not in the table of steps"));
        assert!(row.ends_with(&format!("| {lines} |")), "{lines} lines: {row}");
    }
}

#[test]
fn the_links_of_a_page_lead_somewhere_where_files_are_browsed_and_in_the_documentation() {
    let items = definitions(&lesson("links/items.md"));
    let documented = definitions(&lesson(LINKS[0]));
    for page in pages() {
        let source = lesson(&page);
        assert!(
            !source.contains("index.html") && !source.contains("(crate::"),
            "{page}: use labels"
        );
        for (label, target) in definitions(&source) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lessons").join(&target);
            assert!(path.exists(), "{page}: there is no {target}");
            // In the documentation, another definition of the same label takes precedence.
            let is_item = items.contains_key(&label);
            assert!(
                is_item || documented.contains_key(&label),
                "{page}: [{label}] is not defined for the documentation"
            );
        }
    }
}

#[test]
fn the_links_in_the_documentation_are_the_same_at_each_depth_and_lead_to_pages() {
    let manifest = text("Cargo.toml");
    let modules = lesson("mod.rs");
    for (file, depth) in LINKS.iter().zip(1..) {
        for (label, target) in definitions(&lesson(file)) {
            let page = target.strip_prefix(&"../".repeat(depth)).expect("it starts at the top");
            let (path, _) = page.split_once("/index.html").expect("the target is a page");
            let is_there = match path.strip_prefix("chat") {
                None => manifest.contains(&format!("name = \"{path}\"\npath = ")),
                Some("" | "/lessons") => true,
                Some("/server") => text("src/server/mod.rs").contains("lessons/crossing.md"),
                Some(module) => {
                    let name = module.trim_start_matches("/lessons/");
                    modules.contains(&format!("pub mod {name}"))
                }
            };
            assert!(is_there, "{file}: [{label}]: {target}");
        }
    }
}

#[test]
fn the_crossing_says_how_large_each_part_is() {
    let crossing = lesson("crossing.md");
    let targets = definitions(&crossing);
    let size = |cell: &str| -> usize {
        let parts = cell.split("[`").skip(1).filter_map(|part| part.split_once("`]"));
        parts
            .map(|(name, _)| count_code(&format!("src/lessons/{}", targets[&format!("`{name}`")])))
            .sum()
    };
    let rows = crossing.lines().filter(|line| line.starts_with("| ") && line.contains("`]"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches([' ', '|']).split(" | ").collect();
        for (module, lines) in [(cells[0], cells[1]), (cells[3], cells[4])] {
            // The number only shows how much there is to read. It may be wrong by up to a quarter plus ten lines.
            let (real, said) = (size(module), lines.parse::<usize>().expect("a number of lines"));
            assert!(real.abs_diff(said) <= 10 + said / 4, "{module}: {real} lines, not {said}");
        }
        count += 1;
    }
    assert!(count >= 11, "only {count} rows");
}

#[test]
fn each_part_of_the_real_server_says_from_which_step_it_grew() {
    let crossing = lesson("crossing.md");
    let targets = definitions(&crossing);
    let mut count = 0;
    for row in crossing.lines().filter(|line| line.starts_with("| [`built")) {
        let real = row.split(" | ").nth(3).expect("the row has five cells");
        for part in real.split("[`").skip(1).filter_map(|part| part.split_once("`]")) {
            let target = &targets[&format!("`{}`", part.0)];
            let source = lesson(target);
            let head: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
            assert!(head.contains("[course](crate::lessons)"), "{target} does not name its step");
            count += 1;
        }
    }
    assert!(count >= 20, "only {count} modules");
}

#[test]
fn code_blocks_fit_the_width_of_a_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    files.extend(pages().iter().map(|page| root.join("src/lessons").join(page)));
    let mut blocks = 0;
    for file in files {
        let source = fs::read_to_string(&file).expect("the file is text");
        let is_code = file.extension().is_some_and(|extension| extension == "rs");
        let mut block = None;
        for line in source.lines() {
            let line = match (is_code, line.trim_start().strip_prefix("//!")) {
                (false, _) => line,
                (true, Some(text)) => text.strip_prefix(' ').unwrap_or(text),
                (true, None) => continue,
            };
            if let Some(language) = line.trim_start().strip_prefix("```") {
                block = block.is_none().then(|| language.to_owned());
                blocks += usize::from(block.is_some());
            } else if block.as_ref().is_some_and(|language| language != "console") {
                let width = line.chars().count();
                assert!(width <= MAX_WIDTH, "{}: {width} columns: {line}", file.display());
            }
        }
        assert_eq!(block, None, "{}: a block does not end", file.display());
    }
    assert!(blocks >= 60, "only {blocks} blocks");
}

/// Adds all source files below a directory to `found`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the directory exists") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_mistake_has_its_tests_and_a_patch_that_puts_it_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests"), &mut files);
    let code: String =
        files.iter().map(|path| fs::read_to_string(path).expect("the file is text")).collect();
    let patches: Vec<PathBuf> = fs::read_dir(root.join("src/lessons/put-back"))
        .expect("the directory exists")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    let page = lesson("mistakes.md");
    let rows = page.lines().filter(|line| line.starts_with('|') && line.contains('`'));
    for (row, number) in rows.clone().zip(1..) {
        let cells: Vec<&str> = row.trim_matches([' ', '|']).split(" | ").collect();
        assert_eq!(cells[0], number.to_string());
        let tests: Vec<&str> = cells[6].split('`').skip(1).step_by(2).collect();
        for test in &tests {
            assert!(code.contains(&format!("fn {test}(")), "there is no {test}");
        }
        let prefix = format!("{number:02}-");
        let mut of_it = patches.iter().filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        });
        let patch = of_it.next().unwrap_or_else(|| panic!("no patch puts mistake {number} back"));
        assert_eq!(of_it.next(), None, "two patches put mistake {number} back");
        check_patch(&fs::read_to_string(patch).expect("the file is text"), &cells, &tests);
    }
    assert_eq!((rows.count(), patches.len()), (17, 17), "one row and one patch for each mistake");
}

/// Checks that a patch is small, and that the mistake's row in `mistakes.md` names the check and the tests that the
/// patch names.
fn check_patch(patch: &str, cells: &[&str], tests: &[&str]) {
    let named = |key: &str| -> Vec<&str> {
        patch.lines().filter_map(|line| line.strip_prefix(key)).collect()
    };
    let [number, .., checks] = cells[..5] else { panic!("{cells:?}") };
    assert!(
        named("check: ").iter().all(|check| checks.contains(check)),
        "{number}: the row does not name the patch's check"
    );
    assert_eq!(named("check: ").len(), usize::from(checks != "-"), "{number}");
    let by_test = named("test: ");
    assert!(!by_test.is_empty() && by_test.iter().all(|test| tests.contains(test)), "{number}");
    for sign in ['+', '-'] {
        let is_change = |line: &&str| {
            line.starts_with(sign) && !line.starts_with("+++") && !line.starts_with("---")
        };
        let lines = patch.lines().filter(is_change).count();
        assert!(lines <= MAX_PATCH_LINES, "{number}: {lines} lines with {sign}");
    }
}
