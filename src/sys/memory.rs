//! Whether there is memory to start something with. No unsafe code.

use std::io;

/// Whether so much memory could be had now.
pub(crate) fn has_memory(size: usize) -> bool {
    let mut probe: Vec<u8> = Vec::new();
    let had = probe.try_reserve_exact(size).is_ok();
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
