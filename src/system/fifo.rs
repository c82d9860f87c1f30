//! FIFOs: pipes that have a name. Source: `fifo(7)`.

use std::fs::File;
use std::io;
use std::path::Path;

/// Opens a FIFO for reading, and creates the FIFO if it does not exist. Only the owner of the FIFO may use it.
///
/// The FIFO is also opened for writing. So the stream does not end when the last writer closes the FIFO: the
/// reader waits for the next writer.
///
/// # Errors
///
/// Fails if the path names a file that is not a FIFO, or the FIFO of another user. Returns any other error of the
/// system, too. On Windows, which has no FIFOs in its file system, the error is `Unsupported`.
pub fn open(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    return super::os::fifo::open(path);
    #[cfg(windows)]
    {
        let _ = path;
        Err(io::Error::new(io::ErrorKind::Unsupported, "Windows has no FIFOs"))
    }
}
