//! From the command line to the running daemon and its end: what is opened in
//! which order, what signals do, what is removed.
//!
//! Everything that can fail at the start does so before the parent leaves,
//! with a `fatal:` line on standard error and status 1.

use crate::args::{self, Task};
use crate::config;
use crate::control;
use crate::control_socket;
use crate::idle;
use crate::listen;
use crate::message;
use crate::report;
use crate::state::{Pen, Phase};
use crate::sys::{self, Resource, Side, Signal, Signals};
use crate::users::{self, User};
use crate::workers;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

/// Descriptors for everything but connections.
const SPARE_FILES: u64 = 64;

/// The program: reads the command line, runs, and says why it could not.
pub fn main(words: &[OsString]) -> ExitCode {
    let result = match args::read(words) {
        Ok(Task::Print(text)) => {
            // A reader that left early is no error.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Ok(())
        }
        Ok(Task::Checked(pen)) => check(&pen),
        Ok(Task::Run(pen)) => start(pen),
        Err(why) => Err(why),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            for line in why.lines() {
                let line = message::printable(line);
                let _ = writeln!(std::io::stderr(), "pen: fatal: {line}");
            }
            ExitCode::FAILURE
        }
    }
}

/// What `--check` looks at behind the command line.
fn check(pen: &Pen) -> Result<(), String> {
    let start = &pen.settings().start;
    if let Some(word) = &start.user {
        users::find(word)?;
    }
    match &start.jail {
        Some(jail) if !jail.is_dir() => Err(format!("-j {}: no such directory", jail.display())),
        _ => Ok(()),
    }
}

/// Goes into the background if it is to, and runs.
fn start(pen: Pen) -> Result<(), String> {
    if pen.settings().start.foreground {
        return run(pen, None);
    }
    let cannot = |e| format!("cannot go into the background: {e}");
    let (mut parent, child) = UnixStream::pair().map_err(cannot)?;
    match sys::split().map_err(cannot)? {
        Side::Child => {
            drop(parent);
            sys::new_session().map_err(cannot)?;
            let end = child.try_clone().map_err(cannot)?;
            let result = run(pen, Some(child));
            if result.is_err() {
                // Until this process ends, so that the parent does not leave
                // before the reason is written.
                std::mem::forget(end);
            }
            result
        }
        Side::Parent => {
            drop(child);
            // One byte: it runs. None: it has said why not.
            let ready = parent.read_exact(&mut [0]).is_ok();
            std::process::exit(if ready { 0 } else { 1 })
        }
    }
}

/// Opens everything, in the order that pen always had, and runs until told to
/// stop. `parent` waits to hear that the start went well.
fn run(pen: Pen, parent: Option<UnixStream>) -> Result<(), String> {
    let settings = pen.settings();
    let start = &settings.start;
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(|e| format!("/dev/null: {e}"))?;
    prepare(&pen);
    let pen = Arc::new(pen);
    let mut left = Leftovers {
        pen: Arc::clone(&pen),
        pid_file: None,
    };
    let user = start.user.as_deref().map(users::find).transpose();
    let user = user.map_err(|why| format!("-u {why}"))?;
    control::open_listener(&pen)?;
    if let Some(word) = &settings.control {
        if sys::is_root() && start.user.is_none() {
            message::say(format_args!(
                "-C {word}: not opened, as pen runs as root; name a user with -u (root counts)"
            ));
        } else {
            control_socket::open(&pen, word, user.as_ref())?;
        }
    }
    if parent.is_some() {
        sys::open_syslog();
    }
    drop_privileges(user, start.jail.as_deref())?;
    control::open_log(&pen)?;
    if let Some(path) = &start.pid_file {
        write_pid(path).map_err(|e| format!("-p {}: cannot write the pid: {e}", path.display()))?;
        left.pid_file = Some(path);
    }
    start_threads(&pen)?;
    pen.enter(Phase::Running);
    if let Some(mut parent) = parent {
        let gone = |e| format!("cannot report to the starting process: {e}");
        sys::replace_stdio(&null).map_err(gone)?;
        message::use_syslog();
        parent.write_all(&[1]).map_err(gone)?;
    }
    drop(null);
    message::say(format_args!("pen {} starting", env!("CARGO_PKG_VERSION")));
    serve_signals(&pen, &signals);
    message::say("pen is stopping");
    pen.log.flush();
    drop(left);
    Ok(())
}

/// Process-wide things that only get better: limits, scheduling, time zone.
fn prepare(pen: &Pen) {
    message::timestamp(0); // reads the time zone while its file can be seen
    sys::return_memory_from(workers::BUFFER / 2);
    let _ = sys::raise_limit(Resource::Core);
    if pen.settings().start.batch {
        if let Err(e) = sys::batch_scheduling() {
            message::debug(1, || format!("no SCHED_BATCH: {e}"));
        }
    }
    match sys::raise_limit(Resource::Files) {
        Ok(files) => {
            let spare = SPARE_FILES.min(files / 2);
            let suffice = usize::try_from((files - spare) / 2);
            let suffice = suffice.unwrap_or(usize::MAX).max(1);
            let max = pen.connections.max();
            pen.connections.set_limit(suffice);
            if max > suffice {
                message::say(format_args!(
                    "{files} open files suffice for {suffice} connections, not {max} (-x): \
                     further clients wait; see ulimit -n"
                ));
            }
        }
        Err(e) => message::say(format_args!("cannot raise the limit on open files: {e}")),
    }
}

/// The root is changed while that is still allowed.
fn drop_privileges(user: Option<User>, jail: Option<&Path>) -> Result<(), String> {
    if let Some(jail) = jail {
        std::os::unix::fs::chroot(jail)
            .and_then(|()| std::env::set_current_dir("/"))
            .map_err(|e| format!("-j {}: cannot change the root: {e}", jail.display()))?;
    }
    if let Some(user) = user {
        sys::become_user(user.uid, user.gid, &user.groups)
            .map_err(|e| format!("-u: cannot become user {}: {e}", user.uid))?;
        message::debug(1, || format!("running as user {}", user.uid));
    }
    Ok(())
}

/// The pid as digits, without a newline.
fn write_pid(path: &Path) -> std::io::Result<()> {
    let mut file: File = config::in_place(path)?;
    file.write_all(std::process::id().to_string().as_bytes())
}

fn start_threads(pen: &Arc<Pen>) -> Result<(), String> {
    let spawn = |name: &str, work: fn(&Arc<Pen>)| {
        let pen = Arc::clone(pen);
        let thread = thread::Builder::new().name(name.to_owned());
        thread
            .spawn(move || work(&pen))
            .map(drop)
            .map_err(|e| format!("cannot start the {name} thread: {e}"))
    };
    spawn("accept", listen::accept_loop)?;
    spawn("control", control_socket::accept_loop)?;
    spawn("idle", idle::watch)
}

/// Answers signals until one says stop. What takes its time (name look-ups, a
/// report of a million clients) is done by a thread of its own; signals that
/// come faster than it works count once.
fn serve_signals(pen: &Arc<Pen>, signals: &Signals) {
    let (queue, work) = mpsc::sync_channel(2);
    let there = Arc::clone(pen);
    let spawned = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in work {
                match signal {
                    Signal::Reload => reload(&there),
                    Signal::Report => report(&there),
                    Signal::Stop => {}
                }
            }
        });
    if let Err(e) = spawned {
        message::say(format_args!("cannot start the signals thread: {e}"));
    }
    loop {
        match signals.wait() {
            Ok(Signal::Stop) => return,
            Ok(signal) => drop(queue.try_send(signal)),
            Err(e) => {
                message::say(format_args!("cannot wait for signals: {e}"));
                return;
            }
        }
    }
}

/// HUP: the log file is opened again and the configuration read again. What
/// cannot be done is said, and the rest counts.
fn reload(pen: &Pen) {
    message::say("reloading on HUP");
    let mut results = vec![control::open_log(pen)];
    if let Some(path) = &pen.settings().config {
        results.push(config::read(pen, path));
    }
    for why in results.into_iter().filter_map(Result::err) {
        why.lines().for_each(message::say);
    }
}

/// USR1: the HTML report to its file, or else text.
fn report(pen: &Pen) {
    match &pen.settings().web_stats {
        Some(path) => {
            if let Err(why) = control::write_page(path, &report::html(pen)) {
                message::say(why);
            }
        }
        None => report::text(pen).lines().for_each(message::say),
    }
}

/// What must not be left behind, however the end comes.
struct Leftovers<'a> {
    pen: Arc<Pen>,
    pid_file: Option<&'a Path>,
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        self.pen.door.close();
        self.pen.control_door.close();
        if let Some(path) = self.pid_file {
            if let Err(e) = fs::remove_file(path) {
                message::say(format_args!(
                    "{}: cannot remove the pid file: {e}",
                    path.display()
                ));
            }
        }
    }
}
