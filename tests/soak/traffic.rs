//! The clients: what one of them does, from its connect to its end.

use crate::ledger::{Count, Faults, Wire};
use crate::plan::{Dice, Kind, Request};
use crate::servers::LONGEST;
use crate::stand::same_pattern;
use pen::sys::{self, Address};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long either end waits for anything. A run in which this passes has
/// failed; on a busy machine it must not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Most requests on a connection.
const REQUESTS: u32 = 4;

/// Bytes of a long answer that are read before the reset.
const SIP: u32 = 100_000;

/// One connection.
pub(crate) struct Call<'a> {
    /// Decides everything.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// The client's address.
    pub(crate) from: Ipv4Addr,
    /// Where pen is.
    pub(crate) to: SocketAddr,
    /// Where the client's bytes are counted.
    pub(crate) count: &'a Count,
}

impl Request {
    /// Which stream of bytes the answer has.
    pub(crate) fn answer(&self) -> u32 {
        self.stream.wrapping_add(1)
    }
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

impl Call<'_> {
    /// Does it: the number of the server that answered, if one did.
    pub(crate) fn make(&self) -> io::Result<Option<u8>> {
        self.count.connections.fetch_add(1, Relaxed);
        match self.kind {
            Kind::Asks | Kind::LeavesEarly | Kind::AsksRefused => self.ask(),
            _ => self.connect(),
        }
    }

    /// Like [`Call::make`], for one that must be answered by this server, if
    /// it is answered at all.
    pub(crate) fn make_on(&self, server: u8, faults: &Faults) {
        let problem = match self.make() {
            Ok(None) => return,
            Ok(Some(other)) if other == server => return,
            Ok(Some(other)) => format!("server {other} answers instead of {server}"),
            Err(e) => e.to_string(),
        };
        let (number, kind, from) = (self.number, self.kind, self.from);
        faults.add(format!("connection {number} ({kind:?}) of {from}: {problem}"));
    }

    /// A TCP connection.
    fn connect(&self) -> io::Result<Option<u8>> {
        let stream = self.open()?;
        let wire = Wire { stream: &stream, count: self.count };
        let mut dice = Dice::new(self.number);
        let request = Request::new(self.kind, self.number, &mut dice);
        let send = || wire.send(&request.head(), request.stream, request.up);
        match self.kind {
            Kind::SaysNothing => return Ok(None),
            Kind::BreaksOff => {
                wire.send(&request.head(), request.stream, request.up / 2)?;
                return Ok(None);
            }
            // Whatever comes now may be cut off anywhere.
            Kind::ServerCloses | Kind::ServerResets => {
                let _ = send();
                let _ = self.answer_start(&wire, &request, request.down);
                return Ok(None);
            }
            Kind::ClientResetsAnswer => {
                send()?;
                return self.answer_start(&wire, &request, SIP);
            }
            Kind::NeverReads => {
                send()?;
                stream.peek(&mut [0])?;
                return Ok(None);
            }
            _ => send()?,
        }
        if self.kind == Kind::ClientHalfCloses {
            stream.shutdown(Shutdown::Write)?;
        }
        if self.kind == Kind::ClientResets {
            return self.all_but_one(&wire, &request).map(Some);
        }
        let server = self.answer(&wire, &request)?;
        match self.kind {
            Kind::ServerEnds | Kind::ClientHalfCloses => wire.take_end()?,
            Kind::ServerHalfCloses => {
                wire.take_end()?;
                wire.send_from(request.stream, u64::from(request.up), request.up)?;
            }
            _ => {
                for _ in 0..dice.throw(REQUESTS) {
                    let request = Request::new(self.kind, self.number, &mut dice);
                    wire.send(&request.head(), request.stream, request.up)?;
                    if self.answer(&wire, &request)? != server {
                        return Err(wrong("another server on the same connection"));
                    }
                }
            }
        }
        Ok(Some(server))
    }

    fn open(&self) -> io::Result<TcpStream> {
        let address = Address::Inet(self.to);
        let socket = sys::socket_for(&address, sys::Kind::Stream)?;
        sys::bind_to(&socket, &Address::Inet((self.from, 0).into()))?;
        sys::connect_to(&socket, &address)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// The answer, whole; the server's number.
    fn answer(&self, wire: &Wire, request: &Request) -> io::Result<u8> {
        let mut server = [0];
        match wire.fill(&mut server)? {
            0 => Err(wrong("ended without an answer")),
            _ => wire.take(request.answer(), 0, request.down).map(|()| server[0]),
        }
    }

    /// The answer as far as it comes, and no further than that.
    fn answer_start(&self, wire: &Wire, request: &Request, most: u32) -> io::Result<Option<u8>> {
        let mut server = [0];
        if wire.fill(&mut server)? == 0 {
            return Ok(None);
        }
        wire.take_some(request.answer(), 0, most)?;
        Ok(Some(server[0]))
    }

    /// The answer, of which the last byte stays where it is: closed with that
    /// unread, the socket sends a reset. It has come all the same.
    fn all_but_one(&self, wire: &Wire, request: &Request) -> io::Result<u8> {
        let mut server = [0];
        let have = match request.down {
            0 => wire.stream.peek(&mut server)?,
            down => {
                let have = wire.fill(&mut server)?;
                wire.take(request.answer(), 0, down - 1)?;
                have.min(wire.stream.peek(&mut [0])?)
            }
        };
        match have {
            0 => Err(wrong("ended without an answer")),
            _ => {
                self.count.received.fetch_add(1, Relaxed);
                Ok(server[0])
            }
        }
    }

    /// A UDP client.
    fn ask(&self) -> io::Result<Option<u8>> {
        let socket = UdpSocket::bind((self.from, 0))?;
        socket.connect(self.to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut dice = Dice::new(self.number);
        let mut server = None;
        for _ in 0..=dice.throw(REQUESTS) {
            let most = (LONGEST - Request::HEAD) as u32;
            let mut request = Request::new(self.kind, self.number, &mut dice);
            (request.up, request.down) = (request.up.min(most), request.down.min(most));
            let body = crate::stand::pattern(request.stream as usize, 0, request.up as usize);
            let sent = socket.send(&[&request.head(), body].concat())?;
            self.count.sent.fetch_add(sent as u64, Relaxed);
            if self.kind == Kind::LeavesEarly {
                return Ok(None);
            }
            let mut data = [0; LONGEST];
            let len = socket.recv(&mut data)?;
            self.count.received.fetch_add(len as u64, Relaxed);
            let (index, answer) = data[..len].split_first().ok_or_else(|| wrong("empty"))?;
            let whole = answer.len() == request.down as usize;
            if !whole || !same_pattern(request.answer() as usize, 0, answer) {
                return Err(wrong("other bytes than were sent"));
            }
            if server.replace(*index).is_some_and(|before| before != *index) {
                return Err(wrong("another server on the same flow"));
            }
        }
        Ok(server)
    }
}
