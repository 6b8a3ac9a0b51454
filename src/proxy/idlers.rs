//! Connections to servers without a client (`idlers N`), so that a server that starts
//! slowly, as from inetd, is already running when a client comes. Each has a thread
//! that connects, waits for the server to close, and connects again.

use super::search::Search;
use crate::pool::choice::Modes;
use crate::pool::clients::Client;
use crate::pool::request::Request;
use crate::proxy::connect;
use crate::proxy::shared::Pen;
use crate::proxy::socket::Stream;
use crate::sys::{self, Kind};
use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a thread waits before it connects again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Table {
    wanted: usize,
    /// How many of the wanted ones the descriptors suffice for.
    allowed: usize,
    threads: usize,
    open: Vec<Stream>,
}

/// The idle connections.
#[derive(Debug, Default)]
pub struct Idlers {
    table: Mutex<Table>,
    changed: Condvar,
}

impl Idlers {
    /// How many connections are open, and how many are wanted.
    pub(crate) fn count(&self) -> (usize, usize) {
        let table = crate::lock(&self.table);
        (table.open.len(), table.wanted)
    }

    /// Sets how many are wanted, and how many of these are allowed. [`start`] starts
    /// the threads.
    pub(crate) fn want(&self, wanted: usize, allowed: usize) {
        let surplus = {
            let mut table = crate::lock(&self.table);
            (table.wanted, table.allowed) = (wanted, allowed);
            let kept = allowed.min(table.open.len());
            table.open.split_off(kept)
        };
        for stream in surplus {
            sys::shut(&*stream, Shutdown::Both);
        }
        self.changed.notify_all();
    }

    /// Whether the thread that asks goes on. If there are too many, it is no longer
    /// counted.
    fn goes_on(&self) -> bool {
        let mut table = crate::lock(&self.table);
        let goes_on = table.threads <= table.allowed;
        table.threads -= usize::from(!goes_on);
        goes_on
    }

    /// Adds a connection, unless there are enough by now.
    fn add(&self, stream: &Stream) -> bool {
        let mut table = crate::lock(&self.table);
        let is_wanted = table.open.len() < table.allowed;
        if is_wanted {
            table.open.push(Arc::clone(stream));
        }
        is_wanted
    }

    fn remove(&self, stream: &Stream) {
        crate::lock(&self.table).open.retain(|other| !Arc::ptr_eq(other, stream));
    }

    /// Waits for [`PAUSE`], or until another number is wanted.
    fn rest(&self) {
        let table = crate::lock(&self.table);
        let waited = self.changed.wait_timeout(table, PAUSE);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Starts the threads that are missing; fails if one cannot be started. UDP has
/// nothing that could be kept open.
pub(crate) fn start(pen: &Arc<Pen>) -> io::Result<()> {
    if pen.settings().start.kind == Kind::Datagram {
        return Ok(());
    }
    loop {
        {
            let mut table = crate::lock(&pen.idlers.table);
            if table.threads >= table.allowed {
                return Ok(());
            }
            table.threads += 1;
        }
        let worker = pen.workers.hire(Duration::ZERO).inspect_err(|_| {
            crate::lock(&pen.idlers.table).threads -= 1;
        })?;
        let pen = Arc::clone(pen);
        worker.run(move |_| keep_open(&pen));
    }
}

fn keep_open(pen: &Pen) {
    let modes = Modes { roundrobin: true, stubborn: true, ..Modes::default() };
    while pen.idlers.goes_on() {
        let settings = pen.settings();
        let request = Request {
            client: Client::Unix, // permitted by every list
            port: 0,
            came_in: 0,
            last: None,
            modes: &modes,
            acls: &settings.acls,
            timeout: settings.timeout,
            on: &[],
            not: &[],
        };
        if let Some(lease) = Search::new(&pen.servers).next(&request) {
            let (host, port, limit) = (&lease.host, lease.port, settings.timeout);
            // No client gets it, so that its PROXY header names pen.
            let send = lease.send_proxy;
            let open = connect::open_own(Kind::Stream, host, port, &settings, limit, send, &[]);
            if let Ok(stream) = open {
                if pen.idlers.add(&stream) {
                    wait_for_end(&stream);
                    pen.idlers.remove(&stream);
                }
            }
        }
        pen.idlers.rest();
    }
}

/// Reads and forgets until the server closes.
fn wait_for_end(stream: &Stream) {
    let mut source: &std::fs::File = stream;
    let mut scratch = [0; 512];
    while sys::wait_either(stream, stream).is_ok()
        && matches!(source.read(&mut scratch), Ok(n) if n > 0)
    {}
}
