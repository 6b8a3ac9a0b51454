//! The server table that all threads share, and the settings: one lock, held for
//! moments.

use crate::pool::choice::{Target, Turns};
use crate::pool::expand;
use crate::pool::health::Change;
use crate::pool::server::Server;
use crate::settings::Settings;
use crate::sys::addr::{DefaultPort, Host};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// All servers. One lock, held for moments.
#[derive(Debug, Default)]
pub struct Servers(Mutex<Table>);

/// What the lock guards.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The regular servers, by index.
    pub servers: Vec<Server>,
    /// The server of last resort.
    pub emergency: Option<Server>,
    /// Where denied clients go.
    pub abuse: Option<Server>,
    /// The settings in force. They are under the same lock, so that nobody
    /// chooses among new servers by old settings, or the other way round.
    pub settings: Arc<Settings>,
    /// Where the choice in turn stands.
    pub(super) turns: Turns,
    draws: u32,
}

impl Table {
    /// The server at a target, if there is one.
    pub fn get_mut(&mut self, target: Target) -> Option<&mut Server> {
        match target {
            Target::Server(index) => self.servers.get_mut(index),
            Target::Emergency => self.emergency.as_mut(),
            Target::Abuse => self.abuse.as_mut(),
        }
    }

    /// The regular servers by index, then the emergency and the abuse server.
    pub fn all(&self) -> impl Iterator<Item = (Target, &Server)> {
        let regular = self.servers.iter().enumerate();
        let regular = regular.map(|(index, server)| (Target::Server(index), server));
        let emergency = self.emergency.iter().map(|server| (Target::Emergency, server));
        let abuse = self.abuse.iter().map(|server| (Target::Abuse, server));
        regular.chain(emergency).chain(abuse)
    }

    /// Gives each address of a name a slot, if that is set. Returns the servers whose
    /// state that changes, and where they are.
    pub(crate) fn expand(&mut self) -> Vec<(usize, Arc<Host>, u16, Change)> {
        let changes = expand::fit(&mut self.servers, self.settings.expand, Instant::now());
        let servers = &self.servers;
        let placed = |(index, change): (usize, Change)| {
            let server = servers.get(index)?;
            Some((index, Arc::clone(&server.host), server.port, change))
        };
        changes.into_iter().filter_map(placed).collect()
    }

    /// The regular servers, the emergency and the abuse server, to be changed.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = (Target, &mut Server)> {
        let regular = self.servers.iter_mut().enumerate();
        let regular = regular.map(|(index, server)| (Target::Server(index), server));
        let emergency = self.emergency.iter_mut().map(|server| (Target::Emergency, server));
        let abuse = self.abuse.iter_mut().map(|server| (Target::Abuse, server));
        regular.chain(emergency).chain(abuse)
    }

    /// Makes the table reach to `index`; new slots get this port.
    pub(crate) fn fill(&mut self, index: usize, port: DefaultPort) {
        while self.servers.len() <= index {
            self.servers.push(Server::empty(port));
        }
    }

    /// The first listening port is this one now.
    pub(crate) fn listen_at(&mut self, port: u16) {
        let same = self.all_mut().filter(|(_, server)| server.same_port);
        same.for_each(|(_, server)| server.set_port(port));
    }

    /// Draws a number. Any few that follow one another are spread evenly (multiples of
    /// the golden ratio).
    pub(super) fn draw(&mut self) -> u32 {
        self.draws = self.draws.wrapping_add(0x9e37_79b9);
        self.draws
    }

    /// The server chosen last in turn.
    pub fn cursor(&self) -> usize {
        self.turns.chosen.unwrap_or(0)
    }
}

impl Servers {
    /// The settings in force now. They do not change under the caller.
    // Called from everywhere: pen is smaller when it stays a call.
    #[inline(never)]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.table().settings)
    }

    /// A copy, to which a search does nothing that matters.
    pub(crate) fn copy(&self) -> Arc<Servers> {
        Arc::new(Servers(Mutex::new(self.table().clone())))
    }

    /// The table under its lock, for reading and changing it.
    pub fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        crate::lock(&self.0)
    }
}
