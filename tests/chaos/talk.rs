//! One client's conversation with a server through pen. It knows what it has
//! sent and what must come back, byte for byte.

use crate::server::{DOOMED, ECHO, SEND};
use crate::stand::{PATIENCE, pattern, same_pattern};
use pen::sys::{self, Address, Kind};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Instant;

/// A conversation that did not go as it should. Whether that is pen's failure
/// or what the fault forces, the row decides.
#[derive(Debug)]
pub(crate) struct Failure {
    /// When the client began to connect.
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// The server that had said its number.
    pub(crate) server: Option<u8>,
    /// It had said that it would reset this connection.
    pub(crate) doomed: bool,
    pub(crate) why: String,
    /// Bytes that were sent and have not come back, or were asked for and have
    /// not come.
    pub(crate) missing: u64,
    /// Whether something else came than what was sent. No fault is an excuse.
    pub(crate) is_wrong: bool,
}

/// A connection to a server through pen.
pub(crate) struct Talk {
    stream: TcpStream,
    /// Which pattern goes over it.
    number: u16,
    sent: u64,
    received: u64,
    pub(crate) server: u8,
    is_wrong: bool,
    buffer: Vec<u8>,
}

/// Most bytes of one exchange. Two sockets' buffers hold that many, so that the
/// client may send all of it before it reads.
pub(crate) const MOST: usize = 64 * 1024;

/// Connects from an address and has a conversation.
pub(crate) fn converse(
    from: Ipv4Addr,
    to: SocketAddr,
    number: u16,
    work: impl FnOnce(&mut Talk) -> io::Result<()>,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut failure = Failure {
        begun,
        ended: begun,
        server: None,
        doomed: false,
        why: String::new(),
        missing: 0,
        is_wrong: false,
    };
    let result = connect(from, to).and_then(|stream| {
        let mut greeting = [0];
        (&stream).read_exact(&mut greeting)?;
        failure.server = Some(greeting[0] & !DOOMED);
        failure.doomed = greeting[0] & DOOMED != 0;
        let mut talk = Talk {
            stream,
            number,
            sent: 0,
            received: 0,
            server: greeting[0] & !DOOMED,
            is_wrong: false,
            buffer: vec![0; MOST],
        };
        let result = work(&mut talk);
        failure.missing = talk.sent.saturating_sub(talk.received);
        failure.is_wrong = talk.is_wrong;
        result
    });
    result.map_err(|e| {
        failure.ended = Instant::now();
        failure.why = e.to_string();
        failure
    })
}

/// Held while a program is started: pen's own sockets, which clients use to
/// have addresses of their own, would be inherited, as pen starts none.
pub(crate) static STARTING: Mutex<()> = Mutex::new(());

fn socket() -> io::Result<OwnedFd> {
    let _held = STARTING.lock();
    let at = Address::Inet((Ipv4Addr::LOCALHOST, 0).into());
    // std's copy is not inherited.
    sys::socket_for(&at, Kind::Stream)?.try_clone()
}

/// A socket that gives up after [`PATIENCE`], whatever it does.
pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::from(socket()?);
    stream.set_read_timeout(Some(PATIENCE))?;
    // On Linux it bounds the connect, too.
    stream.set_write_timeout(Some(PATIENCE))?;
    sys::bind_to(&stream, &Address::Inet((from, 0).into()))?;
    if !sys::connect_to(&stream, &Address::Inet(to))? {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Talk {
    /// Asks for an echo. Before the first exchange.
    pub(crate) fn ask_echo(&mut self) -> io::Result<()> {
        (&self.stream).write_all(&[ECHO])
    }

    /// Sends so many bytes, [`MOST`] at most, and waits until they are back.
    pub(crate) fn exchange(&mut self, count: usize) -> io::Result<()> {
        self.send(count)?;
        self.receive_sent()
    }

    /// Sends so many bytes.
    pub(crate) fn send(&mut self, count: usize) -> io::Result<()> {
        let end = self.sent + count as u64;
        while self.sent < end {
            let piece = pattern(self.number.into(), self.sent, (end - self.sent) as usize);
            self.sent += (&self.stream).write(piece)? as u64;
        }
        Ok(())
    }

    /// Reads until all that was sent has come back.
    pub(crate) fn receive_sent(&mut self) -> io::Result<()> {
        while self.received < self.sent {
            if self.receive()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Sends nothing more.
    pub(crate) fn end_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads to the end, where as much must have come as was sent.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        while self.receive()? > 0 {}
        match self.received == self.sent {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends many bytes while they come back already, and ends sending.
    pub(crate) fn pour(&mut self, count: usize) -> io::Result<()> {
        let (stream, number) = (self.stream.try_clone()?, self.number);
        let writer = std::thread::spawn(move || {
            let (mut sent, end) = (0, count as u64);
            while sent < end {
                let left = MOST.min((end - sent) as usize);
                match (&stream).write(pattern(number.into(), sent, left)) {
                    Ok(count) => sent += count as u64,
                    Err(e) => return (sent, Err(e)),
                }
            }
            (sent, stream.shutdown(Shutdown::Write))
        });
        let mut result = Ok(1);
        while matches!(result, Ok(1..)) {
            result = self.receive();
        }
        let (sent, written) = writer.join().unwrap();
        self.sent = sent;
        result.and(written)?;
        self.finish()
    }

    /// Asks for so many bytes and an end, and reads them.
    pub(crate) fn fetch(&mut self, count: u32) -> io::Result<()> {
        self.ask_for(count)?;
        self.finish()
    }

    /// Asks for so many bytes. They count as sent, though another sends them.
    pub(crate) fn ask_for(&mut self, count: u32) -> io::Result<()> {
        let (number, length) = (self.number.to_be_bytes(), count.to_be_bytes());
        let words = [&[SEND][..], &number, &length].concat();
        (&self.stream).write_all(&words)?;
        self.sent = count.into();
        Ok(())
    }

    /// Waits until something is there to be read, and leaves it there.
    pub(crate) fn wait_for_data(&self) -> io::Result<()> {
        self.stream.peek(&mut [0]).map(drop)
    }

    fn receive(&mut self) -> io::Result<usize> {
        let count = (&self.stream).read(&mut self.buffer)?;
        let fresh = &self.buffer[..count];
        if !same_pattern(self.number.into(), self.received, fresh) {
            self.is_wrong = true;
            let at = self.received;
            return Err(io::Error::other(format!("other bytes than sent behind {at}")));
        }
        self.received += count as u64;
        Ok(count)
    }
}
