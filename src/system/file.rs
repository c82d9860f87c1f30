//! Files that only their owner may access.

use std::fs::OpenOptions;

/// Makes a new file accessible to its owner alone (mode `0600`, see `open(2)`).
///
/// On Windows a file inherits the access rights of its directory. Each directory in `C:\Users` belongs to one
/// user.
pub fn for_owner_alone(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
