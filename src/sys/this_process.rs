//! What this process is, and what it can change: rights, umask, heap. No unsafe
//! code.

use super::layout::ModeT;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use super::number::{M_ARENA_MAX, M_MMAP_THRESHOLD};
use super::number::{SC_THREAD_STACK_MIN, SIGTERM};
use super::{check, getegid, geteuid, kill, setegid, seteuid, setsid, sysconf, umask};
#[cfg(all(target_os = "linux", target_env = "gnu"))]
use super::{malloc_trim, mallopt};
use std::ffi::c_int;
use std::io;
use std::sync::{Mutex, OnceLock};

/// A stack's size in bytes, made as large as the system's least, which is
/// 16 KiB for glibc on x86-64, 128 KiB on arm64 and others, and a multiple of
/// the largest page there is (64 KiB on arm64).
pub(super) fn allowed_stack(size: usize) -> usize {
    const PAGE: usize = 64 << 10;
    const LEAST: usize = 128 << 10; // if the system does not tell
    static ANSWER: OnceLock<usize> = OnceLock::new();
    let least = ANSWER.get_or_init(|| sysconf(SC_THREAD_STACK_MIN).try_into().unwrap_or(LEAST));
    size.max(*least).next_multiple_of(PAGE)
}

/// Leaves the terminal: a session of its own.
pub(crate) fn new_session() -> io::Result<()> {
    check(setsid()).map(drop)
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    geteuid() == 0
}

/// The user as whom this process opens files.
pub(crate) fn effective_user() -> u32 {
    geteuid()
}

/// Does `work` with the rights of another user, and has root's back. Only root
/// can, and only before threads exist. The supplementary groups stay. An error
/// says that nothing was done, or that what could be given up did not come back:
/// then this process must end.
pub(crate) fn with_rights_of<R>(uid: u32, gid: u32, work: impl FnOnce() -> R) -> io::Result<R> {
    let (root, group) = (geteuid(), getegid());
    check(setegid(gid))?;
    let result = check(seteuid(uid)).map(|_| work());
    check(seteuid(root))?;
    check(setegid(group))?;
    result
}

/// Does `work` while new files are made without the permissions in `mask`
/// (at most 0o777). It is the whole process's: files that other threads make
/// meanwhile lack them, too. One at a time, so that the old mask comes back.
pub(crate) fn with_umask<R>(mask: u16, work: impl FnOnce() -> R) -> R {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = crate::lock(&ALONE);
    let old = umask(ModeT::from(mask));
    let result = work();
    umask(old);
    result
}

/// Sends this process TERM, so that it ends as if told from outside.
pub(crate) fn ask_to_stop() {
    if let Ok(pid) = c_int::try_from(std::process::id()) {
        kill(pid, SIGTERM); // cannot fail: the process is there
    }
}

/// Makes memory of this size or more come from the system and go back to it at
/// once, and the rest come from two heaps. All C libraries except glibc do so.
/// glibc raises the limit as soon as such memory is freed, and keeps the buffers
/// of all that load ever needed; and it has eight heaps for each processor, from
/// which little can be given back. The memory that `make bench` finds a minute after 9,000
/// idle connections needs this.
pub(crate) fn return_memory_from(size: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        mallopt(M_MMAP_THRESHOLD, c_int::try_from(size).unwrap_or(c_int::MAX));
        mallopt(M_ARENA_MAX, 2);
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = size;
}

/// Gives back to the system what is free within the heaps. glibc does so at
/// their ends alone.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    malloc_trim(0);
}

/// Gives the memory of ended threads back to the system. glibc keeps up to
/// 40 MiB of their stacks, and a piece of the heap for each, until there are
/// more: one stack that is larger than all of them makes them go. Without it a
/// debug build held 13 MiB instead of 5 MiB a minute after 1,000 connections.
/// Takes a second, so that the stacks have gone on a busy machine, too.
pub(crate) fn return_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // Where so much cannot be had, not even for nothing, they stay.
        let _ = super::start_thread(48 << 20, || {});
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    trim();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stack_is_too_small_for_the_system() {
        let (send, receive) = std::sync::mpsc::channel();
        super::super::start_thread(1, move || send.send(7).unwrap()).unwrap();
        assert_eq!(receive.recv(), Ok(7));
        assert_eq!(allowed_stack(300 << 10) % (64 << 10), 0);
    }
}
