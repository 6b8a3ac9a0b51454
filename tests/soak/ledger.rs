//! What the two ends count, and what went wrong.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::stand::{pattern, same_pattern};

/// Faults that are shown; the others are only counted.
const SHOWN: usize = 20;

/// What one end has seen.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) connections: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

/// The same at one moment, as a sum of several, or as pen tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) connections: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Count {
    pub(crate) fn total(&self) -> Total {
        Total {
            connections: self.connections.load(Relaxed),
            sent: self.sent.load(Relaxed),
            received: self.received.load(Relaxed),
        }
    }
}

impl std::iter::Sum for Total {
    fn sum<I: Iterator<Item = Total>>(all: I) -> Total {
        all.fold(Total::default(), |a, b| Total {
            connections: a.connections + b.connections,
            sent: a.sent + b.sent,
            received: a.received + b.received,
        })
    }
}

/// What should not have happened.
#[derive(Default)]
pub(crate) struct Faults(Mutex<(u64, Vec<String>)>);

impl Faults {
    pub(crate) fn add(&self, what: String) {
        let mut faults = self.0.lock().unwrap();
        faults.0 += 1;
        if faults.1.len() < SHOWN {
            eprintln!("soak: {what}");
            faults.1.push(what);
        }
    }

    /// How many, and the first of them.
    pub(crate) fn all(&self) -> (u64, Vec<String>) {
        self.0.lock().unwrap().clone()
    }
}

/// One end of a TCP connection that counts what goes through it.
pub(crate) struct Wire<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) count: &'a Count,
}

impl Wire<'_> {
    /// Sends `head`, and behind it `len` bytes of a stream.
    pub(crate) fn send(&self, head: &[u8], stream: u32, len: u32) -> io::Result<()> {
        let first = pattern(stream as usize, 0, len as usize);
        self.write_all(&[head, first].concat())?;
        let sent = first.len() as u32;
        self.send_from(stream, u64::from(sent), len - sent)
    }

    /// Sends `len` bytes of a stream from `at` on.
    pub(crate) fn send_from(&self, stream: u32, at: u64, len: u32) -> io::Result<()> {
        let end = at + u64::from(len);
        let mut at = at;
        while at < end {
            let piece = pattern(stream as usize, at, (end - at) as usize);
            self.write_all(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        let mut to = self.stream;
        while !data.is_empty() {
            match to.write(data) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.count.sent.fetch_add(n as u64, Relaxed);
                    data = &data[n..];
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Some bytes, 0 at the end.
    pub(crate) fn read(&self, data: &mut [u8]) -> io::Result<usize> {
        let mut from = self.stream;
        loop {
            match from.read(data) {
                Ok(n) => {
                    self.count.received.fetch_add(n as u64, Relaxed);
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Fills `data` as far as there is something; how far.
    pub(crate) fn fill(&self, data: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < data.len() {
            match self.read(&mut data[have..])? {
                0 => break,
                n => have += n,
            }
        }
        Ok(have)
    }

    /// Takes `len` bytes of a stream from `at` on, and looks at each.
    pub(crate) fn take(&self, stream: u32, at: u64, len: u32) -> io::Result<()> {
        let end = at + u64::from(len);
        match self.take_some(stream, at, len)? {
            reached if reached == end => Ok(()),
            reached => {
                let why = format!("ended {} bytes too early", end - reached);
                Err(io::Error::new(ErrorKind::UnexpectedEof, why))
            }
        }
    }

    /// The same up to the end, should that come before; where it came.
    pub(crate) fn take_some(&self, stream: u32, at: u64, len: u32) -> io::Result<u64> {
        let end = at + u64::from(len);
        let mut at = at;
        let mut data = [0; 16 * 1024];
        while at < end {
            let room = (end - at).min(data.len() as u64) as usize;
            let n = self.read(&mut data[..room])?;
            if n == 0 {
                break;
            }
            if !same_pattern(stream as usize, at, &data[..n]) {
                let why = format!("other bytes than were sent, near byte {at}");
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            at += n as u64;
        }
        Ok(at)
    }

    /// The end, and nothing before it.
    pub(crate) fn take_end(&self) -> io::Result<()> {
        match self.read(&mut [0; 16])? {
            0 => Ok(()),
            _ => Err(io::Error::new(ErrorKind::InvalidData, "more bytes than were sent")),
        }
    }
}
