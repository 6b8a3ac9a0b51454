//! Waits until sockets are ready.

use super::layout::PollFd;
use super::number::{POLLERR, POLLHUP, POLLIN, POLLOUT};
use super::{again, poll_once};
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

fn wait_for(entries: &mut [PollFd], limit: Option<Duration>) -> io::Result<bool> {
    let end = limit.map(|limit| Instant::now() + limit);
    let timeout = |end: Instant| {
        let left = end.saturating_duration_since(Instant::now());
        // Rounded up, so that the limit has passed when poll says so.
        left.as_micros().div_ceil(1000).try_into().unwrap_or(c_int::MAX)
    };
    again(|| poll_once(entries, end.map_or(-1, timeout)))
}

/// Waits until `socket` can be written or has failed, `false` after `limit`.
pub(crate) fn wait_writable(socket: impl AsFd, limit: Duration) -> io::Result<bool> {
    wait_for(&mut [watch(&socket, POLLOUT)], Some(limit))
}

/// Waits until `socket` can be read or has ended, `false` after `limit`.
pub fn wait_readable(socket: impl AsFd, limit: Duration) -> io::Result<bool> {
    wait_for(&mut [watch(&socket, POLLIN)], Some(limit))
}

/// Sockets that are waited for again and again. Whoever waits keeps them open.
#[derive(Default)]
pub(crate) struct Watch(Vec<PollFd>);

impl Watch {
    /// Makes it for these sockets.
    pub(crate) fn new<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>) -> Watch {
        Watch(sockets.map(|socket| watch(&socket, POLLIN)).collect())
    }

    /// Waits until one of them can be read, however long it takes.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        wait_for(&mut self.0, None).map(drop)
    }

    /// The indices of those that could be read after the last wait.
    pub(crate) fn ready(&self) -> impl Iterator<Item = usize> {
        let all = self.0.iter().enumerate();
        all.filter(|(_, entry)| entry.revents != 0).map(|(index, _)| index)
    }
}

/// Waits until one of the two can be read, however long it takes.
pub(crate) fn wait_either(a: impl AsFd, b: impl AsFd) -> io::Result<()> {
    wait_for(&mut [watch(&a, POLLIN), watch(&b, POLLIN)], None).map(drop)
}

/// Whether `socket` has failed or has ended both ways, whatever there is to read.
pub(crate) fn has_hung_up(socket: impl AsFd) -> bool {
    let mut entries = [watch(&socket, 0)];
    let done = poll_once(&mut entries, 0);
    let [entry] = entries;
    done.is_ok() && entry.revents & (POLLERR | POLLHUP) != 0
}

fn watch(socket: &impl AsFd, events: i16) -> PollFd {
    let fd = socket.as_fd().as_raw_fd();
    PollFd { fd, events, revents: 0 }
}
