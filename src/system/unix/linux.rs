//! The numbers of Linux, on every processor except MIPS and PowerPC, and of Android.

use std::ffi::{c_int, c_uint, c_ulong};
use std::ops::Range;

/// `rlim_t`. musl has 64 bits for it on every processor.
#[cfg(target_env = "musl")]
pub(super) type Limit = u64;
#[cfg(not(target_env = "musl"))]
pub(super) type Limit = c_ulong;
pub(super) const RLIMIT_NOFILE: c_int = 7;

/// `mode_t`.
pub(super) type Mode = c_uint;

/// `nfds_t`.
#[cfg(not(target_os = "android"))]
pub(super) type Count = c_ulong;
#[cfg(target_os = "android")]
pub(super) type Count = c_uint;

pub(super) const SIGBUS: c_int = 7;
pub(super) const SIGTSTP: c_int = 20;
pub(super) const SIGCONT: c_int = 18;
/// See [`terminal`](super::terminal).
pub(super) const DEADLY: [c_int; 19] =
    [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31];
/// The real-time signals, which are deadly too. The C library keeps two for itself.
pub(super) const REAL_TIME: Range<c_int> = 34..65;
pub(super) const TIOCGWINSZ: c_ulong = 0x5413;

pub(super) const SOL_SOCKET: c_int = 1;
pub(super) const SO_KEEPALIVE: c_int = 9;
pub(super) const SO_OOBINLINE: c_int = 10;
pub(super) const TCP_KEEPIDLE: c_int = 4;
pub(super) const TCP_KEEPINTVL: c_int = 5;
pub(super) const TCP_KEEPCNT: c_int = 6;
/// `TCP_NOTSENT_LOWAT`.
pub(super) const UNSENT: Option<c_int> = Some(25);
/// `TCP_USER_TIMEOUT`, and how many milliseconds its unit has.
pub(super) const UNACKNOWLEDGED: Option<(c_int, u128)> = Some((18, 1));
