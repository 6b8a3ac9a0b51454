//! The control port: one connection, one line, the reply, close.

use crate::command;
use crate::control;
use crate::message;
use crate::state::Pen;
use crate::visitors::{self, Desk, Visit};
use std::sync::Arc;
use std::time::{Duration, Instant};

static DESK: Desk = Desk {
    name: "control",
    door: |pen| &pen.control_door,
    acl: |settings| settings.control_acl,
    pace: Duration::ZERO,
    serve,
};

/// Accepts until the process ends.
pub fn accept_loop(pen: &Arc<Pen>) {
    visitors::accept_loop(pen, &DESK);
}

fn serve(pen: &Pen, visit: &Visit) {
    match read_line(visit) {
        Ok(Some(line)) => {
            visit.has_spoken();
            message::debug(1, || format!("{}: command: {line}", visit.client));
            visit.answer(control::reply(pen, &line).as_bytes());
        }
        Ok(None) => {}
        Err(why) => {
            visit.answer(control::complaint(&why).as_bytes());
            visit.drain(Instant::now() + Duration::from_secs(1));
        }
    }
}

/// The line, without its end; `None` if the client says nothing.
fn read_line(visit: &Visit) -> Result<Option<String>, String> {
    let mut line = Vec::new();
    let mut piece = [0; 1024];
    while let Some(fresh) = visit.read(&mut piece) {
        let whole = fresh.iter().position(|byte| *byte == b'\n');
        let text = whole.and_then(|end| fresh.get(..end)).unwrap_or(fresh);
        line.extend_from_slice(text);
        if line.len() > command::LINE {
            return Err(format!("line longer than {} bytes", command::LINE));
        }
        if whole.is_some() || (fresh.is_empty() && !line.is_empty()) {
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if fresh.is_empty() {
            break;
        }
    }
    Ok(None)
}
