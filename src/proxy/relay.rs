//! Moves the bytes of one connection, each direction on a thread of its own.
//!
//! End of input on one side ends the writing on the other, and the connection
//! lives until both have ended. A reset on one side becomes one on the other.
//! Nothing is read while the other side does not take what was read before: that is
//! the back-pressure, and all the buffering there is.

use crate::http::{Answers, End, Tracker};
use crate::pool::clients::Client;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::ending::Reason;
use crate::proxy::socket::Stream;
use crate::proxy::workers::{BUFFER, Buffer, Worker};
use crate::settings::Fastclose;
use crate::sys;
use crate::sys::message;
use std::io::{self, BufRead, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long pen reads from a client that still sends after its server is done, so
/// that a reset does not overtake the answer.
const LINGER: Duration = Duration::from_secs(5);

/// A thread that has copied this many bytes lets others run. Measured beside 8
/// streams: a small request takes 0.2 ms instead of 3 to 6 ms, and the streams are as
/// fast. Where other programs use up the processors, the
/// streams are half as fast.
const BURST: usize = BUFFER;

/// Copies both ways until both have ended. The caller's thread copies what the
/// client sends, the other thread what the server sends.
pub(crate) fn run(connection: Arc<Connection>, other: Worker, buffer: &mut Buffer) {
    let shared = Arc::clone(&connection);
    other.run(move |buffer| copy(&shared, Direction::Down, buffer));
    copy(&connection, Direction::Up, buffer);
}

fn copy(connection: &Connection, direction: Direction, buffer: &mut Buffer) {
    let mut sink = Sink {
        connection,
        direction,
        failed: false,
        burst: 0,
        http: rewriter(connection, direction),
        answers: answers(connection, direction),
    };
    let result = loop {
        match copy_all(Arc::clone(connection.source(direction)), &mut sink, buffer) {
            Err(e) if is_timeout(&e) && !sink.failed => buffer.release(),
            other => break other.and_then(|()| sink.finish()),
        }
    };
    let failed = sink.failed;
    if let Err(e) = &result {
        message::debug(1, || {
            let what = if failed { "write" } else { "read" };
            let (client, server) = (connection.client, connection.lease.name());
            format!("{client}, {server}: {direction:?}: {what}: {e}")
        });
    }
    match result {
        // Another thread has closed the connection, which woke this one.
        _ if connection.is_closed() => {}
        Err(e) if failed => receiver_failed(connection, direction, &e, buffer),
        Err(e) => connection.reset(Reason::failed(direction, &e)),
        Ok(()) if was_reset(connection, direction) => connection.reset(Reason::reset(direction)),
        Ok(()) => {
            let reason = Reason::closed(direction);
            connection.set_reason(reason);
            // `tcp_fastclose down` is about the client, whose direction is up.
            let alone = match direction {
                Direction::Up => Fastclose::Down,
                Direction::Down => Fastclose::Up,
            };
            let set = connection.lease.settings().fastclose;
            let takes_both = [alone, Fastclose::Both].contains(&set);
            // Noted before the shutdown, which may be answered at once. Once both
            // directions have ended, closing the sockets says the same.
            connection.ended(direction);
            if !connection.has_ended(direction.other()) {
                sys::shut(&**connection.source(direction.other()), Shutdown::Write);
            }
            if takes_both {
                connection.close(reason);
            }
        }
    }
    connection.ended(direction);
}

/// Whether a sender that seems to have ended was reset. The system reports the error
/// once, and the thread that was writing to the sender may have got it. A socket has
/// no peer after a reset, but also when both sides have ended as they should: so the
/// other direction must not have ended, before that look and after it.
fn was_reset(connection: &Connection, direction: Direction) -> bool {
    !connection.has_ended(direction.other())
        && sys::peer(&**connection.source(direction)).is_err()
        && !connection.has_ended(direction.other())
}

/// The receiver takes nothing more. A server that sent a reset may have answered
/// before, and a client that closes its socket for reading (Unix) may still send: then
/// the other direction goes on. A client that sent a reset is gone, and the server
/// must not take what it sent for all there is.
fn receiver_failed(
    connection: &Connection,
    direction: Direction,
    error: &io::Error,
    buffer: &mut Buffer,
) {
    let reason = Reason::failed(direction.other(), error);
    match (direction, was_reset(connection, direction.other())) {
        (Direction::Down, true) => return connection.reset(reason),
        (Direction::Down, false) => {
            connection.set_reason(reason);
            // What the server sent is lost. A reset tells it so; otherwise it would
            // wait until there is room for more.
            sys::reset_in_the_end(&**connection.source(direction));
        }
        (Direction::Up, true) => connection.set_reason(reason),
        (Direction::Up, false) => {}
    }
    drain(connection, direction, buffer);
}

/// Copies until the sender ends.
fn copy_all(source: Stream, sink: &mut Sink, buffer: &mut Buffer) -> io::Result<()> {
    buffer.lend(source, |reader| {
        // Tells the compiler that io::copy will not use the 8 KiB of stack that it
        // has for readers with small buffers: two pages less for every thread.
        if reader.capacity() < BUFFER {
            return Ok(());
        }
        io::copy(reader, sink).map(drop)
    })
}

/// Whether a read has brought nothing for the time [`crate::proxy::connect::QUIET`], or a write
/// has found no room for the time [`crate::proxy::connect::STALL`].
fn is_timeout(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Reads what the sender still sends and throws it away, so that neither end
/// waits for the other, until the sender ends or the other direction is over.
/// A client is listened to a little longer: closing a socket with unread data
/// resets it, and a reset may destroy the answer on its way. pen does not read from
/// a socket that a command has closed: the sender would not hear that there is room
/// again, and would wait for minutes; left unread, the data becomes a reset.
fn drain(connection: &Connection, direction: Direction, buffer: &mut Buffer) {
    let mut alone: Option<Instant> = None;
    let mut quiet = false;
    while !connection.is_closed() {
        if connection.has_ended(direction.other()) {
            let since = *alone.get_or_insert_with(Instant::now);
            if direction == Direction::Down || quiet || since.elapsed() > LINGER {
                return;
            }
        }
        let source = Arc::clone(connection.source(direction));
        quiet = match buffer.lend(source, |reader| reader.fill_buf().map(<[u8]>::len)) {
            Ok(n) if n > 0 => false,
            Err(e) if is_timeout(&e) => true,
            _ => return,
        };
    }
}

/// The receiving end of one direction. `io::copy` hands it what each read has
/// brought, in one piece.
struct Sink<'a> {
    connection: &'a Connection,
    direction: Direction,
    failed: bool,
    /// Bytes since this thread let others run.
    burst: usize,
    /// Puts headers into HTTP requests, while the bytes are such.
    http: Option<Box<Rewriter<'a>>>,
    /// Looks at the answers to these, while one may change the protocol.
    answers: Option<Box<Answers<'a>>>,
}

/// A tracker, and the bytes that it makes of one read.
struct Rewriter<'a> {
    tracker: Tracker<'a>,
    out: Vec<u8>,
}

/// What changes the bytes of this direction, if anything does.
fn rewriter(connection: &Connection, direction: Direction) -> Option<Box<Rewriter<'_>>> {
    let exchange = connection.http.as_deref().filter(|_| direction == Direction::Up)?;
    let client = match connection.client {
        Client::Inet(ip) => ip.to_string(),
        // What the header has for a client without an address.
        Client::Unix | Client::Net(..) => "unknown".to_owned(),
    };
    Some(Box::new(Rewriter { tracker: Tracker::new(&client, exchange), out: Vec::new() }))
}

/// What looks at the bytes of this direction, if anything does.
fn answers(connection: &Connection, direction: Direction) -> Option<Box<Answers<'_>>> {
    let exchange = connection.http.as_deref().filter(|_| direction == Direction::Down)?;
    Some(Box::new(Answers::new(exchange)))
}

impl<'a> Sink<'a> {
    /// Writes what the tracker makes of the data. The tracker is dropped when it has
    /// nothing left to do.
    fn rewrite(&mut self, mut http: Box<Rewriter<'a>>, data: &[u8]) -> io::Result<()> {
        http.out.clear();
        let taken = data.len() + http.tracker.held();
        http.tracker.feed(data, &mut http.out);
        self.connection.rewrote(taken - http.tracker.held(), http.out.len());
        let result = self.send_all(&http.out);
        match http.tracker.end() {
            None => self.http = Some(http),
            Some(End::Ambiguous) => message::say_seldom(format_args!(
                "{}: HTTP request that can be read in two ways: passed on as it is from there",
                self.connection.client
            )),
            Some(end) => message::debug(1, || {
                format!("{}: no HTTP requests from here: {end:?}", self.connection.client)
            }),
        }
        result
    }

    /// Writes what the tracker has held back, as the sender has ended.
    fn finish(&mut self) -> io::Result<()> {
        let Some(mut http) = self.http.take() else {
            return Ok(());
        };
        http.out.clear();
        http.tracker.finish(&mut http.out);
        self.send_all(&http.out)
    }

    /// Writes all of it.
    fn send_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let error = match self.write(data) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(n) => {
                    data = data.get(n..).unwrap_or_default();
                    continue;
                }
                Err(e) if is_timeout(&e) && !self.connection.is_closed() => continue,
                Err(e) => e,
            };
            self.failed = true;
            return Err(error);
        }
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // Not a File's write(2), which takes the longer way through the kernel.
        let to = self.connection.source(self.direction.other());
        let n = sys::send(&**to, data)?;
        self.connection.moved(self.direction, n);
        self.burst += n;
        if self.burst >= BURST {
            self.burst = 0;
            thread::yield_now();
        }
        Ok(n)
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.connection.note(self.direction, data);
        if !self.answers.as_mut().is_none_or(|answers| answers.see(data)) {
            self.answers = None;
        }
        match self.http.take() {
            None => self.send_all(data),
            Some(http) => self.rewrite(http, data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
