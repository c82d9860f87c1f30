//! FIFOs: pipes that have a name. Source: `fifo(7)`. Only on Unix.

use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// `mode_t`.
#[cfg(target_os = "linux")]
type Mode = std::ffi::c_uint;
#[cfg(not(target_os = "linux"))]
type Mode = std::ffi::c_ushort;

unsafe extern "C" {
    fn mkfifo(path: *const c_char, mode: Mode) -> c_int;
}

/// Opens a FIFO that only its owner may use, to read from it. It is made if it is not there.
///
/// It is opened for writing too, so its stream does not end when the last writer closes it: whoever reads
/// waits for the next one.
///
/// # Errors
///
/// When there is something else under that name, or it belongs to somebody else, and what the system says.
pub fn open(path: &Path) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends with a zero, and outlives the call, which only reads it.
    if unsafe { mkfifo(name.as_ptr(), 0o600) } != 0 {
        let error = io::Error::last_os_error();
        if !fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
            return Err(error);
        }
        // It is there since another time.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    OpenOptions::new().read(true).write(true).open(path)
}
