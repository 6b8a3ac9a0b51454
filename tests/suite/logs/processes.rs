//! What these tests have beside the stand: addresses, penlogd, senders.

use crate::stand::{At, Background, Dir, Port, full_output, is_c_pen, program, signal, wait_until};
use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Loopback addresses that no other test has.
pub(super) struct Subnet {
    base: [u8; 3],
    // Nobody else's on any address: the C penlogd takes no address.
    ports: RefCell<Vec<Port>>,
    // std's listeners do not share their port: this is the lock.
    _claim: TcpListener,
}

impl Subnet {
    pub(super) fn new() -> Subnet {
        static COUNTER: AtomicU16 = AtomicU16::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        loop {
            let count = COUNTER.fetch_add(1, Relaxed);
            let second = low.wrapping_add(u8::try_from(count % 200).unwrap());
            let base = [127, high % 50 + 200, second];
            let claim = TcpListener::bind((Ipv4Addr::new(base[0], base[1], base[2], 1), 20_000));
            if let Ok(_claim) = claim {
                let ports = RefCell::default();
                return Subnet { base, ports, _claim };
            }
        }
    }

    pub(super) fn ip(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(self.base[0], self.base[1], self.base[2], last)
    }

    /// An address and port to listen on.
    pub(super) fn at(&self, last: u8) -> SocketAddr {
        let port = Port::new();
        let at = (self.ip(last), port.number).into();
        self.ports.borrow_mut().push(port);
        at
    }
}

/// A program in the foreground, its messages gathered. Told to end when it is
/// dropped, and then it must end well.
pub(super) struct Daemon {
    pub(super) child: Child,
    messages: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    _unread: Option<UnixStream>,
}

impl Daemon {
    /// Waits until it says that it is starting. The C program does not; it has
    /// to be waited for.
    pub(super) fn start(command: &mut Command) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&messages));
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
            }
        });
        let mut daemon = Daemon { child, messages, reader: Some(reader), _unread: None };
        wait_until("it starts", || {
            let ended = daemon.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", daemon.messages.lock());
            is_c_pen() || daemon.has_said(" starting")
        });
        daemon
    }

    /// One whose standard error is full, and read by nobody.
    pub(super) fn unread(command: &mut Command) -> Daemon {
        let (stderr, end) = full_output();
        let child = command.stderr(stderr).spawn().unwrap();
        Daemon { child, messages: Arc::default(), reader: None, _unread: Some(end) }
    }

    pub(super) fn has_said(&self, text: &str) -> bool {
        let messages = self.messages.lock().unwrap();
        messages.iter().any(|line| line.contains(text))
    }

    pub(super) fn wait(&mut self) -> ExitStatus {
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
        self.reader.take().map(JoinHandle::join).transpose().unwrap();
    }
}

/// Where penlogd is to listen, as it wants it. The C program takes a port only.
pub(super) fn place_word(at: SocketAddr) -> String {
    match is_c_pen() {
        true => at.port().to_string(),
        false => at.to_string(),
    }
}

/// A penlogd that writes to a file.
pub(super) fn penlogd(at: SocketAddr, log: &Path, args: &[&str]) -> Daemon {
    let mut command = Command::new(program("penlogd"));
    // The C program keeps lines to itself without -b, which ours ignores.
    command.args(["-bf", "-l"]).arg(log).args(args);
    let daemon = Daemon::start(command.arg(place_word(at)).stdin(Stdio::null()));
    wait_until("it listens", || At::Inet(at).is_listening());
    daemon
}

/// A penlogd, where it listens and what it writes.
pub(super) struct Site {
    _daemon: Daemon,
    pub(super) at: SocketAddr,
    pub(super) log: PathBuf,
    pub(super) host: Subnet,
    _dir: Dir,
}

impl Site {
    pub(super) fn new(args: &[&str]) -> Site {
        let (host, dir) = (Subnet::new(), Dir::new());
        let (at, log) = (host.at(2), dir.file("log"));
        Site { _daemon: penlogd(at, &log, args), at, log, host, _dir: dir }
    }

    /// Waits until the log has so many lines, and returns them.
    pub(super) fn lines(&self, count: usize) -> Vec<String> {
        lines(&self.log, count)
    }
}

/// The same for any log.
pub(super) fn lines(log: &Path, count: usize) -> Vec<String> {
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
pub(super) struct Sender {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Sender {
    pub(super) fn new(to: SocketAddr, from: Ipv4Addr) -> Sender {
        let mut command = Command::new(program("penlog"));
        command.arg(to.ip().to_string()).arg(to.port().to_string());
        command.arg(from.to_string());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        Sender { child, stdin }
    }

    pub(super) fn write(&mut self, data: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(data.as_ref()).unwrap();
    }

    /// Ends its input; it must end well.
    pub(super) fn finish(mut self) {
        self.stdin = None;
        assert!(self.child.wait().unwrap().success());
    }
}

/// A penlogd in the background, which is not to stay there. It listens here, or
/// will in a moment.
pub(super) fn background(at: SocketAddr, pid_file: &Path) -> Background {
    let at = At::Inet(at);
    if is_c_pen() {
        // Its parent half does not wait for it.
        wait_until("it listens", || at.is_listening());
    }
    let port = at.inet().port().to_string();
    Background::known(at, &port, pid_file)
}

pub(super) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub(super) fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
