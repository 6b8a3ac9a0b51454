//! Another process takes over without losing a connection: the program as it is
//! installed now, with the command line and configuration of this one.
//!
//! 1. This process starts the other and sends it copies of its listening sockets. It goes
//!    on as before, and the other opens and reads everything that a start needs.
//! 2. The other says `ready`. This one accepts nobody any more: clients and datagrams
//!    wait in the kernel's queues, which belong to the sockets. It sends copies of the
//!    sockets of its UDP flows, so that servers see the same ports.
//! 3. The other says that it serves. This one ends when its connections have.
//!
//! Whenever the other fails before that, or is late, it is killed, and this one goes on.

use crate::proxy::connection::Direction;
use crate::proxy::drain;
use crate::proxy::listeners::Listeners;
use crate::proxy::shared::{Pen, Phase};
use crate::proxy::state;
use crate::sys::line::Line;
use crate::sys::message;
use crate::sys::process::PidFile;
use crate::sys::program::Child;
use crate::sys::successor;
use crate::sys::{self, Kind, notify};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long the other may take to get ready, and again to serve. `penctl` waits for 20
/// seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// How long the thread that receives datagrams may take to stop.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a process that has closed its end of the line may take to end.
const ENDING: Duration = Duration::from_secs(3);

/// What the two say to each other. A socket is sent with its word.
pub(crate) mod word {
    /// With a listening socket.
    pub(crate) const SOCKET: &str = "socket";
    /// With a listening socket that a service manager has lent.
    pub(crate) const LENT: &str = "lent";
    /// These were all; open them.
    pub(crate) const OPEN: &str = "open";
    /// Everything is open and read.
    pub(crate) const READY: &str = "ready";
    /// With a flow's socket; where it is received and its key follow.
    pub(crate) const FLOW: &str = "flow ";
    /// Serve.
    pub(crate) const SERVE: &str = "serve";
    /// Clients are accepted. Then the old process closes its end of the line.
    pub(crate) const SERVING: &str = "serving";
    /// The start has failed; the reason follows.
    pub(crate) const FAILED: &str = "failed ";
}

/// What a restart needs to know and to remember.
#[derive(Debug, Default)]
pub(crate) struct Restart {
    /// Where the program is installed.
    program: OnceLock<PathBuf>,
    is_under_way: AtomicBool,
    /// The process that has taken over, which is a child of this one until one of them
    /// ends.
    child: Mutex<Option<Child>>,
    /// The file with the number of this process.
    pid_file: Mutex<Option<PidFile>>,
}

impl Restart {
    /// Remembers where the program is installed. At the start.
    pub(crate) fn remember_program(&self) {
        if let Some(program) = successor::program() {
            let _ = self.program.set(program);
        }
    }

    /// Has the pid file until the end.
    pub(crate) fn keep_pid_file(&self, file: PidFile) {
        *crate::lock(&self.pid_file) = Some(file);
    }

    /// Removes the pid file, if it is still this process's.
    pub(crate) fn drop_pid_file(&self) {
        let file = crate::lock(&self.pid_file).take();
        drop(file);
    }

    /// Writes the pid file again, if a process that has failed has written its number.
    fn renew_pid_file(&self) {
        let file = crate::lock(&self.pid_file).take();
        if let Some(mut file) = file {
            if let Err(why) = file.renew() {
                message::error(why);
            }
            self.keep_pid_file(file);
        }
    }

    /// Lets the system forget the process that has taken over, if that has ended.
    pub(super) fn reap(&self) {
        if let Some(child) = &mut *crate::lock(&self.child) {
            let _ = child.ended();
        }
    }
}

/// Has another process take over. Returns its number, or why this one goes on; that is
/// logged, too.
pub(crate) fn restart(pen: &Pen) -> Result<i32, String> {
    let result = match pen.restart.is_under_way.swap(true, SeqCst) {
        true => return Err("restart: one is under way".to_owned()),
        _ if !pen.is_running() => Err("pen does not run yet".to_owned()),
        _ if pen.is_draining() => Err("pen is stopping".to_owned()),
        _ if std::process::id() == 1 => {
            Err("not possible for process 1, with which its container ends; start another \
             container instead, and stop this one with drain_timeout and lame_duck set"
                .to_owned())
        }
        _ => replace(pen),
    };
    pen.restart.is_under_way.store(false, SeqCst);
    match result {
        Ok(pid) => {
            message::say(format_args!("restart: process {pid} has taken over"));
            Ok(pid)
        }
        Err(why) => {
            pen.restart.renew_pid_file();
            let why = format!("restart: {why}; process {} goes on", std::process::id());
            message::error(why.replace('\n', "; "));
            Err(why)
        }
    }
}

fn replace(pen: &Pen) -> Result<i32, String> {
    let program = pen.restart.program.get().ok_or("cannot tell where this program is installed")?;
    let cannot = |e: io::Error| format!("{}: cannot be started: {e}", program.display());
    let (line, other) = Line::pair(LIMIT).map_err(cannot)?;
    let mut child =
        successor::start(program, other).map_err(|e| match pen.settings().start.jail {
            Some(_) => format!("{} (in the directory of -j)", cannot(e)),
            None => cannot(e),
        })?;
    let pid = child.pid;
    let result = hand_over(pen, &line);
    if let Err(e) = result {
        return Err(match e.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                end_of(&mut child)
            }
            ErrorKind::TimedOut | ErrorKind::WouldBlock => {
                format!("process {pid} was not ready within {} s", LIMIT.as_secs())
            }
            _ => e.to_string(),
        });
    }
    notify::tell(&format!("MAINPID={pid}"));
    child.let_go();
    *crate::lock(&pen.restart.child) = Some(child);
    // It ends when its connections have.
    sys::ask_to_stop();
    Ok(pid)
}

/// What became of a process that has closed its end of the line without a reason.
fn end_of(child: &mut Child) -> String {
    let end = Instant::now() + ENDING;
    loop {
        match child.ended() {
            Ok(Some(status)) => return format!("process {} ended: {status}", child.pid),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(5)),
            _ => return format!("process {} is not one that takes over", child.pid),
        }
    }
}

fn hand_over(pen: &Pen, line: &Line) -> io::Result<()> {
    for listener in listeners(pen).into_iter().flat_map(Listeners::current) {
        let word = if listener.is_lent { word::LENT } else { word::SOCKET };
        line.send(word, Some(listener.as_fd()))?;
    }
    line.send(word::OPEN, None)?;
    expect(line, word::READY)?;
    let paused = Paused::new(pen);
    before_handover(pen);
    let sockets = pen.listener.current();
    for flow in pen.flows.all() {
        let connection = &flow.connection;
        let own = connection.source(Direction::Up);
        let listener = sockets.iter().find(|listener| listener.receives_with(own));
        if let (Some(listener), Some(key)) = (listener, flow.key.to_text()) {
            let text = format!("{}{}\n{key}", word::FLOW, listener.word());
            line.send(&text, Some(connection.source(Direction::Down).as_fd()))?;
        }
    }
    if pen.is_draining() {
        // TERM has come meanwhile.
        return Err(io::Error::other("pen is stopping"));
    }
    line.send(word::SERVE, None)?;
    expect(line, word::SERVING)?;
    paused.leave();
    Ok(())
}

/// The last that this process does before the other one begins to serve: what is written
/// here is what the other one reads then.
fn before_handover(pen: &Pen) {
    state::save(pen);
}

/// Waits for a word. The error says what came instead.
fn expect(line: &Line, wanted: &str) -> io::Result<()> {
    match line.receive_within(LIMIT)? {
        text if text == wanted => Ok(()),
        text => Err(io::Error::other(text.strip_prefix(word::FAILED).unwrap_or(&text).to_owned())),
    }
}

fn listeners(pen: &Pen) -> [&Listeners; 3] {
    [&pen.listener, &pen.control_listener, &pen.web_listener]
}

/// This process takes nobody as long as this exists.
struct Paused<'a>(Option<&'a Pen>);

impl Paused<'_> {
    fn new(pen: &Pen) -> Paused<'_> {
        listeners(pen).iter().for_each(|listener| listener.pause(true));
        pen.connections.wake();
        if pen.settings().start.kind == Kind::Datagram {
            // Flows that would begin now would not be known to the other process.
            let end = Instant::now() + PAUSE;
            let is_busy = || pen.listener.has_moved() || pen.flows.pending.load(SeqCst) > 0;
            while is_busy() && Instant::now() < end {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Paused(Some(pen))
    }

    /// It takes nobody for good.
    fn leave(mut self) {
        if let Some(pen) = self.0.take() {
            pen.enter(Phase::Replaced);
            listeners(pen).iter().for_each(|listener| listener.hand_over());
            pen.connections.wake();
            pen.flows.leave();
            drain::stop_work(pen);
        }
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        if let Some(pen) = self.0 {
            listeners(pen).iter().for_each(|listener| listener.pause(false));
            pen.connections.wake();
        }
    }
}
