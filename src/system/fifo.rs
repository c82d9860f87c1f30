//! FIFOs: pipes that have a name. Source: `fifo(7)`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a FIFO for reading, and makes it if it does not exist. Only its owner may use it.
///
/// It is opened for writing too, so its stream does not end when the last writer closes it. The reader then
/// waits for the next writer.
///
/// # Errors
///
/// When the path names something else, or a FIFO that belongs to somebody else. Also what the system says.
/// `Unsupported` on Windows, where pipes have no names among the files.
pub fn open(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    return super::os::fifo::open(path);
    #[cfg(windows)]
    {
        let _ = path;
        Err(io::Error::new(io::ErrorKind::Unsupported, "Windows has no FIFOs"))
    }
}
