//! Runs a program and waits for its end, but no longer than a time limit. No unsafe
//! code.

use super::number::{SIGKILL, WNOHANG};
use super::text::printable;
use super::{kill, pipe, spawn, wait_for_child, wait_readable};
use std::ffi::{CString, OsString, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes of the program's output are kept.
const LINE: usize = 200;

/// How long a program may be over before pen sees that, if something that it has left
/// in the background has its output.
const STEP: Duration = Duration::from_millis(100);

/// How long pen waits for a program that it has killed. One that does not end in this
/// time stays as it is until pen ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// What there is to say of a program that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Its exit status; `None` if a signal has ended it.
    pub(crate) status: Option<i32>,
    /// The first line of what it has written, printable.
    pub(crate) line: String,
}

/// Runs the program at `path` with these arguments. The error says why it could not be
/// started, or that it took longer than `limit`: then its process group is killed. What
/// a program that ends in time has left in the background goes on.
///
/// Its environment is an empty `PATH`. It finds nothing on its standard input.
pub(crate) fn run(path: &Path, args: &[&str], limit: Duration) -> io::Result<Finished> {
    let start = Instant::now();
    let (mut child, mut output) = begin(path, args)?;
    let (mut is_open, mut pause, mut said) = (true, Duration::from_millis(1), Vec::new());
    let status = loop {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            let why = format!("no result within {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        if is_open {
            is_open = take_output(&mut output, left.min(STEP), &mut said);
        } else {
            // Its output ends shortly before it does.
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(STEP);
        }
        if let Some(status) = child.ended()? {
            break status;
        }
    };
    while is_open && said.len() < LINE && wait_readable(&output, Duration::ZERO).unwrap_or(false) {
        is_open = take_output(&mut output, Duration::ZERO, &mut said);
    }
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = printable(String::from_utf8_lossy(line).trim_end());
    Ok(Finished { status: status.code(), line })
}

/// Starts the program. Returns it and where its output is read.
fn begin(path: &Path, args: &[&str]) -> io::Result<(Child, File)> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut words = vec![path.clone()];
    for arg in args {
        words.push(CString::new(*arg)?);
    }
    let env = [c"PATH=".to_owned()];
    // A pipe that nobody writes to is like /dev/null, which may be out of sight after
    // chroot.
    let (input, _) = pipe()?;
    let (output, end) = pipe()?;
    let files = [(input.as_fd(), 0), (end.as_fd(), 1), (end.as_fd(), 2)];
    let pid = spawn(&path, &words, &env, &files, true)?;
    Ok((Child { pid, is_apart: true, is_free: false, is_over: false }, output.into()))
}

/// Waits for output for this time, and adds it to what is kept. Returns whether there
/// may be more.
fn take_output(output: &mut File, limit: Duration, said: &mut Vec<u8>) -> bool {
    match wait_readable(&*output, limit) {
        Ok(false) => return true,
        Ok(true) => {}
        Err(_) => return false,
    }
    let mut buffer = [0; LINE];
    let Ok(len @ 1..) = output.read(&mut buffer) else {
        return false;
    };
    let room = LINE.saturating_sub(said.len());
    said.extend(buffer.iter().take(len.min(room)));
    true
}

/// Starts the program at `path` with these words, of which the first is its name, and
/// this environment. Beside standard input, output and error it has `file`, with this
/// number, which must be another one than it has here.
pub(crate) fn start(
    path: &Path,
    words: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = OsString>,
    (file, number): (BorrowedFd, c_int),
) -> io::Result<Child> {
    let text = |word: OsString| CString::new(word.into_vec());
    let path = CString::new(path.as_os_str().as_bytes())?;
    let words = words.map(text).collect::<Result<Vec<_>, _>>()?;
    let env = env.map(text).collect::<Result<Vec<_>, _>>()?;
    let pid = spawn(&path, &words, &env, &[(file, number)], false)?;
    Ok(Child { pid, is_apart: false, is_free: false, is_over: false })
}

/// A child process. If it is not over, it is killed when this is dropped, with its
/// group if that is its own, so that no zombie stays.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: c_int,
    is_apart: bool,
    is_free: bool,
    is_over: bool,
}

impl Child {
    /// Lets it go on when this is dropped.
    pub(crate) fn let_go(&mut self) {
        self.is_free = true;
    }

    /// How it has ended; `None` if it has not.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.is_over {
            return Ok(None);
        }
        let status = wait_for_child(self.pid, WNOHANG);
        // An error says that the system waits for children itself, as pen was started
        // with SIGCHLD ignored: then this number may be another process's by now.
        self.is_over = !matches!(status, Ok(None));
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_over || self.is_free {
            return;
        }
        // Until it is waited for its number is not another process's.
        kill(if self.is_apart { -self.pid } else { self.pid }, SIGKILL);
        let end = Instant::now() + PATIENCE;
        // A program with other rights, or one that waits for a disk, does not end.
        while matches!(wait_for_child(self.pid, WNOHANG), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Address, Kind, bound_socket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    const SHELL: &str = "/bin/sh";
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, limit: Duration) -> Result<Finished, String> {
        run(Path::new(SHELL), &["-c", script], limit).map_err(|e| e.to_string())
    }

    fn finished(status: Option<i32>, line: &str) -> Result<Finished, String> {
        Ok(Finished { status, line: line.to_owned() })
    }

    #[test]
    fn the_status_and_the_first_line_are_told() {
        for (script, status, line) in [
            ("exit 0", Some(0), ""),
            ("echo one; echo two; exit 3", Some(3), "one"),
            ("printf 'a\\033b\\r\\n' >&2", Some(0), "a\\x1bb"),
            ("kill -9 $$", None, ""),
            ("read word; echo \"$PATH$HOME$?\"", Some(0), "1"),
            // Not one of pen's signals is blocked or ignored, SIGPIPE neither.
            ("kill -TERM $$; sleep 9", None, ""),
            ("kill -PIPE $$", None, ""),
        ] {
            assert_eq!(shell(script, LONG), finished(status, line), "{script}");
        }
        let long = shell("i=0; while [ $i -lt 20000 ]; do echo -n long; i=$((i+1)); done", LONG);
        assert_eq!(long, finished(Some(0), &"long".repeat(LINE / 4)));
    }

    #[test]
    fn a_program_that_cannot_be_started_is_an_error() {
        let error = |path: &str| run(Path::new(path), &[], LONG).unwrap_err().kind();
        assert_eq!(error("/nonexistent/program"), io::ErrorKind::NotFound);
        assert_eq!(error("/"), io::ErrorKind::PermissionDenied);
        assert!(run(Path::new("/a\0b"), &[], LONG).is_err());
        assert!(run(Path::new(SHELL), &["a\0b"], LONG).is_err());
    }

    #[test]
    fn sockets_stay_in_this_process() {
        let address = Address::Inet(([127, 0, 0, 1], 0).into());
        let socket = bound_socket(&address, Kind::Stream, false).unwrap();
        let pair = UnixStream::pair().unwrap();
        for fd in [socket.as_raw_fd(), pair.0.as_raw_fd()] {
            let script = format!("[ -e /proc/$$/fd/1 ] && [ ! -e /proc/$$/fd/{fd} ]");
            assert_eq!(shell(&script, LONG), finished(Some(0), ""));
        }
    }

    #[test]
    fn the_whole_group_is_killed_at_the_limit() {
        let dir = std::env::temp_dir().join(format!("pen-program-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let pids = dir.join("pids");
        let script = format!("/bin/sleep 600 & echo $! $$ >{}; wait", pids.display());
        let error = shell(&script, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error, "no result within 1 s");
        let text = std::fs::read_to_string(&pids).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let is_gone = |pid: &str| {
            // The one in the background may still be a zombie of init's.
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            state.map_or(true, |state| state.contains(") Z "))
        };
        let end = Instant::now() + LONG;
        while !text.split_whitespace().all(is_gone) {
            assert!(Instant::now() < end, "{text}");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(text.split_whitespace().count(), 2);
    }

    #[test]
    fn what_is_left_in_the_background_is_not_waited_for() {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let script = "/bin/sleep 600 & echo $!";
            sender.send(shell(script, Duration::from_secs(500))).unwrap();
        });
        let result = receiver.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!(result.status, Some(0));
        let pid: c_int = result.line.parse().unwrap();
        assert_eq!(kill(pid, SIGKILL), 0);
    }
}
