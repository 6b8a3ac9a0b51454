//! The PROXY protocol, versions 1 and 2: a header before the first byte of a connection,
//! or before each datagram, in which a proxy names the client that it stands for. No I/O.
//!
//! Source: proxy-protocol.txt of HAProxy, revision of 2026-04-27.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most bytes of a header. The addresses take 232 at most, and what proxies say beside
/// them (names in certificates, identifiers) some hundred. Each client that waits for its
/// header has this much of a thread's stack.
pub const LONGEST: usize = 4096;

/// Most bytes of a header of version 1, with its CR LF.
const LINE: usize = 107;

/// A header of version 2 begins with this.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Its bytes before the addresses.
const HEAD: usize = 16;

/// The type of the field with a checksum of the header (PP2_TYPE_CRC32C).
const CHECKSUM: u8 = 3;

/// Whom a header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The sender, which has connected for itself (LOCAL), or which does not know the
    /// client's address (UNKNOWN). The real addresses of the connection count.
    Sender,
    /// The client at `from`, which has connected to `to`.
    Inet {
        /// The client.
        from: SocketAddr,
        /// The address that it has used.
        to: SocketAddr,
    },
    /// A client of a Unix socket.
    Unix,
}

/// Reads the header that `data` begins with. Returns its length and whom it names;
/// `None` if the rest of it is missing. Whatever is not exactly a header is an error, as
/// soon as that is seen.
pub fn parse(data: &[u8]) -> Result<Option<(usize, Source)>, &'static str> {
    let begins = |with: &[u8]| data.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    if begins(SIGNATURE) {
        binary(data)
    } else if begins(b"PROXY ") {
        line(data)
    } else {
        Err("none")
    }
}

/// Reads a header of version 1.
fn line(data: &[u8]) -> Result<Option<(usize, Source)>, &'static str> {
    let len = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) if end < LINE => end + 1,
        None if data.len() < LINE => return Ok(None),
        _ => return Err("line too long"),
    };
    let line = data.get(..len).and_then(|line| line.strip_suffix(b"\r\n"));
    let line = line.ok_or("line without CR LF")?;
    if let Some([] | [b' ', ..]) = line.strip_prefix(b"PROXY UNKNOWN") {
        return Ok(Some((len, Source::Sender)));
    }
    let text = std::str::from_utf8(line).map_err(|_| "bad line")?;
    Ok(Some((len, addresses(text).ok_or("bad line")?)))
}

/// Reads the addresses of a line.
fn addresses(line: &str) -> Option<Source> {
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next();
    let ip: fn(&str) -> Option<IpAddr> = match next()? {
        "TCP4" => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (from, to) = (ip(next()?)?, ip(next()?)?);
    let (from_port, to_port) = (port(next()?)?, port(next()?)?);
    let source = Source::Inet { from: (from, from_port).into(), to: (to, to_port).into() };
    next().is_none().then_some(source)
}

/// Reads a port, which has no leading zeros and no sign.
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    word.parse().ok().filter(|_| is_plain)
}

/// Reads a header of version 2.
fn binary(data: &[u8]) -> Result<Option<(usize, Source)>, &'static str> {
    let Some([.., command, family, high, low]) = data.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let len = HEAD + usize::from(u16::from_be_bytes([*high, *low]));
    // `None` if the rest is to be skipped.
    let room = match (command, family) {
        (0x20, _) | (0x21, 0x00) => None,
        (0x21, 0x11 | 0x12) => Some(12),
        (0x21, 0x21 | 0x22) => Some(36),
        (0x21, 0x31 | 0x32) => Some(216),
        (0x21, _) => return Err("unknown family or transport"),
        _ => return Err("unknown version or command"),
    };
    if len > LONGEST {
        return Err("longer than 4096 bytes");
    }
    if room.is_some_and(|room| len < HEAD + room) {
        return Err("too short for its addresses");
    }
    let Some(header) = data.get(..len) else {
        return Ok(None);
    };
    let Some(room) = room else {
        return Ok(Some((len, Source::Sender)));
    };
    check_fields(header, HEAD + room)?;
    let body = header.get(HEAD..).unwrap_or_default();
    let source = match room {
        12 => inet::<4, IpAddr>(body),
        36 => inet::<16, IpAddr>(body),
        _ => Some(Source::Unix),
    };
    source.map(|source| Some((len, source))).ok_or("too short for its addresses")
}

/// Reads two addresses of `N` bytes, and the ports behind them.
fn inet<const N: usize, T: From<[u8; N]>>(body: &[u8]) -> Option<Source>
where
    IpAddr: From<T>,
{
    let (from, rest) = body.split_first_chunk::<N>()?;
    let (to, rest) = rest.split_first_chunk::<N>()?;
    let (from_port, rest) = rest.split_first_chunk()?;
    let at = |ip: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(IpAddr::from(T::from(*ip)), u16::from_be_bytes(*port))
    };
    Some(Source::Inet { from: at(from, from_port), to: at(to, rest.first_chunk()?) })
}

/// Checks the fields (TLVs) of a header, which begin `at` this byte: they end where it
/// ends, and the checksum is right, if there is one.
fn check_fields(header: &[u8], mut at: usize) -> Result<(), &'static str> {
    while at < header.len() {
        let rest = header.get(at..).unwrap_or_default();
        let Some(([kind, high, low], rest)) = rest.split_first_chunk() else {
            return Err("field beyond its end");
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..len).ok_or("field beyond its end")?;
        at += 3;
        if *kind == CHECKSUM {
            let is_right = |sent| u32::from_be_bytes(sent) == checksum(header, at..at + len);
            if !value.try_into().is_ok_and(is_right) {
                return Err("wrong CRC32C");
            }
        }
        at += len;
    }
    Ok(())
}

/// Computes the CRC32C (RFC 9260, appendix A) of a header, whose bytes in `zeros` count as
/// zeros.
fn checksum(header: &[u8], zeros: std::ops::Range<usize>) -> u32 {
    let bytes = header.iter().enumerate();
    let crc = bytes.fold(u32::MAX, |crc, (at, byte)| {
        let byte = if zeros.contains(&at) { 0 } else { *byte };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    });
    !crc
}

/// Which header a server gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendProxy {
    /// None.
    #[default]
    Off,
    /// A line of text.
    V1,
    /// The binary one, which alone can name a client of UDP.
    V2,
}

impl SendProxy {
    /// Reads a word.
    pub fn parse(word: &str) -> Option<SendProxy> {
        let all = [SendProxy::Off, SendProxy::V1, SendProxy::V2];
        all.into_iter().find(|send| send.word() == word)
    }

    /// Returns the word for it in commands.
    pub fn word(self) -> &'static str {
        match self {
            SendProxy::Off => "off",
            SendProxy::V1 => "v1",
            SendProxy::V2 => "v2",
        }
    }

    /// Returns the header that names this source; nothing if there is to be none. A
    /// client of a Unix socket is sent as HAProxy does it (UNKNOWN, LOCAL), since HAProxy
    /// refuses other words for it.
    pub fn header(self, source: Source, is_datagram: bool) -> Vec<u8> {
        match (self, source) {
            (SendProxy::Off, _) => Vec::new(),
            (SendProxy::V2, source) => binary_header(source, is_datagram),
            // There is no line for UDP.
            (SendProxy::V1, source) if is_datagram => binary_header(source, true),
            (SendProxy::V1, Source::Inet { from, to }) => {
                let (from_ip, to_ip) = same_family(from.ip(), to.ip());
                let family = if from_ip.is_ipv4() { 4 } else { 6 };
                let (from, to) = (from.port(), to.port());
                format!("PROXY TCP{family} {from_ip} {to_ip} {from} {to}\r\n").into()
            }
            (SendProxy::V1, Source::Sender | Source::Unix) => b"PROXY UNKNOWN\r\n".to_vec(),
        }
    }
}

fn binary_header(source: Source, is_datagram: bool) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Source::Inet { from, to } = source else {
        header.extend([0x20, 0, 0, 0]);
        return header;
    };
    let transport = if is_datagram { 2 } else { 1 };
    match same_family(from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend([0x21, 0x10 | transport, 0, 12]);
            header.extend([from.octets(), to.octets()].as_flattened());
        }
        (from, to) => {
            header.extend([0x21, 0x20 | transport, 0, 36]);
            header.extend([from, to].map(|ip| to_v6(ip).octets()).as_flattened());
        }
    }
    header.extend([from.port(), to.port()].map(u16::to_be_bytes).as_flattened());
    header
}

/// Makes both IPv6 addresses if one of them is.
fn same_family(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    if a.is_ipv4() == b.is_ipv4() { (a, b) } else { (to_v6(a).into(), to_v6(b).into()) }
}

fn to_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests;
