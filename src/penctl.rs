//! The control client: sends one command line to a pen and shows the reply.

use crate::addr::{self, Endpoint};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// How long a connect, and each piece of the reply, may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The program. `words` are its arguments.
pub fn main(words: &[String]) -> ExitCode {
    let [address, command @ ..] = words else {
        return usage();
    };
    if command.is_empty() {
        return usage();
    }
    match run(address, &command.join(" "), &mut io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(io::stderr(), "penctl: {why}");
            ExitCode::FAILURE
        }
    }
}

/// pen quirk: not knowing how to call it is no failure.
fn usage() -> ExitCode {
    let _ = writeln!(io::stdout(), "usage: penctl host:port command");
    ExitCode::SUCCESS
}

fn run(address: &str, command: &str, out: &mut impl Write) -> Result<(), String> {
    let mut socket = connect(address)?;
    let cut = |e: io::Error| format!("{address}: reply cut off: {e}");
    socket.set_read_timeout(Some(LIMIT)).map_err(cut)?;
    socket.set_write_timeout(Some(LIMIT)).map_err(cut)?;
    // A pen that refuses the line early has said why: read that first.
    let sent = socket.write_all(format!("{command}\n").as_bytes());
    let mut piece = [0; 8192];
    loop {
        let count = match socket.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(cut(e)),
        };
        match out.write_all(piece.get(..count).unwrap_or_default()) {
            // Whoever reads our output has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(e) => return Err(format!("cannot write the reply: {e}")),
            Ok(()) => {}
        }
    }
    sent.map_err(|e| format!("{address}: cannot send the command: {e}"))
}

/// A stream socket, TCP or Unix, as [`crate::connect`] has them too.
fn connect(address: &str) -> Result<TcpStream, String> {
    if !address.contains(':') && !addr::is_path(address) {
        return Err(format!("{address}: no port given, expected host:port or /path"));
    }
    let cannot = |e: io::Error| format!("{address}: cannot connect: {e}");
    match addr::endpoint(address)? {
        Endpoint::Unix(path) => {
            let socket = UnixStream::connect(path).map_err(cannot)?;
            Ok(TcpStream::from(OwnedFd::from(socket)))
        }
        Endpoint::Inet(all) => {
            let mut last = io::ErrorKind::AddrNotAvailable.into();
            for at in all {
                match TcpStream::connect_timeout(&at, LIMIT) {
                    Ok(socket) => return Ok(socket),
                    Err(e) => last = e,
                }
            }
            Err(cannot(last))
        }
    }
}
