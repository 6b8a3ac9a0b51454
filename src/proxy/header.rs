//! The header of the PROXY protocol on a TCP connection: read before anything else of a
//! client (`accept_proxy`), and sent to a server before anything else (`send_proxy`).

use crate::pool::clients::Client;
use crate::proxy::connection::{Connection, Direction};
use crate::proxy::ending::Reason;
use crate::proxy::find;
use crate::proxy::listener::Accepted;
use crate::proxy::shared::Pen;
use crate::proxy::socket::Socket;
use crate::proxy_protocol::{self, LONGEST, SendProxy, Source};
use crate::settings::Settings;
use crate::sys::addr;
use crate::sys::{self, Kind};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the whole header may take. The standard wants at least 3 s, so that a packet
/// that was lost can come again.
const LIMIT: Duration = Duration::from_secs(5);

/// What the message says of a sender that may not send headers.
pub(crate) const DENIED: &str = "PROXY header refused: proxy_acl denies it";

/// Whether this sender may say which client it stands for.
pub(crate) fn is_trusted(settings: &Settings, sender: Client) -> bool {
    settings.acls.get(settings.proxy_acl).is_none_or(|acl| acl.permits(sender))
}

/// Receives the header of a client, and returns the client that it names. `None` if the
/// client is turned away.
pub(super) fn receive(
    pen: &Pen,
    settings: &Settings,
    socket: &Socket,
    accepted: Accepted,
) -> Option<Accepted> {
    let result = match is_trusted(settings, accepted.client) {
        true => read(socket),
        false => Err(DENIED.to_owned()),
    };
    match result {
        Ok(source) => Some(accepted.on_behalf_of(source)),
        Err(why) => {
            find::turn_away(pen, &accepted, Kind::Stream, Reason::NoHeader, &why, false);
            None
        }
    }
}

/// Reads a header and nothing behind it: looks at what has come, and then takes as much
/// of it as belongs to the header.
// Its buffer must not lie on the stack below the relay of those who send no header.
#[inline(never)]
fn read(socket: &Socket) -> Result<Source, String> {
    let end = Instant::now() + LIMIT;
    let mut header = [0; LONGEST];
    let mut have = 0;
    loop {
        let came = match socket.peek(header.get_mut(have..).unwrap_or_default()) {
            Ok(0) => return Err("closed without a whole PROXY header".to_owned()),
            Ok(came) => came,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(e) => return Err(format!("no PROXY header: {e}")),
        };
        let seen = header.get(..have + came).unwrap_or_default();
        let parsed = proxy_protocol::parse(seen).map_err(|why| format!("PROXY header: {why}"))?;
        let until = parsed.map_or(have + came, |(len, _)| len);
        socket
            .take(header.get_mut(have..until).unwrap_or_default())
            .map_err(|e| format!("no PROXY header: {e}"))?;
        if let Some((_, source)) = parsed {
            return Ok(source);
        }
        have = until;
        if Instant::now() > end {
            return Err(format!("no whole PROXY header within {} s", LIMIT.as_secs()));
        }
    }
}

/// Makes the header that a server gets about a client, which has come to `here`.
pub(crate) fn about(
    accepted: &Accepted,
    here: Option<SocketAddr>,
    send: SendProxy,
    kind: Kind,
) -> Vec<u8> {
    let source = match (accepted.named, accepted.client, here) {
        (Some(source @ (Source::Inet { .. } | Source::Unix)), ..) => source,
        // A balancer that asks for itself is none of our clients, either. A line of
        // version 1 cannot say so without being refused by some servers.
        (Some(Source::Sender), ..) if send == SendProxy::V2 => Source::Sender,
        (_, Client::Inet(ip), Some(here)) => {
            Source::Inet { from: (ip, accepted.port).into(), to: addr::canonical(here) }
        }
        _ => Source::Sender,
    };
    send.header(source, kind == Kind::Datagram)
}

/// Sends a header, before anything else goes to the server.
pub(super) fn send(connection: &Connection, header: &[u8]) {
    // If it fails, the relay finds the same.
    if sys::send(&**connection.source(Direction::Down), header).is_ok() {
        connection.rewrote(0, header.len());
        connection.moved(Direction::Up, header.len());
    }
}
