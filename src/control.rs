//! Carries commands out, whichever way they came: `-O`, a configuration file
//! or a control connection.

use crate::acl::Acl;
use crate::addr::{self, Host};
use crate::balance::Modes;
use crate::command::{self, Change, Command, Guard, Switch, Timer};
use crate::config;
use crate::connections::Look;
use crate::files;
use crate::listen::Listener;
use crate::message;
use crate::report;
use crate::server::{Server, Table};
use crate::settings::{LogTarget, Settings};
use crate::state::Pen;
use crate::sys::{self, Kind, Place};
use crate::web;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What came of a command: the reply, or a one-line complaint. Neither has a
/// newline that it does not want.
pub type Outcome = Result<String, String>;

/// Carries out one line.
pub fn line(pen: &Pen, text: &str) -> Outcome {
    match command::parse(text)? {
        Some(command) => execute(pen, command),
        None => Ok(String::new()),
    }
}

/// Carries out one line and gives what whoever sent it gets to read.
pub fn reply(pen: &Pen, text: &str) -> String {
    match line(pen, text) {
        // Paths have what whoever chose them liked.
        Ok(reply) => message::printable_lines(reply),
        Err(why) => complaint(&why),
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

/// Carries out one command.
pub fn execute(pen: &Pen, command: Command) -> Outcome {
    match command {
        Command::Nothing => Ok(String::new()),
        Command::Abuse(word) => last_resort(pen, word, |table| &mut table.abuse),
        Command::AclAdd(list, entry) => change(pen, |s| {
            if let Some(acl) = s.acls.get_mut(list) {
                acl.add(entry);
            }
        }),
        Command::AclClear(list) => change(pen, |s| {
            if let Some(acl) = s.acls.get_mut(list) {
                *acl = Acl::default();
            }
        }),
        Command::AclChoice(guard, choice) => value(pen, choice, |s| match guard {
            Guard::Client => &mut s.client_acl,
            Guard::Control => &mut s.control_acl,
            Guard::Web => &mut s.web_acl,
        }),
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
        Command::ConnMax(max) => {
            max.into_iter().for_each(|max| pen.connections.grow(max));
            Ok(format!("{}\n", pen.connections.max()))
        }
        Command::Close(index) => Err(out_of_range(index)),
        Command::Connection(index) => connection(pen, index),
        Command::Control => Ok(shown(pen.settings().control.as_deref())),
        Command::Debug(level) => {
            level.into_iter().for_each(message::set_debug);
            value(pen, level, |s| &mut s.debug)
        }
        Command::Emergency(word) => last_resort(pen, word, |table| &mut table.emergency),
        Command::Exit if pen.settings().exit_enabled && !pen.is_running() => {
            Err("exit: pen does not run yet".to_owned())
        }
        Command::Exit if pen.settings().exit_enabled => {
            sys::ask_to_stop();
            Ok(String::new())
        }
        Command::Exit => Err("Exit is not enabled; restart with -X flag".to_owned()),
        Command::Fastclose(mode) => change(pen, |s| s.fastclose = mode),
        Command::Help => Ok(help()),
        Command::Idlers(wanted) => {
            wanted.into_iter().for_each(|n| pen.want_idlers(n));
            let (now, wanted) = pen.idlers.count();
            Ok(format!("Idlers: {now}/{wanted}\n"))
        }
        Command::Include(path) => config::read(pen, &path).map(|()| String::new()),
        Command::Listen(None) => Ok(shown(pen.settings().listen.as_deref())),
        Command::Listen(Some(word)) => listen(pen, word),
        Command::Log(None) => Ok(shown(pen.settings().log.as_ref().map(LogTarget::to_string))),
        Command::Log(Some(word)) => log(pen, &word),
        Command::NoLog => {
            pen.log.close();
            change(pen, |s| s.log = None)
        }
        Command::Mode => Ok(mode(&pen.settings())),
        Command::Pid => Ok(format!("{}\n", std::process::id())),
        Command::Recent(seconds) => Ok(report::recent(pen, Duration::from_secs(seconds))),
        Command::Server(index, changes) => server(pen, index, &changes),
        Command::Servers => Ok(report::servers(pen)),
        Command::Socket(fd) => Ok(socket(pen, fd)),
        Command::Source(ip) => change(pen, |s| s.source = ip),
        Command::Status => status(pen),
        Command::Switch(Switch::Transparent, true) if pen.is_running() => {
            check_transparent()?;
            change(pen, |s| s.transparent = true)
        }
        Command::Switch(switch, on) => change(pen, |s| *flag(s, switch) = on),
        Command::TarpitAcl => Ok("tarpit_acl = -1".to_owned()),
        Command::Timer(timer, seconds) => time(pen, timer, seconds),
        Command::UdpBalance(new) => {
            let now = pen.set(|s| {
                s.modes.datagrams = new.unwrap_or(s.modes.datagrams);
                udp_balance(&s.modes)
            });
            Ok(format!("{now}\n"))
        }
        Command::Web(None) => Ok(shown(pen.settings().web.as_deref())),
        Command::Web(Some(word)) => web::open(pen, &word).map(|word| word + "\n"),
        Command::NoWeb => {
            pen.web.door.shut();
            change(pen, |s| s.web = None)
        }
        Command::WebPassword(None) => Ok(path(pen.settings().web_password.as_deref())),
        Command::WebPassword(Some(file)) => {
            pen.web.protect(&file)?;
            change(pen, |s| s.web_password = Some(file))
        }
        Command::NoWebPassword => {
            pen.web.unprotect();
            change(pen, |s| s.web_password = None)
        }
        Command::WebStats(file) => {
            let now = pen.set(|s| {
                s.web_stats = file.or(s.web_stats.take());
                s.web_stats.clone()
            });
            Ok(path(now.as_deref()))
        }
        Command::NoWebStats => change(pen, |s| s.web_stats = None),
        Command::Write(_) if pen.is_checking() => Ok(String::new()),
        Command::Write(path) => config::write(pen, path.as_deref()),
    }
}

/// Changes a setting, without a reply.
fn change(pen: &Pen, change: impl FnOnce(&mut Settings)) -> Outcome {
    pen.set(change);
    Ok(String::new())
}

/// A value on a line of its own, or nothing at all.
fn shown(value: Option<impl AsRef<str>>) -> String {
    value.map_or(String::new(), |value| format!("{}\n", value.as_ref()))
}

fn path(value: Option<&Path>) -> String {
    shown(value.map(|path| path.display().to_string()))
}

/// Sets a value if one is given, and shows it.
fn value<T: Copy + std::fmt::Display>(
    pen: &Pen,
    new: Option<T>,
    field: impl Fn(&mut Settings) -> &mut T,
) -> Outcome {
    let now = pen.set(|settings| {
        let field = field(settings);
        if let Some(new) = new {
            *field = new;
        }
        *field
    });
    Ok(format!("{now}\n"))
}

/// Longest time that can be set, in seconds: 100 years.
pub const LONGEST: u64 = 3_155_760_000;

fn time(pen: &Pen, timer: Timer, seconds: Option<u64>) -> Outcome {
    match (timer, seconds) {
        (_, Some(LONGEST..)) => return Err(format!("time too long, {LONGEST} seconds at most")),
        (Timer::Timeout, Some(0)) => return Err("timeout: at least 1 second".to_owned()),
        _ => {}
    }
    let now = pen.set(|s| {
        let field = match timer {
            Timer::Blacklist => &mut s.blacklist,
            Timer::Timeout => &mut s.timeout,
            Timer::Tracking => &mut s.tracking,
            Timer::IdleTimeout => &mut s.idle_timeout,
        };
        seconds.into_iter().for_each(|n| *field = Duration::from_secs(n));
        field.as_secs()
    });
    if timer == Timer::IdleTimeout {
        pen.idle_watch.wake();
        return Ok(format!("Idle timeout: {now} seconds\n"));
    }
    Ok(format!("{now}\n"))
}

fn flag(settings: &mut Settings, switch: Switch) -> &mut bool {
    match switch {
        Switch::Ascii => &mut settings.ascii,
        Switch::Dummy => &mut settings.dummy,
        Switch::Hash => &mut settings.modes.hash,
        Switch::Http => &mut settings.http,
        Switch::Keepalive => &mut settings.keepalive,
        Switch::Prio => &mut settings.modes.prio,
        Switch::Roundrobin => &mut settings.modes.roundrobin,
        Switch::Stubborn => &mut settings.modes.stubborn,
        Switch::TcpNodelay => &mut settings.nodelay,
        Switch::Transparent => &mut settings.transparent,
        Switch::Weight => &mut settings.modes.weight,
    }
}

/// The word for it in commands.
pub fn udp_balance(modes: &Modes) -> &'static str {
    match modes.datagrams {
        true => "datagram",
        false => "flow",
    }
}

/// Whether this process may use addresses that are not this host's.
pub fn check_transparent() -> Result<(), String> {
    let any = Place::Inet(([0; 4], 0).into());
    let tried = sys::socket_for(any, Kind::Stream).and_then(|s| sys::allow_any_source(s, any));
    tried.map_err(|e| format!("transparent: cannot connect from other hosts' addresses: {e}"))
}

/// The modes, by the commands that switch them, and whether they are on.
pub fn modes(modes: &Modes) -> [(&'static str, bool); 5] {
    [
        ("hash", modes.hash),
        ("roundrobin", modes.roundrobin),
        ("stubborn", modes.stubborn),
        ("weight", modes.weight),
        ("prio", modes.prio),
    ]
}

fn mode(settings: &Settings) -> String {
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
    for spec in command::TABLE {
        let no = if spec.has_no() { "[no] " } else { "" };
        let usage = format!("{no}{} {}", spec.name, spec.args);
        let _ = writeln!(text, "{} - {}", usage.trim_end(), spec.help);
    }
    text
}

/// Where pen listens already it stays: opening the place again would lose those
/// who queue there.
fn listen(pen: &Pen, word: String) -> Outcome {
    let settings = pen.settings();
    if pen.is_running() {
        if settings.listen.as_ref() == Some(&word) {
            return Ok(format!("{word}\n"));
        }
        pen.open_door(Listener::open(&word, settings.start.kind, settings.backlog)?);
    } else {
        addr::endpoint(&word)?;
    }
    let reply = format!("{word}\n");
    pen.set(|s| s.listen = Some(word));
    Ok(reply)
}

fn log(pen: &Pen, word: &str) -> Outcome {
    let target = LogTarget::parse(word);
    if pen.is_running() {
        pen.log.open(&target, false)?;
    }
    pen.set(|s| s.log = Some(target));
    Ok(format!("{word}\n"))
}

/// Sets or shows the emergency or the abuse server.
fn last_resort(
    pen: &Pen,
    word: Option<String>,
    slot: fn(&mut Table) -> &mut Option<Server>,
) -> Outcome {
    if let Some(word) = word {
        let spec = addr::server(&word, default_port(pen))?;
        let new = (spec.host != Host::Empty).then(|| Server::new(spec));
        *slot(&mut pen.servers.table()) = new;
        return Ok(String::new());
    }
    let table = &mut pen.servers.table();
    let server = slot(table).as_ref();
    Ok(shown(server.map(Server::operand)))
}

/// The listening port, for servers that have none of their own.
fn default_port(pen: &Pen) -> Option<u16> {
    let word = pen.settings().listen.clone()?;
    addr::endpoint(&word).ok()?.port()
}

fn server(pen: &Pen, index: usize, changes: &[Change]) -> Outcome {
    // Everything that can fail or take long comes before the lock.
    let mut host = None;
    let mut port = None;
    for change in changes {
        match change {
            Change::Address(word) => host = Some(addr::host(word)?),
            Change::Port(word) => port = Some(addr::port(word)?),
            _ => {}
        }
    }
    let default_port = default_port(pen).unwrap_or(0);
    let mut table = pen.servers.table();
    table.fill(index, default_port);
    let Some(server) = table.servers.get_mut(index) else {
        return Ok(String::new());
    };
    if let Some(host) = host {
        // pen quirk: a Unix-socket server is listed with port 1.
        if matches!(host, Host::Unix(_)) {
            server.port = 1;
        }
        server.host = host.into();
    }
    if let Some(port) = port {
        server.port = port;
    }
    for change in changes {
        match *change {
            Change::Acl(list) => server.acl = list,
            Change::Max(n) => server.max = n,
            Change::Hard(n) => server.hard = n,
            Change::Weight(n) => server.weight = n,
            Change::Prio(n) => server.prio = n,
            Change::Blacklist(0) => drop(server.clear_blacklist()),
            Change::Blacklist(n) => {
                let end = Instant::now().checked_add(Duration::from_secs(n.min(LONGEST)));
                end.into_iter().for_each(|end| server.drain_until(end));
            }
            Change::Address(_) | Change::Port(_) => {}
        }
    }
    Ok(String::new())
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
pub fn write_page(path: &Path, page: &str) -> Result<(), String> {
    files::replace(path, page.as_bytes())
        .map_err(|e| format!("{}: cannot write the report: {e}", path.display()))
}

/// Opens what a running pen has open, at start or after HUP.
pub fn open_log(pen: &Pen) -> Result<(), String> {
    match &pen.settings().log {
        Some(target) => pen.log.open(target, !pen.is_running()),
        None => Ok(()),
    }
}

/// Opens the listening socket that the settings name.
pub fn open_listener(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    let word = settings.listen.as_deref().unwrap_or_default();
    let listener = Listener::open(word, settings.start.kind, settings.backlog)?;
    message::debug(1, || format!("listening on {}", listener.address));
    pen.open_door(listener);
    Ok(())
}
