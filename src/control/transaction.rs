//! All changes that one command or a whole configuration file makes take effect in
//! one step, or none of them does.
//!
//! 1. [`Transaction::add`] checks each command and does what may fail or take
//!    long: it looks names up and reads the password.
//! 2. [`Transaction::commit`] opens the logs and the listening sockets.
//! 3. It replaces settings and servers under one lock. After that, only commands
//!    that change neither can fail, such as `close` and `write`.
//!
//! A file with an error changes nothing, because pen drops the transaction before
//! the second step.

use super::edit::Edit;
use super::row::Value;
use crate::access::Secret;
use crate::control::commands::{self, Outcome};
use crate::control::parse::Command;
use crate::control::service;
use crate::pool::acl::Acl;
use crate::pool::choice::Target;
use crate::pool::server::Server;
use crate::proxy::changes;
use crate::proxy::listener::Listener;
use crate::proxy::listeners::{self, Set};
use crate::proxy::log::Destination;
use crate::proxy::loops;
use crate::proxy::shared::Pen;
use crate::proxy::state;
use crate::settings::Settings;
use crate::sys::addr::{self, DefaultPort, Endpoint, Host};
use crate::sys::message;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Commands that take effect together.
pub struct Transaction<'a> {
    pen: &'a Pen,
    /// The commands with their positions, except those that change servers.
    steps: Vec<(Command, String)>,
    servers: BTreeMap<usize, Edit>,
    emergency: Option<Option<Server>>,
    abuse: Option<Option<Server>>,
    secret: Option<Option<Arc<Secret>>>,
    /// The words that commands set, by the names of the commands.
    words: BTreeMap<&'static str, WordSet>,
}

/// The word that the last command of a name sets, or `None` after `no`, and the
/// position of that command.
struct WordSet {
    word: Option<String>,
    position: String,
}

/// The files and sockets that are opened before the settings are replaced, and put
/// to use after that.
#[derive(Default)]
struct Opened {
    log: Option<Destination>,
    conn_log: Option<Destination>,
    web: Option<Listener>,
    listeners: Option<Set>,
}

impl<'a> Transaction<'a> {
    /// Makes a transaction without commands.
    pub fn new(pen: &'a Pen) -> Transaction<'a> {
        Transaction {
            pen,
            steps: Vec::new(),
            servers: BTreeMap::new(),
            emergency: None,
            abuse: None,
            secret: None,
            words: BTreeMap::new(),
        }
    }

    /// Adds a command, or says why pen cannot carry it out. Later complaints about it
    /// begin with `position`.
    pub fn add(&mut self, mut command: Command, position: &str) -> Result<(), String> {
        let pen = self.pen;
        match &mut command {
            Command::Nothing => return Ok(()),
            Command::Server(index, changes) => {
                return self.servers.entry(*index).or_default().add(changes, position);
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
            Command::Set(spec, value) => self.check(spec.name, value, position)?,
            _ => {}
        }
        self.steps.push((command, position.to_owned()));
        Ok(())
    }

    /// Checks a new value against the state of pen. Remembers words, since they may name
    /// a file or a socket to open.
    fn check(
        &mut self,
        name: &'static str,
        value: &mut Value,
        position: &str,
    ) -> Result<(), String> {
        let pen = self.pen;
        match (name, &mut *value) {
            ("listen", Value::Text(Some(word))) => drop(addr::endpoints(word)?),
            ("transparent", Value::Flag(true)) if pen.is_running() => {
                commands::check_transparent()?;
            }
            ("web", Value::Text(Some(word))) => *word = service::check_web(pen, word)?,
            ("web_password", Value::Text(file)) => {
                let secret = |file: &mut String| pen.access.secret_in(Path::new(file));
                self.secret = Some(file.as_mut().map(secret).transpose()?);
            }
            _ => {}
        }
        if let Value::Text(word) = value {
            self.words.insert(name, WordSet { word: word.clone(), position: position.to_owned() });
        }
        Ok(())
    }

    /// Resolves the operand of an emergency or abuse server. `0` means none.
    fn last_resort(&self, word: &str) -> Result<Option<Server>, String> {
        let spec = addr::server(word, self.port())?;
        Ok((spec.host != Host::Empty).then(|| Server::new(spec)))
    }

    /// Returns the word that the last command of this name sets, if one does, and the
    /// position of that command.
    fn word(&self, name: &str) -> Option<(&str, &str)> {
        let set = self.words.get(name)?;
        Some((set.word.as_deref()?, &set.position))
    }

    /// Tells whether the last command of this name has `no` before it.
    fn is_unset(&self, name: &str) -> bool {
        self.words.get(name).is_some_and(|set| set.word.is_none())
    }

    /// Returns the listening port, which is the default port of servers.
    fn port(&self) -> Option<DefaultPort> {
        let word = match self.word("listen") {
            Some((word, _)) => Some(word.to_owned()),
            None => self.pen.settings().listen.clone(),
        };
        addr::listening(&word?).ok()?.default_port()
    }

    /// Applies all changes, and returns the replies of the commands, or else a line for
    /// each complaint. Then either nothing has changed, or a command failed that changes
    /// neither settings nor servers.
    pub fn commit(mut self) -> Outcome {
        let port = if self.servers.is_empty() { None } else { self.port() };
        let mut same = self.servers.values().filter_map(Edit::takes_same_port);
        if let Some(position) = same.next().filter(|_| port.is_none()) {
            return Err(format!("{position}port same: pen listens at no port"));
        }
        let port = port.unwrap_or_default();
        self.refuse_loops(port)?;
        let opened = self.open()?;
        let own = opened.listeners.as_ref().map(listeners::places);
        let replies = loop {
            if let Some(replies) = self.swap(port, own.as_ref()) {
                break replies;
            }
        };
        let mut complaints = self.use_what_was_opened(opened);
        let mut text = String::new();
        for ((command, position), reply) in self.steps.into_iter().zip(replies) {
            let result = match reply {
                Some(reply) => Ok(reply),
                None => commands::act(self.pen, command).map_err(|why| position + &why),
            };
            match result {
                Ok(reply) => text.push_str(&reply),
                Err(why) => complaints.push(why),
            }
        }
        if complaints.is_empty() { Ok(text) } else { Err(complaints.join("\n")) }
    }

    /// Opens logs and sockets if pen runs; a starting pen opens them later. A socket
    /// whose address does not change stays open, because the clients that wait in its
    /// queue would be lost with it.
    fn open(&self) -> Result<Opened, String> {
        let mut opened = Opened::default();
        if !self.pen.is_running() {
            return Ok(opened);
        }
        let settings = self.pen.settings();
        opened.log = self.opened("log", None, |word| Destination::for_requests(word, false))?;
        opened.conn_log =
            self.opened("conn_log", None, |word| Destination::for_connections(word, false))?;
        self.opened("state", settings.state.as_deref(), state::check)?;
        let old = settings.web.as_deref();
        opened.web = self.opened("web", old, |word| service::listen("web", word, None))?;
        let old = settings.listen.as_deref();
        let now = self.pen.listener.current();
        let listen = |word: &str| listeners::open(word, &settings, &now);
        opened.listeners = self.opened("listen", old, listen)?;
        Ok(opened)
    }

    /// Opens the word that the last command of this name sets, unless it is `old`.
    fn opened<T>(
        &self,
        name: &str,
        old: Option<&str>,
        open: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        let set = self.word(name).filter(|(word, _)| Some(*word) != old);
        set.map(|(word, position)| open(word).map_err(|why| format!("{position}{why}"))).transpose()
    }

    /// Refuses servers at pen's own listening address. It checks only while pen runs,
    /// since a starting pen may still get another address.
    fn refuse_loops(&self, port: DefaultPort) -> Result<(), String> {
        let settings = self.pen.settings();
        let Some(own) = &settings.own else { return Ok(()) };
        let new = self.word("listen").map(|(word, _)| addr::listening(word)).transpose()?;
        let own = new.as_ref().unwrap_or(own);
        // Comparing addresses may take system calls, which must not be made under the
        // lock, so the moves are collected first.
        let mut moved = Vec::new();
        for (index, edit) in &self.servers {
            let moves = edit.moves(self.pen.servers.table().servers.get(*index), port);
            moved.extend(moves.map(|moves| (*index, moves)));
        }
        for (index, (position, host, port)) in moved {
            loops::refuse(own, &host, port)
                .map_err(|why| format!("{position}server {index}: {why}"))?;
        }
        for server in [&self.emergency, &self.abuse].into_iter().flatten().flatten() {
            loops::refuse(own, &server.host, server.fixed_port())
                .map_err(|why| format!("{}: {why}", server.operand(false)))?;
        }
        match &new {
            Some(own) => loops::refuse_listening(self.pen, own, |target| match target {
                Target::Server(index) => {
                    let edit = self.servers.get(&index);
                    edit.is_none_or(|edit| edit.moves(None, 0.into()).is_none())
                }
                Target::Emergency => self.emergency.is_none(),
                Target::Abuse => self.abuse.is_none(),
            }),
            None => Ok(()),
        }
    }

    /// Replaces settings and servers in one step, and returns the reply of each command
    /// that is about settings. `None` means that another thread has changed the settings
    /// meanwhile, so the caller must try again. Servers without a port get `port`. pen listens
    /// at `own` from now on, if that is given.
    fn swap(&mut self, port: DefaultPort, own: Option<&Endpoint>) -> Option<Vec<Option<String>>> {
        let before = self.pen.settings();
        let mut after = Settings::clone(&before);
        let replies = self.steps.iter().map(|(command, _)| set(&mut after, command)).collect();
        if own.is_some() {
            after.own = own.cloned();
        }
        // Other threads compare pointers to detect changes.
        let after = if *before == after { Arc::clone(&before) } else { Arc::new(after) };
        let mut table = self.pen.servers.table();
        if !Arc::ptr_eq(&table.settings, &before) {
            return None;
        }
        table.settings = Arc::clone(&after);
        let mut changes = Vec::new();
        for (index, edit) in std::mem::take(&mut self.servers) {
            table.fill(index, port);
            if let Some(server) = table.servers.get_mut(index) {
                if let Some(change) = edit.apply(server) {
                    changes.push((index, Arc::clone(&server.host), server.port, change));
                }
            }
        }
        if let Some(first) =
            own.and_then(Endpoint::port).or((port.number > 0).then_some(port.number))
        {
            table.listen_at(first);
        }
        changes.extend(table.expand());
        table.emergency = last_resort_after(table.emergency.take(), self.emergency.take());
        table.abuse = last_resort_after(table.abuse.take(), self.abuse.take());
        drop(table);
        if before.debug != after.debug {
            message::set_debug(after.debug);
        }
        if before.client_keepalive != after.client_keepalive {
            self.pen.listener.keep_alive(after.client_keepalive);
        }
        if before.idle_timeout != after.idle_timeout
            || before.half_closed_timeout != after.half_closed_timeout
        {
            self.pen.idle_watch.wake();
        }
        if before.check.is_zero() != after.check.is_zero() {
            self.pen.want_idlers(self.pen.idlers.count().1);
        }
        self.pen.health_file.ask();
        self.pen.checks.wake();
        self.pen.name_watch.wake();
        for (index, host, port, change) in changes {
            changes::announce(self.pen, Target::Server(index), &host, port, change);
        }
        Some(replies)
    }

    /// Switches to the new sockets, logs and password. A log complains if its thread
    /// does not take the new file.
    fn use_what_was_opened(&mut self, opened: Opened) -> Vec<String> {
        let (pen, mut complaints) = (self.pen, Vec::new());
        if let Some(secret) = self.secret.take() {
            pen.access.protect(secret);
        }
        let nowhere = |name| self.is_unset(name).then_some(Destination::None);
        if let Some(to) = opened.log.or_else(|| nowhere("log")) {
            complaints.extend(pen.log.switch(to).err());
        }
        match opened.web {
            Some(listener) => pen.web_listener.open(listener),
            None if self.is_unset("web") => pen.web_listener.shut(),
            None => {}
        }
        for (name, chore) in [("state", &pen.state), ("health_file", &pen.health_file)] {
            if self.word(name).is_some() {
                complaints.extend(chore.start().err());
                chore.ask();
            }
        }
        if let Some(to) = opened.conn_log.or_else(|| nowhere("conn_log")) {
            complaints.extend(pen.conn_log.switch(to).err());
        }
        if let Some(set) = opened.listeners {
            pen.listen(set);
            // They were opened with the settings that have just been replaced.
            pen.listener.keep_alive(pen.settings().client_keepalive);
        }
        complaints
    }
}

/// Returns the emergency or abuse server after a change. A server that is set to the
/// same operand again keeps its connections and counts.
fn last_resort_after(old: Option<Server>, new: Option<Option<Server>>) -> Option<Server> {
    let words = |server: &Server| (Arc::clone(&server.name), server.operand(false));
    match new {
        None => old,
        Some(new) if new.as_ref().map(words) == old.as_ref().map(words) => old,
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

/// Carries out a command that is about settings only and returns its reply; `None`
/// if it is another command.
fn set(s: &mut Settings, command: &Command) -> Option<String> {
    match command {
        Command::Set(spec, value) => return Some(spec.set(s, value)),
        Command::Show(spec) => return Some(spec.show(s)),
        Command::AclAdd(list, entry) => {
            if let Some(acl) = s.acls.get_mut(*list) {
                acl.add(*entry);
            }
        }
        Command::AclClear(list) => {
            if let Some(acl) = s.acls.get_mut(*list) {
                *acl = Acl::default();
            }
        }
        _ => return None,
    }
    Some(String::new())
}
