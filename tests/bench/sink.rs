//! The back end for uploads, a process of its own - a copy of this program.
//! nginx has none that keeps up: it throws a body away 4 KiB at a time, or
//! writes it to the disk.
//!
//! It speaks as much HTTP as that takes: reads a head, throws away as many
//! bytes as `Content-Length` says, and answers.

use crate::measure::BODY;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

/// The argument that makes a copy of this program this back end; behind it the
/// address to listen at.
pub(crate) const ROLE: &str = "--sink";

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Plays the role, if the arguments name it.
pub(crate) fn play(words: &[String]) -> Option<ExitCode> {
    let (ROLE, [at]) = words.split_first().map(|(role, rest)| (&**role, rest))? else {
        return None;
    };
    let listener = at.parse().map_err(io::Error::other);
    let listener = listener.and_then(|at: SocketAddr| TcpListener::bind(at));
    match listener {
        Ok(listener) => {
            for stream in listener.incoming().flatten() {
                // Whatever fails concerns one connection alone.
                thread::spawn(move || serve(stream));
            }
            Some(ExitCode::SUCCESS)
        }
        Err(e) => {
            eprintln!("{ROLE} {at}: {e}");
            Some(ExitCode::FAILURE)
        }
    }
}

/// One connection, with as many requests as come.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut head = Vec::new();
    loop {
        let (length, stays) = loop {
            if let Some((request, end)) = request(&head) {
                // What came behind the head is the body's begin: the client
                // sends no second request before it has the answer.
                let rest = (head.len() - end) as u64;
                break (request.length.saturating_sub(rest), request.stays);
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => head.extend_from_slice(&buffer[..n]),
            }
        };
        let mut left = length;
        while left > 0 {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => left = left.saturating_sub(n as u64),
            }
        }
        head.clear();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
        stream.write_all(answer.as_bytes())?;
        if !stays {
            return Ok(());
        }
    }
}

struct Request {
    length: u64,
    stays: bool,
}

/// The request that a head is, if it is whole, and where it ends.
fn request(head: &[u8]) -> Option<(Request, usize)> {
    let end = head.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&head[..end]);
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .and_then(|word| word.trim().parse().ok())
        .unwrap_or(0);
    let stays = text.lines().next().is_some_and(|line| line.ends_with("HTTP/1.1"));
    Some((Request { length, stays }, end))
}
