//! Those who come in by the side doors, the control port and the web port.
//!
//! Apart from the traffic: a thread accepts, and each connection has a thread
//! of its own for the moment that it lives. There are never more than the
//! [`crate::proxy::limits`] has descriptors for; when another one comes, the one that
//! has been here longest without having said what it wants must leave. When no
//! thread can be had, the one that accepts serves them itself.

use crate::pool::clients::Client;
use crate::proxy::listener::{Door, Entrance, Listener};
use crate::proxy::shared::Pen;
use crate::proxy::workers;
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

/// How long one may take to say what it wants, and again to take the reply.
const LIMIT: Duration = Duration::from_secs(5);
/// The same for whoever keeps others waiting. What is sent at once comes with
/// the end of the handshake, however far the way is.
const HURRY: Duration = Duration::from_millis(100);
/// Those who may wait to be accepted.
const BACKLOG: u32 = 100;
/// A thread's stack: reports are made on it.
const STACK: usize = 256 * 1024;
/// Memory that must be left beside it, of what the traffic leaves.
const HEADROOM: usize = workers::HEADROOM / 4;
/// What is read and forgotten from one who is told to go.
const DRAIN: usize = 256 * 1024;

/// A side door, and what happens behind it.
pub struct Desk {
    /// For messages, and for its threads.
    pub name: &'static str,
    /// Where they come in.
    pub door: fn(&Pen) -> &Door,
    /// The access list that they must pass.
    pub acl: fn(&Settings) -> usize,
    /// The least time from one to the next, but for a few who come at once.
    pub pace: Duration,
    /// Serves one, until it leaves.
    pub serve: fn(&Pen, &Visit),
}

/// Whether side doors may be open at all: whoever comes in could do as root
/// whatever pen can do.
pub fn check(settings: &Settings) -> Result<(), &'static str> {
    if sys::is_root() && settings.start.user.is_none() {
        return Err("not opened, as pen runs as root; name a user with -u (root counts)");
    }
    Ok(())
}

/// Whether the web interface may be here. The address, with a host.
pub fn check_web(pen: &Pen, word: &str) -> Result<String, String> {
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

/// Opens a door's listening socket. A Unix socket is for `owner` alone.
/// Complaints begin with `what`.
///
/// Root makes the socket and gives it away only where nobody can put another
/// file in its place meanwhile. Elsewhere it is made with the owner's rights.
pub fn listen(what: &str, word: &str, owner: Option<&User>) -> Result<Listener, String> {
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

/// Those who are here, in the order in which they came; `true` once they have
/// said what they want.
#[derive(Default)]
struct Room {
    visitors: Mutex<Vec<(Arc<TcpStream>, bool)>>,
    left: Condvar,
}

/// One who is here, until dropped.
pub struct Visit {
    /// Who.
    pub client: Client,
    socket: Arc<TcpStream>,
    room: Arc<Room>,
    end: Instant,
}

/// Accepts until the process ends.
pub fn accept_loop(pen: &Arc<Pen>, desk: &'static Desk) {
    let room = Arc::default();
    let mut entrance = Entrance::default();
    let mut pace = Pace::default();
    loop {
        match (desk.door)(pen).accept(&mut entrance) {
            Ok((socket, peer)) => {
                if admit(pen, desk, &room, socket, peer.client) {
                    thread::sleep(pace.rest(desk.pace, Instant::now()));
                }
            }
            Err(e) if sys::is_exhausted(&e) => thread::sleep(crate::proxy::listener::PAUSE),
            Err(_) => {}
        }
    }
}

/// How fast visitors are let in.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// Those who may come at once.
    const BURST: u32 = 32;

    /// One was let in: how long to rest before the next.
    fn rest(&mut self, gap: Duration, now: Instant) -> Duration {
        let burst = gap.saturating_mul(Pace::BURST);
        // When the next one is due, had they come one by one.
        let due = self.0.map_or(now, |due| due.max(now)) + gap;
        self.0 = Some(due);
        due.saturating_duration_since(now).saturating_sub(burst)
    }
}

fn admit(
    pen: &Arc<Pen>,
    desk: &'static Desk,
    room: &Arc<Room>,
    socket: OwnedFd,
    client: Client,
) -> bool {
    let name = desk.name;
    let settings = pen.settings();
    let acl = settings.acls.get((desk.acl)(&settings));
    if acl.is_some_and(|acl| !acl.permits(client)) {
        message::drop_line(format_args!("{client}: {name} connection denied"));
        return false;
    }
    let visit = Arc::new(room.enter(socket, client, pen.budget().visitors));
    let (there, visitor) = (Arc::clone(pen), Arc::clone(&visit));
    let work = move || {
        (desk.serve)(&there, &visitor);
        drop(visitor);
        tidy(&there);
    };
    if sys::start_thread_leaving(HEADROOM, STACK, work).is_err() {
        // The other owner is gone with the thread that there is not.
        if let Some(mut visit) = Arc::into_inner(visit) {
            visit.end = Instant::now() + HURRY;
            (desk.serve)(pen, &visit);
        }
    }
    true
}

/// A report takes much memory and leaves it in the heap. While there are
/// connections it is used again, and given back when the last threads leave.
fn tidy(pen: &Pen) {
    let (connections, _) = pen.connections.used_and_last();
    if connections == 0 {
        sys::trim();
    }
}

impl Room {
    /// Waits for room, which it makes if there is none.
    fn enter(self: &Arc<Room>, socket: OwnedFd, client: Client, most: usize) -> Visit {
        let socket = Arc::new(TcpStream::from(socket));
        let mut visitors = crate::lock(&self.visitors);
        while visitors.len() >= most {
            let silent = visitors.iter().find(|(_, has_spoken)| !has_spoken);
            if let Some((oldest, _)) = silent.or(visitors.first()) {
                let _ = oldest.shutdown(Shutdown::Both);
            }
            visitors = self.left.wait(visitors).unwrap_or_else(PoisonError::into_inner);
        }
        visitors.push((Arc::clone(&socket), false));
        Visit { client, socket, room: Arc::clone(self), end: Instant::now() + LIMIT }
    }
}

/// What came of waiting for a visitor.
#[derive(Clone, Copy)]
pub enum Heard {
    /// So many bytes came; none at the end of what it sends.
    Piece(usize),
    /// It is there, and has been silent for the whole time.
    Silence,
    /// It is gone, or may not stay any longer.
    Nothing,
}

impl Visit {
    /// It has said what it wants.
    pub fn has_spoken(&self) {
        let mut visitors = crate::lock(&self.room.visitors);
        let visitor = visitors.iter_mut().find(|v| Arc::ptr_eq(&v.0, &self.socket));
        visitor.into_iter().for_each(|v| v.1 = true);
    }

    /// What it says next: nothing at its end, `None` if it takes too long, or
    /// is gone.
    pub fn read<'a>(&self, piece: &'a mut [u8]) -> Option<&'a [u8]> {
        let count = self.read_until(self.end, piece)?;
        piece.get(..count)
    }

    /// What it says within this time, if it may stay so long.
    pub fn read_within(&self, limit: Duration, piece: &mut [u8]) -> Heard {
        let end = Instant::now().checked_add(limit).map_or(self.end, |end| end.min(self.end));
        match self.read_until(end, piece) {
            Some(count) => Heard::Piece(count),
            None if end == self.end || Instant::now() < end => Heard::Nothing,
            None => Heard::Silence,
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

    /// The reply. Whoever does not take it in time does not get it.
    pub fn answer(&self, reply: &[u8]) {
        if self.tell(reply) {
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// Something that more will follow; whether it was taken.
    pub fn tell(&self, mut text: &[u8]) -> bool {
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

    /// Reads and forgets what else comes until then. Closing with unread data
    /// would reset the connection, and a complaint be lost. Whether the
    /// visitor is still there.
    pub fn drain(&self, end: Instant) -> bool {
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

impl Drop for Visit {
    fn drop(&mut self) {
        let gone = |visitor: &(Arc<TcpStream>, bool)| !Arc::ptr_eq(&visitor.0, &self.socket);
        crate::lock(&self.room.visitors).retain(gone);
        self.room.left.notify_one();
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
