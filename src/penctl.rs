//! penctl sends one command line to a running pen and prints the reply.

use crate::sys::addr::{self, Endpoint};
use crate::sys::process;
use crate::sys::text;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

mod top;

/// How long a connect, and each piece of the reply, may take.
const LIMIT: Duration = Duration::from_secs(20);

const USAGE: &str = "usage: penctl host:port command";

const HELP: &str = "\
usage: penctl [-e] [host]:port|/path command ...
Sends a command to the control port or control socket (-C) of a running pen.
The command top is penctl's own: it shows the servers as a table, again each
second until it is ended; top 5 shows five tables.

  -e         exit with status 2 if pen refuses the command; so does setting
             PENCTL_STATUS=1 in the environment
  --help     this text
  --version  the version

examples: penctl 127.0.0.1:9000 servers
          penctl /run/pen/ctl server 0 blacklist 120
          penctl /run/pen/ctl help     (lists the commands)
          penctl /run/pen/ctl top
";

/// The exit status after a command that pen has refused.
const REFUSED: u8 = 2;
/// Most bytes of a list of servers.
const MOST: u64 = 16 << 20;
/// Most bytes of the line in which pen says whether it has refused.
const VERDICT: u64 = 64;

/// Runs penctl with the arguments `words`.
pub fn main(words: &[String]) -> ExitCode {
    let (strict, words) = match words {
        [option, rest @ ..] if option == "-e" => (true, rest),
        _ => (std::env::var_os("PENCTL_STATUS").is_some_and(|word| !word.is_empty()), words),
    };
    let result = match words {
        [option] if option == "--help" => print(HELP),
        [option] if option == "--version" => {
            print(&format!("penctl {}\n", env!("CARGO_PKG_VERSION")))
        }
        [address, command @ ..] if !command.is_empty() => {
            let command = command.join(" ");
            match command.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["top"] => top::run(None, &|| ask(address, "servers")),
                ["top", count] => match count.parse() {
                    Ok(count) => top::run(Some(count), &|| ask(address, "servers")),
                    Err(_) => Err(format!("top: bad number '{count}'")),
                },
                _ => run(address, &command, strict, &mut Output::new()),
            }
        }
        // pen quirk: a wrong call shows the usage and is no failure.
        _ => print(&format!("{USAGE}\n")),
    };
    result.unwrap_or_else(|why| {
        let _ = writeln!(io::stderr(), "penctl: {why}");
        ExitCode::FAILURE
    })
}

fn print(text: &str) -> Result<ExitCode, String> {
    process::print(text);
    Ok(ExitCode::SUCCESS)
}

/// Standard output. Scripts get the bytes of the reply. For a terminal control
/// characters are escaped, because the program that answers may be hostile.
struct Output {
    is_terminal: bool,
    /// The first bytes of a character whose other bytes have not arrived.
    rest: Vec<u8>,
}

impl Output {
    fn new() -> Output {
        Output { is_terminal: io::stdout().is_terminal(), rest: Vec::new() }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.is_terminal {
            true => io::stdout().write_all(self.escaped(piece).as_bytes()),
            false => io::stdout().write_all(piece),
        }
    }

    fn escaped(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let text = std::mem::take(&mut self.rest);
        let whole = match std::str::from_utf8(&text) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => text.len(),
        };
        let (text, rest) = text.split_at_checked(whole).unwrap_or((&text, &[]));
        self.rest = rest.to_vec();
        text::printable_lines(String::from_utf8_lossy(text).into_owned())
    }
}

/// Sends the command and prints the reply. If `strict`, it makes pen say first whether
/// it refuses the command.
fn run(address: &str, command: &str, strict: bool, out: &mut Output) -> Result<ExitCode, String> {
    let mut socket = connect(address)?;
    let cut = |e: io::Error| format!("{address}: reply cut off: {e}");
    let verb = if strict { "try " } else { "" };
    // A pen that refuses the line early has sent the reason, so this reads on.
    let sent = socket.write_all(format!("{verb}{command}\n").as_bytes());
    let mut socket = BufReader::new(socket);
    let mut status = ExitCode::SUCCESS;
    let mut verdict = Vec::new();
    if strict {
        (&mut socket).take(VERDICT).read_until(b'\n', &mut verdict).map_err(cut)?;
        if verdict != b"ok\n" {
            status = ExitCode::from(REFUSED);
        }
    }
    // A pen that does not know `try` has sent a complaint, which is printed.
    let mut piece = match verdict.as_slice() {
        b"ok\n" | b"refused\n" => Vec::new(),
        _ => verdict,
    };
    loop {
        match out.write(&piece) {
            // The reader of our output has closed it, which is no failure.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(status),
            Err(e) => return Err(format!("cannot write the reply: {e}")),
            Ok(()) => {}
        }
        piece = match socket.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece.to_vec(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Vec::new(),
            Err(e) => return Err(cut(e)),
        };
        socket.consume(piece.len());
    }
    sent.map_err(|e| format!("{address}: cannot send the command: {e}"))?;
    Ok(status)
}

/// Sends a command and returns the reply, up to [`MOST`] bytes of it.
fn ask(address: &str, command: &str) -> Result<String, String> {
    let mut socket = connect(address)?;
    let cut = |e: io::Error| format!("{address}: reply cut off: {e}");
    socket.write_all(format!("{command}\n").as_bytes()).map_err(cut)?;
    let mut reply = Vec::new();
    socket.take(MOST).read_to_end(&mut reply).map_err(cut)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// Connects over TCP or to a Unix socket. Either is a stream socket, and a `TcpStream`
/// can read and write both.
fn connect(address: &str) -> Result<TcpStream, String> {
    if !address.contains(':') && !addr::is_path(address) {
        return Err(format!("{address}: no port given, expected host:port or /path"));
    }
    let socket = match addr::endpoint(address)? {
        Endpoint::Unix(path) => {
            UnixStream::connect(path).map(|socket| TcpStream::from(OwnedFd::from(socket)))
        }
        Endpoint::Inet(all) => {
            let none = io::ErrorKind::AddrNotAvailable.into();
            addr::first_of(all, none, |at| TcpStream::connect_timeout(&at, LIMIT))
        }
    };
    let limited = socket.and_then(|socket| {
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_write_timeout(Some(LIMIT))?;
        Ok(socket)
    });
    limited.map_err(|e| format!("{address}: cannot connect: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let mut out = Output { is_terminal: true, rest: Vec::new() };
        assert_eq!(out.escaped(b"a\x1b[2J\nb\xff\n"), "a\\x1b[2J\nb\u{fffd}\n");
        // A character may arrive in two pieces.
        assert_eq!(out.escaped(b"\xc3"), "");
        assert_eq!(out.escaped(b"\xa9\n"), "\u{e9}\n");
    }
}
