//! The connection log: a line for each connection at its end, to a file or to
//! the system log.

use super::writer::{Destination, Writer};
use crate::pool::clients::Client;
use crate::pool::counter::Counter;
use crate::proxy::ending::Reason;
use crate::settings::ConnTarget;
use crate::sys::message;
use crate::sys::text;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

/// What is told of a connection.
pub struct Entry {
    /// Whose it was.
    pub client: Client,
    /// The client's port; without meaning for a Unix socket.
    pub port: u16,
    /// Where its server is, if it had one.
    pub server: Option<String>,
    /// Bytes from the client.
    pub up: u64,
    /// Bytes to the client.
    pub down: u64,
    /// From accept to close.
    pub time: Duration,
    /// How it ended.
    pub reason: Reason,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.client {
            Client::Inet(ip) => SocketAddr::new(ip, self.port).fmt(f)?,
            Client::Unix => f.write_str("unix")?,
        }
        // A path may have anything in it, and a field has no blank.
        let server = self.server.as_deref().unwrap_or("-");
        let server = text::printable(server).replace(' ', "\\x20");
        let (up, down, reason) = (self.up, self.down, self.reason.word());
        write!(f, " {server} {up} {down} {:.3} {reason}", self.time.as_secs_f64())
    }
}

const OFF: u8 = 0;
const TO_FILE: u8 = 1;
const TO_SYSLOG: u8 = 2;

/// The connection log; off until [`ConnLog::switch`].
#[derive(Debug)]
pub struct ConnLog {
    kind: AtomicU8,
    writer: Writer,
}

impl ConnLog {
    /// Off; it counts the lines that get lost here.
    pub fn new(lost: &Arc<Counter>) -> ConnLog {
        ConnLog { kind: AtomicU8::new(OFF), writer: Writer::new(lost) }
    }

    /// Opens a log, or opens it again after rotation.
    pub fn open(target: &ConnTarget, may_wait: bool) -> Result<Destination, String> {
        match target {
            ConnTarget::Syslog => Ok(Destination::Syslog),
            ConnTarget::File(path) => Destination::file(path, may_wait),
        }
    }

    /// Logs there from now on. If that fails, what was open stays.
    pub fn switch(&self, to: Destination) -> Result<(), String> {
        let kind = match to {
            Destination::None => OFF,
            Destination::File(_) => TO_FILE,
            Destination::Syslog => TO_SYSLOG,
        };
        self.writer.switch(to)?;
        self.kind.store(kind, Relaxed);
        Ok(())
    }

    /// Whether connections are to be told.
    pub fn is_on(&self) -> bool {
        self.kind.load(Relaxed) != OFF
    }

    /// Logs a connection, unless there is no room for its line.
    pub fn put(&self, entry: &Entry) {
        self.writer.line(self.text(entry));
    }

    /// Logs those that end with pen, however many they are, and waits until all
    /// is written, a moment at most.
    pub fn finish(&self, entries: impl Iterator<Item = Entry>) {
        for entry in entries {
            if self.writer.line_for_sure(self.text(&entry)).is_err() {
                return;
            }
        }
        self.writer.flush();
    }

    /// The system log has the time itself.
    fn text(&self, entry: &Entry) -> Vec<u8> {
        let line = match self.kind.load(Relaxed) {
            TO_FILE => format!("{} {entry}\n", message::timestamp(message::unix_time())),
            _ => format!("{entry}\n"),
        };
        line.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_its_form() {
        let mut entry = Entry {
            client: Client::Inet([192, 0, 2, 7].into()),
            port: 40000,
            server: Some("10.0.0.1:80".to_owned()),
            up: 12,
            down: 3456,
            time: Duration::from_millis(1234),
            reason: Reason::ClientClosed,
        };
        let text = "192.0.2.7:40000 10.0.0.1:80 12 3456 1.234 client-closed";
        assert_eq!(entry.to_string(), text);
        (entry.client, entry.server) = (Client::Unix, Some("/run/a b\n".to_owned()));
        assert_eq!(entry.to_string(), "unix /run/a\\x20b\\x0a 12 3456 1.234 client-closed");
        (entry.server, entry.reason) = (None, Reason::Denied);
        assert_eq!(entry.to_string(), "unix - 12 3456 1.234 denied");
    }
}
