//! The two services beside the traffic, the control port and the web interface:
//! how their connections are accepted and how long they may last.
//!
//! Each service has a thread that accepts and a thread for each connection, so
//! that it takes nothing from the traffic but processor time. A service has at
//! most as many connections at once as [`crate::proxy::limits`] sets aside
//! descriptors for. When another client connects, pen closes the oldest
//! connection that has not yet sent its command or request. If no thread can be
//! started, the accepting thread serves the connection itself.

use crate::pool::clients::Client;
use crate::proxy::listener::{Listener, MovableListener};
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
/// The same for a client that is served by the accepting thread and so delays
/// all others. A client that sends at once, as programs do, has sent by now.
const SHORT_LIMIT: Duration = Duration::from_millis(100);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 100;
/// A thread's stack: reports are made on it.
const STACK: usize = 256 * 1024;
/// Bytes that pen reads and throws away from a client that it has refused.
const DRAIN: usize = 256 * 1024;

/// A listening socket and what is done with each connection to it.
pub(crate) struct Service {
    /// For messages, and for its threads.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) listener: fn(&Pen) -> &MovableListener,
    /// The number of the access list that its clients must pass.
    pub(crate) acl: fn(&Settings) -> usize,
    /// The least time from one connection to the next, except for a few at once.
    pub(crate) pace: Duration,
    /// Serves one connection.
    pub(crate) serve: fn(&Pen, &Session),
}

/// Refuses to open either service while pen runs as root without `-u`: its
/// clients could do as root whatever pen can do.
pub(crate) fn check(settings: &Settings) -> Result<(), &'static str> {
    if sys::is_root() && settings.start.user.is_none() {
        return Err("not opened, as pen runs as root; name a user with -u (root counts)");
    }
    Ok(())
}

/// The address of the web interface, with a host, if pen may listen there.
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
/// Root makes the socket and gives it away only where nobody can put another
/// file in its place meanwhile. Elsewhere it is made with the owner's rights.
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
    /// `true` for those whose command or request is there.
    open: Mutex<Vec<(Arc<TcpStream>, bool)>>,
    closed: Condvar,
}

/// A connection to a service, which counts as open until this is dropped.
pub(crate) struct Session {
    /// Who has connected.
    pub(crate) client: Client,
    socket: Arc<TcpStream>,
    sessions: Arc<Sessions>,
    end: Instant,
}

/// Accepts connections to a service until the process ends.
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
            Err(e) if sys::is_exhausted(&e) => thread::sleep(crate::proxy::accept::PAUSE),
            Err(_) => {}
        }
    }
}

/// How fast connections are accepted.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// Connections that may be accepted at once.
    const BURST: u32 = 32;

    /// A connection was accepted: how long to wait before the next.
    fn rest(&mut self, gap: Duration, now: Instant) -> Duration {
        let burst = gap.saturating_mul(Pace::BURST);
        // When the next one is due if they come one by one.
        let due = self.0.map_or(now, |due| due.max(now)) + gap;
        self.0 = Some(due);
        due.saturating_duration_since(now).saturating_sub(burst)
    }
}

/// Serves a connection, unless the access list denies it: then `false`.
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
    let session = Arc::new(sessions.add(socket, client, pen.limits().admin_connections));
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
        // `work`, the other owner, is gone.
        if let Some(mut session) = Arc::into_inner(session) {
            session.end = Instant::now() + SHORT_LIMIT;
            (service.serve)(pen, &session);
        }
    }
    true
}

impl Sessions {
    /// Adds a connection. With `most` open it closes one and waits until that is
    /// gone.
    fn add(self: &Arc<Sessions>, socket: OwnedFd, client: Client, most: usize) -> Session {
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
        Session { client, socket, sessions: Arc::clone(self), end: Instant::now() + LIMIT }
    }
}

/// What came of waiting for a client to send something.
#[derive(Clone, Copy)]
pub(crate) enum Received {
    /// It sent this many bytes, or, if zero, it has sent all that it will.
    Piece(usize),
    /// It is still connected, and sent nothing.
    Silence,
    /// It is gone, or its time is up.
    Nothing,
}

impl Session {
    /// Notes that the command or request is there: others are closed before this
    /// one when there are too many.
    pub(crate) fn set_asked(&self) {
        let mut open = crate::lock(&self.sessions.open);
        if let Some(own) = open.iter_mut().find(|other| Arc::ptr_eq(&other.0, &self.socket)) {
            own.1 = true;
        }
    }

    /// What the client sends next: nothing if it has sent all, `None` if it takes
    /// too long or is gone.
    pub(crate) fn read<'a>(&self, piece: &'a mut [u8]) -> Option<&'a [u8]> {
        let count = self.read_until(self.end, piece)?;
        piece.get(..count)
    }

    /// What the client sends within this time, or what is left of its own.
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
                // A timeout may come a little early: the clock decides.
                Err(e) if [Interrupted, WouldBlock, TimedOut].contains(&e.kind()) => {}
                result => return result.ok(),
            }
        }
    }

    /// Sends the reply and ends the stream, if the client takes it in time.
    pub(crate) fn reply(&self, reply: &[u8]) {
        if self.send(reply) {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Sends what is not the last; whether the client took it in time.
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

    /// Reads and throws away what else the client sends until `end`; whether it is
    /// still there then. Without this the system would reset the connection when
    /// it is closed, and the client could lose the reply.
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
