//! The control port. A client connects, sends one line and gets the reply; then
//! pen closes the connection.

use crate::control::commands;
use crate::control::parse;
use crate::control::service::{self, Received, Service, Session};
use crate::proxy::shared::Pen;
use crate::sys::message;
use std::sync::Arc;
use std::time::{Duration, Instant};

static SERVICE: Service = Service {
    name: "control",
    listener: |pen| &pen.control_listener,
    acl: |settings| settings.control_acl,
    pace: Duration::ZERO,
    serve,
};

/// Serves the control port until the process ends.
pub(crate) fn accept_loop(pen: &Arc<Pen>) {
    service::accept_loop(pen, &SERVICE);
}

fn serve(pen: &Pen, session: &Session) {
    match read_line(|limit, piece| session.read_within(limit, piece)) {
        Ok(Some(line)) => {
            session.set_asked();
            message::debug(1, || format!("{}: command: {line}", session.client));
            session.reply(commands::reply(pen, &line).as_bytes());
        }
        Ok(None) => {}
        Err(why) => {
            session.reply(commands::complaint(&why).as_bytes());
            session.drain(Instant::now() + Duration::from_secs(1));
        }
    }
}

/// How long pen waits for the newline of a command that arrived in one piece. Some
/// clients send no newline and wait for the reply (bash's `/dev/tcp`, OpenBSD's `nc`).
const QUIET: Duration = Duration::from_millis(250);
/// The same for a command that arrived in several pieces, as typed commands do.
const QUIET_BETWEEN: Duration = Duration::from_secs(2);

/// Reads the line and returns it without its newline, or `None` if the client sends
/// nothing.
///
/// The line ends with its newline, with the end of the client's data, or when
/// the client is silent and the line is already a complete command.
fn read_line(
    mut receive: impl FnMut(Duration, &mut [u8]) -> Received,
) -> Result<Option<String>, String> {
    let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    let (mut line, mut pieces) = (Vec::new(), 0);
    let mut piece = [0; parse::LINE + 1];
    loop {
        let limit = match pieces {
            0 => Duration::MAX,
            1 => QUIET,
            _ => QUIET_BETWEEN,
        };
        let fresh = match receive(limit, &mut piece) {
            Received::Piece(count) => piece.get(..count).unwrap_or_default(),
            Received::Silence if is_command(&line) => return Ok(Some(text(&line))),
            Received::Silence => continue,
            Received::Nothing if line.is_empty() => return Ok(None),
            Received::Nothing => {
                let why = "the newline is missing: nothing was done".to_owned();
                return match parse::parse(&text(&line)) {
                    Ok(_) => Err(why),
                    // Carrying it out will give the better complaint.
                    Err(_) => Ok(Some(text(&line))),
                };
            }
        };
        let whole = fresh.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(whole.and_then(|end| fresh.get(..end)).unwrap_or(fresh));
        if line.len() > parse::LINE {
            return Err(format!("line longer than {} bytes", parse::LINE));
        }
        if whole.is_some() || fresh.is_empty() {
            return Ok(Some(text(&line)).filter(|_| whole.is_some() || !line.is_empty()));
        }
        pieces += 1;
    }
}

/// Tells whether the line is a complete command. If the command does not use one of
/// the words, the rest of that word may not have arrived yet.
fn is_command(line: &[u8]) -> bool {
    let parsed = parse::parse(&String::from_utf8_lossy(line)).ok().flatten();
    parsed.is_some_and(|line| line.ignored.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Received::{Nothing, Silence};

    /// Reads a line that arrives in these pieces. An empty piece is the end of the
    /// stream, "~" is silence, and after the last piece the client's time is up.
    fn received(pieces: &[&str]) -> Result<Option<String>, String> {
        let mut pieces = pieces.iter();
        read_line(|_, piece| match pieces.next() {
            Some(&"~") => Silence,
            Some(text) => {
                piece[..text.len()].copy_from_slice(text.as_bytes());
                Received::Piece(text.len())
            }
            None => Nothing,
        })
    }

    #[test]
    fn a_whole_line_is_a_command() {
        for (pieces, line) in [
            (&["mode\n"][..], "mode"),
            (&["mo", "de\nmode"], "mode"),
            (&["mode", ""], "mode"),
            (&["\n"], ""),
            (&["mode", "~"], "mode"),
            (&["mo", "~", "de", "~"], "mode"),
            (&["b", "~", "lacklist 1", "7\n"], "blacklist 17"),
            // The rest of this command may follow.
            (&["server 1 addr", "~", "ess 0", "~"], "server 1 address 0"),
            (&["nonsense", "~", "~"], "nonsense"),
        ] {
            assert_eq!(received(pieces), Ok(Some(line.to_owned())), "{pieces:?}");
        }
        assert_eq!(received(&[]), Ok(None));
        assert_eq!(received(&[""]), Ok(None));
        assert!(received(&["mo", "de"]).is_err_and(|why| why.contains("nothing was done")));
        assert!(received(&["x".repeat(4096).as_str()]).is_err());
    }

    #[test]
    fn a_client_that_sends_pieces_may_take_longer() {
        let mut limits = Vec::new();
        let line = read_line(|limit, piece| {
            limits.push(limit);
            piece[..1].copy_from_slice(b"x");
            if limits.len() < 4 { Received::Piece(1) } else { Nothing }
        });
        assert_eq!(line, Ok(Some("xxx".to_owned())));
        assert_eq!(limits, [Duration::MAX, QUIET, QUIET_BETWEEN, QUIET_BETWEEN]);
    }
}
