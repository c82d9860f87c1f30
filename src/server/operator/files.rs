//! Files that survive a restart. Only their owner may read them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::system::file::for_owner_alone;

/// Replaces a file as a whole. After a crash, the path names either the complete old file or the complete new
/// file. The new file is written under the same name with `.new` added, and then renamed (`rename(2)`).
/// Blocks until the disk has stored the new file.
///
/// # Errors
///
/// Returns any error of the system. In that case the old file is unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let mut options = OpenOptions::new();
    let mut file: File =
        for_owner_alone(options.write(true).create(true).truncate(true)).open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)
}
