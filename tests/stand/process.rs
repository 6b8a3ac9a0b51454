//! Processes: what `/proc` says of them, signals, commands run to their end.

use super::{Dir, PATIENCE, pen_program};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// `/proc/PID/status` at some moment.
pub(crate) struct Status(String);

impl Status {
    /// `None` if there is no such process.
    pub(crate) fn of(pid: u32) -> Option<Status> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Status(text))
    }

    /// The words behind `name:`.
    pub(crate) fn words(&self, name: &str) -> Vec<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        let line = lines.find(|(key, _)| *key == name);
        line.map_or(Vec::new(), |(_, value)| value.split_whitespace().collect())
    }

    /// The number behind `name:`.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.words(name)[0].parse().unwrap()
    }
}

/// Sends a signal to a process of this test.
pub(crate) fn signal(pid: u32, name: &str) {
    // The shell's own, as there need not be a program of that name.
    let mut command = Command::new("sh");
    let status = command.args(["-c", &format!("kill -s {name} {pid}")]).status();
    assert!(status.unwrap().success(), "kill -s {name} {pid}");
}

/// A standard error that is full from the start, and its other end, which
/// nobody reads.
pub(crate) fn full_output() -> (Stdio, UnixStream) {
    let (mut stream, end) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[b'.'; 100]).is_ok() {}
    stream.set_nonblocking(false).unwrap();
    (OwnedFd::from(stream).into(), end)
}

/// Runs a command to its end, and on for as long as any process holds its
/// output open: what it leaves behind makes it late.
pub(crate) fn finish(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(Stdio::null());
    let program = command.get_program().to_owned();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {program:?}: {e}"));
    let out = gather(child.stdout.take().unwrap());
    let err = gather(child.stderr.take().unwrap());
    let end = Instant::now() + PATIENCE;
    while !out.is_finished() || !err.is_finished() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} does not end");
        }
        thread::sleep(Duration::from_millis(1));
    }
    // Without its output it has nothing left to do but end.
    Output {
        status: child.wait().unwrap(),
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    }
}

fn gather(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut data = Vec::new();
        let _ = from.read_to_end(&mut data);
        data
    })
}

/// Runs pen with these words to its end: its status, what it wrote on standard
/// output and on standard error.
pub(crate) fn run<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> (i32, String, String) {
    let mut command = Command::new(pen_program());
    for word in words {
        command.arg(word.as_ref());
    }
    let output = finish(command);
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
    let status = output.status.code().expect("not ended by a signal");
    (status, text(&output.stdout), text(&output.stderr))
}

/// Runs pen with these words until it or its parent half has left, and returns
/// what is in the file of its standard error at that moment.
pub(crate) fn errors_when_left(words: &[&str], file: &Path) -> String {
    let errors = File::create(file).unwrap();
    let mut command = Command::new(pen_program());
    command.args(words).stderr(errors).stdout(Stdio::null());
    let status = command.status().unwrap();
    assert!(!status.success(), "{words:?}: {status}");
    fs::read_to_string(file).unwrap()
}

/// pen must refuse to start with these words, in the foreground and in the
/// background: with status 1, one line on standard error that has each of
/// `parts` in it, and nothing left behind.
pub(crate) fn refused<S: AsRef<str>>(words: &[S], parts: &[&str]) {
    let dir = Dir::new();
    let pid_file = dir.file("pen.pid");
    for options in [&["-f"][..], &[]] {
        let mut all = options.to_vec();
        all.extend(["-p", pid_file.to_str().unwrap()]);
        all.extend(words.iter().map(S::as_ref));
        let (status, stdout, stderr) = run(&all);
        if let Ok(pid) = fs::read_to_string(&pid_file) {
            // It runs: not for longer than this test.
            signal(pid.parse().unwrap(), "TERM");
            panic!("pen {all:?} leaves a pid file behind: {stderr}");
        }
        assert_eq!(status, 1, "pen {all:?}: {stderr}");
        assert_eq!(stdout, "", "pen {all:?}");
        assert!(stderr.starts_with("pen: fatal: "), "pen {all:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "pen {all:?}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "pen {all:?}: no {part} in {stderr}");
        }
    }
}
