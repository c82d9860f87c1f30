//! Files that are for their owner alone.

use std::fs::OpenOptions;

/// Makes a new file accessible to its owner alone (mode `0600`, see `open(2)`).
///
/// On Windows a file has the rights of its directory. Directories below `C:\Users` belong to their user.
pub fn for_owner_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
