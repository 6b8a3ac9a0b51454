//! The sockets at which the clients of a service come in, and exchanging them while pen
//! runs. One loop accepts at all of them.

use crate::proxy::listener::{Accepted, Listener};
use crate::proxy::socket::{Socket, Stream};
use crate::settings::Settings;
use crate::sys::Watch;
use crate::sys::addr::{self, Endpoint};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Sockets that listen, in the order of the word that names them.
pub(crate) type Set = Vec<Arc<Listener>>;

/// Listens for clients at all addresses of a word, or at none if one cannot be opened.
/// Those of the `old` set that are among them stay open, because the clients that wait in
/// their queues would be lost with them.
pub(crate) fn open(word: &str, settings: &Settings, old: &Set) -> Result<Set, String> {
    let open = |endpoint| match old.iter().find(|old| old.is_at(&endpoint)) {
        Some(old) => Ok(Arc::clone(old)),
        None => Listener::open_for_clients(word, endpoint, settings).map(Arc::new),
    };
    addr::endpoints(word)?.into_iter().map(open).collect()
}

/// Where all of a set listen.
pub(crate) fn places(set: &Set) -> Endpoint {
    Endpoint::of_all(set.iter().map(|listener| listener.at.clone()))
}

/// Listeners that can be exchanged while a loop waits for their clients.
pub struct Listeners {
    current: Mutex<Set>,
    has_moved: AtomicBool,
    /// The loop takes nobody for now.
    is_paused: AtomicBool,
    /// Nobody listens here any more.
    is_over: AtomicBool,
    /// The loop waits on the second, and a byte written to the first wakes it.
    waker: (UnixStream, UnixStream),
}

impl Listeners {
    /// Makes a set without any.
    pub(crate) fn new() -> io::Result<Listeners> {
        let waker = UnixStream::pair()?;
        waker.0.set_nonblocking(true)?;
        waker.1.set_nonblocking(true)?;
        // So that the loop's first refresh has it watch the waker.
        let has_moved = AtomicBool::new(true);
        let [is_paused, is_over] = [const { AtomicBool::new(false) }; 2];
        Ok(Listeners { current: Mutex::default(), has_moved, is_paused, is_over, waker })
    }

    /// Listens there alone from now on.
    pub(crate) fn open(&self, listener: Listener) {
        self.replace(vec![Arc::new(listener)]);
    }

    /// Stops listening, and removes the file of a Unix socket.
    pub(crate) fn shut(&self) {
        self.replace(Set::new());
    }

    /// Stops listening for good. Those who wait are still accepted, and then the loop
    /// ends.
    pub(crate) fn close(&self) {
        self.is_over.store(true, SeqCst);
        self.shut();
    }

    /// Leaves them for good to another process that has the sockets, too: the loop takes
    /// nobody who waits there, and ends.
    pub(crate) fn hand_over(&self) {
        self.is_over.store(true, SeqCst);
        self.keep_files();
        self.pause(true);
        self.shut();
    }

    /// Leaves the files of Unix sockets where they are, as another process has the sockets.
    pub(crate) fn keep_files(&self) {
        self.current().iter().for_each(|listener| listener.keep_file());
    }

    /// Makes the loop take nobody, or go on. Those who come wait in the kernel's queues.
    /// When [`Listeners::has_moved`] is false again, the loop has taken the last.
    pub(crate) fn pause(&self, on: bool) {
        self.is_paused.store(on, SeqCst);
        self.wake();
    }

    /// Listens at these from now on. Clients that wait at the others are still accepted.
    pub(crate) fn replace(&self, mut set: Set) {
        if self.is_over.load(SeqCst) {
            set.clear();
        }
        let stays = |old: &Arc<Listener>| set.iter().any(|new| Arc::ptr_eq(old, new));
        let mut gone = self.current();
        gone.retain(|old| !stays(old));
        gone.iter().for_each(|old| old.remove_file());
        *crate::lock(&self.current) = set;
        self.wake();
    }

    fn wake(&self) {
        self.has_moved.store(true, SeqCst);
        // If the waker is full, the loop is awake.
        let _ = (&self.waker.0).write(&[1]);
    }

    /// The listeners of now.
    pub(crate) fn current(&self) -> Set {
        crate::lock(&self.current).clone()
    }

    /// Whether they were replaced since the last [`Acceptor::refresh`].
    pub(crate) fn has_moved(&self) -> bool {
        self.has_moved.load(SeqCst)
    }

    /// Changes the keep-alive time of TCP clients that are accepted from now on.
    pub(crate) fn keep_alive(&self, idle: Duration) {
        self.current().iter().for_each(|listener| listener.keep_alive(idle));
    }

    /// Makes what a loop accepts with. Only one loop may use the listeners.
    pub(crate) fn acceptor(&self) -> Acceptor<'_> {
        Acceptor {
            listeners: self,
            open: Set::new(),
            old: Set::new(),
            old_was_closed: false,
            watch: Watch::default(),
            ready: VecDeque::new(),
            left: 0,
        }
    }
}

/// So many clients are taken at listeners that had some before pen looks for others,
/// which saves system calls. If more listeners have clients, each gives one.
const ROUND: usize = 64;

/// Takes clients from the listeners, whatever these are.
pub(crate) struct Acceptor<'a> {
    listeners: &'a Listeners,
    open: Set,
    /// Listeners that were replaced, until their queues are empty.
    old: Set,
    old_was_closed: bool,
    watch: Watch,
    /// Indices of open listeners that may have clients, the next one first.
    ready: VecDeque<usize>,
    /// How many clients they may give before pen looks for others.
    left: usize,
}

impl Acceptor<'_> {
    /// Waits for the next client and accepts it.
    pub(crate) fn accept(&mut self) -> io::Result<(Socket, Accepted)> {
        self.next(Listener::accept)
    }

    /// Waits until `take` gets something from a listener.
    pub(crate) fn next<T>(
        &mut self,
        mut take: impl FnMut(&Listener) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            self.refresh();
            while let Some(old) = self.old.last() {
                match take(old) {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        self.old.pop();
                        self.old_was_closed = true;
                    }
                    next => return next,
                }
            }
            while let Some(at) = self.ready.pop_front().filter(|_| self.left > 0) {
                match self.open.get(at).map(|open| take(open)) {
                    None => {}
                    Some(Err(e)) if e.kind() == ErrorKind::WouldBlock => {}
                    Some(next) => {
                        self.ready.push_back(at);
                        self.left -= 1;
                        return next;
                    }
                }
            }
            if self.is_over() {
                return Err(ErrorKind::NotConnected.into());
            }
            self.wait()?;
        }
    }

    /// Whether nobody comes any more: then the loop ends.
    pub(crate) fn is_over(&self) -> bool {
        self.listeners.is_over.load(SeqCst) && self.open.is_empty() && self.old.is_empty()
    }

    /// Uses the new listeners, if they were replaced.
    pub(crate) fn refresh(&mut self) {
        if self.listeners.has_moved.swap(false, SeqCst) {
            let mut scratch = [0; 64];
            while matches!((&self.listeners.waker.1).read(&mut scratch), Ok(n) if n > 0) {}
            let is_paused = self.listeners.is_paused.load(SeqCst);
            let next = if is_paused { Set::new() } else { self.listeners.current() };
            let before = std::mem::replace(&mut self.open, next);
            let stays = |old: &Arc<Listener>| self.open.iter().any(|new| Arc::ptr_eq(old, new));
            match is_paused {
                true => self.old.clear(),
                false => self.old.extend(before.into_iter().filter(|old| !stays(old))),
            }
            let sockets = self.open.iter().map(|open| open.as_fd());
            self.watch = Watch::new(sockets.chain([self.listeners.waker.1.as_fd()]));
            self.begin_round((0..self.open.len()).collect());
        }
    }

    /// Waits until there may be a client, or other listeners.
    fn wait(&mut self) -> io::Result<()> {
        if self.old.is_empty() {
            self.watch.wait()?;
            self.begin_round(self.watch.ready().collect());
        }
        Ok(())
    }

    /// Waits until there is a client, and says whether that is so. It is not looked for
    /// at old listeners, whose clients may all have been accepted.
    pub(crate) fn has_client(&mut self) -> bool {
        self.old.is_empty() && self.wait().is_ok() && !self.listeners.has_moved()
    }

    fn begin_round(&mut self, ready: VecDeque<usize>) {
        self.left = ready.len().max(ROUND);
        self.ready = ready;
    }

    /// Whether an old listener was closed since the last call.
    pub(crate) fn old_was_closed(&mut self) -> bool {
        std::mem::take(&mut self.old_was_closed)
    }

    /// Whether datagrams still come in through this socket.
    pub(crate) fn receives_with(&self, socket: &Stream) -> bool {
        self.open.iter().chain(&self.old).any(|listener| listener.receives_with(socket))
    }
}
