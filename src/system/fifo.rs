//! FIFOs: pipes that have a name. Source: `fifo(7)`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a FIFO that only its owner may use, to read from it. It is made if it is not there.
///
/// It is opened for writing too, so its stream does not end when the last writer closes it. The reader then
/// waits for the next writer.
///
/// # Errors
///
/// When there is something else under that name, or it belongs to somebody else, and what the system says.
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
