//! Network, processes and mounts of this program's own: it starts itself again
//! in Linux namespaces, so that ports, firewall rules and file systems are
//! nobody else's, and nothing outlives it, however it ends. Where that is not
//! permitted it goes on without, and what needs them is skipped.

use crate::talk::STARTING;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::{fs, thread};

/// The argument of the copy that is inside.
pub(crate) const INSIDE: &str = "--inside";

/// How to get there. The first process of the inside is that copy: when it
/// ends, the kernel ends all that it has started.
const NAMESPACES: [&str; 6] =
    ["--net", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"];

/// What can be done here.
#[derive(Clone, Copy)]
pub(crate) struct World {
    /// Network and mounts are our own.
    pub(crate) is_own: bool,
}

/// Runs `work` in namespaces of its own, if it can.
pub(crate) fn within(words: &[String], work: impl FnOnce(World) -> ExitCode) -> ExitCode {
    if words.iter().any(|word| word == INSIDE) {
        return match arrive() {
            Ok(()) => work(World { is_own: true }),
            Err(why) => {
                eprintln!("chaos: {why}");
                ExitCode::FAILURE
            }
        };
    }
    if !succeeds("unshare", &NAMESPACES, "true") {
        println!("no namespaces of our own (unshare, as root): some rows are skipped");
        return work(World { is_own: false });
    }
    match enter() {
        Ok(code) => code,
        Err(e) => {
            eprintln!("chaos: unshare: {e}");
            ExitCode::FAILURE
        }
    }
}

fn enter() -> io::Result<ExitCode> {
    let mut command = Command::new("unshare");
    command.args(NAMESPACES).arg(std::env::current_exe()?).arg(INSIDE);
    // Ends when this process ends, in whatever way.
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let _pipe = child.stdin.take();
    Ok(match child.wait()?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn arrive() -> Result<(), String> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    match succeeds("ip", &["link", "set", "lo"], "up") {
        true => Ok(()),
        false => Err("ip link set lo up: failed (it is in the package iproute2)".to_owned()),
    }
}

fn succeeds(program: &str, words: &[&str], last: &str) -> bool {
    let mut command = Command::new(program);
    command.args(words).arg(last).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl World {
    pub(crate) fn need_own(self) -> Result<(), String> {
        self.is_own.then_some(()).ok_or_else(|| "needs namespaces of its own (root)".to_owned())
    }
}

/// Runs a program that must succeed.
pub(crate) fn run(program: &str, words: &[&str]) {
    let held = STARTING.lock();
    let output = Command::new(program).args(words).output();
    drop(held);
    let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {why}");
}

/// Whether a program is there, which is in the Debian package of this name.
pub(crate) fn need_program(program: &str, package: &str) -> Result<(), String> {
    match succeeds(program, &[], "--version") {
        true => Ok(()),
        false => Err(format!("needs {program} (package {package})")),
    }
}

/// Sends signals, by a shell that stays: a process for each would be work.
pub(crate) struct Signals(crate::server::LineProcess);

impl Signals {
    pub(crate) fn new() -> Signals {
        let mut command = Command::new("sh");
        command
            .args(["-c", "while read -r name pid; do kill -s \"$name\" \"$pid\"; echo $?; done"]);
        Signals(crate::server::LineProcess::start(command))
    }

    pub(crate) fn send(&mut self, name: &str, pid: u32) {
        let status = self.0.ask(&format!("{name} {pid}"));
        assert_eq!(status, 0, "kill -s {name} {pid}");
    }
}

/// A library that gives a program another time of day, if there is one.
pub(crate) fn need_faketime() -> Result<PathBuf, String> {
    let place = |dir: PathBuf| dir.join("faketime/libfaketime.so.1");
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut all = below.map(|entry| place(entry.path()));
    let found = all.find(|file| file.exists());
    found.ok_or_else(|| "needs libfaketime (package libfaketime)".to_owned())
}
