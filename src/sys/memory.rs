//! Memory: whoever wants some waits until it can be had. No unsafe code.
//!
//! Rust ends the process when memory cannot be had, and with it every
//! connection. Threads and buffers are only started and made when there is
//! memory to spare ([`super::has_memory`]), so that what is missing here is
//! little, and others are about to give it back.

use std::time::{Duration, Instant};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use super::{malloc_trim, mallopt};

/// Where all memory comes from: the C library, as ever, but more than once.
pub(super) struct Patient;

/// How long it asks again for what it did not get, and how often.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(10);

/// Memory as soon as it can be had; null after a long time without.
pub(super) fn patiently(ask: impl Fn() -> *mut u8) -> *mut u8 {
    let memory = ask();
    match memory.is_null() {
        true => insist(&ask),
        false => memory,
    }
}

#[cold]
fn insist(ask: &dyn Fn() -> *mut u8) -> *mut u8 {
    let start = Instant::now();
    loop {
        std::thread::sleep(REST);
        let memory = ask();
        if !memory.is_null() || start.elapsed() > PATIENCE {
            return memory;
        }
    }
}

/// Makes memory of this size or more come from the system and go back to it at
/// once, and the rest from two heaps. That is what all C libraries do but glibc:
/// it raises its limit as soon as such memory is freed and keeps the buffers of
/// all that load ever needed, and has eight heaps for each processor, from
/// which little can be given back.
pub fn return_memory_from(size: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const M_MMAP_THRESHOLD: i32 = -3;
        const M_ARENA_MAX: i32 = -8;
        mallopt(M_MMAP_THRESHOLD, size.try_into().unwrap_or(i32::MAX));
        mallopt(M_ARENA_MAX, 2);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = size;
}

/// Gives free memory back to the system, where the C library does not do so by
/// itself (glibc).
pub fn return_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
}
