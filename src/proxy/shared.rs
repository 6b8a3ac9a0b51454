//! The one shared state: everything that threads have in common.

use super::servers::Servers;
use crate::access::Access;
use crate::pool::clients::{Client, ClientTable, Visit};
use crate::pool::counter::{Counter, Outcomes};
use crate::proxy::changes::{Events, Runs};
use crate::proxy::checks::Checks;
use crate::proxy::chore::Chore;
use crate::proxy::client_limits::ClientLimits;
use crate::proxy::idle::Waker;
use crate::proxy::idlers::Idlers;
use crate::proxy::limits::Limits;
use crate::proxy::listeners::{Listeners, Set};
use crate::proxy::log::connections::ConnLog;
use crate::proxy::log::{Log, Logs};
use crate::proxy::restart::Restart;
use crate::proxy::slots::Connections;
use crate::proxy::workers::Workers;
use crate::settings::Settings;
use crate::sys::message;
use crate::udp::flows::Flows;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being put together; sockets and logs are not open yet.
    Starting,
    /// The same, and it will not run (`--check`).
    Checking,
    /// Running.
    Running,
    /// Running until its connections have finished: TERM has come, and `drain_timeout`
    /// is set.
    Draining,
    /// The same; another process has taken over, and has all clients that come.
    Replaced,
}

/// A running pen, or one being put together from its options.
pub struct Pen {
    clients: Mutex<ClientTable>,
    /// The server table, and the settings.
    pub servers: Arc<Servers>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// The threads that serve them.
    pub workers: Arc<Workers>,
    /// The request log.
    pub log: Arc<Log>,
    /// The connection log.
    pub conn_log: Arc<ConnLog>,
    /// Lines of both that were lost.
    pub log_lost: Arc<Counter>,
    /// What became of clients.
    pub outcomes: Outcomes,
    /// What is counted for the limits of each client.
    pub client_limits: ClientLimits,
    /// Where clients connect.
    pub listener: Listeners,
    /// The control port.
    pub control_listener: Listeners,
    /// The web interface's port.
    pub web_listener: Listeners,
    /// Who may control pen from there.
    pub access: Access,
    /// When pen was made.
    pub started: Instant,
    /// The same in seconds since 1970, by the clock of then.
    pub start_time: u64,
    /// Who ends quiet connections.
    pub idle_watch: Waker,
    /// The checks of servers.
    pub checks: Checks,
    /// Who looks names up again.
    pub name_watch: Waker,
    /// What has happened to servers.
    pub events: Events,
    /// Runs of the program of `on_change`.
    pub runs: Runs,
    /// Connections without clients.
    pub idlers: Idlers,
    /// The flows of datagrams.
    pub(crate) flows: Flows,
    /// Each connection of the control port or the web interface holds one of these.
    pub(crate) visitors: Arc<()>,
    /// The process that takes over.
    pub(crate) restart: Restart,
    /// Saves the client table.
    pub state: Chore,
    /// Writes the file that says whether pen can serve a client.
    pub health_file: Chore,
    limits: OnceLock<Limits>,
    phase: AtomicU8,
}

/// Slots in the client table unless told otherwise.
pub const CLIENTS: usize = 2048;

/// Most connections at once unless told otherwise.
pub const CONNECTIONS: usize = 500;

impl Pen {
    /// Defaults all over, no servers. Commands can still make the tables
    /// smaller than their default sizes, see [`Pen::use_default_sizes`].
    pub fn new() -> io::Result<Pen> {
        let log_lost = Arc::default();
        Ok(Pen {
            clients: Mutex::new(ClientTable::new(0)),
            servers: Arc::default(),
            connections: Connections::new(0),
            workers: Workers::new()?,
            log: Arc::new(Log::new(&log_lost)),
            conn_log: Arc::new(ConnLog::new(&log_lost)),
            log_lost,
            outcomes: Outcomes::default(),
            client_limits: ClientLimits::default(),
            listener: Listeners::new()?,
            control_listener: Listeners::new()?,
            web_listener: Listeners::new()?,
            access: Access::default(),
            started: Instant::now(),
            start_time: message::unix_time(),
            idle_watch: Waker::default(),
            checks: Checks::default(),
            name_watch: Waker::default(),
            events: Events::default(),
            runs: Runs::default(),
            idlers: Idlers::default(),
            flows: Flows::new()?,
            visitors: Arc::default(),
            restart: Restart::default(),
            state: Chore::default(),
            health_file: Chore::default(),
            limits: OnceLock::new(),
            phase: AtomicU8::new(Phase::Starting as u8),
        })
    }

    /// The tables get their default sizes, if nobody has said otherwise.
    pub fn use_default_sizes(&self) {
        self.with_clients(|clients| {
            if clients.max() == 0 {
                clients.grow(CLIENTS);
            }
        });
        if self.connections.max() == 0 {
            self.connections.grow(CONNECTIONS);
        }
    }

    /// The settings in force now. They do not change under the caller.
    pub fn settings(&self) -> Arc<Settings> {
        self.servers.settings()
    }

    /// Changes settings, for what begins from now on.
    pub fn set<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        change(Arc::make_mut(&mut self.servers.table().settings))
    }

    /// Whether it is past its start: from then on commands act at once.
    pub fn is_running(&self) -> bool {
        self.phase.load(Relaxed) >= Phase::Running as u8
    }

    /// Whether it ends as soon as its connections have.
    pub(crate) fn is_draining(&self) -> bool {
        self.phase.load(Relaxed) >= Phase::Draining as u8
    }

    /// Whether another process has taken over.
    pub(crate) fn is_replaced(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Replaced as u8
    }

    /// Whether nothing is to be opened, written or ended.
    pub fn is_checking(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Checking as u8
    }

    /// It goes on to this phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// What the descriptors suffice for.
    pub fn limits(&self) -> Limits {
        self.limits.get().copied().unwrap_or_default()
    }

    /// Sets that, once.
    pub fn set_limits(&self, limits: Limits) {
        let _ = self.limits.set(limits);
        self.want_idlers(self.idlers.count().1);
    }

    /// Wants so many idlers from now on. Their descriptors, those of checks and those of
    /// listeners are not there for clients.
    pub fn want_idlers(&self, wanted: usize) {
        let limits = self.limits();
        let checks = if self.settings().check.is_zero() { 0 } else { limits.checks() };
        let listeners = self.listener.current().len();
        self.connections.set_limit(limits.connections(wanted, checks, listeners));
        self.idlers.want(wanted, limits.idlers(wanted));
        self.idle_watch.wake();
    }

    /// What connections write to.
    pub fn logs(&self) -> Logs {
        Logs { requests: Arc::clone(&self.log), ends: Arc::clone(&self.conn_log) }
    }

    /// Accepts clients here from now on.
    pub(crate) fn listen(&self, set: Set) {
        self.listener.replace(set);
        self.want_idlers(self.idlers.count().1);
        self.connections.wake();
    }

    /// A client connects, or does so `again`, as a server has refused it.
    pub fn visit(&self, client: Client, tracking: Duration, again: bool) -> Visit {
        let now = Instant::now();
        self.with_clients(|clients| match again {
            true => clients.look_up(client, now, tracking),
            false => clients.visit(client, now, tracking),
        })
    }

    /// The client's server was tried.
    pub fn remember(&self, client: Client, server: usize) {
        crate::lock(&self.clients).remember(client, server);
    }

    /// Works on the client table under its lock: be quick.
    pub fn with_clients<R>(&self, work: impl FnOnce(&mut ClientTable) -> R) -> R {
        work(&mut crate::lock(&self.clients))
    }
}
