//! The one shared state: everything that threads have in common.

use crate::client::{Client, ClientTable, Visit};
use crate::connections::Connections;
use crate::crowd::Crowd;
use crate::flows::Flows;
use crate::idle::IdleWatch;
use crate::idlers::Idlers;
use crate::listen::{Door, Listener};
use crate::log::Log;
use crate::server::Servers;
use crate::settings::Settings;
use crate::web::Web;
use crate::workers::Workers;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
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
}

/// A running pen, or one being put together from its options.
pub struct Pen {
    settings: RwLock<Arc<Settings>>,
    clients: Mutex<ClientTable>,
    /// The server table.
    pub servers: Arc<Servers>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// The threads that serve them.
    pub workers: Arc<Workers>,
    /// The request log.
    pub log: Log,
    /// Where clients come in.
    pub door: Door,
    /// Where control connections come in.
    pub control_door: Door,
    /// The web interface.
    pub web: Web,
    /// The flows of UDP.
    pub flows: Flows,
    /// Datagrams that wait for a place.
    pub crowd: Crowd,
    /// Who ends quiet connections.
    pub idle_watch: IdleWatch,
    /// Connections without clients.
    pub idlers: Idlers,
    phase: AtomicU8,
}

impl std::fmt::Debug for Pen {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Pen").finish_non_exhaustive()
    }
}

/// Slots in the client table unless told otherwise.
pub const CLIENTS: usize = 2048;

/// Most connections at once unless told otherwise.
pub const CONNECTIONS: usize = 500;

impl Pen {
    /// Defaults all over, no servers.
    pub fn new() -> io::Result<Pen> {
        Ok(Pen {
            settings: RwLock::default(),
            clients: Mutex::new(ClientTable::new(CLIENTS)),
            servers: Arc::default(),
            connections: Connections::new(CONNECTIONS),
            workers: Workers::new()?,
            log: Log::new(),
            door: Door::new()?,
            control_door: Door::new()?,
            web: Web::new()?,
            flows: Flows::default(),
            crowd: Crowd::default(),
            idle_watch: IdleWatch::default(),
            idlers: Idlers::default(),
            phase: AtomicU8::new(Phase::Starting as u8),
        })
    }

    /// The settings in force now. They do not change under the caller.
    pub fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.read();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes settings, for what begins from now on.
    pub fn set<R>(&self, change: impl FnOnce(&mut Settings) -> R) -> R {
        let mut settings = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut settings))
    }

    /// Whether it is past its start: from then on commands act at once.
    pub fn is_running(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Running as u8
    }

    /// Whether nothing is to be opened, written or ended.
    pub fn is_checking(&self) -> bool {
        self.phase.load(Relaxed) == Phase::Checking as u8
    }

    /// It goes on to this phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Clients come in here from now on.
    pub fn open_door(&self, listener: Listener) {
        self.door.open(listener);
        self.connections.wake();
    }

    /// A client connects.
    pub fn visit(&self, client: Client, tracking: Duration) -> Visit {
        crate::lock(&self.clients).visit(client, Instant::now(), tracking)
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
