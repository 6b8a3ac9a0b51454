//! Starts and ends pen: the order in which it opens things, what signals do, and what
//! it removes.
//!
//! [`process`] has what every daemon does.

use crate::control::commands;
use crate::control::port;
use crate::control::service;
use crate::options::{self, Task};
use crate::proxy::accept;
use crate::proxy::changes;
use crate::proxy::checks;
use crate::proxy::connection;
use crate::proxy::drain;
use crate::proxy::idle;
use crate::proxy::limits::Limits;
use crate::proxy::listener;
use crate::proxy::listeners::Listeners;
use crate::proxy::log;
use crate::proxy::loops;
use crate::proxy::names;
use crate::proxy::restart;
use crate::proxy::shared::{Pen, Phase};
use crate::proxy::state;
use crate::proxy::workers;
use crate::report::{self, health};
use crate::settings::Settings;
use crate::sys::addr::{self, Endpoint};
use crate::sys::cgroup;
use crate::sys::inherited;
use crate::sys::message;
use crate::sys::notify;
use crate::sys::process::{self, Parent, PidFile};
use crate::sys::successor;
use crate::sys::users;
use crate::sys::{self, Kind, Resource, Signal, Signals};
use crate::udp::{self, Handed};
use crate::web;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::time::Duration;

mod old_process;
mod try_servers;
use old_process::OldProcess;

/// Runs pen with the arguments `words`, and reports why it could not run.
pub fn main(words: &[OsString]) -> ExitCode {
    let old = match successor::line() {
        Ok(line) => line.map(OldProcess::new),
        Err(why) => return process::finish("pen", Err(why)),
    };
    let result = run_task(words, old.as_ref());
    match (&result, old) {
        // The old process says it, where it says everything.
        (Err(why), Some(old)) if old.tell_failure(why) => ExitCode::FAILURE,
        _ => process::finish("pen", result),
    }
}

fn run_task(words: &[OsString], old: Option<&OldProcess>) -> Result<(), String> {
    match old {
        Some(old) => old.take_sockets()?,
        None => inherited::add_activated(),
    }
    let print_warnings = |pen: &Pen| options::warnings(pen, words).iter().for_each(message::warn);
    match options::read(words, process::print) {
        Ok(Task::Print(text)) => {
            process::print(&text);
            Ok(())
        }
        Ok(Task::Usage) => {
            let _ = io::stderr().write_all(options::usage().as_bytes());
            Err("no address to listen on".to_owned())
        }
        Ok(Task::Checked(pen)) => check(&pen).map(|()| print_warnings(&pen)),
        Ok(Task::Try(pen)) => check(&pen).and_then(|()| {
            print_warnings(&pen);
            try_servers::run(&pen)
        }),
        Ok(Task::Run(pen)) => {
            let foreground = pen.settings().start.foreground;
            pen.restart.remember_program();
            process::start(foreground, old.is_some(), |parent| {
                run(pen, parent, old, print_warnings)
            })
        }
        Err(why) => Err(why),
    }
}

/// Checks for `--check` what the command line and the configuration file name.
fn check(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    let start = &settings.start;
    if let Some(word) = &start.user {
        users::find(word).map_err(|why| format!("-u {why}"))?;
    }
    let jail = start.jail.as_deref().unwrap_or(Path::new("/"));
    if !jail.is_dir() {
        return Err(format!("-j {}: no such directory", jail.display()));
    }
    let listen = settings.listen.as_deref().unwrap_or_default();
    loops::refuse_listening(pen, &addr::listening(listen)?, |_| true)?;
    for endpoint in addr::endpoints(listen)? {
        check_address("", listen, endpoint)?;
    }
    for (what, word, _) in admin_ports(pen, &settings) {
        check_address(what, word, addr::endpoint(word)?)?;
        service::check(&settings).unwrap_or_else(|why| not_opened(what, word, why));
    }
    match &settings.log {
        Some(word) if log::is_penlogd(word) => log::socket_to(word).map(drop)?,
        Some(path) => check_directory("-l ", Path::new(path), start.jail.as_deref())?,
        None => {}
    }
    if let Some(path) = &settings.health_file {
        check_directory("health_file ", path, start.jail.as_deref())?;
    }
    if let Some((path, _)) = settings.state.as_deref().and_then(state::place) {
        check_directory("state ", path, start.jail.as_deref())?;
        let seen = seen(path, start.jail.as_deref());
        state::is_ours(&seen).map_err(|e| format!("state {}: {e}", seen.display()))?;
    }
    match &start.pid_file {
        Some(path) => check_directory("-p ", path, start.jail.as_deref()),
        None => Ok(()),
    }
}

/// Checks an address to listen on, as far as possible without listening.
fn check_address(what: &str, word: &str, endpoint: Endpoint) -> Result<(), String> {
    match endpoint {
        Endpoint::Unix(path) => check_directory(&format!("{what} "), &path, None),
        Endpoint::Inet(all) => {
            let is_here = |at: &SocketAddr| UdpSocket::bind((at.ip(), 0)).is_ok();
            if !all.iter().any(is_here) {
                message::warn(format_args!("{word}: {}", listener::NOT_HERE));
            }
            Ok(())
        }
    }
}

/// Returns the path from outside of what is in a jail.
fn seen(path: &Path, jail: Option<&Path>) -> PathBuf {
    match jail {
        Some(jail) => jail.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

fn check_directory(what: &str, path: &Path, jail: Option<&Path>) -> Result<(), String> {
    match seen(path, jail).parent() {
        Some(parent) if parent != Path::new("") && !parent.is_dir() => {
            Err(format!("{what}{}: no such directory", path.display()))
        }
        _ => Ok(()),
    }
}

/// Returns the option, the address as it was given, and the listener of the control
/// port and of the web interface, if they are wanted.
fn admin_ports<'a>(
    pen: &'a Pen,
    settings: &'a Settings,
) -> impl Iterator<Item = (&'static str, &'a str, &'a Listeners)> {
    let ports = [
        ("-C", &settings.control, &pen.control_listener),
        ("web", &settings.web, &pen.web_listener),
    ];
    ports.into_iter().filter_map(|(what, word, listener)| Some((what, word.as_deref()?, listener)))
}

fn not_opened(what: &str, word: &str, why: &str) {
    message::warn(format_args!("{what} {word}: {why}"));
}

/// Opens everything in the order of the C pen, and runs until a signal says stop.
/// `parent` waits until the start has succeeded. The warnings are printed just before.
///
/// A process that takes over from an `old` one tells it when it is ready, and goes on
/// when the other has stopped accepting.
fn run(
    pen: Pen,
    parent: Parent,
    old: Option<&OldProcess>,
    print_warnings: impl Fn(&Pen),
) -> Result<(), String> {
    let settings = pen.settings();
    let start = &settings.start;
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    prepare(&pen);
    let pen = Arc::new(pen);
    let mut cleanup = Cleanup { pen: Arc::clone(&pen), keeps_files: old.is_some() };
    notify::open();
    // The old process has become the user and has changed the root before.
    let has_rights = old.is_none() || sys::is_root();
    let user = start.user.as_deref().filter(|_| has_rights).map(users::find).transpose();
    let user = user.map_err(|why| format!("-u {why}"))?;
    commands::open_listener(&pen)?;
    if let Some(own) = &pen.settings().own {
        loops::refuse_listening(&pen, own, |_| true)?;
    }
    for (what, word, listener) in admin_ports(&pen, &settings) {
        match service::check(&settings) {
            Ok(()) => listener.open(service::listen(what, word, user.as_ref())?),
            Err(why) => not_opened(what, word, why),
        }
    }
    inherited::close_the_rest();
    parent.open_syslog(c"pen");
    process::drop_privileges(user, start.jail.as_deref().filter(|_| old.is_none()))?;
    if pen.settings().transparent {
        commands::check_transparent()?;
    }
    commands::open_log(&pen)?;
    commands::open_conn_log(&pen)?;
    if start.sandbox {
        // Threads started from here on inherit it.
        process::give_up_rights();
    }
    message::start_writer()?;
    let tasks = start_signal_thread(&pen)?;
    let flows = old.map_or(Ok(Vec::new()), OldProcess::take_over)?;
    state::load(&pen);
    if let Some(path) = &start.pid_file {
        pen.restart.keep_pid_file(PidFile::write(path)?);
    }
    // Before the first check can end, whose result would not be said otherwise.
    pen.enter(Phase::Running);
    start_threads(&pen, flows)?;
    print_warnings(&pen);
    parent.release()?;
    message::say(format_args!("pen {} starting", env!("CARGO_PKG_VERSION")));
    if let Some(old) = old {
        old.tell_serving()?;
        cleanup.keeps_files = false;
    }
    notify::tell("READY=1");
    serve_signals(&pen, &tasks, &signals);
    message::say("pen is stopping");
    if !pen.is_replaced() {
        notify::tell("STOPPING=1");
        health::end(&pen);
        state::save(&pen);
    }
    process::end(move || {
        pen.log.flush();
        connection::log_the_rest(&pen.conn_log, &pen.connections);
        drop(cleanup);
    });
    Ok(())
}

/// Sets up the process: the time zone, the limits, the scheduling.
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
            let limits = Limits::new(files, pen.settings().start.kind);
            pen.set_limits(limits);
            let listen = pen.settings().listen.as_deref().map(addr::endpoints);
            let listeners = listen.and_then(Result::ok).map_or(1, |all| all.len());
            let suffice = limits.connections(0, 0, listeners);
            let max = pen.connections.max();
            if max > suffice {
                message::warn(format_args!(
                    "{files} open files suffice for {suffice} connections, not {max} (-x): \
                     further clients wait; see ulimit -n"
                ));
            }
        }
        Err(e) => message::error(format_args!("cannot raise the limit on open files: {e}")),
    }
    check_memory(&pen.settings(), pen.connections.max());
}

/// KiB of memory that a control group is charged for a thread, which is half of an idle
/// connection: each of 3,000 took 69 KiB, 50 of them the kernel's (measured on Linux
/// 6.18, x86-64). The whole machine uses more, because no group is charged for the page
/// that Linux keeps for a thread that has sent.
const THREAD_KIB: u64 = 35;

/// Warns if the control group, such as a container, has too little memory for
/// as many connections as there may be.
fn check_memory(settings: &Settings, max: usize) {
    let Some(bytes) = cgroup::memory_limit() else {
        return;
    };
    let each = match settings.start.kind {
        Kind::Stream => 2 * THREAD_KIB,
        Kind::Datagram => THREAD_KIB,
    };
    let suffice = bytes / (each * 1024);
    if u64::try_from(max).is_ok_and(|max| max > suffice) {
        let mib = bytes >> 20;
        message::warn(format_args!(
            "{mib} MiB of memory (control group) suffice for {suffice} idle connections, \
             not {max} (-x); see LIMITS in pen(1)"
        ));
    }
}

fn start_threads(pen: &Arc<Pen>, flows: Vec<Handed>) -> Result<(), String> {
    // Threads for clients are started when clients connect, and clients wait while none
    // can be started. If not even one can be started now, they would wait for ever.
    let first = pen.workers.hire(Duration::ZERO);
    first.map_err(|e| format!("cannot start a thread for clients: {e}"))?;
    let spawn = |name: &str, work: fn(&Arc<Pen>)| {
        let pen = Arc::clone(pen);
        process::spawn(name, move || work(&pen))
    };
    spawn("control", port::accept_loop)?;
    spawn("web", web::accept_loop)?;
    spawn("check", checks::watch)?;
    spawn("on_change", changes::run_programs)?;
    spawn("names", names::watch)?;
    pen.state.is(pen, ("state", state::watch));
    pen.health_file.is(pen, ("health", health::watch));
    let settings = pen.settings();
    if settings.state.is_some() {
        pen.state.start()?;
    }
    if settings.health_file.is_some() {
        pen.health_file.start()?;
    }
    spawn("idle", idle::watch)?;
    // The last: its clients may use up all threads.
    match settings.start.kind {
        Kind::Stream => spawn("accept", accept::accept_loop),
        Kind::Datagram => udp::start(pen, flows),
    }
}

/// Starts the thread that carries out signals, which may take long (name look-ups, a
/// report of a million clients). It starts before clients are accepted, since these may
/// use up all threads.
fn start_signal_thread(pen: &Arc<Pen>) -> Result<SyncSender<Signal>, String> {
    let (queue, work) = mpsc::sync_channel(2);
    let pen = Arc::clone(pen);
    let carry_out = move || {
        for signal in work {
            match signal {
                Signal::Reload => reload(&pen),
                Signal::Report => report(&pen),
                // It says itself what became of it.
                Signal::Restart => drop(restart::restart(&pen)),
                Signal::Stop => {}
            }
        }
    };
    process::spawn("signals", carry_out)?;
    Ok(queue)
}

/// Passes signals on until one says stop. A signal is dropped while two are waiting. If
/// connections are to finish first, the second that says stop counts.
fn serve_signals(pen: &Arc<Pen>, tasks: &SyncSender<Signal>, signals: &Signals) {
    let mut is_draining = false;
    loop {
        match signals.wait() {
            Ok(Signal::Stop) if !is_draining && drain::begin(pen) => is_draining = true,
            Ok(Signal::Stop) => return,
            Ok(signal) => drop(tasks.try_send(signal)),
            Err(e) => {
                message::error(format_args!("cannot wait for signals: {e}"));
                return;
            }
        }
    }
}

/// Carries out HUP: opens the logs and reads the configuration again. The configuration
/// takes effect as a whole or not at all. Errors are logged.
fn reload(pen: &Pen) {
    message::say("reloading on HUP");
    notify::tell_reloading();
    let configured = || if pen.is_draining() { Ok(()) } else { commands::configure(pen) };
    let results = [commands::open_log(pen), commands::open_conn_log(pen), configured()];
    for why in results.into_iter().filter_map(Result::err) {
        why.lines().for_each(message::error);
    }
    notify::tell("READY=1");
}

/// Carries out USR1: writes the HTML report to its file, or else logs the text report.
fn report(pen: &Pen) {
    match &pen.settings().web_stats {
        Some(path) => {
            if let Err(why) = commands::write_page(path, &report::html(pen)) {
                message::error(why);
            }
        }
        None => message::say_lines(report::text(pen)),
    }
}

/// What pen removes when it ends, for whatever reason it ends.
struct Cleanup {
    pen: Arc<Pen>,
    /// Unix sockets' files stay, as an old process still listens there.
    keeps_files: bool,
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let pen = &self.pen;
        for listener in [&pen.listener, &pen.control_listener, &pen.web_listener] {
            if self.keeps_files {
                listener.keep_files();
            }
            listener.shut();
        }
        pen.restart.drop_pid_file();
    }
}
