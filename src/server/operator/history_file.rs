//! The history file: the lines that newcomers are shown, oldest first, kept for the next start of the server.
//!
//! A disk can be slow or full, and the room does not wait for it. A thread is woken when something is said. It
//! looks at what is new in the history, and appends that to the file. It never has to append more than the
//! history holds, no matter how much is said. When much has been appended, or when something went wrong, the
//! file is replaced by what is in the history. What was appended survives the end of the program. It survives a
//! power cut as soon as the system has written it to the disk.

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

/// How much is appended before the file is replaced, in bytes: four times the most that a history holds.
const MAX_APPENDED_BYTES: usize = 1 << 20;

/// The state of the file.
#[derive(Debug)]
pub struct HistoryFile {
    path: PathBuf,
    /// Its lines when the server started.
    read: Vec<u8>,
    /// Where the next lines are appended; `None` when it is to be replaced first.
    file: Option<File>,
    appended: usize,
    /// How many of all lines so far have been written.
    lines: u64,
}

impl HistoryFile {
    /// Reads the file. A missing file counts as an empty one. A torn last line, without an end, is left out.
    ///
    /// # Errors
    ///
    /// When there is a file that cannot be read.
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

    /// Puts what was read into the room's history, and starts the thread, named `history`, that keeps it. The
    /// thread ends when the outbox is closed.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn keep(mut self, shared: &Arc<Shared>) -> io::Result<OutputThread> {
        let (wake, woken) = sync_channel(1);
        let read = mem::take(&mut self.read);
        shared.outbox.append(|room| room.keep_history(&read, wake));
        let shared = Arc::clone(shared);
        OutputThread::start("history", move || self.keep_loop(&shared, &woken))
    }

    /// Saves what is said, until nothing can be said any more. Blocks until something is said, and on the disk.
    /// A failure is logged once. The next failure is logged only if a write has worked since.
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
            // The last line was said before the channel ended. So no line is missed.
            if woken.recv().is_err() {
                return;
            }
        }
    }

    fn save(&mut self, shared: &Shared) -> io::Result<()> {
        // The file is put back below if everything goes well.
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
