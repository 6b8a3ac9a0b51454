//! Carries commands out, whichever way they came: `-O`, a configuration file
//! or a control connection.

use crate::control::config::{self, Reader};
use crate::control::parse::{self, Command, Line, Whom};
use crate::control::transaction::Transaction;
use crate::pool::choice::Modes;
use crate::pool::server::Server;
use crate::proxy::listener::Listener;
use crate::proxy::log::Output;
use crate::proxy::log::connections::ConnLog;
use crate::proxy::shared::Pen;
use crate::proxy::slots::Look;
use crate::report;
use crate::settings::Settings;
use crate::sys::files;
use crate::sys::message;
use crate::sys::{self, Kind, Place};
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What came of a command: the reply, or a one-line complaint. Neither has a
/// newline that it does not want.
pub type Outcome = Result<String, String>;

/// What commands reply, and notes about words that were ignored, a line each.
pub type Noted = Result<(String, Vec<String>), String>;

/// Carries out one line. The notes are at the end of the reply.
pub fn line(pen: &Pen, text: &str) -> Outcome {
    let (reply, notes) = noted(pen, text)?;
    Ok(notes.iter().fold(reply, |reply, note| reply + note + "\n"))
}

/// Carries out one line.
pub(crate) fn noted(pen: &Pen, text: &str) -> Noted {
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

/// Carries out one command.
pub(crate) fn execute(pen: &Pen, command: Command) -> Outcome {
    let mut transaction = Transaction::new(pen);
    transaction.add(command, &"")?;
    let (reply, complaints) = transaction.commit();
    if complaints.is_empty() { Ok(reply) } else { Err(complaints.join("\n")) }
}

/// Reads the file of `-F`, at the start or again. Notes go to the messages.
pub(crate) fn configure(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    if let Some(path) = &settings.config {
        let jail = settings.start.jail.as_deref().filter(|_| !pen.is_running());
        let path = in_sight(path, jail);
        read_file(pen, &path, &settings.start.given)?.iter().for_each(message::warn);
    }
    Ok(())
}

/// Where a file is that may be seen only from within the jail.
fn in_sight(file: &Path, jail: Option<&Path>) -> PathBuf {
    let inside = jail.map(|jail| jail.join(file.strip_prefix("/").unwrap_or(file)));
    let inside = inside.filter(|inside| !file.exists() && inside.exists());
    inside.unwrap_or_else(|| file.to_owned())
}

/// Carries out the commands in a file but for those that set what was `given`
/// otherwise. What they reply goes to standard output. Notes.
fn read_file(pen: &Pen, path: &Path, given: &[&'static str]) -> Result<Vec<String>, String> {
    let (replies, notes) = carry_out(pen, given, |reader| reader.read(path))?;
    if !pen.is_checking() {
        // Nobody may be there to read them any more.
        let _ = io::stdout().write_all(replies.as_bytes());
    }
    Ok(notes)
}

/// Has commands read and carries all of them out together, if none is wrong.
/// Complaints are a line each.
pub fn carry_out(pen: &Pen, given: &[&'static str], read: impl FnOnce(&mut Reader)) -> Noted {
    let mut transaction = Transaction::new(pen);
    let mut add = |command, place: &dyn Display| transaction.add(command, place);
    // What may take any time to be read, such as a pipe, is for the start alone.
    let open = |path: &Path, most| files::read(path, pen.is_running(), most);
    let mut reader = Reader::new(&open, given, &mut add);
    read(&mut reader);
    let notes = reader.finish()?;
    let (replies, complaints) = transaction.commit();
    if complaints.is_empty() { Ok((replies, notes)) } else { Err(complaints.join("\n")) }
}

/// Carries out one line and gives what whoever sent it gets to read.
pub fn reply(pen: &Pen, text: &str) -> String {
    answer(pen, text).unwrap_or_else(|complaint| complaint)
}

/// The same; whether it is a complaint can be seen.
fn answer(pen: &Pen, text: &str) -> Outcome {
    match line(pen, text) {
        // Paths have what whoever chose them liked.
        Ok(reply) => Ok(message::printable_lines(reply)),
        Err(why) => Err(complaint(&parse::ignored(text).unwrap_or(why))),
    }
}

/// A complaint as one line. pen quirk: one has no newline.
pub fn complaint(why: &str) -> String {
    let why = message::printable(&why.replace('\n', "; "));
    match why.starts_with("unable to set source address") {
        true => why,
        false => why + "\n",
    }
}

/// Carries out a command that is not about settings and servers: shows what is
/// there, or does something with it.
pub(crate) fn act(pen: &Pen, command: Command) -> Outcome {
    match command {
        Command::Abuse(_) => Ok(last_resort(pen.servers.table().abuse.as_ref())),
        Command::ClientsMax(max) => {
            let now = pen.with_clients(|clients| {
                max.into_iter().for_each(|max| clients.grow(max));
                clients.max()
            });
            Ok(format!("{now}\n"))
        }
        Command::Close(index) if pen.connections.close(index) => {
            Ok(format!("Forcibly closing connection {index}\n"))
        }
        Command::Close(index) => Err(out_of_range(index)),
        Command::ConnMax(max) => {
            max.into_iter().for_each(|max| pen.connections.grow(max));
            Ok(format!("{}\n", pen.connections.max()))
        }
        Command::Connection(index) => connection(pen, index),
        Command::Emergency(_) => Ok(last_resort(pen.servers.table().emergency.as_ref())),
        Command::Exit => {
            sys::ask_to_stop();
            Ok(String::new())
        }
        Command::Forget(whom) => {
            let count = pen.with_clients(|clients| {
                clients.forget(|entry| match whom {
                    Whom::All => true,
                    Whom::Client(client) => entry.client == client,
                    Whom::On(server) => entry.server == Some(server),
                })
            });
            Ok(format!("{count} forgotten\n"))
        }
        Command::Help => Ok(help()),
        Command::Idlers(wanted) => {
            wanted.into_iter().for_each(|n| pen.want_idlers(n));
            let (now, wanted) = pen.idlers.count();
            Ok(format!("Idlers: {now}/{wanted}\n"))
        }
        Command::Pid => Ok(format!("{}\n", std::process::id())),
        Command::Recent(seconds) => Ok(report::recent(pen, Duration::from_secs(seconds))),
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
        // What is not for this to do, see Transaction.
        _ => Ok(String::new()),
    }
}

/// The emergency or the abuse server, as an operand.
fn last_resort(server: Option<&Server>) -> String {
    server.map_or(String::new(), |server| server.operand() + "\n")
}

/// Whether this process may use addresses that are not this host's.
pub(crate) fn check_transparent() -> Result<(), String> {
    let any = Place::Inet(([0; 4], 0).into());
    let tried = sys::socket_for(any, Kind::Stream).and_then(|s| sys::allow_any_source(s, any));
    tried.map_err(|e| format!("transparent: cannot connect from other hosts' addresses: {e}"))
}

/// The modes, by the commands that switch them, and whether they are on.
pub(crate) fn modes(modes: &Modes) -> [(&'static str, bool); 5] {
    [
        ("hash", modes.hash),
        ("roundrobin", modes.roundrobin),
        ("stubborn", modes.stubborn),
        ("weight", modes.weight),
        ("prio", modes.prio),
    ]
}

/// What `mode` replies.
pub(crate) fn mode(settings: &Settings) -> String {
    let words = modes(&settings.modes).map(
        |(word, on)| {
            if on { word.to_owned() } else { format!("no {word}") }
        },
    );
    words.join(" ") + "\n"
}

/// The commands with their arguments, a line each.
fn help() -> String {
    let mut text = String::new();
    for spec in parse::TABLE {
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
    let look = pen.connections.look(index);
    let look = look.ok_or_else(|| out_of_range(index))?;
    let (state, fds, client, server) = match &look {
        Look::Unused => (0, [-1, -1], 0, 0),
        Look::Connecting(_) => (1, [-1, -1], 0, 0),
        Look::Live(live) => {
            (2 + live.ended_bits(), live.descriptors(), live.client_slot, live.lease.number())
        }
    };
    let [down, up] = fds;
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
        // Whoever asks gets the report all the same.
        if let Err(why) = write_page(&path, &page) {
            message::say_seldom(why);
        }
    }
    Ok(page)
}

/// Writes the HTML report.
pub(crate) fn write_page(path: &Path, page: &str) -> Result<(), String> {
    files::replace(path, page.as_bytes())
        .map_err(|e| format!("{}: cannot write the report: {e}", path.display()))
}

/// Opens the request log, at start or after HUP.
pub(crate) fn open_log(pen: &Pen) -> Result<(), String> {
    match &pen.settings().log {
        Some(target) => pen.log.switch(Output::open(target, !pen.is_running())?),
        None => Ok(()),
    }
}

/// Opens the connection log, at start or after HUP.
pub(crate) fn open_conn_log(pen: &Pen) -> Result<(), String> {
    match &pen.settings().conn_log {
        Some(target) => pen.conn_log.switch(ConnLog::open(target, !pen.is_running())?),
        None => Ok(()),
    }
}

/// Opens the listening socket that the settings name.
pub(crate) fn open_listener(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    let word = settings.listen.as_deref().unwrap_or_default();
    open_at(pen, &settings, word)
}

fn open_at(pen: &Pen, settings: &Settings, word: &str) -> Result<(), String> {
    let listener = Listener::open_for_clients(word, settings)?;
    message::debug(1, || format!("listening on {}", listener.at));
    pen.set(|s| s.own = Some(listener.at.clone()));
    pen.open_door(listener);
    Ok(())
}
