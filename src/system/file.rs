//! Files that are for their owner alone.

use std::fs::OpenOptions;

/// Makes a new file accessible to its owner alone (mode `0600`, see `open(2)`).
///
/// On Windows it has the rights of its directory, and those below `C:\Users` are their user's.
pub fn for_owner_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
