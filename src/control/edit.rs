//! An edit collects the changes that commands make to one server, and then applies
//! them together.

use super::parse::Change;
use crate::pool::health::{self, Admin, BY_COMMAND};
use crate::pool::server::{SAME_PORT, Server};
use crate::proxy_protocol::SendProxy;
use crate::sys::addr::{self, DefaultPort, Host, ServerSpec};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The changes that a transaction makes to one server. `None` keeps a value.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    /// The name as configured, and its addresses.
    host: Option<(String, Host)>,
    port: Option<u16>,
    same_port: Option<bool>,
    max: Option<u32>,
    hard: Option<u32>,
    weight: Option<u32>,
    prio: Option<i32>,
    check_port: Option<u16>,
    send_proxy: Option<Option<SendProxy>>,
    acl: Option<usize>,
    admin: Option<Admin>,
    /// In seconds, from the moment of [`Edit::apply`].
    blacklist: Option<u64>,
    /// The position of the last command that changes the address or port. Complaints
    /// begin with it.
    position: String,
}

impl Edit {
    /// Adds the changes of one command, and resolves names. The address counts before
    /// the port, in whatever order the command has them. `position` is the position of
    /// the command in its file.
    pub(crate) fn add(&mut self, changes: &[Change], position: &str) -> Result<(), String> {
        let moves = |change: &Change| matches!(change, Change::Address(_) | Change::Port(_));
        if changes.iter().any(moves) {
            position.clone_into(&mut self.position);
        }
        for change in changes {
            if let Change::Address(word) = change {
                let host = addr::host(word)?;
                // pen quirk: a Unix-socket server is listed with port 1.
                if matches!(host, Host::Unix(_)) {
                    self.set_port(1);
                }
                self.host = Some((word.clone(), host));
            }
        }
        for change in changes {
            match change {
                Change::Address(_) => {}
                Change::Port(word) if word == SAME_PORT => {
                    (self.port, self.same_port) = (None, Some(true));
                }
                Change::Port(word) => self.set_port(addr::port(word)?),
                Change::Acl(list) => self.acl = Some(*list),
                Change::Max(n) => self.max = Some(*n),
                Change::Hard(n) => self.hard = Some(*n),
                Change::Weight(n) => self.weight = Some(*n),
                Change::Prio(n) => self.prio = Some(*n),
                Change::CheckPort(port) => self.check_port = Some(*port),
                Change::SendProxy(send) => self.send_proxy = Some(*send),
                Change::Admin(admin) => self.admin = Some(*admin),
                Change::Blacklist(n) => self.blacklist = Some(*n),
            }
        }
        Ok(())
    }

    fn set_port(&mut self, port: u16) {
        (self.port, self.same_port) = (Some(port), Some(false));
    }

    /// The position of the last command that moves the server, if the clients' ports are
    /// its port from then on.
    pub(crate) fn takes_same_port(&self) -> Option<&str> {
        (self.same_port == Some(true)).then_some(&self.position)
    }

    /// Returns the position of the command that moves the server, and the new host and
    /// fixed port, or `None` if the server does not move. `old` is the server before the
    /// edit; a new server gets `port` unless a command sets another.
    pub(crate) fn moves(
        &self,
        old: Option<&Server>,
        port: DefaultPort,
    ) -> Option<(&str, Arc<Host>, Option<u16>)> {
        if self.host.is_none() && self.same_port.is_none() {
            return None;
        }
        let host = match (&self.host, old) {
            (Some((_, host)), _) => Arc::new(host.clone()),
            (None, Some(old)) => Arc::clone(&old.host),
            (None, None) => Arc::default(),
        };
        let is_same = self.same_port.or(old.map(|old| old.same_port)).unwrap_or(port.is_same);
        let number = self.port.or(old.map(|old| old.port)).unwrap_or(port.number);
        Some((&self.position, host, (!is_same).then_some(number)))
    }

    /// Changes the server, which keeps its connections and counts. Returns the change of
    /// its state, if a command sets one.
    pub(crate) fn apply(self, server: &mut Server) -> Option<health::Change> {
        fn put<T>(to: &mut T, from: Option<T>) {
            if let Some(value) = from {
                *to = value;
            }
        }
        if let Some((name, host)) = self.host {
            server.move_to(&name, host);
        }
        if let Some(port) = self.port {
            server.set_port(port);
        }
        put(&mut server.same_port, self.same_port);
        put(&mut server.share.max, self.max);
        put(&mut server.share.hard, self.hard);
        put(&mut server.share.weight, self.weight);
        put(&mut server.share.prio, self.prio);
        put(&mut server.check_port, self.check_port);
        put(&mut server.send_proxy, self.send_proxy);
        put(&mut server.acl, self.acl);
        let now = Instant::now();
        let change = server.update(now, |health| {
            if let Some(admin) = self.admin {
                health.set_admin(admin, now);
            }
            match self.blacklist.map(|n| now.checked_add(Duration::from_secs(n.min(LONGEST)))) {
                Some(Some(end)) if end > now => health.drain_until(end),
                Some(_) => health.end_blacklist(now),
                None => {}
            }
        });
        let by_command = |change| match self.admin {
            Some(_) => health::Change { reason: BY_COMMAND.into(), ..change },
            None => change,
        };
        change.map(by_command)
    }
}

/// The longest time that a command can set, in seconds. It is 100 years.
pub(crate) const LONGEST: u64 = 3_155_760_000;

/// Makes an edit of an operand, which sets everything except the access list.
impl From<ServerSpec> for Edit {
    fn from(spec: ServerSpec) -> Edit {
        Edit {
            host: Some((spec.name, spec.host)),
            port: Some(spec.port),
            same_port: Some(spec.same_port),
            max: Some(spec.share.max),
            hard: Some(spec.share.hard),
            weight: Some(spec.share.weight),
            prio: Some(spec.share.prio),
            ..Edit::default()
        }
    }
}
