//! What the results of system calls mean.

use std::ffi::c_int;
use std::io;

/// -1 means that errno says why.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Checks the result of a function that returns a size.
pub(super) fn check_size(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Repeats a call that was cut short (EINTR). This happens without a signal
/// handler, too: on Linux every wait on a socket that has a time limit is cut short
/// when the process goes on after a stop (SIGCONT, the cgroup freezer) or a tracer
/// attaches (signal(7)). It says nothing about the peer.
pub(super) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Checks the result of a pthread function, which is the error's number or 0.
pub(super) fn check_error(error: c_int) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
