//! The name of a client or server in a log.

use crate::sys::text;
use std::fmt;
use std::net::IpAddr;

/// An IP address or any other word in its place: `unix`, the path of a socket,
/// a host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum LogHost {
    /// An IPv4-mapped IPv6 address is stored as IPv4.
    Inet(IpAddr),
    Other(Box<[u8]>),
}

impl LogHost {
    pub(super) fn new(text: &[u8]) -> LogHost {
        let ip = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        match ip {
            Some(ip) => LogHost::Inet(IpAddr::to_canonical(&ip)),
            None => LogHost::Other(text.into()),
        }
    }

    /// Writes the name to a log, with dots for control characters.
    pub(super) fn write(&self, out: &mut impl std::io::Write) -> std::io::Result<()> {
        match self {
            LogHost::Inet(ip) => write!(out, "{ip}"),
            LogHost::Other(text) => match text.split_last() {
                // `harmless` keeps a CR at the end of a line, but the line goes
                // on here.
                Some((b'\r', rest)) => {
                    out.write_all(&text::harmless(rest))?;
                    out.write_all(b".")
                }
                _ => out.write_all(&text::harmless(text)),
            },
        }
    }
}

impl fmt::Display for LogHost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LogHost::Inet(ip) => ip.fmt(f),
            LogHost::Other(text) => String::from_utf8_lossy(text).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_they_were() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("unix", "unix"),
            ("010.0.0.1", "010.0.0.1"),
        ] {
            let host = LogHost::new(text.as_bytes());
            let mut out = Vec::new();
            host.write(&mut out).unwrap();
            assert_eq!(out, expected.as_bytes());
            assert_eq!(host.to_string(), expected);
        }
        let mut out = Vec::new();
        LogHost::new(b"\xff").write(&mut out).unwrap();
        assert_eq!(out, b"\xff");
        out.clear();
        LogHost::new(b"a\rb\r").write(&mut out).unwrap();
        assert_eq!(out, b"a.b.");
    }
}
