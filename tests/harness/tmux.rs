//! A real terminal, provided by `tmux`. A test can read its screen.
//!
//! Each test has a `tmux` server of its own, with one window that runs one shell script. Every byte that the script
//! writes is also recorded in a file. `tmux` does not report when the screen changes, so the tests poll the screen.
//! After the deadline the test fails and prints the screen.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{client_path, server_path};
use super::{leave_out, poll_until};

/// A temporary directory for the files of a test. The directory is removed when this value is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chat-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A terminal in which a script runs.
pub(crate) struct Tmux {
    pub(crate) directory: Directory,
}

impl Tmux {
    /// Opens a terminal with this many columns and 12 rows, and runs a script for `sh` in it. If `tmux` is not
    /// installed, the test is left out and `None` is returned. In the script, `$SERVER` and `$CLIENT` are the
    /// paths of the programs, and `$dir` is the test's directory.
    #[track_caller]
    pub(crate) fn run(columns: u16, script: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            leave_out("there is no tmux, and so no terminal");
            return None;
        }
        let tmux = Self { directory: Directory::new() };
        let directory = tmux.directory.0.display();
        let (server, client) = (server_path(), client_path());
        let (server, client) = (server.display(), client.display());
        // Before its first command the script waits until the recording has started, so that all of its output is
        // recorded. After its last command, `cat` keeps the terminal open, so that the test can still read the screen.
        let script = format!(
            "tmux wait-for start; export SERVER='{server}' CLIENT='{client}' dir='{directory}'
            {script}\ncat"
        );
        let columns = columns.to_string();
        tmux.tmux(&["new-session", "-d", "-x", &columns, "-y", "12", "sh", "-c", &script]);
        let record = format!("cat > '{}'", tmux.directory.file("recorded").display());
        tmux.tmux(&["pipe-pane", "-o", &record]);
        tmux.tmux(&["wait-for", "-S", "start"]);
        Some(tmux)
    }

    /// Opens a terminal like [`Tmux::run`], and runs the client in it, with this port and these options. When the
    /// client has exited, the terminal shows `code` and the client's exit code.
    #[track_caller]
    pub(crate) fn client(columns: u16, port: u16, options: &str) -> Option<Self> {
        Self::run(columns, &format!("\"$CLIENT\" --port {port} {options}; echo code $?"))
    }

    fn tmux<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(self.directory.file("socket"))
            .args(arguments)
            // The tests themselves may be running in a `tmux`. The command does not reach that `tmux`, because the
            // variable `TMUX` is removed. With `LC_ALL`, the text is in UTF-8 on every machine.
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        assert!(output.status.success(), "tmux: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Presses keys. Each key is given by its name in `tmux`, such as `Enter`.
    pub(crate) fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Types a text.
    pub(crate) fn text(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Pastes a text, as a person does with a mouse.
    pub(crate) fn paste(&self, text: &str) {
        // The text is passed in a file, because an argument can have at most 128 KiB.
        let file = self.directory.file("paste");
        fs::write(&file, text).unwrap();
        self.tmux(&["load-buffer".as_ref(), file.as_os_str()]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    pub(crate) fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "12"]);
    }

    /// Returns the rows of the screen, including the rows that have scrolled off the top, without the empty rows at
    /// the end.
    pub(crate) fn rows(&self) -> Vec<String> {
        let screen = self.tmux(&["capture-pane", "-p", "-S", "-"]);
        screen.trim_end().lines().map(str::to_owned).collect()
    }

    /// Returns the text to the left of the cursor, and the text to the right of the cursor, in the cursor's row.
    pub(crate) fn at_cursor(&self) -> (String, String) {
        let format = "#{cursor_x} #{cursor_y}";
        let position = self.tmux(&["display-message", "-p", format]);
        let (x, y) = position.trim().split_once(' ').unwrap();
        let row = self.tmux(&["capture-pane", "-p", "-S", y, "-E", y]);
        let row = row.trim_end_matches('\n');
        // Collects the characters to the left of the cursor. A wide character takes up two columns.
        let (mut before, mut columns) = (String::new(), 0);
        let mut rest = row.chars().peekable();
        while columns < x.parse().unwrap() {
            let c = rest.next().unwrap_or(' ');
            columns += if ('\u{1100}'..='\u{FFFF}').contains(&c) { 2 } else { 1 };
            before.push(c);
        }
        (before, rest.collect())
    }

    /// Returns the value of a `tmux` format variable, such as `cursor_x`.
    pub(crate) fn value(&self, name: &str) -> String {
        self.tmux(&["display-message", "-p", &format!("#{{{name}}}")]).trim().to_owned()
    }

    /// Waits until `bytes` are in the recording, and returns the whole recording. The wait is necessary because
    /// bytes are recorded a little later than they are shown.
    pub(crate) fn recorded_up_to(&self, bytes: &str) -> String {
        let path = self.directory.file("recorded");
        poll_until(format_args!("the bytes {bytes:?}, the screen is\n{self}"), || {
            Some(read(&path)).filter(|recorded| recorded.contains(bytes))
        })
    }

    /// Waits until `are` returns true for the rows of the screen. After the deadline, the error message contains
    /// `what`, which describes the expected rows.
    #[track_caller]
    pub(crate) fn wait_for_rows(&self, what: &str, mut are: impl FnMut(&[String]) -> bool) {
        poll_until(format_args!("{what}, the screen is\n{self}"), || {
            are(&self.rows()).then_some(())
        });
    }

    /// Waits until the screen shows exactly this row.
    #[track_caller]
    pub(crate) fn wait_for_row(&self, row: &str) {
        self.wait_for_rows(&format!("the row {row:?}"), |rows| {
            rows.iter().any(|shown| shown == row)
        });
    }

    /// Waits until the screen shows a row that contains this text.
    #[track_caller]
    pub(crate) fn wait_for_text(&self, text: &str) {
        self.wait_for_rows(&format!("the text {text:?}"), |rows| {
            rows.iter().any(|row| row.contains(text))
        });
    }

    /// Waits until this row is the last row on the screen.
    #[track_caller]
    pub(crate) fn wait_for_last_row(&self, row: &str) {
        self.wait_for_rows(&format!("the last row {row:?}"), |rows| {
            rows.last().is_some_and(|last| last == row)
        });
    }

    /// Waits until a file in the test's directory ends with a whole line, and returns the file's contents.
    pub(crate) fn wait_for_file(&self, name: &str) -> String {
        let path = self.directory.file(name);
        poll_until(format_args!("the file {name}, the screen is\n{self}"), || {
            Some(read(&path)).filter(|text| text.ends_with('\n'))
        })
    }

    /// Types a line and presses Enter.
    pub(crate) fn line(&self, line: &str) {
        self.text(line);
        self.keys(&["Enter"]);
    }
}

/// Displays the rows of the screen.
impl fmt::Display for Tmux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rows().join("\n"))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // When the `tmux` server ends, the shell and the client get SIGHUP and end too. The command fails if the
        // `tmux` server has already ended.
        let mut kill = Command::new("tmux");
        kill.arg("-S").arg(self.directory.file("socket")).arg("kill-server");
        drop(kill.output());
    }
}

/// Returns the contents of a file, or an empty text if the file does not exist yet.
fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
