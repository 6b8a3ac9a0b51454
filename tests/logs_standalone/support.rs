//! What the tests of penlog and penlogd stand on.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const PENLOG: &str = env!("CARGO_BIN_EXE_penlog");
pub(crate) const PENLOGD: &str = env!("CARGO_BIN_EXE_penlogd");

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Loopback addresses that no other test has.
pub(crate) struct Place {
    base: [u8; 3],
    port: AtomicU16,
    // std's listeners do not share their port: this is the lock.
    _claim: TcpListener,
}

impl Place {
    pub(crate) fn new() -> Place {
        static COUNTER: AtomicU16 = AtomicU16::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        loop {
            let count = COUNTER.fetch_add(1, Relaxed);
            let second = low.wrapping_add(u8::try_from(count % 200).unwrap());
            let base = [127, high % 50 + 200, second];
            let claim = TcpListener::bind((Ipv4Addr::new(base[0], base[1], base[2], 1), 20_000));
            if let Ok(_claim) = claim {
                let port = AtomicU16::new(20_001);
                return Place { base, port, _claim };
            }
        }
    }

    pub(crate) fn ip(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.base[0], self.base[1], self.base[2], last)
    }

    /// An address and port to listen on.
    pub(crate) fn at(&self, last: u8) -> SocketAddr {
        (self.ip(last), self.port.fetch_add(1, Relaxed)).into()
    }
}

/// A directory of the test's own.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNTER: AtomicU16 = AtomicU16::new(0);
        let count = COUNTER.fetch_add(1, Relaxed);
        let name = format!("pen-logs-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Dir(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let mut command = Command::new("kill");
    let status = command.args(["-s", name, &pid.to_string()]).status();
    assert!(status.unwrap().success(), "kill -s {name} {pid}");
}

/// A program in the foreground, its messages gathered. Told to end when it is
/// dropped, and then it must end well.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    messages: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Waits until it says that it is starting.
    pub(crate) fn start(command: &mut Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&messages));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let mut daemon = Daemon {
            child,
            messages,
            reader: Some(reader),
        };
        wait_until("it starts", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", daemon.messages.lock());
            daemon.has_said(" starting")
        });
        daemon
    }

    pub(crate) fn has_said(&self, text: &str) -> bool {
        let messages = self.messages.lock().unwrap();
        messages.iter().any(|line| line.contains(text))
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return;
        }
        if self.child.try_wait().unwrap().is_none() {
            signal(self.child.id(), "TERM");
            assert!(self.wait().success());
        }
        self.reader.take().unwrap().join().unwrap();
    }
}

/// A penlogd that writes to a file.
pub(crate) fn penlogd(at: SocketAddr, log: &Path, args: &[&str]) -> Daemon {
    let mut command = Command::new(PENLOGD);
    command.args(["-f", "-l"]).arg(log).args(args);
    Daemon::start(command.arg(at.to_string()).stdin(Stdio::null()))
}

/// Waits until the log has so many lines, and returns them.
pub(crate) fn lines(log: &Path, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    wait_until("the lines are in the log", || {
        let data = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&data);
        lines = text.lines().map(str::to_owned).collect();
        lines.len() >= count && text.ends_with('\n')
    });
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
}

/// A penlog, fed through a pipe.
pub(crate) struct Sender {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Sender {
    pub(crate) fn new(to: SocketAddr, from: Ipv4Addr) -> Sender {
        let mut command = Command::new(PENLOG);
        command.arg(to.ip().to_string()).arg(to.port().to_string());
        command.arg(from.to_string());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        Sender { child, stdin }
    }

    pub(crate) fn write(&mut self, data: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(data.as_ref()).unwrap();
    }

    /// Ends its input; it must end well.
    pub(crate) fn finish(mut self) {
        self.stdin = None;
        assert!(self.child.wait().unwrap().success());
    }
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
