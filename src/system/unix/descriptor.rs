//! The limit on open descriptors: `getrlimit`.

use std::ffi::c_int;

use super::numbers::{Limit, RLIMIT_NOFILE};

/// `OPEN_MAX` of macOS. Some versions of macOS refuse a higher soft limit, although the hard limit is higher.
const OPEN_MAX: Limit = 10_240;

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

pub(crate) fn raise_limit() -> Option<usize> {
    let mut limits = Limits { soft: 0, hard: 0 };
    // SAFETY: the structure has the layout of `struct rlimit` and outlives the call.
    if unsafe { getrlimit(RLIMIT_NOFILE, &raw mut limits) } != 0 {
        return None;
    }
    let is_set = |&soft: &Limit| {
        let raised = Limits { soft, hard: limits.hard };
        // SAFETY: as for `getrlimit` above.
        unsafe { setrlimit(RLIMIT_NOFILE, &raw const raised) == 0 }
    };
    let higher = [limits.hard, limits.hard.min(OPEN_MAX)];
    let soft = higher.into_iter().filter(|&soft| soft > limits.soft).find(is_set);
    Some(usize::try_from(soft.unwrap_or(limits.soft)).unwrap_or(usize::MAX))
}
