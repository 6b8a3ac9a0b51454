//! penlog sends each line of its standard input to a penlogd, as one UDP
//! datagram. A web server writes its log into it through a pipe.
//!
//! A web server whose log pipe fills up or breaks stops serving, so penlog
//! reads on whatever happens to the network or to penlogd. A line that cannot
//! be sent is lost.

use crate::sys::addr;
use crate::sys::process;
use std::io::{self, BufRead, Read as _, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;

/// Longest datagram in bytes, with the newline; penlog cuts longer lines. The
/// BSDs send at most 9216 bytes by default (sysctl net.inet.udp.maxdgram), and
/// log lines are rarely so long.
pub(crate) const MAX_DATAGRAM: usize = 8192;

const USAGE: &str = "usage: penlog server port [my_ip]";

/// Runs penlog with the arguments `words`, until the end of standard input.
pub fn main(words: &[String]) -> ExitCode {
    let (server, port, source) = match words {
        [word] if word == "--help" => {
            process::print(&format!("{USAGE}\n"));
            return ExitCode::SUCCESS;
        }
        [word] if word == "--version" => {
            process::print(concat!("penlog ", env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        [server, port] => (server, port, None),
        [server, port, source] => (server, port, Some(source.as_str())),
        _ => {
            let _ = writeln!(io::stderr(), "{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let result = open(server, port, source).and_then(|route| {
        send_all(&mut io::stdin().lock(), &route)
            .map_err(|e| format!("cannot read standard input: {e}"))
    });
    process::finish("penlog", result)
}

/// A socket that is bound to the address to send from, and the penlogd's
/// address.
struct Route {
    socket: UdpSocket,
    to: SocketAddr,
}

/// Takes the first address of `server` that a route leads to, from the address
/// `source` if that is given. The error names the word and the reason.
fn open(server: &str, port: &str, source: Option<&str>) -> Result<Route, String> {
    let port = match addr::port(port)? {
        0 => return Err(format!("{port}: expected a port from 1 to 65535")),
        port => port,
    };
    let servers = addr::resolve(server)?;
    let sources = source.map(addr::resolve).transpose()?;
    let mut last = None;
    for mut to in servers {
        to.set_port(port);
        let any = addr::any_like(to);
        let all = sources.as_deref().unwrap_or(std::slice::from_ref(&any));
        for from in all.iter().filter(|from| from.is_ipv4() == to.is_ipv4()) {
            match bind(*from, to) {
                Ok(socket) => return Ok(Route { socket, to }),
                Err(e) => last = Some(e),
            }
        }
    }
    let from = source.map(|word| format!(" from {word}"));
    let from = from.unwrap_or_default();
    Err(match last {
        Some(e) => format!("{server}: cannot send to this host{from}: {e}"),
        None => format!("{server}: cannot send to this host{from}: one is IPv4, one IPv6"),
    })
}

/// Binds a socket to send from. The first socket is connected, which sends
/// nothing, to find out whether there is a route. The second one, which is
/// used, stays unconnected: a connected socket reports earlier datagrams that
/// were refused, and keeps its own address when the host's address changes.
fn bind(from: SocketAddr, to: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(from)?.connect(to)?;
    UdpSocket::bind(from)
}

/// Sends line by line until the end of `input`. An error is one of reading.
fn send_all(input: &mut impl BufRead, route: &Route) -> io::Result<()> {
    let mut line = Vec::new();
    let mut well = true;
    while read_line(input, &mut line)? {
        let result = route.socket.send_to(&line, route.to);
        // Only the first failure after a success is reported.
        if let (Err(e), true) = (&result, well) {
            let _ = writeln!(io::stderr(), "penlog: {}: cannot send: {e}", route.to);
        }
        well = result.is_ok();
    }
    Ok(())
}

/// Reads a line into `line`. The line ends with a newline, even if the input
/// ends without one. What does not fit into a datagram is skipped. Returns
/// `false` at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let count = input.by_ref().take(MAX_DATAGRAM as u64 - 1).read_until(b'\n', line)?;
    if !line.ends_with(b"\n") {
        line.push(b'\n');
        if line.len() == MAX_DATAGRAM {
            input.skip_until(b'\n')?;
        }
    }
    Ok(count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn lines(capacity: usize, data: &[u8]) -> Vec<Vec<u8>> {
        let mut input = BufReader::with_capacity(capacity, data);
        let mut all = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut input, &mut line).unwrap() {
            all.push(line.clone());
        }
        all
    }

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        for capacity in [1, 2, 3, 7, 100] {
            let all = lines(capacity, b"one\n\n\xff\0 two\r\nlast");
            let want: [&[u8]; 4] = [b"one\n", b"\n", b"\xff\0 two\r\n", b"last\n"];
            assert_eq!(all, want, "{capacity}");
        }
        assert!(lines(10, b"").is_empty());
    }

    #[test]
    fn long_lines_are_cut() {
        for length in [MAX_DATAGRAM - 1, MAX_DATAGRAM, MAX_DATAGRAM + 1, 100_000] {
            let mut data = vec![b'x'; length];
            data.extend(b"\nnext\n");
            let all = lines(4096, &data);
            assert_eq!(all.len(), 2);
            assert_eq!(all[0].len(), MAX_DATAGRAM);
            assert!(all[0].ends_with(b"x\n"));
            assert_eq!(all[1], b"next\n");
        }
    }

    #[test]
    fn wrong_words_are_named() {
        for (words, part) in [
            (["127.0.0.1", "0", ""], "0: expected a port"),
            (["127.0.0.1", "70000", ""], "70000: port out of range"),
            (["127.0.0.1", "9", "::1"], "from ::1: one is IPv4"),
            (["127.0.0.1", "9", "192.0.2.1"], "from 192.0.2.1: "),
        ] {
            let [server, port, source] = words;
            let source = Some(source).filter(|word| !word.is_empty());
            let why = open(server, port, source).err().unwrap();
            assert!(why.contains(part), "{why}");
        }
    }
}
