//! What a process asks of the system about itself. No unsafe code.

use super::layout::ModeT;
use super::number::SIGTERM;
use super::{check, geteuid, kill, setsid, umask};
use std::ffi::c_int;
use std::io;

/// Leaves the terminal: a session of its own.
pub fn new_session() -> io::Result<()> {
    check(setsid()).map(drop)
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    geteuid() == 0
}

/// Does `work` while new files are made without the permissions in `mask`
/// (at most 0o777). It is the whole process's: call it before threads exist.
pub fn with_umask<R>(mask: u16, work: impl FnOnce() -> R) -> R {
    let old = umask(ModeT::from(mask));
    let result = work();
    umask(old);
    result
}

/// Sends this process TERM, so that it ends as if told from outside.
pub fn ask_to_stop() {
    if let Ok(pid) = c_int::try_from(std::process::id()) {
        kill(pid, SIGTERM); // cannot fail: the process is there
    }
}
