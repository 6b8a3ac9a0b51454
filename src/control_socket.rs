//! The control port: one connection, one line, the reply, close.
//!
//! Apart from the traffic: a thread accepts, and each connection has a thread
//! of its own for the moment that it lives. There are never more than
//! [`MOST`]; when another client comes, the one that has been here longest
//! without having said what it wants must leave.

use crate::client::Client;
use crate::command;
use crate::control;
use crate::files::Spot;
use crate::listen::{Entrance, Listener, Peer};
use crate::message;
use crate::state::Pen;
use crate::sys::{self, Kind};
use crate::users::User;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::lchown;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Most control connections at once.
const MOST: usize = 32;
/// How long a client may take for its line, and again to take the reply.
const LIMIT: Duration = Duration::from_secs(5);
/// Clients that may wait to be accepted.
const BACKLOG: u32 = 100;
/// A thread's stack: reports are made on it.
const STACK: usize = 256 * 1024;

/// Opens the control port. A Unix socket is for `owner` alone.
///
/// Root makes the socket and gives it away only where nobody can put another
/// file in its place meanwhile. Elsewhere it is made with the owner's rights.
pub fn open(pen: &Pen, word: &str, owner: Option<&User>) -> Result<(), String> {
    let listen = || {
        let listener = || Listener::open(word, Kind::Stream, BACKLOG);
        sys::with_umask(0o177, listener).map_err(|why| format!("-C {why}"))
    };
    let cannot = |e| format!("-C {word}: cannot give it to the user: {e}");
    let owner = owner.filter(|_| crate::addr::is_path(word));
    let is_fixed = || Spot::find(word.as_ref()).is_ok_and(|spot| spot.is_fixed());
    let listener = match owner {
        None => listen()?,
        Some(user) if is_fixed() => {
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
    message::debug(1, || format!("control port on {}", listener.address));
    pen.control_door.open(listener);
    Ok(())
}

/// The connections there are.
#[derive(Default)]
struct Desk {
    /// In the order in which they came; `true` once the line is there.
    visitors: Mutex<Vec<Visitor>>,
    left: Condvar,
}

struct Visitor {
    socket: Arc<TcpStream>,
    has_spoken: bool,
}

/// Accepts until the process ends.
pub fn accept_loop(pen: &Arc<Pen>) {
    let desk = Arc::new(Desk::default());
    let mut entrance = Entrance::default();
    loop {
        match pen.control_door.accept(&mut entrance) {
            Ok((socket, peer)) => admit(pen, &desk, socket, &peer),
            Err(e) if sys::is_exhausted(&e) => thread::sleep(Duration::from_millis(200)),
            Err(_) => {}
        }
    }
}

fn admit(pen: &Arc<Pen>, desk: &Arc<Desk>, socket: OwnedFd, peer: &Peer) {
    let client = peer.client;
    let settings = pen.settings();
    let acl = settings.acls.get(settings.control_acl);
    if acl.is_some_and(|acl| !acl.permits(client)) {
        message::drop_line(format_args!("{client}: control connection denied"));
        return;
    }
    let socket = Arc::new(TcpStream::from(socket));
    desk.enter(&socket);
    let (pen, desk_there, visitor) = (Arc::clone(pen), Arc::clone(desk), Arc::clone(&socket));
    let spawned = thread::Builder::new()
        .name("control".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            serve(&pen, &desk_there, &visitor, client);
            desk_there.leave(&visitor);
        });
    if let Err(e) = spawned {
        desk.leave(&socket);
        message::drop_line(format_args!("{client}: cannot start a control thread: {e}"));
    }
}

impl Desk {
    /// Waits for room, which it makes if there is none.
    fn enter(&self, socket: &Arc<TcpStream>) {
        let mut visitors = crate::lock(&self.visitors);
        while visitors.len() >= MOST {
            let silent = visitors.iter().find(|visitor| !visitor.has_spoken);
            if let Some(oldest) = silent.or(visitors.first()) {
                let _ = oldest.socket.shutdown(Shutdown::Both);
            }
            visitors = self
                .left
                .wait(visitors)
                .unwrap_or_else(PoisonError::into_inner);
        }
        visitors.push(Visitor {
            socket: Arc::clone(socket),
            has_spoken: false,
        });
    }

    fn has_spoken(&self, socket: &Arc<TcpStream>) {
        let mut visitors = crate::lock(&self.visitors);
        let visitor = visitors.iter_mut().find(|v| Arc::ptr_eq(&v.socket, socket));
        visitor.into_iter().for_each(|v| v.has_spoken = true);
    }

    fn leave(&self, socket: &Arc<TcpStream>) {
        crate::lock(&self.visitors).retain(|v| !Arc::ptr_eq(&v.socket, socket));
        self.left.notify_one();
    }
}

fn serve(pen: &Pen, desk: &Desk, socket: &Arc<TcpStream>, client: Client) {
    let reply = match read_line(socket) {
        Ok(Some(line)) => {
            desk.has_spoken(socket);
            message::debug(1, || format!("{client}: command: {line}"));
            control::reply(pen, &line)
        }
        Ok(None) => return,
        Err(why) => {
            answer(socket, &control::complaint(&why));
            return drain(socket);
        }
    };
    answer(socket, &reply);
}

/// Whoever does not take the reply does not get it.
fn answer(mut socket: &TcpStream, reply: &str) {
    let _ = socket.set_write_timeout(Some(LIMIT));
    if socket.write_all(reply.as_bytes()).is_ok() {
        let _ = socket.shutdown(Shutdown::Write);
    }
}

/// Reads what else comes for a moment: closing with unread data would reset
/// the connection, and the complaint be lost.
fn drain(mut socket: &TcpStream) {
    let end = Instant::now() + Duration::from_secs(1);
    let mut piece = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return;
        }
        if !matches!(socket.read(&mut piece), Ok(count) if count > 0) {
            return;
        }
    }
}

/// The line, without its end; `None` if the client says nothing.
fn read_line(mut socket: &TcpStream) -> Result<Option<String>, String> {
    let end = Instant::now() + LIMIT;
    let mut line = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || socket.set_read_timeout(Some(left)).is_err() {
            return Ok(None);
        }
        let count = match socket.read(&mut piece) {
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Ok(None),
        };
        let fresh = piece.get(..count).unwrap_or_default();
        let whole = fresh.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(fresh.get(..whole.unwrap_or(count)).unwrap_or_default());
        if line.len() > command::LINE {
            return Err(format!("line longer than {} bytes", command::LINE));
        }
        if whole.is_some() || (count == 0 && !line.is_empty()) {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if count == 0 {
            return Ok(None);
        }
    }
}
