//! The client table on disk (`state`): who comes back after a restart finds the same
//! server again.
//!
//! The file is text. Its first line names the form, and each further line is a client:
//! its address, when it was last seen (in seconds since 1970) and its server, by the host
//! and port that were configured ([`Server::lasting_name`]); `-` is none. The lines are
//! in no order.
//!
//! One thread writes the file, so that nobody else waits for a disk. It copies the table
//! piece by piece, and holds the table's lock for one piece at a time.

use crate::pool::clients::Client;
use crate::pool::server::Server;
use crate::proxy::chore::{self, Asked};
use crate::proxy::shared::Pen;
use crate::sys::files;
use crate::sys::message;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The first line.
const HEAD: &str = "pen state 1";

/// How the first line begins, whatever the version.
const ANY_HEAD: &[u8] = b"pen state ";

/// Clients that are copied or put back while the table is locked once.
const PIECE: usize = 1024;

/// Bytes of a line. A host has 255 at most, and a path less.
const LINE: u64 = 1024;

/// Bytes of a file that is read, which is more than ten million clients.
const MOST: u64 = 1 << 30;

/// How long the end and a restart wait for the file to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the thread sleeps while nothing is to be saved.
const LONGEST: Duration = Duration::from_secs(3600);

/// How often the clients are saved unless told otherwise.
const EVERY: Duration = Duration::from_secs(60);

/// Reads the setting: a path and, behind a blank, seconds, which may be missing.
pub(crate) fn place(text: &str) -> Option<(&Path, Duration)> {
    let (path, every) = match text.split_once(' ') {
        Some((path, seconds)) => (path, Duration::from_secs(seconds.parse::<u32>().ok()?.into())),
        None => (text, EVERY),
    };
    (!every.is_zero()).then_some((Path::new(path), every))
}

/// Saves the client table if it has changed, and waits until that is done.
pub(crate) fn save(pen: &Pen) {
    if pen.settings().state.is_some() && pen.state.ask().recv_timeout(PATIENCE).is_err() {
        message::warn("state: the clients are not saved in time");
    }
}

/// Saves the client table now and then, until the process ends.
pub(crate) fn watch(pen: &Pen, asked: &Asked) {
    let mut saved = Saved { place: pen.settings().state.clone(), ..Saved::default() };
    chore::repeat(asked, || {
        let settings = pen.settings();
        // From then on the process that has taken over writes it.
        let text = settings.state.as_deref().filter(|_| !pen.is_replaced());
        let Some((path, every)) = text.and_then(place) else {
            return LONGEST;
        };
        let changes = pen.with_clients(|clients| clients.changes());
        if saved.changes != changes || saved.place != settings.state {
            match write(pen, path) {
                Ok(()) => {
                    saved = Saved { place: settings.state.clone(), changes, failure: None };
                }
                Err(e) => saved.failed(path, &e),
            }
        }
        every
    });
}

/// What was saved last.
#[derive(Default)]
struct Saved {
    /// What the setting was.
    place: Option<String>,
    /// The table's count of changes.
    changes: u64,
    /// Why it has failed since.
    failure: Option<ErrorKind>,
}

impl Saved {
    /// Reports a failure that is not the same as the last one.
    fn failed(&mut self, path: &Path, e: &io::Error) {
        if self.failure.replace(e.kind()) != Some(e.kind()) {
            message::warn(cannot_save(path, e));
        }
    }
}

fn cannot_save(path: &Path, e: &io::Error) -> String {
    format!("{}: cannot save the clients: {e}", path.display())
}

/// Complains if the clients cannot be saved where the setting says.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let Some((path, _)) = place(text) else {
        return Ok(());
    };
    let result = is_ours(path).and_then(|()| files::can_rewrite(path));
    result.map_err(|e| cannot_save(path, &e))
}

/// Fails if there is something that pen has not written: a slip in the configuration
/// destroys no other file.
pub(crate) fn is_ours(path: &Path) -> io::Result<()> {
    let file = match files::open_regular(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        result => result?,
    };
    let mut head = Vec::new();
    file.take(ANY_HEAD.len() as u64).read_to_end(&mut head)?;
    match head.is_empty() || head == ANY_HEAD {
        true => Ok(()),
        false => Err(io::Error::other("there is another file, not one of saved clients")),
    }
}

/// The time since 1970.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The servers' names on disk, by their slots.
fn names(pen: &Pen) -> Vec<Option<String>> {
    pen.servers.table().servers.iter().map(Server::lasting_name).collect()
}

/// Writes all clients.
fn write(pen: &Pen, path: &Path) -> io::Result<()> {
    is_ours(path)?;
    let (names, wall, now) = (names(pen), wall_clock(), Instant::now());
    files::rewrite(path, &mut |file| {
        let mut text = format!("{HEAD}\n");
        let (mut start, mut piece) = (0, Vec::with_capacity(PIECE));
        loop {
            piece.clear();
            pen.with_clients(|clients| {
                let records = clients.records().iter().skip(start).take(PIECE);
                piece
                    .extend(records.map(|record| (record.client, record.server, record.last_seen)));
            });
            start += piece.len();
            for (client, server, last_seen) in &piece {
                let ago = now.saturating_duration_since(*last_seen);
                // Rounded, so that what is read and written again does not move.
                let seen = wall.saturating_sub(ago).saturating_add(Duration::from_millis(500));
                let name = server.and_then(|slot| names.get(slot)?.as_deref()).unwrap_or("-");
                let _ = writeln!(text, "{client} {} {name}", seen.as_secs());
            }
            file.write_all(text.as_bytes())?;
            text.clear();
            if piece.len() < PIECE {
                return Ok(());
            }
        }
    })
}

/// Reads the clients that were saved, before the first client comes. Whatever is wrong
/// with the file, pen starts.
pub(crate) fn load(pen: &Pen) {
    let settings = pen.settings();
    let Some((text, (path, _))) =
        settings.state.as_deref().and_then(|text| Some((text, place(text)?)))
    else {
        return;
    };
    let name = path.display();
    match read(pen, path) {
        Ok(Loaded { clients, gone, damaged, first }) => {
            message::debug(1, || format!("{name}: {clients} clients known from before"));
            if gone > 0 {
                message::warn(format_args!(
                    "{name}: {gone} clients of servers that are gone left out"
                ));
            }
            if damaged > 0 {
                message::warn(format_args!(
                    "{name}:{first}: {damaged} damaged lines left out, this one first"
                ));
            }
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => message::warn(format_args!("{name}: cannot read the saved clients: {e}")),
    }
    if let Err(why) = check(text) {
        message::warn(why);
    }
}

/// What a file had in it.
#[derive(Default)]
struct Loaded {
    clients: usize,
    /// Clients whose servers are not in the table.
    gone: usize,
    /// Lines that are none of this form, and the number of the first one.
    damaged: usize,
    first: usize,
}

/// A client of the file: when it was last seen, and its server's slot.
type Entry = (Client, u64, Option<usize>);

/// Puts clients back into the table.
fn read(pen: &Pen, path: &Path) -> io::Result<Loaded> {
    let mut file = BufReader::new(files::open_regular(path)?.take(MOST));
    let names = names(pen);
    let named = names.iter().enumerate().rev();
    let slots: HashMap<&str, usize> =
        named.filter_map(|(slot, name)| Some((name.as_deref()?, slot))).collect();
    let most = pen.with_clients(|clients| clients.max()).max(1);
    let (mut found, mut entries) = (Loaded::default(), Vec::new());
    let (mut line, mut number, mut is_whole) = (Vec::new(), 0, true);
    loop {
        line.clear();
        if file.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // The rest of a line that is too long has been counted with its beginning.
        let is_rest = !std::mem::replace(&mut is_whole, line.ends_with(b"\n"));
        if is_rest {
            continue;
        }
        number += 1;
        let text = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
        match text.and_then(parse) {
            _ if number == 1 && text != Some(HEAD) => {
                return Err(io::Error::other(format!("its first line is not '{HEAD}'")));
            }
            None if number == 1 => {}
            Some((client, seen, "-")) => entries.push((client, seen, None)),
            Some((client, seen, server)) => match slots.get(server) {
                Some(slot) => entries.push((client, seen, Some(*slot))),
                None => found.gone += 1,
            },
            None => {
                found.damaged += 1;
                found.first = if found.first == 0 { number } else { found.first };
            }
        }
        if entries.len() > most.saturating_add(most).saturating_add(PIECE) {
            keep_newest(&mut entries, most);
        }
    }
    keep_newest(&mut entries, most);
    found.clients = entries.len();
    let (wall, now) = (wall_clock(), Instant::now());
    for piece in entries.chunks(PIECE) {
        pen.with_clients(|clients| {
            for (client, seen, server) in piece {
                // Who was seen later than now was seen by a clock that has been set back.
                let ago = wall.saturating_sub(Duration::from_secs(*seen));
                clients.restore(*client, *server, now.checked_sub(ago).unwrap_or(now));
            }
        });
    }
    Ok(found)
}

/// Sorts clients, those seen last at the end, and keeps `most` of these.
fn keep_newest(entries: &mut Vec<Entry>, most: usize) {
    entries.sort_unstable_by_key(|(_, seen, _)| *seen);
    entries.drain(..entries.len().saturating_sub(most));
}

/// Reads a line: a client, when it was last seen, and its server's name.
fn parse(line: &str) -> Option<(Client, u64, &str)> {
    let mut words = line.splitn(3, ' ');
    let client = words.next()?.parse().ok()?;
    let seen = words.next()?.parse().ok()?;
    Some((client, seen, words.next().filter(|server| !server.is_empty())?))
}
