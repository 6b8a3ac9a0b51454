//! penlogd writes one access log for all web servers behind a pen.
//!
//! To these web servers every request seems to come from pen's host. So pen
//! reports which client's request it passed to which server (`-l host:port`),
//! the web servers send their log lines through penlog ([`crate::logs::penlog`]), and
//! penlogd replaces the first word of each log line by the client that made the
//! request.
//!
//! A thread for each socket (`sockets`) queues the datagrams for a single
//! thread (`collector`). That thread remembers the requests (`entries`), puts the
//! clients in ([`matcher`]) and writes the log. `line` parses both kinds of
//! lines.
//!
//! UDP senders are not authenticated: every host that can reach the port can write
//! to the log.

use crate::getopt::Invocation;
use crate::logs::output::{PATIENCE, put};
use crate::sys::message;
use crate::sys::process::{self, Parent, PidFile};
use crate::sys::users;
use crate::sys::{Signal, Signals};
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc::{self, SyncSender};

mod collector;
mod entries;
mod line;
pub mod matcher;
pub mod options;
mod sockets;

use collector::{Collector, Event};
use options::Options;

/// Datagrams that may wait for the collector. The kernel's own queue holds only
/// a few hundred log lines on Linux.
const QUEUE: usize = 4096;

/// Runs penlogd with the arguments `words`. Returns success after TERM or INT,
/// failure if penlogd could not start or the reader of its output has gone.
pub fn main(words: &[OsString]) -> ExitCode {
    let result = match options::read(words) {
        Ok(Invocation::Print(text)) => {
            process::print(&text);
            Ok(())
        }
        Ok(Invocation::Run(options)) => {
            process::start(options.foreground, false, |parent| run(&options, parent))
        }
        Err(why) => Err(why),
    };
    process::finish("penlogd", result)
}

/// Opens everything in the same order as pen, and runs until a signal says
/// stop. The error is empty if the reason has been reported already.
fn run(options: &Options, parent: Parent) -> Result<(), String> {
    message::set_debug(options.debug);
    message::timestamp(0); // reads the time zone while its file can be seen
    let signals = Signals::block().map_err(|e| format!("cannot block signals: {e}"))?;
    let user = options.user.as_deref().map(users::find).transpose();
    let user = user.map_err(|why| format!("-u {why}"))?;
    let sockets = sockets::open(&options.listen)?;
    parent.open_syslog(c"penlogd");
    process::drop_privileges(user, options.jail.as_deref())?;
    // pen quirk: standard output gets the lines even in the background.
    process::give_up_rights();
    let mut collector = Collector::open(options.requests, options.log.as_deref())?;
    let pid_file = options.pid_file.as_deref().map(PidFile::write).transpose()?;
    let (queue, events) = mpsc::sync_channel(QUEUE);
    process::spawn("collector", move || collector.work(&events))?;
    message::start_writer()?;
    sockets::start(sockets, &queue)?;
    parent.release()?;
    message::say(concat!("penlogd ", env!("CARGO_PKG_VERSION"), " starting"));
    serve_signals(&queue, &signals);
    message::say("penlogd is stopping");
    let well = process::end(move || {
        let (done, answer) = mpsc::sync_channel(1);
        put(&queue, Event::Stop(done)).unwrap_or_else(message::error);
        let well = answer.recv_timeout(PATIENCE).unwrap_or(false);
        drop(pid_file);
        well
    });
    // The collector reported the failure when it happened.
    if well.unwrap_or(false) { Ok(()) } else { Err(String::new()) }
}

/// Passes signals on to the collector, until one of them says stop.
fn serve_signals(queue: &SyncSender<Event>, signals: &Signals) {
    loop {
        let event = match signals.wait() {
            Ok(Signal::Stop) => return,
            Ok(Signal::Reload) => Event::Reopen,
            Ok(Signal::Report) => Event::Report,
            // For pen alone.
            Ok(Signal::Restart) => continue,
            Err(e) => return message::error(format_args!("cannot wait for signals: {e}")),
        };
        put(queue, event).unwrap_or_else(message::error);
    }
}
