//! The log collector. Behind a pen, every request that a web server logs seems
//! to come from pen's host. pens send what they passed on to whom (`-l
//! host:port`), web servers send their log lines ([`crate::penlog`]), and here
//! each line's first word is replaced by the client who made that request.
//!
//! Datagrams go from the sockets' threads ([`sockets`]) through a queue to the
//! one thread ([`desk`]) that knows the requests ([`entries`]), puts the clients
//! in ([`matcher`]) and writes the log; [`line`](mod@line) takes lines apart.
//!
//! Whoever can send datagrams here can write to the log.

use crate::message;
use crate::process::{self, Parent, PidFile};
use crate::sys::{Signal, Signals};
use crate::users;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

pub mod args;
pub mod desk;
pub mod entries;
pub mod line;
pub mod matcher;
pub mod sockets;

use args::{Plan, Task};
use desk::{Desk, Note, Output};

/// Datagrams that may wait to be worked on: the kernel's own queue is short,
/// some hundred lines on Linux.
const QUEUE: usize = 4096;

/// How long the working thread may be busy when it is wanted.
const PATIENCE: Duration = Duration::from_secs(2);

/// The program: reads the command line, runs, and says why it could not.
pub fn main(words: &[OsString]) -> ExitCode {
    let result = match args::read(words) {
        Ok(Task::Print(text)) => {
            process::print(&text);
            Ok(())
        }
        Ok(Task::Run(plan)) => process::start(plan.foreground, |parent| run(&plan, parent)),
        Err(why) => Err(why),
    };
    process::finish("penlogd", result)
}

/// Opens everything, in the order in which pen does, and runs until told to
/// stop.
fn run(plan: &Plan, parent: Parent) -> Result<(), String> {
    message::set_debug(plan.debug);
    message::timestamp(0); // reads the time zone while its file can be seen
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    let user = plan.user.as_deref().map(users::find).transpose();
    let user = user.map_err(|why| format!("-u {why}"))?;
    let inlets = sockets::open(&plan.listen)?;
    parent.open_syslog(c"penlogd");
    process::drop_privileges(user, plan.jail.as_deref())?;
    // pen quirk: in the background, too, standard output gets the lines.
    let output = Output::open(plan.log.as_deref())?;
    let pid_file = plan.pid_file.as_deref().map(PidFile::write).transpose()?;
    let (queue, notes) = mpsc::sync_channel(QUEUE);
    let mut desk = Desk::new(plan.entries, output);
    thread::Builder::new()
        .name("desk".to_owned())
        .spawn(move || desk.work(&notes))
        .map_err(|e| format!("cannot start the working thread: {e}"))?;
    message::start_writer()?;
    sockets::start(inlets, &queue)?;
    parent.release()?;
    message::say(concat!("penlogd ", env!("CARGO_PKG_VERSION"), " starting"));
    serve_signals(&queue, &signals);
    message::say("penlogd is stopping");
    let well = process::end(move || {
        let (done, answer) = mpsc::sync_channel(1);
        put(&queue, Note::Stop(done));
        let well = answer.recv_timeout(PATIENCE).unwrap_or(false);
        drop(pid_file);
        well
    });
    // What went wrong was said when it did.
    if well.unwrap_or(false) { Ok(()) } else { Err(String::new()) }
}

/// Answers signals until one says stop.
fn serve_signals(queue: &SyncSender<Note>, signals: &Signals) {
    loop {
        let note = match signals.wait() {
            Ok(Signal::Stop) => return,
            Ok(Signal::Reload) => Note::Reopen,
            Ok(Signal::Report) => Note::Report,
            Err(e) => return message::error(format_args!("cannot wait for signals: {e}")),
        };
        put(queue, note);
    }
}

/// Queues what is not a datagram. A disk that hangs must not hang the caller,
/// who answers signals.
fn put(queue: &SyncSender<Note>, mut note: Note) {
    let end = Instant::now() + PATIENCE;
    loop {
        match queue.try_send(note) {
            Ok(()) => return,
            Err(TrySendError::Full(back)) if Instant::now() < end => note = back,
            Err(_) => return message::error("the working thread does not take anything"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}
