//! The limit on memory maps, of which each thread takes four.

use std::fs;

/// What `vm.max_map_count` usually is. Assumed where it cannot be read.
const USUAL_LIMIT: usize = 65_530;

/// Returns how many memory maps a process may have. Source: `proc(5)`, `vm.max_map_count`.
///
/// Elsewhere than on Linux no such limit is known, and what is usual there is returned.
pub fn limit() -> usize {
    let read = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    read.and_then(|limit| limit.trim().parse().ok()).unwrap_or(USUAL_LIMIT)
}
