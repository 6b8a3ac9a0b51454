//! What control commands change: everything that one command or a whole
//! configuration file asks for takes effect in one step, or not at all.
//!
//! 1. [`Transaction::add`] checks each command and fetches what may fail or
//!    take long: it looks names up and reads the password.
//! 2. [`Transaction::commit`] opens the log and the listening sockets.
//! 3. Settings and servers change under one lock. From here on nothing fails,
//!    but for commands that show or act on what is there (`close`, `write`).
//!
//! A file with an error changes nothing: it is given up before the second step.

use super::edit::{Edit, LONGEST};
use crate::control::commands;
use crate::control::parse::{Command, Timer};
use crate::control::visitors;
use crate::pool::choice::Target;
use crate::pool::server::Server;
use crate::proxy::listener::Listener;
use crate::proxy::log::connections::ConnLog;
use crate::proxy::log::{Destination, Output};
use crate::proxy::loops;
use crate::proxy::shared::Pen;
use crate::settings::{ConnTarget, LogTarget, Settings};
use crate::sys;
use crate::sys::access::Secret;
use crate::sys::addr::{self, Host};
use crate::sys::message;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

mod set;

/// Commands that take effect together.
pub struct Transaction<'a> {
    pen: &'a Pen,
    steps: Vec<Step>,
    servers: BTreeMap<usize, Edit>,
    emergency: Option<Option<Server>>,
    abuse: Option<Option<Server>>,
    secret: Option<Option<Arc<Secret>>>,
    log: Option<Asked<Option<LogTarget>>>,
    conn_log: Option<Asked<Option<ConnTarget>>>,
    web: Option<Asked<Option<String>>>,
    listen: Option<Asked<String>>,
}

/// What the last command of a kind asks for, and where it stands.
struct Asked<T> {
    what: T,
    place: String,
}

enum Step {
    /// Changes or shows a setting.
    Set(Command),
    /// Shows or does something else, once all settings are in force. A
    /// complaint names where it stands.
    Act(Command, String),
}

/// What was opened and is not in use yet.
#[derive(Default)]
struct Opened {
    log: Option<Output>,
    conn_log: Option<Destination>,
    web: Option<Listener>,
    listener: Option<Listener>,
}

impl<'a> Transaction<'a> {
    /// Without any command.
    pub fn new(pen: &'a Pen) -> Transaction<'a> {
        Transaction {
            pen,
            steps: Vec::new(),
            servers: BTreeMap::new(),
            emergency: None,
            abuse: None,
            secret: None,
            log: None,
            conn_log: None,
            web: None,
            listen: None,
        }
    }

    /// Adds a command, or says why it cannot be carried out. `place` is where
    /// it stands, for later complaints, which begin with it.
    pub fn add(&mut self, mut command: Command, place: &dyn Display) -> Result<(), String> {
        let place = || place.to_string();
        let pen = self.pen;
        match &mut command {
            Command::Nothing => return Ok(()),
            Command::Server(index, changes) => {
                return self.servers.entry(*index).or_default().add(changes, place);
            }
            Command::Emergency(Some(word)) => {
                self.emergency = Some(self.last_resort(word)?);
                return Ok(());
            }
            Command::Abuse(Some(word)) => {
                self.abuse = Some(self.last_resort(word)?);
                return Ok(());
            }
            Command::Exit => check_exit(pen)?,
            Command::ConnLog(Some(word)) => {
                let what = Some(ConnTarget::parse(word));
                self.conn_log = Some(Asked { what, place: place() });
            }
            Command::NoConnLog => self.conn_log = Some(Asked { what: None, place: place() }),
            Command::Listen(Some(word)) => {
                addr::endpoint(word)?;
                self.listen = Some(Asked { what: word.clone(), place: place() });
            }
            Command::Log(Some(word)) => {
                self.log = Some(Asked { what: Some(LogTarget::parse(word)), place: place() });
            }
            Command::NoLog => self.log = Some(Asked { what: None, place: place() }),
            Command::Switch(crate::control::parse::Switch::Transparent, true)
                if pen.is_running() =>
            {
                commands::check_transparent()?;
            }
            Command::Timer(timer, Some(seconds)) => check_time(*timer, *seconds)?,
            Command::Web(Some(word)) => {
                *word = visitors::check_web(pen, word)?;
                self.web = Some(Asked { what: Some(word.clone()), place: place() });
            }
            Command::NoWeb => self.web = Some(Asked { what: None, place: place() }),
            Command::WebPassword(Some(file)) => {
                self.secret = Some(Some(pen.access.secret_in(file)?))
            }
            Command::NoWebPassword => self.secret = Some(None),
            _ => {}
        }
        self.steps.push(match set::is_setting(&command) {
            true => Step::Set(command),
            false => Step::Act(command, place()),
        });
        Ok(())
    }

    /// The server that an operand of the emergency or the abuse server means.
    fn last_resort(&self, word: &str) -> Result<Option<Server>, String> {
        let spec = addr::server(word, self.port())?;
        Ok((spec.host != Host::Empty).then(|| Server::new(spec)))
    }

    /// The listening port, for servers that have none of their own.
    fn port(&self) -> Option<u16> {
        let word = match &self.listen {
            Some(asked) => Some(asked.what.clone()),
            None => self.pen.settings().listen.clone(),
        };
        addr::endpoint(&word?).ok()?.port()
    }

    /// Puts everything in force. What the commands reply, and complaints: with
    /// some of those either nothing has changed, or what failed is a command
    /// that changes nothing.
    pub fn commit(mut self) -> (String, Vec<String>) {
        let port = match self.servers.is_empty() {
            true => 0,
            false => self.port().unwrap_or(0),
        };
        let opened = match self.refuse_loops(port).and_then(|()| self.open()) {
            Ok(opened) => opened,
            Err(why) => return (String::new(), vec![why]),
        };
        let replies = loop {
            if let Some(replies) = self.swap(port) {
                break replies;
            }
        };
        let mut complaints = self.use_what_was_opened(opened);
        let mut text = String::new();
        for (step, reply) in self.steps.into_iter().zip(replies) {
            match step {
                Step::Set(_) => text.push_str(&reply),
                Step::Act(command, place) => match commands::act(self.pen, command) {
                    Ok(reply) => text.push_str(&reply),
                    Err(why) => complaints.push(place + &why),
                },
            }
        }
        (text, complaints)
    }

    /// Opens what a running pen has to open; before it runs, that is done in
    /// its turn at the start. Where pen listens already it stays: opening the
    /// place again would lose those who queue there.
    fn open(&self) -> Result<Opened, String> {
        let mut opened = Opened::default();
        if !self.pen.is_running() {
            return Ok(opened);
        }
        let settings = self.pen.settings();
        if let Some(Asked { what: Some(target), place }) = &self.log {
            opened.log = Some(Output::open(target, false).map_err(|why| format!("{place}{why}"))?);
        }
        if let Some(Asked { what, place }) = &self.conn_log {
            let to = what.as_ref();
            let to = to.map_or(Ok(Destination::None), |target| ConnLog::open(target, false));
            opened.conn_log = Some(to.map_err(|why| format!("{place}{why}"))?);
        }
        if let Some(Asked { what: Some(word), place }) = &self.web {
            if settings.web.as_ref() != Some(word) {
                let listener = visitors::listen("web", word, None);
                opened.web = Some(listener.map_err(|why| format!("{place}{why}"))?);
            }
        }
        if let Some(Asked { what: word, place }) = &self.listen {
            if settings.listen.as_ref() != Some(word) {
                let listener = Listener::open_for_clients(word, &settings);
                opened.listener = Some(listener.map_err(|why| format!("{place}{why}"))?);
            }
        }
        Ok(opened)
    }

    /// Refuses servers that are where pen itself listens. Before it runs, it may
    /// still be told to listen somewhere else.
    fn refuse_loops(&self, port: u16) -> Result<(), String> {
        let settings = self.pen.settings();
        let Some(own) = &settings.own else {
            return Ok(());
        };
        let new = self.listen.as_ref().map(|asked| addr::endpoint(&asked.what)).transpose()?;
        let own = new.as_ref().unwrap_or(own);
        // Looked at without the lock, as that may take system calls.
        let mut moved = Vec::new();
        for (index, edit) in &self.servers {
            let moves = edit.moves(self.pen.servers.table().servers.get(*index), port);
            moved.extend(moves.map(|moves| (*index, moves)));
        }
        for (index, (place, host, port)) in moved {
            loops::refuse(own, &host, port)
                .map_err(|why| format!("{place}server {index}: {why}"))?;
        }
        for server in [&self.emergency, &self.abuse].into_iter().flatten().flatten() {
            loops::refuse(own, &server.host, server.port)
                .map_err(|why| format!("{}: {why}", server.operand()))?;
        }
        match &new {
            Some(own) => loops::refuse_listening(self.pen, own, |target| match target {
                Target::Server(index) => {
                    let edit = self.servers.get(&index);
                    edit.is_none_or(|edit| edit.moves(None, 0).is_none())
                }
                Target::Emergency => self.emergency.is_none(),
                Target::Abuse => self.abuse.is_none(),
            }),
            None => Ok(()),
        }
    }

    /// Exchanges settings and servers in one step, unless somebody else has
    /// changed the settings meanwhile: then it is to be called again. What the
    /// commands reply, one each. `port` is for servers without one.
    fn swap(&mut self, port: u16) -> Option<Vec<String>> {
        let before = self.pen.settings();
        let mut after = Settings::clone(&before);
        let replies = self.steps.iter().map(|step| match step {
            Step::Set(command) => set::set(&mut after, command),
            Step::Act(..) => String::new(),
        });
        let replies = replies.collect();
        let wakes = before.idle_timeout != after.idle_timeout
            || before.half_closed_timeout != after.half_closed_timeout;
        let idle =
            (before.client_keepalive != after.client_keepalive).then_some(after.client_keepalive);
        let level = (before.debug != after.debug).then_some(after.debug);
        // What is not changed stays the same one for those who look at it.
        let after = if *before == after { Arc::clone(&before) } else { Arc::new(after) };
        let mut table = self.pen.servers.table();
        if !Arc::ptr_eq(&table.settings, &before) {
            return None;
        }
        table.settings = after;
        for (index, edit) in std::mem::take(&mut self.servers) {
            table.fill(index, port);
            if let Some(server) = table.servers.get_mut(index) {
                edit.apply(server);
            }
        }
        table.emergency = last_resort_after(table.emergency.take(), self.emergency.take());
        table.abuse = last_resort_after(table.abuse.take(), self.abuse.take());
        drop(table);
        level.into_iter().for_each(message::set_debug);
        idle.into_iter().for_each(|idle| self.pen.door.keep_alive(idle));
        if wakes {
            self.pen.idle_watch.wake();
        }
        Some(replies)
    }

    /// Complains if the log's thread does not take its new file.
    fn use_what_was_opened(&mut self, opened: Opened) -> Vec<String> {
        let (pen, mut complaints) = (self.pen, Vec::new());
        if let Some(secret) = self.secret.take() {
            pen.access.protect(secret);
        }
        match (opened.log, &self.log) {
            (Some(output), _) => complaints.extend(pen.log.switch(output).err()),
            (None, Some(Asked { what: None, .. })) => pen.log.close(),
            _ => {}
        }
        match (opened.web, &self.web) {
            (Some(listener), _) => pen.web_door.open(listener),
            (None, Some(Asked { what: None, .. })) => pen.web_door.shut(),
            _ => {}
        }
        if let Some(to) = opened.conn_log {
            complaints.extend(pen.conn_log.switch(to).err());
        }
        if let Some(listener) = opened.listener {
            pen.open_door(listener);
            // It was opened with what was set before.
            pen.door.keep_alive(pen.settings().client_keepalive);
        }
        complaints
    }
}

/// The last resort that is there after a change: one that is the same as before
/// keeps its connections and counts.
fn last_resort_after(old: Option<Server>, new: Option<Option<Server>>) -> Option<Server> {
    match new {
        None => old,
        Some(new) if new.as_ref().map(Server::operand) == old.as_ref().map(Server::operand) => old,
        Some(new) => new,
    }
}

fn check_exit(pen: &Pen) -> Result<(), String> {
    match (pen.settings().exit_enabled, pen.is_running()) {
        (true, true) => Ok(()),
        (true, false) => Err("exit: pen does not run yet".to_owned()),
        (false, _) => Err("Exit is not enabled; restart with -X flag".to_owned()),
    }
}

fn check_time(timer: Timer, seconds: u64) -> Result<(), String> {
    match (timer, seconds) {
        (_, LONGEST..) => Err(format!("time too long, {LONGEST} seconds at most")),
        (Timer::ClientKeepalive, n) if n > sys::LONGEST_KEEP_ALIVE => {
            let most = sys::LONGEST_KEEP_ALIVE;
            Err(format!("client_keepalive: {most} seconds at most"))
        }
        (Timer::Timeout, 0) => Err("timeout: at least 1 second".to_owned()),
        _ => Ok(()),
    }
}
