//! Addresses as written on the command line and in commands, and what they
//! mean: server operands, listen operands, ports by number or service name.
//!
//! Splitting is pure; [`resolve`] and [`port`] ask the system's name services.

use habits::Role;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

mod habits;
mod ports;
pub use ports::endpoints;
pub(crate) use ports::listening;

/// Where a server is reached, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// A slot of the server table without an address: never chosen.
    #[default]
    Empty,
    /// The addresses of a name, tried in order. Ports are 0 here, the scope of
    /// an IPv6 link-local address is kept. Never empty.
    Inet(Vec<SocketAddr>),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Host {
    /// Its addresses, if it has any.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        match self {
            Host::Inet(all) => all,
            Host::Unix(_) | Host::Empty => &[],
        }
    }

    /// Whether both are the same, in whatever order their addresses are: name servers
    /// give them in turn.
    pub(crate) fn is_same(&self, other: &Host) -> bool {
        let (one, two) = (self.addresses(), other.addresses());
        let same = one.len() == two.len() && one.iter().all(|at| two.contains(at));
        self == other || !one.is_empty() && same
    }

    /// As a word that [`host`] reads back: the first address, with its scope.
    pub(crate) fn word(&self) -> String {
        match self {
            Host::Inet(all) => match all.first() {
                Some(SocketAddr::V6(first)) if first.scope_id() != 0 => {
                    format!("{}%{}", first.ip(), first.scope_id())
                }
                _ => self.to_string(),
            },
            _ => self.to_string(),
        }
    }
}

/// The first address alone, as the reports show it.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let first = match self {
            Host::Unix(path) => return path.display().fmt(f),
            Host::Inet(all) => all.first().map(SocketAddr::ip),
            Host::Empty => None,
        };
        first.unwrap_or(Ipv4Addr::UNSPECIFIED.into()).fmt(f)
    }
}

/// A server operand: `host[:port[:max[:hard[:weight[:prio]]]]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSpec {
    /// Its host as it was written, without brackets.
    pub name: String,
    /// Where it is.
    pub host: Host,
    /// TCP port; 0 = none, never chosen. 1 for a Unix socket.
    pub port: u16,
    /// A client reaches it at the port that the client came in on. `port` is then the
    /// first listening port, for all that is done without a client.
    pub same_port: bool,
    /// The numbers behind the port.
    pub share: Share,
}

/// How many of the clients a server gets. What is left out is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Soft limit on connections, 0 = none.
    pub max: u32,
    /// Limit for clients that were on this server last time.
    pub hard: u32,
    /// Share of the connections in weight mode.
    pub weight: u32,
    /// Rank in prio mode, lowest first.
    pub prio: i32,
}

impl Share {
    /// The numbers in the order of the operand, with the words that the command
    /// `server` and the reports have for them.
    pub(crate) fn rows(self) -> [(&'static str, i64); 4] {
        let (max, hard, weight) = (self.max.into(), self.hard.into(), self.weight.into());
        [("max", max), ("hard", hard), ("weight", weight), ("prio", self.prio.into())]
    }
}

/// The port of a server that was given without one: the listening port. Of several, each
/// client has the one that it came in on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultPort {
    /// The first listening port, or 0.
    pub(crate) number: u16,
    /// There are others.
    pub(crate) is_same: bool,
}

impl From<u16> for DefaultPort {
    fn from(number: u16) -> DefaultPort {
        DefaultPort { number, is_same: false }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// The addresses that the host part stands for; the first that can be
    /// bound is used. Never empty.
    Inet(Vec<SocketAddr>),
    /// A Unix socket to be made.
    Unix(PathBuf),
}

/// A port by number or by its name in the services database. 0 is a number.
pub(crate) fn port(word: &str) -> Result<u16, String> {
    if word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() {
        return word.parse().map_err(|_| format!("{word}: port out of range, expected 0 to 65535"));
    }
    let path = "/etc/services";
    let text = std::fs::read(path)
        .map_err(|e| format!("{word}: expected a port number; service names need {path}: {e}"))?;
    service(&String::from_utf8_lossy(&text), word)
        .ok_or_else(|| format!("{word}: expected a port number or a service name of {path}"))
}

/// Looks `name` up in the text of a services(5) file, for TCP or else for UDP.
fn service(text: &str, name: &str) -> Option<u16> {
    let port = |protocol| {
        text.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let (first, target) = (words.next()?, words.next()?);
            let number = target.strip_suffix(protocol)?;
            let is_it = first == name || words.any(|alias| alias == name);
            number.parse().ok().filter(|_| is_it)
        })
    };
    port("/tcp").or_else(|| port("/udp"))
}

/// The addresses of a host, IPv4 before IPv6 as the C program prefers them,
/// each once, an IPv4-mapped one as that IPv4 address.
pub(crate) fn resolve(host: &str) -> Result<Vec<SocketAddr>, String> {
    let found =
        (host, 0).to_socket_addrs().map_err(|e| format!("{host}: cannot find this host: {e}"))?;
    let mut all: Vec<SocketAddr> = Vec::new();
    for addr in found.map(canonical) {
        if !all.contains(&addr) {
            all.push(addr);
        }
    }
    if all.is_empty() {
        return Err(format!("{host}: this host has no address"));
    }
    all.sort_by_key(SocketAddr::is_ipv6); // stable: the resolver's order stays
    Ok(all)
}

/// Tries one after the other until one works. Fails as the last one did, or with
/// `none` if there is none.
pub(crate) fn first_of<A, T, E>(
    all: impl IntoIterator<Item = A>,
    none: E,
    attempt: impl FnMut(A) -> Result<T, E>,
) -> Result<T, E> {
    let mut result = Err(none);
    for next in all.into_iter().map(attempt) {
        result = next;
        if result.is_ok() {
            break;
        }
    }
    result
}

/// `::ffff:a.b.c.d` is `a.b.c.d` everywhere.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, addr.port()),
        IpAddr::V6(_) => addr, // with its scope
    }
}

/// Any address and port of the family that `to` is of, to send to it from.
pub(crate) fn any_like(to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    }
}

/// Splits a server operand into the host and what is behind it: port, max, hard,
/// weight and prio, each empty where it was left out.
fn split(word: &str) -> Result<(&str, [&str; 5]), String> {
    const FORM: &str = "expected host[:port[:max[:hard[:weight[:prio]]]]]";
    let (host, tail) = match word.strip_prefix('[') {
        Some(inner) => inner
            .split_once(']')
            .ok_or_else(|| format!("{word}: no ] behind [, expected [address]:port"))?,
        None => word.split_at(word.find(':').unwrap_or(word.len())),
    };
    if host.is_empty() {
        return Err(format!("{word}: no host, {FORM}"));
    }
    if !tail.is_empty() && !tail.starts_with(':') {
        return Err(format!("{word}: {tail} behind the address, {FORM}"));
    }
    let mut parts = tail.split(':').skip(1);
    let rest = std::array::from_fn(|_| parts.next().unwrap_or_default());
    match parts.next() {
        None => Ok((host, rest)),
        Some(_) => Err(format!("{word}: too many parts, {FORM}")),
    }
}

/// Whether an address word means a Unix socket.
pub fn is_path(word: &str) -> bool {
    word.contains('/')
}

/// Reads and resolves a server operand.
pub fn server(word: &str, default_port: Option<DefaultPort>) -> Result<ServerSpec, String> {
    habits::read(word, Role::Server, || server_as_written(word, default_port))
}

fn server_as_written(word: &str, default_port: Option<DefaultPort>) -> Result<ServerSpec, String> {
    /// A part that is a number, 0 if it was left out.
    fn part<T: FromStr + Default>(word: &str, name: &str, text: &str) -> Result<T, String> {
        match text {
            "" => Ok(T::default()),
            text => number(text).map_err(|e| format!("{word}: {name} {e}")),
        }
    }
    let (name, [port_word, max, hard, weight, prio]) = split(word)?;
    let host = host(name).map_err(|e| within(word, &e))?;
    let port = match (&host, port_word) {
        // pen quirk: a Unix-socket server is listed with port 1.
        (Host::Unix(_), _) => 1.into(),
        (_, "") => default_port
            .ok_or_else(|| format!("{word}: no port, and no listening port to take instead"))?,
        (_, port_word) => port(port_word).map_err(|e| within(word, &e))?.into(),
    };
    let DefaultPort { number: port, is_same: same_port } = port;
    let share = Share {
        max: part(word, "max", max)?,
        hard: part(word, "hard", hard)?,
        weight: part(word, "weight", weight)?,
        prio: part(word, "prio", prio)?,
    };
    Ok(ServerSpec { name: bare(name).to_owned(), host, port, same_port, share })
}

/// Puts a word before a complaint, unless it begins with it already.
pub(crate) fn within(word: &str, complaint: &str) -> String {
    match complaint.strip_prefix(word) {
        Some(rest) if rest.starts_with(':') => complaint.to_owned(),
        _ => format!("{word}: {complaint}"),
    }
}

/// An address without the brackets that it may stand in.
pub(crate) fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// What the host part of a server operand stands for. `0` and `0.0.0.0` empty
/// the slot: that is how scripts delete a server.
pub(crate) fn host(word: &str) -> Result<Host, String> {
    habits::read(word, Role::Host, || host_as_written(word))
}

fn host_as_written(word: &str) -> Result<Host, String> {
    if is_path(word) {
        return Ok(Host::Unix(word.into()));
    }
    let all = resolve(bare(word))?;
    match all.first() {
        Some(first) if first.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ok(Host::Empty),
        _ => Ok(Host::Inet(all)),
    }
}

/// A number, or a complaint that names the word.
fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word}: expected a number in range"))
}

/// Reads and resolves a listen operand: `port`, `host:port` or a path. Port 0,
/// for one that the system chooses, takes a host.
pub fn endpoint(word: &str) -> Result<Endpoint, String> {
    habits::read(word, Role::Listen, || endpoint_as_written(word))
}

fn endpoint_as_written(word: &str) -> Result<Endpoint, String> {
    if is_path(word) {
        return Ok(Endpoint::Unix(word.into()));
    }
    let (host, port_word) = word.rsplit_once(':').unwrap_or(("", word));
    let port = port(port_word).map_err(|e| within(word, &e))?;
    let host = match bare(host) {
        "" if port == 0 => return Err(format!("{word}: port out of range, expected 1 to 65535")),
        "" => "0.0.0.0",
        host => host,
    };
    let mut all = resolve(host).map_err(|e| within(word, &e))?;
    for addr in &mut all {
        addr.set_port(port);
    }
    Ok(Endpoint::Inet(all))
}

/// The first address alone, for messages.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => path.display().fmt(f),
            Endpoint::Inet(all) => all.first().map_or(Ok(()), |first| first.fmt(f)),
        }
    }
}

impl Endpoint {
    /// Its port; of several, the first.
    pub fn port(&self) -> Option<u16> {
        match self {
            Endpoint::Inet(all) => all.first().map(SocketAddr::port).filter(|p| *p != 0),
            Endpoint::Unix(_) => None,
        }
    }

    /// The port of servers without one.
    pub(crate) fn default_port(&self) -> Option<DefaultPort> {
        let number = self.port()?;
        let is_same = match self {
            Endpoint::Inet(all) => all.iter().any(|at| at.port() != number),
            Endpoint::Unix(_) => false,
        };
        Some(DefaultPort { number, is_same })
    }

    /// All addresses of these as one.
    pub(crate) fn of_all(all: impl IntoIterator<Item = Endpoint>) -> Endpoint {
        let mut addresses = Vec::new();
        for endpoint in all {
            match endpoint {
                Endpoint::Inet(more) => addresses.extend(more),
                // It listens alone.
                unix @ Endpoint::Unix(_) => return unix,
            }
        }
        Endpoint::Inet(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(text: &str) -> Host {
        Host::Inet(vec![SocketAddr::new(text.parse().unwrap(), 0)])
    }

    #[test]
    fn server_operands() {
        let all = server("127.0.0.1:80:10:20:3:4", None).unwrap();
        let want = ServerSpec {
            name: "127.0.0.1".to_owned(),
            host: inet("127.0.0.1"),
            port: 80,
            same_port: false,
            share: Share { max: 10, hard: 20, weight: 3, prio: 4 },
        };
        assert_eq!(all, want);
        let v6 = server("[::1]:80:1", None).unwrap();
        assert_eq!((v6.host, v6.port, v6.share.max), (inet("::1"), 80, 1));
        assert_eq!(server("[::1]", Some(25.into())).unwrap().port, 25);
        assert_eq!(server("127.0.0.1", Some(25.into())).unwrap().port, 25);
        assert_eq!(server("127.0.0.1::7", Some(25.into())).unwrap().share.max, 7);
        assert_eq!(server("[::ffff:127.0.0.2]:1", None).unwrap().host, inet("127.0.0.2"));
        let unix = server("/tmp/a:0:4", None).unwrap();
        assert_eq!((unix.host, unix.port, unix.share.max), (Host::Unix("/tmp/a".into()), 1, 4));
        assert_eq!(server("0.0.0.0:80", None).unwrap().host, Host::Empty);
        assert_eq!(server("0:80", None).unwrap().host, Host::Empty);
    }

    #[test]
    fn bad_server_operands_name_the_word() {
        for (word, part) in [
            ("127.0.0.1", "no port"),
            (":80", "no host"),
            ("", "no host"),
            ("[::1", "no ]"),
            ("[::1]80", "80 behind the address"),
            ("127.0.0.1:99999", "out of range"),
            ("127.0.0.1:80x", "expected a port"),
            ("127.0.0.1:80:x", "max x"),
            ("127.0.0.1:80:-1", "max -1"),
            ("127.0.0.1:80:1:x", "hard x"),
            ("127.0.0.1:80:1:2:x", "weight x"),
            ("127.0.0.1:80:1:2:3:x", "prio x"),
            ("127.0.0.1:80:1:2:3:4:5", "too many"),
        ] {
            let complaint = server(word, None).unwrap_err();
            assert!(complaint.starts_with(word), "{complaint}");
            assert!(complaint.contains(part), "{complaint}");
        }
    }

    #[test]
    fn listen_operands() {
        let at = |text: &str| Endpoint::Inet(vec![text.parse().unwrap()]);
        assert_eq!(endpoint("80").unwrap(), at("0.0.0.0:80"));
        assert_eq!(endpoint(":80").unwrap(), at("0.0.0.0:80"));
        assert_eq!(endpoint(":::80").unwrap(), at("[::]:80"));
        assert_eq!(endpoint("::1:2222").unwrap(), at("[::1]:2222"));
        assert_eq!(endpoint("[::1]:2222").unwrap(), at("[::1]:2222"));
        assert_eq!(endpoint("/x/y").unwrap(), Endpoint::Unix("/x/y".into()));
        assert_eq!(endpoint("127.0.0.1:0").unwrap(), at("127.0.0.1:0"));
        for word in ["", "127.0.0.1", "127.0.0.1:", "70000", "0", ":0", "no-such-service", "a b:80"]
        {
            let complaint = endpoint(word).unwrap_err();
            assert!(complaint.starts_with(word), "{complaint}");
        }
    }

    #[test]
    fn services_file() {
        let text = "# comment\nhttp 80/tcp www # x\ndns 53/udp\ndns 53/tcp\nntp 123/udp\nbad x/tcp";
        assert_eq!(service(text, "www"), Some(80));
        assert_eq!(service(text, "dns"), Some(53));
        assert_eq!(service(text, "ntp"), Some(123));
        assert_eq!(service(text, "x"), None);
        assert_eq!(service(text, "bad"), None);
    }
}
