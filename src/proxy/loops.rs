//! Servers that are pen itself. A connection to where pen listens comes in as a
//! client's and is passed on to there again, until all slots are taken.
//!
//! Such a server is refused when it is set. What becomes one later, as an
//! address moves to this host, is noticed when pen connects.

use crate::pool::choice::Target;
use crate::proxy::shared::Pen;
use crate::sys::addr::{Endpoint, Host, canonical};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Why such a server is refused. The text stands behind the server's address.
pub(crate) const WHY: &str = "this is where pen itself listens";

/// Whether a connection to `to` comes in at `own`, where pen listens.
pub(crate) fn is_own(own: SocketAddr, to: SocketAddr) -> bool {
    let (own, to) = (canonical(own), canonical(to));
    let same_port = own.port() == to.port() && to.port() != 0;
    // On Linux `::` listens for both families.
    let both = own.is_ipv6() && cfg!(target_os = "linux");
    let takes = own.ip().is_unspecified() && (both || own.is_ipv4() == to.is_ipv4());
    same_port && (own.ip() == to.ip() || takes && is_local(to))
}

/// Whether an address is this host's, which it is if a socket can be bound to it. Where
/// the system lets programs bind any address (Linux: `ip_nonlocal_bind`), even one that
/// is reserved for documentation (RFC 5737 and 3849), only loopback counts. It takes
/// 1.6 µs of processor time (measured).
fn is_local(at: SocketAddr) -> bool {
    let can_bind = |mut at: SocketAddr| {
        at.set_port(0);
        UdpSocket::bind(at).is_ok()
    };
    let documentation: IpAddr = match at {
        SocketAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        SocketAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    at.ip().is_loopback() || can_bind(at) && !can_bind(SocketAddr::new(documentation, 0))
}

/// Whether a server is pen itself. A name with several addresses is a server if one of
/// them is another host's: pen passes over the others. Without a `port` of its own, it is
/// reached at each listening port.
fn is_server_own(own: &Endpoint, host: &Host, port: Option<u16>) -> bool {
    match (own, host) {
        (Endpoint::Unix(own), Host::Unix(path)) => own == path,
        (Endpoint::Inet(own), Host::Inet(all)) => {
            let is_own_at = |port: u16| {
                let at = |to: &SocketAddr| {
                    let mut to = *to; // with its scope
                    to.set_port(port);
                    to
                };
                let is_own = |to: &SocketAddr| own.iter().any(|own| is_own(*own, at(to)));
                all.iter().any(is_own) && all.iter().all(|to| is_own(to) || is_local(at(to)))
            };
            match port {
                Some(port) => is_own_at(port),
                None => own.iter().any(|own| is_own_at(own.port())),
            }
        }
        _ => false,
    }
}

/// Refuses a server at this host and port, if it is pen itself, which listens at
/// `own`.
pub(crate) fn refuse(own: &Endpoint, host: &Host, port: Option<u16>) -> Result<(), String> {
    if is_server_own(own, host, port) { Err(WHY.to_owned()) } else { Ok(()) }
}

/// Refuses to listen at `own`, if a server is there for which `stays` holds.
pub(crate) fn refuse_listening(
    pen: &Pen,
    own: &Endpoint,
    stays: impl Fn(Target) -> bool,
) -> Result<(), String> {
    // Checked without the lock, as binding is a system call.
    let known: Vec<_> = {
        let table = pen.servers.table();
        let all = table.all().filter(|(target, _)| stays(*target));
        let all = all
            .map(|(_, server)| (server.operand(false), server.host.clone(), server.fixed_port()));
        all.collect()
    };
    match known.iter().find(|(_, host, port)| is_server_own(own, host, *port)) {
        Some((operand, ..)) => Err(format!("server {operand}: {WHY}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_again() {
        for (own, to, want) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("0.0.0.0:80", "[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:80", "192.0.2.7:80", false),
            ("[::]:80", "127.0.0.1:80", cfg!(target_os = "linux")),
            ("0.0.0.0:0", "127.0.0.1:0", false),
        ] {
            let is_own = is_own(own.parse().unwrap(), to.parse().unwrap());
            assert_eq!(is_own, want, "{own} {to}");
        }
    }

    #[test]
    fn names_with_several_addresses() {
        let own = Endpoint::Inet(vec!["0.0.0.0:80".parse().unwrap()]);
        for (all, want) in [
            (&["127.0.0.1"][..], true),
            (&["127.0.0.1", "::1"], true),
            (&["127.0.0.1", "192.0.2.7"], false),
            (&["::1"], false),
        ] {
            let all = all.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            let host = Host::Inet(all.collect());
            assert_eq!(is_server_own(&own, &host, Some(80)), want, "{host:?}");
            assert!(!is_server_own(&own, &host, Some(81)), "{host:?}");
            assert_eq!(is_server_own(&own, &host, None), want, "{host:?}");
        }
        let unix = |path: &str| Host::Unix(path.into());
        let own = Endpoint::Unix("/run/x".into());
        assert!(is_server_own(&own, &unix("/run/x"), Some(1)));
        assert!(!is_server_own(&own, &unix("/run/y"), Some(1)));
    }
}
