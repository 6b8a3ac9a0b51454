//! What every daemon of this package does as a process: say why it could not
//! start, go into the background, give up its privileges, keep a pid file.
//!
//! Everything that can fail at the start does so before the parent leaves,
//! with a `fatal:` line on standard error and status 1. What a daemon opens,
//! and when, is its own.

use crate::sys::files;
use crate::sys::message::{self, Level};
use crate::sys::text;
use crate::sys::users::User;
use crate::sys::{self, EMFILE, Side};
use std::ffi::CStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the end may take: a request log on a disk that hangs has 2 seconds
/// of them.
const ENDING: Duration = Duration::from_secs(3);
/// The stack of the thread that ends.
const STACK: usize = 128 * 1024;

/// Starts a thread that runs until the process ends.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    // In a box, so that std's part is not compiled for each kind of work.
    let work: Box<dyn FnOnce() + Send> = Box::new(work);
    match thread::Builder::new().name(name.to_owned()).spawn(work) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("cannot start the {name} thread: {e}")),
    }
}

/// The end of `main`: what went wrong, on standard error, and the status. An
/// empty text has been said before.
pub(crate) fn finish(program: &str, result: Result<(), String>) -> ExitCode {
    let Err(why) = result else {
        return ExitCode::SUCCESS;
    };
    let out_of_files = io::Error::from_raw_os_error(EMFILE).to_string();
    for line in why.lines() {
        let remedy = if line.contains(&out_of_files) { "; see ulimit -n" } else { "" };
        let line = text::printable(line) + remedy;
        let prefix = message::journal_prefix(Level::Error).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "{prefix}{program}: fatal: {line}");
    }
    ExitCode::FAILURE
}

/// Does what is left to do before the process ends, and waits until the last
/// messages are written, 3 seconds at most: a disk, a terminal or a system log
/// may hang, so this is done by a thread of its own. `None` if the work is not
/// done by then.
pub(crate) fn end<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let limit = Instant::now() + ENDING;
    let (done, result) = mpsc::sync_channel(1);
    let work = move || {
        let _ = done.send(work());
        message::flush();
        drop(done);
    };
    // Without a thread the work is dropped, with what it has to give back.
    sys::start_thread(STACK, work).ok()?;
    let value = result.recv_timeout(ENDING).ok();
    // Nothing more comes; this ends when the thread does.
    let _ = result.recv_timeout(limit.saturating_duration_since(Instant::now()));
    value
}

/// Writes to standard output. A reader that has left early is no error.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The process that started this one, and may wait to hear how the start went.
pub(crate) enum Parent {
    /// This one stays in the foreground.
    Beside,
    /// It waits until this one is in the background.
    Waiting {
        /// Where it waits.
        line: UnixStream,
        /// What standard input, output and error will be.
        null: File,
    },
    /// It was in the background itself, and so is this one.
    Background,
}

/// Goes into the background, unless it is to stay in the foreground or is there already,
/// and runs. The working directory stays, so that relative paths keep their meaning.
pub(crate) fn start(
    foreground: bool,
    is_there: bool,
    run: impl FnOnce(Parent) -> Result<(), String>,
) -> Result<(), String> {
    if foreground {
        return run(Parent::Beside);
    }
    if is_there {
        // A session of its own, as after the fork. It has one if this fails.
        let _ = sys::new_session();
        return run(Parent::Background);
    }
    let cannot = |e| format!("cannot go into the background: {e}");
    // Opened here, as it may be out of sight after chroot.
    let null = match OpenOptions::new().read(true).write(true).open("/dev/null") {
        // In a jail. One end of a pair is as silent, and refuses what is written.
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let (null, _) = UnixStream::pair().map_err(cannot)?;
            Ok(File::from(OwnedFd::from(null)))
        }
        result => result.map_err(|e| format!("/dev/null: {e}")),
    }?;
    let (mut parent, line) = UnixStream::pair().map_err(cannot)?;
    match sys::fork_process().map_err(cannot)? {
        Side::Child => {
            drop(parent);
            sys::new_session().map_err(cannot)?;
            let end = line.try_clone().map_err(cannot)?;
            let result = run(Parent::Waiting { line, null });
            if result.is_err() {
                // Until this process ends, so that the parent does not leave
                // before the reason is written.
                std::mem::forget(end);
            }
            result
        }
        Side::Parent => {
            drop(line);
            // One byte: it runs. None: it has said why not.
            let ready = parent.read_exact(&mut [0]).is_ok();
            std::process::exit(if ready { 0 } else { 1 })
        }
    }
}

impl Parent {
    /// Connects to the system log if that is where messages will go. Before
    /// chroot.
    pub(crate) fn open_syslog(&self, program: &'static CStr) {
        if !matches!(self, Parent::Beside) {
            sys::open_syslog(program);
        }
        if matches!(self, Parent::Background) {
            message::use_syslog();
        }
    }

    /// Lets the parent leave. From now on messages go to the system log, and
    /// standard input, output and error are /dev/null.
    pub(crate) fn release(self) -> Result<(), String> {
        let Parent::Waiting { mut line, null } = self else {
            return Ok(());
        };
        let gone = |e| format!("cannot report to the starting process: {e}");
        message::use_syslog();
        sys::replace_stdio(&null).map_err(gone)?;
        line.write_all(&[1]).map_err(gone)
    }
}

/// Changes the root directory, while that is still allowed, and then the user.
pub(crate) fn drop_privileges(user: Option<User>, jail: Option<&Path>) -> Result<(), String> {
    files::know_root();
    if let Some(jail) = jail {
        std::os::unix::fs::chroot(jail)
            .and_then(|()| std::env::set_current_dir("/"))
            .map_err(|e| format!("-j {}: cannot change the root: {e}", jail.display()))?;
    }
    // It may be this user already.
    if let Some(user) = user.filter(|user| sys::is_root() || user.uid != sys::effective_user()) {
        sys::become_user(user.uid, user.gid, &user.groups)
            .map_err(|e| format!("-u: cannot become user {}: {e}", user.uid))?;
        message::debug(1, || format!("running as user {}", user.uid));
    }
    Ok(())
}

/// Gives up what no part of this package needs, where the system can take it away: see
/// [`sys::limit_rights`]. Before threads are started, after everything is opened that only
/// root can open.
pub(crate) fn give_up_rights() {
    if let Err(e) = sys::limit_rights() {
        message::warn(format_args!("cannot give up rights: {e}"));
    }
}

/// The file with the process number. Dropping it removes the file, unless
/// another process has written its own number there.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Nothing if it is none to remove: a device, a pipe.
    identity: Option<(u64, u64)>,
}

impl PidFile {
    /// Writes the pid as digits, without a newline.
    pub(crate) fn write(path: &Path) -> Result<PidFile, String> {
        let mut file = PidFile { path: path.to_owned(), identity: None };
        file.renew()?;
        Ok(file)
    }

    /// Writes it, unless it is there.
    pub(crate) fn renew(&mut self) -> Result<(), String> {
        if self.is_ours() {
            return Ok(());
        }
        let cannot = |e| format!("-p {}: cannot write the pid: {e}", self.path.display());
        let (path, mut file) = files::in_place(&self.path).map_err(cannot)?;
        file.write_all(pid().as_bytes()).map_err(cannot)?;
        let meta = file.metadata().ok().filter(Metadata::is_file);
        self.path = path;
        self.identity = meta.as_ref().map(files::identity);
        Ok(())
    }

    /// Whether the file is still there with this process's number.
    fn is_ours(&self) -> bool {
        self.identity.is_some_and(|identity| {
            fs::symlink_metadata(&self.path).is_ok_and(|meta| files::identity(&meta) == identity)
                && fs::read(&self.path).is_ok_and(|text| text == pid().as_bytes())
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if let Err(e) = files::remove(&self.path) {
            let path = self.path.display();
            message::error(format_args!("{path}: cannot remove the pid file: {e}"));
        }
    }
}

fn pid() -> String {
    std::process::id().to_string()
}
