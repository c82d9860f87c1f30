//! The numbers of FreeBSD.

use std::ffi::{c_int, c_uint, c_ulong, c_ushort};
use std::ops::Range;

/// `rlim_t`. It is signed on FreeBSD, but never negative.
pub(super) type Limit = u64;
pub(super) const RLIMIT_NOFILE: c_int = 8;

/// `mode_t`.
pub(super) type Mode = c_ushort;

/// `nfds_t`.
pub(super) type Count = c_uint;

pub(super) const SIGBUS: c_int = 10;
pub(super) const SIGTSTP: c_int = 18;
pub(super) const SIGCONT: c_int = 19;
/// See [`terminal`](super::terminal).
pub(super) const DEADLY: [c_int; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 24, 25, 26, 27, 30, 31];
/// The real-time signals, which are deadly too.
pub(super) const REAL_TIME: Range<c_int> = 65..127;
pub(super) const TIOCGWINSZ: c_ulong = 0x4008_7468;

pub(super) const SOL_SOCKET: c_int = 0xFFFF;
pub(super) const SO_KEEPALIVE: c_int = 8;
pub(super) const SO_OOBINLINE: c_int = 0x100;
pub(super) const TCP_KEEPIDLE: c_int = 256;
pub(super) const TCP_KEEPINTVL: c_int = 512;
pub(super) const TCP_KEEPCNT: c_int = 1024;
/// FreeBSD can bound only the size of a socket's whole buffer.
pub(super) const UNSENT: Option<c_int> = None;
/// FreeBSD gives up after a number of retransmissions, not after a time.
pub(super) const UNACKNOWLEDGED: Option<(c_int, u128)> = None;
