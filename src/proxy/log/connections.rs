//! The connection log: a line for each connection at its end, to a file or to
//! the system log.

use super::writer::{Destination, Kind, Writer};
use crate::pool::clients::Client;
use crate::pool::counter::Counter;
use crate::proxy::ending::{Ends, Reason};
use crate::sys::message;
use crate::sys::text;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a line says of a connection.
pub struct Entry {
    /// The client, without its port.
    pub(crate) client: Client,
    /// The client's port; without meaning for a Unix socket.
    pub(crate) port: u16,
    /// The address of its server, if it had one.
    pub(crate) server: Option<String>,
    /// Bytes from the client.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
    /// The time from accept to close.
    pub(crate) time: Duration,
    /// Why it ended.
    pub(crate) reason: Reason,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.client {
            Client::Inet(ip) => SocketAddr::new(ip, self.port).fmt(f)?,
            other => other.fmt(f)?,
        }
        // A path may contain anything, and a field contains no blank.
        let server = self.server.as_deref().unwrap_or("-");
        let server = text::printable(server).replace(' ', "\\x20");
        let (up, down, reason) = (self.up, self.down, self.reason.word());
        let (seconds, ms) = (self.time.as_secs(), self.time.subsec_millis());
        write!(f, " {server} {up} {down} {seconds}.{ms:03} {reason}")
    }
}

/// The connection log, which is off until [`ConnLog::switch`], and how many
/// connections have ended for which reason.
#[derive(Debug)]
pub struct ConnLog {
    writer: Writer,
    pub(crate) ends: Ends,
}

impl ConnLog {
    /// Makes a log that is off. It counts the lines that get lost in `lost`.
    pub(crate) fn new(lost: &Arc<Counter>) -> ConnLog {
        ConnLog { writer: Writer::new(lost), ends: Ends::default() }
    }

    /// Logs there from now on. If that fails, what was open stays.
    pub(crate) fn switch(&self, to: Destination) -> Result<(), String> {
        self.writer.switch(to)
    }

    /// Whether connections are logged.
    pub(crate) fn is_on(&self) -> bool {
        !self.writer.is(Kind::Off)
    }

    /// Counts the end of a connection, and logs it if connections are logged and the
    /// queue has a place for its line.
    pub(crate) fn ended(&self, reason: Reason, entry: impl FnOnce() -> Entry) {
        self.ends.count(reason);
        if self.is_on() {
            self.writer.line(self.text(&entry()));
        }
    }

    /// Logs the connections that end with pen, however many they are, and waits
    /// until all is written, a moment at most.
    pub(crate) fn finish(&self, entries: impl Iterator<Item = Entry>) {
        self.writer.finish(entries.map(|entry| self.text(&entry)));
    }

    fn text(&self, entry: &Entry) -> Vec<u8> {
        let line = match self.writer.is(Kind::Syslog) {
            // The system log has the time itself.
            true => format!("{entry}\n"),
            false => format!("{} {entry}\n", message::timestamp(message::unix_time())),
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
