//! The history file: the lines that are shown to newcomers, oldest first. The file keeps these lines for the
//! next start of the server.
//!
//! A disk can be slow or full, and the room must not wait for it. So a separate thread writes the file. Each
//! message wakes this thread. The thread takes the new lines from the history and appends them to the file.
//! It never has to append more lines at once than the history contains. Once more than a megabyte has been
//! appended, or after an error, the file is replaced with all lines of the history. Appended lines survive
//! the end of the program. They also survive a power cut once the system has written them to the disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::event_log::OutputThread;
use super::files::replace;
use crate::protocol::cleaning::clean;
use crate::server::shared::Shared;

/// The number of bytes that are appended before the file is replaced. This is four times the size of the
/// largest history.
const MAX_APPENDED_BYTES: usize = 1 << 20;

/// The state of the file.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    /// The lines that the file had when the server started.
    read: Vec<u8>,
    /// The open file, to which the next lines are appended. `None` if the file must be replaced first.
    file: Option<File>,
    appended: usize,
    /// The number of lines that had been added to the history when the file was last saved.
    lines: u64,
}

impl HistoryFile {
    /// Reads the file. A missing file counts as an empty file. A last line without a line end is incomplete,
    /// and is left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the file exists but cannot be read.
    pub fn read(path: PathBuf) -> io::Result<Self> {
        let mut bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| !line.is_empty());
        let read = lines.map(|line| clean(line) + "\n").collect::<String>().into_bytes();
        Ok(Self { path, read, file: None, appended: 0, lines: 0 })
    }

    /// Puts the lines from the file into the room's history. Starts the thread `history`, which saves further
    /// lines. The thread ends when the outbox is closed.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot create another thread.
    pub fn keep(mut self, shared: &Arc<Shared>) -> io::Result<OutputThread> {
        let (wake, woken) = sync_channel(1);
        let read = mem::take(&mut self.read);
        shared.outbox.append(|room| room.keep_history(&read, wake));
        let shared = Arc::clone(shared);
        OutputThread::start("history", move || self.keep_loop(&shared, &woken))
    }

    /// Saves new lines until the outbox is closed. Blocks while there is no new line, and while the disk is
    /// busy. A failure is logged only if the previous attempt succeeded.
    fn keep_loop(&mut self, shared: &Shared, woken: &Receiver<()>) {
        let mut has_failed = false;
        loop {
            let saved = self.save(shared);
            if let Err(error) = &saved
                && !has_failed
            {
                shared.log.notice(&format!("Could not write {}: {error}", self.path.display()));
            }
            has_failed = saved.is_err();
            // The channel is closed after the last line was added, and a wake-up that is still in the channel
            // is received first. So no line is missed.
            if woken.recv().is_err() {
                return;
            }
        }
    }

    fn save(&mut self, shared: &Shared) -> io::Result<()> {
        // Until everything has succeeded, `self.file` stays `None`. So after an error the file is replaced.
        let file = self.file.take().filter(|_| self.appended <= MAX_APPENDED_BYTES);
        let saved = if file.is_some() { self.lines } else { 0 };
        let (lines, text) = shared.outbox.look(|room| room.history().since(saved));
        self.file = Some(if let Some(mut file) = file {
            file.write_all(&text)?;
            self.appended += text.len();
            file
        } else {
            replace(&self.path, &text)?;
            self.appended = 0;
            File::options().append(true).open(&self.path)?
        });
        self.lines = lines;
        Ok(())
    }
}
