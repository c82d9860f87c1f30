//! The limit on open descriptors. Each connection needs one descriptor.

/// Raises the soft limit on open descriptors to the hard limit, and returns the new limit.
///
/// The soft limit is often 1,024 or 256, for old programs that use `select`. This program does not use
/// `select`. Returns `None` on Windows, which has no such limit, and if the limit cannot be read. Source:
/// `getrlimit(2)`, `RLIMIT_NOFILE`.
pub fn raise_limit() -> Option<usize> {
    #[cfg(unix)]
    return super::os::descriptor::raise_limit();
    #[cfg(windows)]
    None
}
