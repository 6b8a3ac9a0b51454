//! Clients on threads of this program, at work while a fault happens.

use crate::stand::wait_until;
use crate::talk::{Failure, MOST, Talk, converse};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many clients of each kind there are. The loads are small enough for two
/// processors that everything shares.
#[derive(Clone, Copy)]
pub(crate) struct Mix {
    /// Connect, exchange a little, leave, and again.
    pub(crate) callers: usize,
    /// Stay, and exchange a little now and then.
    pub(crate) guests: usize,
    /// Move [`BULK`] bytes up and down, or down alone, and again.
    pub(crate) movers: usize,
    /// How long guests stay before they come anew.
    pub(crate) stay: Duration,
}

/// What most rows have.
pub(crate) const USUAL: Mix =
    Mix { callers: 12, guests: 36, movers: 2, stay: Duration::from_secs(3600) };

/// Bytes that a mover moves.
const BULK: u32 = 1 << 20;

/// Servers that are told apart.
const SERVERS: usize = 8;

/// What all clients share.
struct Shared {
    to: SocketAddr,
    stopping: AtomicBool,
    /// Connections now.
    open: AtomicUsize,
    /// Conversations that went well.
    done: AtomicUsize,
    /// Clients that have come to each server.
    came: [AtomicUsize; SERVERS],
    /// Clients that were on another server than the time before.
    moves: AtomicUsize,
    failures: Mutex<Vec<Failure>>,
    watch: Mutex<Watch>,
}

impl Shared {
    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap()
    }
}

/// How long it takes until everybody is served again.
struct Watch {
    since: Instant,
    /// For each client who has not been served yet: nothing, or when it has
    /// first tried since then.
    waiting: Vec<Option<Option<Instant>>>,
    /// What each client does, for when that never ends.
    doing: Vec<String>,
    longest: Duration,
}

/// What is waited for, and for whom still when it is in vain.
struct Recovery<'a>(&'a Shared);

impl fmt::Display for Recovery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let watch = self.0.watch();
        let all = watch.waiting.iter().zip(&watch.doing).enumerate();
        let waiting: Vec<_> = all.filter(|(_, (client, _))| client.is_some()).collect();
        write!(f, "everybody is served again, but for {waiting:?}")
    }
}

/// The clients. They end when this goes.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of it.
pub(crate) struct Report {
    pub(crate) done: usize,
    pub(crate) failures: Vec<Failure>,
}

impl Report {
    /// Adds what came of conversations beside the traffic.
    pub(crate) fn add(&mut self, results: Vec<Result<(), Failure>>) {
        for result in results {
            match result {
                Ok(()) => self.done += 1,
                Err(failure) => self.failures.push(failure),
            }
        }
    }
}

impl Traffic {
    /// Starts them, and waits until everybody has been served once.
    pub(crate) fn start(to: SocketAddr, mix: Mix) -> Traffic {
        let count = mix.callers + mix.guests + mix.movers;
        let begin = Instant::now();
        let shared = Arc::new(Shared {
            to,
            stopping: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            came: Default::default(),
            moves: AtomicUsize::new(0),
            failures: Mutex::default(),
            watch: Mutex::new(Watch {
                since: begin,
                waiting: vec![Some(None); count],
                doing: vec![String::new(); count],
                longest: Duration::ZERO,
            }),
        });
        let start = |number: usize| {
            let client = Client::new(number, Arc::clone(&shared));
            let life = match number {
                n if n < mix.callers => Client::call,
                n if n < mix.callers + mix.guests => Client::stay,
                _ => Client::carry,
            };
            thread::spawn(move || life(client, mix.stay))
        };
        let threads = (0..count).map(start).collect();
        let traffic = Traffic { shared, threads };
        traffic.recovery();
        traffic
    }

    /// Connections now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// From this moment on it counts how long it takes until everybody has
    /// been served: has had an exchange that began not before.
    pub(crate) fn watch(&self, since: Instant) {
        let mut watch = self.shared.watch();
        watch.since = since;
        watch.longest = Duration::ZERO;
        watch.waiting.fill(Some(None));
    }

    /// Waits until everybody has been served since [`Traffic::watch`]; the
    /// longest that anybody had to wait for it.
    pub(crate) fn recovery(&self) -> Duration {
        wait_until(Recovery(&self.shared), || {
            let watch = self.shared.watch();
            watch.waiting.iter().all(Option::is_none)
        });
        self.shared.watch().longest
    }

    /// How often a client was on another server than the time before.
    pub(crate) fn moves(&self) -> usize {
        self.shared.moves.load(SeqCst)
    }

    /// Waits until somebody comes to a server from now on.
    pub(crate) fn wait_for_server(&self, number: u8) {
        let came = &self.shared.came[usize::from(number)];
        let before = came.load(SeqCst);
        wait_until("the server has clients again", || came.load(SeqCst) > before);
    }

    /// Tells everybody to end in peace.
    pub(crate) fn stop(mut self) -> Report {
        self.shared.stopping.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            thread.join().expect("a client ends in peace");
        }
        Report {
            done: self.shared.done.load(SeqCst),
            failures: std::mem::take(&mut self.shared.failures.lock().unwrap()),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
    }
}

/// One of them, with an address of its own.
struct Client {
    number: usize,
    from: Ipv4Addr,
    shared: Arc<Shared>,
    random: u32,
    /// When it began to do what it is doing now.
    trying: Instant,
    server: Option<u8>,
}

impl Client {
    fn new(number: usize, shared: Arc<Shared>) -> Client {
        Client {
            number,
            from: Ipv4Addr::new(127, 40, 0, number as u8 + 1),
            shared,
            random: number as u32,
            trying: Instant::now(),
            server: None,
        }
    }

    /// A number from 1 to `most`.
    fn random(&mut self, most: usize) -> usize {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.random >> 8) as usize % most + 1
    }

    fn rest(&mut self, most_ms: usize) {
        let ms = self.random(most_ms);
        thread::sleep(Duration::from_millis(ms as u64));
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(SeqCst)
    }

    /// One conversation, and what came of it.
    fn converse(&mut self, work: impl FnOnce(&mut Client, &mut Talk) -> io::Result<()>) {
        self.trying = Instant::now();
        let (from, to) = (self.from, self.shared.to);
        let shared = Arc::clone(&self.shared);
        let number = self.random(usize::from(u16::MAX)) as u16;
        shared.open.fetch_add(1, SeqCst);
        self.does("waits to be greeted".to_owned());
        let result = converse(from, to, number, |talk| {
            self.does(format!("talks to server {}", talk.server));
            let before = self.server.replace(talk.server);
            let moved = before.is_some_and(|server| server != talk.server);
            shared.moves.fetch_add(moved.into(), SeqCst);
            shared.came[usize::from(talk.server)].fetch_add(1, SeqCst);
            work(self, talk)
        });
        shared.open.fetch_sub(1, SeqCst);
        match result {
            Ok(()) => {
                shared.done.fetch_add(1, SeqCst);
            }
            Err(failure) => {
                shared.failures.lock().unwrap().push(failure);
                shared.watch().failed(self.number, self.trying);
                // A client that failed waits before it connects again.
                self.rest(40);
            }
        }
    }

    fn does(&self, what: String) {
        self.shared.watch().doing[self.number] = what;
    }

    /// What it was trying has gone well.
    fn served(&self) {
        self.shared.watch().served(self.number, self.trying);
    }

    fn call(mut self, _: Duration) {
        while !self.is_stopping() {
            self.converse(|client, talk| {
                talk.ask_echo()?;
                for _ in 0..client.random(3) {
                    talk.exchange(client.random(8 * 1024))?;
                }
                talk.send(client.random(MOST / 2))?;
                talk.end_sending()?;
                talk.finish()?;
                client.served();
                Ok(())
            });
            self.rest(30);
        }
    }

    fn stay(mut self, time: Duration) {
        while !self.is_stopping() {
            let begun = Instant::now();
            // So that not all leave at once.
            let time = time.mul_f64(1.0 + self.random(100) as f64 / 100.0);
            self.converse(|client, talk| {
                talk.ask_echo()?;
                while !client.is_stopping() && begun.elapsed() < time {
                    talk.exchange(client.random(4 * 1024))?;
                    client.served();
                    client.rest(100);
                    client.trying = Instant::now();
                }
                talk.end_sending()?;
                talk.finish()
            });
        }
    }

    fn carry(mut self, _: Duration) {
        while !self.is_stopping() {
            let both = self.random(2) == 1;
            self.converse(|client, talk| {
                match both {
                    true => talk.ask_echo().and_then(|()| talk.pour(BULK as usize))?,
                    false => talk.fetch(BULK)?,
                }
                client.served();
                Ok(())
            });
            self.rest(100);
        }
    }
}

impl Watch {
    /// Who had been trying when the time began has been waiting since then.
    fn failed(&mut self, client: usize, begun: Instant) {
        let since = self.since;
        if let Some(Some(first)) = self.waiting.get_mut(client) {
            first.get_or_insert(begun.max(since));
        }
    }

    fn served(&mut self, client: usize, begun: Instant) {
        let since = self.since;
        let Some(waiting) = self.waiting.get_mut(client) else { return };
        if let Some(first) = waiting.as_mut() {
            let from = first.get_or_insert(begun.max(since));
            self.longest = self.longest.max(from.elapsed());
            if begun >= since {
                *waiting = None;
            } else {
                *first = None;
            }
        }
    }
}

/// Waits, while traffic goes on.
pub(crate) fn pass(time: Duration) {
    thread::sleep(time);
}
