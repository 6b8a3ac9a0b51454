//! Threads that serve one connection after the other.
//!
//! A finished thread waits on a list for its next job; the one that waited
//! shortest is taken first, as its stack and buffer are still in the cache. A
//! thread is started only when the list is empty, and leaves after a quiet
//! while, so that memory comes back. Threads are claimed before there
//! is something to do ([`Claim`]): a client is accepted only when both of its
//! are there. A fresh thread for every connection costs
//! two thirds of the connection rate (measured: its stack is mapped and
//! unmapped each time, and the other processors must hear of it).

use crate::sys;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes that one read may bring. Bulk speed grows up to here (measured); only
/// pages that data reached cost memory.
pub const BUFFER: usize = 256 * 1024;

/// Memory that must be there when a thread is started, and again when it gets
/// its buffer: that, and more for everybody's small needs.
pub const HEADROOM: usize = 8 * BUFFER;

/// A thread's stack; the deepest call uses about a tenth of it.
const STACK: usize = 64 * 1024;

/// How long a thread waits for its next job.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a thread is given to do, with the thread's copy buffer.
pub type Job = Box<dyn FnOnce(&mut Buffer) + Send>;

/// A thread's copy buffer: a `BufReader` whose source is changed for every
/// connection, because `io::copy` hands a `BufReader`'s own buffer to the
/// writer after each read. Its source is an `Arc<File>`, as that is the one
/// shared descriptor type whose reads fill a fresh buffer without zeroing it
/// first: pages that data never reached cost nothing. A thread gets its buffer
/// when the first data is there, so that an idle connection has none.
pub struct Buffer {
    reader: Option<BufReader<Arc<File>>>,
    nothing: Arc<File>,
}

impl Buffer {
    fn new(nothing: Arc<File>) -> Buffer {
        let reader = None;
        Buffer { reader, nothing }
    }

    /// Gives its memory back, until the next data.
    pub fn release(&mut self) {
        self.reader = None;
    }

    /// Waits for the first data, and then gets the memory that it takes; `false`
    /// if there is none to spare. (Only a thread that has none yet waits.)
    pub fn get_ready(&mut self, source: &File) -> io::Result<bool> {
        if self.reader.is_none() {
            sys::wait_either(source, source)?;
            if !sys::has_memory(HEADROOM) {
                return Ok(false);
            }
            let nothing = Arc::clone(&self.nothing);
            self.reader = Some(BufReader::with_capacity(BUFFER, nothing));
        }
        Ok(true)
    }

    /// Lends the reader for one source. What is left in the buffer afterwards
    /// (its receiver has gone) is thrown away, and the source let go.
    pub fn lend<R>(
        &mut self,
        source: Arc<File>,
        work: impl FnOnce(&mut BufReader<Arc<File>>) -> io::Result<R>,
    ) -> io::Result<R> {
        if !self.get_ready(&source)? {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let Some(reader) = &mut self.reader else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        *reader.get_mut() = source;
        let result = work(reader);
        let left = reader.buffer().len();
        reader.consume(left);
        *reader.get_mut() = Arc::clone(&self.nothing);
        result
    }
}

/// A thread, and where its next job is put.
struct Worker {
    job: Mutex<Option<Job>>,
    /// Not known until it runs.
    thread: OnceLock<Thread>,
}

impl Worker {
    fn give(&self, job: Job) {
        *crate::lock(&self.job) = Some(job);
        // If it does not run yet it will look for a job in any case.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// A right to so many of the waiting threads: what they are given to do is done
/// for sure. Which ones is settled then, so that those are taken that waited
/// shortest. What is left of it goes back when it is dropped.
pub struct Claim {
    workers: Arc<Workers>,
    count: usize,
}

impl Claim {
    /// Claims what is missing to `count` threads; they are started if need be.
    /// If that fails it waits so long for some that are done with their work.
    pub fn fill(&mut self, count: usize, limit: Duration) -> io::Result<()> {
        let mut end = None;
        let mut idle = crate::lock(&self.workers.idle);
        loop {
            self.count += idle.claim(count.saturating_sub(self.count));
            if self.count >= count {
                return Ok(());
            }
            drop(idle);
            let started = self.workers.start();
            idle = crate::lock(&self.workers.idle);
            match started {
                Ok(worker) => idle.list.push(worker),
                Err(e) => {
                    let end = *end.get_or_insert_with(|| Instant::now() + limit);
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(e);
                    }
                    idle.wanted = true;
                    let waited = self.workers.freed.wait_timeout(idle, left);
                    idle = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// Takes one thread out, as a claim of its own.
    pub fn split(&mut self) -> Claim {
        let count = self.count.min(1);
        self.count -= count;
        Claim { workers: Arc::clone(&self.workers), count }
    }

    /// Has one of the threads do something. At the same go it claims again, as
    /// far as threads wait, what is missing to `again`.
    pub fn run(&mut self, job: Job, again: usize) {
        let mut idle = crate::lock(&self.workers.idle);
        let worker = match self.count {
            0 => None,
            _ => idle.list.pop(),
        };
        if worker.is_some() {
            idle.claimed -= 1;
            self.count -= 1;
        }
        self.count += idle.claim(again.saturating_sub(self.count));
        drop(idle);
        if let Some(worker) = worker {
            worker.give(job);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.count > 0 {
            let mut idle = crate::lock(&self.workers.idle);
            idle.claimed -= self.count;
            self.workers.tell(idle);
        }
    }
}

/// The threads.
pub struct Workers {
    idle: Mutex<Idle>,
    freed: Condvar,
    nothing: Arc<File>,
    /// Threads there are.
    alive: AtomicUsize,
    /// One that leaves stays until the others have gone, to give back memory.
    has_janitor: AtomicBool,
}

/// Threads that have nothing to do. There are never fewer than are claimed.
#[derive(Default)]
struct Idle {
    list: Vec<Arc<Worker>>,
    claimed: usize,
    /// Somebody waits for one.
    wanted: bool,
}

impl Idle {
    /// Claims so many, or as many as there are.
    fn claim(&mut self, count: usize) -> usize {
        let count = count.min(self.list.len().saturating_sub(self.claimed));
        self.claimed += count;
        count
    }
}

impl Workers {
    /// None yet.
    pub fn new() -> io::Result<Arc<Workers>> {
        // At its end, as /dev/null would be, which a bare root does not have.
        let (nothing, _) = UnixStream::pair()?;
        let nothing = File::from(OwnedFd::from(nothing));
        Ok(Arc::new(Workers {
            idle: Mutex::default(),
            freed: Condvar::new(),
            nothing: Arc::new(nothing),
            alive: AtomicUsize::new(0),
            has_janitor: AtomicBool::new(false),
        }))
    }

    /// A claim on nothing yet.
    pub fn claim(self: &Arc<Workers>) -> Claim {
        Claim { workers: Arc::clone(self), count: 0 }
    }

    fn start(self: &Arc<Workers>) -> io::Result<Arc<Worker>> {
        let worker = Arc::new(Worker { job: Mutex::new(None), thread: OnceLock::new() });
        let (me, workers) = (Arc::clone(&worker), Arc::clone(self));
        sys::start_thread_leaving(HEADROOM, STACK, move || {
            let _ = me.thread.set(thread::current());
            workers.work(&me);
        })?;
        Ok(worker)
    }

    /// Wakes whoever waits for a thread, and nobody if there is none: waking
    /// costs a system call.
    fn tell(&self, mut idle: MutexGuard<Idle>) {
        let wanted = std::mem::take(&mut idle.wanted);
        drop(idle);
        if wanted {
            self.freed.notify_all();
        }
    }

    /// A thread's life.
    fn work(&self, me: &Arc<Worker>) {
        self.alive.fetch_add(1, Relaxed);
        let mut buffer = Buffer::new(Arc::clone(&self.nothing));
        while let Some(job) = self.wait(me, &mut buffer) {
            job(&mut buffer);
            let mut idle = crate::lock(&self.idle);
            idle.list.push(Arc::clone(me));
            self.tell(idle);
        }
        drop(buffer);
        let left = self.alive.fetch_sub(1, Relaxed);
        // Those who are claimed stay.
        let none_waits = {
            let idle = crate::lock(&self.idle);
            idle.list.len() <= idle.claimed
        };
        if none_waits && !self.has_janitor.swap(true, Relaxed) {
            self.clean_up(left);
        }
    }

    /// Waits until no more threads come or go, then gives back the memory that
    /// all of them have left.
    fn clean_up(&self, mut before: usize) {
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = self.alive.load(Relaxed);
            if now == before {
                break;
            }
            before = now;
        }
        self.has_janitor.store(false, Relaxed);
        crate::lock(&self.idle).list.shrink_to_fit();
        sys::return_memory();
    }

    /// The next job; `None` when none came for a while and none can come.
    fn wait(&self, me: &Arc<Worker>, buffer: &mut Buffer) -> Option<Job> {
        let mut end = Instant::now() + PATIENCE;
        loop {
            if let Some(job) = crate::lock(&me.job).take() {
                return Some(job);
            }
            let left = end.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            let mut idle = crate::lock(&self.idle);
            if let Some(at) = idle.list.iter().position(|other| Arc::ptr_eq(other, me)) {
                if idle.list.len() > idle.claimed {
                    idle.list.remove(at);
                    return None;
                }
                drop(idle);
                // It stays, for somebody who may come.
                buffer.release();
                end = Instant::now() + PATIENCE;
                continue;
            }
            // Taken from the list already: the job is on its way.
            drop(idle);
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::mpsc;

    fn start(workers: &Arc<Workers>, work: impl FnOnce() + Send + 'static) {
        let mut claim = workers.claim();
        claim.fill(1, Duration::ZERO).unwrap();
        claim.run(Box::new(move |_| work()), 0);
    }

    #[test]
    fn a_finished_thread_is_used_again() {
        let workers = Workers::new().unwrap();
        let (send, receive) = mpsc::channel();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let send = send.clone();
            start(&workers, move || send.send(thread::current().id()).unwrap());
            seen.push(receive.recv().unwrap());
            while crate::lock(&workers.idle).list.is_empty() {
                thread::yield_now();
            }
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[1], seen[2]);
    }

    #[test]
    fn jobs_at_the_same_time_have_threads_of_their_own() {
        let workers = Workers::new().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(9));
        for _ in 0..8 {
            let barrier = Arc::clone(&barrier);
            start(&workers, move || {
                barrier.wait();
            });
        }
        barrier.wait();
    }

    #[test]
    fn what_is_claimed_is_there_and_nothing_else() {
        let workers = Workers::new().unwrap();
        let there = || {
            let idle = crate::lock(&workers.idle);
            (idle.list.len(), idle.claimed)
        };
        let mut claim = workers.claim();
        claim.fill(3, Duration::ZERO).unwrap();
        assert_eq!(there(), (3, 3));
        let other = claim.split();
        assert_eq!((claim.count, other.count, there()), (2, 1, (3, 3)));
        drop(other);
        assert_eq!(there(), (3, 2));
        // One is used and the free one claimed in its place; then there is none
        // left to be claimed.
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let mut use_one = |again| {
            let wait = Arc::clone(&wait);
            let job = move |_: &mut Buffer| {
                let _ = crate::lock(&wait).recv();
            };
            claim.run(Box::new(job), again);
            claim.count
        };
        assert_eq!((use_one(2), there()), (2, (2, 2)));
        assert_eq!((use_one(2), there()), (1, (1, 1)));
        assert_eq!((use_one(0), there()), (0, (0, 0)));
        drop(release);
        while there() != (3, 0) {
            thread::yield_now();
        }
    }

    /// As the listener does, from many sides: each has two threads claimed, of
    /// which the first gets the second for a job of its own, or gives it back.
    #[test]
    fn many_claims_at_once() {
        const ROUNDS: usize = 1000;
        let workers = Workers::new().unwrap();
        let workers = &workers;
        let serve = move |number: usize| {
            let (send, receive) = mpsc::channel();
            let mut claim = workers.claim();
            for round in 0..ROUNDS {
                claim.fill(2, Duration::from_secs(20)).unwrap();
                let (send, mut second) = (send.clone(), claim.split());
                let job = move |_: &mut Buffer| {
                    send.send(()).unwrap();
                    if round % 3 > 0 {
                        second.run(Box::new(move |_| send.send(()).unwrap()), 0);
                    }
                };
                claim.run(Box::new(job), (round + number) % 4);
                if round % 4 == 0 {
                    receive.recv().unwrap();
                }
            }
            drop((claim, send));
            ROUNDS.div_ceil(4) + receive.iter().count()
        };
        let jobs = thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|n| scope.spawn(move || serve(n))).collect();
            let counts = all.into_iter().map(|one| one.join().unwrap());
            counts.sum::<usize>()
        });
        // None is lost and none is done twice.
        assert_eq!(jobs, 8 * (ROUNDS + ROUNDS * 2 / 3));
        let all_wait = || {
            let idle = crate::lock(&workers.idle);
            let alive = workers.alive.load(Relaxed);
            (idle.list.len(), idle.claimed) == (alive, 0)
        };
        while !all_wait() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_lent_buffer_forgets_its_source() {
        let nothing = Arc::new(File::open("/dev/null").unwrap());
        let mut buffer = Buffer::new(nothing);
        let source = Arc::new(File::open(std::env::current_exe().unwrap()).unwrap());
        let result = buffer.lend(Arc::clone(&source), |reader| reader.read_exact(&mut [0; 3]));
        result.unwrap();
        assert_eq!(Arc::strong_count(&source), 1);
        let again = Arc::new(File::open("/dev/null").unwrap());
        let read = buffer.lend(again, |reader| reader.read(&mut [0; 3])).unwrap();
        assert_eq!(read, 0);
    }
}
