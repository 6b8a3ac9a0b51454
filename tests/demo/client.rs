//! The clients of the demonstration.

use pen::sys::{self, Address, Kind};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the client of this number is told. Its address is 127.0.1.N where all addresses
/// that begin with 127 are this host, as on Linux; elsewhere all clients are one.
pub(crate) fn ask(at: SocketAddr, number: u8) -> io::Result<String> {
    let to = Address::Inet(at);
    let socket = sys::socket_for(&to, Kind::Stream)?;
    let own = SocketAddr::from((Ipv4Addr::new(127, 0, 1, number), 0));
    // If it is not ours, the system chooses one.
    let _ = sys::bind_to(&socket, &Address::Inet(own));
    sys::connect_to(&socket, &to)?;
    let answer = talk(TcpStream::from(socket), "GET / HTTP/1.0\r\n\r\n")?;
    let body = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
    Ok(body.trim_end().lines().map(|line| format!("  {line}\n")).collect())
}

/// The reply to a control command.
pub(crate) fn command(at: SocketAddr, command: &str) -> io::Result<String> {
    talk(TcpStream::connect(at)?, &format!("{command}\n"))
}

fn talk(mut stream: TcpStream, words: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(words.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
