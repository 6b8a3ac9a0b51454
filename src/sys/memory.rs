//! Memory: whoever wants some waits until it can be had. No unsafe code.
//!
//! Rust ends the process when memory cannot be had, and with it every
//! connection. Threads and buffers are only started and made when there is
//! memory to spare ([`has_memory`]), so that what is missing here is
//! little, and others are about to give it back.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

/// Where all memory comes from: the C library, as ever, but more than once.
pub(super) struct Patient;

/// How long it asks again for what it did not get, and how often.
const PATIENCE: Duration = Duration::from_secs(30);
const REST: Duration = Duration::from_millis(10);

/// Memory as soon as it can be had; null after a long time without.
pub(super) fn patiently(ask: impl Fn() -> *mut u8) -> *mut u8 {
    let memory = ask();
    match memory.is_null() && !TRIES.get() {
        true => insist(&ask),
        false => memory,
    }
}

thread_local! {
    /// This thread can do without what it asks for.
    static TRIES: Cell<bool> = const { Cell::new(false) };
}

/// Whether so much memory could be had now.
pub(crate) fn has_memory(size: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    TRIES.set(true);
    let had = probe.try_reserve_exact(size).is_ok();
    TRIES.set(false);
    // Or else the compiler leaves out what nobody uses, and says yes.
    drop(std::hint::black_box(probe));
    had
}

/// Starts a thread if so much memory would be left beside its stack; see
/// [`super::start_thread`].
pub(crate) fn start_thread_leaving(
    spare: usize,
    stack: usize,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    match has_memory(stack + spare) {
        true => super::start_thread(stack, work),
        false => Err(io::ErrorKind::OutOfMemory.into()),
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
