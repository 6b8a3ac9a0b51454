//! Carries commands out, whether they come from `-O`, a configuration file, a
//! control connection or the web interface.

use crate::control::config::{self, Reader};
use crate::control::parse::{self, Command, Line, Whom};
use crate::control::table::TABLE;
use crate::control::transaction::Transaction;
use crate::pool::choice::Modes;
use crate::pool::server::Server;
use crate::proxy::listeners;
use crate::proxy::log::Destination;
use crate::proxy::restart;
use crate::proxy::shared::Pen;
use crate::proxy::slots::Content;
use crate::report;
use crate::settings::Settings;
use crate::sys::files;
use crate::sys::message;
use crate::sys::text;
use crate::sys::{self, Address, Kind};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The reply to a command, with its newlines, or a complaint, without a newline.
pub(crate) type Outcome = Result<String, String>;

/// The replies of commands, and a note of one line about each ignored word.
pub(crate) type Notes = Result<(String, Vec<String>), String>;

/// Carries out one line. The notes about ignored words follow the reply.
pub fn line(pen: &Pen, text: &str) -> Outcome {
    let (reply, notes) = line_and_notes(pen, text)?;
    Ok(notes.iter().fold(reply, |reply, note| reply + note + "\n"))
}

/// Carries out one line and keeps the notes apart from the reply.
pub(crate) fn line_and_notes(pen: &Pen, text: &str) -> Notes {
    let Some(Line { command, ignored }) = parse::parse(text)? else {
        return Ok(Default::default());
    };
    let (reply, mut notes) = match command {
        Command::Include(path) => (String::new(), read_file(pen, &path, &[])?),
        command => (execute(pen, command)?, Vec::new()),
    };
    notes.extend(ignored);
    Ok((reply, notes))
}

/// Carries out one command, as a transaction of its own.
pub(crate) fn execute(pen: &Pen, command: Command) -> Outcome {
    let mut transaction = Transaction::new(pen);
    transaction.add(command, "")?;
    transaction.commit()
}

/// Reads the file of `-F`, at the start or after HUP, and logs the notes.
pub(crate) fn configure(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    if let Some(path) = &settings.config {
        let jail = settings.start.jail.as_deref().filter(|_| !pen.is_running());
        let path = visible_path(path, jail);
        read_file(pen, &path, &settings.start.given)?.iter().for_each(message::warn);
    }
    Ok(())
}

/// Returns the path of a file as pen sees it before chroot: below `jail`, if it
/// exists only there.
fn visible_path(file: &Path, jail: Option<&Path>) -> PathBuf {
    let inside = jail.map(|jail| jail.join(file.strip_prefix("/").unwrap_or(file)));
    let inside = inside.filter(|inside| !file.exists() && inside.exists());
    inside.unwrap_or_else(|| file.to_owned())
}

/// Carries out the commands in a file, except those whose values options have `given`.
/// Prints their replies and returns the notes.
fn read_file(pen: &Pen, path: &Path, given: &[&'static str]) -> Result<Vec<String>, String> {
    let (replies, notes) = carry_out(pen, given, |reader| reader.read(path))?;
    if !pen.is_checking() {
        // If this fails, nobody reads standard output, which is no fault.
        let _ = io::stdout().write_all(replies.as_bytes());
    }
    Ok(notes)
}

/// Carries out all commands that `read` reads, in one transaction. If one of them is
/// wrong, none takes effect, and the error has a line for each complaint.
pub fn carry_out(pen: &Pen, given: &[&'static str], read: impl FnOnce(&mut Reader)) -> Notes {
    let mut transaction = Transaction::new(pen);
    let mut add = |command, position: &str| transaction.add(command, position);
    // Reading a pipe may take any time, so pen reads one only at its start.
    let open = |path: &Path, most| files::read(path, pen.is_running(), most);
    let mut reader = Reader::new(&open, given, &mut add);
    read(&mut reader);
    let notes = reader.finish()?;
    Ok((transaction.commit()?, notes))
}

/// Carries out one line and returns the text to send back, a reply or a complaint.
pub fn reply(pen: &Pen, text: &str) -> String {
    answer(pen, text).unwrap_or_else(|complaint| complaint)
}

/// The same, but a complaint is an error.
fn answer(pen: &Pen, text: &str) -> Outcome {
    match line(pen, text) {
        // A path in it may contain control characters.
        Ok(reply) => Ok(text::printable_lines(reply)),
        Err(why) => Err(complaint(&parse::ignored(text).unwrap_or(why))),
    }
}

/// Puts a complaint on one line, as pen sends it. pen quirk: one complaint has no
/// newline.
pub fn complaint(why: &str) -> String {
    let why = text::printable(&why.replace('\n', "; "));
    if why.starts_with("unable to set source address") { why } else { why + "\n" }
}

/// Carries out a command that changes neither settings nor servers: it shows pen's
/// state, or acts on it, as `close` does.
pub(crate) fn act(pen: &Pen, command: Command) -> Outcome {
    match command {
        Command::Abuse(_) => Ok(last_resort(pen.servers.table().abuse.as_ref())),
        Command::ClientsMax(max) => {
            let now = pen.with_clients(|clients| {
                if let Some(max) = max {
                    clients.grow(max);
                }
                clients.max()
            });
            Ok(format!("{now}\n"))
        }
        Command::Close(index) if pen.connections.close(index) => {
            Ok(format!("Forcibly closing connection {index}\n"))
        }
        Command::Close(index) => Err(out_of_range(index)),
        Command::ConnMax(max) => {
            if let Some(max) = max {
                pen.connections.grow(max);
            }
            Ok(format!("{}\n", pen.connections.max()))
        }
        Command::Connection(index) => connection(pen, index),
        Command::Emergency(_) => Ok(last_resort(pen.servers.table().emergency.as_ref())),
        Command::Exit => {
            sys::ask_to_stop();
            Ok(String::new())
        }
        Command::Explain(client, port) => Ok(report::explain::explain(pen, client, port)),
        Command::Forget(whom) => {
            let prefix = pen.settings().modes.prefix;
            let count = pen.with_clients(|clients| {
                clients.forget(|entry| match whom {
                    Whom::All => true,
                    Whom::Client(client) => entry.client == client.network(prefix),
                    Whom::On(server) => entry.server == Some(server),
                })
            });
            Ok(format!("{count} forgotten\n"))
        }
        Command::Help => Ok(help()),
        Command::Idlers(wanted) => {
            if let Some(wanted) = wanted {
                pen.want_idlers(wanted);
            }
            let (now, wanted) = pen.idlers.count();
            Ok(format!("Idlers: {now}/{wanted}\n"))
        }
        Command::Pid => Ok(format!("{}\n", std::process::id())),
        Command::Recent(seconds) => Ok(report::recent(pen, Duration::from_secs(seconds))),
        Command::Restart if pen.is_checking() => Ok(String::new()),
        Command::Restart => {
            let pid = restart::restart(pen)?;
            Ok(format!("process {pid} has taken over\n"))
        }
        Command::Servers => Ok(report::servers(pen)),
        Command::Socket(fd) => Ok(socket(pen, fd)),
        Command::Status => status(pen),
        Command::TarpitAcl => Ok("tarpit_acl = -1".to_owned()),
        Command::Try(text) => Ok(match answer(pen, &text) {
            Ok(reply) => format!("ok\n{reply}"),
            Err(complaint) => format!("refused\n{complaint}"),
        }),
        Command::Write(_) if pen.is_checking() => Ok(String::new()),
        Command::Write(path) => config::write(pen, path.as_deref()),
        // The transaction carries these out.
        Command::AclAdd(..)
        | Command::AclClear(_)
        | Command::Include(_)
        | Command::Nothing
        | Command::Server(..)
        | Command::Set(..)
        | Command::Show(_) => Ok(String::new()),
    }
}

/// Returns the reply of `emergency` and `abuse`: the server as an operand.
fn last_resort(server: Option<&Server>) -> String {
    server.map_or(String::new(), |server| server.operand(false) + "\n")
}

/// Complains if the system does not let this process connect from addresses of
/// other hosts.
pub(crate) fn check_transparent() -> Result<(), String> {
    let any = ([0; 4], 0).into();
    let tried = sys::socket_for(&Address::Inet(any), Kind::Stream)
        .and_then(|s| sys::allow_any_source(s, any));
    tried.map_err(|e| format!("transparent: cannot connect from other hosts' addresses: {e}"))
}

/// Returns each mode's command and whether it is on, in the order of `mode`.
pub(crate) fn modes(modes: &Modes) -> [(&'static str, bool); 5] {
    [
        ("hash", modes.hash),
        ("roundrobin", modes.roundrobin),
        ("stubborn", modes.stubborn),
        ("weight", modes.weight),
        ("prio", modes.prio),
    ]
}

/// Returns the reply of `mode`.
pub(crate) fn mode(settings: &Settings) -> String {
    let words = modes(&settings.modes).map(
        |(word, on)| {
            if on { word.to_owned() } else { format!("no {word}") }
        },
    );
    words.join(" ") + "\n"
}

/// Returns the reply of `help`: each command with its arguments and its meaning.
fn help() -> String {
    let mut text = String::new();
    for spec in TABLE {
        let no = if spec.has_no() { "[no] " } else { "" };
        let usage = format!("{no}{} {}", spec.name, spec.args);
        let _ = writeln!(text, "{} - {}", usage.trim_end(), spec.help);
    }
    text
}

fn out_of_range(index: usize) -> String {
    format!("Connection {index} out of range")
}

fn connection(pen: &Pen, index: usize) -> Outcome {
    let content = pen.connections.content(index).ok_or_else(|| out_of_range(index))?;
    let live = if let Content::Live(live) = &content { live.upgrade() } else { None };
    let (state, [down, up], client, server) = match live {
        Some(live) => {
            (2 + live.ended_bits(), live.descriptors(), live.client_slot, live.lease.number())
        }
        None => (matches!(content, Content::Connecting { .. }).into(), [-1, -1], 0, 0),
    };
    Ok(format!(
        "Connection {index}:\nstate = {state}\ndownfd = {down}, upfd = {up}\n\
         client = {client}, server = {server}\npend = 0\n"
    ))
}

fn socket(pen: &Pen, fd: i32) -> String {
    let live = pen.connections.live();
    let found = live.iter().find(|(_, live)| live.descriptors().contains(&fd));
    let index = found.map_or(-1, |(index, _)| i64::try_from(*index).unwrap_or(-1));
    format!("Socket {fd} belongs to connection {index}\n")
}

fn status(pen: &Pen) -> Outcome {
    let page = report::html(pen);
    let path = pen.settings().web_stats.clone();
    if let Some(path) = path.filter(|_| !pen.is_checking()) {
        // If this fails, the client still gets the report.
        if let Err(why) = write_page(&path, &page) {
            message::say_seldom(why);
        }
    }
    Ok(page)
}

/// Replaces the file by the HTML report, so that nobody ever reads half of one.
pub(crate) fn write_page(path: &Path, page: &str) -> Result<(), String> {
    files::replace(path, page.as_bytes())
        .map_err(|e| format!("{}: cannot write the report: {e}", path.display()))
}

/// Opens the request log, at start or after HUP.
pub(crate) fn open_log(pen: &Pen) -> Result<(), String> {
    match &pen.settings().log {
        Some(target) => pen.log.switch(Destination::for_requests(target, !pen.is_running())?),
        None => Ok(()),
    }
}

/// Opens the connection log, at start or after HUP.
pub(crate) fn open_conn_log(pen: &Pen) -> Result<(), String> {
    match &pen.settings().conn_log {
        Some(target) => {
            pen.conn_log.switch(Destination::for_connections(target, !pen.is_running())?)
        }
        None => Ok(()),
    }
}

/// Opens the listening sockets that the settings name.
pub(crate) fn open_listener(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    let word = settings.listen.as_deref().unwrap_or_default();
    let set = listeners::open(word, &settings, &Vec::new())?;
    for listener in &set {
        message::debug(1, || format!("listening on {}", listener.at));
    }
    let own = listeners::places(&set);
    if let Some(port) = own.port() {
        pen.servers.table().listen_at(port);
    }
    pen.set(|s| s.own = Some(own));
    pen.listen(set);
    Ok(())
}
