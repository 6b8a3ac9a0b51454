//! The control port and the web interface are services. This module accepts their
//! connections and limits how many there are and how long they last.
//!
//! Each service has a thread that accepts and a thread for each connection, so
//! that it takes only processor time from the traffic. A service has at
//! most as many connections at once as [`crate::proxy::limits`] reserves
//! descriptors for. When another client connects, pen closes the oldest
//! connection that has not yet sent its command or request. If no thread can be
//! started, the accepting thread serves the connection itself.

use crate::pool::clients::Client;
use crate::proxy::listener::Listener;
use crate::proxy::listeners::Listeners;
use crate::proxy::shared::Pen;
use crate::settings::Settings;
use crate::sys;
use crate::sys::addr;
use crate::sys::files;
use crate::sys::message;
use crate::sys::users::User;
use std::io::ErrorKind::{self, Interrupted, TimedOut, WouldBlock};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::lchown;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take to send its command or request, and again to take
/// the reply.
const LIMIT: Duration = Duration::from_secs(5);
/// The same for a client that the accepting thread serves, which delays all other
/// clients. It is long enough for programs, which send at once.
const SHORT_LIMIT: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 100;
/// Bytes of a thread's stack, on which pen makes reports.
const STACK: usize = 256 * 1024;
/// Bytes that pen reads and throws away from a client that it has refused.
const DRAIN: usize = 256 * 1024;

/// A service: where it listens, and how it serves a connection.
pub(crate) struct Service {
    /// Messages name the service by this.
    pub(crate) name: &'static str,
    /// Returns its listening socket.
    pub(crate) listener: fn(&Pen) -> &Listeners,
    /// Returns the number of the access list for its clients.
    pub(crate) acl: fn(&Settings) -> usize,
    /// The least time from one connection to the next, after a burst ([`Pace::BURST`]).
    pub(crate) pace: Duration,
    /// Serves one connection.
    pub(crate) serve: fn(&Pen, &Session),
}

/// Refuses to open either service while pen runs as root without `-u`, because its
/// clients could do as root whatever pen can do.
pub(crate) fn check(settings: &Settings) -> Result<(), &'static str> {
    if sys::is_root() && settings.start.user.is_none() {
        return Err("not opened, as pen runs as root: name a user with -u (-u root is allowed)");
    }
    Ok(())
}

/// Returns the address of the web interface with its host, which is 127.0.0.1 if the
/// word has none. It refuses an address that pen must not open.
pub(crate) fn check_web(pen: &Pen, word: &str) -> Result<String, String> {
    addr::endpoint(word)?;
    let word = match addr::is_path(word) || word.contains(':') {
        true => word.to_owned(),
        false => format!("127.0.0.1:{word}"),
    };
    if pen.is_running() {
        check(&pen.settings()).map_err(|why| format!("web {word}: {why}"))?;
    }
    Ok(word)
}

/// Opens a service's listening socket. A Unix socket belongs to `owner`, and
/// nobody else may connect. Complaints begin with `what`.
///
/// Root makes the socket and gives it to the owner only where nobody can replace
/// the file meanwhile. Elsewhere pen makes it with the owner's rights.
pub(crate) fn listen(what: &str, word: &str, owner: Option<&User>) -> Result<Listener, String> {
    let listen = || Listener::open_alone(word, BACKLOG).map_err(|why| format!("{what} {why}"));
    let cannot = |e| format!("{what} {word}: cannot give it to the user: {e}");
    let owner = owner.filter(|_| addr::is_path(word));
    let listener = match owner {
        None => listen()?,
        Some(user) if files::is_fixed(word.as_ref()) => {
            let listener = listen()?;
            lchown(word, Some(user.uid), Some(user.gid)).map_err(cannot)?;
            listener
        }
        Some(user) => {
            let listener = sys::with_rights_of(user.uid, user.gid, listen).map_err(cannot)?;
            listener.map_err(|why| {
                let uid = user.uid;
                format!("{why} (as user {uid}, since others can write to the directory)")
            })?
        }
    };
    message::debug(1, || format!("{what}: listening on {}", listener.at));
    Ok(listener)
}

/// The open connections of a service, the oldest first.
#[derive(Default)]
struct Sessions {
    /// Each connection, and whether it has sent its command or request.
    open: Mutex<Vec<(Arc<TcpStream>, bool)>>,
    closed: Condvar,
}

/// A connection to a service, which counts as open until this is dropped.
pub(crate) struct Session {
    /// The client's address.
    pub(crate) client: Client,
    socket: Arc<TcpStream>,
    sessions: Arc<Sessions>,
    end: Instant,
    /// See [`Pen::visitors`].
    _visitor: Arc<()>,
}

/// Accepts connections to a service until its listener is closed for good.
pub(crate) fn accept_loop(pen: &Arc<Pen>, service: &'static Service) {
    let sessions = Arc::default();
    let mut acceptor = (service.listener)(pen).acceptor();
    let mut pace = Pace::default();
    loop {
        match acceptor.accept() {
            Ok((socket, accepted)) => {
                if admit(pen, service, &sessions, socket.into(), accepted.client) {
                    thread::sleep(pace.rest(service.pace, Instant::now()));
                }
            }
            Err(_) if acceptor.is_over() => return,
            Err(e) if sys::is_exhausted(&e) => thread::sleep(crate::proxy::accept::PAUSE),
            Err(_) => {}
        }
    }
}

/// Limits how fast connections are accepted. It has the time when the next one is due
/// if they arrive one by one.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// Connections that may be accepted at once.
    const BURST: u32 = 32;

    /// Returns how long to wait after a connection that was accepted at `now`.
    fn rest(&mut self, gap: Duration, now: Instant) -> Duration {
        let burst = gap.saturating_mul(Pace::BURST);
        let due = self.0.map_or(now, |due| due.max(now)) + gap;
        self.0 = Some(due);
        due.saturating_duration_since(now).saturating_sub(burst)
    }
}

/// Serves a connection. Returns `false` if the access list denies it.
fn admit(
    pen: &Arc<Pen>,
    service: &'static Service,
    sessions: &Arc<Sessions>,
    socket: OwnedFd,
    client: Client,
) -> bool {
    let name = service.name;
    let settings = pen.settings();
    let acl = settings.acls.get((service.acl)(&settings));
    if acl.is_some_and(|acl| !acl.permits(client)) {
        message::drop_line(format_args!("{client}: {name} connection denied"));
        return false;
    }
    let session = Arc::new(sessions.add(pen, socket, client));
    let work = {
        let (pen, session) = (Arc::clone(pen), Arc::clone(&session));
        move || {
            (service.serve)(&pen, &session);
            drop(session);
            // While clients are connected the memory of a report stays in the heap,
            // to be used again, until the last of them has left.
            if pen.connections.used_and_last().0 == 0 {
                sys::trim();
            }
        }
    };
    if sys::start_thread(STACK, work).is_err() {
        // The system has dropped `work`, the other owner.
        if let Some(mut session) = Arc::into_inner(session) {
            session.end = Instant::now() + SHORT_LIMIT;
            (service.serve)(pen, &session);
        }
    }
    true
}

impl Sessions {
    /// Adds a connection. If too many are open, it closes one and waits until that one
    /// has ended.
    fn add(self: &Arc<Sessions>, pen: &Pen, socket: OwnedFd, client: Client) -> Session {
        let most = pen.limits().admin_connections;
        let socket = Arc::new(TcpStream::from(socket));
        let mut open = crate::lock(&self.open);
        while open.len() >= most {
            let silent = open.iter().find(|(_, has_asked)| !has_asked);
            if let Some((oldest, _)) = silent.or(open.first()) {
                let _ = oldest.shutdown(Shutdown::Both);
            }
            open = self.closed.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        open.push((Arc::clone(&socket), false));
        let (sessions, visitor) = (Arc::clone(self), Arc::clone(&pen.visitors));
        Session { client, socket, sessions, end: Instant::now() + LIMIT, _visitor: visitor }
    }
}

/// The result of waiting for data from a client.
#[derive(Clone, Copy)]
pub(crate) enum Received {
    /// The client sent this many bytes. Zero means that its stream has ended.
    Piece(usize),
    /// The client sent nothing, and is still connected.
    Silence,
    /// The client has disconnected, or its time is up.
    Nothing,
}

impl Session {
    /// Notes that the command or request has arrived. When there are too many
    /// connections, pen closes those without one first.
    pub(crate) fn set_asked(&self) {
        let mut open = crate::lock(&self.sessions.open);
        if let Some(own) = open.iter_mut().find(|other| Arc::ptr_eq(&other.0, &self.socket)) {
            own.1 = true;
        }
    }

    /// Reads the client's next bytes. They are empty at the end of its stream; `None`
    /// means that it takes too long or has disconnected.
    pub(crate) fn read<'a>(&self, piece: &'a mut [u8]) -> Option<&'a [u8]> {
        let count = self.read_until(self.end, piece)?;
        piece.get(..count)
    }

    /// Reads what the client sends within `limit`, but not beyond its own time.
    pub(crate) fn read_within(&self, limit: Duration, piece: &mut [u8]) -> Received {
        let end = Instant::now().checked_add(limit).map_or(self.end, |end| end.min(self.end));
        match self.read_until(end, piece) {
            Some(count) => Received::Piece(count),
            None if end == self.end || Instant::now() < end => Received::Nothing,
            None => Received::Silence,
        }
    }

    fn read_until(&self, end: Instant, piece: &mut [u8]) -> Option<usize> {
        let mut socket: &TcpStream = &self.socket;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
                return None;
            }
            match socket.read(piece) {
                // A timeout may be a little early, so the clock decides.
                Err(e) if [Interrupted, WouldBlock, TimedOut].contains(&e.kind()) => {}
                result => return result.ok(),
            }
        }
    }

    /// Sends the reply and, if the client takes it in time, ends the stream.
    pub(crate) fn reply(&self, reply: &[u8]) {
        if self.send(reply) {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Sends bytes that more will follow. Returns whether the client took them in time.
    pub(crate) fn send(&self, mut text: &[u8]) -> bool {
        let mut socket: &TcpStream = &self.socket;
        let end = Instant::now() + LIMIT;
        while !text.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || socket.set_write_timeout(Some(left)).is_err() {
                return false;
            }
            match socket.write(text) {
                Ok(count) => text = text.get(count..).unwrap_or_default(),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads and discards what the client sends until `end`, and returns whether it is
    /// still connected then. Without this the system would reset the connection on
    /// close, and the client could lose the reply.
    pub(crate) fn drain(&self, end: Instant) -> bool {
        let mut piece = [0; 4096];
        let mut total = 0;
        while total < DRAIN {
            match self.read_until(end, &mut piece) {
                Some(0) => return false,
                Some(count) => total += count,
                None => return end <= Instant::now(),
            }
        }
        false
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        crate::lock(&self.sessions.open).retain(|(other, _)| !Arc::ptr_eq(other, &self.socket));
        self.sessions.closed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_then_one_by_one() {
        let gap = Duration::from_millis(10);
        let start = Instant::now();
        let mut pace = Pace::default();
        for _ in 0..Pace::BURST {
            assert_eq!(pace.rest(gap, start), Duration::ZERO);
        }
        assert_eq!(pace.rest(gap, start), gap);
        assert_eq!(pace.rest(gap, start + gap), gap);
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.rest(gap, later), Duration::ZERO);
        assert_eq!(Pace::default().rest(Duration::ZERO, start), Duration::ZERO);
    }
}
