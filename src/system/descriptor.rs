//! The limit on open descriptors, of which each connection takes one.

/// Raises the soft limit on open descriptors to the hard one, and returns what it is then.
///
/// The soft limit is often 1,024, for the sake of old programs that use `select`; this one does not.
/// `None` where the limit is not known. Source: `getrlimit(2)`, `RLIMIT_NOFILE`.
pub fn raise_limit() -> Option<usize> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    return unix::raise_limit();
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    None
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
mod unix {
    use std::ffi::c_int;

    #[cfg(target_os = "linux")]
    const RLIMIT_NOFILE: c_int = 7;
    #[cfg(target_os = "macos")]
    const RLIMIT_NOFILE: c_int = 8;

    /// `rlim_t`.
    #[cfg(target_os = "linux")]
    type Limit = std::ffi::c_ulong;
    #[cfg(target_os = "macos")]
    type Limit = u64;

    /// `struct rlimit`.
    #[repr(C)]
    struct Limits {
        soft: Limit,
        hard: Limit,
    }

    unsafe extern "C" {
        fn getrlimit(resource: c_int, limits: *mut Limits) -> c_int;
        fn setrlimit(resource: c_int, limits: *const Limits) -> c_int;
    }

    pub(super) fn raise_limit() -> Option<usize> {
        let mut limits = Limits { soft: 0, hard: 0 };
        // SAFETY: the structure has the layout of `struct rlimit` and outlives both calls.
        unsafe {
            if getrlimit(RLIMIT_NOFILE, &raw mut limits) != 0 {
                return None;
            }
            let raised = Limits { soft: limits.hard, hard: limits.hard };
            if setrlimit(RLIMIT_NOFILE, &raw const raised) == 0 {
                limits = raised;
            }
        }
        Some(usize::try_from(limits.soft).unwrap_or(usize::MAX))
    }
}
