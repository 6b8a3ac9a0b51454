//! Connections kept open to the servers without a client (`idlers N`), so that
//! a server which starts slowly is awake when somebody comes. Each is a thread
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

/// How long a server that closed or refused is left alone.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Table {
    wanted: usize,
    /// As many of them as may be.
    allowed: usize,
    /// One for each thread: its connection, while it has one.
    threads: Vec<Option<Stream>>,
}

/// The idle connections.
#[derive(Debug, Default)]
pub struct Idlers {
    table: Mutex<Table>,
    changed: Condvar,
}

impl Idlers {
    /// Connections now and wanted.
    pub fn count(&self) -> (usize, usize) {
        let table = crate::lock(&self.table);
        (table.threads.iter().flatten().count(), table.wanted)
    }

    /// Wants so many from now on, of which so many are allowed; the threads are
    /// started by [`start`].
    pub fn want(&self, wanted: usize, allowed: usize) {
        let surplus: Vec<Stream> = {
            let mut table = crate::lock(&self.table);
            table.wanted = wanted;
            table.allowed = allowed;
            let kept = allowed.min(table.threads.len());
            table.threads.iter().skip(kept).flatten().cloned().collect()
        };
        for stream in surplus {
            sys::shut(&*stream, Shutdown::Both);
        }
        self.changed.notify_all();
    }

    /// Whether thread `index` is still wanted; it is forgotten if not.
    fn is_wanted(&self, index: usize) -> bool {
        let mut table = crate::lock(&self.table);
        // The last one goes first, so that the numbers have no holes.
        let is_last = index + 1 == table.threads.len();
        if index >= table.allowed && is_last {
            table.threads.pop();
            self.changed.notify_all();
            return false;
        }
        true
    }

    fn set(&self, index: usize, stream: Option<Stream>) {
        let mut table = crate::lock(&self.table);
        if let Some(place) = table.threads.get_mut(index) {
            *place = stream;
        }
    }

    /// Waits a while, or until something has changed.
    fn rest(&self) {
        let table = crate::lock(&self.table);
        let waited = self.changed.wait_timeout(table, PAUSE);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Starts the threads that are wanted and not there yet; fails if some cannot
/// be had. UDP has nothing that could be kept open.
pub fn start(pen: &Arc<Pen>) -> io::Result<()> {
    if pen.settings().start.kind == Kind::Datagram {
        return Ok(());
    }
    loop {
        let index = {
            let mut table = crate::lock(&pen.idlers.table);
            if table.threads.len() >= table.allowed {
                return Ok(());
            }
            table.threads.push(None);
            table.threads.len() - 1
        };
        let worker = match pen.workers.hire(Duration::ZERO) {
            Ok(worker) => worker,
            Err(e) => {
                crate::lock(&pen.idlers.table).threads.pop();
                return Err(e);
            }
        };
        let pen = Arc::clone(pen);
        worker.run(move |_| keep_open(&pen, index));
    }
}

fn keep_open(pen: &Pen, index: usize) {
    let modes = Modes { roundrobin: true, stubborn: true, ..Modes::default() };
    while pen.idlers.is_wanted(index) {
        let settings = pen.settings();
        let request = Request {
            client: Client::Unix, // permitted by every list
            port: 0,
            last: None,
            modes: &modes,
            acls: &settings.acls,
            timeout: settings.timeout,
            on: &[],
            not: &[],
        };
        let lease = Search::new(&pen.servers).next(&request);
        let stream = lease.as_ref().and_then(|lease| {
            connect::open(&lease.host, lease.port, &settings, None, settings.timeout).ok()
        });
        if let Some(stream) = stream {
            pen.idlers.set(index, Some(Arc::clone(&stream)));
            // `want` may have looked before it was there.
            if index < crate::lock(&pen.idlers.table).allowed {
                wait_for_end(&stream);
            }
            pen.idlers.set(index, None);
        }
        drop(lease);
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
