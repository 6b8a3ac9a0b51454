//! Whether pen can serve a client: in a word, and in a file that keepalived tracks
//! (`health_file`).

use crate::pool::health::State;
use crate::proxy::chore::{self, Asked};
use crate::proxy::shared::{Pen, Phase};
use crate::sys::Kind;
use crate::sys::files;
use crate::sys::message::Trouble;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What the file says: servers of keepalived get this added to their priority, and at
/// -254 it takes the address away.
const UP: &str = "0\n";
const DOWN: &str = "-254\n";

/// How often pen looks whether time alone has changed something, such as the end of a
/// blacklisting.
const TICK: Duration = Duration::from_secs(1);

/// How long the thread sleeps while there is no file to write.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the end waits for the file to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Returns `ok` if a new connection would find a server, or else the reason in a word.
pub(crate) fn word(pen: &Pen) -> &'static str {
    let settings = pen.settings();
    if pen.is_draining() {
        return "draining";
    }
    if settings.dummy {
        return "ok";
    }
    let is_full = settings.start.kind == Kind::Stream && pen.connections.full().is_some();
    let now = Instant::now();
    let table = pen.servers.table();
    let last = table.emergency.as_ref().filter(|_| !settings.modes.stubborn);
    let checked = (table.servers.iter()).map(|server| (server, !settings.check.is_zero()));
    let mut word = "down";
    for (server, is_checked) in checked.chain(last.map(|server| (server, false))) {
        match server.state(now) {
            // The first check will say more in a moment.
            State::Untried if is_checked && word == "down" => word = "untried",
            State::Untried if is_checked => {}
            State::Up | State::Untried if !is_full => return "ok",
            State::Up | State::Untried | State::Full => word = "full",
            _ => {}
        }
    }
    word
}

/// Writes the file when it has to say something else, until the process ends. A pen that
/// is full serves its clients: to take its address away would end their connections.
pub(crate) fn watch(pen: &Pen, asked: &Asked) {
    let mut written: Option<(PathBuf, &str)> = None;
    let mut trouble = Trouble::default();
    chore::repeat(asked, || {
        // From then on the process that has taken over writes it.
        let path = pen.settings().health_file.clone().filter(|_| !pen.is_replaced());
        let Some(path) = path else {
            return LONGEST;
        };
        let text = match word(pen) {
            "ok" | "full" => UP,
            _ => DOWN,
        };
        let now = Some((path, text));
        if written != now {
            if let Some((path, text)) = &now {
                match files::replace(path, text.as_bytes()) {
                    Ok(()) => written = now,
                    Err(e) => {
                        let path = path.display();
                        trouble.say(format_args!("{path}: cannot write the health file: {e}"));
                    }
                }
            }
        }
        TICK
    });
}

/// Has the file say that pen serves nobody any more, and waits until it does.
pub(crate) fn end(pen: &Pen) {
    pen.enter(Phase::Draining);
    if pen.settings().health_file.is_some() {
        let _ = pen.health_file.ask().recv_timeout(PATIENCE);
    }
}
