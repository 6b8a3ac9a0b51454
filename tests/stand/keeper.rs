//! Ends what was started here, however this program itself ends.
//!
//! Every process is ended by its own number and nothing else. On the way out
//! [`Kept`] does it when dropped. For the other ways (Ctrl-C, a signal, an
//! abort) there is a keeper: a copy of this program that reads the numbers
//! from a pipe and, when the pipe closes, ends those that are left. It has a
//! process group of its own, so that Ctrl-C passes it by.

use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The argument that makes a copy of this program the keeper.
pub(crate) const ROLE: &str = "--keeper";

/// How long a process may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(3);

/// The keeper, as the program that started it sees it.
pub(crate) struct Keeper {
    copy: Child,
    pipe: Arc<Mutex<Option<ChildStdin>>>,
}

/// A process that ends when this is dropped.
pub(crate) struct Kept {
    child: Child,
    pipe: Arc<Mutex<Option<ChildStdin>>>,
}

impl Keeper {
    /// Starts the keeper. It removes `directory` at the end.
    pub(crate) fn start(directory: Option<&Path>) -> io::Result<Keeper> {
        let mut copy = Command::new(std::env::current_exe()?)
            .arg(ROLE)
            .args(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = Arc::new(Mutex::new(copy.stdin.take()));
        Ok(Keeper { copy, pipe })
    }

    /// Starts a process and has it kept.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Kept> {
        let child = command.spawn()?;
        tell(&self.pipe, '+', child.id());
        let pipe = Arc::clone(&self.pipe);
        Ok(Kept { child, pipe })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.pipe.lock().unwrap().take();
        let _ = self.copy.wait();
    }
}

impl Kept {
    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end.
    #[allow(dead_code)] // in the benchmarks
    pub(crate) fn end(&mut self) {
        terminate(self.pid());
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.has_ended() {
            terminate(self.pid());
            let end = Instant::now() + PATIENCE;
            while !self.has_ended() {
                if Instant::now() > end {
                    eprintln!("process {} does not end; killed", self.pid());
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        tell(&self.pipe, '-', self.pid());
    }
}

/// A keeper that has gone cannot be told; then nobody can help.
fn tell(pipe: &Mutex<Option<ChildStdin>>, sign: char, pid: u32) {
    if let Some(pipe) = pipe.lock().unwrap().as_mut() {
        let _ = pipe.write_all(format!("{sign}{pid}\n").as_bytes());
    }
}

/// Sends TERM. std can only send KILL, which nginx's workers would survive;
/// every shell has `kill` built in, while the program is not everywhere.
fn terminate(pid: u32) {
    let _ =
        Command::new("sh").args(["-c", "kill -TERM \"$0\" 2>/dev/null", &pid.to_string()]).status();
}

/// The keeper's life.
pub(crate) fn keep(directory: Option<PathBuf>) {
    let mut left: Vec<u32> = Vec::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let Some((sign, pid)) = line.split_at_checked(1) else {
            continue;
        };
        match (sign, pid.parse()) {
            ("+", Ok(pid)) => left.push(pid),
            ("-", Ok(pid)) => left.retain(|&other| other != pid),
            _ => {}
        }
    }
    left.into_iter().rev().for_each(terminate);
    let Some(directory) = directory else { return };
    // What was just told to end may still write into it.
    let end = Instant::now() + PATIENCE;
    while directory.exists() && Instant::now() < end {
        if std::fs::remove_dir_all(&directory).is_err() {
            thread::sleep(Duration::from_millis(50));
        }
    }
}
