//! The servers behind pen. What one of them does with a connection is what the
//! client's request asks for.

use crate::ledger::{Count, Faults, Wire};
use crate::plan::{Kind, Request, Role};
use crate::stand::{pattern, same_pattern};
use crate::traffic::PATIENCE;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

/// Threads that a TCP server has, each with a connection at a time. Clients
/// who come meanwhile wait in its queue.
const THREADS: usize = 12;

/// Longest datagram here.
pub(crate) const LONGEST: usize = 4096;

/// A server, for as long as this process lives.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) role: Role,
    pub(crate) count: Arc<Count>,
}

/// What its threads share.
#[derive(Clone)]
struct Shared {
    /// Its number in pen's table, with which its answers begin.
    index: u8,
    role: Role,
    count: Arc<Count>,
    faults: Arc<Faults>,
}

impl Server {
    fn new(at: SocketAddr, index: u8, role: Role, faults: &Arc<Faults>) -> (Server, Shared) {
        let count = Arc::<Count>::default();
        let (server, faults) = (Server { at, role, count: Arc::clone(&count) }, Arc::clone(faults));
        (server, Shared { index, role, count, faults })
    }

    /// For connections.
    pub(crate) fn tcp(at: SocketAddr, index: u8, role: Role, faults: &Arc<Faults>) -> Server {
        let (server, shared) = Server::new(at, index, role, faults);
        if role != Role::Absent {
            let listener = Arc::new(TcpListener::bind(at).unwrap());
            for _ in 0..THREADS {
                let (listener, shared) = (Arc::clone(&listener), shared.clone());
                thread::spawn(move || shared.accept(&listener));
            }
        }
        server
    }

    /// For datagrams.
    pub(crate) fn udp(at: SocketAddr, index: u8, role: Role, faults: &Arc<Faults>) -> Server {
        let (server, shared) = Server::new(at, index, role, faults);
        if role != Role::Absent {
            let socket = UdpSocket::bind(at).unwrap();
            thread::spawn(move || shared.answer_all(&socket));
        }
        server
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) => {
                    self.faults.add(format!("server {}: accept: {e}", self.index));
                    continue;
                }
            };
            self.count.connections.fetch_add(1, Relaxed);
            if self.role == Role::Closing {
                continue;
            }
            if let Err(e) = self.serve(&stream) {
                if self.role == Role::Orderly {
                    self.faults.add(format!("server {}: {e}", self.index));
                }
            }
        }
    }

    /// Does what the client's requests ask for, to the end of the connection.
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let wire = Wire { stream, count: &self.count };
        let mut head = [0; Request::HEAD];
        loop {
            match wire.fill(&mut head)? {
                0 => return Ok(()),
                Request::HEAD => {}
                _ => return Err(io::Error::other("half a head")),
            }
            let request = Request::read(&head).ok_or_else(|| io::Error::other("no head"))?;
            match request.kind {
                Kind::BreaksOff => {
                    wire.take_some(request.stream, 0, request.up)?;
                    return wire.take_end();
                }
                Kind::ServerResets => {
                    // Closed with unread bytes, a socket sends a reset.
                    stream.peek(&mut [0])?;
                    return wire.send(&[self.index], request.answer(), request.down / 2);
                }
                _ => wire.take(request.stream, 0, request.up)?,
            }
            if request.kind == Kind::ClientHalfCloses {
                wire.take_end()?;
            }
            wire.send(&[self.index], request.answer(), request.down)?;
            match request.kind {
                Kind::ServerEnds | Kind::ClientHalfCloses => return Ok(()),
                Kind::ServerHalfCloses => {
                    stream.shutdown(Shutdown::Write)?;
                    wire.take(request.stream, u64::from(request.up), request.up)?;
                    return wire.take_end();
                }
                Kind::ClientResets => {
                    // With the last byte unread it resets when it closes; this
                    // end may see the reset or the end.
                    let _ = wire.read(&mut [0]);
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    /// Answers datagrams: with its number, and what was asked for.
    fn answer_all(&self, socket: &UdpSocket) {
        let mut data = [0; LONGEST];
        loop {
            let (len, from) = match socket.recv_from(&mut data) {
                Ok(received) => received,
                Err(e) => {
                    self.faults.add(format!("server {}: receive: {e}", self.index));
                    continue;
                }
            };
            self.count.received.fetch_add(len as u64, Relaxed);
            let (head, body) = data[..len].split_at(Request::HEAD.min(len));
            let Some(request) = Request::read(head) else {
                self.faults.add(format!("server {}: not a question", self.index));
                continue;
            };
            let whole = body.len() == request.up as usize;
            if !whole || !same_pattern(request.stream as usize, 0, body) {
                self.faults.add(format!("server {}: other bytes than were sent", self.index));
            }
            let answer = pattern(request.answer() as usize, 0, request.down as usize);
            match socket.send_to(&[&[self.index], answer].concat(), from) {
                Ok(n) => drop(self.count.sent.fetch_add(n as u64, Relaxed)),
                // A refusal of an earlier one, whose receiver has left.
                Err(_) if self.role == Role::Rough => {}
                Err(e) => self.faults.add(format!("server {}: send: {e}", self.index)),
            }
        }
    }
}
