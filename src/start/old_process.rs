//! The process that this one takes over from: see [`restart`] for what the two say to
//! each other.

use crate::proxy::restart::word;
use crate::sys::inherited;
use crate::sys::line::Line;
use crate::udp::Handed;
use std::io;
use std::time::Duration;

/// How long the old process may take to tell the service manager which process is the
/// main one.
const PATIENCE: Duration = Duration::from_secs(5);

/// The old process.
pub(super) struct OldProcess(Line);

fn gone(error: io::Error) -> String {
    format!("the process that started this one to take over has gone: {error}")
}

impl OldProcess {
    /// The one at the other end of this line.
    pub(super) fn new(line: Line) -> OldProcess {
        OldProcess(line)
    }

    /// Takes its listening sockets, for the addresses that this process will listen on.
    pub(super) fn take_sockets(&self) -> Result<(), String> {
        loop {
            match self.0.receive().map_err(gone)? {
                (text, _) if text == word::OPEN => return Ok(()),
                (text, Some(socket)) => {
                    inherited::add(socket, text == word::LENT).map_err(|e| e.to_string())?;
                }
                (_, None) => {}
            }
        }
    }

    /// Tells it that everything is open, and waits until it accepts nobody any more.
    /// Returns its flows.
    pub(super) fn take_over(&self) -> Result<Vec<Handed>, String> {
        self.0.send(word::READY, None).map_err(gone)?;
        let mut flows = Vec::new();
        loop {
            let (text, socket) = self.0.receive().map_err(gone)?;
            match (text.strip_prefix(word::FLOW), socket) {
                _ if text == word::SERVE => return Ok(flows),
                (Some(key), Some(socket)) => flows.push((key.to_owned(), socket)),
                _ => {}
            }
        }
    }

    /// Tells it that this process serves, and waits until it has closed the line.
    pub(super) fn tell_serving(&self) -> Result<(), String> {
        self.0.send(word::SERVING, None).map_err(gone)?;
        let _ = self.0.receive_within(PATIENCE);
        Ok(())
    }

    /// Tells it why the start has failed; `false` if it does not listen.
    pub(super) fn tell_failure(&self, why: &str) -> bool {
        self.0.send(&format!("{}{why}", word::FAILED), None).is_ok()
    }
}
