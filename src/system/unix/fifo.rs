//! FIFOs: `mkfifo`.

use std::ffi::{CString, c_char, c_int};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use super::numbers::Mode;

unsafe extern "C" {
    fn mkfifo(path: *const c_char, mode: Mode) -> c_int;
}

pub(crate) fn open(path: &Path) -> io::Result<File> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends with a zero, and outlives the call, which only reads it.
    if unsafe { mkfifo(name.as_ptr(), 0o600) } != 0 {
        let error = io::Error::last_os_error();
        if !fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
            return Err(error);
        }
        // The FIFO exists already.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
    }
    OpenOptions::new().read(true).write(true).open(path)
}
