//! The numbers and types that differ between the systems.
//!
//! Each row has three numbers: the first for Linux and Android, the second for macOS, and the third for
//! FreeBSD. Linux on MIPS and PowerPC has other numbers, which are not here.

use std::ffi::{c_int, c_ulong};
use std::ops::Range;

/// The index of this system's number in each row.
const HERE: usize = if cfg!(target_os = "macos") {
    1
} else if cfg!(target_os = "freebsd") {
    2
} else {
    0
};

/// `rlim_t`. It is signed on FreeBSD, but never negative. With musl it has 64 bits on every processor.
#[cfg(any(target_os = "macos", target_os = "freebsd", target_env = "musl"))]
pub(super) type Limit = u64;
#[cfg(not(any(target_os = "macos", target_os = "freebsd", target_env = "musl")))]
pub(super) type Limit = c_ulong;
pub(super) const RLIMIT_NOFILE: c_int = [7, 8, 8][HERE];

/// `mode_t`.
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
pub(super) type Mode = u16;
#[cfg(not(any(target_os = "macos", target_os = "freebsd")))]
pub(super) type Mode = u32;

/// `nfds_t`.
#[cfg(target_os = "linux")]
pub(super) type Count = c_ulong;
#[cfg(not(target_os = "linux"))]
pub(super) type Count = u32;

pub(super) const SIGBUS: c_int = [7, 10, 10][HERE];
pub(super) const SIGTSTP: c_int = [20, 18, 18][HERE];
pub(super) const SIGCONT: c_int = [18, 19, 19][HERE];
/// The signals that end a process, except the real-time signals. [`terminal`](super::terminal) handles them.
pub(super) const DEADLY: &[c_int] = [DEADLY_ON_LINUX, DEADLY_ON_BSD, DEADLY_ON_BSD][HERE];
const DEADLY_ON_LINUX: &[c_int] =
    &[1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31];
const DEADLY_ON_BSD: &[c_int] = &[1, 2, 3, 4, 5, 6, 7, 8, 12, 14, 15, 24, 25, 26, 27, 30, 31];
/// The real-time signals, which also end a process. The C library of Linux reserves two of them for itself. macOS
/// has no real-time signals.
pub(super) const REAL_TIME: Range<c_int> = [34, 0, 65][HERE]..[65, 0, 127][HERE];
pub(super) const TIOCGWINSZ: c_ulong = [0x5413, 0x4008_7468, 0x4008_7468][HERE];

pub(crate) const SOL_SOCKET: c_int = [1, 0xFFFF, 0xFFFF][HERE];
pub(crate) const SO_KEEPALIVE: c_int = [9, 8, 8][HERE];
pub(crate) const SO_OOBINLINE: c_int = [10, 0x100, 0x100][HERE];
/// On macOS this option is called `TCP_KEEPALIVE`.
pub(crate) const TCP_KEEPIDLE: c_int = [4, 0x10, 256][HERE];
pub(crate) const TCP_KEEPINTVL: c_int = [5, 0x101, 512][HERE];
pub(crate) const TCP_KEEPCNT: c_int = [6, 0x102, 1024][HERE];
/// `TCP_NOTSENT_LOWAT`. FreeBSD can only limit the size of a socket's whole send buffer.
pub(crate) const UNSENT: Option<c_int> = [Some(25), Some(0x201), None][HERE];
/// The option `TCP_USER_TIMEOUT` or `TCP_RXT_CONNDROPTIME`, and the number of milliseconds in its unit. FreeBSD
/// has no such option: it ends a connection after a number of retransmissions.
pub(crate) const UNACKNOWLEDGED: Option<(c_int, u128)> =
    [Some((18, 1)), Some((0x80, 1000)), None][HERE];
