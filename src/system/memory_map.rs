//! The limit on memory maps. Each thread needs four maps.

use std::fs;

/// The usual value of `vm.max_map_count`. It is used if the real value cannot be read.
const USUAL_LIMIT: usize = 65_530;

/// Returns the maximum number of memory maps of a process. Source: `proc(5)`, `vm.max_map_count`.
///
/// Systems other than Linux have no known limit of this kind. On these systems, this function returns the usual
/// value of Linux.
pub fn limit() -> usize {
    let read = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    read.and_then(|limit| limit.trim().parse().ok()).unwrap_or(USUAL_LIMIT)
}
