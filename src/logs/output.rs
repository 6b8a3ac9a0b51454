//! What pen's logs and penlogd's have in common: the file at whose end lines are
//! written, and the queue of the thread that writes them.

use crate::sys::files;
use crate::sys::message;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the writing thread may be busy when it is wanted.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// A log, open for writing at its end.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    name: String,
    /// Why the last write failed, if it did.
    failure: Option<ErrorKind>,
}

impl LogFile {
    /// Opens a log file, which is made if need be. A pipe is waited for if it
    /// `may_wait` ([`files::append`]). The error names the file and the OS error.
    pub(crate) fn append(path: &Path, may_wait: bool) -> Result<LogFile, String> {
        let name = path.display().to_string();
        match files::append(path, may_wait) {
            Ok(file) => Ok(LogFile { file, name, failure: None }),
            Err(e) => Err(format!("{name}: cannot open the log: {e}")),
        }
    }

    /// Duplicates standard output.
    pub(crate) fn stdout() -> Result<LogFile, String> {
        let name = "standard output".to_owned();
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(fd) => Ok(LogFile { file: fd.into(), name, failure: None }),
            Err(e) => Err(format!("{name}: {e}")),
        }
    }

    /// Writes lines. A failure is reported when it is not the same as the last
    /// write's.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), ErrorKind> {
        let result = self.file.write_all(lines);
        let failure = result.as_ref().err().map(io::Error::kind);
        let before = std::mem::replace(&mut self.failure, failure);
        let Err(e) = result else { return Ok(()) };
        if before != failure {
            message::say_seldom(format_args!("{}: cannot write to the log: {e}", self.name));
        }
        Err(e.kind())
    }
}

/// Queues what must not be lost, such as a command to open the file again. A disk
/// that hangs must not hang the caller, which answers signals and commands: so
/// this fails after [`PATIENCE`].
pub(crate) fn put<T>(queue: &SyncSender<T>, mut item: T) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    loop {
        match queue.try_send(item) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(back)) if Instant::now() < end => item = back,
            Err(_) => return Err("the log's thread does not take anything".to_owned()),
        }
        thread::sleep(Duration::from_millis(10));
    }
}
