//! The limit on open descriptors, of which each connection takes one.

/// Raises the soft limit on open descriptors to the hard limit, and returns the new limit.
///
/// The soft limit is often 1,024 or 256, for old programs that use `select`. This program does not use it.
/// `None` if there is no limit, as on Windows, or if the limit is not known. Source: `getrlimit(2)`,
/// `RLIMIT_NOFILE`.
pub fn raise_limit() -> Option<usize> {
    #[cfg(unix)]
    return super::os::descriptor::raise_limit();
    #[cfg(windows)]
    None
}
